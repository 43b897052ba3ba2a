"""Serving against its own stack's bare echo, at a fixed rate, and while versions are swapped; on this machine, in one run.

A model of 300 trees over 20 inputs is trained, sealed and served by the real `tilth up`. `throughput()` runs wrk against it and
against a bare ASGI echo on the same stack, in turns. `fixed_rate()` sends on a schedule, whether or not answers came, and
counts time from when a request was due. `swapping()` promotes and rolls back under that load. Run it: `python bench/serving.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from result import Result, at_most, compared

ROWS = 20_000
TURNS = 3
SECONDS = 4
WRK_TURNS = 7  # short ones, close together: what else runs on the machine changes from second to second
WRK_SECONDS = 1
CONNECTIONS = 16
RATE = 3_000
SWAPS = 10
MIN_REQUESTS = 20_000

DECLARED = """
CREATE SOURCE flat ENGINE files WITH (path = '.');
CREATE DATASET flights KEY (id) EVENT TIME at AS SELECT * FROM flat.rows;
CREATE MODEL late PREDICT late FROM flights OBJECTIVE (metric = 'roc_auc')
  USING (engine = 'lightgbm', time_limit = '600 s') PROMOTE IF not_worse_by(0.5);
CREATE ENDPOINT late_api FOR MODEL late;
"""


@dataclass(frozen=True)
class Server:
    """A process that answers on `port`."""

    process: subprocess.Popen[bytes]
    port: int
    token: str
    path: str

    @property
    def rss(self) -> float:
        """Resident memory in MB."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.partition("VmRSS:")[2].split()[0]) / 1024

    @property
    def cpu(self) -> float:
        """Seconds of CPU used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def project(folder: Path):
    """A project with two versions of one model, and a row to ask it about."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from learning import START, rows

    import tilth

    table = rows(ROWS)
    times = pa.array([START + timedelta(minutes=10 * n) for n in range(ROWS)], table.schema.field("at").type)
    table = table.set_column(table.schema.get_field_index("at"), "at", times)
    pq.write_table(table, folder / "rows.parquet")
    (folder / "all.sql").write_text(DECLARED)
    opened = tilth.open(str(folder))
    opened.apply()
    opened.sql("RETRAIN MODEL late USING (seed = 8)")
    row = {k: v for k, v in table.slice(1, 1).to_pylist()[0].items() if k != "late"}
    row["at"] = row["at"].isoformat()
    return opened, json.dumps(row).encode()


@contextlib.contextmanager
def up(folder: Path, files: int | None = None):
    """The real server, without its reconciler. `files`: how many descriptors it may have."""
    code = "from tilth.interfaces.cli.up import up; up()"
    line = [sys.executable, "-c", code, "--project", str(folder), "--port", "0", "--no-reconcile", "--json"]
    limited = [] if files is None else ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh"]
    with _running([*limited, *line]) as (process, facts):
        token = facts["url"].partition("token=")[2]
        yield Server(process, facts["port"], token, "/predict/late_api")


@contextlib.contextmanager
def echo(which: str):
    """A bare ASGI echo on the same server, with uvicorn's own connection or with tilth's."""
    with _running([sys.executable, __file__, "echo", which]) as (process, facts):
        yield Server(process, facts["port"], "none", "/")


@contextlib.contextmanager
def _running(line: list[str]):
    process = subprocess.Popen(line, stdout=subprocess.PIPE)
    try:
        yield process, json.loads(process.stdout.readline())
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        process.stdout.close()


def serve_echo(which: str) -> None:
    """Run the echo until a signal; it prints its port."""
    import uvloop
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    from tilth.interfaces.http.connection import connection
    from tilth.interfaces.http.crowd import Crowd
    from tilth.interfaces.http.listening import listen
    from tilth.interfaces.http.server import _server

    async def app(_scope, receive, send) -> None:
        message = await receive()
        body = message["body"]
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    listener = listen(0)
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    signal.signal(signal.SIGTERM, lambda *_: None)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        crowd = Crowd()
        protocol = {"uvicorn": HttpToolsProtocol, "tilth": connection(crowd)}[which]
        runner.run(_server(app, crowd, protocol=protocol).serve(sockets=[listener]))


