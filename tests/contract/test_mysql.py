"""What MySQL and MariaDB have of their own: urls, TLS, rows of any size, what a table would change without a word, servers that end."""

import contextlib
import re
import socket
import sys
import threading
import time as time_of_day
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

import servers
from certificates import certificate
from tilth.adapters.sources.mysql import connecting, wire
from tilth.adapters.sources.mysql.source import MySqlSource
from tilth.core.errors import (
    BusyError,
    DataError,
    MissingExtraError,
    ProjectError,
    SourceError,
    TilthError,
    UnknownNameError,
    UnsupportedError,
)
from tilth.core.scan import Predicate, Scan
from tilth.ports.source import Mode, UnsureError, Write

CA: list[str] = []  # the path of the certificate of that server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> servers.MySql:
    """A server of our own with TLS, small batches of memory, and rows of up to 64 MB."""
    folder = tmp_path_factory.mktemp("tls")
    pem, key = certificate(folder, "server", timedelta(days=-1), timedelta(days=9))
    CA.append(pem)
    return servers.private_mysql("--max-allowed-packet=64M", tls=(pem, key))


def source(url: str, **options: Any) -> MySqlSource:
    return MySqlSource.from_options({"url": url, "writable": True, **options}, "")


def put(url: str, rows: pa.Table, mode: Mode = Mode.INSERT, *key: str) -> Any:
    return source(url).write(Write("t", mode, key), rows.to_reader())


def kept(url: str) -> list[tuple[Any, ...]]:
    return servers.mysql(url, "SET time_zone = '+00:00'", "SELECT * FROM t ORDER BY 1")


# --- urls and options --------------------------------------------------------------------------------------

URLS: list[tuple[str, type[TilthError], str]] = [
    ("postgresql://r@h/d", ProjectError, "needs a url"),
    ("mysql://r@h", ProjectError, "names no database"),
    ("mysql://r@h:port/d", ProjectError, "url cannot be read"),
    ("mysql://r@h:99999/d", ProjectError, "url cannot be read"),
    ("mysql://r@h/d?sslmode=require", UnknownNameError, "says `sslmode`.*`ssl_mode`"),
    ("mysql://r@h/d?ssl_mode=verified", UnknownNameError, "not `VERIFIED`.*Did you mean `VERIFY_IDENTITY`"),
    ("mysql://r@h/d?ssl_mode=VERIFY_CA", ProjectError, "needs the certificate"),
    ("mysql://r@h/d?connect_timeout=soon", ProjectError, "no number of seconds"),
    ("mysql://r@h/d?password=hush", ProjectError, "stands in the url's query"),
    ("mysql://r:hush@127.0.0.1:1/d", SourceError, "can be reached at 127.0.0.1:1"),
    ("mysql://r:hush@nowhere.invalid/d", SourceError, "host of nowhere.invalid:3306 is not known"),
    ("mysql://r:hu@sh@127.0.0.1/d", SourceError, "did not accept the user"),
    ("mysql://r:hush@h/d?unix_socket=/nowhere/s", SourceError, "can be reached at /nowhere/s"),
    (
        "mysql://r:hush@127.0.0.1/d?ssl_ca=/nowhere/ca.pem",
        SourceError,
        "certificate or key .* cannot be read",
    ),
]


@pytest.mark.parametrize(("url", "error", "says"), URLS)
def test_a_url_that_leads_nowhere_says_why_without_the_secret(
    url: str, error: type[TilthError], says: str
) -> None:
    with pytest.raises(error) as caught:
        MySqlSource.from_options({"url": url}, "").tables()
    assert re.search(says, str(caught.value), re.DOTALL)
    assert "hush" not in f"{caught.value} {caught.value.__cause__}"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"schema": "s"}, "no option `schema`.*url names the database"),
        ({"pasword": "s"}, "Did you mean `password`"),
        ({"tables": {"t": {"types": {"a": "INT4"}}}}, "`INT4` of column `a`"),
    ],
)
def test_options_that_there_are_not(options: dict[str, Any], says: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        MySqlSource.from_options({"url": "mysql://r@h/d", **options}, "")
    assert re.search(says, str(caught.value), re.DOTALL)


def test_without_its_package_the_error_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymysql", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'tilth\[mysql\]'"):
        source("mysql://r@127.0.0.1/d").tables()


