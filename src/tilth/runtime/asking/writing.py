"""CREATE TABLE s.t AS and INSERT INTO s.t: the rows of a query into a table of a source, all of them or none.

Only a source that says `writable = true` is written to, from the serving environment or one that `tilth.toml` lets write.
What was written stands in `tilth.writes`; predictions among it are logged under the door `batch` once the rows are there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tilth.core.errors import ProjectError, TilthError, UnknownNameError, UnsupportedError
from tilth.core.names import did_you_mean, quoted
from tilth.core.schema import DataType
from tilth.ports.arrow import data_type
from tilth.ports.engine import SQL_TYPE
from tilth.ports.source import JSON, Mode, UnsureError, Writable, Write, Written
from tilth.resources.graph import Graph
from tilth.runtime import sources, unforeseen
from tilth.runtime.asking import first
from tilth.runtime.asking import select as asking
from tilth.runtime.asking.batches import Batches
from tilth.runtime.asking.prompt import Prompt, Result
from tilth.runtime.record import writes
from tilth.runtime.record.writes import Used
from tilth.runtime.writers import learns_from, loop_words
from tilth.sql.language.acts import CreateTable, InsertInto, Select
from tilth.sql.language.statements import CreateSource, Kind
from tilth.sql.language.writing import name

if TYPE_CHECKING:
    import pyarrow as pa

    from tilth.ports.engine import QueryEngine

_CAST = {
    DataType.INTEGER: "CAST({0} AS BIGINT)",
    DataType.FLOAT: "CAST({0} AS DOUBLE)",
    DataType.STRING: "CAST({0} AS VARCHAR)",
    DataType.INTERVAL: "CAST({0} AS VARCHAR)",
    DataType.OTHER: "CAST(to_json({0}) AS VARCHAR)",
}


def create(at: Prompt, statement: CreateTable) -> Result:
    """Make a table of a source with the rows of the query."""
    graph, place = at.deployed(at.environment), f"{statement.source}.{statement.table}"
    mode = Mode.REPLACE if statement.or_replace else Mode.CREATE
    with _opened(at, graph, statement) as source:
        there = next((t for t in source.tables() if t.lower() == statement.table.lower()), None)
        if there is not None and statement.if_not_exists:
            return Result(
                None, f"`{place}` is there already.", {"source": statement.source, "table": there, "rows": 0}
            )
        if there is not None and statement.or_replace:
            _ours(at, statement, there)
        return _written(at, graph, source, statement, mode)


def insert(at: Prompt, statement: InsertInto) -> Result:
    """Add the rows of the query to a table of a source; with KEY those that are there are changed."""
    graph = at.deployed(at.environment)
    with _opened(at, graph, statement) as source:
        try:
            return _written(at, graph, source, statement, Mode.INSERT)
        except UnknownNameError as error:
            if f"`{statement.table}`" in error.message and _is_missing(source, statement.table):
                key = f" KEY ({', '.join(map(name, statement.key))})" if statement.key else ""
                made = f"CREATE TABLE {name(statement.source)}.{name(statement.table)}{key} AS ... makes it."
                error.hint = f"{error.hint or ''} {made}".strip()
            raise


def _is_missing(source: Any, table: str) -> bool:
    """Whether the source is known not to have the table."""
    try:
        return table.lower() not in (t.lower() for t in source.tables())
    except TilthError:
        return False


def _ours(at: Prompt, statement: CreateTable, table: str) -> None:
    """ProjectError for a table that no CREATE TABLE made: somebody else's rows would be gone."""
    with at.work.state.reading() as reader:
        if writes.made(reader, statement.source, table):
            return
    raise ProjectError(
        f"`{statement.source}.{table}` was not made by CREATE TABLE here, and is not replaced.",
        hint="Choose another name, INSERT INTO it, or drop it where it lies.",
        where=statement.position,
    )


@contextmanager
def _opened(at: Prompt, graph: Graph, statement: CreateTable | InsertInto) -> Iterator[Any]:
    """The source, open, once it is known that it may be written to from here; errors have the statement's place."""
    try:
        declared = _declared(graph, statement.source, at.environment)
        if declared.options.get("writable") is not True:
            raise ProjectError(
                f"The source `{declared.name}` is read-only.",
                hint=f"Add `writable = true` to the options of CREATE SOURCE {declared.name}, and apply it.",
            )
        _may_write(at)
        at.room()
        try:
            source = sources.open_source(declared, at.work.root, graph)
        except TilthError as error:
            _failed(at, statement, _begun(at, statement), error, Batches(statement.log))
            raise
        try:
            if not hasattr(source, "write"):
                raise UnsupportedError(
                    f"Sources of the engine `{declared.engine}` are not written to.",
                    hint="PostgreSQL, SQLite and files are.",
                )
            yield source
        finally:
            source.close()
    except TilthError as error:
        raise error if statement.position is None else error.at(statement.position) from None


