"""Every source reads the same table the same way; then what each has of its own.

Those of `conftest.MAKERS` (delta, duckdb, files, http, iceberg, s3, sqlite), and the servers postgres, mysql and mariadb. `dbt` reads over one of them: see `test_dbt`.
"""

import gc
import re
import socket
import sqlite3
import threading
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest

from tilth.adapters.sources.files.source import FilesSource
from tilth.adapters.sources.mysql.source import MySqlSource
from tilth.adapters.sources.postgres.source import PostgresSource
from tilth.adapters.sources.sqlite.source import SqliteSource
from tilth.core.errors import ProjectError, SourceError, UnknownNameError, UnsupportedError
from tilth.core.scan import Predicate, Scan
from tilth.ports import registry

P = Predicate


def test_tables_are_listed_and_described(made: Any) -> None:
    source, _ = made
    assert source.tables() == ("other", "visits")
    kinds = {f.name: f.type.value for f in source.describe("visits")}
    assert kinds == {
        "id": "integer",
        "price": "decimal" if isinstance(source, PostgresSource | MySqlSource) else "float",
        "name": "string",
        "seen": "timestamp",
        "day": "date",
        "active": "boolean",
    }


def test_unknown_names_get_the_nearest(made: Any) -> None:
    source, _ = made
    with pytest.raises(UnknownNameError, match="visits"):
        source.describe("visit")
    with pytest.raises(UnknownNameError, match="price"):
        source.scan(Scan("visits", ("prise",)))
    with pytest.raises(UnknownNameError, match="price"):
        source.scan(Scan("visits", None, (P("prise", "=", 1),)))


def test_a_scan_gives_values_and_types(made: Any) -> None:
    source, _ = made
    table = source.scan(Scan("visits")).read_all()
    assert [str(t) for t in table.schema.types] == [
        "int64",
        "decimal128(9, 2)" if isinstance(source, PostgresSource | MySqlSource) else "double",
        "string",
        "timestamp[us]",
        "date32[day]",
        "bool",
    ]
    first, second, third, _last = table.sort_by("id").to_pylist()
    assert first == {
        "id": 1,
        "price": 1.5,
        "name": "Ann",
        "seen": datetime(2024, 1, 1, 10),
        "day": date(2024, 1, 1),
        "active": True,
    }
    assert second["seen"] == datetime(2024, 1, 2, 0, 0, 0, 123456)
    assert third["name"] == "O'Neil"
    assert {third[c] for c in ("price", "seen", "day", "active")} == {None}


def test_a_projection_keeps_the_order_asked_for(made: Any) -> None:
    source, _ = made
    assert source.scan(Scan("visits", ("day", "id"))).schema.names == ["day", "id"]
    gc.collect()  # a reader that was dropped unread leaves nothing open: pytest would warn


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        ((P("id", ">", 2),), [3, 4]),
        ((P("id", "in", (1, 4, None)),), [1, 4]),
        ((P("id", "in", ()),), []),
        ((P("price", "<", 0),), [2]),
        ((P("price", "=", 4.25),), [4]),
        ((P("price", "is_null"),), [3]),
        ((P("price", "=", None),), []),
        ((P("name", "=", "O'Neil"),), [3]),
        ((P("name", "=", "BOB"),), []),
        ((P("name", ">", "Z"),), [2]),
        ((P("name", "<>", "bob"),), [1, 3]),
        ((P("seen", "=", datetime(2024, 1, 1, 10)),), [1]),
        ((P("seen", "=", datetime(2024, 1, 1, 10, tzinfo=UTC)),), [1]),
        ((P("seen", ">=", date(2024, 1, 2)),), [2, 4]),
        ((P("seen", ">", "2024-01-02"),), [2, 4]),
        ((P("seen", "<", datetime(2024, 1, 2)),), [1]),
        ((P("day", "in", (date(2024, 1, 2),)),), [2]),
        ((P("day", "is_not_null"), P("id", "<", 4)), [1, 2]),
        ((P("active", "=", True),), [1, 4]),
        ((P("active", "<>", True),), [2]),
    ],
)
def test_predicates_mean_what_duckdb_means(made: Any, where: tuple[Predicate, ...], ids: list[int]) -> None:
    source, _ = made
    rows = source.scan(Scan("visits", ("id",), where)).read_all()
    assert sorted(rows["id"].to_pylist()) == ids


