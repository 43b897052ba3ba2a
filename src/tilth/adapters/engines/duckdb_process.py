"""One query in a process of its own, which is ended when it works too long, is cancelled, or is no longer wanted.

Small tables travel in shared memory, streams and the answer as Arrow over sockets; files are read by the process itself.
How it is made is in `nursery`, what it does in `duckdb_child`.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from tilth.adapters.engines import talk
from tilth.adapters.engines.duckdb_errors import columns_of, over_memory, translated, unquoted
from tilth.adapters.engines.nursery import NURSERY, Child
from tilth.adapters.jails.folders import scratch_folder
from tilth.core import errors
from tilth.core.errors import LostError, TilthError
from tilth.ports.engine import Relation
from tilth.ports.limits import Limits, over_time
from tilth.ports.streams import closing

if TYPE_CHECKING:
    import pyarrow as pa

PATIENCE = 2.0  # seconds that an input may take to hear that nobody wants it
_log = logging.getLogger("tilth.queries")
_told: set[str] = set()


def stream(
    sql: str, inputs: Mapping[str, Relation], limits: Limits, threads: int, temp: str
) -> pa.RecordBatchReader:
    """The query's result. Inputs that are paths were allowed before; `temp` is where it spills."""
    run = _Run(sql, inputs, limits)
    try:
        return run.started(threads, temp)
    except Exception as error:
        told = run.told(error)
        run.close()
        raise told from (error if told is not error else error.__cause__)
    except BaseException:
        run.close()
        raise


