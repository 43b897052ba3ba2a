"""When each file of the content was last looked at whole, and what was wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tilth.core.time import Instant, show_instant
from tilth.runtime.record.rows import Change, Reader, Row, instant, text, text_or_none


@dataclass(frozen=True, slots=True)
class Scrub:
    """One look at a file. `damage` says what is wrong with it, and what to do; None: it is whole."""

    digest: str
    kind: str
    owner: str  # what it belongs to, in words
    damage: str | None
    at: Instant


def by_digest(reader: Reader) -> Mapping[str, Scrub]:
    """The last look at each file."""
    return {s.digest: s for s in map(_scrub, reader.read("scrubs"))}


def damaged(reader: Reader) -> tuple[Scrub, ...]:
    """What was found missing or changed, by what it belongs to."""
    return tuple(map(_scrub, reader.read("damage")))


def put(change: Change, one: Scrub) -> None:
    """In place of the look before."""
    change.write(
        "set_scrub",
        digest=one.digest,
        kind=one.kind,
        owner=one.owner,
        damage=one.damage,
        at=show_instant(one.at),
    )


def forget(change: Change, digest: str) -> None:
    """Its file is gone, or another one."""
    change.write("forget_scrub", digest=digest)


def _scrub(row: Row) -> Scrub:
    return Scrub(
        text(row, "digest"),
        text(row, "kind"),
        text(row, "owner"),
        text_or_none(row, "damage"),
        instant(row, "at"),
    )