def test_a_wrong_password_a_missing_database_and_a_user_without_rights(server: servers.MySql) -> None:
    servers.mysql(
        server.url,
        "CREATE OR REPLACE USER 'ann'@'127.0.0.1' IDENTIFIED BY 'hush&7'",
        "CREATE OR REPLACE TABLE t (a int)",
    )
    at = f"127.0.0.1:{server.port}"
    for url, password, says in (
        (f"mysql://ann@{at}/test", "hush&8", "did not accept the user or password"),
        (f"mysql://ann@{at}/nothing", "hush&7", "no database `nothing` that this user may use"),
        (f"mysql://ann@{at}/test", "hush&7", "no database `test` that this user may use"),
    ):
        with pytest.raises(SourceError, match=says) as caught:
            source(url, password=password).tables()
        assert "hush" not in f"{caught.value} {caught.value.__cause__}"
    servers.mysql(server.url, "GRANT INSERT ON test.t TO 'ann'@'127.0.0.1'")
    with pytest.raises(SourceError, match="denied") as caught:
        source(f"mysql://ann@{at}/test", password="hush&7").scan(Scan("t"))
    assert "GRANT" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("query", "cipher"),
    [("", True), ("ssl_mode=DISABLED", False), ("ssl_mode=REQUIRED", True), ("ssl_ca={ca}", True),
     ("ssl_mode=VERIFY_IDENTITY&ssl_ca={ca}", True), ("ssl_mode=VERIFY_IDENTITY", "verify")],
)  # fmt: skip
def test_tls_is_what_the_url_says(server: servers.MySql, query: str, cipher: bool | str) -> None:
    (ca,) = CA
    made = source(f"{server.url}&{query.format(ca=ca)}")
    if cipher == "verify":  # nobody that this machine knows signed it
        with pytest.raises(SourceError, match="No encrypted connection"):
            made.tables()
        return
    (found,) = (
        made.native(
            "SELECT variable_value <> '' AS on_ FROM information_schema.session_status WHERE variable_name = 'Ssl_cipher'"
        )
        .read_all()
        .to_pylist()
    )
    assert bool(found["on_"]) is cipher


def test_what_asks_for_tls_goes_without_it_nowhere() -> None:
    if servers.mysql(servers.mysql_url(), "SELECT @@have_ssl") == [("YES",)]:
        pytest.skip("this server has TLS")
    with pytest.raises(SourceError, match="No encrypted connection"):
        source(f"{servers.mysql_url()}&ssl_mode=REQUIRED").tables()


def _asks_for_the_password(listener: socket.socket, heard: list[bytes]) -> None:
    """A server that has no TLS and asks for the password as it is."""
    hello = (
        b"\x0a8.0.0\0"
        b"\1\0\0\0"
        + b"a" * 8
        + b"\0"
        + b"\xff\xf7"
        + b"\x2d"
        + b"\2\0"
        + b"\x0f\x80"
        + b"\x15"
        + bytes(10)
        + b"b" * 12
        + b"\0mysql_native_password\0"
    )
    with listener, listener.accept()[0] as peer:
        peer.sendall(len(hello).to_bytes(3, "little") + b"\0" + hello)
        peer.recv(4096)
        asks = b"\xfemysql_clear_password\0"
        peer.sendall(len(asks).to_bytes(3, "little") + b"\2" + asks)
        heard.append(peer.recv(4096))


def test_a_password_is_not_sent_readable_without_tls() -> None:
    listener, heard = socket.create_server(("127.0.0.1", 0)), list[bytes]()
    thread = threading.Thread(target=_asks_for_the_password, args=(listener, heard))
    thread.start()
    with pytest.raises(SourceError, match="asks for the password readable"):
        source(f"mysql://r@127.0.0.1:{listener.getsockname()[1]}/d", password="hush").tables()
    thread.join(5)
    assert b"hush" not in b"".join(heard)


