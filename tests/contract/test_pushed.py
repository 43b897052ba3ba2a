"""A scan's predicates agree with DuckDB's over the whole table, whatever the cells are: none is lost, none wrongly kept."""

import sqlite3
from contextlib import closing
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

import servers
from tilth.adapters.engines.duckdb_engine import DuckDBEngine
from tilth.adapters.sources.mysql.source import MySqlSource
from tilth.adapters.sources.postgres.source import PostgresSource
from tilth.adapters.sources.sqlite.source import SqliteSource
from tilth.core.scan import Predicate, Scan
from tilth.ports.predicates import condition

OPS = ("=", "<>", "<", "<=", ">", ">=")
NUMBERS: tuple[Any, ...] = (0, 1, -5, 2.5, 2**53, 2**53 + 1, 1e10, float("inf"))
TIMES: tuple[Any, ...] = (
    datetime(2024, 1, 1),
    datetime(2024, 1, 1, 10),
    date(2024, 1, 1),
    datetime(1970, 1, 1),
    datetime(9999, 12, 31),
)
VALUES: dict[str, tuple[Any, ...]] = {
    "n": NUMBERS,
    "f": NUMBERS,
    "d": NUMBERS,
    "s": ("", "a", "B", "10"),
    "b": (True, False),
    "at": TIMES,
    "day": (date(2024, 1, 1), date(1970, 1, 1), date(9999, 12, 31)),
}
SQLITE = """
CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, f REAL, d NUMERIC, s TEXT, b BOOLEAN, at TIMESTAMP, day DATE, w TEXT);
INSERT INTO t (n, f, d, s, b, at, day, w) VALUES
  (1, 1.0, 1, 'a', 1, '2024-01-01', '2024-01-01', '1'),
  (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  (9007199254740993, 9e999, 2.5, '', 0, '2024-01-01 10:00:00', '1970-01-01', '9007199254740993'),
  (-5, -9e999, -5, 'B', 'yes', '2024-01-01 10:00:00+02:00', '9999-12-31', '-5'),
  ('', 2.5, 0, 'a', 1, '2024-01-01', '2024-01-01', '2'),
  (2, '', 0, 'a', 1, '2024-01-01', '2024-01-01', '2'),
  (2, 2, 'x', 'a', 1, '2024-01-01', '2024-01-01', '2'),
  (2, 2, 9007199254740993, 'a', 1, '2024-01-01', '2024-01-01', '2'),
  (2, 2, 2, x'61', 1, '2024-01-01', '2024-01-01', '2'),
  (2, 2, 2, 'a', 'maybe', '2024-01-01', '2024-01-01', '2'),
  (2, 2, 2, 'a', 1, 'soon', '2024-01-01', '2'),
  (2, 2, 2, 'a', 1, '', '2024-01-01', '2'),
  (2, 2, 2, 'a', 1, '2024-01-01', '2024-01-01 10:00', '2'),
  (1.5, 0, 0, '10', 0, '9999-12-31 00:00:00', '2024-01-02', 'x'),
  (0, 0, 0, '10', 0, '9999-12-31 00:00:00', '2024-01-02', '10');
"""
POSTGRES = """
CREATE TABLE $.t (id int, n numeric(18,0), f float8, d numeric(9,2), s text, b boolean, at timestamp, day date, w timestamptz, free numeric);
INSERT INTO $.t VALUES
  (1, 1, 1.0, 1, 'a', true, '2024-01-01', '2024-01-01', '2024-01-01', 1),
  (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  (3, 'NaN', 'NaN', 'NaN', '', false, 'infinity', 'infinity', 'infinity', 'NaN'),
  (4, 9007199254740993, 'infinity', 2.5, 'B', true, '-infinity', '-infinity', '-infinity', 'infinity'),
  (5, -5, '-infinity', -5, '10', true, '2024-01-01 10:00', '1970-01-01', '2024-01-01 12:00+02', '-infinity'),
  (6, 0, 0, 0, 'a', false, '9999-12-31', '9999-12-31', '1970-01-01', 2.5)
"""