FOR_TABLES = "One for tables is declared, and applied, so: CREATE SOURCE results ENGINE files WITH (path = 'results', writable = true);"


def _declared(graph: Graph, name: str, environment: str) -> CreateSource:
    found = graph.find(name)
    if found is None or found.kind is not Kind.SOURCE:
        known = [r.name for r in graph.of_kind(Kind.SOURCE)]
        raise UnknownNameError(
            f"There is no source `{name}` in `{environment}`.",
            hint=f"{did_you_mean(name, known, 'sources')} {FOR_TABLES}",
        )
    return found.as_(CreateSource)


def _may_write(at: Prompt) -> None:
    if at.environment != at.work.serving and at.environment not in at.work.writable:
        raise ProjectError(
            f"From the environment `{at.environment}` nothing is written into sources: others read what is there.",
            hint=f"Write from `{at.work.serving}`; or put `writable = true` below [environments.{at.environment}] in tilth.toml.",
        )


def _written(
    at: Prompt, graph: Graph, source: Writable, statement: CreateTable | InsertInto, mode: Mode
) -> Result:
    """Run the query, write its rows, log its predictions, and write down that it was done, or that it was not."""
    place = (statement.source, statement.table)
    batches, told = Batches(statement.log), list[str]()
    columns = statement.columns if isinstance(statement, InsertInto) else ()
    number = _begun(at, statement)
    try:
        rows = _stepped(
            at, statement, _plain(_query(at, graph, statement, told, batches), columns, at.work.engine)
        )
        done = source.write(Write(statement.table, mode, statement.key), rows)
    except BaseException as error:
        _failed(at, statement, number, error, batches)
        raise
    used, problem = _logged(at, batches, number)
    with at.act().change() as change:
        writes.end(change, number, writes.DONE, at.work.clock.now(), done.rows, done.changed, problem)
        for one in used:
            writes.add_model(change, number, one)
        change.audit("written", ".".join(place), {"write": number, "rows": done.rows})
    told += [n.text + "." for n in done.notices]
    told += [
        loop_words(one.model, ".".join(place), how)
        for one in used
        if (how := learns_from(graph, one.model, place))
    ]
    told += [problem] if problem else []
    return _result(at, statement, number, done, used, told)


def _stepped(
    at: Prompt, statement: CreateTable | InsertInto, rows: pa.RecordBatchReader
) -> pa.RecordBatchReader:
    """The rows, of which each batch is a step that can be the last one: then nothing is written."""
    import pyarrow as pa

    def batches() -> Iterator[pa.RecordBatch]:
        count = 0
        for batch in rows:
            at.progress.step(f"write {statement.source}.{statement.table}", None, f"{count:,} rows")
            count += batch.num_rows
            yield batch

    return pa.RecordBatchReader.from_batches(rows.schema, batches())


def _query(
    at: Prompt, graph: Graph, statement: CreateTable | InsertInto, told: list[str], batches: Batches
) -> pa.RecordBatchReader:
    models = asking.models_of(at.work, at.environment, at.loaded)
    asked = Select(statement.query.sql, statement.query.position)
    one = first.standing(at, asked, graph, models, told)
    return asking.select(
        at.work, graph, at.environment, one.models, one.query, at.limits, told, at.frames, batches.take
    )


def _begun(at: Prompt, statement: CreateTable | InsertInto) -> int:
    """Write down that it begins; the write's number."""
    place, now = (statement.source, statement.table), at.work.clock.now()
    word = "insert" if isinstance(statement, InsertInto) else "replace" if statement.or_replace else "create"
    with at.act().change(now) as change:
        number = writes.begin(change, at.environment, place, word, statement.key, now)
        change.audit("write", ".".join(place), {"write": number, "statement": word})
    return number


