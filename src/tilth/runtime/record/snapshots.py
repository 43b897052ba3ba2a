"""Published snapshots with their manifests. When and how they were refreshed is in `refreshes`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from tilth.core.errors import UnknownNameError
from tilth.core.names import did_you_mean
from tilth.core.schema import Schema
from tilth.core.time import Instant, show_instant
from tilth.ports.snapshots import Manifest, Part
from tilth.runtime.record.rows import (
    Change,
    Reader,
    Row,
    decoded_object,
    foreign,
    instant,
    text,
    text_or_none,
    whole,
)

MOST = 1024  # manifests that are kept decoded


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A published snapshot; `kept` is its manifest as JSON."""

    id: str
    dataset: str
    recipe: str
    rows: int
    bytes: int
    watermark: str | None
    kept: str
    created_at: Instant

    @property
    def manifest(self) -> Manifest:
        """Its schema and parts."""
        return _manifest(self.dataset, self.recipe, self.watermark, self.kept)


@lru_cache(MOST)
def _manifest(dataset: str, recipe: str, watermark: str | None, text: str) -> Manifest:
    """A manifest is a value, and its text is read again and again: it is decoded once."""
    kept = decoded_object(text, f"a manifest of dataset `{dataset}`")
    try:
        if watermark is not None:
            datetime.fromisoformat(watermark)
        parent = None if kept.get("parent") is None else str(kept["parent"])
        parts = tuple(Part(**part) for part in kept["parts"])
        known_as = None if kept.get("known_as") is None else str(kept["known_as"])
        return Manifest(
            dataset, recipe, Schema.from_plain(kept["schema"]), parts, watermark, parent, known_as
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise foreign(f"What is kept of a snapshot of dataset `{dataset}` is no manifest.") from error


def get(reader: Reader, snapshot: str) -> Snapshot | None:
    """The snapshot of that id; None when it is not (or no longer) there."""
    found = reader.read("snapshot", id=snapshot)
    return _snapshot(found[0]) if found else None


def manifest_of(reader: Reader, snapshot: str) -> Manifest:
    """A snapshot's manifest; UnknownNameError when it is not (or no longer) there."""
    found = get(reader, snapshot)
    if found is None:
        hint = did_you_mean(snapshot, ids(reader), "snapshots")
        raise UnknownNameError(f"There is no snapshot `{snapshot}`.", hint=hint)
    return found.manifest


def all_of(reader: Reader) -> tuple[Snapshot, ...]:
    """Every snapshot, the oldest first."""
    return tuple(map(_snapshot, reader.read("snapshots")))


def current(reader: Reader, environment: str) -> Mapping[str, Snapshot]:
    """The snapshot that each dataset's pointer names now, by dataset."""
    return {
        text(r, "pointed"): _snapshot(r) for r in reader.read("current_snapshots", environment=environment)
    }


def ids(reader: Reader) -> tuple[str, ...]:
    """The ids of all snapshots, the oldest first."""
    return tuple(text(r, "id") for r in reader.read("snapshot_ids"))


def add(change: Change, manifest: Manifest, at: Instant) -> None:
    """Publish it; the same content is kept once."""
    change.write(
        "add_snapshot", id=manifest.id, dataset=manifest.dataset, recipe=manifest.recipe, parent=manifest.parent,
        rows=manifest.rows, bytes=manifest.bytes, watermark=manifest.watermark, manifest=_kept(manifest),
        at=show_instant(at),
    )  # fmt: skip


def mend(change: Change, manifest: Manifest) -> None:
    """Give a snapshot other files of the same content."""
    change.write("mend_snapshot", id=manifest.id, bytes=manifest.bytes, manifest=_kept(manifest))


def thin(change: Change, manifest: Manifest) -> None:
    """Give a snapshot fewer rows: those that were to be forgotten are gone."""
    change.write(
        "thin_snapshot", id=manifest.id, rows=manifest.rows, bytes=manifest.bytes, manifest=_kept(manifest)
    )


def seen(reader: Reader, snapshot: str) -> Mapping[str, Any] | None:
    """What its sources held when it was collected, as JSON; None where nothing was kept."""
    found = reader.read("source_days", snapshot=snapshot)
    return decoded_object(text(found[0], "seen"), "what a source held") if found else None


def put_seen(change: Change, snapshot: str, plain: Mapping[str, Any] | None) -> None:
    """Remember what its sources held by now, or (None) nothing."""
    if plain is None:
        change.write("forget_source_days", snapshot=snapshot)
    else:
        change.write("put_source_days", snapshot=snapshot, seen=json.dumps(plain))


def forget(change: Change, snapshot: str) -> None:
    """Remove its row; its files go with the next sweep."""
    change.write("forget_snapshot", id=snapshot)
    change.write("forget_source_days", snapshot=snapshot)


def _kept(manifest: Manifest) -> str:
    """What of a manifest stands in the JSON column."""
    names = ("blob", "content", "rows", "bytes", "event_min", "event_max", "ids")
    parts = [{name: getattr(p, name) for name in names} for p in manifest.parts]
    plain = {"schema": manifest.schema.plain(), "parts": parts, "parent": manifest.parent}
    return json.dumps(plain | ({"known_as": manifest.known_as} if manifest.known_as else {}))


def _snapshot(row: Row) -> Snapshot:
    return Snapshot(
        text(row, "id"),
        text(row, "dataset"),
        text(row, "recipe"),
        whole(row, "rows"),
        whole(row, "bytes"),
        text_or_none(row, "watermark"),
        text(row, "manifest"),
        instant(row, "created_at"),
    )
