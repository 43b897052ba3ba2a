"""Every source that is written to: all rows or none, by the names of columns, and with a KEY once; then what each has of its own."""

import contextlib
import os
import socket
import sqlite3
import stat
import threading
import time as time_of_day
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from adbc_driver_postgresql import dbapi

import servers
from tilth.adapters.sources.duckdb.source import DuckDBSource
from tilth.adapters.sources.files.source import FilesSource
from tilth.adapters.sources.mysql.source import MySqlSource
from tilth.adapters.sources.postgres.source import PostgresSource
from tilth.adapters.sources.sqlite.source import SqliteSource
from tilth.core.errors import (
    BusyError,
    DataError,
    InputError,
    ProjectError,
    SourceError,
    StorageError,
    TilthError,
    UnknownNameError,
    UnsupportedError,
)
from tilth.core.scan import Scan
from tilth.ports.source import JSON, Mode, UnsureError, Write

ROWS = pa.table(
    {
        "id": pa.array([1, 2, 3], pa.int64()),
        "p": pa.array([0.25, None, 1e300], pa.float64()),
        "name": pa.array(["Ann", "", None], pa.string()),
        "yes": pa.array([True, False, None]),
        "day": pa.array([date(2024, 2, 29), None, date(1999, 1, 1)], pa.date32()),
        "at": pa.array(
            [datetime(2024, 1, 1, 10, 0, 0, 123456), datetime(2024, 1, 2), None], pa.timestamp("us")
        ),
    }
)
SPACE = f"writing_{os.getpid()}"  # a schema of this process: others test beside it
MAKE, DROP = f"CREATE SCHEMA {SPACE}", f"DROP SCHEMA IF EXISTS {SPACE} CASCADE"


def run(*statements: str) -> None:
    with dbapi.connect(servers.postgres_url(), autocommit=True) as c, c.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def parquet(folder: Path) -> Any:
    return FilesSource.from_options({"path": "out", "writable": True}, str(folder))


def csv(folder: Path) -> Any:
    return FilesSource.from_options({"path": "out", "writable": True, "writes": "csv"}, str(folder))


def jsonl(folder: Path) -> Any:
    return FilesSource.from_options({"path": "out", "writable": True, "writes": "jsonl"}, str(folder))


def sqlite(folder: Path) -> Any:
    return SqliteSource.from_options({"path": "out.db", "writable": True}, str(folder))


def postgres(folder: Path) -> Any:
    del folder
    run(DROP, MAKE)
    return PostgresSource.from_options({"url": servers.postgres_url(), "schema": SPACE, "writable": True}, "")


def duckdb(folder: Path) -> Any:
    return DuckDBSource.from_options({"path": "out.duckdb", "writable": True}, str(folder))


def mysql(folder: Path) -> Any:
    del folder
    servers.mysql(servers.mysql_url(), f"DROP DATABASE IF EXISTS {SPACE}", f"CREATE DATABASE {SPACE}")
    return MySqlSource.from_options({"url": mysql_url(), "writable": True}, "")


def mysql_url() -> str:
    return servers.mysql_url().replace("/test?", f"/{SPACE}?")


@pytest.fixture(params=[parquet, csv, jsonl, sqlite, duckdb, postgres, mysql], ids=lambda f: f.__name__)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    yield request.param(tmp_path)
    if request.param is postgres:
        run(DROP)
    if request.param is mysql:
        servers.mysql(servers.mysql_url(), f"DROP DATABASE {SPACE}")


def put(source: Any, rows: pa.Table, mode: Mode = Mode.CREATE, *key: str) -> tuple[int, int]:
    done = source.write(Write("writing", mode, key), rows.to_reader())
    return done.rows, done.changed


def kept(source: Any, *columns: str) -> list[tuple[Any, ...]]:
    table = source.scan(Scan("writing", columns or None)).read_all()
    return sorted((tuple(r.values()) for r in table.to_pylist()), key=repr)