# --- throughput --------------------------------------------------------------------------------------------


def throughput(server: Server, bare: Server, ours: Server, body: bytes, script: Path) -> dict:
    """Requests per second of all three in turns: the prediction, uvicorn's echo, and the echo on tilth's connection."""
    servers = {"echo": bare, "predict": server, "ours": ours}
    found: dict[str, list[float]] = {name: [] for name in servers}
    cost: dict[str, list[float]] = {name: [] for name in servers}
    for _ in range(WRK_TURNS):
        for name, one in servers.items():
            before = one.cpu
            found[name].append(_wrk(one, body, script))
            cost[name].append((one.cpu - before) / (found[name][-1] * WRK_SECONDS) * 1e6)
    ratios = [p / e for p, e in zip(found["predict"], found["echo"], strict=True)]
    return {
        "name": "single-row HTTP against echo",
        **{f"{name}_per_second": round(statistics.median(found[name])) for name in servers},
        **{f"{name}_cpu_us": round(statistics.median(cost[name]), 1) for name in servers},
        "ratio": round(statistics.median(ratios), 3),
        "ratios": [round(r, 2) for r in ratios],
    }


def _wrk(server: Server, body: bytes, script: Path) -> float:
    text = body.decode().replace("\\", "\\\\").replace("'", "\\'")
    script.write_text(
        f"wrk.method = 'POST'\nwrk.body = '{text}'\nwrk.headers['Content-Type'] = 'application/json'\n"
        f"wrk.headers['Authorization'] = 'Bearer {server.token}'\n"
    )
    url = f"http://127.0.0.1:{server.port}{server.path}"
    line = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{WRK_SECONDS}s", "-s", str(script), url]
    out = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in out:
        raise RuntimeError(out)
    return float(out.partition("Requests/sec:")[2].split()[0])


# --- a fixed rate ------------------------------------------------------------------------------------------


