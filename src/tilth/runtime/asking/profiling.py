"""A dataset's published rows as plain facts: distributions, gaps, drift against the snapshot before, checks over time, freshness, lineage.

`tilth profile` and `tilth report dataset` show them, `interfaces.report.dataset` draws them. Of very wide tables the first
columns are looked at and the rest is counted. Of a column with a TAG only gaps are told: a page is sent to others.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeAlias

from tilth.core.errors import ProjectError, UnknownNameError
from tilth.core.names import did_you_mean
from tilth.core.time import show_instant
from tilth.ml.data import drift, snapshots
from tilth.ml.data.profile import Categorical, Numeric, Profile, measure, profile
from tilth.runtime.record import refreshes
from tilth.runtime.record.snapshots import manifest_of
from tilth.runtime.showing import lineage
from tilth.runtime.showing.describing import Place, describe
from tilth.sql.language.statements import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from tilth.ports.engine import Relation
    from tilth.ports.snapshots import Manifest

Key = tuple[str, str, str | None]  # a dataset, its snapshot, and the one before
Keep: TypeAlias = "Callable[[Key, Callable[[], list[dict[str, Any]]]], list[dict[str, Any]]]"
COLUMNS = 200  # that are looked at
BARS = 24  # of a histogram
VALUES = 12  # of a text column that are shown
POINTS = 60  # refreshes of a curve, the newest


def _each_time(_key: Key, make: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return make()


def profiled(at: Place, name: str, columns: int = COLUMNS, kept: Keep = _each_time) -> dict[str, Any]:
    """The facts; UnknownNameError for what is no dataset, ProjectError while nothing of it is published.

    `kept` may give what was measured of the columns of a snapshot against another before, which never changes.
    """
    found = at.graph.find(name)
    if found is None or found.kind is not Kind.DATASET:
        names = [r.name for r in at.graph.of_kind(Kind.DATASET)]
        raise UnknownNameError(
            f"There is no dataset `{name}` in `{at.environment}`.",
            hint=did_you_mean(name, names, "datasets") if names else "Run `tilth apply` to collect one.",
        )
    said = describe(at, found, differs=False)
    if said["snapshot"] is None:
        raise ProjectError(
            f"Nothing of `{name}` is published in `{at.environment}`.",
            hint="`tilth status` says what failed; `tilth apply` collects it.",
        )
    manifest = manifest_of(at.work.state, said["snapshot"])
    before = _before(at, name, manifest)
    return {
        **{k: said[k] for k in ("snapshot", "rows", "bytes", "key", "event_time", "checks", "leakage")},
        "name": name, "environment": at.environment, "at": show_instant(at.work.clock.now()),
        "newest": None if said["newest"] is None else str(said["newest"]), "definition": found.text,
        "before": None if before is None else before.id,
        "columns": kept(
            (name, manifest.id, None if before is None else before.id),
            lambda: _columns(at, manifest, before, said["columns"], columns),
        ),
        "left_out": max(0, len(said["columns"]) - columns),
        "history": _history(at, name), "refreshes": _refreshes(at, name),
        "lineage": [
            {k: v for k, v in e.items() if k != "environment"} for e in lineage.table(at.work, at.environment)
            if ("dataset", name) in {(e["from_kind"], e["from_name"]), (e["to_kind"], e["to_name"])}
        ],
    }  # fmt: skip


def _before(at: Place, name: str, manifest: Manifest) -> Manifest | None:
    """The newest snapshot of the dataset that was made before this one and has rows."""
    other = refreshes.snapshot_before(at.work.state, name, manifest.id)
    return None if other is None else manifest_of(at.work.state, other)


def _columns(
    at: Place, manifest: Manifest, before: Manifest | None, said: list[dict[str, Any]], most: int
) -> list[dict[str, Any]]:
    rows: Relation = snapshots.relation(manifest, at.work.blobs)
    names = [c["name"] for c in said[:most]]
    shown = [c["name"] for c in said[:most] if not c["tag"]]
    found = profile(rows, at.work.engine, shown) if manifest.rows else Profile(0, ())
    wide = _histograms(at, rows, found)
    moved = _moved(at, found, before)
    nulls = _nulls(at, rows, [n for n in names if found.find(n) is None]) if manifest.rows else {}
    out = []
    for c in said[:most]:
        one = found.find(c["name"])
        gaps = nulls.get(c["name"]) if one is None else one.nulls
        out.append(
            {
                **c, "missing": None if gaps is None or not manifest.rows else gaps / manifest.rows,
                **_of(one), **wide.get(c["name"], {}), "drift": moved.get(c["name"]),
            }
        )  # fmt: skip
    return out


def _nulls(at: Place, rows: Relation, names: list[str]) -> dict[str, int]:
    """Gaps of columns that have no profile."""
    from tilth.core.names import quoted

    if not names:
        return {}
    listed = ", ".join(f"count(*) - count({quoted(n)})" for n in names)
    table = at.work.engine.stream(f"SELECT {listed} FROM profiled", {"profiled": rows}).read_all()
    return {n: int(table.column(i)[0].as_py()) for i, n in enumerate(names)}


def _of(one: Numeric | Categorical | None) -> dict[str, Any]:
    if isinstance(one, Numeric):
        return {"kind": "number", **{k: getattr(one, k) for k in ("minimum", "maximum", "mean", "sd")}}
    if one is None:
        return {"kind": "other"}
    more = one.other + sum(one.counts[VALUES:])
    listed = [[v, n] for v, n in zip(one.values[:VALUES], one.counts[:VALUES], strict=True)]
    return {"kind": "category", "values": listed, "others": more}


def _histograms(at: Place, rows: Relation, found: Profile) -> dict[str, dict[str, Any]]:
    """Counts between edges of equal steps, from the first to the last twentieth of the rows and what lies beyond."""
    edges: dict[str, list[float]] = {}
    for one in found.columns:
        if isinstance(one, Numeric) and one.edges and one.minimum is not None and one.maximum is not None:
            low, high = one.edges[0], one.edges[-1]
            if high > low:
                steps = [low + (high - low) * n / BARS for n in range(1, BARS)]
                first = low - (high - low) * 1e-9  # a bin is open below, and many rows may lie at its end
                edges[one.column] = [first, *steps, high]
    counted = measure(rows, edges, at.work.engine) if edges else ()
    return {
        c.column: {"edges": edges[c.column], "counts": list(c.counts[1:-1]), "below": c.counts[0], "above": c.counts[-1]}
        for c in counted
    }  # fmt: skip


def _moved(at: Place, found: Profile, before: Manifest | None) -> dict[str, float | None]:
    """The population stability index of each column against the snapshot before, without the noise of so few rows."""
    if before is None or not before.rows or not found.columns:
        return {}
    there = set(before.schema.names)
    kept = tuple(c for c in found.columns if c.column in there)
    rows: Relation = snapshots.relation(before, at.work.blobs)
    told = drift.drift(Profile(found.rows, kept), rows, at.work.engine)
    return {d.column: d.psi for d in told}


def _history(at: Place, name: str) -> list[dict[str, Any]]:
    """For each check how it went at the newest refreshes, and how close it came."""
    found = refreshes.over_time(at.work.state, name, POINTS)
    return [{"check": check, "points": [asdict(p) for p in points]} for check, points in found.items()]


def _refreshes(at: Place, name: str) -> list[dict[str, Any]]:
    kept = ("status", "rows_read", "rows_quarantined", "reason")
    found = refreshes.steps(at.work.state, name, POINTS)
    return [{"at": show_instant(s.at), **{k: getattr(s, k) for k in kept}} for s in reversed(found)]
