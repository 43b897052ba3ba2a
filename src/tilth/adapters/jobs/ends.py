"""The certain end of a worker: its warden ends all that is below it, and when it cannot, they are found by their mark and ended.

The warden itself is in `warden`; this is the starter's side.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import time

PATIENCE = 5.0  # seconds that a warden may take to end all it has below it
MARK = "TILTH_WORKER"
_log = logging.getLogger("tilth.workers")


def end(process: subprocess.Popen[bytes], mark: str) -> None:
    """Have the warden end all that is below it; when it does not, or was killed, find and end them from here."""
    if process.poll() is None:
        process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        if process.wait(PATIENCE) == 0:
            return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE
    while (found := marked(mark)) and time.monotonic() < deadline:
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        _log.warning(
            "The worker %d does not end; the kernel keeps it (a disk that does not answer?).", process.pid
        )


def marked(mark: str) -> list[int]:
    """Living processes that were started with this mark in their environment."""
    out = []
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb") as file:
                if mark.encode() in file.read(1 << 20):
                    out.append(int(name))
    return out