# --- reading -----------------------------------------------------------------------------------------------


def test_rows_of_any_size_are_read(server: servers.MySql) -> None:
    sizes = (0, 1, 250, 251, 65_535, 65_536, 9_000_000, 16_777_190, 16_777_215 - 8, 33_000_000)
    servers.mysql(
        server.url, "CREATE OR REPLACE TABLE t (n int, a longtext, z int)",
        *(f"INSERT INTO t VALUES ({n}, repeat('x', {n}), -1), (NULL, NULL, {n})" for n in sizes),
    )  # fmt: skip
    rows = source(server.url).scan(Scan("t")).read_all().to_pylist()
    assert [(r["n"], None if r["a"] is None else len(r["a"]), r["z"]) for r in rows] == [
        row for n in sizes for row in ((n, n, -1), (None, None, n))
    ]


@pytest.mark.parametrize("columns", [1, 5, 6, 7, 14, 15, 300])
def test_gaps_are_where_they_are_however_many_columns_there_are(mysql_url: str, columns: int) -> None:
    names = [f"c{i}" for i in range(columns)]
    kinds = ["int", "varchar(9)", "double", "date"]
    values = ["7", "'x'", "0.5", "'2024-01-01'"]
    listed = ", ".join(f"{n} {kinds[i % 4]}" for i, n in enumerate(names))
    rows = [[None if (i * 7 + r) % 3 == 0 else values[i % 4] for i in range(columns)] for r in range(5)]
    servers.mysql(
        mysql_url,
        f"CREATE TABLE t ({listed})",
        *(f"INSERT INTO t VALUES ({', '.join(v or 'NULL' for v in r)})" for r in rows),
    )
    same = {"7": 7, "'x'": "x", "0.5": 0.5, "'2024-01-01'": date(2024, 1, 1), None: None}
    found = source(mysql_url).scan(Scan("t")).read_all().to_pylist()
    assert [list(r.values()) for r in found] == [[same[v] for v in r] for r in rows]


def test_many_batches_are_one_table_at_one_moment(mysql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "ROWS", 1000)
    servers.mysql(
        mysql_url, "CREATE TABLE t AS SELECT seq AS a, repeat('x', seq % 300) AS b FROM seq_1_to_300000"
    )
    reader = source(mysql_url).scan(Scan("t"))
    first = reader.read_next_batch()
    servers.mysql(mysql_url, "DELETE FROM t WHERE a > 10")
    rest = reader.read_all()
    assert (first.num_rows, rest.num_rows) == (1000, 299_000)
    assert sum(rest["a"].to_pylist()) + sum(first["a"].to_pylist()) == 300_000 * 300_001 // 2


def test_names_that_sql_would_read_otherwise(mysql_url: str) -> None:
    servers.mysql(
        mysql_url, 'CREATE TABLE `t.\'"x``` (`a"b` int, `c.d` int, `é``` int, `select` int)', 'INSERT INTO `t.\'"x``` VALUES (1, 2, 3, 4)',
        "CREATE TABLE T (a int)", "CREATE TABLE t (b int)",
    )  # fmt: skip
    made = source(mysql_url)
    assert made.tables() == ("T", "t", "t.'\"x`")
    assert made.scan(Scan("t.'\"x`", None, (Predicate('a"b', "=", 1),))).read_all().to_pylist() == [
        {'a"b': 1, "c.d": 2, "é`": 3, "select": 4}
    ]
    assert (made.describe("T").names, made.describe("t").names) == (("a",), ("b",))
    assert (
        source(mysql_url)
        .write(Write("t.'\"x`", Mode.INSERT, ('a"b',)), pa.table({'a"b': [1], "c.d": [9]}).to_reader())
        .changed
        == 1
    )