def _failed(
    at: Prompt,
    statement: CreateTable | InsertInto,
    number: int,
    error: BaseException,
    batches: Batches,
) -> None:
    """Write down that it failed, or that nobody knows."""
    unsure = isinstance(error, UnsureError)
    words = unforeseen.known(error).message if isinstance(error, Exception) else "interrupted"
    with at.act().change() as change:
        writes.end(
            change, number, writes.UNSURE if unsure else writes.FAILED, at.work.clock.now(), error=words
        )
        for one in batches.unlogged() if unsure else ():
            writes.add_model(change, number, one)
        said = {"write": number, "status": "unsure" if unsure else "failed"}
        change.audit("not written", f"{statement.source}.{statement.table}", said)


def _logged(at: Prompt, batches: Batches, number: int) -> tuple[tuple[Used, ...], str | None]:
    """The predictions in the log; what is wrong when they could not be logged, though they are written."""
    try:
        return batches.write_down(at.work.log, at.environment, number, at.work.clock.now()), None
    except TilthError as error:
        return batches.unlogged(), f"The predictions are written, and could not be logged: {error.message}"


def _plain(rows: pa.RecordBatchReader, columns: Sequence[str], engine: QueryEngine) -> pa.RecordBatchReader:
    """The rows in the types that sources take (`ports.source.Writable`): what has no type of its own is text, or JSON."""
    import pyarrow as pa

    names = _names(rows.schema, columns)
    given = [f"c{i}" for i in range(len(names))]
    inner = pa.RecordBatchReader.from_batches(
        pa.schema(
            [pa.field(g, f.type, metadata=f.metadata) for g, f in zip(given, rows.schema, strict=True)]
        ),
        (b.rename_columns(given) for b in rows),
    )
    listed = ", ".join(f"{_expression(f)} AS {quoted(f.name)}" for f in inner.schema)
    made = engine.stream(f"SELECT {listed} FROM given", {"given": inner})
    fields = [
        pa.field(n, m.type, metadata={JSON: b"true"} if _is_nested(f.type) else None)
        for n, f, m in zip(names, inner.schema, made.schema, strict=True)
    ]
    schema = pa.schema(fields)
    return pa.RecordBatchReader.from_batches(
        schema, (pa.RecordBatch.from_arrays(b.columns, schema=schema) for b in made)
    )


def _names(schema: pa.Schema, columns: Sequence[str]) -> tuple[str, ...]:
    names = tuple(columns or schema.names)
    if len(names) != len(schema.names):
        raise ProjectError(
            f"{len(names)} columns are named, and the query gives {len(schema.names)}.",
            hint="Name each of them, in the query's order.",
        )
    low = [n.lower() for n in names]
    if twice := next((n for n in low if low.count(n) > 1), None):
        raise ProjectError(
            f"The query gives two columns called `{twice}`.", hint=f"Name one otherwise: ... AS {twice}_2."
        )
    return names


def _expression(field: pa.Field) -> str:
    import pyarrow.types as t

    name, kind = quoted(field.name), field.type
    if t.is_null(kind):
        return f"CAST({name} AS VARCHAR)"
    if t.is_timestamp(kind):
        return f"CAST({name} AS {'TIMESTAMPTZ' if kind.tz is not None else 'TIMESTAMP'})"
    if SQL_TYPE in (field.metadata or {}) and not t.is_decimal(kind):
        return f"CAST({name} AS VARCHAR)"
    if t.is_uint64(kind):
        return f"CAST({name} AS DECIMAL(20, 0))"
    return _CAST.get(DataType.OTHER if _is_nested(kind) else data_type(kind), "{0}").format(name)


def _is_nested(kind: pa.DataType) -> bool:
    import pyarrow.types as t

    return bool(t.is_nested(kind))


def _result(
    at: Prompt,
    statement: CreateTable | InsertInto,
    number: int,
    done: Written,
    used: Sequence[Used],
    told: list[str],
) -> Result:
    place = f"{statement.source}.{statement.table}"
    changed = f", {done.changed:,} of them in the place of rows that were there" if done.changed else ""
    lines = [f"{place}: {done.rows:,} row{'s' * (done.rows != 1)} written{changed}."]
    for one in used:
        logged = "all" if one.logged == one.predictions else f"{one.logged:,}"
        lines.append(
            f"  {one.model}@{one.version} answered {one.predictions:,} rows; {logged} logged under the door batch."
        )
    facts = {
        "environment": at.environment,
        "write": number,
        "source": statement.source,
        "table": statement.table,
        "rows": done.rows,
        "changed": done.changed,
        "predictions": [
            {"model": u.model, "version": u.version, "rows": u.predictions, "logged": u.logged} for u in used
        ],
        "notices": list(told),
    }
    return Result(None, "\n".join(lines), facts, told=told)