class Client(asyncio.Protocol):
    """One connection with at most one request under way."""

    def __init__(self, load: Load) -> None:
        self.load, self.due, self.buffer = load, 0.0, b""

    def connection_made(self, transport) -> None:
        self.transport = transport
        self.load.free.append(self)

    def ask(self, due: float) -> None:
        self.due = due
        self.transport.write(self.load.request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        if not found or len(body) < int(head.lower().partition(b"content-length:")[2].split()[0]):
            return
        self.buffer = b""
        self.load.answered(self, head.startswith(b"HTTP/1.1 200"), body)

    def connection_lost(self, _error) -> None:
        self.load.lost(self)


class Load:
    """Sends requests when they are due, over the connections that are free; late ones wait in line."""

    def __init__(self, server: Server, body: bytes) -> None:
        self.request = (
            f"POST {server.path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Length: {len(body)}\r\n"
            f"Authorization: Bearer {server.token}\r\nContent-Type: application/json\r\n\r\n"
        ).encode() + body
        self.port = server.port
        self.free: list[Client] = []
        self.line: list[float] = []
        self.times: list[float] = []
        self.versions: set[bytes] = set()
        self.failed = self.sent = 0

    async def run(self, rate: int, count: int, going=lambda: False) -> None:
        loop = asyncio.get_running_loop()
        clients = [
            (await loop.create_connection(lambda: Client(self), "127.0.0.1", self.port))[1] for _ in range(64)
        ]
        done = asyncio.Event()
        pace = threading.Thread(target=self._pace, args=(loop, rate, count, going, done), daemon=True)
        pace.start()
        await done.wait()
        for _ in range(500):
            if len(self.times) + self.failed >= self.sent:
                break
            await asyncio.sleep(0.01)
        self.failed += self.sent - len(self.times) - self.failed
        for client in clients:
            client.transport.close()

    def _pace(self, loop, rate: int, count: int, going, done: asyncio.Event) -> None:
        """A few requests every millisecond, from a thread: the timers of event loops are too coarse."""
        start, tick, sent = time.perf_counter(), 0, 0
        while sent < count or going():
            tick += 1
            due = start + tick / 1000
            time.sleep(max(0.0, due - time.perf_counter()))
            some = int(tick * rate / 1000) - sent
            sent += some
            loop.call_soon_threadsafe(self._send, due, some)
        loop.call_soon_threadsafe(done.set)

    def _send(self, due: float, count: int) -> None:
        self.sent += count
        for _ in range(count):
            if self.free:
                self.free.pop().ask(due)
            else:
                self.line.append(due)

    def answered(self, client: Client, good: bool, body: bytes) -> None:
        if good:
            self.times.append(time.perf_counter() - client.due)
            self.versions.add(body.partition(b'"version":')[2].partition(b",")[0])
        else:
            self.failed += 1
        if self.line:
            client.ask(self.line.pop(0))
        else:
            self.free.append(client)

    def lost(self, client: Client) -> None:
        if client in self.free:
            self.free.remove(client)


def drive(facts: dict) -> None:
    """The load generator, in a process of its own: reads what to do, prints what it saw. Ends at its standard input's end."""
    import uvloop

    class _There:
        port, path, token = facts["port"], facts["path"], facts["token"]

    load = Load(_There, facts["body"].encode())
    ended = threading.Event()
    if facts["until_told"]:
        threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    else:
        ended.set()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(load.run(facts["rate"], facts["count"], lambda: not ended.is_set()))
    times = sorted(load.times)
    at = lambda share: round(times[min(len(times) - 1, int(share * len(times)))] * 1000, 3)  # noqa: E731
    print(
        json.dumps(
            {
                "requests": load.sent,
                "failed": load.failed,
                "p50_ms": at(0.5),
                "p99_ms": at(0.99),
                "p999_ms": at(0.999),
                "max_ms": round(times[-1] * 1000, 3),
                "versions": sorted(v.decode() for v in load.versions),
            }
        )
    )


def _driver(server: Server, body: bytes, rate: int, count: int, until_told: bool = False):
    facts = {
        "port": server.port, "path": server.path, "token": server.token, "body": body.decode(), "rate": rate,
        "count": count, "until_told": until_told,
    }  # fmt: skip
    line = [sys.executable, __file__, "drive", json.dumps(facts)]
    return subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def fixed_rate(server: Server, bare: Server, body: bytes) -> dict:
    """Times of answers at a fixed rate, in turns with the echo's; medians of the rounds."""
    runs, bares = [], []
    with first(server.process.pid) as own, first(bare.process.pid):
        for _ in range(TURNS):
            bares.append(_at_rate(bare, body))
            runs.append(_at_rate(server, body))
    middle = sorted(runs, key=lambda r: r["p99_ms"])[TURNS // 2]
    return {
        "name": f"single-row HTTP at {RATE} requests/s",
        **middle,
        "all_p99_ms": [r["p99_ms"] for r in runs],
        "echo_p99_ms": [r["p99_ms"] for r in bares],
        "priority": own,
    }


@contextlib.contextmanager
def first(pid: int):
    """Real-time priority for a process, where this user may give it, so that neighbours do not count; whether it has it."""
    threads = [int(t) for t in os.listdir(f"/proc/{pid}/task")]
    try:
        for thread in threads:
            os.sched_setscheduler(thread, os.SCHED_RR, os.sched_param(1))
        own = True
    except PermissionError:
        own = False
    yield own
    if own:
        for thread in threads:
            with contextlib.suppress(ProcessLookupError):
                os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))


def _at_rate(server: Server, body: bytes) -> dict:
    before, driver = (server.cpu, time.perf_counter()), _driver(server, body, RATE, RATE * SECONDS)
    with first(driver.pid):
        out, _ = driver.communicate()
    share = (server.cpu - before[0]) / (time.perf_counter() - before[1])
    return {**json.loads(out), "cpu_share": round(share, 2)}


# --- swapping ----------------------------------------------------------------------------------------------