MYSQL = """
CREATE TABLE t (id int, n bigint, u bigint unsigned, f double, r float, d decimal(9,2), w decimal(50,2), s varchar(9), e enum('a', 'B', ''),
  l varchar(9) character set latin1 collate latin1_swedish_ci, b boolean, x bit(1), at datetime(6), z timestamp(6) null, day date, y year,
  j json) character set utf8mb4 collate utf8mb4_general_ci;
INSERT INTO t VALUES
  (1, 1, 1, 1.0, 0.1, 1, 1, 'a', 'a', 'a', true, b'1', '2024-01-01', '2024-01-01', '2024-01-01', 2024, '"a"'),
  (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  (3, 9007199254740993, 9007199254740993, 1e308, 0, 2.5, 9007199254740992, '', '', '', false, b'0', '0000-00-00', '0000-00-00', '0000-00-00', 0, '{}'),
  (4, -5, 0, -5, -5, -5, -5, 'B', 'B', 'B', true, b'1', '2024-02-31', '2024-01-01 10:00', '2024-05-00', 1970, '10'),
  (5, 0, 0, 0, 0, 0, 2.5, '10', 'a', '10', false, b'0', '9999-12-31', '2024-01-01 12:00', '9999-12-31', 1999, '1'),
  (6, 2, 2, 2.5, 2.5, 0, 0, 'A ', 'a', 'A', false, b'0', '2024-01-01 10:00', '1970-01-02', '1970-01-01', 2000, '0'),
  (7, 2, 2, 2.5, 2.5, 0, 0, 'ä', 'a', 'ä', false, b'0', '2024-01-01 10:00', '1970-01-02', '1970-01-01', 2000, '0'),
  (8, 2, 2, 2.5, 2.5, 0, 0, 'a ', 'a', 'a ', false, b'0', '2024-01-01 10:00', '1970-01-02', '1970-01-01', 2000, '0')
"""


def predicates(columns: dict[str, tuple[Any, ...]]) -> list[Predicate]:
    out = []
    for name, values in columns.items():
        out += [Predicate(name, "is_null"), Predicate(name, "is_not_null"), Predicate(name, "in", values)]
        out += [Predicate(name, op, v) for v in values for op in (OPS if name != "b" else OPS[:2])]
    return out


def agrees(source: Any, wheres: list[Predicate]) -> None:
    whole = source.scan(Scan("t")).read_all()
    tests = ", ".join(f"list(id ORDER BY id) FILTER ({condition(w)}) AS w{i}" for i, w in enumerate(wheres))
    (expected,) = DuckDBEngine().stream(f"SELECT {tests} FROM t", {"t": whole}).read_all().to_pylist()
    for i, where in enumerate(wheres):
        found = source.scan(Scan("t", ("id",), (where,))).read_all()
        assert (where, sorted(found["id"].to_pylist())) == (where, expected[f"w{i}"] or [])


class _Whole:
    """The source, of which every scan reads all columns."""

    def __init__(self, source: Any) -> None:
        self._source = source

    def scan(self, scan: Scan) -> Any:
        return self._source.scan(Scan(scan.table, None, scan.where))


@pytest.mark.parametrize("misfits", ["quarantine", "null"])
def test_sqlite(tmp_path: Path, misfits: str) -> None:
    with closing(sqlite3.connect(tmp_path / "x.db")) as db:
        db.executescript(SQLITE)
    options = {"path": "x.db", "misfits": misfits, "tables": {"t": {"types": {"w": "BIGINT"}}}}
    source = SqliteSource.from_options(options, str(tmp_path))
    wheres = predicates({**VALUES, "w": NUMBERS})
    assert len(wheres) > 200
    if (
        misfits == "quarantine"
    ):  # a scan leaves out only rows with a misfit in what it reads: have it read all
        source = _Whole(source)
    agrees(source, wheres)


@pytest.mark.parametrize("misfits", ["quarantine", "null"])
def test_sqlite_reads_and_tells_each_row_once(tmp_path: Path, misfits: str) -> None:
    """Rows that a scan leaves out are exactly those that `broken` gives, column by column."""
    with closing(sqlite3.connect(tmp_path / "x.db")) as db:
        db.executescript(SQLITE)
        ids = [r[0] for r in db.execute("SELECT id FROM t")]
    source = SqliteSource.from_options({"path": "x.db", "misfits": misfits}, str(tmp_path))
    for name in VALUES:
        scan = Scan("t", ("id", name))
        read = source.scan(scan).read_all()["id"].to_pylist()
        told = source.broken(scan)["line"].to_pylist()
        assert sorted([*read, *told]) == ids
        assert bool(told) == (misfits == "quarantine")


