"""What DuckDB files have of their own: files that are none, locks, views that reach out, processes that end, what a column would change."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from tilth.adapters.sources.duckdb.source import DuckDBSource
from tilth.core.errors import (
    BusyError,
    DataError,
    ProjectError,
    SourceError,
    TilthError,
    UnknownNameError,
    UnsupportedError,
)
from tilth.core.scan import Predicate, Scan
from tilth.ports.source import Mode, Write


def made(folder: Path, *statements: str, **options: Any) -> DuckDBSource:
    with duckdb.connect(folder / "x.duckdb") as db:
        for statement in statements:
            db.execute(statement)
    return DuckDBSource.from_options({"path": "x.duckdb", "writable": True, **options}, str(folder))


BAD: dict[str, tuple[bytes | None, str]] = {
    "none": (None, "There is no DuckDB file"),
    "empty": (b"", "not a DuckDB database|could not read"),
    "a text": (b"not a database, whatever its name says" * 900, "not a DuckDB database"),
    "SQLite's": (b"SQLite format 3\0" + bytes(20_000), "not a DuckDB database|could not read"),
    "of a later version": (
        bytes(8) + b"DUCK" + (9999).to_bytes(8, "little") + bytes(20_000),
        "storage version|not a DuckDB|could not read",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_database_says_so(tmp_path: Path, what: str) -> None:
    content, says = BAD[what]
    if content is not None:
        (tmp_path / "x.duckdb").write_bytes(content)
    with pytest.raises(SourceError, match=says) as caught:
        DuckDBSource.from_options({"path": "x.duckdb"}, str(tmp_path)).tables()
    assert caught.value.hint


@pytest.mark.parametrize("seed", range(12))
def test_a_file_with_wrong_bytes_ends_nothing_but_its_process(tmp_path: Path, seed: int) -> None:
    import random

    source, chance = (
        made(tmp_path, "CREATE TABLE t AS SELECT i, 'n' || i AS n FROM range(20000) r(i)"),
        random.Random(seed),
    )
    path = tmp_path / "x.duckdb"
    content = bytearray(path.read_bytes())
    for _ in range(400):
        content[chance.randrange(len(content))] = chance.randrange(256)
    path.write_bytes(content)
    with pytest.raises((SourceError, DataError, UnknownNameError)):
        source.scan(Scan("t")).read_all()


OUTSIDE = (
    "read_csv('{0}', columns = {{'a': 'VARCHAR'}}, header = false)", "read_text('{0}')", "read_blob('{1}')", "glob('/etc/*')", "'{2}'", "read_parquet('{2}')",
)  # fmt: skip


@pytest.mark.parametrize("view", OUTSIDE)
def test_a_view_that_reaches_out_is_refused(tmp_path: Path, view: str) -> None:
    (tmp_path / "a.csv").write_text("hush\n")
    duckdb.sql(f"COPY (SELECT 1 AS a) TO '{tmp_path / 'a.parquet'}'")
    place = view.format(tmp_path / "a.csv", "/etc/passwd", tmp_path / "a.parquet")
    source = made(tmp_path, "CREATE TABLE t AS SELECT 1 AS a", f"CREATE VIEW v AS SELECT * FROM {place}")
    with pytest.raises(TilthError) as caught:
        source.scan(Scan("v")).read_all()
    assert "hush" not in str(caught.value)
    assert source.scan(Scan("t")).read_all().to_pylist() == [{"a": 1}]


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Another process that has the file open for writing."""
    script = (
        f"import duckdb, sys; c = duckdb.connect({str(path)!r}); print('open', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield
    finally:
        process.communicate()


def test_a_file_that_another_process_writes_is_busy_and_then_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tilth.adapters.sources.duckdb.source.PATIENCE", 0.1)
    monkeypatch.setattr("tilth.adapters.sources.duckdb.writing.WAIT", 0.1)
    source, row = (
        made(tmp_path, "CREATE TABLE t AS SELECT 1 AS a"),
        pa.table({"a": pa.array([2], pa.int32())}),
    )
    with held(tmp_path / "x.duckdb"):
        with pytest.raises(BusyError, match="open for writing"):
            source.tables()
        with pytest.raises(BusyError, match="open for writing"):
            source.write(Write("t", Mode.INSERT), row.to_reader())
    assert source.write(Write("t", Mode.INSERT), row.to_reader()).rows == 1
    assert source.scan(Scan("t")).read_all()["a"].to_pylist() == [1, 2]


def test_what_is_read_ends_when_it_is_stopped(tmp_path: Path) -> None:
    import threading

    source = made(
        tmp_path,
        "CREATE VIEW v AS SELECT a.i + b.i AS n FROM range(1000000) a(i), range(1000000) b(i) WHERE a.i * b.i % 7 = 8",
    )
    failed: list[BaseException] = []

    def read() -> None:
        try:
            source.scan(Scan("v")).read_all()
        except SourceError as error:
            failed.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    time.sleep(2)
    source.stop()
    thread.join(10)
    assert not thread.is_alive()
    assert "ended by signal 9" in str(failed[0])
    assert source._processes.working == 0


def test_the_process_is_given_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", "hush")
    from tilth.adapters.sources import processes

    assert "hush" not in str(processes.environment())


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"path": 3}, ProjectError, "needs a path"),
        ({}, ProjectError, "needs a path"),
        ({"path": "x", "pth": 1}, UnknownNameError, "no option `pth`.*`path`"),
    ],
)
def test_options_that_there_are_not(options: dict[str, Any], error: type[TilthError], says: str) -> None:
    with pytest.raises(error) as caught:
        DuckDBSource.from_options(options, "")
    assert re.search(says, str(caught.value), re.DOTALL)


