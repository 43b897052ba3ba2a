"""What is declared to be done again and again: CREATE JOB and CREATE TRIGGER, as frozen values. Their grammar is in `tilth.kinds`."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import ClassVar

from tilth.core.errors import Position
from tilth.core.time import Instant
from tilth.sql.language.acts import Statement
from tilth.sql.language.statements import Kind, Query, RenamedFrom

SOON = timedelta(seconds=1)  # the least time between two runs of a job, or two looks of a trigger
POLL = timedelta(seconds=10)  # between two looks of a trigger that does not say how often
DELTA = "table_delta"  # what a trigger's statements call the rows that came or changed


class Missed(StrEnum):
    """What becomes of runs whose time went by while nobody could run them."""

    RUN_ONCE = "run once"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class CreateJob:
    """Statements that are performed at `start`, and every so often from then on until `end`, if `condition` gives a row.

    Without `start` it begins when it is first declared; without `every` it runs once.
    """

    kind: ClassVar[Kind] = Kind.JOB
    name: str
    statements: tuple[Statement, ...]
    start: Instant | None = None
    end: Instant | None = None
    every: timedelta | None = None
    condition: Query | None = None
    missed: Missed = Missed.RUN_ONCE
    or_replace: bool = False
    if_not_exists: bool = False
    position: Position | None = field(default=None, compare=False)
    renamed_from: RenamedFrom | None = None
    told: tuple[str, ...] = field(default=(), compare=False)  # what to know of the way that it was written


@dataclass(frozen=True, slots=True)
class CreateTrigger:
    """Statements that are performed when rows of a table came or changed; `columns` are those whose change counts (empty: all).

    `key` tells rows apart; without it a row is told by all that it holds.
    """

    kind: ClassVar[Kind] = Kind.TRIGGER
    name: str
    source: str
    table: str
    statements: tuple[Statement, ...]
    columns: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    every: timedelta = POLL
    or_replace: bool = False
    if_not_exists: bool = False
    position: Position | None = field(default=None, compare=False)
    renamed_from: RenamedFrom | None = None
