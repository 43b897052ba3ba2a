"""Iceberg tables: which snapshot is read, rows that positional deletes took away, what is pushed down, and what goes wrong."""

import gzip
import json
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.memory import InMemoryCatalog
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.table import Table
from pyiceberg.typedef import Record
from pyiceberg.types import LongType
from test_files_types import _shown

import buckets
from fixtures.types import iceberg as edges
from tilth.adapters.sources.iceberg.newest import newest
from tilth.adapters.sources.iceberg.source import IcebergSource
from tilth.core.errors import (
    DataError,
    ProjectError,
    SourceError,
    TilthError,
    UnknownNameError,
    UnsupportedError,
)
from tilth.core.scan import Predicate, Scan


def written(root: Path, rows: pa.Table, name: str = "t") -> Table:
    """A new table `lake/name` with these rows."""
    catalog = InMemoryCatalog("c", warehouse=f"file://{root}")
    catalog.create_namespace("lake")
    table = catalog.create_table(f"lake.{name}", schema=rows.schema)
    table.append(rows)
    return table


def made(root: Path, **more: Any) -> IcebergSource:
    return IcebergSource.from_options({"path": "lake", **more}, str(root))


def ids(source: IcebergSource, *where: Predicate) -> list[int]:
    return sorted(source.scan(Scan("t", ("id",), where)).read_all()["id"].to_pylist())


def delete(table: Table, place: int, content: DataFileContent = DataFileContent.POSITION_DELETES) -> None:
    """Takes a row of the table's one file away as engines do that merge on read."""
    [task] = table.scan().plan_files()
    path = Path(table.metadata.location.removeprefix("file://")) / "data" / f"delete-{place}.parquet"
    fields = [
        pa.field("file_path", pa.string(), metadata={"PARQUET:field_id": "2147483546"}),
        pa.field("pos", pa.int64(), metadata={"PARQUET:field_id": "2147483545"}),
    ]
    pq.write_table(
        pa.table({"file_path": [task.file.file_path], "pos": [place]}, schema=pa.schema(fields)), path
    )
    file = DataFile.from_args(
        content=content, file_path=f"file://{path}", file_format=FileFormat.PARQUET, partition=Record(),
        record_count=1, file_size_in_bytes=path.stat().st_size, equality_ids=[1] if content is DataFileContent.EQUALITY_DELETES else None,
    )  # fmt: skip
    with table.transaction() as change, change.update_snapshot().fast_append() as append:
        append.append_data_file(file)


def test_columns_become_what_the_table_says(tmp_path: Path) -> None:
    written(tmp_path, pa.table({r["edge"]: r["given"]() for r in edges.ROWS}))
    found = made(tmp_path).scan(Scan("t")).read_all()
    assert {n: _shown(found[n]) for n in found.column_names} == {r["edge"]: r["becomes"] for r in edges.ROWS}


def test_rows_of_positional_deletes_are_gone(tmp_path: Path) -> None:
    table = written(tmp_path, pa.table({"id": range(10)}))
    source = made(tmp_path)
    first, before = table.current_snapshot().snapshot_id, source.change_token("t")
    assert len(ids(source)) == 10
    delete(table, 3)
    assert len(ids(source)) == 10, "one snapshot is read until somebody asks what changed"
    assert source.change_token("t") != before
    assert ids(source) == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert ids(source, Predicate("id", "<", 5)) == [0, 1, 2, 4]
    assert len(ids(made(tmp_path, snapshot=first))) == 10


def test_equality_deletes_are_refused_and_not_passed_over(tmp_path: Path) -> None:
    table = written(tmp_path, pa.table({"id": range(10)}))
    delete(table, 3, DataFileContent.EQUALITY_DELETES)
    with pytest.raises(UnsupportedError, match="cannot read"):
        ids(made(tmp_path))


