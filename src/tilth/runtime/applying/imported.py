"""A version that was fitted elsewhere, before its gate: which rows it has learned from nobody here knows.

Rows that are newer than the folder says that it is cannot have taught it; where there are enough of them they judge, as
they judge any other. Else rows that it may know are asked: that can refuse it and not let it in, which a person may.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from typing import TYPE_CHECKING

from tilth.core.errors import TilthError
from tilth.core.time import parse_instant, show_instant
from tilth.ml.judging import holdout, split
from tilth.ml.judging.gates import ENOUGH, INCONCLUSIVE, PASS, GateResult
from tilth.ml.judging.holdout import Tuned

if TYPE_CHECKING:
    from tilth.ml.model.signature import Signature
    from tilth.ml.model.spec import TrainingSpec
    from tilth.ports.snapshots import Manifest
    from tilth.runtime.record.versions import Version
    from tilth.runtime.workspace import Workspace


def tuned(row: Version, signature: Signature) -> Tuned:
    """What is known of it: when it says that it was made, if rows have a time."""
    said = row.facts.get("imported", {}).get("made_at") if signature.event_time else None
    return Tuned(row.version, None, split.BY_IMPORT, _instant(said), signature.key, signature.event_time)


def _instant(said: object) -> str | None:
    try:
        found = parse_instant(str(said)) if said else None
    except (TilthError, ValueError):
        return None
    return None if found is None else show_instant(found.astimezone(UTC))


def fair(found: Tuned, work: Workspace, spec: TrainingSpec, manifest: Manifest) -> Tuned:
    """The same; without its time where too few rows are newer to judge by."""
    if found.until is None or spec.event_time is None:
        return replace(found, until=None)
    newer = holdout.rows_of(manifest, work.blobs, spec, [found])
    return found if len(newer.ids) >= ENOUGH.rows else replace(found, until=None)


def named(found: Tuned, dataset: str) -> str:
    """How people call the rows that judge it."""
    if found.until is not None:
        return f"{dataset} after {found.until}"
    return f"{dataset}, all rows" if found.event_time else f"{dataset} by hash of key"


def remark(found: Tuned) -> str:
    """What is to be said of its answers."""
    if found.until is not None:
        return f"Version {found.version} was imported; these rows are newer than it says that it is ({found.until})."
    return f"Version {found.version} was imported: it may have learned from these rows, which favours it."


def held(found: Tuned, model: str, result: GateResult) -> GateResult:
    """The result; one that would let it in by rows that it may know waits for a person."""
    if found.by != split.BY_IMPORT or found.until is not None or result.outcome != PASS:
        return result
    text = (
        "Rows that it may have learned from let nothing in. PROMOTE MODEL "
        f"{model} VERSION {found.version} BECAUSE '...' takes it all the same."
    )
    return replace(result, outcome=INCONCLUSIVE, reasons=(*result.reasons, text))
