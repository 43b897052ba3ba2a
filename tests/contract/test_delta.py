"""Delta tables: which version is read, rows that deletion vectors took away, what is pushed down, and what goes wrong."""

import base64
import json
import struct
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from test_files_types import _shown

import buckets
from fixtures.types import delta as edges
from tilth.adapters.sources.delta import source as adapter
from tilth.adapters.sources.delta.source import DeltaSource
from tilth.core.errors import ProjectError, SourceError, TilthError, UnknownNameError, UnsupportedError
from tilth.core.scan import Predicate, Scan

Z85 = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
B85 = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"


def made(root: Path, **more: Any) -> DeltaSource:
    return DeltaSource.from_options({"path": "lake", **more}, str(root))


def ids(source: DeltaSource, *where: Predicate) -> list[int]:
    return sorted(source.scan(Scan("t", ("id",), where)).read_all()["id"].to_pylist())


@pytest.mark.parametrize("row", edges.ROWS, ids=lambda r: r["edge"])
def test_columns_become_what_the_table_says(tmp_path: Path, row: dict[str, Any]) -> None:
    write_deltalake(tmp_path / "lake" / "t", pa.table({"x": row["given"]()}))
    assert _shown(made(tmp_path).scan(Scan("t")).read_all()["x"]) == row["becomes"]


def delete(folder: Path, places: list[int]) -> None:
    """Takes these rows of the table's one file away as Spark does: by a deletion vector in the log."""
    roaring = struct.pack("<IIHHI", 12346, 1, 0, len(places) - 1, 16) + struct.pack(
        f"<{len(places)}H", *places
    )
    data = struct.pack("<IqI", 1681511377, 1, 0) + roaring
    text = base64.b85encode(data + bytes(-len(data) % 4)).translate(bytes.maketrans(B85, Z85)).decode()
    first = folder / "_delta_log" / "00000000000000000000.json"
    add = next(json.loads(line)["add"] for line in first.read_text().splitlines() if '"add"' in line)
    vector = {
        "storageType": "i",
        "pathOrInlineDv": text,
        "sizeInBytes": len(data),
        "cardinality": len(places),
    }
    gone = {
        "path": add["path"],
        "deletionTimestamp": 1,
        "dataChange": True,
        "size": add["size"],
        "partitionValues": {},
    }
    kept = {**add, "deletionVector": vector, "dataChange": True}
    lines = [{"commitInfo": {"timestamp": 1, "operation": "DELETE"}}, {"remove": gone}, {"add": kept}]
    (folder / "_delta_log" / "00000000000000000001.json").write_text("\n".join(map(json.dumps, lines)))


def test_rows_of_deletion_vectors_are_gone(tmp_path: Path) -> None:
    folder = tmp_path / "lake" / "t"
    write_deltalake(
        folder, pa.table({"id": range(100)}), configuration={"delta.enableDeletionVectors": "true"}
    )
    source = made(tmp_path)
    before = source.change_token("t")
    assert len(ids(source)) == 100
    delete(folder, [3, 13, 99])
    assert source.change_token("t") != before
    assert ids(source) == [n for n in range(100) if n not in (3, 13, 99)]
    assert ids(source, Predicate("id", ">", 97)) == [98]
    assert len(ids(made(tmp_path, version=0))) == 100


def test_one_version_is_read_until_somebody_asks_what_changed(tmp_path: Path) -> None:
    folder = tmp_path / "lake" / "t"
    write_deltalake(folder, pa.table({"id": [1]}))
    source = made(tmp_path)
    before = source.change_token("t")
    source.describe("t")
    write_deltalake(folder, pa.table({"id": [2], "new": [1]}), mode="append", schema_mode="merge")
    assert ids(source) == [1]
    assert source.change_token("t") != before
    assert ids(source) == [1, 2]
    assert source.describe("t").names == ("id", "new")


