"""Datasets that are due and wait for their READY WHEN: a row each, from when it was found not to hold until it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tilth.core.time import Instant, show_instant
from tilth.runtime.record.rows import Change, Reader, instant, instant_or_none, text


@dataclass(frozen=True, slots=True)
class Wait:
    """One that waits, since then; from `late_at` on it is late (never: None)."""

    dataset: str
    recipe: str
    since: Instant
    late_at: Instant | None
    asked_at: Instant

    def late(self, now: Instant) -> bool:
        return self.late_at is not None and now >= self.late_at

    def words(self, now: Instant) -> str:
        """It as a part of a sentence."""
        since = _shown(self.since)
        if self.late(now):
            assert self.late_at is not None
            return f"late since {_shown(self.late_at)}: its READY WHEN has not held since {since}, and it is not read"
        until = "" if self.late_at is None else f"; late from {_shown(self.late_at)} on"
        return f"waits since {since} for its READY WHEN, and is not read{until}"


def all_of(reader: Reader) -> Mapping[str, Wait]:
    """By recipe, those that wait."""
    return {
        text(r, "recipe"): Wait(
            text(r, "dataset"), text(r, "recipe"), instant(r, "since"), instant_or_none(r, "late_at"),
            instant(r, "asked_at"),
        )
        for r in reader.read("waits")
    }  # fmt: skip


def put(change: Change, one: Wait) -> None:
    """It waits, and was asked now."""
    change.write(
        "put_wait", recipe=one.recipe, dataset=one.dataset, since=show_instant(one.since),
        late_at=None if one.late_at is None else show_instant(one.late_at), asked_at=show_instant(one.asked_at),
    )  # fmt: skip


def forget(change: Change, recipe: str) -> None:
    """It is read, or not wanted any more."""
    change.write("forget_wait", recipe=recipe)


def _shown(at: Instant) -> str:
    return show_instant(at)[:19].replace("T", " ")