def test_dates_that_are_none_are_counted_and_told(mysql_url: str) -> None:
    servers.mysql(
        mysql_url,
        "SET sql_mode = ''",
        "CREATE TABLE t (a date, b datetime)",
        "INSERT INTO t VALUES ('0000-00-00', '2024-01-00'), ('2024-01-01', NULL), ('0000-00-00', NULL)",
    )
    made = source(mysql_url)
    made.scan(Scan("t")).read_all()
    assert [(n.column, n.text, n.option) for n in made.notices("t")] == [
        (
            "a",
            "2 values of `a` are no date (such as 0000-00-00), read as NULL",
            "tables = {t: {types: {a: 'VARCHAR'}}}",
        ),
        (
            "b",
            "1 value of `b` is no date (such as 0000-00-00), read as NULL",
            "tables = {t: {types: {b: 'VARCHAR'}}}",
        ),
    ]


def test_a_table_without_rows_a_count_and_no_columns(mysql_url: str) -> None:
    servers.mysql(mysql_url, "CREATE TABLE t (a int)")
    assert source(mysql_url).scan(Scan("t")).read_all().num_rows == 0
    servers.mysql(mysql_url, "INSERT INTO t VALUES (1), (2)")
    assert source(mysql_url).scan(Scan("t", ())).read_all().num_rows == 2


def test_a_value_that_breaks_the_query_is_not_shown(mysql_url: str) -> None:
    servers.mysql(mysql_url, "CREATE TABLE t (a varchar(20))", "INSERT INTO t VALUES ('hush')")
    with pytest.raises(SourceError) as caught:
        source(mysql_url).native("SELECT extractvalue('<a/>', concat('~', a)) AS x FROM t").read_all()
    assert "hush" not in f"{caught.value}"


def test_a_connection_that_ends_while_rows_come_is_told(mysql_url: str) -> None:
    servers.mysql(mysql_url, "CREATE TABLE t AS SELECT seq AS a, repeat('x', 1000) AS b FROM seq_1_to_100000")
    made = source(mysql_url)
    reader = made.scan(Scan("t"))
    reader.read_next_batch()
    (thread,) = made._reads
    servers.mysql(mysql_url, f"KILL {thread}")
    with pytest.raises(SourceError, match="ended"):
        reader.read_all()
    assert made._reads == {}


def _lying_server(listener: socket.socket, rows: bytes) -> None:
    """A server that lets anybody in, and says of every query that it returns one BIGINT and one text."""
    hello = (
        b"\x0a8.0.0\0"
        b"\1\0\0\0"
        + b"a" * 8
        + b"\0"
        + b"\xff\xf7"
        + b"\x2d"
        + b"\2\0"
        + b"\x0f\x80"
        + b"\x15"
        + bytes(10)
        + b"b" * 12
        + b"\0mysql_native_password\0"
    )

    def packet(number: int, body: bytes) -> bytes:
        return len(body).to_bytes(3, "little") + bytes([number % 256]) + body

    def column(name: bytes, kind: int) -> bytes:
        return (
            b"\3def\0\0\0"
            + bytes([len(name)])
            + name
            + b"\0"
            + b"\x0c\x2d\0"
            + b"\x14\0\0\0"
            + bytes([kind])
            + bytes(5)
        )

    end, good = b"\xfe\0\0\2\0", b"\0\0\0\2\0\0\0"
    with contextlib.suppress(ConnectionError), listener, listener.accept()[0] as peer:
        peer.sendall(packet(0, hello))
        peer.recv(4096)
        peer.sendall(packet(2, good))
        while asked := peer.recv(65_536):
            if asked[4] == 0x16:
                peer.sendall(
                    packet(1, b"\0\1\0\0\0\2\0\0\0\0\0\0")
                    + packet(2, column(b"a", 8))
                    + packet(3, column(b"b", 253))
                    + packet(4, end)
                )
            elif asked[4] == 0x17:
                peer.sendall(
                    packet(1, b"\2")
                    + packet(2, column(b"a", 8))
                    + packet(3, column(b"b", 253))
                    + packet(4, end)
                    + rows
                )
                return
            else:
                peer.sendall(packet(1, good))


