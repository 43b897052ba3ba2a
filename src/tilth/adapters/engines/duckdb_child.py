"""The process of one query: it is told what to do, locks itself up, reads the text as DuckDB does, and answers.

It has no key, no secret, no state and no source: rows reach it as Arrow, and it can open the Parquet files that are inputs and
nothing else. `zygote` makes it, `duckdb_process` is the other side, `talk` is how they speak.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import socket
from typing import TYPE_CHECKING, Any

from tilth.adapters.engines import talk
from tilth.adapters.engines.duckdb_checked import checked
from tilth.adapters.engines.duckdb_task import BATCH, Bounds, Task, lock_down, only_select, told_types
from tilth.adapters.jails.jail import enter
from tilth.core.errors import TilthError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

BESIDE = (
    512 << 20
)  # address space of threads and of what DuckDB does not count, beside what the statement may use
SMALL = 1 << 20  # bytes of an answer that is sent at once, with its end
SYSTEM = ("/dev/null",)


def warm(database: Any, table: pa.Table) -> None:
    """Do what a query does, so that all of it is loaded and set up."""
    import pyarrow as pa

    connection = database.cursor()
    task = Task(connection)
    for name, given in (("t", table), ("s", table.to_reader())):
        task.view(name, None, given)
    checked(connection, "SELECT a FROM t", ["t", "s"])
    found = only_select(connection, "SELECT t.a, s.b, now() AS c FROM t JOIN s ON s.a = t.a ORDER BY 1", None)
    rows = found.to_arrow_reader(BATCH)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, told_types(rows.schema, [str(kind) for kind in found.types])) as out:
        for batch in rows:
            out.write_batch(batch)
    pa.ipc.open_stream(sink.getvalue()).read_all()
    task.close()


def answer(end: socket.socket, database: Any) -> None:
    """Do what is told over the socket, and say how it went."""
    _ready(end)
    try:
        spec, descriptors = talk.told(end)
    except EOFError:
        return
    jail: dict[str, str] = {}
    try:
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write("1000")  # before the one that asks, when the system is out of memory
        jail = _locked(spec)
        _run(end, spec, descriptors, database, jail)
    except BrokenPipeError:
        pass  # nobody wants the rest
    except BaseException as error:
        with contextlib.suppress(OSError):
            talk.say_error(end, _said(error), jail)


def _ready(end: socket.socket) -> None:
    handle = os.pidfd_open(os.getpid())
    socket.send_fds(end, [talk.HEAD.pack(talk.READY, 0)], [handle])
    os.close(handle)


def _locked(spec: Mapping[str, Any]) -> dict[str, str]:
    paths = [p for given in spec["inputs"].values() for p in given.get("paths", ())]
    return enter(
        paths, [spec["spill"]], spec["memory"] + BESIDE, spec["seconds"], system=SYSTEM, file=spec["disk"]
    )


def _run(
    end: socket.socket,
    spec: Mapping[str, Any],
    descriptors: Sequence[int],
    database: Any,
    jail: dict[str, str],
) -> None:
    import pyarrow as pa

    connection, inputs = database.cursor(), spec["inputs"]
    paths = [p for given in inputs.values() for p in given.get("paths", ())]
    lock_down(connection, paths, Bounds(f"{spec['memory']}B", spec["threads"], spec["spill"], spec["disk"]))
    checked(connection, spec["sql"], list(inputs))
    task = Task(connection)
    for name, given in inputs.items():
        task.view(name, given.get("paths"), _input(given, descriptors))
    found = only_select(connection, spec["sql"], None)
    rows = found.to_arrow_reader(BATCH)
    sink = talk.Sending(end)
    whole = True
    with pa.ipc.new_stream(sink, told_types(rows.schema, [str(kind) for kind in found.types])) as out:
        for batch in rows:
            out.write_batch(batch)
            if not whole or sink.size > SMALL or batch.num_rows == BATCH:
                whole = False
                sink.flush()
    if whole:
        sink.flush(talk.WHOLE)
    else:
        sink.flush()
    talk.say_end(end, jail)


def _input(given: Mapping[str, Any], descriptors: Sequence[int]) -> Any:
    """A table that lies in shared memory, or a stream; nothing for files."""
    import pyarrow as pa

    if "table" in given:
        held = mmap.mmap(descriptors[given["table"]], given["size"], prot=mmap.PROT_READ)
        return pa.ipc.open_stream(pa.py_buffer(held)).read_all()
    if "stream" in given:
        return pa.ipc.open_stream(talk.Receiving(socket.socket(fileno=descriptors[given["stream"]])))
    return None


def _said(error: BaseException) -> dict[str, Any]:
    """What is told of an error: our own whole, DuckDB's by its text, which the other side translates."""
    if isinstance(error, TilthError):
        return {
            "class": type(error).__name__,
            "message": error.message,
            "hint": error.hint,
            "detail": list(error.detail),
        }
    cause = error.__cause__ or error
    return {"said": f"{type(cause).__name__} {cause}" if isinstance(cause, MemoryError) else str(cause)}