def test_a_table_is_made_and_reads_back_as_it_was(source: Any) -> None:
    assert source.tables() == () or "writing" not in source.tables()
    assert put(source, ROWS) == (3, 0)
    found = kept(source, *ROWS.column_names)
    assert found == sorted((tuple(r.values()) for r in ROWS.to_pylist()), key=repr)
    assert [f.type.value for f in source.describe("writing")] == [
        "integer", "float", "string", "boolean", "date", "timestamp",
    ]  # fmt: skip


def test_a_table_that_is_there_is_not_made_again(source: Any) -> None:
    put(source, ROWS)
    with pytest.raises(ProjectError, match="`writing` is there already"):
        put(source, ROWS.slice(0, 1))
    assert len(kept(source, "id")) == 3


def test_a_table_is_replaced_with_its_columns(source: Any) -> None:
    put(source, ROWS)
    assert put(source, pa.table({"other": pa.array([7], pa.int64())}), Mode.REPLACE) == (1, 0)
    assert kept(source) == [(7,)]


def test_rows_are_added_by_the_names_of_their_columns(source: Any) -> None:
    put(source, ROWS)
    more = pa.table({"NAME": ["Bo"], "Id": pa.array([1], pa.int64())})
    assert put(source, more, Mode.INSERT) == (1, 0)
    assert [r for r in kept(source, "id", "name", "p") if r[1] == "Bo"] == [(1, "Bo", None)]
    assert len(kept(source, "id")) == 4


def test_with_a_key_the_effect_is_once(source: Any) -> None:
    put(source, ROWS, Mode.CREATE, "id")
    more = pa.table({"id": pa.array([2, 9], pa.int64()), "p": [0.5, 0.75]})
    assert put(source, more, Mode.INSERT, "ID") == (2, 1)
    once = kept(source)
    assert put(source, more, Mode.INSERT, "id") == (2, 2)
    assert kept(source) == once
    assert kept(source, "id", "name", "p") == sorted(
        [(1, "Ann", 0.25), (2, "", 0.5), (3, None, 1e300), (9, None, 0.75)], key=repr
    )


def test_a_key_alone_adds_only_what_is_not_there(source: Any) -> None:
    put(source, ROWS)
    assert put(source, pa.table({"id": pa.array([3, 4], pa.int64())}), Mode.INSERT, "id") == (2, 1)
    assert kept(source, "id") == [(1,), (2,), (3,), (4,)]


def test_no_rows_make_an_empty_table(source: Any) -> None:
    if isinstance(source, FilesSource) and source._writes == "jsonl":
        with pytest.raises(DataError, match="without any has no columns"):
            put(source, ROWS.slice(0, 0))
        assert source.tables() == ()
        return
    assert put(source, ROWS.slice(0, 0)) == (0, 0)
    assert put(source, ROWS.slice(0, 0), Mode.INSERT, "id") == (0, 0)
    assert kept(source, "id") == []
    assert put(source, ROWS, Mode.INSERT, "id") == (3, 0)
    assert kept(source, *ROWS.column_names) == sorted((tuple(r.values()) for r in ROWS.to_pylist()), key=repr)


def ids(*values: int | None) -> pa.Table:
    return pa.table({"id": pa.array(values, pa.int64())})