def test_a_column_that_came_later_is_null_before(tmp_path: Path) -> None:
    table = written(tmp_path, pa.table({"id": [1]}))
    with table.update_schema() as change:
        change.union_by_name(pa.schema([("new", pa.string())]))
    table.append(pa.table({"id": [2], "new": ["x"]}))
    found = made(tmp_path).scan(Scan("t", ("id", "new"))).read_all().to_pylist()
    assert sorted(found, key=lambda r: r["id"]) == [{"id": 1, "new": None}, {"id": 2, "new": "x"}]


def test_columns_that_changed_since_the_last_rows_are_those_of_the_table(tmp_path: Path) -> None:
    table, source = written(tmp_path, pa.table({"id": [1], "x": ["a"]})), made(tmp_path)
    first = table.current_snapshot().snapshot_id
    assert source.describe("t").names == ("id", "x")
    with table.update_schema() as change:
        change.rename_column("x", "w")
        change.add_column("n", LongType())
    assert source.scan(Scan("t")).read_all().to_pylist() == [{"id": 1, "x": "a"}]
    source.change_token("t")
    assert source.scan(Scan("t")).read_all().to_pylist() == [{"id": 1, "w": "a", "n": None}]
    assert made(tmp_path, snapshot=first).describe("t").names == ("id", "x")


def test_what_is_asked_for_skips_files(tmp_path: Path) -> None:
    table = written(
        tmp_path,
        pa.table({"id": [0], "s": ["a"], "at": pa.array([datetime(2024, 1, 1)], pa.timestamp("us"))}),
    )
    for n in (1, 2):
        table.append(
            pa.table({"id": [n], "s": ["b"], "at": pa.array([datetime(2024, 1, 1 + n)], pa.timestamp("us"))})
        )
    gone = next(t.file.file_path for t in table.scan(row_filter="id == 0").plan_files())
    Path(gone.removeprefix("file://")).unlink()
    source = made(tmp_path)
    with pytest.raises(SourceError, match="is gone"):
        ids(source)
    for where in (
        Predicate("id", ">", 0), Predicate("id", "in", (1, 2)), Predicate("s", "=", "b"), Predicate("at", ">=", datetime(2024, 1, 2)),
    ):  # fmt: skip
        assert ids(source, where) == [1, 2]
    assert ids(source, Predicate("id", ">", 0), Predicate("id", "<>", 1)) == [2]


def test_a_path_may_be_the_table_itself_and_a_folder_has_several(tmp_path: Path) -> None:
    written(tmp_path, pa.table({"id": [1]}))
    written(tmp_path, pa.table({"id": [2]}), "u")
    alone = IcebergSource.from_options({"path": "lake/t"}, str(tmp_path))
    assert (alone.tables(), ids(alone)) == (("t",), [1])
    assert made(tmp_path).tables() == ("t", "u")


def test_an_empty_table_has_columns_and_no_row(tmp_path: Path) -> None:
    catalog = InMemoryCatalog("c", warehouse=f"file://{tmp_path}")
    catalog.create_namespace("lake")
    catalog.create_table("lake.t", schema=pa.schema([("id", pa.int64())]))
    source = made(tmp_path)
    assert source.describe("t").names == ("id",)
    assert ids(source) == []


def test_metadata_of_any_writer_is_found() -> None:
    assert newest(["00009-a-1.metadata.json", "00010-b-2.metadata.json"]) == "00010-b-2.metadata.json"
    assert newest(["v2.metadata.json", "v11.gz.metadata.json", "version-hint.text"]) == "v11.gz.metadata.json"
    assert newest(["snap-1.avro", "x.metadata.json", "1.metadata.json.tmp"]) is None


