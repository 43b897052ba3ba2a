"""Rows taken out of what is kept: of a part of a snapshot, of a file of quarantine, of a table of predictions.

Which rows go a condition says, which a person wrote: it is asked apart, one truth a row, in the order of the rows. What stays is
written anew, in the same order and with the same ids; what no row goes from is left as it is.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from tilth.core.errors import DataError, LanguageError, ProjectError
from tilth.core.names import literal, quoted
from tilth.core.schema import DataType, Schema
from tilth.ml.data import snapshots
from tilth.ml.data.snapshots import Marks, PartWriter
from tilth.ports.blobs import Blobs
from tilth.ports.engine import QueryEngine, Relation
from tilth.ports.snapshots import Part, QuarantineFile
from tilth.sql.language.trees import holds_aggregate, tree
from tilth.sql.queries import harmless

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = "rows"
SQL_TYPES = {
    DataType.INTEGER: "BIGINT", DataType.FLOAT: "DOUBLE", DataType.BOOLEAN: "BOOLEAN", DataType.DATE: "DATE",
    DataType.TIME: "TIME", DataType.TIMESTAMP: "TIMESTAMP", DataType.DECIMAL: "DECIMAL(38, 10)",
}  # fmt: skip
"""Of a row that is kept as JSON; others are texts."""


def check(where: str, schema: Schema, engine: QueryEngine) -> None:
    """Raise when the text is no condition on one row of that schema."""
    if holds_aggregate(tree(where)):
        raise ProjectError(
            "A condition on a row asks nothing of other rows, and this one has an aggregate.",
            hint="Write for example WHERE customer_id = 7.",
        )
    (found,) = engine.describe(f"SELECT ({where}) AS hit FROM {ROWS}", {ROWS: schema}).fields
    if found.type is not DataType.BOOLEAN:
        raise ProjectError(
            f"A condition is true or false for a row, and this one is of type {found.type}.",
            hint="Write for example WHERE customer_id = 7.",
        )


def hits(where: str, relation: Relation, rows: int, engine: QueryEngine) -> pa.Array:
    """For each row whether the condition is true of it; NULL is not true."""
    import pyarrow as pa

    sql = f"SELECT coalesce(({where})::BOOLEAN, false) AS hit FROM {ROWS}"
    found = engine.stream(sql, {ROWS: relation}).read_all()
    if found.num_rows != rows:
        raise DataError(
            "The condition does not give one truth for each row.",
            hint="Write for example WHERE customer_id = 7.",
        )
    return pa.concat_arrays(found.column("hit").chunks) if rows else pa.array([], pa.bool_())


def part(one: Part, where: str, engine: QueryEngine, blobs: Blobs, folder: str) -> Part | None:
    """The part without the rows; itself when none goes, None when none stays."""
    import numpy as np
    import pyarrow.compute as pc

    path = blobs.path(one.blob)
    hit = hits(where, [path], one.rows, engine)
    gone = int(pc.sum(hit).as_py() or 0)
    if not gone or gone == one.rows:
        return None if gone else one
    stays, start, writer = pc.invert(hit), 0, None
    fresh = os.path.join(folder, f"{one.blob[:16]}.parquet")
    for batch in snapshots.file_batches(path):
        writer = writer or PartWriter(fresh, batch.schema.remove_metadata(), Marks())
        writer.write(batch.filter(stays.slice(start, batch.num_rows)))
        start += batch.num_rows
    assert writer is not None
    made = writer.finish()
    ids = None
    if one.ids is not None:
        kept = np.fromfile(blobs.path(one.ids), dtype="<u8")[stays.to_numpy(zero_copy_only=False)]
        with open(
            f"{fresh}.ids", "wb"
        ) as file:  # an error of numpy's own `tofile` does not say that the disk is full
            file.write(kept.tobytes())
        ids = blobs.put_file(f"{fresh}.ids")
    size = os.path.getsize(made.path)
    return Part(blobs.put_file(made.path), made.content, made.rows, size, one.event_min, one.event_max, ids)


def held(
    file: str, where: str, schema: Schema, engine: QueryEngine, blobs: Blobs, folder: str
) -> tuple[QuarantineFile | None, int, int]:
    """A file of quarantine without the rows (None when none stays), how many went, and how many lines could not be looked into."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    rows = snapshots.file_rows(file)
    query = pc.equal(rows["origin"], "query")
    unread = rows.num_rows - int(pc.sum(query).as_py() or 0)
    known = of_json(rows.filter(query).select(["row"]), "row", schema, engine)
    found = hits(where, known, known.num_rows, engine).to_pylist()
    gone = sum(found)
    if not gone:
        return QuarantineFile("", rows.num_rows, 0), 0, unread
    at = iter(found)
    stays = pa.array([not (q and next(at)) for q in query.to_pylist()])
    left = rows.filter(stays)
    if not left.num_rows:
        return None, gone, unread
    fresh = os.path.join(folder, "held.parquet")
    pq.write_table(left, fresh, compression="zstd")
    size = os.path.getsize(fresh)
    return QuarantineFile(blobs.put_file(fresh), left.num_rows, size), gone, unread


def of_json(rows: pa.Table, column: str, schema: Schema, engine: QueryEngine) -> pa.Table:
    """Rows that are kept as JSON in that column as the columns of a schema, in their order; what does not fit is NULL."""
    names = [quoted(f.name) for f in schema]
    kinds = {f.name: SQL_TYPES.get(f.type, "VARCHAR") for f in schema}
    listed = ", ".join(
        f"TRY_CAST(j->>{literal(_path(f.name))} AS {kinds[f.name]}) AS {n}"
        for f, n in zip(schema, names, strict=True)
    )
    sql = f"SELECT {listed} FROM (SELECT {quoted(column)}::JSON AS j FROM {ROWS})"
    return engine.stream(sql, {ROWS: rows}).read_all()


def _path(name: str) -> str:
    """A member of an object, as DuckDB's JSON paths name it."""
    return "$." + json.dumps(name, ensure_ascii=False)


def apart(where: str, engine: QueryEngine, other: QueryEngine) -> QueryEngine:
    """Who is asked: the engine itself for a condition that reads rows one by one, `other` for one that may do more."""
    try:
        return engine if harmless.expression(where) else other
    except LanguageError:
        return other


def values_in(where: str) -> frozenset[str]:
    """The values that the condition says columns are equal to, as texts.

    >>> sorted(values_in("id IN (4711, 12) OR name = 'O''Hara' AND age > 7"))
    ['12', '4711', "O'Hara"]
    """
    from sqlglot import exp

    equal = list(tree(f"SELECT {where}").find_all(exp.EQ, exp.In))
    return frozenset(v.this for e in equal for v in e.find_all(exp.Literal) if v.this)


def named(text: str, values: Collection[str]) -> bool:
    """Whether a statement has one of the values: as a word of its own.

    >>> named("SELECT 1 WHERE id = 4711", {"4711"}), named("SELECT 14711", {"4711"}), named("x = 'O''Hara'", {"O'Hara"})
    (True, False, True)
    """
    parts = [re.escape(v) for v in values]
    return bool(parts) and bool(
        re.search(rf"(?<!\w)(?:{'|'.join(sorted(parts))})(?!\w)", text.replace("''", "'"))
    )


def names_in(where: str, names: Sequence[str]) -> tuple[str, ...]:
    """Which of these columns the condition names."""
    from sqlglot import exp

    used = {c.name.lower() for c in tree(f"SELECT {where}").find_all(exp.Column)}
    return tuple(n for n in names if n.lower() in used)
