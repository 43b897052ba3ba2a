"""The Postgres door of `tilth up`: psql, pgbench and JDBC as people use them, who is let in, and what hostile clients can do.

The clients for Python are in `tests/clients/test_sql_clients.py`.
"""

import contextlib
import os
import shutil
import socket
import sqlite3
import ssl
import struct
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

import http_server
import servers
import tilth
from certificates import certificate

JAR = Path("/usr/share/java/postgresql.jar")
JDBC = Path(__file__).parents[1] / "fixtures" / "jdbc" / "Ask.java"
ENDLESS = "SELECT count(*) FROM range(100000000) a, range(100000) b"


def program(name: str) -> str:
    """Where a client is; the test is skipped without it, which is a failure in CI."""
    found = shutil.which(name)
    if found is None:
        servers.missing(f"{name} is not installed")
    assert found is not None
    return found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[http_server.Up]:
    folder = http_server.applied(tmp_path_factory.mktemp("door") / "p")
    with http_server.up(folder) as found:
        yield found


def asked(
    server: http_server.Up,
    *commands: str,
    user: str = "tilth",
    password: str | None = None,
    database: str = "prod",
    more: str = "",
    options: tuple[str, ...] = (),
) -> subprocess.CompletedProcess[str]:
    """What psql prints."""
    place = f"host=127.0.0.1 port={server.postgres} user={user} dbname={database} {more}"
    line = [program("psql"), "-X", *options, place]
    for command in commands:
        line += ["-c", command]
    environment = {**os.environ, "PGPASSWORD": server.token if password is None else password, "PAGER": ""}
    return subprocess.run(line, capture_output=True, text=True, timeout=120, env=environment, check=False)


PRINTED = {
    r"\d": ["public | deliveries | table | tilth", "public | duration   | view  | tilth", "public | late       | view  | tilth"],
    r"\d deliveries": [
        "id         | bigint                      |           | not null |", "ordered_at | timestamp without time zone", "carrier    | text",
        "late       | boolean", '"deliveries_pkey" PRIMARY KEY, btree (id)',
    ],
    r"\d+ late": ["late_probability   | double precision", "| input", "| output", "CREATE MODEL late", "PROMOTE IF not_worse_by(0.02);"],
    r"\dt": ["public | deliveries | table"],
    r"\dt ops.*": ["Did not find any relation"],
    r"\d ops.deliveries": ['Foreign table "ops.deliveries"', "carrier    | text", "Server: ops"],
    r"\dv": ["public | late     | view"],
    r"\dn": ["ops    | tilth", "public | tilth", "tilth  | tilth"],
    r"\l": ["prod | tilth | UTF8"],
    r"\du": ["tilth     |            | {}"],
    r"\di": ["public | deliveries_pkey | index | tilth | deliveries"],
    r"\dp": ["public | deliveries | table"],
    r"\df": ["(0 rows)"],
    r"\conninfo": ['You are connected to database "prod" as user "tilth" on host "127.0.0.1"'],
    "SELECT count(*) AS rows FROM deliveries": ["rows \n------\n 6000"],
    "SELECT id, carrier FROM deliveries WHERE id = 7": ["7 | "],
    "SELECT late FROM late WHERE ordered_at = TIMESTAMP '2024-04-30 20:00:00' AND carrier = 'slow' AND distance = 50.5": ["late \n------\n t"],
    "SELECT d.id, m.late FROM deliveries d JOIN late m WHERE d.id = 3": ["3 | "],
    'SELECT x.id FROM "public"."deliveries" x JOIN public.late m WHERE x.id = 4': ["id \n----\n  4"],
    "SELECT 'public.x' AS text": ["public.x"],
    "SHOW MODELS": ["late     | t        | deliveries", "duration | t "],
    "SHOW server_version": ["15.0"],
    "PLAN": ["plan"],
    "SELECT version()": ["PostgreSQL 15.0 (tilth)"],
    "SELECT current_database(), current_user, current_schema()": ["prod             | tilth        | public"],
    "SELECT count(*) > 0 AS some FROM tilth.versions": ["some \n------\n t"],
    "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1": ["deliveries\n duration\n late"],
    r"\copy (SELECT id, carrier FROM deliveries WHERE id < 2 ORDER BY id) TO STDOUT CSV HEADER": ["id,carrier\n0,"],
    "SET statement_timeout = '5s'": ["SET"],
    "BEGIN; SELECT 1 AS one; COMMIT": ["COMMIT"],
}  # fmt: skip


