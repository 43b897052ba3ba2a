"""Checks that what is recorded is what tilth wrote, from the audit chain down to every byte that could be served."""

from __future__ import annotations

from dataclasses import dataclass

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
        _, found = generations.pointers_of(work.state, str(row["name"]))
        pointers += len(found)
        versions |= {(p.name, int(p.target)) for p in found if p.kind is Kind.MODEL and p.target is not None}
    for model, version in sorted(versions):
        verified(work, version_row(work.state, model, version))
    return Checked(length, pointers, len(versions))