LIES = {
    "a text longer than its row": b"\x0b\0\0\5" + b"\0\0" + b"\1" * 8 + b"\xfa",
    "a row that ends in its first column": b"\4\0\0\5" + b"\0\0\1\1",
    "a length of eight bytes": b"\x13\0\0\5" + b"\0\0" + b"\1" * 8 + b"\xfe" + b"\xff" * 8,
    "a row with more than its columns": b"\x10\0\0\5" + b"\0\0" + b"\1" * 8 + b"\1x" + b"more",
    "no row": b"\2\0\0\5" + b"\7\7",
    "nothing more": b"\x30\0\0\5",
    "an end that is none": b"\x0c\0\0\5" + b"\xfe" + b"\0" * 11,
}


@pytest.mark.parametrize("what", LIES)
def test_a_server_that_sends_nonsense_is_an_error(what: str) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(
        target=_lying_server,
        args=(listener, LIES[what] + (b"" if what == "nothing more" else b"\5\0\0\6\xfe\0\0\2\0")),
    )
    thread.start()
    reader = source(f"mysql://r@127.0.0.1:{listener.getsockname()[1]}/d").scan(Scan("t"))
    with pytest.raises(SourceError):
        reader.read_all()
    thread.join(5)
    assert not thread.is_alive()


# --- writing -----------------------------------------------------------------------------------------------

ONE = pa.table({"id": pa.array([5], pa.int64())})
CHANGED: dict[str, tuple[str, pa.Table, tuple[str, ...], type[TilthError], str]] = {
    "fractions for whole numbers": ("id bigint, n int", pa.table({"n": [0.5]}), (), DataError, "`n` is float"),
    "digits that a DECIMAL rounds": ("id bigint, n decimal(9,2)", pa.table({"n": [0.125]}), (), DataError, r"row 1 .*DECIMAL\(9,2\), would change"),
    "a number that is too large": ("id tinyint", pa.table({"id": [1000]}), (), DataError, "too large .*`id`"),
    "a text that is too long": ("id bigint, c varchar(3)", pa.table({"c": ["abcd"]}), (), DataError, r"`c` .*VARCHAR\(3\), would change"),
    "blanks that are dropped": ("id bigint, c char(5)", pa.table({"c": ["ab "]}), (), DataError, "would change"),
    "blanks that are too many": ("id bigint, c varchar(2)", pa.table({"c": ["ab "]}), (), DataError, "would change"),
    "parts of a second": ("id bigint, c datetime", pa.table({"c": [datetime(2024, 1, 1, 0, 0, 0, 5)]}), (), DataError, "DATETIME, would change"),
    "thousandths that are too fine": ("id bigint, c time(3)", pa.table({"c": pa.array([time(1, 2, 3, 4)], pa.time64("us"))}), (), DataError, "would change"),
    "a year of two digits": ("id bigint, y year", pa.table({"y": [24]}), (), DataError, "YEAR, would change"),
    "a time for a date": ("id bigint, d date", pa.table({"d": [datetime(2024, 1, 1)]}), (), DataError, "is timestamp"),
    "a NULL that becomes now": ("id bigint, c timestamp not null default now()", pa.table({"c": pa.array([None], pa.timestamp("us"))}), (), DataError, "may not be NULL: `c`"),
    "a NULL that may not be": ("id bigint not null", pa.table({"id": pa.array([None], pa.int64())}), (), DataError, "may not be NULL"),
    "a moment beyond TIMESTAMP": ("id bigint, c timestamp null", pa.table({"c": [datetime(2999, 1, 1)]}), (), DataError, "not of its column's type: `c`"),
    "a word that is none of them": ("id bigint, e enum('a')", pa.table({"e": ["hush"]}), (), DataError, "none of its column's: `e`"),
    "no JSON": ("id bigint, j json", pa.table({"j": ["{hush"]}), (), DataError, "CHECK|no JSON"),
    "a character that its set lacks": ("id bigint, c varchar(5) character set latin1", pa.table({"c": ["😀"]}), (), DataError, "character set: `c`"),
    "a check of the table": ("id bigint CHECK (id < 3)", ONE, (), DataError, "CHECK of the table does not hold"),
    "a unique row": ("id bigint UNIQUE", pa.concat_tables([ONE, ONE]), (), DataError, "unique value is there: `id`"),
    "no default": ("id bigint, n int NOT NULL", ONE, (), DataError, "no default.*`n`"),
    "a generated column": ("id bigint, g bigint AS (id + 1)", pa.table({"g": [1]}), (), DataError, "is generated"),
    "infinity": ("id bigint, x double", pa.table({"x": [float("inf")]}), (), DataError, "is infinite in row 1"),
    "a date beyond Python's": ("id bigint, d date", pa.table({"d": pa.array([10**7], pa.int32()).cast(pa.date32())}), (), DataError, "beyond the years"),
    "bytes for a text": ("id bigint, c text", pa.table({"c": [b"x"]}), (), DataError, "is binary"),
    "a text for a number": ("id bigint, n int", pa.table({"n": ["x"]}), (), DataError, "is string"),
    "MyISAM": ("id bigint) ENGINE = MyISAM -- (", ONE, (), UnsupportedError, "MyISAM, which has no transactions"),
    "MEMORY with a key": ("id bigint) ENGINE = MEMORY -- (", ONE, ("id",), UnsupportedError, "MEMORY, which has no transactions"),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGED)
