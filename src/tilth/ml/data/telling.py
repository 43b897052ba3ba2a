"""What a collection tells of its rows whatever is expected of them: of the KEY, and of rows that are suddenly few."""

from __future__ import annotations

from datetime import datetime

from tilth.ml.data.checks import Checks
from tilth.ports.snapshots import CheckResult, Manifest
from tilth.sql.language.statements import OnFail

VOLUME = "volume"  # the kind of the check that tells of rows that are suddenly few
FEWER = 10  # times fewer than before
FEWEST = 10  # rows before, below which nothing is told


def of_key(checks: Checks, rows: int, repeated: int) -> tuple[CheckResult, ...]:
    """Whether the KEY is unique; `repeated` rows gave way to a later one."""
    if not checks.key:
        return ()
    name = f"KEY ({', '.join(checks.key)})"
    if not repeated:
        observed = f"unique in {rows:,} rows"
        return (CheckResult(name, "key", OnFail.STOP.value, True, 0, rows, observed),)
    if checks.event_time:
        observed = f"{repeated:,} rows superseded by a later one with the same key"
        return (CheckResult(name, "key", OnFail.STOP.value, True, 0, rows, observed),)
    observed = f"{repeated:,} rows repeat a key, and without EVENT TIME none is the latest"
    return (CheckResult(name, "key", OnFail.STOP.value, False, repeated, rows + repeated, observed),)


def of_volume(
    parent: Manifest | None, low: datetime | None, read: int, good: int, total: int
) -> tuple[CheckResult, ...]:
    """A warning when the query returned a tenth of what it did before, or less: of all rows, or of those from `low` on.

    `read` rows were read and `good` of them go into a snapshot of `total`.
    """
    if parent is None:
        return ()
    before = parent.rows if low is None else parent.rows + good - total
    if before < FEWEST or read * FEWER > before:
        return ()
    where = "" if low is None else f" from {low:%Y-%m-%d %H:%M} on"
    observed = f"{read:,} rows{where}, where the snapshot before has {before:,}"
    return (CheckResult("ROWS ARE NOT SUDDENLY FEWER", VOLUME, OnFail.WARN.value, False, 1, total, observed),)
