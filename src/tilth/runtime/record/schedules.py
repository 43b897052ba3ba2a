"""Jobs and triggers as they stand (`schedules`), and runs that are to be stopped (`cancels`). When and how they run is decided above.

A row is about one declaration: one that says something else begins anew, and keeps only up to where it was run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from tilth.core.principals import Role
from tilth.core.time import Instant, parse_instant, show_instant
from tilth.runtime.record.rows import (
    Change,
    Reader,
    Row,
    decoded_object,
    foreign,
    instant,
    instant_or_none,
    text,
    text_or_none,
    whole,
    whole_or_none,
)
from tilth.sql.language.statements import Kind

KEPT = 1_000  # runs of a job that were done and stay, the newest
CANCELLED, SKIPPED = "cancelled", "skipped"


@dataclass(frozen=True, slots=True)
class Turn:
    """What is to be done: the statements from `done` on. `under_way` is the one that was begun and is not known to have ended.

    `windows` are from where to where LAST goes, by mark; `delta` the blob with a trigger's rows, `seen` that of what it will
    have seen, `rows` how many rows came. `said` is
    what was done, `unsure` what was passed over since nobody knows whether it was.
    """

    run: int
    due: str | None = None
    reason: str = ""
    done: int = 0
    under_way: int | None = None
    windows: Mapping[str, tuple[str | None, str | None]] = field(default_factory=dict)
    delta: str | None = None
    seen: str | None = None
    rows: int = 0
    said: tuple[str, ...] = ()
    unsure: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Schedule:
    """One job or trigger of an environment; `name` is the first one that it had."""

    environment: str
    kind: Kind
    name: str
    recipe: str
    declared_by: str
    role: Role
    since: Instant
    last_due: Instant | None = None
    marks: Mapping[str, str] = field(default_factory=dict)
    turn: Turn | None = None
    failures: int = 0
    next_try: Instant | None = None
    error: str | None = None
    said: str | None = None
    last_run: int | None = None
    last_done: Instant | None = None


def of(reader: Reader, environment: str) -> tuple[Schedule, ...]:
    """All of an environment."""
    return tuple(map(_schedule, reader.read("schedules", environment=environment)))


def get(reader: Reader, environment: str, kind: Kind, name: str) -> Schedule | None:
    """The one that is remembered under that name."""
    found = reader.read("schedule", environment=environment, kind=kind.value, name=name)
    return _schedule(found[0]) if found else None


def begin(change: Change, environment: str, kind: Kind, name: str, recipe: str, at: Instant) -> None:
    """It is declared so from now on, by whoever makes the change."""
    change.write(
        "begin_schedule", environment=environment, kind=kind.value, name=name, recipe=recipe, by=change.by.text,
        role=change.by.role.value, at=show_instant(at),
    )  # fmt: skip


def forget(change: Change, environment: str, kind: Kind, name: str, at: Instant) -> None:
    """It is not declared any more, and a run of it is over, whatever became of its process."""
    change.write("undeclared_runs", environment=environment, kind=kind.value, name=name, at=show_instant(at))
    change.write("forget_schedule", environment=environment, kind=kind.value, name=name)


def put(change: Change, one: Schedule) -> bool:
    """How it stands now; whether it is still declared so."""
    return bool(change.write(
        "set_schedule", environment=one.environment, kind=one.kind.value, name=one.name, recipe=one.recipe,
        last_due=_shown(one.last_due), marks=json.dumps(dict(one.marks)), failures=one.failures,
        turn=None if one.turn is None else json.dumps(asdict(replace(one.turn, windows=dict(one.turn.windows)))),
        next_try=_shown(one.next_try), error=one.error, said=one.said, last_run=one.last_run, last_done=_shown(one.last_done),
    ))  # fmt: skip


def dealt_with(one: Schedule, at: Instant) -> Schedule:
    """The same once a time of its calendar is dealt with."""
    return replace(one, last_due=at)


def _shown(at: Instant | None) -> str | None:
    return None if at is None else show_instant(at)


def blobs(reader: Reader, environments: tuple[str, ...]) -> frozenset[str]:
    """The content that triggers need: what they saw, and the rows of turns."""
    found = [one for name in environments for one in of(reader, name)]
    kept = {one.marks["seen"] for one in found if "seen" in one.marks}
    return frozenset(kept | {b for one in found if one.turn for b in (one.turn.delta, one.turn.seen) if b})


def running(reader: Reader, environment: str, kind: Kind, name: str) -> tuple[int, ...]:
    """Runs that are under way, or whose process died."""
    found = reader.read("running_of", environment=environment, kind=kind.value, name=name)
    return tuple(whole(r, "id") for r in found)


def thin(change: Change, environment: str, kind: Kind, name: str) -> None:
    """Forget all but the newest runs that were done."""
    change.write("thin_runs", environment=environment, kind=kind.value, name=name, keep=KEPT)


# --- stopping ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """A run of any kind."""

    environment: str
    kind: Kind
    name: str
    status: str


def run(reader: Reader, number: int) -> Found | None:
    """The run of that number."""
    found = reader.read("run", id=number)
    if not found:
        return None
    return Found(
        text(found[0], "environment"),
        Kind(text(found[0], "kind")),
        text(found[0], "name"),
        text(found[0], "status"),
    )


def cancel(change: Change, number: int, at: Instant) -> None:
    """The run is to stop."""
    change.write("add_cancel", run=number, actor=change.by.text, at=show_instant(at))


def cancelled(reader: Reader, number: int) -> str | None:
    """Who wants the run to stop."""
    found = reader.read("cancel", run=number)
    return text(found[0], "actor") if found else None


# --- rows ----------------------------------------------------------------------------------------------------


def _schedule(row: Row) -> Schedule:
    try:
        role = Role(text(row, "role"))
    except ValueError as error:
        raise foreign("A role is none that there is.") from error
    return Schedule(
        text(row, "environment"), Kind(text(row, "kind")), text(row, "name"), text(row, "recipe"), text(row, "declared_by"),
        role, instant(row, "since"), instant_or_none(row, "last_due"), _marks(row), _turn(text_or_none(row, "turn")),
        whole(row, "failures"), instant_or_none(row, "next_try"), text_or_none(row, "error"), text_or_none(row, "said"),
        whole_or_none(row, "last_run"), instant_or_none(row, "last_done"),
    )  # fmt: skip


def _marks(row: Row) -> dict[str, str]:
    return {k: str(v) for k, v in decoded_object(text(row, "marks"), "marks").items()}


def _turn(kept: str | None) -> Turn | None:
    if kept is None:
        return None
    said: dict[str, Any] = decoded_object(kept, "a turn")
    try:
        windows = {k: (low, high) for k, (low, high) in said["windows"].items()}
        lists = {name: tuple(said.get(name, ())) for name in ("said", "unsure")}
        return Turn(**{**said, "windows": windows, **lists})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise foreign("A turn of a job is none.") from error


def due_of(turn: Turn) -> Instant | None:
    """The time of the calendar that the turn is for."""
    return None if turn.due is None else parse_instant(turn.due)
