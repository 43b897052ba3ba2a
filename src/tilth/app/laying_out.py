"""Files laid out anew: `tilth fmt`. How a text is laid out is in `sql.language.layout`; here are the files.

A file is written aside and renamed, keeps its mode, and is written only when something changes. No project is needed for files
that are named, no source is asked and no state is opened.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import unified_diff

from tilth.adapters.files import durable
from tilth.core.errors import StorageError, TilthError
from tilth.kinds import KINDS
from tilth.ports import places
from tilth.runtime.project import loader


@dataclass(frozen=True, slots=True)
class Laid:
    """A file, as it is and as it would be; or why it cannot be laid out."""

    path: str
    before: str = ""
    after: str = ""
    problem: TilthError | None = None

    @property
    def changes(self) -> bool:
        return self.before != self.after

    def diff(self) -> str:
        """What would change, line by line."""
        before, after = self.before.splitlines(keepends=True), self.after.splitlines(keepends=True)
        return "".join(unified_diff(before, after, self.path, f"{self.path} (laid out)"))


def files_of(root: str) -> list[str]:
    """The files that declare in a project, as they are named from here."""
    loader.find_project(root)
    return [os.path.relpath(path) for path in loader.paths(root)]


def look(paths: Iterable[str]) -> Iterator[Laid]:
    """Each file laid out; nothing is written."""
    for path in dict.fromkeys(paths):
        try:
            before = _text(path)
            yield Laid(path, before, KINDS.layout(before, path))
        except TilthError as error:
            yield Laid(path, problem=error)


def write(one: Laid) -> None:
    """Put the new text in place of the old one; StorageError when somebody has changed the file meanwhile."""
    real = os.path.realpath(one.path)
    if _text(one.path) != one.before:
        raise StorageError(f"{one.path} has changed meanwhile.", hint="Run the command again.")
    try:
        mode = stat.S_IMODE(os.stat(real).st_mode)
        durable.write_whole(real, one.after.encode(), mode)
        os.chmod(real, mode)
    except OSError as error:
        raise durable.refused(f"{one.path} cannot be written", os.path.dirname(real), error) from error


def _text(path: str) -> str:
    if not os.path.lexists(path):
        raise StorageError(f"There is no file {path}.", hint="Name *.sql files that there are.")
    folder = os.path.dirname(os.path.realpath(path))
    return places.read_text(path, folder, loader.LIMIT, shown=path)
