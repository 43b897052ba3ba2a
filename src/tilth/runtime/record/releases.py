"""Rows that a person let out of quarantine: a file for each RELEASE, by the first name of its dataset."""

from __future__ import annotations

from dataclasses import dataclass

from tilth.core.time import Instant, show_instant
from tilth.runtime.record import names
from tilth.runtime.record.rows import Change, Reader, text, whole
from tilth.sql.language.statements import Kind


@dataclass(frozen=True, slots=True)
class Release:
    """One RELEASE QUARANTINE: its rows are in the blob."""

    number: int
    dataset: str
    blob: str
    rows: int


def all_of(reader: Reader) -> tuple[Release, ...]:
    """Every one, the oldest first."""
    return tuple(
        Release(whole(r, "number"), text(r, "dataset"), text(r, "blob"), whole(r, "rows"))
        for r in reader.read("releases")
    )


def of(reader: Reader, dataset: str) -> tuple[Release, ...]:
    """Those of a dataset, whatever it is or was called."""
    origin = names.origins(reader).origin(Kind.DATASET, dataset)
    return tuple(r for r in all_of(reader) if r.dataset == origin)


def add(change: Change, dataset: str, blob: str, rows: int, because: str, at: Instant) -> int:
    """Its number."""
    return change.insert(
        "add_release", dataset=dataset, blob=blob, rows=rows, because=because, at=show_instant(at)
    )


def thin(change: Change, one: Release, blob: str | None, rows: int) -> None:
    """Give it fewer rows, or (None) none."""
    if blob is None:
        change.write("forget_release", number=one.number)
    else:
        change.write("thin_release", number=one.number, blob=blob, rows=rows)