def test_what_a_table_would_change_or_refuse_is_said_without_its_values(mysql_url: str, what: str) -> None:
    columns, rows, key, error, words = CHANGED[what]
    servers.mysql(
        mysql_url, f"CREATE TABLE t ({columns})" if "--" not in columns else f"CREATE TABLE t ({columns}"
    )
    with pytest.raises(error, match=words) as told:
        put(mysql_url, rows, Mode.INSERT, *key)
    assert "hush" not in str(told.value)
    assert "abcd" not in str(told.value)
    assert servers.mysql(mysql_url, "SELECT count(*) FROM t") == [(0,)]


def test_values_reach_a_table_as_they_are(mysql_url: str) -> None:
    servers.mysql(
        mysql_url,
        "CREATE TABLE t (id int auto_increment primary key, c varchar(20) collate utf8mb4_general_ci, x double, d decimal(38,10), b blob, z datetime(6), n decimal(5,2))",
    )
    texts = ["it's", "back\\slash", 'dou"ble', "nul\0tab\t\r\n%_", "é😀", " x "]
    doubles = [0.1, 5e-324, 1.7976931348623157e308, -1e-5, 123456789.123456789, 2.0**63]
    rows = pa.table(
        {
            "id": pa.array([0, 1, 2, 3, 4, -7], pa.int64()), "c": texts, "x": doubles, "b": [bytes(range(256)), b"", b"'", b"\\", b"\0", None],
            "d": pa.array([Decimal("1234567890123456789012345678.0123456789")] * 6, pa.decimal128(38, 10)),
            "z": pa.array([datetime(2024, 1, 1, 9)] * 6, pa.timestamp("us", "UTC")), "n": [1.25] * 6,
        }
    )  # fmt: skip
    assert put(mysql_url, rows).rows == 6
    found = source(mysql_url).scan(Scan("t")).read_all().sort_by("id")
    given = rows.sort_by("id")
    for name in ("id", "c", "x", "b", "d"):
        assert found[name].to_pylist() == given[name].to_pylist()
    assert set(found["z"].to_pylist()) == {datetime(2024, 1, 1, 9)}


def test_what_is_lost_is_counted(mysql_url: str) -> None:
    servers.mysql(mysql_url, "CREATE TABLE t (f float, x double)")
    done = put(mysql_url, pa.table({"f": [0.5, 0.1], "x": [float("nan"), 1.0]}))
    assert sorted(n.text for n in done.notices) == [
        "1 x NaN of `x`, which became NULL: MySQL has none",
        "1 x a number of `f`, kept as FLOAT, lost digits",
    ]


def test_a_key_means_what_the_column_means_by_the_same(mysql_url: str) -> None:
    servers.mysql(
        mysql_url,
        "CREATE TABLE t (k varchar(300) collate utf8mb4_general_ci primary key, n int)",
        "INSERT INTO t VALUES ('Ann', 1)",
    )
    assert put(mysql_url, pa.table({"k": ["ann", "bob"], "n": [7, 8]}), Mode.INSERT, "k").changed == 1
    assert [r[1] for r in kept(mysql_url)] == [7, 8]
    with pytest.raises(DataError, match="1 key of the query has several rows"):
        put(mysql_url, pa.table({"k": ["x", "X"], "n": [1, 2]}), Mode.INSERT, "k")