def test_a_table_that_was_made_anew_is_another(tmp_path: Path) -> None:
    folder = tmp_path / "lake" / "t"
    write_deltalake(folder, pa.table({"id": [1]}))
    before = made(tmp_path).change_token("t")
    for path in sorted(folder.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    write_deltalake(folder, pa.table({"id": [1]}))
    assert made(tmp_path).change_token("t") != before


def test_what_is_asked_for_skips_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "lake" / "t"
    days = [datetime(2024, 1, d) for d in range(1, 4)]
    for i, day in enumerate(days):
        rows = pa.table({"id": [i], "at": pa.array([day], pa.timestamp("us", "UTC")), "x": [float("nan")]})
        write_deltalake(folder, rows, mode="append")
    first = next(p for p in DeltaTable(folder, version=0).file_uris())
    Path(first).unlink()
    source = made(tmp_path)
    with pytest.raises(SourceError, match="is gone"):
        ids(source)
    assert ids(source, Predicate("at", ">", datetime(2024, 1, 1, 12))) == [1, 2]
    assert ids(source, Predicate("at", ">=", days[2]), Predicate("x", ">", 1e308)) == [2]
    assert adapter._early(Predicate("x", ">", 1.0), "x", "DOUBLE") is None


def test_a_path_may_be_the_table_itself(tmp_path: Path) -> None:
    write_deltalake(tmp_path / "lake" / "t", pa.table({"id": [1]}))
    source = made(tmp_path, path="lake/t")
    assert (source.tables(), ids(source)) == (("t",), [1])


def test_a_table_in_a_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_deltalake(tmp_path / "t", pa.table({"id": [1, 2]}))
    name_ = buckets.new()
    for path in (p for p in (tmp_path / "t").rglob("*") if p.is_file()):
        buckets.put(name_, f"lake/t/{path.relative_to(tmp_path / 't')}", path.read_bytes())
    given = {k: v for k, v in buckets.options(name_).items() if k != "bucket"}
    source = DeltaSource.from_options({**given, "url": f"s3://{name_}/lake/t"}, "")
    assert (source.tables(), ids(source, Predicate("id", ">", 1))) == (("t",), [2])
    assert source.change_token("t").endswith(" 0")
    for name in ("KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.setenv(f"AWS_{'ACCESS_' if name == 'KEY_ID' else ''}{name}", buckets.KEY)
    own = {k: v for k, v in given.items() if k not in ("key", "secret")}
    assert ids(DeltaSource.from_options({**own, "url": f"s3://{name_}/lake/t"}, "")) == [1, 2]
    wrong = DeltaSource.from_options({**given, "url": f"s3://{name_}/lake/u"}, "")
    with pytest.raises(SourceError, match="no Delta table"):
        wrong.describe("u")


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"path": "gone"}, SourceError, "no folder"),
        ({"path": "lake/none"}, SourceError, "no folder"),
        ({"path": None}, ProjectError, "needs a path, or a url"),
        ({"version": -1}, ProjectError, "`version` is a whole number"),
        ({"version": 7}, SourceError, "no such version"),
        ({"format": {}}, UnknownNameError, "no option `format`"),
        ({"writable": True}, UnsupportedError, "never written"),
        ({"path": None, "url": "s3://b"}, ProjectError, "no table in a bucket"),
        ({"path": None, "url": "s3://b/t", "key": "k"}, ProjectError, "`key` and `secret` together"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, given: Any, error: type[TilthError], said: str) -> None:
    write_deltalake(tmp_path / "lake" / "t", pa.table({"id": [1]}))
    with pytest.raises(error, match=said) as caught:
        made(tmp_path, **given).describe("t")
    assert caught.value.hint


def test_what_is_damaged_or_newer_is_said_and_harms_no_other_table(tmp_path: Path) -> None:
    for name in ("t", "other"):
        write_deltalake(tmp_path / "lake" / name, pa.table({"id": [1]}))
    folder = tmp_path / "lake" / "t"
    log, data = folder / "_delta_log" / "00000000000000000000.json", next(folder.glob("*.parquet"))
    text, whole = log.read_text(), data.read_bytes()
    data.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError, match="is damaged"):
        ids(made(tmp_path))
    log.write_text(text.replace('"minReaderVersion":1', '"minReaderVersion":9'))
    with pytest.raises(UnsupportedError, match="cannot read"):
        ids(made(tmp_path))
    log.unlink()
    with pytest.raises(SourceError, match="log of Delta table `t`"):
        ids(made(tmp_path))
    assert made(tmp_path).tables() == ("other", "t")
    assert made(tmp_path).scan(Scan("other")).read_all().num_rows == 1


def test_a_log_that_points_out_of_its_folder_is_not_followed(tmp_path: Path) -> None:
    write_deltalake(tmp_path / "secret", pa.table({"id": [42]}))
    write_deltalake(tmp_path / "lake" / "t", pa.table({"id": [1]}))
    target = DeltaTable(tmp_path / "secret").file_uris()[0]
    log = tmp_path / "lake" / "t" / "_delta_log" / "00000000000000000000.json"
    own = DeltaTable(tmp_path / "lake" / "t").file_uris()[0].rpartition("/")[2]
    log.write_text(log.read_text().replace(own, f"file://{target}" if "://" not in target else target))
    with pytest.raises(SourceError):
        ids(made(tmp_path))
