"""Refreshes of datasets: what became of each, what its checks said, and the rows that they held back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tilth.core.time import Instant, show_instant
from tilth.plan.arrivals import Refreshed
from tilth.ports.snapshots import CheckResult
from tilth.runtime.record import names
from tilth.runtime.record.rows import (
    Cell,
    Change,
    Reader,
    Row,
    decoded,
    instant,
    real_or_none,
    text,
    text_or_none,
    whole,
    whole_or_none,
)
from tilth.sql.language.statements import Kind

PUBLISHED, STOPPED, FAILED = "published", "stopped", "failed"


@dataclass(frozen=True, slots=True)
class Compared:
    """Days that were compared with the source at a refresh. `by`: source | engine; None where none were."""

    by: str | None = None
    checked: int = 0
    healed: int = 0
    first: int = 0  # read again since nothing was known of them
    rows: int = 0  # that the source counted
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Refresh:
    """One refresh of a dataset. `tokens` stand for the content of the source tables that it saw."""

    dataset: str
    recipe: str
    status: str
    at: Instant
    tokens: Mapping[str, str]
    snapshot: str | None = None
    rows_read: int = 0
    rows_quarantined: int = 0
    reason: str | None = None
    whole: bool = False  # it read all that the sources hold
    compared: Compared = Compared()


@dataclass(frozen=True, slots=True)
class Attempt:
    """What became of the last refresh of a recipe."""

    status: str
    reason: str | None
    at: Instant
    compared: Compared = Compared()


@dataclass(frozen=True, slots=True)
class Checks:
    """The checks of a dataset's last refresh: how many, and how many did not hold."""

    count: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A file of rows that a refresh held back."""

    refresh: int
    dataset: str
    blob: str
    rows: int
    bytes: int
    at: Instant


def add(change: Change, one: Refresh, results: Iterable[CheckResult]) -> int:
    """The refresh with its checks; its number."""
    at = show_instant(one.at)
    number = change.insert(
        "add_refresh", dataset=one.dataset, recipe=one.recipe, snapshot=one.snapshot, rows_read=one.rows_read,
        rows_quarantined=one.rows_quarantined, tokens=json.dumps(dict(one.tokens)), status=one.status,
        reason=one.reason, at=at, whole=int(one.whole), **_compared(one.compared),
    )  # fmt: skip
    for r in results:
        change.write(
            "add_check_result", refresh=number, dataset=one.dataset, check=r.check, kind=r.kind, on_fail=r.on_fail,
            passed=int(r.passed), failed=r.failed, rows=r.rows, observed=r.observed, at=at,
            judged=int(r.judged), value=r.value, low=r.low, high=r.high,
        )  # fmt: skip
    return number


def _compared(one: Compared) -> dict[str, Cell]:
    """The cells of what was compared: NULL where nothing was."""
    there = one.by is not None or one.healed > 0
    cells: dict[str, Cell] = {
        "days_checked": one.checked, "days_healed": one.healed, "days_first": one.first, "check_rows": one.rows,
        "check_seconds": one.seconds,
    }  # fmt: skip
    return {**(cells if there else dict.fromkeys(cells)), "checked_by": one.by}


def _compared_of(row: Row) -> Compared:
    return Compared(
        text_or_none(row, "checked_by"), whole(row, "days_checked"), whole(row, "days_healed"),
        whole(row, "days_first"), whole(row, "check_rows"), real_or_none(row, "check_seconds") or 0.0,
    )  # fmt: skip


def last_tokens(reader: Reader) -> Mapping[str, Mapping[str, str]]:
    """By recipe, what its last refresh saw that saw the data through: published, or stopped by a check."""
    return {text(r, "recipe"): decoded(text(r, "tokens")) for r in reader.read("last_outcomes")}


def last_attempts(reader: Reader) -> Mapping[str, Attempt]:
    """By recipe, what became of its last refresh."""
    return {
        text(r, "recipe"): Attempt(
            text(r, "status"), text_or_none(r, "reason"), instant(r, "at"), _compared_of(r)
        )
        for r in reader.read("last_attempts")
    }


def last_checks(reader: Reader) -> Mapping[str, Checks]:
    """By recipe, the checks of its last refresh."""
    return {
        text(r, "recipe"): Checks(whole(r, "checks"), whole(r, "failed")) for r in reader.read("last_checks")
    }


def check_results(reader: Reader, recipe: str) -> tuple[CheckResult, ...]:
    """What each check said at the last refresh of a recipe."""
    return tuple(
        CheckResult(
            text(r, "check"), text(r, "kind"), text(r, "on_fail"), bool(whole(r, "passed")), whole(r, "failed"),
            whole(r, "rows"), text_or_none(r, "observed"), r["judged"] != 0, *(_number(r, n) for n in ("value", "low", "high")),
        )
        for r in reader.read("last_check_results", recipe=recipe)
    )  # fmt: skip


def recent(reader: Reader, recipe: str, limit: int) -> tuple[Refresh, ...]:
    """The last refreshes of a recipe, the newest first; without what they saw of their sources."""
    return tuple(
        Refresh(
            text(r, "dataset"), text(r, "recipe"), text(r, "status"), instant(r, "at"), {},
            text_or_none(r, "snapshot"), whole(r, "rows_read"), whole(r, "rows_quarantined"), text_or_none(r, "reason"),
            compared=_compared_of(r),
        )
        for r in reader.read("refreshes_of", recipe=recipe, limit=limit)
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """One refresh of a dataset, whatever it was declared as then, with the snapshot that it published."""

    number: int
    at: Instant
    status: str
    rows_read: int
    rows_quarantined: int
    reason: str | None
    healed: int
    snapshot: str | None
    rows: int | None
    bytes: int | None
    newest: str | None


def steps(reader: Reader, dataset: str, limit: int) -> tuple[Step, ...]:
    """The newest refreshes of a dataset, the newest first."""
    return tuple(
        Step(
            whole(r, "id"), instant(r, "at"), text(r, "status"), whole(r, "rows_read"), whole(r, "rows_quarantined"),
            text_or_none(r, "reason"), whole_or_none(r, "days_healed") or 0, text_or_none(r, "snapshot"), whole_or_none(r, "rows"),
            whole_or_none(r, "bytes"), text_or_none(r, "watermark"),
        )
        for r in reader.read("refreshes_of_dataset", dataset=dataset, limit=limit)
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Point:
    """How a check went at one refresh. `passed` is None where it was not judged."""

    at: str
    value: float | None
    low: float | None
    high: float | None
    failed: int
    rows: int
    passed: bool | None


def over_time(reader: Reader, dataset: str, limit: int) -> Mapping[str, tuple[Point, ...]]:
    """By check, how it went at the newest refreshes of a dataset, the oldest first."""
    out: dict[str, list[Point]] = {}
    for r in reader.read("checks_over_time", dataset=dataset, limit=limit):
        passed = None if r["judged"] == 0 else bool(whole(r, "passed"))
        figures = (_number(r, "value"), _number(r, "low"), _number(r, "high"))
        out.setdefault(text(r, "check"), []).append(
            Point(text(r, "at"), *figures, whole(r, "failed"), whole(r, "rows"), passed)
        )
    return {check: tuple(found) for check, found in out.items()}


def snapshot_before(reader: Reader, dataset: str, snapshot: str) -> str | None:
    """The snapshot with rows that the dataset had before this one."""
    found = reader.read("snapshot_before", dataset=dataset, snapshot=snapshot)
    return text(found[0], "id") if found else None


def published(reader: Reader, recipes: Iterable[str], most: int) -> Mapping[str, tuple[Refreshed, ...]]:
    """By recipe, its newest published refreshes, oldest first."""
    out: dict[str, list[Refreshed]] = {}
    for r in reader.read("published_refreshes", recipes=json.dumps(sorted(set(recipes))), most=most):
        out.setdefault(text(r, "recipe"), []).append(Refreshed(instant(r, "at"), text(r, "snapshot")))
    return {recipe: tuple(found) for recipe, found in out.items()}


def of_recipe(reader: Reader, recipe: str) -> frozenset[int]:
    """The numbers of a recipe's refreshes."""
    return frozenset(whole(r, "id") for r in reader.read("refresh_numbers", recipe=recipe))


