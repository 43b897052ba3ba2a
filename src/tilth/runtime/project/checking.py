"""All that is wrong with a project's files, at once: `tilth check`. Reads text; asks no source, opens no state, makes nothing.

Of one statement the first error of its text is told, and of one declaration the first rule that it breaks and the first name
that it misses. A name that may be declared by a statement that cannot be read is not called missing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tilth.core.errors import StorageError, TilthError, UnknownNameError
from tilth.kinds import KINDS, declares
from tilth.ports import places
from tilth.resources.facts import Facts
from tilth.runtime.project import estimators, known, loader, queries
from tilth.runtime.project.settings import settings
from tilth.sql.language.acts import Statement
from tilth.sql.language.statements import Kind

_NAMED = re.compile(r"`([^`]+)`")


@dataclass(frozen=True, slots=True)
class Checked:
    """What was looked at, and what is wrong, in the order of files and lines."""

    files: int
    declarations: int
    problems: tuple[TilthError, ...]


def check(root: str) -> Checked:
    """Look at the settings, each file, and what the files declare together; an error of its own when the folder is no project."""
    try:
        loader.find_project(root)
    except StorageError:  # of a file it is told below, with the others
        if not os.path.isdir(root) or not any(loader.paths(root)):
            raise
    problems: list[TilthError] = []
    with _noted(problems):
        settings(root)
    names = [os.path.relpath(path, root) for path in loader.paths(root)]
    statements: list[Statement] = []
    lost: set[str] = set()
    for name in names:
        with _noted(problems):
            found = KINDS.look(_text(root, name), name)
            problems += found.problems
            lost |= found.lost
            for statement, where in found.statements:
                if declares(statement):
                    statements.append(statement)
                else:
                    problems.append(loader.not_here(statement, name, where))
    graph, wrong = KINDS.look_at(statements, _facts(root, problems))
    problems += [e for e in wrong if not (isinstance(e, UnknownNameError) and _lost(e, lost))]
    problems += queries.problems(graph)
    for model in graph.of_kind(Kind.MODEL):
        with _noted(problems):
            estimators.require(graph, os.path.join(root, estimators.FOLDER), [model.name])
    return Checked(len(names), len(statements), tuple(sorted(problems, key=_place)))


def _text(root: str, name: str) -> str:
    return places.read_text(os.path.join(root, name), root, loader.LIMIT, shown=name)


def _facts(root: str, problems: list[TilthError]) -> Facts:
    with _noted(problems):
        return known.facts(root)
    return known.without_own_code()


def _lost(error: UnknownNameError, lost: set[str]) -> bool:
    """Whether the name that is missing may be declared by what could not be read."""
    named = _NAMED.search(error.message)
    return named is not None and named[1] in lost


def _place(error: TilthError) -> tuple[str, int, int]:
    where = error.where
    return ("", 0, 0) if where is None else (where.file or "", where.line, where.column)


@contextmanager
def _noted(problems: list[TilthError]) -> Iterator[None]:
    """What is raised in the block is one of the problems."""
    try:
        yield
    except TilthError as error:
        problems.append(error)