def test_a_change_changes_the_token(made: Any) -> None:
    source, change = made
    before = source.change_token("visits")
    assert before == source.change_token("visits")
    change()
    assert before is None or before != source.change_token("visits")


def _files(folder: Path, **texts: str) -> FilesSource:
    for name, text in texts.items():
        (folder / name.replace("_", ".")).write_text(text)
    return FilesSource.from_options({"path": "."}, str(folder))


def test_broken_csv_rows_are_kept_with_line_and_reason(tmp_path: Path) -> None:
    rows = "".join(f"{i},n{i},2024-01-01 10:00:00\n" for i in range(30_000))
    source = _files(tmp_path, t_csv=f"id,name,at\n{rows}x,b,2024-01-02\n3,c,d,e\n4,d,2024-01-03\n")
    assert source.describe("t").field("id").type.value == "integer"
    for columns in (None, ("name",)):
        assert source.scan(Scan("t", columns)).read_all().num_rows == 30_001
    kept = source.broken(Scan("t"))
    assert [str(t) for t in kept.schema.types] == ["int64", "string", "string"]
    assert kept["line"].to_pylist() == [30_002, 30_003]
    assert kept["text"].to_pylist() == ["x,b,2024-01-02", "3,c,d,e"]
    assert "BIGINT" in kept["reason"][0].as_py()


def test_broken_json_lines_are_kept_and_not_read_as_nulls(tmp_path: Path) -> None:
    source = _files(tmp_path, t_jsonl='{"id": 1, "n": "a"}\n{"id": 2,\n{"id": 3, "n": null}\n{}\n')
    assert source.scan(Scan("t")).read_all()["id"].to_pylist() == [1, 3]
    kept = source.broken(Scan("t")).to_pylist()
    assert [(r["line"], r["reason"]) for r in kept] == [(2, "not JSON"), (4, "no values")]


def test_a_folder_of_files_is_one_table_and_zones_become_utc(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "a.csv").write_text("id,at\n1,2024-01-01 10:00:00+02:00\n")
    (tmp_path / "w" / "b.csv").write_text("id,at\n2,2024-01-01 10:00:00+00:00\n")
    got = FilesSource.from_options({"path": "."}, str(tmp_path)).scan(Scan("w")).read_all().sort_by("id")
    assert got["at"].to_pylist() == [datetime(2024, 1, 1, 8), datetime(2024, 1, 1, 10)]


def test_files_say_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="path"):
        FilesSource.from_options({}, str(tmp_path))
    with pytest.raises(SourceError, match="nothing at"):
        FilesSource.from_options({"path": "gone"}, str(tmp_path)).tables()
    source = _files(tmp_path, t_parquet="not parquet", u_csv="a\n1\n", u_jsonl="{}")
    with pytest.raises(SourceError, match="could not be read"):
        source.describe("t")
    with pytest.raises(SourceError, match="several kinds"):
        source.describe("u")
    with pytest.raises(UnsupportedError, match="DuckDB"):
        source.native("SELECT 1")


def _sqlite(folder: Path, script: str) -> SqliteSource:
    with closing(sqlite3.connect(folder / "x.db")) as db:
        db.executescript(script)
    return SqliteSource.from_options({"path": "x.db"}, str(folder))


def test_sqlite_reads_the_ways_people_write_times(tmp_path: Path) -> None:
    script = (
        "CREATE TABLE t (id INTEGER, at DATETIME, ok BOOLEAN);"
        "INSERT INTO t VALUES (1, '2024-01-01T10:00:00', 1), (2, '2024-01-01 12:00:00+02:00', 'false'),"
        " (3, '2024-01-01T10:00:00Z', 'true'), (4, 1704103200, 0), (5, '2024-01-01', NULL)"
    )
    source = _sqlite(tmp_path, script)
    got = source.scan(Scan("t")).read_all()
    assert set(got["at"].to_pylist()) == {datetime(2024, 1, 1, 10), datetime(2024, 1, 1)}
    assert got["ok"].to_pylist() == [True, False, True, False, None]
    same = source.scan(Scan("t", ("id",), (P("at", "=", datetime(2024, 1, 1, 10)),))).read_all()
    assert same["id"].to_pylist() == [1, 2, 3, 4]


