"""Checks that what is recorded is what tilth wrote, from the audit chain down to every byte that could be served."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tilth.core.errors import StateChangedError
from tilth.runtime import generations
from tilth.runtime.workspace import Workspace, verified, version_row
from tilth.sql.statements import Kind


@dataclass(frozen=True, slots=True)
class Checked:
    """How much was checked and found whole."""

    audit_rows: int = 0
    pointers: int = 0
    bundles: int = 0


def check(work: Workspace) -> Checked:
    """TamperError or StateChangedError at the first thing that is not what was written."""
    length = work.state.verify_audit()
    pointers = 0
    versions: set[tuple[str, int]] = set()
    for row in work.state.read("environments"):
        number, found = generations.pointers_of(work.state, str(row["name"]))
        _audited(work, str(row["name"]), number)
        pointers += len(found)
        versions |= {(p.name, int(p.target)) for p in found if p.kind is Kind.MODEL and p.target is not None}
    for model, version in sorted(versions):
        verified(work, version_row(work.state, model, version))
    return Checked(length, pointers, len(versions))


def _audited(work: Workspace, environment: str, number: int) -> None:
    """The current generation is the one that the audit chain recorded last: its digest cannot be made to fit by hand."""
    said = work.state.read("audit_of_generation", subject=environment)
    detail = json.loads(str(said[0]["detail"])) if said else {}
    row = work.state.read("generation", environment=environment, number=number)[0]
    if (detail.get("generation"), detail.get("digest")) != (number, row["digest"]):
        raise StateChangedError(
            f"Generation {number} of `{environment}` is not the one that the audit chain recorded: the state file was edited.",
            hint=f"Run ROLLBACK ENVIRONMENT {environment}, or restore .tilth/state.db from a backup.",
        )
