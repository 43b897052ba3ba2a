"""The statements of a command line, a file or a pipe, each with its place: an error names the file, line and column where it was said.

A query is read by itself, with the values of `-p` put in; where something is wrong in it is told as a place in what was given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from tilth.core.errors import LanguageError, Position, TilthError
from tilth.interfaces.cli import parameters
from tilth.interfaces.cli.parameters import Value
from tilth.kinds import KINDS
from tilth.sql.language.acts import Select, Statement
from tilth.sql.language.parameters import Bound
from tilth.sql.language.statements import Query

DEPLOYED = "<deployed>"
"""The name of a text that was not given: that of a declaration as it is deployed."""


@dataclass(frozen=True, slots=True)
class Said:
    """A statement, where it begins, and the text that it stands in."""

    statement: Statement
    where: Position
    text: Bound

    @contextmanager
    def placed(self) -> Iterator[None]:
        """What is raised in the block says where in the given text it is; of a file at least where the statement begins."""
        try:
            yield
        except TilthError as error:
            if error.where is not None:
                error.where = self._origin(error.where)
            elif self.where.file is not None:
                error.where = self.text.origin(self.where)
            raise

    def _origin(self, where: Position) -> Position:
        """The place in the given text. A place in the query alone is moved to where the query stands."""
        query = self._query()
        if query is not None and where.file is None and _is_line_of(query.sql, where):
            begins, first = query.position, where.line == 1
            assert begins is not None
            column = where.column + (begins.column - 1 if first else 0)
            where = replace(where, line=where.line + begins.line - 1, column=column, file=begins.file)
        elif where.file != self.where.file or self._is_elsewhere(where):
            return where if where.file else replace(where, file=DEPLOYED)
        return self.text.origin(where) if self.text.edits else _shown(where, self.text.given)

    def _is_elsewhere(self, where: Position) -> bool:
        """Whether a place without a file shows a line that the given text does not have there."""
        return where.file is None and where.text is not None and not _is_line_of(self.text.text, where)

    def _query(self) -> Select | Query | None:
        """What is read by itself: a question, or the query of a statement."""
        found = (
            self.statement if isinstance(self.statement, Select) else getattr(self.statement, "query", None)
        )
        return found if isinstance(found, Select | Query) else None


def _is_line_of(text: str, where: Position) -> bool:
    lines = text.split("\n")
    return where.line <= len(lines) and lines[where.line - 1].rstrip("\r") == where.text


def _shown(where: Position, text: str) -> Position:
    """The place with its line of the text; one that is not to be shown stays without."""
    if where.text is None:
        return where
    return replace(where, text=text.split("\n")[where.line - 1].rstrip("\r"))


def statements(text: str, values: Mapping[str, Value], file: str | None = None) -> tuple[Said, ...]:
    """All statements of a text, before the first is performed; an error at the first that cannot be read, and when there is none."""
    bound = parameters.filled(text, values, file)
    found = KINDS.look(bound.text, file)
    for problem in found.problems:
        if problem.where is not None:
            problem.where = bound.origin(problem.where)
        raise problem
    if not found.statements:
        raise LanguageError(
            "There is no statement in this text.",
            hint='Write one, such as SELECT ... or PLAN: tilth sql "SHOW TABLES"',
            where=Position(1, 1, 1, file, (text.splitlines() or [""])[0]) if file else None,
        )
    return tuple(Said(statement, where, bound) for statement, where in found.statements)