@pytest.mark.parametrize("command", PRINTED)
def test_psql_shows(command: str, server: http_server.Up) -> None:
    done = asked(server, command)
    found = done.stdout + (done.stderr if r"ops.*" in command else "")
    assert "ERROR" not in done.stderr
    assert [words for words in PRINTED[command] if words not in found] == [], found + done.stderr


REFUSED = {
    "selct 1": ("42601", "LINE 1: selct 1\n        ^"),
    "SELECT nope FROM deliveries": ("42703", "LINE 1: SELECT nope FROM deliveries\n               ^"),
    "SELECT 1;  SELECT nope FROM deliveries": ("42703", "                   ^"),
    "SELECT * FROM nothere": ("42P01", "^"),
    "SELECT * FROM read_csv('/etc/passwd')": ("", "ERROR"),
    "SELECT * FROM '/etc/passwd'": ("", "ERROR"),
    "COPY deliveries FROM STDIN": ("0A000", "COPY ... FROM brings rows in"),
    "COPY (SELECT 1) TO '/tmp/x'": ("0A000", "TO STDOUT"),
    "COPY (SELECT 1) TO PROGRAM 'sh'": ("0A000", "TO STDOUT"),
    "SET client_encoding = 'LATIN1'": ("0A000", "client_encoding"),
    "SET nothing.such = 1": ("42704", "no setting"),
    "SET ROLE postgres": ("0A000", "token of the connection"),
    "SHOW nothere": ("42601", "HINT"),
    "BEGIN; RETRAIN MODEL late; COMMIT": ("25001", "cannot run inside a transaction block"),
    "SAVEPOINT a": ("25P01", "transaction blocks"),
    "FETCH 1 FROM nothere": ("34000", "does not exist"),
    "PREPARE a AS SELECT 1": ("0A000", "prepare statements by the protocol"),
    "LISTEN x": ("0A000", ""),
    "DECLARE c CURSOR FOR SELECT 1": ("25P01", "WITH HOLD"),
    "SELECT pg_read_file('/etc/passwd')": ("42883", "pg_read_file"),
    "SELECT * FROM pg_shadow": ("0A000", "pg_shadow"),
    "SELECT oid FROM pg_class, deliveries": ("0A000", "either the catalog or tables"),
    "DROP MODEL nothere": ("42P01", "nothere"),
    "VACUUM": ("42601", "does not begin a statement"),
}


@pytest.mark.parametrize("text", REFUSED)
def test_psql_is_told_what_is_wrong(text: str, server: http_server.Up) -> None:
    state, words = REFUSED[text]
    done = asked(server, text, options=("-v", "VERBOSITY=verbose"))
    assert "ERROR:  " in done.stderr
    assert f"ERROR:  {state}" in done.stderr, done.stderr
    assert words in asked(server, text).stderr, asked(server, text).stderr


def test_one_error_ends_a_text_and_not_the_connection(server: http_server.Up) -> None:
    done = asked(server, "SELECT 1 AS a; SELECT nope FROM deliveries; SELECT 2 AS b", "SELECT 3 AS c")
    assert " a \n" in done.stdout
    assert " b \n" not in done.stdout
    assert " c \n" in done.stdout


def test_a_cursor_is_read_piece_by_piece(server: http_server.Up) -> None:
    text = (
        "BEGIN; DECLARE c CURSOR FOR SELECT id FROM deliveries ORDER BY id; FETCH 2 FROM c; MOVE 3 FROM c;"
        " FETCH FORWARD 1 FROM c; CLOSE c; COMMIT"
    )
    done = asked(server, text, options=("-A", "-t"))
    assert done.stdout.split() == ["BEGIN", "DECLARE", "CURSOR", "0", "1", "MOVE", "3", "5", "CLOSE", "CURSOR", "COMMIT"]  # fmt: skip


