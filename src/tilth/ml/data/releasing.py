"""Rows that a person let out of quarantine, repaired or as they are: found in what a source gives, and put in their place.

A release holds for a KEY and the content that its source gave (`tilth_row`, the row as JSON): when the source gives another row of
that KEY, it is that row that is vetted.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tilth.core.errors import DataError
from tilth.core.names import quoted
from tilth.core.schema import Schema
from tilth.ml.data import checks as checking
from tilth.ml.data import counting, snapshots
from tilth.ml.data import rows as kept
from tilth.ml.data.checks import Checks
from tilth.ml.data.rows import Rows
from tilth.ports.arrow import arrow_type
from tilth.ports.blobs import Blobs
from tilth.ports.engine import QueryEngine, Relation

if TYPE_CHECKING:
    import pyarrow as pa

ROW = "tilth_row"  # the column with what the source gave


def as_json(schema: Schema, of: str = "") -> str:
    """SQL for a row as JSON, as quarantine keeps it."""
    dot = f"{of}." if of else ""
    fields = ", ".join(f"{quoted(f.name)} := {dot}{quoted(f.name)}" for f in schema)
    return f"to_json(struct_pack({fields}))::VARCHAR"


def repaired(
    held: pa.Table, schema: Schema, sets: Sequence[tuple[str, str]], engine: QueryEngine
) -> pa.Table:
    """Rows of quarantine with the columns set, in the types of the schema, and what the source gave beside them.

    DataError for a value that does not fit its column.
    """
    import pyarrow as pa

    new = {schema.field(column).name: expression for column, expression in sets}
    listed = ", ".join(
        f"({new[f.name]}) AS {quoted(f.name)}" if f.name in new else quoted(f.name) for f in schema
    )
    found = engine.stream(f"SELECT {listed} FROM rows", {"rows": held.select(schema.names)}).read_all()
    columns = []
    for field in schema:
        try:
            columns.append(found[field.name].cast(arrow_type(field.type)))
        except (pa.ArrowException, ValueError) as error:
            raise DataError(
                f"What `{field.name}` is set to is not of type {field.type}.",
                hint=f"Write SET {field.name} = an expression of that type.",
            ) from error
    return pa.table([held[ROW], *columns], names=[ROW, *schema.names])


def applied(
    files: Sequence[str], raw: Rows, checks: Checks, engine: QueryEngine, folder: str
) -> tuple[Rows, int]:
    """The rows with those that are released in the place of what the source gave, and how many."""
    import pyarrow.parquet as pq

    fit = [f for f in files if pq.read_schema(f).names == [ROW, *checks.schema.names]]
    if not fit or not checks.key or not raw.rows:
        return raw, 0
    released = newest(fit, engine)
    same = " AND ".join(f"x.{quoted(k)} = r.{quoted(k)}" for k in checks.key)
    origin = _origins(released, checks, engine)
    near = engine.stream(
        f"SELECT {as_json(checks.schema, 'r')} AS j FROM rows r WHERE EXISTS (SELECT 1 FROM given x WHERE {same})",
        {"rows": raw.relation, "given": origin},
    ).read_all()
    sql = f"SELECT * FROM released WHERE {quoted(ROW)} IN (SELECT j FROM near)"
    found = engine.stream(sql, {"released": released, "near": near}).read_all()
    if not found.num_rows:
        return raw, 0
    given = engine.stream(f"SELECT g.* FROM given g WHERE g.{quoted(ROW)} IN (SELECT {quoted(ROW)} FROM found)", {"given": origin, "found": found}).read_all()  # fmt: skip
    names = ", ".join(quoted(n) for n in checks.schema.names)
    put = (
        f"SELECT {names} FROM rows r WHERE NOT EXISTS (SELECT 1 FROM given x WHERE {same}"
        f" AND x.{quoted(ROW)} = CASE WHEN {same} THEN {as_json(checks.schema, 'r')} END)"
        f" UNION ALL SELECT {names} FROM found"
    )
    inputs: dict[str, Relation] = {"rows": raw.relation, "given": given, "found": found}
    batches = snapshots.plain_batches(engine.stream(put, inputs), raw.schema)
    return kept.spool(batches, raw.schema, folder, "released", checks), found.num_rows


def not_among(rows: str, others: str, checks: Checks) -> str:
    """SQL that is true for a row of one table that is not, value for value, in another."""
    same = " AND ".join(f"x.{quoted(k)} = {rows}.{quoted(k)}" for k in checks.key)
    alike = f"{as_json(checks.schema, 'x')} = {as_json(checks.schema, rows)}"
    return f"NOT EXISTS (SELECT 1 FROM {others} x WHERE {same} AND {alike})"


def judged(
    given: pa.Table, checks: Checks, engine: QueryEngine, references: Mapping[str, Relation]
) -> tuple[pa.Table, pa.Table]:
    """Of rows as a source gave them (with `tilth_row`): those that the checks let pass, and those held back, as quarantine keeps them."""
    import pyarrow as pa

    inputs: dict[str, Relation] = {"rows": given, **references}
    bad = f"coalesce({checking.bad(checks)}, false)"
    names = ", ".join(quoted(n) for n in checks.schema.names)
    good = engine.stream(f"SELECT {names} FROM rows WHERE NOT {bad}", inputs).read_all()
    sql = f"SELECT {quoted(ROW)} AS row, {checking.reasons(checks)} AS reasons, 'query' AS origin FROM rows WHERE {bad}"
    held = engine.stream(sql, inputs).read_all()
    kept = [("row", pa.string()), ("reasons", pa.list_(pa.string())), ("origin", pa.string())]
    return good, pa.table([held[n].cast(t) for n, t in kept], names=[n for n, _ in kept])


def newest(files: Sequence[str], engine: QueryEngine) -> pa.Table:
    """The releases of all files, of each row that a source gave the newest."""
    import pyarrow as pa

    tables = [snapshots.file_rows(f) for f in files]
    numbered = pa.concat_tables(
        [t.append_column("tilth_n", pa.array([n] * t.num_rows, pa.int64())) for n, t in enumerate(tables)]
    )
    sql = f"SELECT * EXCLUDE (tilth_n) FROM rows QUALIFY row_number() OVER (PARTITION BY {quoted(ROW)} ORDER BY tilth_n DESC) = 1"
    return engine.stream(sql, {"rows": numbered}).read_all()


def _origins(released: pa.Table, checks: Checks, engine: QueryEngine) -> pa.Table:
    """The keys that the source gave, which a repair may have changed, beside what it gave."""
    from tilth.ml.data.thinning import of_json

    keys = Schema(tuple(checks.schema.field(k) for k in checks.key))
    found = of_json(released.select([ROW]), ROW, keys, engine)
    return found.append_column(ROW, released[ROW].combine_chunks())


def fail(
    repaired_rows: pa.Table, checks: Checks, engine: QueryEngine, references: dict[str, Relation]
) -> list[str]:
    """What of the checks that hold rows back, or stop, still fails of these rows: a line a check."""
    rows = repaired_rows.select(checks.schema.names)
    counts = counting.count_rows(checks, rows, engine, references)
    found = (*checking.needed_results(checks, counts), *checking.row_results(checks, counts).values())
    return [
        f"{r.check}: {r.failed:,} of {r.rows:,} rows fail"
        for r in found
        if not r.passed and r.on_fail != "warn"
    ]


def write(rows: pa.Table, blobs: Blobs, folder: str) -> str:
    """The rows of a release as a blob."""
    import pyarrow.parquet as pq

    path = os.path.join(folder, "release.parquet")
    pq.write_table(rows, path, compression="zstd")
    return blobs.put_file(path)