@pytest.mark.parametrize("op", ["<", "<=", ">", ">="])
@pytest.mark.parametrize("number", ["1704412800", "2460314.5"])
def test_sqlite_rules_out_times_only_where_it_can_tell(tmp_path: Path, op: str, number: str) -> None:
    texts = [f"2024-01-0{d}" for d in range(1, 10)] + ["2024-1-4", " 2024-01-09", "2024-10-5", "2024-2-3", "12024-01-05", "2023/12/31", "2024-01-05T23:30:00-11:00", "2024-01-05T00:30+13:00"]  # fmt: skip
    values = ", ".join([*(f"('{t}')" for t in texts), "('0044-03-15 (BC)')", f"({number})", "(NULL)"])
    source = _sqlite(tmp_path, f"CREATE TABLE t (at TIMESTAMP); INSERT INTO t VALUES {values}")
    everything = source.scan(Scan("t")).read_all()["at"]
    edge = datetime(2024, 1, 5, 12)
    found = source.scan(Scan("t", None, (Predicate("at", op, edge),))).read_all()["at"]
    compare = {"<": pc.less, "<=": pc.less_equal, ">": pc.greater, ">=": pc.greater_equal}[op]
    assert found.combine_chunks() == everything.filter(compare(everything, edge)).combine_chunks()