@pytest.mark.parametrize(
    ("where", "lines"),
    [
        ((), [5, 14]),
        ((Predicate("id", "<", 10),), [5]),
        ((Predicate("n", ">", 100),), [5, 14]),  # what does not fit is not compared
        ((Predicate("at", ">=", datetime(2025, 1, 1)),), [11, 12, 14]),
        ((Predicate("at", "is_null"),), [11, 12]),
        ((Predicate("at", "is_null"), Predicate("id", "=", 12)), [12]),
    ],
)
def test_broken_rows_are_those_that_the_predicates_let_through(
    tmp_path: Path, where: tuple[Predicate, ...], lines: list[int]
) -> None:
    with closing(sqlite3.connect(tmp_path / "x.db")) as db:
        db.executescript(SQLITE)
    source = SqliteSource.from_options({"path": "x.db"}, str(tmp_path))
    columns = ("id", "n") if not any(w.op == "is_null" for w in where) else ("id",)
    assert source.broken(Scan("t", columns, where))["line"].to_pylist() == lines


def test_postgres(postgres_schema: str, postgres_url: str, postgres_run: Any) -> None:
    postgres_run(*POSTGRES.replace("$", postgres_schema).split(";\n"))
    source = PostgresSource.from_options({"url": postgres_url, "schema": postgres_schema}, "")
    agrees(source, predicates({**VALUES, "w": TIMES, "free": NUMBERS}))


def test_mysql(mysql_url: str) -> None:
    servers.mysql(
        mysql_url, "SET sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'", *MYSQL.split(";\n")
    )
    source = MySqlSource.from_options({"url": mysql_url}, "")
    texts = ("", "a", "A", "B", "a ", "ä", "10", "it's", "\\", '"a"')
    times = (*TIMES, "2024-01-01", "2024-01-01 10:00:00", "2024-01-01T10:00:00")
    columns = {
        **VALUES, "s": texts, "e": texts, "l": texts, "j": texts, "u": NUMBERS, "r": (*NUMBERS, 0.1), "w": NUMBERS, "x": (True, False),
        "at": times, "z": times, "day": (*VALUES["day"], datetime(2024, 1, 1, 10), "2024-01-01"), "y": NUMBERS,
        "n": (*NUMBERS, float("-inf")), "f": (*NUMBERS, float("-inf")),
    }  # fmt: skip
    agrees(source, predicates(columns))


def test_mysql_uses_an_index_where_a_text_is_compared(mysql_url: str) -> None:
    servers.mysql(
        mysql_url,
        "CREATE TABLE t (s varchar(20), INDEX (s))",
        "INSERT INTO t SELECT concat('k', seq) FROM seq_1_to_5000",
    )
    source = MySqlSource.from_options({"url": mysql_url}, "")
    column = source._columns(source._session(), "t")[0]
    test = column.test(Predicate("s", "=", "k77"))
    ((*_, kind, _, _key, _, _, rows, _),) = servers.mysql(
        mysql_url, "SET sql_mode = 'ANSI_QUOTES'", f"EXPLAIN SELECT s FROM t WHERE {test}"
    )
    assert (kind, int(rows)) != ("ALL", 5000)
    assert int(rows) < 10


def test_a_scan_that_left_no_row_out_is_believed_until_the_database_changes(tmp_path: Path) -> None:
    path = str(tmp_path / "shop.db")
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE sales (id INTEGER, n INTEGER, at TIMESTAMP)")
        db.execute("INSERT INTO sales VALUES (1, 5, '2024-05-01 10:00:00'), (2, NULL, '2024-05-02 10:00:00')")
        db.commit()
    source = SqliteSource.from_options({"path": path}, str(tmp_path))
    scans = [
        Scan("sales"),
        Scan("sales", ("id", "n"), (Predicate("n", "is_not_null"),)),
        Scan("sales", ("id",), (Predicate("at", ">=", datetime(2024, 5, 1)),)),
        Scan("sales", ("id",), (Predicate("n", ">", 1),)),
    ]
    for scan, rows in zip(scans, (2, 1, 2, 1), strict=True):
        assert source.scan(scan).read_all().num_rows == rows
        assert source.broken(scan).num_rows == 0
    with closing(sqlite3.connect(path)) as db:
        db.execute("INSERT INTO sales VALUES (3, 'many', '2024-05-03 10:00:00'), (4, 6, 'soon')")
        db.execute("INSERT INTO sales VALUES (5, 7, '2024-05-04T10:00:00Z')")  # a time, in another form
        db.commit()
    for scan, rows, lines in zip(scans, (3, 3, 4, 3), ([3, 4], [3], [4], [3]), strict=True):
        assert source.scan(scan).read_all().num_rows == rows
        assert source.broken(scan)["line"].to_pylist() == lines


