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
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

GIVEN = os.environ.get(
    "TILTH_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres?connect_timeout=3"
)


def missing(reason: str) -> None:
    """Skip the test, or fail it in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


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
