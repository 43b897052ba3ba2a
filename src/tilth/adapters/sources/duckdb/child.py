"""The process that reads a DuckDB file: it locks itself up, opens the file read-only, runs one query, and sends Arrow.

It is told what to do by JSON on its input, answers on its output, and says an error as JSON on its error output. It can read
the file and what lies beside it as its log, and nothing else: a view of the file that reads other files is refused. `source` is
the other side.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from tilth.adapters.jails.jail import die_with_parent, enter
from tilth.core.names import literal
from tilth.ports.engine import SQL_TYPE

BATCH = 65_536
BESIDE = 512 << 20  # address space of threads and of what DuckDB does not count
SYSTEM = ("/dev/null",)
CATALOG = "tilth_file"
UNTOLD = frozenset({"HUGEINT", "UHUGEINT", "BIGNUM", "BIT", "TIME WITH TIME ZONE"})  # by their Arrow types


def main() -> None:
    """Do what is told, and end."""
    spec = json.load(sys.stdin)
    die_with_parent(spec["parent"])
    try:
        _run(spec)
    except BrokenPipeError:
        pass  # nobody wants the rest
    except BaseException as error:
        json.dump({"kind": type(error).__name__, "said": str(error)[:2000]}, sys.stderr)
        sys.stderr.flush()
    os._exit(0)  # a library that was broken by the file is not asked to tidy up


def _run(spec: dict[str, Any]) -> None:
    import duckdb
    import pyarrow as pa

    path = spec["path"]
    near = [p for p in (path, f"{path}.wal") if os.path.exists(p)]
    connection: Any = duckdb.connect(":memory:", config={"threads": spec["threads"]})
    enter(near, [], spec["memory"] + BESIDE, spec["seconds"], system=SYSTEM)
    settle(connection, [path, f"{path}.wal"], spec["memory"])
    connection.execute(f"ATTACH {literal(path)} AS {CATALOG} (READ_ONLY, TYPE duckdb)")
    connection.execute("SET lock_configuration = true")
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
    with os.fdopen(1, "wb", closefd=False) as out, pa.ipc.new_stream(out, schema) as sink:
        for batch in rows:
            sink.write_batch(batch)


def settle(connection: Any, paths: list[str], memory: int) -> None:
    """Let the database read these files and reach nothing else."""
    for setting in (
        f"allowed_paths = [{', '.join(map(literal, paths))}]",
        "enable_external_access = false",
        "autoinstall_known_extensions = false",
        "autoload_known_extensions = false",
        "allow_community_extensions = false",
        "python_enable_replacements = false",
        f"memory_limit = '{memory}B'",
        "TimeZone = 'UTC'",
    ):
        connection.execute(f"SET {setting}")


if __name__ == "__main__":
    main()
