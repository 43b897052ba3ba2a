"""Where `tilth up` listens: what is refused before anything starts, TLS, a unix socket, and another network namespace."""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import uuid
import warnings
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import http_server
from certificates import certificate
from http_server import ROW, up
from tilth.core.errors import TilthError
from tilth.interfaces.http.guard import LOCAL, Names
from tilth.interfaces.http.listening import Wanted, certified, place
from tilth.interfaces.http.renewing import Renewal

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates and keys: good, one that ended, one of tomorrow, one with a locked key."""
    folder = tmp_path_factory.mktemp("tls")
    certificate(folder, "good", -DAY, 90 * DAY)
    certificate(folder, "soon", -DAY, 3 * DAY)
    certificate(folder, "ended", -9 * DAY, -DAY)
    certificate(folder, "tomorrow", DAY, 9 * DAY)
    certificate(folder, "locked", -DAY, 9 * DAY, b"secret")
    (folder / "empty").write_bytes(b"")
    (folder / "huge").write_bytes(b"x" * ((1 << 20) + 1))
    (folder / "words").write_text("-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n")
    return folder


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return http_server.applied(tmp_path_factory.mktemp("listening") / "shop")


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"host": "0.0.0.0"}, "send their tokens in clear", "--host 0.0.0.0 --tls-cert FILE"),
    ({"host": "::"}, "send their tokens in clear", "--behind-proxy"),
    ({"host": "192.0.2.1"}, "send their tokens in clear", "--behind-proxy"),
    ({"host": "192.0.2.1", "proxied": True}, "no address 192.0.2.1", "ip address"),
    ({"host": "no.such.host.invalid"}, "no name that is known here", "127.0.0.1"),
    ({"host": ""}, "no name that is known here", "127.0.0.1"),
    ({"host": "a b"}, "no name that is known here", "127.0.0.1"),
    ({"host": "x" * 400}, "no name that is known here", "127.0.0.1"),
    ({"cert": "good.crt"}, "--tls-cert needs --tls-key", "--tls-key FILE"),
    ({"key": "good.key"}, "--tls-key needs --tls-cert", "--tls-cert FILE"),
    ({"cert": "none.crt", "key": "good.key"}, "cannot be read (No such file", "this user can read"),
    ({"cert": "good.crt", "key": "none.key"}, "cannot be read (No such file", "this user can read"),
    ({"cert": ".", "key": "good.key"}, "cannot be read (Is a directory", "this user can read"),
    ({"cert": "empty", "key": "good.key"}, "no certificate in PEM form", "BEGIN CERTIFICATE"),
    ({"cert": "words", "key": "good.key"}, "no certificate in PEM form", "BEGIN CERTIFICATE"),
    ({"cert": "huge", "key": "good.key"}, "too large", "PEM"),
    ({"cert": "good.key", "key": "good.key"}, "no certificate in PEM form", "BEGIN CERTIFICATE"),
    ({"cert": "good.crt", "key": "good.crt"}, "holds no key that can be used", "PEM form"),
    ({"cert": "good.crt", "key": "empty"}, "holds no key that can be used", "PEM form"),
    ({"cert": "good.crt", "key": "soon.key"}, "is not that of the certificate", "made together"),
    ({"cert": "ended.crt", "key": "ended.key"}, "ended on", "a new one"),
    ({"cert": "tomorrow.crt", "key": "tomorrow.key"}, "begins on", "clock"),
    ({"cert": "locked.crt", "key": "locked.key"}, "locked by a password", "without one"),
    ({"path": "x.sock", "host": "127.0.0.1"}, "goes without --host and TLS", "alone"),
    ({"path": "x.sock", "cert": "good.crt", "key": "good.key"}, "goes without --host and TLS", "alone"),
    ({"path": "y" * 120}, "at most 107 bytes", "shorter"),
    ({"path": "none/x.sock"}, "cannot be made", "folder"),
    ({"path": "words"}, "is no socket", "another path"),
]


@pytest.mark.parametrize(("wanted", "words", "hint"), REFUSED, ids=lambda v: str(v)[:60])
def test_what_is_wrong_is_said_with_the_next_step(
    files: Path, monkeypatch: pytest.MonkeyPatch, wanted: dict[str, Any], words: str, hint: str
) -> None:
    monkeypatch.chdir(files)
    before = sorted(os.listdir(files))
    with pytest.raises(TilthError) as raised:
        place(Wanted(**wanted))
    assert words in raised.value.message
    assert hint in (raised.value.hint or "")
    assert sorted(os.listdir(files)) == before


def test_nothing_starts_where_it_may_not_listen(applied: Path, files: Path, tmp_path: Path) -> None:
    shutil.copytree(applied, tmp_path / "shop")
    before = sorted(str(p) for p in (tmp_path / "shop").rglob("*"))
    bad = ["--tls-cert", str(files / "ended.crt"), "--tls-key", str(files / "ended.key")]
    for more in (["--host", "0.0.0.0"], bad):
        line = [
            sys.executable,
            "-m",
            "tilth",
            "up",
            "--project",
            str(tmp_path / "shop"),
            "--port",
            "0",
            *more,
        ]
        done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=30)
        assert done.returncode == 2
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) == 2
        assert "Traceback" not in done.stderr
    there = {str(p) for p in (tmp_path / "shop").rglob("*")}
    assert there - {f"{tmp_path}/shop/.tilth/state.db-{s}" for s in ("wal", "shm")} <= set(before)


NAMED = [
    (LOCAL, "127.0.0.1:8439", True),
    (LOCAL, "shop.example", False),
    (Names(frozenset({"shop.example", "*.shops.example"})), "SHOP.example:443", True),
    (Names(frozenset({"shop.example", "*.shops.example"})), "a.shops.example", True),
    (Names(frozenset({"shop.example", "*.shops.example"})), "a.b.shops.example", False),
    (Names(frozenset({"shop.example", "*.shops.example"})), "shops.example", False),
    (Names(frozenset({"shop.example"})), "evil.example", False),
    (Names(frozenset({"shop.example"})), "localhost", True),
    (Names(everything=True), "any.example", True),
    (Names(everything=True), "any.example/evil", False),
    (Names(everything=True), "é", False),
    (Names(frozenset({"[::1]", "[fd00::1]"})), "[FD00::1]:80", True),
]


@pytest.mark.parametrize(("names", "host", "good"), NAMED)
def test_the_hosts_that_are_answered(names: Names, host: str, good: bool) -> None:
    assert names.has(host.encode()) is good


def test_a_certificate_that_ends_soon_is_told(files: Path) -> None:
    assert not certified(str(files / "good.crt"), str(files / "good.key"))[2]
    context, names, (said,) = certified(str(files / "soon.crt"), str(files / "soon.key"))
    assert "renew it" in said
    assert names == ("shop.example", "*.shops.example", "localhost", "127.0.0.1", "10.213.0.1")
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def spoken(
    connection: http.client.HTTPConnection, method: str, path: str, body: Any = None, **headers: str
) -> Any:
    """Status, and the answer."""
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    found = connection.getresponse()
    return found.status, found.read()


def trusting(files: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(files / "good.crt"))


def test_a_server_speaks_tls_and_nothing_older_than_1_2(applied: Path, files: Path) -> None:
    options = ("--tls-cert", str(files / "good.crt"), "--tls-key", str(files / "good.key"), "--no-reconcile")
    with up(applied, *options) as server:
        client = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=10, context=trusting(files))
        held = {"Authorization": f"Bearer {server.token}"}
        assert spoken(client, "GET", "/ping") == (200, b"pong\n")
        for _ in range(3):
            status, body = spoken(client, "POST", "/predict/late_api", ROW, **held)
            assert (status, json.loads(body)["version"]) == (200, 1)
        for host, good in (("shop.example", 200), ("a.shops.example:1", 200), ("evil.example", 403)):
            assert spoken(client, "GET", "/status", Host=host, **held)[0] == good
        for origin, good in (("https://shop.example", 200), ("http://shop.example", 403)):
            assert spoken(client, "GET", "/status", Host="shop.example", Origin=origin, **held)[0] == good
        big = [ROW] * 2000
        status, body = spoken(client, "POST", "/predict/late_api", big, **held)
        assert (status, len(json.loads(body)["rows"])) == (200, 2000)
        client.close()
        old = trusting(files)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, OSError)):
            spoken(
                http.client.HTTPSConnection("127.0.0.1", server.port, timeout=10, context=old), "GET", "/ping"
            )
        plain = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        with pytest.raises((http.client.HTTPException, OSError)):
            spoken(plain, "GET", "/ping", **held)
        assert server.process.poll() is None
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0


def test_a_renewed_certificate_is_taken_up_without_a_restart(
    applied: Path, files: Path, tmp_path: Path
) -> None:
    """The key comes a while after its certificate; until then, and after a bad one, the old pair goes on."""
    pair = tmp_path / "now.crt", tmp_path / "now.key"

    def put(name: str, *which: int) -> None:
        for n in which:
            shutil.copyfile(files / f"{name}{pair[n].suffix}", tmp_path / "fresh")
            os.replace(tmp_path / "fresh", pair[n])

    def spoken_with() -> str:
        return ssl.get_server_certificate(("127.0.0.1", server.port), timeout=10)

    put("good", 0, 1)
    options = ("--tls-cert", str(pair[0]), "--tls-key", str(pair[1]), "--no-reconcile")
    with up(applied, *options) as server:
        kept = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=10, context=trusting(files))
        assert spoken(kept, "GET", "/ping")[0] == 200
        assert spoken_with() == (files / "good.crt").read_text()
        put("soon", 0)
        http_server.wait(lambda: "is not taken, the old one goes on" in server.log.read_text())
        assert spoken_with() == (files / "good.crt").read_text()
        put("soon", 1)
        http_server.wait(lambda: "was renewed" in server.log.read_text())
        assert spoken_with() == (files / "soon.crt").read_text()
        assert "the certificate ends on" in server.log.read_text()
        assert spoken(kept, "GET", "/ping")[0] == 200  # the connection that was open goes on
        kept.close()


RENEWED = [
    ("nothing changed", "soon", "soon", False, ""),
    ("a good pair", "good", "good", True, "was renewed"),
    ("one that ended", "ended", "ended", False, "not taken.*ended on"),
    ("a key of another", "good", "soon", False, "not taken.*is not that of the certificate"),
    ("words", "words", "soon", False, "not taken.*no certificate in PEM form"),
    ("a locked key", "locked", "locked", False, "not taken.*locked by a password"),
    ("no file any more", "none", "soon", False, "not taken.*cannot be read"),
]


@pytest.mark.parametrize(
    ("cert", "key", "taken", "words"), [r[1:] for r in RENEWED], ids=[r[0] for r in RENEWED]
)
def test_what_is_taken_of_new_files_and_what_is_said(
    files: Path, tmp_path: Path, cert: str, key: str, taken: bool, words: str
) -> None:
    at = tmp_path / "t.crt", tmp_path / "t.key"
    for path, name in zip(at, ("soon", "soon"), strict=True):
        shutil.copyfile(files / f"{name}{path.suffix}", path)
    context = certified(*map(str, at))[0]
    told: list[str] = []
    names: list[tuple[str, ...]] = []
    renewal = Renewal(context, *map(str, at), names.append, told.append)
    if (cert, key) != ("soon", "soon"):
        for path, name in zip(at, (cert, key), strict=True):
            path.unlink()
            source = files / (name if name == "words" else f"{name}{path.suffix}")
            if source.exists():
                shutil.copyfile(source, path)
    assert renewal.look() is taken
    assert renewal.look() is False  # told once
    assert bool(names) is taken
    assert len(told) == bool(words)
    assert not words or re.search(words, told[0])


class Unix(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self._path)


def test_a_unix_socket_is_for_its_group_and_gone_at_the_end(applied: Path) -> None:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(_short_folder()))
        path = folder / "t.sock"
        stale = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        stale.bind(str(path))
        stale.close()
        server = stack.enter_context(up(applied, "--unix-socket", str(path), "--no-reconcile"))
        assert server.port == 0
        assert path.stat().st_mode & 0o777 == 0o660
        client = Unix(path)
        held = {"Authorization": f"Bearer {server.token}"}
        assert spoken(client, "POST", "/predict/late_api", ROW, **held)[0] == 200
        assert spoken(client, "GET", "/status", Host="shop.example", **held)[0] == 403
        line = [sys.executable, "-m", "tilth", "up", "--project", str(applied), "--unix-socket", str(path)]
        done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=30)
        assert done.returncode == 6
        assert "Another program listens on" in done.stderr
        assert spoken(client, "GET", "/ping")[0] == 200
        client.close()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
        assert not path.exists()


@contextlib.contextmanager
def _short_folder() -> Iterator[str]:
    """A folder with a short path: a unix socket's has 107 bytes."""
    path = f"/tmp/tilth-{uuid.uuid4().hex[:8]}"
    os.mkdir(path, 0o700)
    try:
        yield path
    finally:
        shutil.rmtree(path)


