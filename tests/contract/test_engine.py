"""The query engine: what it answers, what it refuses, and how it says so."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tilth.adapters.engines.duckdb_engine import DuckDBEngine
from tilth.core.errors import (
    DataError,
    InputError,
    LanguageError,
    Position,
    ResourceLimitError,
    SourceError,
    TilthError,
    UnknownNameError,
    UnsupportedError,
)
from tilth.core.schema import DataType, Field, Schema
from tilth.sql.queries.located import located

TABLE = pa.table({"id": [1, 2, 3], "name": ["a", "b", None]})
SECRET = TABLE


@pytest.fixture
def engine(tmp_path: Path) -> DuckDBEngine:
    return DuckDBEngine([str(tmp_path)])


def _rows(engine: DuckDBEngine, sql: str, **parameters: object) -> list[dict[str, object]]:
    return engine.stream(sql, {"t": TABLE, "s.t": TABLE}, parameters).read_all().to_pylist()


def test_a_table_a_stream_and_files_are_inputs(engine: DuckDBEngine, tmp_path: Path) -> None:
    path = tmp_path / "it's.parquet"
    pq.write_table(TABLE, path)
    inputs = {"a": TABLE, "s.b": TABLE.to_reader(), "f": [str(path)]}
    sql = "SELECT count(*) AS n FROM a JOIN s.b USING (id) JOIN f USING (id)"
    assert engine.stream(sql, inputs).read_all().to_pylist() == [{"n": 3}]


def test_batches_are_at_most_65536_rows(engine: DuckDBEngine) -> None:
    sizes = [b.num_rows for b in engine.stream("SELECT * FROM range(200000)", {})]
    assert sum(sizes) == 200_000
    assert max(sizes) <= 65_536


def test_counts_of_no_rows_are_zero_and_extremes_are_null(engine: DuckDBEngine) -> None:
    asked = "count(*) AS n, coalesce(count_if(id > 1), 0) AS some, max(id) AS top, sum(id) AS total"
    assert _rows(engine, f"SELECT {asked} FROM t WHERE id > 9") == [
        {"n": 0, "some": 0, "top": None, "total": None}
    ]


def test_parameters_are_named_and_surplus_ones_ignored(engine: DuckDBEngine) -> None:
    assert _rows(engine, "SELECT id FROM t WHERE id > $low", low=2, other=1) == [{"id": 3}]
    with pytest.raises(InputError, match="low"):
        _rows(engine, "SELECT id FROM t WHERE id > $low")


MANY = "id, " * 60
PLACED = [  # a query, and the words that the engine's error is about
    ("SELECT id,, x FROM s.t", ","),
    ("SELECT id\n  , x y z FROM s.t", "z"),
    ("SELECT id FROM s.t;\nSELECT 1", None),
    ("SELECT id, nosuch(x) FROM s.t", "nosuch(x)"),
    ("SELECT id\n, 'é', ids FROM s.t", "ids"),
    (f"SELECT {MANY}ids, {MANY}x FROM s.t", "ids"),
    (f"SELECT 1,\n{MANY}\tids, {MANY}x FROM s.t", "ids"),
    ("SELECT\n\t'漢字', 'e\u0301',\tids FROM s.t", "ids"),
    ("SELECT id FROM s.u", "s.u"),
]


@pytest.mark.parametrize(("sql", "about"), PLACED)
def test_what_does_not_bind_is_said_under_its_words(
    engine: DuckDBEngine, sql: str, about: str | None
) -> None:
    schema = Schema((Field("id", DataType.INTEGER), Field("x", DataType.STRING)))
    base = Position(7, 5, 1, "a.sql", f"    {sql.partition(chr(10))[0]}")
    with pytest.raises((LanguageError, UnknownNameError)) as caught:
        engine.check(sql)
        engine.describe(sql, {"s.t": schema}, placed=True)
    where = located(caught.value, sql, base).where
    assert where is not None
    if about is None:
        assert where == base
        return
    rows = [" " * 4 + sql.split("\n", maxsplit=1)[0], *sql.split("\n")[1:]]
    assert rows[where.line - 7][where.column - 1 : where.column - 1 + where.length] == about
    assert (where.file, caught.value.detail) == ("a.sql", ())


def test_describe_reads_no_row(engine: DuckDBEngine) -> None:
    schema = Schema((Field("id", DataType.INTEGER), Field("at", DataType.TIMESTAMP)))
    sql = 'SELECT id, "at", id / 2 AS half, "at"::DATE AS day, id > 1 AS big FROM s.t'
    kinds = [f.type.value for f in engine.describe(sql, {"s.t": schema})]
    assert kinds == ["integer", "timestamp", "float", "date", "boolean"]


@pytest.mark.parametrize(
    ("sql", "error", "says"),
    [
        ("SELECT nam FROM t", UnknownNameError, "name"),
        ("SELECT * FROM nosuch", UnknownNameError, "nosuch"),
        ("SELECT nosuch(1)", UnknownNameError, "nosuch"),
        ("SELEC 1", LanguageError, "SELEC"),
        ("SELECT 1; SELECT 2", LanguageError, "one SELECT"),
        ("SELECT name::INTEGER FROM t", DataError, "TRY_CAST"),
    ],
)
def test_an_error_is_ours_and_has_a_next_step(
    engine: DuckDBEngine, sql: str, error: type[TilthError], says: str
) -> None:
    with pytest.raises(error, match=says):
        _rows(engine, sql)


def test_an_error_shows_no_value_of_the_data(engine: DuckDBEngine) -> None:
    with pytest.raises(DataError) as caught:
        engine.stream("SELECT v::INTEGER FROM t", {"t": pa.table({"v": ["hush-7"]})}).read_all()
    assert "hush" not in str(caught.value)


def test_too_little_memory_is_a_limit(tmp_path: Path) -> None:
    small = DuckDBEngine([str(tmp_path)], memory="20MB")
    with pytest.raises(ResourceLimitError, match="memory"):
        small.stream("SELECT list(i) FROM range(20000000) t(i)", {}).read_all()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM read_parquet('{folder}/other.parquet')",
        "SELECT * FROM SECRET",
        "SELECT * FROM TABLE",
        "SELECT getenv('HOME')",
        "SET threads = 1",
        "SET enable_external_access = true",
        "RESET memory_limit",
        "PRAGMA threads=4",
        "COPY (SELECT 1) TO '{folder}/out.csv'",
        "ATTACH '{folder}/out.db'",
        "INSTALL httpfs",
        "LOAD json",
        "DROP VIEW t",
        "CREATE TABLE u (a INTEGER)",
    ],
)
def test_nothing_but_the_inputs_is_in_reach(engine: DuckDBEngine, tmp_path: Path, sql: str) -> None:
    pq.write_table(TABLE, tmp_path / "other.parquet")
    with pytest.raises(TilthError):
        _rows(engine, sql.format(folder=tmp_path))
    assert [p.name for p in tmp_path.iterdir()] == ["other.parquet"]


def test_a_file_outside_the_folders_is_refused(engine: DuckDBEngine) -> None:
    with pytest.raises(UnsupportedError, match="outside"):
        engine.stream("SELECT * FROM f", {"f": ["/etc/passwd"]})


def test_an_input_that_breaks_off_is_an_error_and_shows_nothing(engine: DuckDBEngine) -> None:
    def batches():
        yield from TABLE.to_batches()
        raise ValueError("hush")

    reader = pa.RecordBatchReader.from_batches(TABLE.schema, batches())
    with pytest.raises(SourceError, match="broke off") as caught:
        engine.stream("SELECT * FROM t", {"t": reader}).read_all()
    assert "hush" not in str(caught.value)


def test_queries_at_the_same_time_each_see_their_own_inputs(engine: DuckDBEngine) -> None:
    tables = [pa.table({"v": range(n, n + 70_000)}) for n in range(4)]
    readers = [
        engine.stream("SELECT a.v FROM s.t a JOIN t b ON a.v = b.v", {"s.t": t, "t": t}) for t in tables
    ]
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(lambda r: r.read_all()["v"].to_pylist(), readers))
    assert [min(f) for f in found] == [0, 1, 2, 3]


def test_one_query_cannot_read_the_inputs_of_another(engine: DuckDBEngine) -> None:
    other = engine.stream("SELECT * FROM s.t", {"s.t": TABLE, "secret": TABLE})
    listed = engine.stream(
        "SELECT database_name, schema_name, view_name FROM duckdb_views() WHERE NOT internal", {}
    )
    for database, schema, view in (r.values() for r in listed.read_all().to_pylist()):
        with pytest.raises(TilthError):
            engine.stream(f'SELECT * FROM "{database}"."{schema}"."{view}"', {}).read_all()
    with pytest.raises(UnknownNameError):
        engine.stream("SELECT * FROM secret", {})
    assert other.read_all().num_rows == 3


def test_nothing_of_a_query_is_left_behind(engine: DuckDBEngine) -> None:
    for sql in ("SELECT * FROM s.t", "SELECT 1 / (id - 3) FROM s.t", "SELECT * FROM s.u"):
        with suppress(TilthError):
            engine.stream(sql, {"s.t": TABLE}).read_all()
    left = engine.stream("SELECT database_name FROM duckdb_databases() WHERE NOT internal", {}).read_all()
    assert left["database_name"].to_pylist() == ["memory"]


def test_times_are_utc_whatever_the_machine_says(engine: DuckDBEngine) -> None:
    sql = "SELECT TIMESTAMPTZ '2024-01-01 00:30:00+02:00'::DATE::VARCHAR AS day"
    assert engine.stream(sql, {}).read_all().to_pylist() == [{"day": "2023-12-31"}]


def test_a_closed_engine_opens_again(engine: DuckDBEngine) -> None:
    engine.stream("SELECT 1", {}).read_all()
    engine.close()
    assert engine.stream("SELECT 1 AS a", {}).read_all().to_pylist() == [{"a": 1}]