def test_declarations_are_typed_at_a_prompt(server: http_server.Up) -> None:
    text = "CREATE MODEL again PREDICT late FROM deliveries FEATURES (* EXCEPT (minutes)) USING (engine = 'linear')"
    done = asked(server, text, r"\d again", "DROP MODEL again")
    assert "CREATE MODEL" in done.stdout, done.stderr
    assert 'View "public.again"' in done.stdout
    assert "NOTICE" in done.stderr
    assert "INFO" in done.stderr  # its progress
    with tilth.open(str(server.folder)) as project:
        by = project.sql("SELECT actor FROM tilth.generations ORDER BY number DESC LIMIT 1").rows()
    assert by[0]["actor"] == "token:project"


def test_ctrl_c_cancels_the_statement(server: http_server.Up) -> None:
    place = f"host=127.0.0.1 port={server.postgres} user=tilth dbname=prod"
    child = subprocess.Popen(
        [program("psql"), "-X", place, "-c", ENDLESS, "-c", "SELECT 8 AS after"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PGPASSWORD": server.token},
    )  # fmt: skip
    time.sleep(3)
    child.send_signal(2)
    out, told = child.communicate(timeout=60)
    assert "ERROR:  The statement was cancelled" in told, told  # psql's own words say only that it asked
    assert asked(server, "SELECT 9 AS lives").stdout.count("lives") == 1, out


# --- who is let in -----------------------------------------------------------------------------------------


def test_a_token_of_its_own_name_lets_in_as_its_role(server: http_server.Up) -> None:
    with tilth.open(str(server.folder)) as project:
        made = project.sql("CREATE TOKEN 'looks' FOR reader").facts["token"]
        project.sql("CREATE TOKEN 'asks' FOR predictor")
    http_server.wait(lambda: asked(server, "SELECT 1", user="looks", password=made).returncode == 0)
    assert "6000" in asked(server, "SELECT count(*) FROM deliveries", user="looks", password=made).stdout
    refused = asked(server, "RETRAIN MODEL late", user="looks", password=made, options=("-v", "VERBOSITY=verbose"))  # fmt: skip
    assert "ERROR:  42501" in refused.stderr
    assert "reader" in refused.stderr
    with tilth.open(str(server.folder)) as project:
        project.sql("DROP TOKEN 'looks'")
    http_server.wait(lambda: asked(server, "SELECT 1", user="looks", password=made).returncode == 2)


@pytest.mark.parametrize(
    ("user", "password", "database", "words"),
    [
        ("tilth", "wrong", "prod", "password authentication failed"),
        ("nobody", "wrong", "prod", "password authentication failed"),
        ("", "wrong", "prod", "password authentication failed"),
        ("tilth", None, "nodb", 'database "nodb" does not exist'),
        ("tilth", None, "tilth", ""),
        ("tilth", None, "postgres", ""),
    ],
)
def test_who_is_let_in(
    user: str, password: str | None, database: str, words: str, server: http_server.Up
) -> None:
    if not user:
        user = "'   '"
    done = asked(server, "SELECT 1", user=user, password=password, database=database)
    assert (done.returncode == 0) is not bool(words), done.stderr
    assert words in done.stderr


def test_tls_is_spoken_where_there_is_a_certificate(tmp_path: Path) -> None:
    folder = http_server.applied(tmp_path / "p")
    cert, key = certificate(tmp_path, "door", timedelta(days=-1), timedelta(days=90))
    options = ("--no-reconcile", "--tls-cert", cert, "--tls-key", key)
    with http_server.up(folder, *options) as server:
        done = asked(server, r"\conninfo", "SELECT 1 AS one", more="sslmode=require")
        assert "SSL connection (protocol: TLSv1" in done.stdout
        assert "one" in done.stdout
        context = ssl.create_default_context(cafile=cert)
        context.check_hostname = False
        with socket.create_connection(("127.0.0.1", server.postgres), 10) as raw:
            raw.sendall(struct.pack("!ii", 8, 80_877_103) + b"early")  # bytes before TLS was agreed upon
            assert raw.recv(1) in {b"S", b"E"}
            raw.settimeout(10)
            with pytest.raises((ssl.SSLError, OSError)):
                context.wrap_socket(raw).recv(1)


# --- other programs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
def test_pgbench_runs_a_script(mode: str, server: http_server.Up, tmp_path: Path) -> None:
    script = tmp_path / "ask.sql"
    script.write_text(
        "\\set far random(1, 60)\nSELECT late FROM late WHERE ordered_at = '2024-04-30 20:00:00'"
        " AND carrier = 'slow' AND distance = :far;\nSELECT carrier FROM deliveries WHERE id = :far;\n"
    )
    pgbench = shutil.which("pgbench") or "/usr/lib/postgresql/15/bin/pgbench"
    line = [pgbench, "-n", "-h", "127.0.0.1", "-p", str(server.postgres), "-U", "tilth", "-f", str(script), "-t", "5", "-c", "3", "-M", mode, "prod"]  # fmt: skip
    done = subprocess.run(
        line, capture_output=True, text=True, timeout=120, env={**os.environ, "PGPASSWORD": server.token}, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "number of transactions actually processed: 15/15" in done.stdout
    assert "number of failed transactions: 0" in done.stdout


def test_jdbc_asks_and_explores(server: http_server.Up, tmp_path: Path) -> None:
    if not JAR.exists():
        servers.missing("PostgreSQL's JDBC driver is not installed (libpostgresql-jdbc-java)")
    subprocess.run([program("javac"), "-d", str(tmp_path), str(JDBC)], check=True, timeout=120)
    done = subprocess.run(
        [program("java"), "-Duser.timezone=America/New_York", "-cp", f"{tmp_path}:{JAR}", "Ask", str(server.postgres), server.token],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    with tilth.open(str(server.folder)) as project:
        rows = project.sql("SELECT id, carrier, distance FROM deliveries WHERE id < 3 ORDER BY id").rows()
    assert [line for line in lines if line.startswith("row ")] == [f"row {r['id']} {r['carrier']} {r['distance']}" for r in rows]  # fmt: skip
    assert lines.count("predicted t") == 8
    for expected in ("table deliveries TABLE", "table late VIEW", "column ordered_at timestamp", "key id", "index deliveries_pkey id", "schema ops", "fetched 6000", "state 42703"):  # fmt: skip
        assert expected in lines, lines


# --- hostile clients ---------------------------------------------------------------------------------------


def startup(**parameters: str) -> bytes:
    body = struct.pack("!i", 3 << 16)
    for name, value in parameters.items():
        body += name.encode() + b"\0" + value.encode() + b"\0"
    return struct.pack("!i", len(body) + 5) + body + b"\0"


HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "a giant start": struct.pack("!i", 2**31 - 1),
    "a negative length": struct.pack("!i", -5) + b"x" * 20,
    "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "another version": struct.pack("!ii", 8, 2 << 16),
    "an unfinished start": startup(user="tilth")[:-3],
    "a start without an end": struct.pack("!ii", 13, 3 << 16) + b"user\0",
    "a query before a password": startup(user="tilth") + b"Q" + struct.pack("!i", 13) + b"SELECT 1\0",
    "no SASL": startup(user="tilth") + b"p" + struct.pack("!i", 9) + b"wrong",
    "a giant password": startup(user="tilth") + b"p" + struct.pack("!i", 2**30),
    "many requests for TLS": struct.pack("!ii", 8, 80_877_103) * 20,
    "a cancel of nobody": struct.pack("!iiii", 16, 80_877_102, 1, 2),
    "zeros": b"\0" * 200,
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_client_is_let_go_and_harms_nobody(name: str, server: http_server.Up) -> None:
    with socket.create_connection(("127.0.0.1", server.postgres), 10) as raw:
        raw.settimeout(40)
        with contextlib.suppress(OSError):
            raw.sendall(HOSTILE[name])
            if name in {"nothing", "an unfinished start"}:
                raw.shutdown(socket.SHUT_WR)
            while raw.recv(65_536):
                pass
    assert "one" in asked(server, "SELECT 1 AS one").stdout


def authenticated(server: http_server.Up) -> Any:
    """A connection of the test's own, after SCRAM."""
    import base64
    import hashlib
    import hmac

    raw = socket.create_connection(("127.0.0.1", server.postgres), 20)
    raw.sendall(startup(user="tilth", database="prod"))
    _message(raw)
    first = "n=,r=abcdefghijkl"
    body = b"SCRAM-SHA-256\0" + struct.pack("!i", len(f"n,,{first}")) + f"n,,{first}".encode()
    raw.sendall(b"p" + struct.pack("!i", len(body) + 4) + body)
    said = _message(raw)[1][4:].decode()
    parts = dict(p.split("=", 1) for p in said.split(","))
    salted = hashlib.pbkdf2_hmac(
        "sha256", server.token.encode(), base64.b64decode(parts["s"]), int(parts["i"])
    )
    key = hmac.digest(salted, b"Client Key", "sha256")
    without = f"c=biws,r={parts['r']}"
    signed = f"{first},{said},{without}".encode()
    mask = hmac.digest(hashlib.sha256(key).digest(), signed, "sha256")
    proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, mask, strict=True))).decode()
    final = f"{without},p={proof}".encode()
    raw.sendall(b"p" + struct.pack("!i", len(final) + 4) + final)
    while _message(raw)[0] != b"Z":
        pass
    return raw