def test_behind_a_proxy_any_host_is_answered_and_the_token_is_needed(applied: Path) -> None:
    with up(applied, "--behind-proxy", "--no-reconcile") as server:
        host = {"Host": "shop.example"}
        assert server.ask("GET", "/status", headers=host).status == 200
        assert (
            server.ask("GET", "/status", headers={**host, "X-Forwarded-For": "127.0.0.1"}, token=False).status
            == 401
        )
        assert server.ask("GET", "/status", headers={**host, "Origin": "https://shop.example"}).status == 200
        assert server.ask("GET", "/status", headers={**host, "Origin": "https://evil.example"}).status == 403
        forwarded = {"Host": "shop.example/x", "X-Forwarded-Host": "shop.example"}
        assert server.ask("GET", "/status", headers=forwarded).status == 403


def _namespace(run: Callable[..., Any], name: str) -> None:
    """A namespace with an address of its own, 10.213.0.2, that reaches ours, 10.213.0.1."""
    run("ip", "netns", "add", name)
    run("ip", "link", "add", f"{name}a", "type", "veth", "peer", "name", f"{name}b", "netns", name)
    run("ip", "address", "add", "10.213.0.1/24", "dev", f"{name}a")
    run("ip", "link", "set", f"{name}a", "up")
    run("ip", "-n", name, "address", "add", "10.213.0.2/24", "dev", f"{name}b")
    run("ip", "-n", name, "link", "set", f"{name}b", "up")


ASK = """
import http.client, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
client = http.client.HTTPSConnection("10.213.0.1", int(sys.argv[1]), timeout=10, context=context)
client.request("GET", "/status", headers={"Authorization": "Bearer " + sys.argv[3]})
print(client.getresponse().status)
"""


def test_another_network_namespace_is_answered_by_tls(applied: Path, files: Path) -> None:
    name = f"tl{uuid.uuid4().hex[:6]}"

    def run(*line: str) -> None:
        subprocess.run(line, check=True, capture_output=True, timeout=20)

    try:
        _namespace(run, name)
    except (OSError, subprocess.CalledProcessError) as error:
        subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
        pytest.skip(f"no network namespace can be made here: {error}")
    try:
        tls = ("--tls-cert", str(files / "good.crt"), "--tls-key", str(files / "good.key"))
        with up(applied, "--host", "10.213.0.1", *tls, "--no-reconcile") as server:
            line = ["ip", "netns", "exec", name, sys.executable, "-c", ASK, str(server.port), tls[1]]
            for given, status in ((server.token, "200"), ("wrong", "401")):
                done = subprocess.run([*line, given], capture_output=True, text=True, check=False, timeout=30)
                assert done.stdout.strip() == status, done.stderr
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True, timeout=20)