def swapping(opened, server: Server, body: bytes) -> dict:
    """Promotions and rollbacks in turn under load: times to commit and until served, and failed requests."""
    from tilth.core.principals import job
    from tilth.plan.snapshot import SERVING
    from tilth.runtime.moving.publishing import Move, publish, rollback
    from tilth.runtime.record import environments, nodes
    from tilth.sql.language.statements import Kind

    state, clock, by = opened.work().state, opened.work().clock, job("bench")
    driver = _driver(server, body, RATE, MIN_REQUESTS, until_told=True)
    times = {"promotion": [], "rollback": []}
    served = []
    time.sleep(1.0)
    for turn in range(2 * SWAPS):
        number, pointers = environments.pointers_of(state, SERVING)
        began = time.perf_counter()
        if turn % 2 == 0:
            moved = [replace(p, target="1") if p.kind is Kind.MODEL else p for p in pointers]
            made = publish(state, Move(SERVING, number, "bench", clock.now()), moved, by)
        else:
            made = rollback(state, SERVING, None, by, clock.now())
        times["rollback" if turn % 2 else "promotion"].append((time.perf_counter() - began) * 1000)
        while max(n.generation for n in nodes.all_of(state)) < made:
            time.sleep(0.001)
        served.append((time.perf_counter() - began) * 1000)
        time.sleep(0.2)
    out, _ = driver.communicate()
    found = json.loads(out)
    return {
        "name": f"{2 * SWAPS} swaps at {RATE} requests/s",
        **found,
        "promotion_p99_ms": round(max(times["promotion"]), 2),
        "rollback_p99_ms": round(max(times["rollback"]), 2),
        "until_served_p99_ms": round(max(served), 2),
        "until_served_p50_ms": round(statistics.median(served), 2),
    }


def figures() -> dict[str, dict]:
    """Everything that was measured."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        opened, body = project(Path(folder))
        with up(Path(folder)) as server:
            time.sleep(0.5)
            found["idle"] = {"rss_mb": round(server.rss, 1)}
            with echo("uvicorn") as bare, echo("tilth") as ours:
                if shutil.which("wrk"):
                    found["throughput"] = throughput(server, bare, ours, body, Path(folder) / "post.lua")
                found["rate"] = fixed_rate(server, bare, body)
            found["swaps"] = swapping(opened, server, body)
            found["after"] = {"rss_mb": round(server.rss, 1)}
        opened.close()
    return found


def run() -> list[Result]:
    """The rows for RESULTS.md."""
    f = figures()
    rows = [at_most("Idle `tilth up`, the serving process", f["idle"]["rss_mb"], 200, "MB")]
    if "throughput" in f:
        t = f["throughput"]
        cpu = (
            f"CPU a request: {t['predict_cpu_us']} us against {t['echo_cpu_us']} us; ratios of the rounds: {t['ratios']}. "
            f"The echo is uvicorn with uvloop and httptools as they come; on tilth's connection, which sends head and body "
            f"in one call, an echo makes {t['ours_per_second']:,}/s at {t['ours_cpu_us']} us."
        )
        rows.append(
            compared(
                "One row over HTTP with token, checks, metrics and log",
                f"{t['predict_per_second']:,}/s",
                f"bare echo on the same stack: {t['echo_per_second']:,}/s",
                t["ratio"],
                least=0.4,
                note=cpu,
            )
        )
    r, s = f["rate"], f["swaps"]
    who = "with real-time priority for the server and the generator" if r["priority"] else "without priority"
    note = f"p50 {r['p50_ms']} ms, p99 of the rounds {r['all_p99_ms']} ms, of the echo's {r['echo_p99_ms']} ms, {who}."
    rows.append(at_most(f"p99 at {RATE:,} requests/s", r["p99_ms"], 3, "ms", note))
    rows += [
        at_most("Promotion to commit, slowest of ten, under that load", s["promotion_p99_ms"], 100, "ms"),
        at_most("Rollback to commit, slowest of ten, under that load", s["rollback_p99_ms"], 100, "ms"),
        at_most("From either until it is served, slowest of twenty", s["until_served_p99_ms"], 100, "ms"),
        at_most(
            f"Failed of {s['requests']:,} requests while swapping {2 * SWAPS} times",
            s["failed"],
            0,
            "requests",
        ),
    ]
    return rows


if __name__ == "__main__":
    if sys.argv[1:2] == ["echo"]:
        serve_echo(sys.argv[2])
    elif sys.argv[1:2] == ["drive"]:
        drive(json.loads(sys.argv[2]))
    else:
        print(json.dumps(figures(), indent=1))
