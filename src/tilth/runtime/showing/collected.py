"""How a dataset was collected: its refreshes with what each published, when the next rows are expected, and what is held back and why.

What its rows look like is `asking.profiling`.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from tilth.plan import arrivals
from tilth.runtime.record import environments, refreshes
from tilth.runtime.showing import arriving
from tilth.runtime.workspace import Workspace
from tilth.sql.language.statements import Kind

STEPS = 60  # refreshes that are told
ROWS = 20  # of quarantine that are shown
READ = 20_000  # of them that are counted by reason


def collected(work: Workspace, environment: str, name: str) -> dict[str, Any]:
    """The facts of a dataset that the environment points at, as of one moment; rows of quarantine are read from their files."""
    with work.state.reading() as reader:
        pointers = [
            p
            for p in environments.pointers_now(reader, environment)
            if p.kind is Kind.DATASET and p.name == name
        ]
        steps = refreshes.steps(reader, name, STEPS + 1)
        known = arriving.refreshed(reader, pointers)
        files = [q for q in refreshes.quarantine(reader) if q.dataset == name]
    pattern = arrivals.pattern(next(iter(known.values()), ()))
    return {
        "steps": [_step(one, before) for one, before in zip(steps, [*steps[1:], None], strict=True)][:STEPS],
        "arrival": arriving.facts(pattern),
        "quarantine": _held(work, files),
    }


def _step(one: refreshes.Step, before: refreshes.Step | None) -> dict[str, Any]:
    """A refresh, and by how many rows its snapshot differs from the one before."""
    known = before is not None and before.rows is not None and one.rows is not None
    same = before is not None and one.snapshot is not None and one.snapshot == before.snapshot
    return {
        **{k: getattr(one, k) for k in ("number", "at", "status", "rows_read", "rows_quarantined", "reason", "healed", "rows", "bytes", "newest")},
        "snapshot": (one.snapshot or "")[:12],
        "change": (one.rows or 0) - (before.rows or 0) if known and before is not None else None,
        "same": same,
    }  # fmt: skip


def _held(work: Workspace, files: list[refreshes.Quarantined]) -> dict[str, Any]:
    """How many rows are held back, for which reasons, and the newest of them."""
    from tilth.ml.data.snapshots import file_rows

    reasons: Counter[str] = Counter()
    shown: list[dict[str, Any]] = []
    counted = 0
    for kept in sorted(files, key=lambda q: -q.refresh):
        if counted >= READ:
            break
        rows = file_rows(work.blobs.path(kept.blob)).slice(0, READ - counted)
        counted += rows.num_rows
        for found in rows.column("reasons").to_pylist():
            reasons.update(found or ())
        if len(shown) < ROWS:
            some = rows.slice(0, ROWS - len(shown)).select(["row", "reasons", "origin"]).to_pylist()
            shown += [{**one, "refresh": kept.refresh} for one in some]
    whole = sum(q.rows for q in files)
    return {"rows": whole, "counted": counted, "reasons": reasons.most_common(), "shown": shown}
