"""Stands between a starter and its worker: forks the worker, waits for it, and ends all that came of it.

A worker may close its pipes, stop itself, change its session or leave processes behind: orphans below a warden become its
children, so it finds them all. It runs no code of a project, ends with its starter, and tells it how the worker ended and
how much memory it held. What a worker may do is in `jail`; who starts it is in `local`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterable, Mapping
from typing import Any

from tilth.adapters.jails.jail import MOST_BYTES, adopt_orphans, die_with_parent

LOOK = 0.25  # seconds between looks at what the worker has written
LATE = 30.0  # seconds after the starter's own deadline
MOST_FILES = 10_000
DEEPEST = 32
WAKING = {signal.SIGCHLD, signal.SIGTERM}


def guard(job: Mapping[str, Any], channel: int) -> bool:
    """True in the worker, which goes on from here; False in the warden, when all has ended.

    What is known of the end is written to the descriptor `channel`, which the worker has not.
    """
    adopt_orphans()
    die_with_parent(job["parent"], signal.SIGTERM)
    signal.pthread_sigmask(signal.SIG_BLOCK, WAKING)
    mine, worker = os.getpid(), os.fork()
    if worker == 0:
        os.close(channel)
        os.setsid()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, WAKING)
        die_with_parent(mine)
        _hear_nothing()
        return True
    folders = [f for f in (job["out"], job["scratch"]) if f]
    end = _Watch(worker, folders, time.monotonic() + job["seconds"] + LATE).wait()
    end_all(end)
    if end.get("limit"):
        for folder in folders:
            empty(folder)
    with contextlib.suppress(OSError):
        os.write(channel, json.dumps(end).encode() + b"\n")
    signal.pthread_sigmask(signal.SIG_UNBLOCK, WAKING)
    return False


def _hear_nothing() -> None:
    """The jobs that come on stdin are the warden's."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


class _Watch:
    """Until the worker ends, is told to end, or has written too much."""

    def __init__(self, worker: int, folders: Iterable[str], deadline: float) -> None:
        self._worker, self._folders, self._deadline = worker, tuple(folders), deadline

    def wait(self) -> dict[str, Any]:
        end: dict[str, Any] = {"worker": self._worker}
        while "status" not in end:
            woken = signal.sigtimedwait(WAKING, LOOK)
            reap(end)
            if "status" in end:
                break
            if (woken and woken.si_signo == signal.SIGTERM) or time.monotonic() > self._deadline:
                return end | {"limit": "time"}
            if limit := too_much(self._folders) or _hidden(self._worker):
                return end | {"limit": limit}
        limit = too_much(self._folders)
        return end | ({"limit": limit} if limit else {})


def reap(end: dict[str, Any]) -> bool:
    """Take the ends of all children that have ended; whether there are any left. The worker's own is put down in `end`."""
    while True:
        try:
            pid, status, used = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if pid == 0:
            return True
        if pid == end["worker"]:
            end |= {"status": os.waitstatus_to_exitcode(status), "memory": used.ru_maxrss * 1024}


def end_all(end: dict[str, Any]) -> None:
    """Kill every process below this one until there is none."""
    while reap(end):
        for pid in below(os.getpid()):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)


def below(root: int) -> list[int]:
    """All processes that come of this one, as they are now."""
    parents: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                with open(f"/proc/{name}/stat", "rb") as file:
                    parent = int(file.read().rpartition(b")")[2].split()[1])
                parents.setdefault(parent, []).append(int(name))
    out, waiting = [], [root]
    while waiting:
        found = parents.get(waiting.pop(), [])
        out += found
        waiting += found
    return out


# --- what is written ---------------------------------------------------------------------------------------


def too_much(folders: Iterable[str]) -> str:
    """Which limit of files the folders exceed: bytes | files | depth; empty when none."""
    count = size = 0
    waiting = [(folder, 0) for folder in folders]
    while waiting:
        folder, depth = waiting.pop()
        if depth > DEEPEST:
            return "depth"
        with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
            for entry in entries:
                count += 1
                if count > MOST_FILES:
                    return "files"
                with contextlib.suppress(FileNotFoundError):
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append((entry.path, depth + 1))
                    else:
                        size += entry.stat(follow_symlinks=False).st_blocks * 512
                if size > MOST_BYTES:
                    return "bytes"
    return ""


def _hidden(worker: int) -> str:
    """The same for files that the worker has removed and still holds."""
    seen: dict[int, int] = {}
    with contextlib.suppress(OSError), os.scandir(f"/proc/{worker}/fd") as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                found = entry.stat()
                if found.st_nlink == 0:
                    seen[found.st_ino] = found.st_blocks * 512
    return "bytes" if sum(seen.values()) > MOST_BYTES else ""


def empty(folder: str) -> None:
    """Remove all that is in the folder, however deep it lies: what is below a folder is first moved up."""
    number = 0
    with contextlib.suppress(OSError):
        while entries := list(os.scandir(folder)):
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False):
                    os.unlink(entry.path)
                    continue
                for inner in list(os.scandir(entry.path)):
                    if inner.is_dir(follow_symlinks=False):
                        number += 1
                        os.rename(inner.path, os.path.join(folder, f"up-{number}-{os.urandom(4).hex()}"))
                    else:
                        os.unlink(inner.path)
                os.rmdir(entry.path)