REFUSED: dict[str, tuple[pa.Table, Mode, tuple[str, ...], type[TilthError], str]] = {
    "a column that is not there": (
        pa.table({"idd": [1]}),
        Mode.INSERT,
        (),
        UnknownNameError,
        "has no column `idd`",
    ),
    "a key that the rows lack": (ids(1), Mode.INSERT, ("p",), UnknownNameError, "KEY names `p`"),
    "a key that is NULL": (
        ids(1, None, None),
        Mode.INSERT,
        ("id",),
        DataError,
        "2 rows of the query have NULL",
    ),
    "a key twice": (ids(1, 5, 5), Mode.INSERT, ("id",), DataError, "1 key of the query has several rows"),
    "a key twice in a new table": (ids(5, 5), Mode.REPLACE, ("id",), DataError, "several rows"),
    "a key that is NULL in a new table": (ids(None), Mode.REPLACE, ("id",), DataError, "has NULL there"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_written_changes_nothing(source: Any, what: str) -> None:
    put(source, ROWS)
    before = kept(source)
    rows, mode, key, error, words = REFUSED[what]
    with pytest.raises(error, match=words):
        put(source, rows, mode, *key)
    assert kept(source) == before


def test_a_key_that_rows_of_the_table_share_is_ambiguous(source: Any) -> None:
    put(source, pa.concat_tables([ROWS, ROWS.slice(0, 1)]))
    before = kept(source)
    with pytest.raises(DataError, match="several rows for one KEY"):
        put(source, ids(1), Mode.INSERT, "id")
    assert kept(source) == before


@pytest.mark.parametrize("mode", Mode)
def test_an_error_of_the_rows_is_told_as_it_is_and_nothing_stays(source: Any, mode: Mode) -> None:
    if mode is not Mode.CREATE:
        put(source, ROWS)

    def broken() -> Iterator[pa.RecordBatch]:
        yield from ROWS.to_batches()
        raise InputError("The model does not take this.", hint="Give it what it takes.")

    with pytest.raises(InputError, match="does not take this"):
        source.write(Write("writing", mode), pa.RecordBatchReader.from_batches(ROWS.schema, broken()))
    assert ("writing" in source.tables()) is (mode is not Mode.CREATE)
    if mode is not Mode.CREATE:
        assert len(kept(source, "id")) == 3


def test_whoever_interrupts_leaves_it_as_it_was(source: Any) -> None:
    put(source, ROWS)

    def stopped() -> Iterator[pa.RecordBatch]:
        yield from ROWS.to_batches()
        raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, TilthError)):
        source.write(Write("writing", Mode.INSERT), pa.RecordBatchReader.from_batches(ROWS.schema, stopped()))
    assert len(kept(source, "id")) == 3


def test_rows_of_the_table_itself_can_be_added_to_it(source: Any) -> None:
    put(source, ROWS)
    rows = source.scan(Scan("writing", ("id", "name")))
    assert source.write(Write("writing", Mode.INSERT), rows).rows == 3
    assert len(kept(source, "id")) == 6


def test_two_who_write_at_once_both_do(source: Any) -> None:
    put(source, ROWS, Mode.CREATE, "id")
    failed: list[Exception] = []

    def add(first: int) -> None:
        try:
            for n in range(5):
                put(source, ids(first + n), Mode.INSERT, "id")
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=add, args=(start,)) for start in (100, 200)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert not failed
    assert len(kept(source, "id")) == 13


def test_all_types_become_what_the_source_has_for_them(source: Any) -> None:
    nested = pa.field("shares", pa.string(), metadata={JSON: b"true"})
    rows = pa.Table.from_arrays(
        [
            pa.array(['{"a":0.5}']),
            pa.array([Decimal("12.50")], pa.decimal128(10, 2)),
            pa.array([time(10, 30)], pa.time64("us")),
            pa.array([datetime(2024, 1, 1, 9, tzinfo=UTC)], pa.timestamp("us", "UTC")),
        ],
        schema=pa.schema(
            [
                nested,
                ("price", pa.decimal128(10, 2)),
                ("t", pa.time64("us")),
                ("z", pa.timestamp("us", "UTC")),
            ]
        ),
    )
    put(source, rows)
    shares, price, at, moment = kept(source, "shares", "price", "t", "z")[0]
    assert "0.5" in str(shares)
    assert float(price) == 12.5
    assert str(at).startswith("10:30")
    assert str(moment).startswith("2024-01-01 09:00:00")


@pytest.mark.parametrize("options", [{"writable": "yes"}, {"writable": 1}, {"writable": None}])
@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (FilesSource, {"path": "x"}),
        (SqliteSource, {"path": "x.db"}),
        (DuckDBSource, {"path": "x.duckdb"}),
        (PostgresSource, {"url": "postgresql://h/d"}),
        (MySqlSource, {"url": "mysql://h/d"}),
    ],
    ids=lambda v: getattr(v, "__name__", ""),
)
def test_writable_is_true_or_false(
    kind: Any, given: dict[str, object], options: dict[str, object], tmp_path: Path
) -> None:
    with pytest.raises(ProjectError, match="`writable` is true or false"):
        kind.from_options(given | options, str(tmp_path))