def _message(raw: socket.socket) -> tuple[bytes, bytes]:
    def exactly(count: int) -> bytes:
        held = b""
        while len(held) < count:
            more = raw.recv(count - len(held))
            if not more:
                raise EOFError
            held += more
        return held

    kind = exactly(1)
    return kind, exactly(struct.unpack("!i", exactly(4))[0] - 4)


def test_random_messages_of_a_client_that_is_let_in(server: http_server.Up) -> None:
    random = Random(7)
    kinds = b"QPBEDCSHXdcfFpz"
    for _ in range(30):
        with contextlib.closing(authenticated(server)) as raw, contextlib.suppress(OSError, EOFError):
            raw.settimeout(10)
            for _ in range(12):
                body = random.randbytes(random.randrange(40))
                if random.random() < 0.3:
                    body = random.choice(
                        [
                            b"SELECT 1\0",
                            b"\0SELECT $1\0\0\0",
                            b"\0\0\0\0\0\0\0\0",
                            b"S\0",
                            b"P\0",
                            b"\0\0\0\0\0",
                        ]
                    )
                kind = bytes([random.choice(kinds)])
                length = len(body) + 4 if random.random() < 0.9 else random.randrange(2**31)
                raw.sendall(kind + struct.pack("!i", length) + body)
            raw.sendall(b"S" + struct.pack("!i", 4) + b"X" + struct.pack("!i", 4))
            raw.shutdown(socket.SHUT_WR)
            while raw.recv(65_536):
                pass
    assert "one" in asked(server, "SELECT 1 AS one").stdout


