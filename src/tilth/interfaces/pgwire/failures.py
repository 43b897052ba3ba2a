"""Errors of tilth as PostgreSQL's clients read them: SQLSTATE, words, hint, and the character that a caret is drawn below."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tilth.core.errors import Position, ResourceLimitError, TilthError, UnknownNameError
from tilth.interfaces.pgwire.said import Report

CANCELED, ABORTED, ACTIVE, NONE_ACTIVE = "57014", "25P02", "25001", "25P01"
PROTOCOL, CRASHED = "08P01", "XX000"


class Failure(Exception):
    """What a client is told, and its transaction with it."""

    def __init__(self, report: Report) -> None:
        super().__init__(report.words)
        self.report = report


def failure(state: str, words: str, hint: str | None = None, severity: str = "ERROR") -> Failure:
    return Failure(Report(severity, state, words, hint=hint))


def reported(error: BaseException, text: str = "", start: int = 0) -> Report:
    """The error, of a statement that begins at the character `start` of `text`."""
    if isinstance(error, Failure):
        return error.report
    if isinstance(error, KeyboardInterrupt):
        return Report("ERROR", CANCELED, "canceling statement due to user request")
    if isinstance(error, TilthError):
        told = _STATES.get(type(error))
        state = error.sqlstate if told is None else told(error)
        place = None if error.where is None or not text else offset(text[start:], error.where)
        detail = "\n".join(error.detail) or None
        return Report(
            "ERROR", state, error.message, detail, error.hint, None if place is None else start + place + 1
        )  # fmt: skip
    return Report("ERROR", CRASHED, f"tilth failed: {type(error).__name__}.", hint="Its log says more.")


def _of_name(error: TilthError) -> str:
    """Which kind of name it is that nobody knows: PostgreSQL tells a column from a table and a function."""
    said = error.message
    for words, state in (("column", "42703"), ("Function", "42883"), ("able", "42P01"), ("dataset", "42P01"), ("odel `", "42P01")):  # fmt: skip
        if words in said:
            return state
    return error.sqlstate


def _of_limit(error: TilthError) -> str:
    """A statement that took too long was cancelled; one that took too much of something else had none left."""
    return CANCELED if "seconds" in error.message else error.sqlstate


_STATES: Mapping[type, Callable[[TilthError], str]] = {
    UnknownNameError: _of_name,
    ResourceLimitError: _of_limit,
}


def offset(text: str, where: Position) -> int | None:
    """Of a place the characters before it; None where the text has no such line."""
    lines = text.split("\n")
    if where.file is not None or not 1 <= where.line <= len(lines):
        return None
    before = sum(len(line) + 1 for line in lines[: where.line - 1])
    return min(before + where.column - 1, len(text))