# --- files -------------------------------------------------------------------------------------------------


NAMES = ["a/b", "../b", ".hidden", "_marks", "", "x\ny", "n" * 120, "ä"]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_has_a_plain_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(ProjectError, match="cannot be the name of a file"):
        parquet(tmp_path).write(Write(name, Mode.CREATE), ROWS.to_reader())
    assert list((tmp_path / "out").iterdir()) == []


def _folder_of_files(folder: Path) -> None:
    (folder / "out" / "writing").mkdir(parents=True)
    (folder / "out" / "writing" / "one.csv").write_text("id,p\n1,0.5\n")


def _packed(folder: Path) -> None:
    import gzip

    (folder / "out").mkdir()
    (folder / "out" / "writing.csv.gz").write_bytes(gzip.compress(b"id,p\n1,0.5\n"))


def _broken(folder: Path) -> None:
    (folder / "out").mkdir()
    lines = "".join(f"{n},0.5\n" for n in range(50))
    (folder / "out" / "writing.csv").write_text(f"id,p\n{lines}7,0.5,9,9\n")


def _link_out(folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "elsewhere.csv").write_text("id,p\n1,0.5\n")
    (folder / "out" / "writing.csv").symlink_to(folder.parent / "gone.csv")
    (folder.parent / "gone.csv").write_text("id,p\n1,0.5\n")


FILES: dict[str, tuple[Callable[[Path], None], Mode, tuple[str, ...], type[TilthError], str]] = {
    "a folder with a key": (_folder_of_files, Mode.INSERT, ("id",), UnsupportedError, "a folder of 1 file"),
    "a folder that is to be replaced": (
        _folder_of_files,
        Mode.REPLACE,
        (),
        UnsupportedError,
        "cannot be replaced",
    ),
    "a compressed file": (_packed, Mode.INSERT, (), UnsupportedError, "compressed"),
    "a file with broken lines": (_broken, Mode.INSERT, (), DataError, "they would be lost"),
    "a link that leads out": (_link_out, Mode.INSERT, (), ProjectError, "leads out"),
}


@pytest.mark.parametrize("what", FILES)
def test_files_that_cannot_be_written_in_one_step_stay(tmp_path: Path, what: str) -> None:
    make, mode, key, error, words = FILES[what]
    make(tmp_path)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    with pytest.raises(error, match=words):
        parquet(tmp_path).write(Write("writing", mode, key), ids(5).to_reader())
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_a_folder_gets_one_more_file_with_the_columns_of_the_table(tmp_path: Path) -> None:
    _folder_of_files(tmp_path)
    assert put(parquet(tmp_path), ids(5), Mode.INSERT) == (1, 0)
    assert kept(parquet(tmp_path), "id", "p") == [(1, 0.5), (5, None)]
    assert len(list((tmp_path / "out" / "writing").iterdir())) == 2


def test_a_file_read_with_a_format_of_its_own_is_not_written_in_ours(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "writing.csv").write_text("id;p\n1;0,5\n")
    source = FilesSource.from_options(
        {"path": "out", "writable": True, "format": {"delimiter": ";", "decimal": ","}}, str(tmp_path)
    )
    with pytest.raises(UnsupportedError, match="read with delimiter, decimal"):
        put(source, ids(5), Mode.INSERT)


def test_a_file_keeps_its_mode_and_no_other_file_stays(tmp_path: Path) -> None:
    source = csv(tmp_path)
    put(source, ROWS)
    path = tmp_path / "out" / "writing.csv"
    path.chmod(0o640)
    put(source, ids(7), Mode.INSERT)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["writing.csv"]


def test_what_a_text_file_is_not_read_as_again_is_told(tmp_path: Path) -> None:
    done = csv(tmp_path).write(
        Write("writing", Mode.CREATE), pa.table({"zip": ["10115", "80331"]}).to_reader()
    )
    (notice,) = done.notices
    assert notice.text == "`zip` was written as string and is read as integer"
    assert notice.option == "tables = {writing: {types: {zip: 'VARCHAR'}}}"


