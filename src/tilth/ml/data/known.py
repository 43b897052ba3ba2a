"""EVENT TIME and KNOWN AT: the columns that they name, and what is told of the times at which a snapshot's rows became known.

A row without one is never seen by AS OF; one that was known before it happened (a plan, a timetable) is seen when it happened.
"""

from __future__ import annotations

from collections.abc import Sequence

from tilth.core.errors import ProjectError, UnknownNameError
from tilth.core.names import did_you_mean, quoted
from tilth.core.schema import TEMPORAL, Schema
from tilth.ml.data import snapshots
from tilth.ml.data.snapshots import Written
from tilth.ports.blobs import Blobs
from tilth.ports.engine import QueryEngine
from tilth.ports.snapshots import CheckResult, Part
from tilth.sql.language.statements import CreateDataset, OnFail

KNOWN = "known"  # the kind of the check


def times_of(spec: CreateDataset, schema: Schema) -> tuple[str | None, str | None]:
    """The columns of EVENT TIME and KNOWN AT as the schema has them; UnknownNameError or ProjectError where they are no times."""
    out: list[str | None] = []
    for clause, name in (("EVENT TIME", spec.event_time), ("KNOWN AT", spec.known_at)):
        found = schema.find(name) if name else None
        if name and found is None:
            raise UnknownNameError(
                f"{clause} names `{name}`, which the query does not return.",
                hint=did_you_mean(name, schema.names, "columns"),
            )
        if found is not None and found.type not in TEMPORAL:
            raise ProjectError(
                f"{clause} {found.name} of dataset `{spec.name}` is of type {found.type}.",
                hint=f"Write CAST({found.name} AS TIMESTAMP) AS {found.name} in its query, or name another column.",
            )
        out.append(found.name if found is not None else None)
    return out[0], out[1]


def results(
    spec: CreateDataset, parts: Sequence[Part | Written], engine: QueryEngine, blobs: Blobs
) -> tuple[CheckResult, ...]:
    """A warning where rows have no time that they were known at, and how long rows take to become known."""
    total = sum(p.rows for p in parts)
    if spec.known_at is None or spec.event_time is None or not total:
        return ()
    files = [p.path if isinstance(p, Written) else blobs.path(p.blob) for p in parts]
    known, event = (f"{quoted(n)}::TIMESTAMP" for n in (spec.known_at, spec.event_time))
    sql = (
        f"SELECT count_if({known} IS NULL) AS missing, count_if({known} < {event}) AS early,"
        f" median(greatest({known} - {event}, INTERVAL 0 SECOND))::VARCHAR AS usual,"
        f" max({known} - {event})::VARCHAR AS most FROM published"
    )
    [found] = engine.stream(sql, {"published": snapshots.opened(files, total)}).read_all().to_pylist()
    observed = f"known {found['usual']} after it happened in the median, {found['most']} at most"
    if found["early"]:
        observed += f"; {found['early']:,} before it happened"
    missing = int(found["missing"])
    if missing:
        some = f"{missing:,} rows have none: AS OF never sees them"
        some = "1 row has none: AS OF never sees it" if missing == 1 else some
        observed = f"{some}; others {observed}"
    check = f"KNOWN AT {spec.known_at} IS NOT NULL"
    return (CheckResult(check, KNOWN, OnFail.WARN.value, not missing, missing, total, observed),)