def test_a_schema_of_its_own_and_no_language(tmp_path: Path) -> None:
    source = made(
        tmp_path,
        "CREATE SCHEMA s",
        'CREATE TABLE s."T.x" AS SELECT 1 AS a',
        "CREATE TABLE u AS SELECT 1 AS b",
        schema="s",
    )
    assert source.tables() == ("T.x",)
    assert source.scan(Scan("t.X", ("A",), (Predicate("a", "=", 1),))).read_all().to_pylist() == [{"a": 1}]
    with pytest.raises(UnsupportedError):
        source.native("SELECT 1")


def test_whole_numbers_of_128_bits_are_decimals_or_refused(tmp_path: Path) -> None:
    source = made(
        tmp_path,
        f"CREATE TABLE t AS SELECT {10**38 - 1}::HUGEINT AS a",
        f"CREATE TABLE u AS SELECT {10**38}::HUGEINT AS a",
    )
    assert source.scan(Scan("t")).read_all()["a"].to_pylist() == [Decimal(10**38 - 1)]
    with pytest.raises(DataError, match=r"Column `a` .* more than 38 digits"):
        source.scan(Scan("u")).read_all()


CHANGED: dict[str, tuple[str, pa.Table, type[TilthError], str]] = {
    "fractions for whole numbers": ("n INTEGER", pa.table({"n": [0.5]}), DataError, "`n` is float"),
    "a number that is too large": ("n TINYINT", pa.table({"n": [1000]}), DataError, "TINYINT, would change"),
    "digits that a DECIMAL rounds": ("n DECIMAL(9, 2)", pa.table({"n": [0.125]}), DataError, "would change"),
    "digits that a FLOAT has not": ("n FLOAT", pa.table({"n": [0.1]}), DataError, "FLOAT, would change"),
    "parts of a second": ("n TIMESTAMP_S", pa.table({"n": [datetime(2024, 1, 1, 0, 0, 0, 5)]}), DataError, "would change"),
    "a NULL that may not be": ("m INTEGER NOT NULL, n VARCHAR", pa.table({"n": ["x"]}), DataError, "may not be NULL"),
    "a check of the table": ("n BIGINT CHECK (n < 3)", pa.table({"n": [5]}), DataError, "a constraint"),
    "no such column": ("n BIGINT", pa.table({"m": [5]}), UnknownNameError, "no column `m`"),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGED)
def test_what_a_table_would_change_or_refuse_is_said(tmp_path: Path, what: str) -> None:
    columns, rows, error, says = CHANGED[what]
    source = made(tmp_path, f"CREATE TABLE t ({columns})")
    with pytest.raises(error, match=says):
        source.write(Write("t", Mode.INSERT), rows.to_reader())
    assert source.scan(Scan("t")).read_all().num_rows == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_file_that_may_not_be_written_is_an_error(tmp_path: Path) -> None:
    source = made(tmp_path, "CREATE TABLE t (n BIGINT)")
    (tmp_path / "x.duckdb").chmod(0o400)
    with pytest.raises(SourceError, match="cannot be written"):
        source.write(Write("t", Mode.INSERT), pa.table({"n": [5]}).to_reader())
