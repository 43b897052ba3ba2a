"""Whether rows change when what came after them is taken away: the trial of a dataset whose query does not prove that they cannot.

A metamorphic test (Chen 1998; of the no-time-machine requirement of Kaufman et al. 2012, "Leakage in Data Mining"): the inputs are cut at a time,
the query is answered again, and rows that happened by then must be the same, value for value. A dataset's rows are cut by when they
happened and were known, a source's by its one column of times. What has no time cannot be cut, and stays unproven.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tilth.core.names import quoted
from tilth.core.schema import TEMPORAL, Schema
from tilth.ml.data import reading
from tilth.ports.blobs import Blobs
from tilth.ports.engine import QueryEngine, Relation
from tilth.ports.snapshots import Manifest
from tilth.ports.source import Source
from tilth.sql.language.statements import CreateDataset
from tilth.sql.queries import origins
from tilth.sql.queries.leakage import Bound, bounds
from tilth.sql.queries.pointintime import Timed

if TYPE_CHECKING:
    import pyarrow as pa

MOST_ROWS = (
    1_000_000  # of the snapshot, beyond which nothing is tried: each trial reads and answers all of it again
)
CUTS = (0.5, 0.8)  # of the event times, at which inputs are cut
PROVEN, TESTED, UNPROVEN, LEAKS = "proven", "tested", "unproven", "leaks"


@dataclass(frozen=True, slots=True)
class Judged:
    """What is known of a dataset's rows: proven or tested not to see what came later, unproven, or leaking in `columns`."""

    verdict: str
    why: str
    bounds: tuple[Bound, ...] = ()
    columns: Mapping[str, int] = field(default_factory=dict)  # rows in which it changed

    @property
    def text(self) -> str:
        """As one line says it."""
        return f"{self.verdict}: {self.why}" if self.why else self.verdict


def by_text(spec: CreateDataset, schemas: Mapping[str, Schema], datasets: Mapping[str, Timed]) -> Judged:
    """What the text alone says."""
    found = bounds(spec.query.sql, spec.event_time, schemas, datasets)
    open_ = [b for b in found if not b.proven]
    if open_:
        return Judged(UNPROVEN, "; ".join(f"{b.what} ({b.why})" for b in open_), found)
    why = ", ".join(f"{b.what} {b.why}" for b in found) or "each row is one of its table"
    return Judged(PROVEN, why, found)


def tried(
    spec: CreateDataset,
    judged: Judged,
    manifest: Manifest,
    schemas: Mapping[str, Schema],
    sources: Mapping[str, Source],
    datasets: Mapping[str, Manifest],
    times: Mapping[str, Timed],
    asked: QueryEngine,
    engine: QueryEngine,
    blobs: Blobs,
) -> Judged:
    """What a trial says of what the text leaves open; the same where none can be made, with why. `asked` answers the query."""
    if spec.event_time is None:
        return judged
    if manifest.rows > MOST_ROWS:
        return _still(judged, f"not tried, {manifest.rows:,} rows are more than {MOST_ROWS:,}")
    cut = {name: _cut(name, schema, times, spec, schemas) for name, schema in schemas.items()}
    if not any(cut.values()):
        return _still(judged, "not tried, since no table has a time by which it could be cut")
    held = reading.open_inputs(spec.query.sql, schemas, sources, datasets, blobs, hold=True)
    try:
        sql = spec.query.sql.rstrip().rstrip(";")
        whole = asked.stream(sql, held.inputs).read_all()
        changed: dict[str, int] = {}
        for moment in _moments(whole, spec.event_time, engine):
            inputs = {n: _until(r, cut[n], moment, engine) if cut[n] else r for n, r in held.inputs.items()}
            then = asked.stream(sql, inputs).read_all()
            for column, rows in _changed(whole, then, spec, moment, engine).items():
                changed[column] = max(rows, changed.get(column, 0))
    finally:
        held.close()
    bound = {b.table for b in judged.bounds if b.proven}
    uncut = [n for n, columns in cut.items() if not columns and n.lower() not in bound]
    if not changed and uncut:
        why = f"{', '.join(uncut)} has no one time by which it could be cut, and nothing changes when later rows of the others are taken away"
        return _still(judged, why)
    if not changed:
        return Judged(TESTED, f"nothing changes when later rows are taken away; unproven are {judged.why}", judged.bounds)  # fmt: skip
    listed = ", ".join(
        f"{c} changes in {n:,} row{'' if n == 1 else 's'}"
        for c, n in sorted(changed.items(), key=lambda i: -i[1])
    )
    return Judged(LEAKS, f"when later rows are taken away, {listed}", judged.bounds, changed)