class _Run:
    """The process of one query, and what feeds it."""

    def __init__(self, sql: str, inputs: Mapping[str, Relation], limits: Limits) -> None:
        self._sql, self._inputs, self._limits = sql, inputs, limits
        self._left = limits.seconds
        self._over = self._ended = False
        self._failed: list[BaseException] = []  # of inputs, whose words the process does not know
        self._child: Child | None = None
        self._feeds: list[threading.Thread] = []
        self._held = ExitStack()
        self._frame = 0  # bytes of the frame that are still to be received

    # --- beginning ---

    def started(self, threads: int, temp: str) -> pa.RecordBatchReader:
        limits = self._limits
        waited = limits.turn.begin(limits.seconds)
        self._held.callback(limits.turn.end)
        self._left -= waited
        spill = self._held.enter_context(scratch_folder(temp))
        child = NURSERY.child()
        self._held.callback(child.close)
        self._child = child
        self._held.callback(limits.turn.ends(child.kill))
        given: dict[str, Any] = {}
        with ExitStack() as theirs:
            descriptors: list[int] = []
            streams = [self._given(n, v, given, descriptors, theirs) for n, v in self._inputs.items()]
            spec = {
                "sql": self._sql, "inputs": given, "threads": threads, "spill": spill,
                "memory": limits.memory, "disk": limits.disk, "seconds": limits.seconds,
            }  # fmt: skip
            talk.tell(child.end, spec, descriptors)
        for end, reader in filter(None, streams):
            feed = threading.Thread(target=self._feed, args=(end, reader), name="tilth-feed", daemon=True)
            self._feeds.append(feed)
            feed.start()
        return self._answer()

    def _given(
        self, name: str, value: Relation, given: dict[str, Any], descriptors: list[int], theirs: ExitStack
    ) -> tuple[socket.socket, Any] | None:
        """Note how the input reaches the process; our end and the rows where they are a stream."""
        import pyarrow as pa

        if isinstance(value, Sequence):
            given[name] = {"paths": list(value)}
            return None
        if isinstance(value, pa.Table):
            held = os.memfd_create("tilth-table")
            theirs.callback(os.close, held)
            given[name] = {"table": len(descriptors), "size": _written(value, held)}
            descriptors.append(held)
            return None
        reader = value if isinstance(value, pa.RecordBatchReader) else value.scanner().to_reader()
        ours, other = talk.pair()
        self._held.callback(ours.close)
        theirs.callback(other.close)
        given[name] = {"stream": len(descriptors)}
        descriptors.append(other.fileno())
        return ours, reader

    def _answer(self) -> pa.RecordBatchReader:
        """The answer; one that was small is here, and its process gone."""
        import pyarrow as pa

        kind = self._next()
        if kind == talk.WHOLE:
            data = pa.allocate_buffer(self._frame)
            self._fill(memoryview(data))
            self._next()
            self.close()
            return pa.ipc.open_stream(data)
        reader = pa.ipc.open_stream(self)
        rows = pa.RecordBatchReader.from_batches(reader.schema, self._each(reader))
        return closing(rows, self.close, self.told)

    def _each(self, reader: Any) -> Iterator[pa.RecordBatch]:
        yield from reader
        if self._frame or self._next() != talk.END:
            raise EOFError
        self.close()

    # --- hearing: what Arrow reads from ---

    closed = False

    def readable(self) -> bool:
        return True

    def read(self, size: int) -> pa.Buffer | bytes:
        """So many bytes of the answer; fewer once it is whole."""
        import pyarrow as pa

        out = pa.allocate_buffer(size)
        view, got = memoryview(out), 0
        while got < size:
            if not self._frame and self._next() == talk.END:
                return bytes(view[:got])
            part = view[got : got + self._frame]
            self._fill(part)
            self._frame -= len(part)
            got += len(part)
        return out

    def _next(self) -> bytes:
        """Which kind of frame comes next; raises what an ERROR says."""
        head = bytearray(talk.HEAD.size)
        self._fill(memoryview(head))
        kind, self._frame = talk.HEAD.unpack(head)
        if kind in (talk.END, talk.ERROR):
            text = bytearray(self._frame)
            self._fill(memoryview(text))
            self._frame = 0
            said = talk.loaded(text)
            _tell_what_is_off(said["jail"])
            if kind == talk.ERROR:
                raise self._refused(said)
        return bytes(kind)

    def _fill(self, view: memoryview) -> None:
        """Receive, while there is time; it counts."""
        assert self._child is not None
        while len(view):
            if self._left <= 0:
                self._end_late()
            began = time.monotonic()
            self._child.end.settimeout(max(self._left, 0.001))
            try:
                count = self._child.end.recv_into(view)
            except TimeoutError:
                self._end_late()
            finally:
                self._left -= time.monotonic() - began
            if count == 0:
                raise EOFError
            view = view[count:]

    def _end_late(self) -> None:
        self._over = True
        raise over_time(self._limits)

    # --- ending ---

    def close(self) -> None:
        """End the process, if it has not ended, and let go of all that it had."""
        held, self._held = self._held, ExitStack()
        if self._child is not None:
            self._child.kill()
        for feed in self._feeds:
            if feed is not threading.current_thread():
                feed.join(PATIENCE)
        held.close()

    def told(self, error: Exception) -> BaseException:
        """Why there is no answer: it was cancelled, an input broke off, the process was ended, or it said what is wrong."""
        if self._limits.turn.cancelled:
            return self._limits.turn.error()
        if self._over:
            return over_time(self._limits)
        if self._failed:
            return self._failed[0]
        if isinstance(error, TilthError) or self._child is None:
            return error
        if isinstance(error, EOFError | OSError):
            return self._lost()
        found = translated(error)
        return found if isinstance(found, TilthError) else error

    def _lost(self) -> TilthError:
        """The process ended and said nothing."""
        assert self._child is not None
        fate = self._child.fate()
        status = fate.get("status")
        if status in (-signal.SIGABRT, -signal.SIGXFSZ):
            return over_memory(self._limits)
        if status == -signal.SIGXCPU:
            return over_time(self._limits)
        how = f"by {signal.Signals(-status).name}" if status is not None and status < 0 else "unforeseen"
        return LostError(
            f"The query's process was ended, {how}; no other statement was harmed.",
            hint="Ask again. If it happens again the machine may be out of memory, or this text is one to report.",
        )

    def _refused(self, said: Mapping[str, Any]) -> BaseException:
        """The error that the process told of."""
        cls = getattr(errors, str(said.get("class")), None)
        if isinstance(cls, type) and issubclass(cls, TilthError):
            return cls(said["message"], hint=said["hint"], detail=tuple(said["detail"]))
        text = str(said.get("said"))
        if "bad_alloc" in text or text.startswith("MemoryError"):
            return over_memory(self._limits)
        found = translated(OSError(text))
        if not isinstance(found, TilthError):
            return LostError(
                f"The query's process failed: {text[:300]}.", hint="Report this with the query's text."
            )
        return unquoted(found, self._sql, columns_of(self._inputs))

    # --- feeding ---

    def _feed(self, end: socket.socket, reader: Any) -> None:
        """Hand an input over as it is asked for; half of one must not look like a whole one."""
        import pyarrow as pa

        assert self._child is not None
        out = talk.Sending(end, framed=False)
        try:
            with end:
                with pa.ipc.new_stream(out, reader.schema) as file:
                    for batch in reader:
                        self._limits.turn.check()
                        file.write_batch(batch)
                        out.flush()
                    self._limits.turn.check()
                out.flush()
        except (BrokenPipeError, ConnectionResetError):
            pass  # the process needs no more of it
        except BaseException as error:
            self._failed.append(translated(error))
            self._child.kill()


def _written(table: pa.Table, held: int) -> int:
    """Write the table into shared memory; the bytes that it takes."""
    import pyarrow as pa

    with (
        os.fdopen(held, "wb", buffering=0, closefd=False) as file,
        pa.ipc.new_stream(file, table.schema) as out,
    ):
        out.write_table(table)
    return os.fstat(held).st_size


def _tell_what_is_off(jail: Mapping[str, str]) -> None:
    """Say once in the log which parts of the jail this kernel does not offer."""
    for name, state in jail.items():
        if state.startswith("off") and name not in _told:
            _told.add(name)
            _log.warning("Queries run without %s: %s", name, state)
