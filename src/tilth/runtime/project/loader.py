"""A project folder to statements: every `*.sql` in it but those of projects inside, in the order of their paths. What `tilth.toml` says is in `settings`.

Reads text only; what the statements mean is the compiler's business, and no source is asked. A file that is no regular
file, or a link that leads out of the project, is refused by name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import NoReturn

from tilth.core.errors import LanguageError, Position, ProjectError, StorageError
from tilth.kinds import declares, parse
from tilth.ports import places
from tilth.runtime.project.settings import FILE
from tilth.sql.language.acts import Alter, CreateToken, DropToken, Statement
from tilth.sql.language.statements import Declaration

LIMIT = 16 << 20  # bytes of one file
HOME = ".tilth"
_SILENT = re.compile(r"--[^\n]*|/\*.*?\*/|[\s;]+", re.DOTALL)
_TOKENS = (
    "A token is made when it is said and shown once; a file would hold no secret, and would say it again at each apply."
    ' Say it at a prompt: tilth sql "CREATE TOKEN ..."'
)
_TEXT = "Files say what is: change the text there, and `tilth plan` says what that changes. At a prompt ALTER changes what is deployed."
_NOT_HERE: Mapping[type, str] = {CreateToken: _TOKENS, DropToken: _TOKENS, Alter: _TEXT}
_BESIDE = frozenset({"tests", "estimators"})  # folders that hold no declarations


def find_project(root: str) -> None:
    """ProjectError or StorageError unless the folder is a project: it has a tilth.toml, declarations, or a `.tilth`.

    Nothing is made: a misspelt folder stays as it is.
    """
    if not os.path.isdir(root):
        raise StorageError(
            f"There is no folder {root}.",
            hint="Go to the project's folder, or name it: --project FOLDER, in Python tilth.open(folder).",
        )
    _listable(root)
    if os.path.lexists(os.path.join(root, FILE)) or _has_content(os.path.join(root, HOME)):
        return
    if not any(_declares(root, path) for path in paths(root)):
        _not_a_project(root)


def declarations(root: str) -> tuple[Declaration, ...]:
    """All declarations of the project. A statement that acts, or asks, has no place in a file."""
    found = list(paths(root))
    if not found:
        _not_a_project(root)
    out: list[Declaration] = []
    for path in found:
        name = os.path.relpath(path, root)
        for statement in parse(places.read_text(path, root, LIMIT, shown=name), name):
            if not declares(statement):
                raise not_here(statement, name, getattr(statement, "position", None))
            out.append(statement)
    return tuple(out)


def not_here(statement: Statement, name: str, where: Position | None) -> LanguageError:
    """The error about a statement in a project's file that does not declare."""
    return LanguageError(
        f"{name} holds {_words(statement)}; the *.sql files of a project, in its folders too, only declare.",
        hint=_NOT_HERE.get(
            type(statement),
            "Say it at a prompt, or move it into a file outside of the project's folder: tilth sql -f ../FILE",
        ),
        where=where,
    )


def _words(statement: Statement) -> str:
    """What a statement begins with, as one writes it: its class is named by it."""
    return re.sub("(?<!^)(?=[A-Z])", " ", type(statement).__name__.removesuffix("Statement")).upper()


def _not_a_project(root: str) -> NoReturn:
    raise ProjectError(
        f"{root} is not a project: it holds no *.sql file that declares something.",
        hint="Make one with `tilth init FOLDER`, or give the project's folder with --project. A project declares its "
        f"sources, datasets, models and endpoints in *.sql files; an empty {FILE} makes a folder a project, too.",
    )


def paths(root: str) -> Iterator[str]:
    """The paths of all files that may declare, sorted."""
    for folder, inner, names in os.walk(root, onerror=_unreadable):
        inner[:] = sorted(
            n
            for n in inner
            if not n.startswith(".") and n not in _BESIDE and not _is_own(os.path.join(folder, n))
        )
        yield from (os.path.join(folder, n) for n in sorted(names) if n.endswith(".sql"))


def _is_own(folder: str) -> bool:
    """Whether a folder is a project of its own: what it declares is not for the one around it."""
    return os.path.lexists(os.path.join(folder, FILE)) or os.path.lexists(os.path.join(folder, HOME))


def _declares(root: str, path: str) -> bool:
    """Whether a file says anything: one that holds only comments declares nothing."""
    text = places.read_text(path, root, LIMIT, shown=os.path.relpath(path, root))
    return _SILENT.sub("", text) != ""


def _has_content(home: str) -> bool:
    """Whether tilth has kept something there. An empty folder of that name is none of ours."""
    try:
        return os.path.lexists(home) and (not os.path.isdir(home) or bool(os.listdir(home)))
    except OSError as error:
        _unreadable(error)


def _listable(root: str) -> None:
    try:
        os.listdir(root)
    except OSError as error:
        _unreadable(error)


def _unreadable(error: OSError) -> NoReturn:
    raise StorageError(
        f"The folder {error.filename} cannot be read ({error.strerror}).",
        hint="Make it readable by this user, or move it out of the project.",
    ) from error
