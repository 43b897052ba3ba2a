"""What was assumed of datasets and how it went: for each check the times in which it held, or was contradicted."""

from __future__ import annotations

from dataclasses import dataclass

from tilth.runtime.record.rows import Reader, Row, text, text_or_none, whole

HOLDS, CONTRADICTED, UNJUDGED = "holds", "contradicted", "not judged"


@dataclass(frozen=True, slots=True)
class Assumption:
    """A time in which a check said the same at each refresh. `until` is None while it does.

    `room` is how close it came in that time: the least distance to a bound, as a share of what lies between the bounds (of the
    bound, where there is one); 0 is at the bound, less is beyond. None where a check has no bounds of numbers.
    """

    dataset: str
    expectation: str
    kind: str
    on_fail: str
    state: str
    since: str
    until: str | None
    refreshes: int
    failed: int
    room: float | None
    value: float | None
    low: float | None
    high: float | None
    observed: str | None


def history(reader: Reader, dataset: str) -> tuple[Assumption, ...]:
    """Of all checks that were ever asked of the dataset, the newest first."""
    return tuple(map(_assumption, reader.read("assumptions_of", dataset=dataset)))


def _assumption(row: Row) -> Assumption:
    room, value, low, high = (_number(row, name) for name in ("room", "value", "low", "high"))
    return Assumption(
        text(row, "dataset"), text(row, "expectation"), text(row, "kind"), text(row, "on_fail"), text(row, "state"),
        text(row, "since"), text_or_none(row, "until"), whole(row, "refreshes"), whole(row, "failed"),
        room, value, low, high, text_or_none(row, "observed"),
    )  # fmt: skip


def _number(row: Row, name: str) -> float | None:
    cell = row[name]
    return float(cell) if isinstance(cell, int | float) else None
