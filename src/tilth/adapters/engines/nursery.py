"""Where query processes come from: one `zygote` a process of ours, started when it is first needed and again when it is gone.

It is started by exec, so it may be asked for from any thread, also in a program that is not ours. A process that was divided from
this one has its own.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from typing import Any

from tilth.adapters.engines import talk
from tilth.adapters.jails import clean
from tilth.core.errors import LostError

STARTING = 60.0  # seconds that a process may take until it says that it is there
PATIENCE = 2.0  # seconds that one which was ended may take to be gone
TRIES = 3
_words = "Ask again; if it happens again, look for the kernel's reasons with `dmesg`."


class Child:
    """One query's process: where it is spoken with, and how it is ended, from any thread."""

    def __init__(self, end: socket.socket, ended: int) -> None:
        self.end, self._ended = end, ended
        self._handle: int | None = None
        self._lock = threading.Lock()

    def began(self) -> bool:
        """Wait until the process is there; False when it never is."""
        self.end.settimeout(STARTING)
        try:
            head, handles, _, _ = socket.recv_fds(self.end, talk.HEAD.size, 1)
        except OSError:
            return False
        with self._lock:
            self._handle = handles[0] if handles else None
        return bool(head and handles)

    def kill(self) -> None:
        """End the process, whatever it does."""
        with self._lock:
            if self._handle is not None:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    def fate(self) -> dict[str, Any]:
        """How the process ended (`status` as of `subprocess`, `memory` in bytes); empty while it has not, or nobody knows."""
        ready = heard(self._ended, PATIENCE)
        data = os.read(self._ended, 4096) if ready else b""
        return dict(json.loads(data)) if data else {}

    def close(self) -> None:
        """Be done with it: it is gone after this, or is being ended by the kernel."""
        self.kill()
        with self._lock:
            handle, self._handle = self._handle, None
        if handle is not None:
            heard(handle, PATIENCE)
            os.close(handle)
        self.end.close()
        if self._ended >= 0:
            os.close(self._ended)
            self._ended = -1


def heard(handle: int, seconds: float) -> bool:
    """Whether something came, or ended, within the seconds; of any number of descriptors, which `select` is not."""
    waiting = select.poll()
    waiting.register(handle, select.POLLIN)
    return bool(waiting.poll(seconds * 1000))


class Nursery:
    """Gives query processes. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._pid = 0

    def warm(self) -> None:
        """Have the zygote start, if there is none; nothing waits for it."""
        with self._lock:
            self._running()

    def child(self) -> Child:
        """A new process that has said that it is there; LostError when there can be none."""
        for _ in range(TRIES):
            ours, theirs = talk.pair()
            ended, ending = os.pipe()
            try:
                with self._lock:
                    socket.send_fds(self._running(), [b"child"], [theirs.fileno(), ending])
            except OSError:
                asked = False
            else:
                asked = True
            finally:
                theirs.close()
                os.close(ending)
            found = Child(ours, ended)
            if asked and found.began():
                return found
            found.close()
            if not asked:
                with self._lock:
                    self._end()
        raise LostError("No query process could be started.", hint=_words, detail=self._last_words())

    def close(self) -> None:
        """End the zygote and all queries."""
        with self._lock:
            self._end()

    @property
    def pid(self) -> int | None:
        """The zygote's, while there is one."""
        return None if self._process is None or self._pid != os.getpid() else self._process.pid

    def _running(self) -> socket.socket:
        if self._pid != os.getpid():  # of the process that this one was divided from
            if self._control is not None:
                self._control.close()
            self._control, self._process, self._pid = None, None, os.getpid()
        if self._process is not None and self._process.poll() is not None:
            self._end()
        if self._control is None:
            self._start()
        assert self._control is not None
        return self._control

    def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._said = os.memfd_create("tilth-zygote")
        try:
            self._process = subprocess.Popen(
                [sys.executable, *clean.OPTIONS, "-m", "tilth.adapters.engines.zygote", str(os.getpid()), str(theirs.fileno())],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self._said, pass_fds=(theirs.fileno(),),
                env=clean.environment() | {"JE_ARROW_MALLOC_CONF": "background_thread:false"},
                cwd="/", start_new_session=True,
            )  # fmt: skip
        except BaseException:
            ours.close()
            os.close(self._said)
            raise
        finally:
            theirs.close()
        self._control = ours

    def _end(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
            self._last = os.pread(self._said, 2000, max(0, os.fstat(self._said).st_size - 2000))
            os.close(self._said)

    def _last_words(self) -> tuple[str, ...]:
        lines = getattr(self, "_last", b"").decode(errors="replace").strip().splitlines()
        return tuple(lines[-1:])


NURSERY = Nursery()
atexit.register(NURSERY.close)
