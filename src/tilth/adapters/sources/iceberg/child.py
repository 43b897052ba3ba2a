"""The process that reads an Iceberg table: it opens one snapshot by pyiceberg, has DuckDB apply the predicates exactly, and sends Arrow.

Where the table lies on this machine it locks itself up first, and can read that folder and nothing else. One in a bucket needs the network, so
there it is only apart: it ends alone, and can be killed. `source` is the other side.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from tilth.adapters.jails.jail import die_with_parent, enter
from tilth.adapters.sources.iceberg.newest import METADATA, newest

BATCH = 32_768
BESIDE = 1 << 30  # address space of threads and of what pyarrow does not count


class NoMetadata(Exception):
    """There is no metadata of a table."""


class NoSnapshot(Exception):
    """The table has no snapshot of that number."""


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

    _load()
    connection: Any = duckdb.connect(":memory:", config={"threads": 2})
    if spec["local"]:
        enter([spec["uri"]], [], spec["memory"] + BESIDE, spec["seconds"])
    for setting in (
        "enable_external_access = false", "autoload_known_extensions = false", "python_enable_replacements = false",
        "TimeZone = 'UTC'", f"memory_limit = '{spec['memory']}B'", "lock_configuration = true",
    ):  # fmt: skip
        connection.execute(f"SET {setting}")
    table = _table(spec)
    rows = _rows(table, spec)
    connection.register("given", rows)
    if spec["ask"] == "look":
        relation = connection.sql("SELECT * FROM given LIMIT 0")
        snapshot = table.current_snapshot()
        found = {
            "kinds": list(zip(relation.columns, map(str, relation.types), strict=True)),
            "version": spec["version"] or (snapshot.snapshot_id if snapshot is not None else None),
            "id": str(table.metadata.table_uuid),
        }
        _send(pa.table({"found": [json.dumps(found)]}).to_reader())
    else:
        _send(connection.sql(spec["sql"]).to_arrow_reader(BATCH))


def _load() -> None:
    """Have all that reading takes in memory, before files are out of reach."""
    import pyarrow.dataset
    import pyarrow.parquet  # noqa: F401
    import pyiceberg.avro.decoder_fast
    import pyiceberg.io.pyarrow
    import pyiceberg.table
    import pyiceberg.table.deletion_vector  # noqa: F401


def _table(spec: Mapping[str, Any]) -> Any:
    from pyiceberg.table import StaticTable

    uri = str(spec["uri"])
    if spec["local"]:
        folder = os.path.join(uri, METADATA)
        name = newest(os.listdir(folder)) if os.path.isdir(folder) else None
        if name is None:
            raise NoMetadata(uri)
        return StaticTable.from_metadata(os.path.join(folder, name))
    from pyarrow.fs import FileSelector, FileType
    from pyiceberg.io.pyarrow import PyArrowFileIO

    properties = dict(spec["storage"])
    system = PyArrowFileIO(properties).fs_by_scheme("s3", uri.split("/")[2])
    listed = system.get_file_info(FileSelector(f"{uri[5:]}/{METADATA}", allow_not_found=True))
    name = newest(f.base_name for f in listed if f.type is FileType.File)
    if name is None:
        raise NoMetadata(uri)
    return StaticTable.from_metadata(f"{uri}/{METADATA}/{name}", properties)


def _rows(table: Any, spec: Mapping[str, Any]) -> Any:
    version = spec["version"]
    if version is not None and table.snapshot_by_id(version) is None:
        raise NoSnapshot(str(version))
    columns = tuple(spec["columns"]) if spec["columns"] is not None else ("*",)
    scan = table.scan(row_filter=_filter(spec["early"]), selected_fields=columns, snapshot_id=version)
    return scan.to_arrow_batch_reader()


def _filter(early: Sequence[Sequence[Any]]) -> Any:
    from pyiceberg import expressions as e

    of: Mapping[str, Any] = {
        "=": e.EqualTo, "<": e.LessThan, "<=": e.LessThanOrEqual, ">": e.GreaterThan, ">=": e.GreaterThanOrEqual,
    }  # fmt: skip
    found: Any = e.AlwaysTrue()
    for op, column, values in early:
        if op == "is_null":
            one: Any = e.IsNull(column)
        elif op == "is_not_null":
            one = e.NotNull(column)
        elif op == "in":
            one = e.In(column, values)
        else:
            one = of[op](column, values[0])
        found = e.And(found, one)
    return found


def _send(rows: Any) -> None:
    import pyarrow as pa

    with os.fdopen(1, "wb", closefd=False) as out, pa.ipc.new_stream(out, rows.schema) as sink:
        for batch in rows:
            sink.write_batch(batch)


if __name__ == "__main__":
    main()
