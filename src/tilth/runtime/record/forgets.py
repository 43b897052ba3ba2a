"""What FORGET took out: a row each, with what is still to be done and, once it is done, without what it was to forget."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tilth.core.time import Instant, show_instant
from tilth.runtime.record.rows import Change, Reader, decoded_object, text, text_or_none, whole


@dataclass(frozen=True, slots=True)
class Forgotten:
    """One FORGET. `condition` is there until all of it is done."""

    number: int
    dataset: str
    condition: str | None
    rows: int
    quarantined: int
    snapshots: Mapping[str, str]  # thinned, with the digest of what each holds now


def all_of(reader: Reader) -> tuple[Forgotten, ...]:
    """Every one, the oldest first."""
    return tuple(
        Forgotten(
            whole(r, "number"), text(r, "dataset"), text_or_none(r, "condition"), whole(r, "rows"), whole(r, "quarantined"),
            decoded_object(text(r, "snapshots"), "snapshots that were thinned"),
        )
        for r in reader.read("forgets")
    )  # fmt: skip


def contents(reader: Reader) -> Mapping[str, str]:
    """By snapshot that was thinned, the digest of what it holds since."""
    return {snapshot: content for one in all_of(reader) for snapshot, content in one.snapshots.items()}


def begin(change: Change, one: Forgotten, models: Sequence[str], at: Instant) -> int:
    """Its rows are gone from snapshots and quarantine with this change; its number."""
    return change.insert(
        "add_forget", dataset=one.dataset, condition=one.condition, rows=one.rows, quarantined=one.quarantined,
        snapshots=json.dumps(dict(one.snapshots)), models=json.dumps(list(models)), at=show_instant(at),
    )  # fmt: skip


def end(change: Change, number: int, predictions: int, at: Instant) -> None:
    """All of it is done, and its condition is gone too."""
    change.write("end_forget", number=number, predictions=predictions, at=show_instant(at))