def test_a_client_that_vanishes_ends_its_statement(server: http_server.Up) -> None:
    for text in (ENDLESS, "SELECT a.id FROM deliveries a, deliveries b"):
        raw = authenticated(server)
        data = text.encode() + b"\0"
        raw.sendall(b"Q" + struct.pack("!i", len(data) + 4) + data)
        time.sleep(1)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raw.close()
    assert "one" in asked(server, "SELECT 1 AS one").stdout

    def idle() -> bool:
        ticks = [_cpu(server.process.pid)]
        time.sleep(0.5)
        return _cpu(server.process.pid) - ticks[0] < 20

    http_server.wait(idle, 60)


@pytest.mark.parametrize("more", [b"", b"X" + struct.pack("!i", 4)], ids=["without a word", "with a goodbye"])
def test_clients_that_vanish_in_the_middle_of_an_answer_give_their_turns_back(
    server: http_server.Up, more: bytes
) -> None:
    data = b"SELECT * FROM range(30000000)\0"
    for _ in range(2 * (os.cpu_count() or 1) + 2):  # more than may work at once
        with contextlib.closing(authenticated(server)) as raw:
            raw.settimeout(30)
            raw.sendall(b"Q" + struct.pack("!i", len(data) + 4) + data + more)
            read = 0
            while read < 200_000:
                read += len(raw.recv(65_536))

    def over() -> bool:
        sql = "SELECT count(*) AS n FROM tilth.statements WHERE status = 'running'"
        return asked(server, sql, options=("-At",)).stdout.split() == ["1"]

    http_server.wait(over, 30)


