"""Cells of a row as values, for the modules of this room; and what they read from and write to, for those above it.

What tilth did not write is a StateChangedError that names the cell: a state can be edited by hand.
"""

from __future__ import annotations

import json
from typing import Any

from tilth.core.errors import LanguageError, StateChangedError
from tilth.core.time import Instant, parse_instant
from tilth.ports.state import Cell, Change, Reader, Row, State

__all__ = ["Cell", "Change", "Reader", "Row", "State"]


def text(row: Row, key: str) -> str:
    """A text that is always there."""
    return str(row[key])


def text_or_none(row: Row, key: str) -> str | None:
    found = row[key]
    return None if found is None else str(found)


def whole(row: Row, key: str) -> int:
    """A whole number that is always there."""
    return whole_or_none(row, key) or 0


def whole_or_none(row: Row, key: str) -> int | None:
    found = row[key]
    try:
        return None if found is None else int(found)
    except (ValueError, OverflowError) as error:
        raise _foreign(key, "a whole number") from error


def real_or_none(row: Row, key: str) -> float | None:
    found = row[key]
    try:
        return None if found is None else float(found)
    except ValueError as error:
        raise _foreign(key, "a number") from error


def instant(row: Row, key: str) -> Instant:
    """An instant that is always there."""
    try:
        return parse_instant(str(row[key]))
    except (LanguageError, OverflowError) as error:
        raise _foreign(key, "an instant") from error


def instant_or_none(row: Row, key: str) -> Instant | None:
    return None if row[key] is None else instant(row, key)


def decoded(kept: str, what: str = "JSON") -> Any:
    """What a column of JSON holds."""
    try:
        return json.loads(kept)
    except (ValueError, RecursionError) as error:
        raise foreign(f"A text that should be {what} is none.") from error


def decoded_object(kept: str, what: str) -> dict[str, Any]:
    """What a column of JSON holds, where that is values by name."""
    found = decoded(kept, what)
    if not isinstance(found, dict):
        raise foreign(f"A text that should be {what} is none.")
    return found


def _foreign(key: str, wanted: str) -> StateChangedError:
    return foreign(f"A cell `{key}` does not hold {wanted}.")


def foreign(said: str) -> StateChangedError:
    """The error for what tilth cannot have written."""
    return StateChangedError(
        f"The state was changed by something other than tilth. {said}",
        hint="Run `tilth verify`; then put the state back from a backup, or run: tilth restore FILE",
    )
