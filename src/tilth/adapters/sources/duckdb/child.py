"""The process that reads a DuckDB file: it locks itself up, opens the file read-only, runs one query, and sends Arrow.

It can read the file and what lies beside it as its log, and nothing else: a view of the file that reads other files is refused.
`source` is the other side.
"""

from __future__ import annotations

import os
from typing import Any

from tilth.adapters.jails.jail import enter
from tilth.adapters.sources.answering import Spec, lock, main, send, settle
from tilth.core.names import literal
from tilth.ports.engine import SQL_TYPE

BATCH = 65_536
BESIDE = 512 << 20  # address space of threads and of what DuckDB does not count
SYSTEM = ("/dev/null",)
CATALOG = "tilth_file"
UNTOLD = frozenset({"HUGEINT", "UHUGEINT", "BIGNUM", "BIT", "TIME WITH TIME ZONE"})  # by their Arrow types


def _run(spec: Spec) -> None:
    import duckdb
    import pyarrow as pa

    path = spec["path"]
    near = [p for p in (path, f"{path}.wal") if os.path.exists(p)]
    connection: Any = duckdb.connect(":memory:", config={"threads": spec["threads"]})
    enter(near, [], spec["memory"] + BESIDE, spec["seconds"], system=SYSTEM)
    settle(connection, spec["memory"], [path, f"{path}.wal"])
    connection.execute(f"ATTACH {literal(path)} AS {CATALOG} (READ_ONLY, TYPE duckdb)")
    lock(connection)
    connection.execute(f"USE {CATALOG}")
    found = connection.sql(spec["sql"])
    kinds = [str(kind) for kind in found.types]
    rows = found.to_arrow_reader(BATCH)
    schema = pa.schema(
        [
            f.with_metadata({SQL_TYPE: k}) if k in UNTOLD else f
            for f, k in zip(rows.schema, kinds, strict=True)
        ]
    )
    send(rows, schema)


if __name__ == "__main__":
    main(_run)