def test_a_view_without_end_is_no_matter_to_statements_that_do_not_name_it(server: http_server.Up) -> None:
    import psycopg

    with contextlib.closing(sqlite3.connect(server.folder / "odd.db")) as db, db:
        db.execute("CREATE TABLE t (n INTEGER)")
        db.execute("INSERT INTO t VALUES (1), (2)")
        db.execute(
            "CREATE VIEW v AS WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT max(n) AS n FROM r"
        )
    asked(server, "CREATE SOURCE odd ENGINE sqlite WITH (path = 'odd.db')")
    place = f"host=127.0.0.1 port={server.postgres} user=tilth dbname=prod password={server.token}"
    with psycopg.connect(place, autocommit=True) as found:
        (count,) = found.execute("SELECT count(*) FROM odd.t WHERE n = %s", (1,)).fetchone() or (None,)
        assert count == 1
        found.execute("SET statement_timeout = '2 s'")
        for sql in (
            "SELECT * FROM odd.v",
            "SELECT * FROM odd (SELECT * FROM v)",
            "SELECT * FROM odd.v WHERE n = %s",
        ):
            with pytest.raises(psycopg.errors.QueryCanceled, match="worked for 2 seconds"):
                found.execute(sql, (1,) if "%s" in sql else None)
        columns = "SELECT column_name FROM information_schema.columns WHERE table_schema = 'odd' AND table_name = 't'"
        assert found.execute(columns).fetchall() == [("n",)]
    asked(server, "DROP SOURCE odd")


UNREADABLE = {"no end": b"SELECT 1", "no UTF-8": b"SELECT \xff\0", "two ends": b"SELECT 1\0 x\0"}


@pytest.mark.parametrize("name", UNREADABLE)
def test_after_a_query_that_cannot_be_read_the_client_may_go_on(name: str, server: http_server.Up) -> None:
    body = UNREADABLE[name]
    with contextlib.closing(authenticated(server)) as raw:
        raw.settimeout(10)
        raw.sendall(b"Q" + struct.pack("!i", len(body) + 4) + body)
        assert [_message(raw)[0], _message(raw)[0]] == [b"E", b"Z"]


def _cpu(pid: int) -> int:
    """Hundredths of a second that the process and its children worked."""
    found = subprocess.run(["ps", "-o", "times=", "--ppid", str(pid), "-p", str(pid)], capture_output=True, text=True, check=False)  # fmt: skip
    return sum(int(line) for line in found.stdout.split()) * 100


def test_a_slow_reader_holds_no_rows_in_memory(server: http_server.Up) -> None:
    before = server.rss()
    raw = authenticated(server)
    data = b"SELECT a.*, b.id AS other FROM deliveries a, deliveries b\0"  # 36 million rows
    raw.sendall(b"Q" + struct.pack("!i", len(data) + 4) + data)
    time.sleep(4)
    assert server.rss() - before < 200 << 20
    raw.close()
    assert "one" in asked(server, "SELECT 1 AS one").stdout


def test_a_hundred_idle_connections_are_light(server: http_server.Up) -> None:
    asked(server, "SELECT 1")
    before = server.rss()
    held = [authenticated(server) for _ in range(100)]
    grown = server.rss() - before
    for raw in held:
        raw.close()
    assert grown < 50 << 20
