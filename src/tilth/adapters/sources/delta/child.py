"""The process that reads a Delta table: it opens one version by deltalake, has DuckDB apply the predicates exactly, and sends Arrow.

Where the table lies on this machine it locks itself up first, and can read that folder and nothing else. One in a bucket needs the network, so
there it is only apart: it ends alone, and can be killed. `source` is the other side.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import Any

from tilth.adapters.jails.jail import die_with_parent, enter

BATCH = 32_768
BESIDE = 1 << 30  # address space of threads and of what DataFusion does not count


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
    os._exit(0)  # a library that was broken by the table is not asked to tidy up


def _run(spec: dict[str, Any]) -> None:
    import duckdb
    import pyarrow as pa
    from deltalake import DeltaTable

    connection: Any = duckdb.connect(":memory:", config={"threads": 2})
    if spec["local"]:
        with contextlib.suppress(OSError):  # starts deltalake's threads, which need a pair of sockets
            DeltaTable.is_deltatable("/dev/null")
        enter([spec["uri"]], [], spec["memory"] + BESIDE, spec["seconds"])
    for setting in (
        "enable_external_access = false", "autoload_known_extensions = false", "python_enable_replacements = false",
        "TimeZone = 'UTC'", f"memory_limit = '{spec['memory']}B'", "lock_configuration = true",
    ):  # fmt: skip
        connection.execute(f"SET {setting}")
    table = DeltaTable(spec["uri"], version=spec["version"], storage_options=spec["storage"] or None)
    rows = table.scan(columns=spec["columns"], predicate=" AND ".join(spec["early"]) or None)
    reader = pa.RecordBatchReader.from_stream(rows)
    connection.register("given", reader)
    if spec["ask"] == "look":
        relation = connection.sql("SELECT * FROM given LIMIT 0")
        kinds = list(zip(relation.columns, map(str, relation.types), strict=True))
        found = {
            "kinds": kinds,
            "version": table.version(),
            "id": str(table.metadata().id),
            "zoned": [
                f.name for f in reader.schema if pa.types.is_timestamp(f.type) and f.type.tz is not None
            ],
        }
        _send(pa.table({"found": [json.dumps(found)]}).to_reader())
    else:
        _send(connection.sql(spec["sql"]).to_arrow_reader(BATCH))


def _send(rows: Any) -> None:
    import pyarrow as pa

    with os.fdopen(1, "wb", closefd=False) as out, pa.ipc.new_stream(out, rows.schema) as sink:
        for batch in rows:
            sink.write_batch(batch)


if __name__ == "__main__":
    main()