def test_a_file_that_changed_is_read_anew(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a\n1\n")
    source = FilesSource(str(tmp_path))
    assert source.scan(Scan("t")).read_all().to_pylist() == [{"a": 1}]
    (tmp_path / "t.csv").write_text("a,b\n1,x\n2,y\n")
    assert source.describe("t").names == ("a", "b")
    assert source.scan(Scan("t")).read_all().num_rows == 2
    again = [source.scan(Scan("t", ("b",))).read_all().to_pylist() for _ in range(3)]
    assert again == [[{"b": "x"}, {"b": "y"}]] * 3
    (tmp_path / "t.csv").write_text("a,b\n3,z\n")
    assert source.scan(Scan("t", ("b",))).read_all().to_pylist() == [{"b": "z"}]


def test_sqlite_nulls_first_do_not_decide_a_type(tmp_path: Path) -> None:
    rows = ", ".join(["(NULL, NULL)"] * 3000)
    source = _sqlite(
        tmp_path,
        f"CREATE TABLE t (a TEXT, b REAL); INSERT INTO t VALUES {rows}, ('x', 2);"
        "CREATE VIEW v AS SELECT a || '' AS a, b + 0 AS b FROM t",
    )
    for table in ("t", "v"):
        got = source.scan(Scan(table)).read_all()
        assert [str(t) for t in got.schema.types] == ["string", "double"]
        assert (got.num_rows, got.to_pylist()[-1]) == (3001, {"a": "x", "b": 2.0})


@pytest.mark.parametrize(
    "script",
    [
        "CREATE TABLE t (v TIMESTAMP); INSERT INTO t VALUES ('hush')",
        "CREATE TABLE t (v INTEGER); INSERT INTO t VALUES ('hush')",
        "CREATE TABLE t (v INTEGER); INSERT INTO t VALUES (1), (1.5)",
        "CREATE TABLE t (v REAL); INSERT INTO t VALUES (1), ('hush')",
        (
            "CREATE TABLE t (v INTEGER); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)"
            " INSERT INTO t SELECT i FROM n; INSERT INTO t VALUES ('hush')"
        ),
    ],
)
def test_sqlite_values_that_are_not_of_their_type_are_told_and_not_shown(tmp_path: Path, script: str) -> None:
    source = _sqlite(tmp_path, script)
    rows = source.scan(Scan("t")).read_all().num_rows
    (told,) = source.broken(Scan("t")).to_pylist()
    assert told["line"] == rows + 1
    assert "column `v`" in told["reason"]
    assert "hush" not in told["reason"]


def test_sqlite_is_read_only_and_says_what_is_wrong(tmp_path: Path) -> None:
    source = _sqlite(tmp_path, "CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (7)")
    assert source.native("SELECT a + 1 AS b FROM t").read_all().to_pylist() == [{"b": 8}]
    with pytest.raises(SourceError, match="read-only"):
        source.native("DELETE FROM t").read_all()
    with pytest.raises(SourceError, match="no database"):
        SqliteSource.from_options({"path": "gone.db"}, str(tmp_path)).tables()
    (tmp_path / "y.db").write_text("not a database, whatever its name says" * 100)
    with pytest.raises(SourceError, match="not a SQLite database"):
        SqliteSource.from_options({"path": "y.db"}, str(tmp_path)).tables()


def test_postgres_types_without_an_arrow_twin_become_plain(
    postgres_schema: str, postgres_url: str, postgres_run: Any
) -> None:
    postgres_run(
        f"""CREATE TABLE {postgres_schema}.t AS SELECT 1.10::numeric AS n, 'NaN'::numeric AS nan,
        '00000000-0000-0000-0000-000000000001'::uuid AS u, '{{"a": 1}}'::jsonb AS j, '10.0.0.1'::inet AS i,
        ARRAY[1, 2] AS a, '2024-01-01 10:00+02'::timestamptz AS z, 'infinity'::timestamp AS inf, 'x'::char(3) AS c"""
    )
    source = PostgresSource.from_options({"url": postgres_url, "schema": postgres_schema}, "")
    (row,) = (
        source.scan(Scan("t", None, (P("z", "=", datetime(2024, 1, 1, 8)), P("c", "=", "x"))))
        .read_all()
        .to_pylist()
    )
    assert row.pop("nan") != row.get("nan", 0)
    assert row == {
        "n": 1.1,
        "u": "00000000-0000-0000-0000-000000000001",
        "j": '{"a": 1}',
        "i": "10.0.0.1/32",
        "a": "{1,2}",
        "z": datetime(2024, 1, 1, 8),
        "inf": None,
        "c": "x",
    }


def test_postgres_runs_native_queries_that_only_read(postgres_schema: str, postgres_url: str) -> None:
    source = PostgresSource.from_options({"url": postgres_url, "schema": postgres_schema}, "")
    assert source.native("SELECT 1::int8 AS a").read_all().to_pylist() == [{"a": 1}]
    with pytest.raises(SourceError, match="read-only"):
        source.native("CREATE TABLE made (a INTEGER)").read_all()
    with pytest.raises(UnknownNameError, match="nosuch"):
        source.native("SELECT nosuch FROM pg_class")
    with pytest.raises(SourceError) as caught:
        source.native("SELECT ('hu' || 'sh-7')::integer").read_all()
    assert "hush" not in str(caught.value)


def _refusing_server(listener: socket.socket) -> None:
    with listener, listener.accept()[0] as peer:
        while True:
            size, code = int.from_bytes(peer.recv(4)), int.from_bytes(peer.recv(4))
            if code in {80877103, 80877104}:
                peer.sendall(b"N")
                continue
            peer.recv(size - 8)
            body = b'SFATAL\0C28P01\0Mpassword authentication failed for user "reader"\0\0'
            peer.sendall(b"E" + (len(body) + 4).to_bytes(4) + body)
            return


def test_postgres_with_a_wrong_password_or_down_says_so_without_the_secret() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server = threading.Thread(target=_refusing_server, args=(listener,))
    server.start()
    options = {"url": f"postgresql://reader@127.0.0.1:{port}/x", "password": "hush&7"}
    for says in ("user or password", "cannot be reached"):
        with pytest.raises(SourceError, match=says) as caught:
            PostgresSource.from_options(options, "").tables()
        assert "hush" not in f"{caught.value} {caught.value.__cause__}"
        server.join()


URLS = [
    ("reader:hush%zz@127.0.0.1/x", "url cannot be read"),
    ("reader:hush@127.0.0.1:99999/x", "url cannot be read"),
    ("reader:hush@127.0.0.1:port/x", "url cannot be read"),
    ("rea der:hush@127.0.0.1/x", "url cannot be read"),
    ("reader@127.0.0.1/x?hush=1", "url cannot be read"),
    ("reader@127.0.0.1/x?schema=sales", r"names a schema.*schema = 'NAME'"),
    ("reader:hush@nowhere.invalid/x", "host of nowhere.invalid:5432 is not known"),
    ("reader:hu@sh@127.0.0.1/x", "is not known: .*percent-encoded"),
    ("reader:hush@127.0.0.1:1/x", "127.0.0.1:1 cannot be reached"),
]


@pytest.mark.parametrize(("url", "says"), URLS)
def test_a_url_of_postgres_that_leads_nowhere_says_why_without_the_secret(url: str, says: str) -> None:
    with pytest.raises(SourceError) as caught:
        PostgresSource.from_options({"url": f"postgresql://{url}"}, "").tables()
    assert re.search(says, str(caught.value), re.DOTALL)
    assert "hush" not in f"{caught.value} {caught.value.__cause__}"
    assert "sh@127" not in f"{caught.value} {caught.value.__cause__}"


def test_mariadb_is_read_and_written_as_mysql_is() -> None:
    assert registry.load("tilth.sources", "mariadb") is registry.load("tilth.sources", "mysql") is MySqlSource
