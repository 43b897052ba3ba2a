"""Days of an INCREMENTAL dataset that are to be read again: whether they can be, and what there is of them here and at the source."""

from __future__ import annotations

from datetime import date
from typing import Any

from tilth.core.errors import ProjectError
from tilth.core.names import quoted
from tilth.ml.data import healing, reading
from tilth.ml.data.snapshots import event_text
from tilth.ml.data.windows import EARLY
from tilth.resources.kinds import Resource
from tilth.runtime import sources
from tilth.runtime.asking.prompt import Prompt
from tilth.runtime.record import environments
from tilth.runtime.record.snapshots import manifest_of
from tilth.sql.language.acts import RefreshDataset
from tilth.sql.language.statements import CreateDataset, Kind

LISTED = 400  # days that are listed


def fits(resource: Resource, statement: RefreshDataset) -> None:
    """Raise when days of the dataset cannot be read by themselves."""
    declared = resource.as_(CreateDataset)
    if not declared.refresh.incremental or declared.event_time is None:
        raise ProjectError(
            f"Dataset `{resource.name}` is not INCREMENTAL: every refresh reads all of its days.",
            hint=f"REFRESH DATASET {resource.name}; or declare EVENT TIME <column> REFRESH INCREMENTAL.",
        )
    assert statement.first is not None
    if statement.first.year < EARLY.year:
        raise ProjectError(
            f"Days before {EARLY.year} cannot be read by themselves.",
            hint=f"Begin with {EARLY.year}-01-01, or write a new check into its EXPECT: what is declared anew is collected anew.",
        )


def foreseen(at: Prompt, resource: Resource, statement: RefreshDataset) -> dict[str, Any]:
    """What a backfill would read: rows of these days here and, where the source counts them itself, there. Changes nothing."""
    fits(resource, statement)
    declared, first, last = resource.as_(CreateDataset), statement.first, statement.last
    assert first is not None
    assert last is not None
    span = healing.Span(first, last)
    here = _here(at, resource, span)
    there = _there(at, declared, span)
    days = sorted({*here, *(there or {})})
    listed = [
        {"day": str(d), "here": here.get(d, 0), "there": None if there is None else there.get(d, 0)}
        for d in days
    ]
    return {
        "dataset": resource.name, "from": str(first), "to": str(last), "rows_here": sum(here.values()),
        "rows_there": None if there is None else sum(there.values()),
        "days": [d for d in listed if there is None or d["here"] != d["there"]][:LISTED], "compared": there is not None,
    }  # fmt: skip


def _here(at: Prompt, resource: Resource, span: healing.Span) -> dict[date, int]:
    _, pointers = environments.pointers_of(at.work.state, at.environment)
    target = next((p.target for p in pointers if p.kind is Kind.DATASET and p.name == resource.name), None)
    if target is None:
        return {}
    manifest = manifest_of(at.work.state, target)
    low, high = event_text(span.start) or "", event_text(span.end) or ""
    files = [
        at.work.blobs.path(p.blob)
        for p in manifest.parts
        if (p.event_max or "") >= low and (p.event_min or "") < high
    ]
    if not files:
        return {}
    event = quoted(manifest.schema.field(resource.as_(CreateDataset).event_time or "").name)
    sql = f"SELECT {event}::DATE AS day, count(*) AS rows FROM rows WHERE {event} >= $low AND {event} < $high GROUP BY 1"
    found = at.work.engine.stream(sql, {"rows": files}, {"low": span.start, "high": span.end})
    return {r["day"]: r["rows"] for r in found.read_all().to_pylist()}


def _there(at: Prompt, declared: CreateDataset, span: healing.Span) -> dict[date, int] | None:
    """Rows of the source's table by day; None where the source does not count, or the query is no plain one over one table."""
    graph = at.deployed(at.environment)
    names = [n for n in graph.get(declared.name).depends if graph.get(n).kind is Kind.SOURCE]
    with sources.opened(graph, at.work.root, names) as opened:
        if any(graph.get(n).kind is Kind.DATASET for n in graph.get(declared.name).depends):
            return None
        schemas = reading.schemas_of(declared.query.sql, opened, {})
        asking = healing.asking(declared, schemas, opened)
        if asking is None or asking.source is None:
            return None
        found = asking.ask(span.start, None, None)
    if found is None or not found.counts:
        return None
    return {d: rows for d, (rows, _) in found.counts.items() if span.first <= d <= span.last}