FORMS = (
    "2024-01-5 10:00:00", "2024-1-5", "2024-1-05 10:00:00", "2024-01-5", "2024-01-5T10:00Z", "2024-1-5 10:00:00+14:00",
    "2024-01-05", "2024-01-05 23:59:59-12:00", "2024-01-05T10:00:00+14:00", "2024-01-05 10:00 UTC", "2024/01/05",
)  # fmt: skip


@pytest.mark.parametrize("index", ["", "CREATE INDEX i ON t (at)"])
@pytest.mark.parametrize("form", FORMS)
def test_however_a_time_is_written_a_comparison_finds_it(tmp_path: Path, form: str, index: str) -> None:
    with closing(sqlite3.connect(tmp_path / "x.db")) as db, db:
        db.execute("CREATE TABLE t (at TIMESTAMP)")
        db.execute("INSERT INTO t VALUES (?)", [form])
        db.execute(index)
    source = SqliteSource.from_options({"path": "x.db"}, str(tmp_path))
    (at,) = source.scan(Scan("t")).read_all()["at"].to_pylist()
    for edge in (datetime(2024, 1, day, 9) for day in (3, 5, 12, 30)):
        for op, holds in (("<", at < edge), ("<=", at <= edge), (">", at > edge), (">=", at >= edge)):
            found = source.scan(Scan("t", None, (Predicate("at", op, edge),))).read_all().num_rows
            assert found == holds, (op, edge)


ODD = (
    None, 0, 1_704_103_200, "", "soon", " 2024-01-01", "2024/01/01", "2024.01.01", "0044-03-15 (BC)", "12024-01-01",
    "1 January 2024", "2024-\U0010ffff", "2024-01-01 10:00:00+02:00", "9999-12-31", b"2024-01-01", b"",
)  # fmt: skip


@pytest.mark.parametrize("index", ["(at)", "(at DESC)", "(at COLLATE NOCASE)"])
@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_an_index_changes_nothing_but_the_speed(tmp_path: Path, index: str, odd: object) -> None:
    def made(name: str, *more: str) -> SqliteSource:
        with closing(sqlite3.connect(tmp_path / name)) as db, db:
            db.execute("CREATE TABLE t (id INTEGER, at TIMESTAMP)")
            rows = [(2 * y, f"{y}-03-0{d} 0{d}:00:00") for y in (1999, 2021, 2024) for d in range(1, 8)]
            db.executemany("INSERT INTO t VALUES (?, ?)", [*rows, (7, odd), (9, None)])
            for one in more:
                db.execute(one)
        return SqliteSource.from_options({"path": name}, str(tmp_path))

    plain, indexed = made("plain.db"), made("indexed.db", f"CREATE INDEX i ON t {index}")
    for op in (">=", "<"):
        for at in (datetime(2024, 3, 2, 2), datetime(1, 1, 1)):
            scan = Scan("t", ("id", "at"), (Predicate("at", op, at),))
            found = [s.scan(scan).read_all().sort_by("at").to_pylist() for s in (plain, indexed)]
            assert (op, at, found[0]) == (op, at, found[1])
            assert plain.broken(scan) == indexed.broken(scan)
    assert plain.notices("t") == indexed.notices("t")


@pytest.mark.parametrize(
    ("index", "odd", "used"),
    [
        ("(at)", None, True),
        ("(at DESC)", None, True),
        ("(at)", "2024-03-01T10:00:00Z", True),
        ("(id, at)", None, False),
        ("(at) WHERE id > 3", None, False),
        ("(at)", "soon", False),
        ("(at)", 0, False),
    ],
)
def test_a_scan_from_a_time_on_reads_no_more_than_that_where_an_index_allows(
    tmp_path: Path, index: str, odd: object, used: bool
) -> None:
    with closing(sqlite3.connect(tmp_path / "x.db")) as db, db:
        db.execute("CREATE TABLE t (id INTEGER, at TIMESTAMP)")
        db.execute(f"CREATE INDEX i ON t {index}")
        db.executemany("INSERT INTO t VALUES (?, ?)", [(1, "2024-03-01 10:00:00"), (2, odd)])
    source = SqliteSource.from_options({"path": "x.db"}, str(tmp_path))
    queries = source._queries(Scan("t", None, (Predicate("at", ">=", datetime(2024, 1, 1)),)))
    with closing(sqlite3.connect(tmp_path / "x.db")) as db:
        steps = [str(row[3]) for row in db.execute(f"EXPLAIN QUERY PLAN {queries.flags()}")]
    assert any(step.startswith("SEARCH t USING INDEX i (at>?)") for step in steps) == used, steps
