"""Native queries on real servers: one statement that reads, all of it; everything else is refused before it is sent."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import servers
from servers import postgres_url
from tilth.adapters.sources.mysql import connecting
from tilth.adapters.sources.mysql.source import MySqlSource
from tilth.adapters.sources.native import reading
from tilth.adapters.sources.postgres.source import PostgresSource
from tilth.adapters.sources.sqlite.source import SqliteSource
from tilth.core.errors import SourceError

READ = [
    ("SELECT 1 AS v", 1),
    ("select 1 as v;", 1),
    ("  SELECT 1 AS v ; ; -- the end\n", 1),
    ("/* first */ SELECT 1 AS v /* last */", 1),
    ("WITH x AS (SELECT 1 AS v) SELECT v FROM x", 1),
    ("VALUES (1)", 1),
    ("SELECT count(*) AS v FROM (SELECT 'a; DELETE FROM t' AS s) q", 1),
    ("SELECT length('DROP') AS v", 4),
    ('SELECT 1 AS "delete"', 1),
    ("SELECT 1 AS v -- ; DELETE FROM t", 1),
    ("SELECT max(v) AS v FROM (SELECT 1 AS v UNION ALL SELECT 2) u", 2),
]  # fmt: skip
READ_POSTGRES = [
    ("TABLE pg_temp_none", None),
    ("(SELECT 1 AS v)", 1),
    ("SELECT length($$; DROP TABLE t$$) AS v", 14),
    ("SELECT length($x$ $$ ; $x$) AS v", 6),
    (r"SELECT length(E'\'; ') AS v", 3),
    (r"SELECT length('\') AS v", 1),
    ("SELECT /* a /* b */ ; */ 1 AS v", 1),
    ("SELECT substring('abc' FROM 1 FOR 2)::text <> 'x' AS v", True),
]
REFUSED = [
    "", ";", "-- nothing", "/* nothing */",
    "SELECT 1; SELECT 2", "SELECT 1; DELETE FROM t", "SELECT 1;;DROP TABLE t", "SELECT 'a' ; /* x */ DELETE FROM t",
    "SELECT 1 /* a */ ; -- b\n DELETE FROM t",
    "INSERT INTO t VALUES (1)", "UPDATE t SET v = 1", "DELETE FROM t", "DROP TABLE t", "CREATE TABLE u (v int)", "ALTER TABLE t ADD w int",
    "WITH x AS (SELECT 1) DELETE FROM t", "WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x", "WITH x AS (SELECT 1)UPDATE t SET v = 1",
    "EXPLAIN SELECT 1", "VACUUM", "BEGIN", "COMMIT", "REINDEX t", "ANALYZE",
    "SELECT 'never", 'SELECT "never',
]  # fmt: skip
REFUSED_POSTGRES = [
    "COPY (SELECT 1) TO PROGRAM 'touch /tmp/x'", "COPY t FROM PROGRAM 'id'", "copy t to stdout", "/* */ COPY (SELECT 1) TO '/tmp/x'",
    "DO $$BEGIN DELETE FROM t; END$$", "CALL p()", "EXPLAIN ANALYZE DELETE FROM t", "EXECUTE q", "PREPARE q AS DELETE FROM t",
    "SET default_transaction_read_only = off", "RESET ALL", "LISTEN x", "NOTIFY x", "LOCK TABLE t", "TRUNCATE t", "GRANT ALL ON t TO public",
    "WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x", "WITH x AS MATERIALIZED (DELETE FROM t RETURNING *) SELECT * FROM x",
    "WITH x AS (/* */ UPDATE t SET v = 1 RETURNING *) SELECT * FROM x", "WITH x AS (INSERT INTO t VALUES (1) RETURNING *) TABLE x",
    "WITH x AS (MERGE INTO t USING t u ON false WHEN NOT MATCHED THEN DO NOTHING) SELECT 1",
    "SELECT * INTO u FROM t", "SELECT 1 INTO TEMP u", "SELECT * FROM t FOR UPDATE", "SELECT * FROM t FOR NO KEY UPDATE", "SELECT * FROM t FOR SHARE",
    "SELECT pg_read_file('/etc/passwd')", "SELECT pg_catalog.pg_read_file('/etc/passwd')", 'SELECT "pg_read_file"(\'/etc/passwd\')',
    "SELECT PG_READ_BINARY_FILE ('/etc/passwd')", "SELECT * FROM pg_ls_dir('.')", "SELECT pg_ls_waldir()", "SELECT pg_stat_file('x')",
    "SELECT lo_import('/etc/passwd')", "SELECT lo_export(1, '/tmp/x')", "SELECT dblink('', 'DELETE FROM t')", "SELECT dblink_exec('')",
    "SELECT pg_terminate_backend(1)", "SELECT pg_cancel_backend(1)", "SELECT set_config('transaction_read_only', 'off', false)",
    "SELECT nextval('s')", "SELECT setval('s', 1)", "SELECT pg_sleep(100)", "SELECT pg_advisory_lock(1)", "SELECT pg_try_advisory_lock(1)",
    "SELECT pg_reload_conf()", "SELECT pg_logical_emit_message(false, 'a', 'b')", "SELECT pg_create_restore_point('x')", "SELECT pg_notify('a', 'b')",
    "SELECT query_to_xml('DELETE FROM t', true, true, '')", "SELECT pg_read_file /* */ ('x')",
    'SELECT U&"pg_re\\0061d_file"(\'x\')', "SELECT $a$ $b$", "SELECT /* /* */ 1", r"SELECT E'\'; DELETE FROM t",
    r"SELECT '\'; DELETE FROM t; --'",
    # where PostgreSQL ends a comment, and what it takes for a part of a name
    "SELECT 1 AS v --\r, pg_read_file('/etc/hostname') --\n, 2", "SELECT 1 AS v --\rFOR UPDATE",
    "SELECT 1 AS a\u00a0$$, pg_read_file('/etc/hostname') AS b\u00a0$$", "SELECT 1 AS a\u2003$x$, pg_ls_dir('.') AS b\u2003$x$",
    "SELECT 1 AS a\U0001f600$$, pg_read_file('/etc/hostname') AS b\U0001f600$$", "SELECT 1 AS \u00b2$$; DELETE FROM t; --$$",
    "SELECT * FROM pg_hba_file_rules()", "SELECT * FROM pg_hba_file_rules", 'SELECT * FROM pg_catalog."pg_file_settings"', "TABLE pg_ident_file_mappings",
    "SELECT pg_show_all_file_settings()", "SELECT binary_upgrade_set_next_pg_type_oid(1)", "SELECT pg_nextoid('pg_class', 'oid', 'x')",
]  # fmt: skip
REFUSED_SQLITE = [
    "PRAGMA journal_mode = DELETE", "ATTACH 'x' AS y", "DETACH y", "SELECT load_extension('x')", "SELECT writefile('x', 'y')",
    "SELECT [a;b] FROM t; DELETE FROM t", "SELECT 1 AS `a`; DELETE FROM t", "SELECT readfile('/etc/passwd')",
]  # fmt: skip

READ_MYSQL = [
    ("(SELECT 1 AS v)", 1),
    ("SELECT 1 AS v # ; DELETE FROM t\n", 1),
    ("SELECT 1 AS v -- ; DELETE FROM t\n", 1),
    ("SELECT 5--1 AS v", 6),
    (r"SELECT length('\'; ') AS v", 3),
    (r"SELECT length('\\') AS v", 1),
    ('SELECT length("; DROP TABLE t") AS v', 14),
    (r'SELECT length("\"; ") AS v', 3),
    ("SELECT 1 AS `v``;`", 1),
    ("SELECT /* a /* b */ 1 AS v", 1),
    ("SELECT CAST(0.5 AS FLOAT) AS v", 0.5),
    ("SELECT 'SLEEP(1)' <> 'INTO' AS v", 1),
    ("SELECT _utf8mb4'a' = 'A' AS v", 1),
]
REFUSED_MYSQL = [
    "SELECT * FROM t INTO OUTFILE '/tmp/x'", "SELECT 1 INTO DUMPFILE '/tmp/x'", "SELECT * INTO OUTFILE '/tmp/x' FROM t", "SELECT 1 INTO @a",
    "SELECT LOAD_FILE('/etc/passwd')", "SELECT load_file ('/etc/passwd')", "SELECT `load_file`('/etc/passwd')", "SELECT LOAD_FILE/**/('x')",
    "SELECT sleep(100)", "SELECT benchmark(1e9, md5('a'))", "SELECT get_lock('a', 1)", "SELECT release_lock('a')", "SELECT sys_exec('id')",
    "SELECT /*! 1 INTO OUTFILE '/tmp/x' */", "SELECT 1 /*!50000 INTO OUTFILE '/tmp/x' */", "SELECT 1 /*M! , LOAD_FILE('/etc/passwd') */",
    "SELECT 1 --\x01'\n, LOAD_FILE('/etc/passwd') --\x01'", "SELECT 1 --\x0b'\n, LOAD_FILE('/etc/passwd') --\x0b'", "SELECT 1\x00",
    "SELECT 1 --\n, LOAD_FILE('/etc/passwd')", "SELECT 'a\\'' , LOAD_FILE('/etc/passwd')", "SELECT 5--1, LOAD_FILE('x')",
    "SELECT NEXTVAL(s)", "SELECT NEXT VALUE FOR s", "SELECT lastval(s)", "SELECT setval(s, 1)", "SELECT * FROM t FOR UPDATE", "SELECT * FROM t LOCK IN SHARE MODE",
    "SELECT * FROM t PROCEDURE ANALYSE()", "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE t", "SET GLOBAL general_log = 1", "KILL 1", "DO sleep(1)",
    "CALL p()", "HANDLER t OPEN", "SHOW TABLES", "USE mysql", "REPLACE INTO t VALUES (1)", "FLUSH TABLES", "SELECT $$a$$", "SELECT $a", "LOCK TABLES t WRITE",
    "SET STATEMENT max_statement_time = 0 FOR SELECT 1", "WITH x AS (SELECT 1) DELETE FROM t", "SELECT `never", "PREPARE s FROM 'SELECT 1'", "SELECT ?",
]  # fmt: skip


@pytest.fixture(scope="module")
def mysql() -> Iterator[MySqlSource]:
    with servers.mysql_database("tilth_native") as url:
        servers.mysql(url, "CREATE TABLE t (v INTEGER)", "INSERT INTO t VALUES (1)")
        yield MySqlSource.from_options({"url": url}, "")


@pytest.fixture(scope="module")
def postgres() -> PostgresSource:
    return PostgresSource(postgres_url())


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> SqliteSource:
    path = tmp_path_factory.mktemp("native") / "x.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE t (v INTEGER)")
        db.execute("INSERT INTO t VALUES (1)")
        db.commit()
    return SqliteSource(str(path))


@pytest.mark.parametrize(("sql", "value"), READ)
def test_what_reads_is_answered_by_both(
    postgres: PostgresSource, sqlite: SqliteSource, sql: str, value: int
) -> None:
    for source in (postgres, sqlite):
        assert source.native(sql).read_all().column(0).to_pylist() == [value]


@pytest.mark.parametrize(("sql", "value"), [*(r for r in READ if '"' not in r[0]), *READ_MYSQL])
def test_what_reads_is_answered_by_mysql(mysql: MySqlSource, sql: str, value: object) -> None:
    assert mysql.native(sql).read_all().column(0).to_pylist() == [value]


@pytest.mark.parametrize("sql", [*REFUSED, *REFUSED_MYSQL])
def test_what_does_not_only_read_is_refused_by_mysql(mysql: MySqlSource, sql: str) -> None:
    with pytest.raises(SourceError, match="native query"):
        mysql.native(sql)
    assert mysql.native("SELECT count(*) AS n FROM t").read_all().to_pylist() == [{"n": 1}]


@pytest.mark.parametrize(
    "sql", ["INSERT INTO t VALUES (2)", "CREATE TABLE u (a int)", "DROP TABLE t", "TRUNCATE t"]
)
def test_a_session_of_mysql_writes_nothing_even_without_the_look_at_its_text(
    mysql: MySqlSource, sql: str
) -> None:
    session = mysql._session(ours=False)
    with pytest.raises(SourceError, match="read-only"):
        connecting.run(session, sql)
    session.close()


def test_how_mysql_reads_a_native_query_does_not_hang_on_the_servers_mode(mysql: MySqlSource) -> None:
    url = mysql._at
    session = connecting.connect(url)
    connecting.run(session, "SET SESSION sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT'")
    connecting.reading(session, ours=False)
    assert connecting.rows(session, "SELECT @@SESSION.sql_mode") == [("PIPES_AS_CONCAT",)]
    session.close()


@pytest.mark.parametrize(("sql", "value"), READ_POSTGRES)
def test_what_reads_is_answered_by_postgres(postgres: PostgresSource, sql: str, value: object) -> None:
    if value is None:
        assert reading(sql, "postgres") == sql
    else:
        assert postgres.native(sql).read_all().column(0).to_pylist() == [value]


@pytest.mark.parametrize("sql", [*REFUSED, *REFUSED_POSTGRES])
def test_what_does_not_only_read_is_refused_by_postgres(postgres: PostgresSource, sql: str) -> None:
    with pytest.raises(SourceError, match="native query") as caught:
        postgres.native(sql)
    assert "SELECT" in str(caught.value.hint)


@pytest.mark.parametrize("sql", [*REFUSED, *REFUSED_SQLITE])
def test_what_does_not_only_read_is_refused_by_sqlite(sqlite: SqliteSource, sql: str) -> None:
    with pytest.raises(SourceError, match="native query"):
        sqlite.native(sql)
    assert sqlite.native("SELECT count(*) AS n FROM t").read_all().to_pylist() == [{"n": 1}]


def test_no_program_runs_on_the_server(postgres: PostgresSource, tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    with pytest.raises(SourceError, match="begins with COPY"):
        postgres.native(f"COPY (SELECT 1) TO PROGRAM 'touch {trace}'")
    assert not trace.exists()
