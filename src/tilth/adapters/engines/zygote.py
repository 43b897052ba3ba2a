"""A process that waits with DuckDB and Arrow loaded, and divides into one process for each query: in a few milliseconds.

Started by `nursery` as `python -m tilth.adapters.engines.zygote PARENT SOCKET`, with nothing of the environment of the one that
asks. It has one thread and one database that began none. Each message on the socket is two descriptors: the
socket of a query, for its process (`duckdb_child`), and one on which its end is told. It ends with the process that
asks, its queries end with it, and it ends when nobody asked for a while.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
from typing import Any, NoReturn

IDLE = 600.0  # seconds without a query after which it ends
MOST_OPEN = 4096


def main() -> None:
    """Divide until nobody asks any more."""
    parent, control = int(sys.argv[1]), socket.socket(fileno=int(sys.argv[2]))
    _alone()
    try:
        watched = os.pidfd_open(parent)
    except OSError:  # it is gone
        os._exit(0)
    if os.getppid() != parent:
        os._exit(0)
    database = _warmed()
    zygote = _Zygote(control, watched, database)
    while zygote.served():
        pass
    os._exit(0)


def _alone() -> None:
    """No file that is made is others', and a signal of a terminal is not for this process."""
    import resource

    os.umask(0o077)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_OPEN if hard == resource.RLIM_INFINITY else min(MOST_OPEN, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _warmed() -> Any:
    """A database, and loaded all that a query's process needs: it can load nothing once it is locked up."""
    without: dict[str, Any] = sys.modules
    without["numpy"] = None  # Arrow and DuckDB do without it, at half the time
    import pyarrow as pa
    import pyarrow.dataset

    from tilth.adapters.engines import duckdb_child
    from tilth.adapters.engines.duckdb_task import new_database

    database = new_database()
    duckdb_child.warm(database, pa.table({"a": pa.array([1, None]), "b": pa.array(["x", None])}))
    gc.collect()
    gc.freeze()
    return database


class _Zygote:
    """Its children, and where their ends are told."""

    def __init__(self, control: socket.socket, parent: int, database: Any) -> None:
        self._control, self._parent, self._database = control, parent, database
        self._ends: dict[int, int] = {}  # by process
        self._woken, waking = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def served(self) -> bool:
        """Do what there is to do; False when all is over."""
        waiting = select.poll()
        for one in (self._control.fileno(), self._parent, self._woken):
            waiting.register(one, select.POLLIN)
        ready = {handle for handle, _ in waiting.poll(IDLE * 1000)}
        if self._woken in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._woken, 4096)
            self._reap()
        if self._parent in ready:
            return False
        if self._control.fileno() in ready:
            return self._asked()
        return bool(ready or self._ends)

    def _asked(self) -> bool:
        message, found, _, _ = socket.recv_fds(self._control, 16, 2)
        if not message or len(found) != 2:
            return False
        mine = os.getpid()
        try:
            child = os.fork()
        except OSError:  # no more processes: who asks sees both ends close
            child = -1
        if child == 0:
            self._become(mine, found[0])
        os.close(found[0])
        if child > 0:
            self._ends[child] = found[1]
        else:
            os.close(found[1])
        return True

    def _become(self, zygote: int, talk: int) -> NoReturn:
        """Be a query's process, with nothing of the zygote's but what it has loaded."""
        try:
            from tilth.adapters.engines import duckdb_child
            from tilth.adapters.jails.jail import die_with_parent

            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            die_with_parent(zygote)
            os.closerange(3, talk)
            os.closerange(talk + 1, MOST_OPEN)
            duckdb_child.answer(socket.socket(fileno=talk), self._database)
        finally:
            os._exit(1)

    def _reap(self) -> None:
        """Tell the end of each child that has ended."""
        while True:
            try:
                child, status, used = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if child == 0:
                return
            end = self._ends.pop(child, None)
            if end is None:
                continue
            said = {"status": os.waitstatus_to_exitcode(status), "memory": used.ru_maxrss * 1024}
            with contextlib.suppress(OSError):
                os.write(end, json.dumps(said).encode())
            os.close(end)


if __name__ == "__main__":
    main()
