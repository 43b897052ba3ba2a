"""The process that runs one query of a SQLite database whose end nobody can foresee: a native one, or one over a view.

SQLite cannot be stopped from outside by its Arrow driver, so that such a query would stay in a server for ever. `source` is the
other side, and reads plain tables itself: those end.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from typing import Any

from tilth.adapters.jails.jail import die_with_parent

MEMORY = 3_000_000_000  # bytes of address space, for what SQLite sorts and keeps


def main() -> None:
    """Do what is told, and end."""
    spec = json.load(sys.stdin)
    die_with_parent(spec["parent"])
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    try:
        _run(spec["uri"], spec["sql"])
    except BrokenPipeError:
        pass  # nobody wants the rest
    except BaseException as error:
        json.dump({"kind": type(error).__name__, "said": str(error)[:2000]}, sys.stderr)
        sys.stderr.flush()
    os._exit(0)


def _run(uri: str, sql: str) -> None:
    import pyarrow as pa
    from adbc_driver_sqlite import dbapi

    connection: Any = dbapi.connect(uri)
    cursor = connection.cursor()
    cursor.execute(sql)
    rows = cursor.fetch_record_batch()
    with os.fdopen(1, "wb", closefd=False) as out, pa.ipc.new_stream(out, rows.schema) as sink:
        for batch in rows:
            sink.write_batch(batch)


if __name__ == "__main__":
    main()
