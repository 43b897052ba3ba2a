"""What stands between vetted rows and a published snapshot: checks that stop, files that were damaged, rows that would be lost."""

from __future__ import annotations

from collections.abc import Sequence

from tilth.core.errors import CheckFailedError, DamagedError, DataError
from tilth.core.scan import Scan
from tilth.ml.data.snapshots import Written
from tilth.ports.blobs import Blobs
from tilth.ports.snapshots import CheckResult, Manifest, Part
from tilth.sql.language.printer import show_check
from tilth.sql.language.statements import CheckKind, CreateDataset, OnFail


def not_empty(spec: CreateDataset, scans: Sequence[tuple[str, Scan]], rows: int, *, stays: bool) -> None:
    """A query that leaves a dataset without any row is an error; a window without rows is none."""
    if rows:
        return
    looked = ", ".join(f"{source}.{scan.table}" for source, scan in scans) or "its datasets"
    raise DataError(
        f"The query of dataset `{spec.name}` returned no rows{'; the snapshot there is stays' if stays else ''}.",
        hint=f"Look whether {looked} {'holds' if len(scans) == 1 else 'hold'} rows, and at the query's WHERE and joins.",
        where=spec.query.position,
    )


def stop(spec: CreateDataset, results: tuple[CheckResult, ...], rows: int, *, stays: bool) -> None:
    """Raise when a check with ON FAIL STOP does not hold, or when quarantine would leave no row at all."""
    stopping = [r for r in results if not r.passed and r.on_fail == OnFail.STOP.value]
    if not stopping and rows == 0:
        stopping = [r for r in results if not r.passed and r.kind in {"row", "references"}]
    if not stopping:
        return
    first = stopping[0]
    kept = "; the snapshot there is stays" if stays else ""
    places = {
        " ".join(show_check(e).split()): e.position for e in spec.expect if e.kind is not CheckKind.FRESH
    }
    places |= {name: e.position for e in spec.expect if e.usual for name in e.usual.names}
    error = CheckFailedError(
        f"Dataset `{spec.name}` was not published{kept}: {first.check} does not hold.",
        hint="Correct the data at its source, or relax the check (ON FAIL QUARANTINE | WARN), then refresh.",
        where=places.get(first.check),
        detail=tuple(f"{r.check}: {r.observed}" for r in stopping),
    )
    error.results = results
    raise error


def damaged(parent: Manifest, blobs: Blobs) -> tuple[Part, ...]:
    """The parts whose files are missing or changed."""
    return tuple(p for p in parent.parts if not all(map(blobs.intact, p.blobs)))


def not_lost(
    spec: CreateDataset, recipe: str, parent: Manifest | None, lost: Sequence[Part], rows: int
) -> None:
    """DamagedError when rows that only the damaged parent holds would be given up: that is for a person to decide."""
    if parent is None or not lost or not spec.refresh.incremental or parent.recipe != recipe:
        return
    if rows >= parent.rows:
        return
    spans = tuple(
        f"{p.blob[:12]}: {p.rows:,} rows" + (f" from {p.event_min} to {p.event_max}" if p.event_min else "")
        for p in lost
    )
    raise DamagedError(
        f"Dataset `{spec.name}` has {len(lost)} missing or damaged file{'s' * (len(lost) > 1)}, and its "
        f"sources hold {rows:,} of its {parent.rows:,} rows by now: the rest would be lost. Nothing was changed.",
        hint="Put the file back: tilth restore FILE. To go on with what the sources hold, change its query or "
        "add a check such as COUNT(*) >= 1 to its EXPECT, and apply: what is declared anew is collected anew.",
        detail=spans,
    )


def draft(part: Part | Written) -> Part:
    """The part as far as identity goes, before its file is a blob."""
    if isinstance(part, Part):
        return part
    return Part("", part.content, part.rows, 0, part.event_min, part.event_max)
