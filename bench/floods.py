"""Single rows at a fixed rate while the server is flooded: half-open connections, and headers that do not end.

The server may have 1,024 descriptors and there are more half-open connections than that, opened anew as they are
closed. The flood comes from a process of its own. Run it: `python bench/floods.py`.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import serving
from result import Result, at_most

FILES = 1024
HALF_OPEN = 1100
RATE = 500
SECONDS = 10
PAUSE = 0.002  # seconds between the pieces of the header that does not end
STARTS = (b"", b"POST /pre", b"POST /predict/late_api HTTP/1.1\r\nHost: local")


def flood(port: int, half_open: int) -> None:
    """Hold so many connections half open, and send headers without end, until standard input is closed."""
    import threading

    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    links = [_begun(port, n) for n in range(half_open)]
    endless = None
    print("flooding", flush=True)
    turn = 0
    while not ended.wait(PAUSE):
        turn += 1
        if turn % 5 == 0:  # a new one in place of the oldest
            links.pop(0).close()
            links.append(_begun(port, turn))
        try:
            endless = endless or _begun(port, 1)
            endless.sendall(b"a" * 65536)
        except OSError:
            endless = None


def _begun(port: int, n: int) -> socket.socket:
    link = socket.create_connection(("127.0.0.1", port), timeout=5)
    with contextlib.suppress(OSError):
        link.sendall(STARTS[n % len(STARTS)])
    return link


def figures() -> dict:
    """Times of answers and failures under the flood, and without it."""
    with tempfile.TemporaryDirectory() as folder:
        opened, body = serving.project(Path(folder))
        opened.close()
        with serving.up(Path(folder), FILES) as server:
            calm = _asked(server, body)
            line = [sys.executable, __file__, "flood", str(server.port), str(HALF_OPEN)]
            flooding = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            try:
                flooding.stdout.readline()
                before = server.rss
                found = _asked(server, body)
                return {**found, "calm_p99_ms": calm["p99_ms"], "grown_mb": round(server.rss - before, 1)}
            finally:
                flooding.stdin.close()
                flooding.wait(20)
                flooding.stdout.close()


def _asked(server: serving.Server, body: bytes) -> dict:
    time.sleep(0.2)
    out, _ = serving._driver(server, body, RATE, RATE * SECONDS).communicate()
    return json.loads(out)


def run() -> list[Result]:
    """The rows for RESULTS.md."""
    f = figures()
    what = f"{HALF_OPEN:,} half-open connections at {FILES:,} descriptors and headers without end"
    note = f"p50 {f['p50_ms']} ms; without the flood p99 {f['calm_p99_ms']} ms; the server grew by {f['grown_mb']} MB."
    return [
        at_most(f"p99 at {RATE} requests/s under {what}", f["p99_ms"], 50, "ms", note),
        at_most(f"Failed of {f['requests']:,} requests under it", f["failed"], 0, "requests"),
    ]


if __name__ == "__main__":
    if sys.argv[1:2] == ["flood"]:
        flood(int(sys.argv[2]), int(sys.argv[3]))
    else:
        print(json.dumps(figures(), indent=1))