def test_texts_of_a_table_that_is_made_are_told_apart_to_the_last_blank(mysql_url: str) -> None:
    rows = pa.table({"k": ["a", "A", "a ", "ä"], "n": [1, 2, 3, 4]})
    assert put(mysql_url, rows, Mode.CREATE, "k").rows == 4
    assert put(mysql_url, rows, Mode.INSERT, "k").changed == 4
    with pytest.raises(DataError, match="longer than its column: `k`"):
        put(mysql_url, pa.table({"k": ["x" * 256]}), Mode.REPLACE, "k")
    assert len(kept(mysql_url)) == 4


def test_a_text_that_is_long_is_a_key(mysql_url: str) -> None:
    servers.mysql(mysql_url, "CREATE TABLE t (k text, n int)")
    rows = pa.table({"k": ["x" * 300 + "a", "x" * 300 + "b"], "n": [1, 2]})
    assert put(mysql_url, rows, Mode.INSERT, "k").changed == 0
    assert put(mysql_url, rows, Mode.INSERT, "k").changed == 2
    assert len(kept(mysql_url)) == 2


def test_nothing_of_a_table_that_was_to_be_made_stays(mysql_url: str) -> None:
    def broken() -> Iterator[pa.RecordBatch]:
        yield from ONE.to_batches()
        raise DataError("The rows end here.", hint="Look.")

    with pytest.raises(DataError, match="end here"):
        source(mysql_url).write(
            Write("t", Mode.CREATE), pa.RecordBatchReader.from_batches(ONE.schema, broken())
        )
    assert servers.mysql(mysql_url, "SHOW TABLES") == []


def test_what_a_killed_process_left_is_no_table_and_goes_with_the_next_write(mysql_url: str) -> None:
    put(mysql_url, ONE, Mode.CREATE)
    servers.mysql(mysql_url, "RENAME TABLE t TO u")
    import hashlib

    beside = f"tilth_new_{hashlib.sha256(b't').hexdigest()[:16]}"
    servers.mysql(mysql_url, f"CREATE TABLE {beside} (other int)")
    assert source(mysql_url).tables() == ("u",)
    put(mysql_url, ONE, Mode.CREATE)
    assert servers.mysql(mysql_url, "SHOW TABLES") == [("t",), ("u",)]


def test_a_view_is_not_written_and_a_table_that_others_lead_to_not_replaced(mysql_url: str) -> None:
    servers.mysql(
        mysql_url, "CREATE TABLE u (id bigint primary key)", "CREATE VIEW t AS SELECT * FROM u", "CREATE TABLE v (id bigint, FOREIGN KEY (id) REFERENCES u (id))"
    )  # fmt: skip
    with pytest.raises(UnsupportedError, match="is a view"):
        put(mysql_url, ONE)
    with pytest.raises(ProjectError, match="is a view"):
        put(mysql_url, ONE, Mode.REPLACE)
    with pytest.raises(SourceError, match="Other objects depend"):
        source(mysql_url).write(Write("u", Mode.REPLACE), ONE.to_reader())