@pytest.mark.parametrize(
    ("writes", "form", "unlike"),
    [
        ("csv", {"delimiter": ";"}, "delimiter"),
        ("csv", {"delimiter": ";", "decimal": ",", "types": {"id": "BIGINT"}}, "delimiter, decimal"),
        ("csv", {"dateformat": "%d/%m/%Y"}, "dateformat"),
        ("csv", {"nulls": ["NA"]}, "nulls"),
        ("csv", {"encoding": "cp1252"}, "encoding"),
        ("csv", {"header": False}, "header"),
        ("jsonl", {"timestampformat": "%d/%m/%Y %H"}, "timestampformat"),
        ("csv", {"delimiter": ",", "decimal": ".", "encoding": "UTF8", "header": True, "misfits": "null"}, ""),
        ("jsonl", {"types": {"id": "BIGINT"}}, ""),
        ("jsonl", {"delimiter": ";"}, "delimiter"),
        ("parquet", {"delimiter": ";", "decimal": ","}, "delimiter, decimal"),
    ],
)  # fmt: skip
def test_a_file_is_not_written_otherwise_than_its_source_reads_it(
    tmp_path: Path, writes: str, form: dict[str, object], unlike: str
) -> None:
    source = FilesSource.from_options(
        {"path": "out", "writable": True, "writes": writes, "format": form}, str(tmp_path)
    )
    rows = pa.table({"id": [1, 2], "x": [0.5, 1.5]})
    if not unlike:
        assert put(source, rows) == (2, 0)
        assert kept(source, "id", "x") == [(1, 0.5), (2, 1.5)]
        return
    with pytest.raises(UnsupportedError, match=f"with {unlike}, and tilth writes {writes}") as refused:
        put(source, rows)
    assert "CREATE SOURCE results" in (refused.value.hint or "")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_file_of_texts_holds_no_bytes(tmp_path: Path) -> None:
    for made in (csv, jsonl):
        with pytest.raises(DataError, match="holds no bytes"):
            put(made(tmp_path), pa.table({"b": [b"x"]}))
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir(mode=0o500)
    with pytest.raises(StorageError, match="cannot be written"):
        put(parquet(tmp_path), ROWS)


def test_a_path_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("id\n1\n")
    source = FilesSource.from_options({"path": "one.csv", "writable": True}, str(tmp_path))
    with pytest.raises(UnsupportedError, match="no folder"):
        put(source, ROWS)


@pytest.mark.parametrize("writes", ["xml", 3, None, ""])
def test_what_new_files_are_is_one_of_three(tmp_path: Path, writes: object) -> None:
    with pytest.raises(ProjectError, match="one of parquet, csv, jsonl"):
        FilesSource.from_options({"path": "out", "writable": True, "writes": writes}, str(tmp_path))


# --- databases ---------------------------------------------------------------------------------------------


LITE: dict[str, tuple[str, pa.Table, type[TilthError], str]] = {
    "texts for whole numbers": ("id INTEGER, n INTEGER", pa.table({"n": ["x"]}), DataError, "`n` is string"),
    "fractions for whole numbers": ("id INTEGER, n INTEGER", pa.table({"n": [0.5]}), DataError, "`n` is float"),
    "a NULL that may not be": ("id INTEGER, n INTEGER NOT NULL", ids(5), DataError, "SQLite did not take"),
    "a check of the table": ("id INTEGER CHECK (id < 3)", ids(5), DataError, "SQLite did not take"),
    "a strict type": ("id INTEGER, n ANY", pa.table({"m": [1]}), UnknownNameError, "no column `m`"),
}  # fmt: skip


@pytest.mark.parametrize("what", LITE)
def test_what_sqlite_would_take_or_not_is_said(tmp_path: Path, what: str) -> None:
    columns, rows, error, words = LITE[what]
    with closing(sqlite3.connect(tmp_path / "out.db")) as db, db:
        db.execute(f"CREATE TABLE writing ({columns})")
    with pytest.raises(error, match=words):
        put(sqlite(tmp_path), rows, Mode.INSERT)
    assert kept(sqlite(tmp_path), "id") == []


