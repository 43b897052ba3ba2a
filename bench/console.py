"""What ten browsers that watch the console cost whoever predicts, and what a page costs to draw: one server, with and without them in turn.

A browser listens on `/events` and fetches the overview whenever it is told that something moved: counts of requests every five seconds. Requests go one after the
other over one connection. Run it: `python bench/console.py`.
"""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from result import Result, at_most

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import http_server

BROWSERS, TURNS, REQUESTS, WARM = 10, 6, 15_000, 500
CPU_MOST, P99_MOST = 1.05, 1.2

BROWSING = """
import http.client, random, sys, threading, time
port, token, count = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
headers = {"Authorization": f"Bearer {token}", "Accept": "text/html"}
def watch():
    pages = http.client.HTTPConnection("127.0.0.1", port)
    events = http.client.HTTPConnection("127.0.0.1", port); events.request("GET", "/events", headers=headers)
    told = events.getresponse()
    while line := told.readline():
        if line.startswith(b"event:"):
            time.sleep(0.5 * random.random())
            pages.request("GET", "/", headers=headers); answer = pages.getresponse(); answer.read(); assert answer.status == 200, answer.status
for n in range(count):
    threading.Thread(target=watch, daemon=True).start(); time.sleep(0.05)
time.sleep(1)
print("looking", flush=True)
time.sleep(600)
"""


def run() -> list[Result]:
    with tempfile.TemporaryDirectory() as folder:
        http_server.applied(Path(folder) / "shop")
        with http_server.up(Path(folder) / "shop") as server:
            _asked(server, WARM)
            alone, watched = [], []
            for _ in range(TURNS):
                alone.append(_asked(server, REQUESTS))
                watched.append(_watched(server))
    cpu = _median([w[0] for w in watched]) / _median([a[0] for a in alone])
    p99 = _median([w[1] for w in watched]) / _median([a[1] for a in alone])
    note = (
        f"medians of {TURNS} turns of {REQUESTS:,}: {1e6 * _median([w[0] for w in watched]):.0f} us a request beside {BROWSERS} browsers, "
        f"{1e6 * _median([a[0] for a in alone]):.0f} without; p99 {1e3 * _median([w[1] for w in watched]):.2f} ms, {1e3 * _median([a[1] for a in alone]):.2f} without"
    )
    return [
        at_most("CPU of a request while ten browsers watch", cpu, CPU_MOST, "x", note),
        at_most("p99 of a request while ten browsers watch", p99, P99_MOST, "x", ""),
    ]


def _watched(server: http_server.Up) -> tuple[float, float]:
    line = [sys.executable, "-c", BROWSING, str(server.port), server.token, str(BROWSERS)]
    browsers = subprocess.Popen(line, stdout=subprocess.PIPE)
    try:
        assert browsers.stdout is not None
        assert browsers.stdout.readline() == b"looking\n"
        return _asked(server, REQUESTS)
    finally:
        browsers.kill()
        browsers.wait()


def _asked(server: http_server.Up, count: int) -> tuple[float, float]:
    """Seconds of the server's CPU a request, and the 99th percentile of how long one took."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    headers = {"Authorization": f"Bearer {server.token}", "Content-Type": "application/json"}
    body, took = b'{"id": 7, "ordered_at": "2024-04-30T20:00:00", "carrier": "slow", "distance": 50.5}', []
    before = _cpu(server.process.pid)
    for _ in range(count):
        began = time.perf_counter()
        connection.request("POST", "/predict/late_api", body, headers)
        answer = connection.getresponse()
        answer.read()
        took.append(time.perf_counter() - began)
        assert answer.status == 200
    spent = _cpu(server.process.pid) - before
    connection.close()
    return spent / count, sorted(took)[len(took) * 99 // 100]


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


if __name__ == "__main__":
    for one in run():
        print(one)
