"""Cells of a row as values, for the modules of this room; and what they read from and write to, for those above it."""

from __future__ import annotations

import json
from typing import Any

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
    return int(row[key] or 0)


def whole_or_none(row: Row, key: str) -> int | None:
    found = row[key]
    return None if found is None else int(found)


def real_or_none(row: Row, key: str) -> float | None:
    found = row[key]
    return None if found is None else float(found)


def instant(row: Row, key: str) -> Instant:
    """An instant that is always there."""
    return parse_instant(str(row[key]))


def instant_or_none(row: Row, key: str) -> Instant | None:
    found = row[key]
    return None if found is None else parse_instant(str(found))


def decoded(kept: str) -> Any:
    """What a column of JSON holds."""
    return json.loads(kept)
