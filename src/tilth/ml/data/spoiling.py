"""What a dataset's checks would say of rows that went bad: the same rows in another unit, with gaps, or twice.

A rehearsal: nothing is collected and nothing is kept. A mishap counts as noticed when a check fails that held on the rows
as they are, or when rows are held back that were not. Checks against other tables (REFERENCES) are not rehearsed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tilth.core.schema import DataType
from tilth.core.time import Instant
from tilth.ml.data import checks as checking
from tilth.ml.data import counting
from tilth.ml.data.checks import ROWS, Checks
from tilth.ports.engine import QueryEngine
from tilth.ports.snapshots import CheckResult
from tilth.sql.language.statements import CheckKind, OnFail

if TYPE_CHECKING:
    import pyarrow as pa

SCALE = 60.0  # minutes that arrive as seconds
GAPS = 10  # every so many rows lack the value
NUMBERS = frozenset({DataType.INTEGER, DataType.FLOAT, DataType.DECIMAL})


@dataclass(frozen=True, slots=True)
class Mishap:
    """One way of going bad: `kind` is scaled | missing | repeated, `column` is empty for the whole feed.

    `caught` are the checks that notice it; `stopped` says that nothing would be published.
    """

    kind: str
    column: str
    caught: tuple[str, ...]
    quarantined: int
    stopped: bool

    @property
    def noticed(self) -> bool:
        return bool(self.caught)


@dataclass(frozen=True, slots=True)
class _Said:
    """What the checks say of some rows."""

    failing: frozenset[str]
    quarantined: int
    stopped: bool
    repeated: int


def rehearse(
    table: pa.Table, checks: Checks, columns: Sequence[str], engine: QueryEngine, now: Instant
) -> tuple[Mishap, ...]:
    """Each mishap to the whole feed, and to each of these columns alone."""
    kept = replace(checks, items=tuple(i for i in checks.items if i.kind is not CheckKind.REFERENCES))
    before = _say(table, kept, engine, now)

    def mishap(kind: str, column: str, spoiled: pa.Table) -> Mishap:
        after = _say(spoiled, kept, engine, now)
        caught = set(after.failing - before.failing)
        if after.quarantined > before.quarantined and not caught:
            caught = set(after.failing)
        if after.repeated > before.repeated:
            caught.add(f"KEY ({', '.join(kept.key)})")
        held = max(0, after.quarantined - before.quarantined)
        return Mishap(kind, column, tuple(sorted(caught)), held, after.stopped and not before.stopped)

    fixed = {c.lower() for c in kept.needed}
    numbers = [
        f.name
        for f in checks.schema
        if f.type in NUMBERS and f.name.lower() not in fixed and f.name in columns
    ]
    found = [
        mishap("scaled", "", scaled(table, numbers)),
        mishap("missing", "", missing(table, table.column_names)),
        mishap("repeated", "", repeated(table)),
    ]
    found += [mishap("scaled", name, scaled(table, [name])) for name in numbers]
    found += [mishap("missing", name, missing(table, [name])) for name in columns]
    return tuple(found)


def scaled(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """The columns in a unit that is sixty times smaller."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for name in names:
        index = table.column_names.index(name)
        kind = table.schema.field(index).type
        values = pc.multiply(table.column(index).cast(pa.float64(), safe=False), SCALE)
        kept = values.cast(kind, safe=False) if pa.types.is_integer(kind) else values
        table = table.set_column(index, name, kept)
    return table


def missing(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """The columns without a value in every tenth row."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    gone = pa.array(np.arange(table.num_rows) % GAPS == 0)
    for name in names:
        index = table.column_names.index(name)
        kind = table.schema.field(index).type
        table = table.set_column(index, name, pc.if_else(gone, pa.scalar(None, kind), table.column(index)))
    return table


def repeated(table: pa.Table) -> pa.Table:
    """Every row twice."""
    import pyarrow as pa

    return pa.concat_tables([table, table])


def _say(table: pa.Table, checks: Checks, engine: QueryEngine, now: Instant) -> _Said:
    counts = counting.count_rows(checks, table, engine, {})
    good = table
    if counts.bad:
        sql = f"SELECT * FROM {ROWS} WHERE NOT coalesce({checking.bad(checks)}, false)"
        good = engine.stream(sql, {ROWS: table}).read_all()
    results: list[CheckResult] = [
        *checking.needed_results(checks, counts),
        *checking.row_results(checks, counts).values(),
        *checking.set_results(checks, good, engine, now, good.num_rows).values(),
    ]
    again = 0
    if checks.key:
        again = good.num_rows - good.group_by(list(checks.key)).aggregate([]).num_rows
    failing = [r for r in results if not r.passed]
    stopped = any(r.on_fail == OnFail.STOP.value for r in failing) or good.num_rows == 0
    stopped = stopped or (again > 0 and checks.event_time is None)
    return _Said(frozenset(r.check for r in failing), counts.bad, stopped, again)
