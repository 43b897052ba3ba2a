"""Looks at all content again and again while `tilth up` runs, a slice at a time, so that what rots is found within 30 days.

A file is due when it was last looked at whole, or made, more than `OLD` ago; a slice takes the oldest of them, at most a
share of all bytes that lets every file have its turn in time. What was found is in `tilth.scrubs` and in `tilth status`;
what is damaged is looked at in every slice, until it is mended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta

from tilth.core.errors import BusyError
from tilth.core.principals import Principal
from tilth.core.time import Instant, show_instant
from tilth.runtime.applying.executor import MAKING
from tilth.runtime.record import scrubs
from tilth.runtime.record.scrubs import Scrub
from tilth.runtime.showing.verifying import Item, content, examine
from tilth.runtime.workspace import Workspace

EVERY = timedelta(hours=1)  # between slices
OLD = timedelta(days=20)
TURN = timedelta(
    days=8
)  # in which slices get through everything that is due; with OLD it stays below 30 days

Tell = Callable[[str], None]


class Scrubber:
    """One project's. `step` is called often and does something once an hour."""

    def __init__(self, work: Workspace, by: Principal, tell: Tell) -> None:
        self._work, self._by = work, by
        self._tell = tell
        self._last: Instant | None = None

    def step(self, now: Instant) -> int:
        """Look at a slice when it is time; how many files were looked at."""
        if self._last is not None and abs(now - self._last) < EVERY:
            return 0
        passed = EVERY if self._last is None else max(EVERY, now - self._last)
        self._last = now
        try:
            with self._work.locks.hold(MAKING, shared=True):  # gc removes nothing meanwhile
                return self._slice(now, passed)
        except BusyError:
            return 0

    def _slice(self, now: Instant, passed: timedelta) -> int:
        items = {i.digest: i for i in content(self._work)}
        seen = scrubs.by_digest(self._work.state)
        todo = due(items, seen, now, passed)
        gone = sorted(set(seen) - set(items))
        if not todo and not gone:
            return 0
        found = [(item, examine(self._work, item)) for item in todo]
        with self._work.state.change(self._by, show_instant(now), keyless=True) as change:
            for digest in gone:
                scrubs.forget(change, digest)
            for item, error in found:
                damage = None if error is None else f"{error.message} {error.hint or ''}".strip()
                scrubs.put(change, Scrub(item.digest, item.kind, item.owner, damage, now))
            damaged = sum(error is not None for _, error in found)
            change.audit("scrub", "content", {"files": len(found), "damaged": damaged})
        for _, error in found:
            if error is not None:
                self._tell(f"damaged: {error.message} {error.hint or ''}".strip())
        return len(found)


def due(
    items: Mapping[str, Item], seen: Mapping[str, Scrub], now: Instant, passed: timedelta = EVERY
) -> list[Item]:
    """The items of this slice: what is damaged, then the oldest of what is due, up to the slice's share of the bytes."""

    def last(item: Item) -> Instant:
        return seen[item.digest].at if item.digest in seen else item.since

    def damaged(item: Item) -> bool:
        return item.digest in seen and seen[item.digest].damage is not None

    old = sorted((i for i in items.values() if now - last(i) > OLD), key=last)
    left = max(1, round(sum(i.bytes for i in items.values()) * (passed / TURN)))
    count = max(1, round(len(items) * (passed / TURN)))
    out = [i for i in items.values() if damaged(i)]
    for item in old:
        if left <= 0 and count <= 0:
            break
        if not damaged(item):
            out.append(item)
            left, count = left - item.bytes, count - 1
    return out