def untried(judged: Judged, why: str) -> Judged:
    """The same, where the trial itself failed."""
    return _still(judged, f"its trial failed: {why}")


def _still(judged: Judged, why: str) -> Judged:
    return Judged(judged.verdict, f"{judged.why}; {why}", judged.bounds)


def _cut(
    name: str, schema: Schema, times: Mapping[str, Timed], spec: CreateDataset, schemas: Mapping[str, Schema]
) -> tuple[str, ...]:
    """The columns that say when a row of an input could be seen; empty where none does."""
    timed = times.get(name.lower()) if "." not in name else None
    if timed is not None:
        return tuple(c for c in (timed.event_time, timed.known_at) if c is not None)
    own = [f.name for f in schema if f.type in TEMPORAL]
    event = origins.origin(spec.query.sql, spec.event_time or "", schemas)
    if event is not None and event[0] is not None and f"{event[0]}.{event[1]}".lower() == name.lower():
        return (event[2],)
    return tuple(own) if len(own) == 1 else ()


def _moments(whole: pa.Table, event_time: str, engine: QueryEngine) -> list[str]:
    """The times at which inputs are cut, as literals; between two times of rows."""
    column = quoted(event_time)
    listed = ", ".join(f"quantile_disc({column}, {share})::TIMESTAMP::VARCHAR" for share in CUTS)
    [row] = engine.stream(f"SELECT {listed} FROM whole", {"whole": whole}).read_all().to_pylist()
    return [f"TIMESTAMP '{m}'" for m in dict.fromkeys(row.values()) if m is not None]


def _until(relation: Relation, columns: Sequence[str], moment: str, engine: QueryEngine) -> Relation:  # fmt: skip
    """The rows of an input that could be seen at that time."""
    seen = " AND ".join(f"{quoted(c)} <= {moment}" for c in columns)
    return engine.stream(f"SELECT * FROM cut WHERE {seen}", {"cut": relation}).read_all()


def _changed(whole: pa.Table, then: pa.Table, spec: CreateDataset, moment: str, engine: QueryEngine) -> dict[str, int]:  # fmt: skip
    """By column, in how many rows of that time it is another; rows that are not there any more count under their key."""
    assert spec.event_time is not None
    inputs = {"whole": whole, "cut": then}
    by = f"WHERE {quoted(spec.event_time)} <= {moment}"
    key = [c for c in whole.schema.names if c.lower() in {k.lower() for k in spec.key}]
    if not key:
        sql = f"SELECT count(*) AS n FROM ((SELECT * FROM whole {by}) EXCEPT ALL (SELECT * FROM cut {by}))"
        [row] = engine.stream(sql, inputs).read_all().to_pylist()
        return {"rows": int(row["n"])} if row["n"] else {}
    names = [c for c in whole.schema.names if c not in key]
    on = " AND ".join(f"a.{quoted(c)} IS NOT DISTINCT FROM b.{quoted(c)}" for c in key)
    counted = ", ".join(f"count_if(b.there AND a.{quoted(c)} IS DISTINCT FROM b.{quoted(c)})" for c in names)
    sql = (
        f"SELECT count_if(b.there IS NULL), {counted or '0'} FROM (SELECT * FROM whole {by}) a"
        f" LEFT JOIN (SELECT *, true AS there FROM cut {by}) b ON {on}"
    )
    [found] = engine.stream(sql, inputs).read_all().to_pylist()
    counts = [int(n) for n in found.values()]
    told = zip((f"the rows themselves ({', '.join(key)})", *names), counts, strict=False)
    return {c: n for c, n in told if n}