def test_times_that_are_numbers_in_sqlite_are_not_mixed_with_texts(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "out.db")) as db, db:
        db.execute("CREATE TABLE writing (at TIMESTAMP)")
        db.execute("INSERT INTO writing VALUES (1700000000)")
    with pytest.raises(DataError, match=r"keeps its times as numbers \(seconds\)"):
        put(sqlite(tmp_path), ROWS.select(["at"]), Mode.INSERT)


def test_what_sqlite_cannot_keep_is_counted(tmp_path: Path) -> None:
    rows = pa.table(
        {
            "x": pa.array([float("nan"), 1.0], pa.float64()),
            "d": pa.array([Decimal("0.12345678901234567890"), Decimal("1.5")], pa.decimal128(38, 20)),
        }
    )
    done = sqlite(tmp_path).write(Write("writing", Mode.CREATE), rows.to_reader())
    assert [n.text for n in done.notices] == [
        "1 x NaN of `x`, which became NULL",
        "1 x a decimal of `d`, kept as REAL, lost digits",
    ]


def test_a_sqlite_database_that_somebody_writes_is_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tilth.adapters.sources.sqlite.writing.WAIT", 0.2)
    put(sqlite(tmp_path), ROWS)
    with closing(sqlite3.connect(tmp_path / "out.db", isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        with pytest.raises(BusyError, match="Somebody else"):
            put(sqlite(tmp_path), ids(9), Mode.INSERT)
    assert put(sqlite(tmp_path), ids(9), Mode.INSERT) == (1, 0)


PG: dict[str, tuple[str, pa.Table, tuple[str, ...], type[TilthError], str]] = {
    "fractions for whole numbers": ("id bigint, n int", pa.table({"n": [0.5]}), (), DataError, "would be rounded"),
    "a NULL that may not be": ("id bigint, n int NOT NULL", ids(5), (), DataError, "may not be NULL: `n`"),
    "a check of the table": ("id bigint CHECK (id < 3)", ids(5), (), DataError, "does not hold: `writing_id_check`"),
    "a text that is too long": ("id bigint, c varchar(3)", pa.table({"c": ["abcd"]}), (), DataError, "longer"),
    "a unique row": ("id bigint UNIQUE", pa.concat_tables([ids(5), ids(5)]), (), DataError, "is there: `writing_id_key`"),
    "a constraint that is looked at last": (
        "id bigint UNIQUE DEFERRABLE INITIALLY DEFERRED", pa.concat_tables([ids(5), ids(5)]), (), DataError, "unique"),
    "a number that is too large": ("id smallint", ids(10**6), (), DataError, "too large"),
    "a text for a number": ("id bigint, n int", pa.table({"n": ["x"]}), (), DataError, "is of type integer"),
    "a key of another type": ("id bigint", pa.table({"id": ["x"]}), ("id",), DataError, "another type .* bigint = text"),
    "no uuid": ("id bigint, u uuid", pa.table({"u": ["x"]}), (), DataError, "not of its column's type"),
}  # fmt: skip


@pytest.mark.parametrize("what", PG)
def test_what_postgres_does_not_take_is_said_without_its_values(tmp_path: Path, what: str) -> None:
    columns, rows, key, error, words = PG[what]
    source = postgres(tmp_path)
    run(f"CREATE TABLE {SPACE}.writing ({columns})")
    with pytest.raises(error, match=words) as told:
        put(source, rows, Mode.INSERT, *key)
    assert "abcd" not in str(told.value)
    assert kept(source, "id") == []


def test_json_and_uuids_find_their_columns_in_postgres(tmp_path: Path) -> None:
    source = postgres(tmp_path)
    run(f"CREATE TABLE {SPACE}.writing (u uuid PRIMARY KEY, j json, b jsonb)")
    one = "0f8fad5b-d9cb-469f-a165-70867728950e"
    rows = pa.table({"u": [one], "j": ['{"a":1}'], "b": ['{"a":1}']})
    assert put(source, rows, Mode.INSERT, "u") == (1, 0)
    assert put(source, rows, Mode.INSERT, "u") == (1, 1)
    assert kept(source, "u", "b") == [(one, '{"a": 1}')]


def test_a_table_that_views_read_is_not_replaced(tmp_path: Path) -> None:
    source = postgres(tmp_path)
    put(source, ROWS)
    run(f"CREATE VIEW {SPACE}.writing_view AS SELECT id FROM {SPACE}.writing")
    with pytest.raises(SourceError, match="Other objects depend on"):
        put(source, ids(1), Mode.REPLACE)
    assert len(kept(source, "id")) == 3


def test_a_table_that_somebody_holds_is_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tilth.adapters.sources.postgres.writing.WAIT", "300ms")
    source = postgres(tmp_path)
    put(source, ROWS)
    with dbapi.connect(servers.postgres_url()) as c, c.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {SPACE}.writing IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(BusyError, match="Somebody else holds"):
            put(source, ids(9), Mode.INSERT, "id")
        c.rollback()


def test_a_role_that_may_only_read_is_told_what_to_grant(tmp_path: Path) -> None:
    source = postgres(tmp_path)
    put(source, ROWS)
    run(
        f"DROP ROLE IF EXISTS {SPACE}",
        f"CREATE ROLE {SPACE} LOGIN PASSWORD 'x'",
        f"GRANT USAGE ON SCHEMA {SPACE} TO {SPACE}",
        f"GRANT SELECT ON {SPACE}.writing TO {SPACE}",
    )
    at = servers.postgres_url().partition("@")[2]
    url = f"postgresql://{SPACE}@{at}"
    try:
        reader = PostgresSource.from_options(
            {"url": url, "password": "x", "schema": SPACE, "writable": True}, ""
        )
        with pytest.raises(SourceError, match="permission denied") as told:
            put(reader, ids(9), Mode.INSERT)
        assert "GRANT INSERT" in str(told.value)
    finally:
        run(DROP, f"DROP ROLE {SPACE}")


@pytest.mark.parametrize("at", [0, 5, 19])
def test_a_connection_that_ends_while_rows_are_on_their_way_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    mark = f"gone{os.getpid()}"  # others write beside this test
    monkeypatch.setattr("tilth.adapters.sources.postgres.writing.secrets.token_hex", lambda _: mark)
    source = postgres(tmp_path)
    put(source, ids(-1))

    def batches() -> Iterator[pa.RecordBatch]:
        for number in range(20):
            if number == at:
                run(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    f" WHERE pid <> pg_backend_pid() AND query LIKE '%tilth_rows_{mark}%'"
                )
            yield pa.record_batch({"id": pa.array(range(number * 1000, number * 1000 + 1000), pa.int64())})

    rows = pa.RecordBatchReader.from_batches(pa.schema([("id", pa.int64())]), batches())
    with pytest.raises(SourceError, match=r"ended the connection .* Nothing was written"):
        source.write(Write("writing", Mode.INSERT, ("id",)), rows)
    assert kept(source, "id") == [(-1,)]


def test_a_server_that_goes_away_while_it_keeps_the_rows_leaves_a_doubt_that_is_told() -> None:
    server = servers.private_postgres()
    from tilth.adapters.sources.postgres import writing

    source = PostgresSource.from_options({"url": server.url, "writable": True}, "")
    before = writing.Writer._keep

    def gone(self: Any, table: str) -> None:
        server.kill()
        for _ in range(200):
            with (
                contextlib.suppress(ConnectionError),
                socket.create_connection(("127.0.0.1", server.port), 1),
            ):
                time_of_day.sleep(0.05)
                continue
            break
        before(self, table)

    try:
        writing.Writer._keep = gone  # type: ignore[method-assign]
        with pytest.raises(UnsureError, match="they are there, or none of them is"):
            put(source, ROWS)
    finally:
        writing.Writer._keep = before  # type: ignore[method-assign]