def test_a_table_in_a_bucket(tmp_path: Path) -> None:
    name = buckets.new()
    given = {k: v for k, v in buckets.options(name).items() if k != "bucket"}
    storage = {"s3.access-key-id": given["key"], "s3.secret-access-key": given["secret"], "s3.endpoint": given["endpoint"], "s3.region": "us-east-1"}  # fmt: skip
    catalog = InMemoryCatalog("c", warehouse=f"s3://{name}", **storage)
    catalog.create_namespace("lake")
    table = catalog.create_table("lake.t", schema=pa.schema([("id", pa.int64())]))
    table.append(pa.table({"id": [1, 2]}))
    url = table.metadata.location
    source = IcebergSource.from_options({"region": "us-east-1", **given, "url": url}, "")
    assert (source.tables(), ids(source, Predicate("id", ">", 1))) == (("t",), [2])
    before = source.change_token("t")
    table.append(pa.table({"id": [3]}))
    assert source.change_token("t") != before
    assert ids(source) == [1, 2, 3]
    wrong = IcebergSource.from_options({"region": "us-east-1", **given, "url": f"{url}x"}, "")
    with pytest.raises(SourceError, match="no Iceberg table"):
        ids_of = wrong.scan(Scan("tx"))
        ids_of.read_all()


REFUSED: list[tuple[dict[str, Any], type[TilthError], str]] = [
    ({"path": ""}, ProjectError, "needs a path"),
    ({"url": "s3://b/t"}, ProjectError, "needs a path"),
    ({"path": None, "url": "s3://b"}, ProjectError, "no table in a bucket"),
    ({"path": None, "url": "https://b/c/t"}, ProjectError, "no table in a bucket"),
    ({"snapshot": -1}, ProjectError, "is a whole number"),
    ({"snapshot": "x"}, ProjectError, "is a whole number"),
    ({"version": 1}, ProjectError, "version"),
    ({"path": None, "url": "s3://b/c/t", "key": "x"}, ProjectError, "together"),
    ({"path": "nowhere"}, SourceError, "no folder"),
    ({"snapshot": 5}, SourceError, "no such snapshot"),
]


@pytest.mark.parametrize(("given", "error", "said"), REFUSED)
def test_what_is_wrong_is_said(
    tmp_path: Path, given: dict[str, Any], error: type[TilthError], said: str
) -> None:
    written(tmp_path, pa.table({"id": [1]}))
    with pytest.raises(error, match=said):
        options = {k: v for k, v in {"path": "lake", **given}.items() if v is not None}
        ids(IcebergSource.from_options(options, str(tmp_path)))


def test_names_that_differ_by_case_alone_are_said(tmp_path: Path) -> None:
    written(tmp_path, pa.table({"Id": [1], "id": [2]}))
    with pytest.raises(DataError, match="two columns that are called `id`"):
        made(tmp_path).describe("t")


def test_another_table_is_not_there(tmp_path: Path) -> None:
    written(tmp_path, pa.table({"id": [1]}))
    with pytest.raises(UnknownNameError, match="no table `u`"):
        made(tmp_path).describe("u")


def test_a_damaged_table_and_one_that_points_elsewhere_are_refused(tmp_path: Path) -> None:
    table = written(tmp_path, pa.table({"id": [1]}))
    folder = Path(table.metadata.location.removeprefix("file://"))
    shutil.copytree(folder, tmp_path / "other" / "t")
    with pytest.raises(SourceError, match="outside of its folder"):
        ids(IcebergSource.from_options({"path": "other"}, str(tmp_path)))
    data = next((folder / "data").glob("*.parquet"))
    whole = data.read_bytes()
    data.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError, match="is damaged"):
        ids(made(tmp_path))
    data.write_bytes(whole)
    path = folder / "metadata" / newest(p.name for p in (folder / "metadata").iterdir())  # type: ignore[operator]
    text = path.read_text()
    path.write_text(text.replace('"format-version":2', '"format-version":9'))
    with pytest.raises(UnsupportedError, match="format version"):
        ids(made(tmp_path))
    path.write_text(text[: len(text) // 2])
    with pytest.raises(SourceError, match="could not be read"):
        ids(made(tmp_path))
    path.write_bytes(gzip.compress(json.dumps({"format-version": 2}).encode()))
    with pytest.raises(SourceError):
        ids(made(tmp_path))