def test_a_table_that_somebody_holds_is_busy(mysql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tilth.adapters.sources.mysql.writing.WAIT", 1)
    servers.mysql(mysql_url, "CREATE TABLE t (id bigint)")
    other = connecting.connect(source(mysql_url)._at)
    connecting.run(other, "LOCK TABLES t WRITE")
    for key in ((), ("id",)):
        with pytest.raises(BusyError, match="Somebody else holds"):
            put(mysql_url, ONE, Mode.INSERT, *key)
    other.close()
    assert put(mysql_url, ONE).rows == 1


def test_a_row_larger_than_the_server_takes_is_named(mysql_url: str) -> None:
    servers.mysql(mysql_url, "CREATE TABLE t (c longtext)")
    ((most,),) = servers.mysql(mysql_url, "SELECT @@max_allowed_packet")
    with pytest.raises(DataError, match=r"Row 2 takes .*, and the server takes") as told:
        put(mysql_url, pa.table({"c": ["x", "y" * int(most)]}))
    assert len(str(told.value)) < 300
    assert kept_count(mysql_url) == 0


def kept_count(url: str) -> int:
    return int(servers.mysql(url, "SELECT count(*) FROM t")[0][0])


@pytest.mark.parametrize(
    ("mode", "key"), [(Mode.INSERT, ()), (Mode.INSERT, ("id",)), (Mode.CREATE, ()), (Mode.REPLACE, ("id",))]
)
def test_a_connection_that_ends_while_rows_are_on_their_way_leaves_nothing(
    mysql_url: str, mode: Mode, key: tuple[str, ...]
) -> None:
    if mode is not Mode.CREATE:
        put(mysql_url, ONE, Mode.CREATE)
    name = mysql_url.rpartition("/")[2].partition("?")[0]

    def batches() -> Iterator[pa.RecordBatch]:
        for number in range(10):
            if number == 5:
                for (thread,) in servers.mysql(
                    mysql_url,
                    f"SELECT id FROM information_schema.processlist WHERE db = '{name}' AND id <> connection_id()",
                ):
                    servers.mysql(mysql_url, f"KILL {thread}")
            yield pa.record_batch({"id": pa.array(range(number * 1000, number * 1000 + 1000), pa.int64())})

    rows = pa.RecordBatchReader.from_batches(ONE.schema, batches())
    with pytest.raises(SourceError, match=r"ended the connection .* Nothing was written"):
        source(mysql_url).write(Write("t", mode, key), rows)
    assert source(mysql_url).tables() == (() if mode is Mode.CREATE else ("t",))
    if mode is not Mode.CREATE:
        assert kept(mysql_url) == [(5,)]


@pytest.mark.parametrize(("mode", "step"), [(Mode.INSERT, "COMMIT"), (Mode.CREATE, "RENAME")])
def test_a_server_that_goes_away_while_it_keeps_the_rows_leaves_a_doubt_that_is_told(
    mode: Mode, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tilth.adapters.sources.mysql import writing

    server = servers.private_mysql()
    servers.mysql(server.url, "CREATE TABLE t (id bigint)" if mode is Mode.INSERT else "SELECT 1")
    before = writing.Writer._sure

    def gone(self: Any, statement: str, table: str) -> None:
        assert statement.startswith(step)
        server.kill()
        time_of_day.sleep(0.3)
        before(self, statement, table)

    monkeypatch.setattr(writing.Writer, "_sure", gone)
    with pytest.raises(UnsureError, match="they are there, or none of them is"):
        put(server.url, ONE, mode)


def test_a_user_that_may_only_read_is_told_what_to_grant(server: servers.MySql) -> None:
    servers.mysql(
        server.url,
        "CREATE OR REPLACE TABLE t (id bigint)",
        "CREATE OR REPLACE USER 'bob'@'127.0.0.1' IDENTIFIED BY 'x'",
        "GRANT SELECT ON test.* TO 'bob'@'127.0.0.1'",
    )
    url = f"mysql://bob:x@127.0.0.1:{server.port}/test"
    for mode, key in ((Mode.INSERT, ()), (Mode.INSERT, ("id",)), (Mode.REPLACE, ())):
        with pytest.raises(SourceError, match="denied") as told:
            put(url, ONE, mode, *key)
        assert "GRANT INSERT" in str(told.value)


def test_a_native_query_that_recurs_often_is_not_cut(mysql_url: str) -> None:
    sql = "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t WHERE n < 900) SELECT count(*) AS n FROM t"
    longer = sql.replace("900", "5000")
    assert source(mysql_url).native(sql).read_all().to_pylist() == [{"n": 900}]
    try:
        assert source(mysql_url).native(longer).read_all().to_pylist() == [{"n": 5000}]
    except SourceError:  # MySQL refuses it where MariaDB would answer with the first thousand
        assert "MariaDB" not in str(servers.mysql(mysql_url, "SELECT version()"))
