"""Real servers for tests: the one that is reachable, else one of our own from installed binaries on a private port.

In CI a missing server is a failure; elsewhere the tests that need it are skipped with the reason.
"""

import atexit
import contextlib
import glob
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

GIVEN = os.environ.get(
    "TILTH_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres?connect_timeout=3"
)


def missing(reason: str) -> None:
    """Skip the test, or fail it in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


GIVEN_MYSQL = os.environ.get("TILTH_TEST_MYSQL", "mysql://root@127.0.0.1:3306/test?connect_timeout=3")


@cache
def postgres_url() -> str:
    """The URL of a server that answers: the given one, else our own."""
    if _answers(GIVEN):
        return GIVEN
    return private_postgres().url


def _answers(url: str) -> bool:
    from adbc_driver_postgresql import dbapi

    try:
        dbapi.connect(url).close()
    except Exception:
        return False
    return True


@dataclass(frozen=True)
class Postgres:
    """A server of our own: it asks for a password, and may be killed."""

    port: int
    password: str
    pid: int

    @property
    def url(self) -> str:
        return f"postgresql://postgres:{self.password}@127.0.0.1:{self.port}/postgres?connect_timeout=3"

    def kill(self) -> None:
        """End it at once, as a crash would."""
        os.kill(self.pid, signal.SIGQUIT)


def private_postgres() -> Postgres:
    """Start one from installed binaries, on loopback, with a random password; it ends with the tests."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb")) or [shutil.which("initdb") or ""]
    if not found[-1]:
        missing("no PostgreSQL is installed; set TILTH_TEST_POSTGRES to a server for tests")
    binaries, folder = Path(found[-1]).parent, Path(tempfile.mkdtemp(prefix="tilth-postgres-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    word = secrets.token_urlsafe(12)
    (folder / "word").write_text(word)
    user = ()
    if os.getuid() == 0:  # it refuses to run as root
        owner = pwd.getpwnam("postgres")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        os.chown(folder / "word", owner.pw_uid, owner.pw_gid)
        user = ("setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups")
    subprocess.run(
        [*user, binaries / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "scram-sha-256",
         "--pwfile", folder / "word", "--no-sync", "-E", "UTF8"],
        check=True, capture_output=True, timeout=120, cwd="/",
    )  # fmt: skip
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    server = subprocess.Popen(
        [*user, binaries / "postgres", "-D", folder / "data", "-p", str(port), "-h", "127.0.0.1",
         "-k", folder, "-c", "fsync=off"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
    )  # fmt: skip
    atexit.register(_end, server)
    made = Postgres(port, word, server.pid)
    for _ in range(200):
        if _answers(made.url):
            return made
        time.sleep(0.05)
    pytest.fail("our own PostgreSQL does not answer")


def _end(server: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        server.send_signal(signal.SIGQUIT)
        server.wait(20)


# --- MySQL and MariaDB -------------------------------------------------------------------------------------


@cache
def mysql_url() -> str:
    """The URL of a server that answers, with rights to make databases: the given one, else our own."""
    return GIVEN_MYSQL if _mysql_answers(GIVEN_MYSQL) else private_mysql().url


def mysql(url: str, *statements: str) -> list[tuple[Any, ...]]:
    """Run statements; the rows of the last."""
    import pymysql

    parts = urlsplit(url)
    link = pymysql.connect(
        host=parts.hostname, port=parts.port or 3306, user=parts.username, password=parts.password or "",
        database=parts.path.strip("/"), autocommit=True, connect_timeout=3,
    )  # fmt: skip
    try:
        with link.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())
    finally:
        link.close()


@contextlib.contextmanager
def mysql_database(prefix: str) -> Iterator[str]:
    """The URL of a database of our own, dropped afterwards."""
    url, name = mysql_url(), f"{prefix}_{secrets.token_hex(5)}"
    mysql(url, f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    try:
        yield url.replace(urlsplit(url).path, f"/{name}")
    finally:
        mysql(url, f"DROP DATABASE IF EXISTS {name}")


def _mysql_answers(url: str) -> bool:
    try:
        mysql(url, "SELECT 1")
    except Exception:
        return False
    return True


@dataclass(frozen=True)
class MySql:
    """A server of our own: it asks for a password, and may be killed."""

    port: int
    password: str
    pid: int

    @property
    def url(self) -> str:
        return f"mysql://root:{self.password}@127.0.0.1:{self.port}/test?connect_timeout=3"

    def kill(self) -> None:
        """End it at once, as a crash would."""
        os.kill(self.pid, signal.SIGKILL)


def private_mysql(*options: str, tls: tuple[str, str] | None = None) -> MySql:
    """Start one from installed binaries, on loopback, with a random password; it ends with the tests."""
    binary = shutil.which("mariadbd", path=_PLACES)
    installer = shutil.which("mariadb-install-db", path=_PLACES)
    if binary is None or installer is None:
        missing("no MariaDB is installed; set TILTH_TEST_MYSQL to a server for tests")
    folder = Path(tempfile.mkdtemp(prefix="tilth-mariadb-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    word, user = secrets.token_urlsafe(12), []
    if os.getuid() == 0:
        owner = pwd.getpwnam("mysql")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        user = ["--user=mysql"]
    plain = ["--no-defaults", *user, f"--datadir={folder / 'data'}"]
    subprocess.run(
        [installer, *plain, "--auth-root-authentication-method=normal", "--skip-test-db"],
        check=True, capture_output=True, timeout=120, cwd="/",
    )  # fmt: skip
    begin = folder / "begin.sql"
    begin.write_text(
        f"CREATE DATABASE test;\nCREATE OR REPLACE USER 'root'@'127.0.0.1' IDENTIFIED BY '{word}';\n"
        "GRANT ALL ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;\n"
    )
    begin.chmod(0o644)
    for given, name in zip(tls or (), ("cert", "key"), strict=False):
        (folder / name).write_bytes(Path(given).read_bytes())
        (folder / name).chmod(0o644)
        options += (f"--ssl-{name}={folder / name}",)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [binary, *plain, f"--port={port}", "--bind-address=127.0.0.1", f"--socket={folder / 's'}", "--skip-name-resolve",
             f"--init-file={begin}", "--innodb-flush-log-at-trx-commit=0", f"--pid-file={folder / 'pid'}", *options],
            stdout=subprocess.DEVNULL, stderr=log, cwd="/",
        )  # fmt: skip
    atexit.register(_kill, server)
    made = MySql(port, word, server.pid)
    for _ in range(400):
        if _mysql_answers(made.url):
            return made
        if server.poll() is not None:
            break
        time.sleep(0.05)
    pytest.fail(f"our own MariaDB does not answer: {(folder / 'log').read_text()[-2000:]}")


_PLACES = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])


def _kill(server: subprocess.Popen[bytes]) -> None:
    server.kill()
    server.wait(20)
