"""The process in which one statement runs: it can be ended at any moment. `duckdb_process` starts it and reads its rows."""

from __future__ import annotations

import json
import os
import sys

from tilth.adapters.engines.duckdb_engine import DuckDBEngine
from tilth.adapters.engines.duckdb_process import BESIDE, REFUSED


def main() -> None:
    """The process: reads what to do, writes the answer."""
    import resource

    import pyarrow as pa

    _end_with_parent()
    spec = json.load(sys.stdin)
    most = spec["memory"] + BESIDE
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    inputs, folders = {}, set[str]()
    for name, value in spec["inputs"].items():
        if isinstance(value, list):
            inputs[name] = value
            folders |= {os.path.dirname(path) for path in value}
        else:
            inputs[name] = pa.ipc.open_stream(os.fdopen(value, "rb"))
    engine = DuckDBEngine(tuple(folders), f"{spec['memory']}B", spec["threads"], spec["temp"])
    try:
        reader = engine.stream(spec["sql"], inputs)
        with pa.ipc.new_stream(sys.stdout.buffer, reader.schema) as out:
            for batch in reader:
                out.write_batch(batch)
                sys.stdout.flush()
    except BrokenPipeError:
        os._exit(0)
    except BaseException as error:
        cause = error.__cause__ or error
        sys.stderr.write(f"{type(cause).__name__} {cause}" if isinstance(cause, MemoryError) else str(cause))
        sys.stderr.flush()
        os._exit(REFUSED)
    sys.stdout.flush()
    os._exit(0)


def _end_with_parent() -> None:
    """Have the system end this process when the one that asked ends, where it can."""
    import ctypes
    import signal

    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "prctl"):
        libc.prctl(1, signal.SIGKILL, 0, 0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asked, which ends this one


if __name__ == "__main__":
    main()
