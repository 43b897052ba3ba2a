"""The console: what a page costs with a hundred models and a year of looks, and what ten browsers that watch cost those who predict.

`pages()` draws every list and the page of a model over the history of `state`, in the process that draws; `watched()` sends at a fixed rate to the real
`tilth up`, in turns without anybody and with ten open pages that follow it live, and compares CPU a request of the server and the 99th
percentile. Run it: `python bench/console.py`.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import serving
import state
from result import Result, at_most, compared

PREDICTIONS, DAYS = 1_000_000, 31
BROWSERS, TURNS, ROUNDS = 10, 5, 3
RATE, SECONDS = 500, 8
PAGES = (
    "/",
    "/datasets",
    "/models",
    "/models/m0",
    "/endpoints",
    "/environments",
    "/query",
    "/runs",
    "/audit",
    "/jobs",
    "/notices",
)


def run() -> list[Result]:
    return [*pages(), *watched()]


# --- what a page costs ---------------------------------------------------------------------------------------


def pages() -> list[Result]:
    """Milliseconds of CPU of each page, the median of several drawings of which none was kept."""
    from tilth.interfaces.console.child import Drawer
    from tilth.interfaces.console.frames import Wanted

    with tempfile.TemporaryDirectory() as folder:
        opened = state.lived(Path(folder))
        try:
            _answered(opened)
            drawer, took = Drawer(opened), {}
            served = {"environment": "prod", "health": {"status": "ok", "reasons": []}, "endpoints": {}}
            for path in PAGES:
                wanted = Wanted(1, path, {}, "prod", "owner", served, {"key": "", "said": "", "who": ""})
                if (found := drawer.answer(wanted)).status != 200:
                    raise RuntimeError(f"{path}: {found.status} {found.html[-500:]}")
                took[path] = 1000 * state_median(lambda wanted=wanted: drawer.answer(wanted))
        finally:
            opened.close()
    worst = max(took, key=took.__getitem__)
    note = ", ".join(f"{path} {ms:.0f}" for path, ms in took.items())
    what = f"The dearest page ({worst}), {state.MODELS} models, {state.DAYS} days of looks, {PREDICTIONS:,} predictions in tilth.requests"
    return [at_most(what, took[worst], 200, "ms", f"CPU: {note}")]


def state_median(call: Any) -> float:
    """Seconds of this process's cores, the median of several."""
    found = []
    for _ in range(TURNS):
        began = time.process_time()
        call()
        found.append(time.process_time() - began)
    return statistics.median(found)


def _answered(opened: Any) -> None:
    """A month of requests by the minute, as a node counts them."""
    from tilth.core.latency import BUCKETS
    from tilth.runtime.record import requests
    from tilth.runtime.record.requests import Counted

    minutes = DAYS * 24 * 60
    each, now = max(1, PREDICTIONS // minutes), opened.clock.now()
    buckets = (0, each, *(0,) * (BUCKETS - 2))
    work, minute = opened.work(), timedelta(minutes=1)
    many = [
        Counted(
            now - (n + 1) * minute, now - n * minute, "node", "e0", 1, 200, each, each, 0.0004 * each, buckets
        )
        for n in range(min(minutes, PREDICTIONS))
    ]
    requests.note(work.state, "prod", many)


# --- what watching costs those who predict -------------------------------------------------------------------


def watched() -> list[Result]:
    """CPU a request and p99 of the server with ten browsers that watch, against without them; medians of rounds in turns."""
    with tempfile.TemporaryDirectory() as folder:
        opened, body = serving.project(Path(folder))
        with serving.up(Path(folder)) as server:
            _load(server, body, 1)  # what is first is slow
            alone, among, drawn = [], [], 0
            for _ in range(ROUNDS):
                alone.append(_load(server, body, SECONDS))
                with _browsers(server) as seen:
                    among.append(_load(server, body, SECONDS))
                drawn += sum(seen)
        opened.close()
    if not drawn:
        raise RuntimeError("no browser saw a page move")
    cpu = statistics.median(b["cpu_us"] / a["cpu_us"] for a, b in zip(alone, among, strict=True))
    p99 = statistics.median(b["p99_ms"] / a["p99_ms"] for a, b in zip(alone, among, strict=True))
    says = lambda rows, key: f"{statistics.median(r[key] for r in rows):.3g}"  # noqa: E731
    note = f"{RATE} requests/s, {BROWSERS} browsers that loaded {drawn} pages"
    return [
        compared(
            "CPU a request while ten browsers watch",
            f"{says(among, 'cpu_us')} us",
            f"{says(alone, 'cpu_us')} us without",
            cpu,
            most=1.05,
            note=note,
        ),
        compared(
            "p99 while ten browsers watch",
            f"{says(among, 'p99_ms')} ms",
            f"{says(alone, 'p99_ms')} ms without",
            p99,
            most=1.2,
            note=note,
        ),
    ]


def _load(server: serving.Server, body: bytes, seconds: int) -> dict[str, float]:
    before = server.cpu
    driver = serving._driver(server, body, RATE, RATE * seconds)
    out, _ = driver.communicate()
    found = json.loads(out)
    if found["failed"]:
        raise RuntimeError(f"{found['failed']} requests failed")
    return {**found, "cpu_us": (server.cpu - before) / found["requests"] * 1e6}


@contextlib.contextmanager
def _browsers(server: serving.Server) -> Iterator[list[int]]:
    """Ten that keep `/events` open and load the overview again whenever it says that something moved; how often each did."""
    over, seen = threading.Event(), [0] * BROWSERS
    head = {"Authorization": f"Bearer {server.token}", "Accept": "text/html"}
    base = f"http://127.0.0.1:{server.port}"

    def watch(place: int) -> None:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(
                urllib.request.Request(f"{base}/events", headers=head), timeout=30
            ) as events,
        ):
            for line in events:
                if over.is_set():
                    return
                if line.startswith((b"event: moved", b"event: hello")):
                    with urllib.request.urlopen(
                        urllib.request.Request(base, headers=head), timeout=30
                    ) as page:
                        page.read()
                    seen[place] += 1

    threads = [threading.Thread(target=watch, args=(n,), daemon=True) for n in range(BROWSERS)]
    for one in threads:
        one.start()
    until = time.monotonic() + 30
    while not all(seen) and time.monotonic() < until:
        time.sleep(0.1)
    try:
        yield seen
    finally:
        over.set()
        for one in threads:
            one.join(35)


if __name__ == "__main__":
    for found in run():
        print(found)
