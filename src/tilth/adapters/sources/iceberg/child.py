"""The process that reads an Iceberg table: it opens one snapshot by pyiceberg, has DuckDB apply the predicates exactly, and sends Arrow.

What it may reach is in `answering`; `source` is the other side.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from tilth.adapters.sources.answering import Opened, Spec, main, of_version
from tilth.adapters.sources.iceberg.newest import METADATA, newest


class NoMetadata(Exception):
    """There is no metadata of a table."""


class NoSnapshot(Exception):
    """The table has no snapshot of that number."""


def _load() -> None:
    """Have all that reading takes in memory, before files are out of reach."""
    import pyarrow.dataset
    import pyarrow.parquet  # noqa: F401
    import pyiceberg.avro.decoder_fast
    import pyiceberg.io.pyarrow
    import pyiceberg.table
    import pyiceberg.table.deletion_vector  # noqa: F401


def _table(spec: Spec) -> Any:
    from pyiceberg.table import StaticTable

    uri = str(spec["uri"])
    if spec["metadata"] is not None:
        return StaticTable.from_metadata(spec["metadata"], dict(spec["storage"]))
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


def _opened(spec: Spec) -> Opened:
    table, version = _table(spec), spec["version"]
    if version is not None and table.snapshot_by_id(version) is None:
        raise NoSnapshot(str(version))
    columns = tuple(spec["columns"]) if spec["columns"] is not None else ("*",)
    scan = table.scan(row_filter=_filter(spec["early"]), selected_fields=columns, snapshot_id=version)
    snapshot = table.current_snapshot()
    last = snapshot.snapshot_id if snapshot is not None else None
    rows = scan.to_arrow_batch_reader()
    return Opened(rows, version or last, str(table.metadata.table_uuid), table.metadata_location)


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


if __name__ == "__main__":
    main(lambda spec: of_version(spec, _load, _opened))