def quarantine(reader: Reader) -> tuple[Quarantined, ...]:
    """Every file of rows that are held back."""
    return tuple(map(_quarantined, reader.read("quarantine")))


def held_since(reader: Reader, recipe: str) -> tuple[Quarantined, ...]:
    """The files of rows that a recipe's refreshes held back since its sources were read whole, by that reading too."""
    return tuple(map(_quarantined, reader.read("held_since", recipe=recipe)))


def rows_held(reader: Reader) -> Mapping[str, int]:
    """By recipe, how many rows were held back since its sources were read whole."""
    return {text(r, "recipe"): whole(r, "rows") for r in reader.read("quarantined")}


def hold(change: Change, one: Quarantined) -> None:
    """Keep a file of rows that were held back, unless the same rows were held back before."""
    known = names.origins(change)
    dataset = known.origin(Kind.DATASET, one.dataset)
    same = (q for q in quarantine(change) if known.origin(Kind.DATASET, q.dataset) == dataset)
    if any(q.blob == one.blob for q in same):
        return
    change.write(
        "add_quarantine", refresh=one.refresh, dataset=one.dataset, blob=one.blob, rows=one.rows, bytes=one.bytes,
        at=show_instant(one.at),
    )  # fmt: skip


def release(change: Change, one: Quarantined) -> None:
    """Forget a file of rows that were held back."""
    change.write("forget_quarantine", refresh=one.refresh, blob=one.blob)


def _number(row: Row, name: str) -> float | None:
    cell = row[name]
    return float(cell) if isinstance(cell, int | float) else None


def fewer(change: Change, refresh: int, rows: int) -> None:
    """So many rows that a refresh held back are held back no more."""
    change.write("fewer_quarantined", refresh=refresh, rows=rows)


def thin(change: Change, one: Quarantined, fresh: Quarantined | None) -> None:
    """Give a file of rows that are held back fewer rows, or (None) none."""
    if fresh is None:
        release(change, one)
        return
    change.write(
        "thin_quarantine", refresh=one.refresh, blob=one.blob, fresh=fresh.blob, rows=fresh.rows, bytes=fresh.bytes
    )  # fmt: skip


def _quarantined(row: Row) -> Quarantined:
    return Quarantined(
        whole(row, "refresh"),
        text(row, "dataset"),
        text(row, "blob"),
        whole(row, "rows"),
        whole(row, "bytes"),
        instant(row, "at"),
    )
