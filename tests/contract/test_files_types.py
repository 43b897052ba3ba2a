"""What every edge of a cell becomes, as the tables in `fixtures/types` say."""

import itertools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as t
import pytest

from fixtures.types import csv as csv_edges
from fixtures.types import excel as excel_edges
from fixtures.types import json as json_edges
from fixtures.types import parquet as parquet_edges
from tilth.adapters.sources.files.source import FilesSource
from tilth.core.errors import SourceError
from tilth.core.scan import Scan

MANY = 40
NAMES = (
    (t.is_int8, "TINYINT"),
    (t.is_integer, "BIGINT"),
    (t.is_floating, "DOUBLE"),
    (t.is_string, "VARCHAR"),
    (t.is_boolean, "BOOLEAN"),
    (t.is_date, "DATE"),
    (t.is_time, "TIME"),
    (t.is_list, "LIST"),
    (t.is_struct, "STRUCT"),
    (t.is_interval, "INTERVAL"),
)


def _shown(column: pa.ChunkedArray) -> str:
    """A column's type and its values in order; of equal ones that follow each other, where many do, the first."""
    values = [_value(v) for v in column.to_pylist()]
    if len(values) > MANY:
        values = [v for v, _ in itertools.groupby(values)]
    return f"{_name(column.type)} {', '.join(values)}"


def _value(value: Any) -> str:
    if hasattr(value, "nanoseconds"):
        return f"{value.nanoseconds / 1e9} s"
    return "missing" if value is None else repr(value) if isinstance(value, str) else str(value)


def _name(kind: pa.DataType) -> str:
    if t.is_decimal(kind):
        return f"DECIMAL({kind.precision},{kind.scale})"
    if t.is_timestamp(kind):
        return "TIMESTAMP" if kind.unit == "us" else "TIMESTAMP_NS"
    return next(name for test, name in NAMES if test(kind))


def _cells(given: Iterable[Any]) -> list[str]:
    return [c for g in given for c in ([g] if isinstance(g, str) else [g[0]] * g[1])]


def _check(source: FilesSource, row: dict[str, Any]) -> None:
    if row["becomes"].startswith("refused: "):
        with pytest.raises(SourceError, match=row["becomes"].removeprefix("refused: ")):
            source.describe("t")
        return
    told = source.notices("t")
    table = source.scan(Scan("t", ("x",))).read_all()
    assert _shown(table["x"]) == row["becomes"]
    if row.get("said") is None:
        assert told == ()
    else:
        assert row["said"] in " ".join(n.text for n in told)
        assert {n.column for n in told} == {"x"}


@pytest.mark.parametrize("row", csv_edges.ROWS, ids=lambda r: r["edge"])
def test_cells_of_a_csv_become_what_the_table_says(tmp_path: Path, row: dict[str, Any]) -> None:
    lines = "".join(f"{i};{cell}\n" for i, cell in enumerate(_cells(row["given"])))
    (tmp_path / "t.csv").write_text(f"nr;x\n{lines}")
    _check(FilesSource.from_options({"path": ".", "format": row.get("options", {})}, str(tmp_path)), row)


@pytest.mark.parametrize("row", json_edges.ROWS, ids=lambda r: r["edge"])
def test_values_of_json_lines_become_what_the_table_says(tmp_path: Path, row: dict[str, Any]) -> None:
    lines = "".join(f'{{"nr": {i}, "x": {value}}}\n' for i, value in enumerate(_cells(row["given"])))
    assert all(json.loads(line) for line in lines.splitlines())
    (tmp_path / "t.jsonl").write_text(lines)
    _check(FilesSource.from_options({"path": ".", "format": row.get("options", {})}, str(tmp_path)), row)


@pytest.mark.parametrize("row", parquet_edges.ROWS, ids=lambda r: r["edge"])
def test_columns_of_parquet_become_what_the_table_says(tmp_path: Path, row: dict[str, Any]) -> None:
    pq.write_table(pa.table({"x": row["given"]()}), tmp_path / "t.parquet")
    _check(FilesSource.from_options({"path": "."}, str(tmp_path)), row)


@pytest.mark.parametrize("row", [r for r in csv_edges.ROWS if "options" not in r], ids=lambda r: r["edge"])
def test_what_is_described_is_what_a_scan_gives(tmp_path: Path, row: dict[str, Any]) -> None:
    lines = "".join(f"{i};{cell}\n" for i, cell in enumerate(_cells(row["given"])))
    (tmp_path / "t.csv").write_text(f"nr;x\n{lines}")
    source = FilesSource.from_options({"path": "."}, str(tmp_path))
    table = source.scan(Scan("t")).read_all()
    assert source.describe("t").names == tuple(table.schema.names)
    kept = source.broken(Scan("t")).num_rows
    assert table.num_rows + kept == len(_cells(row["given"]))


@pytest.mark.parametrize("row", excel_edges.ROWS, ids=lambda r: r["edge"])
def test_cells_of_a_sheet_become_what_the_table_says(tmp_path: Path, row: dict[str, Any]) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["nr", "x"])
    for i, value in enumerate(row["given"]):
        sheet.append([i, value])
    book.save(tmp_path / "t.xlsx")
    source = FilesSource.from_options({"path": "."}, str(tmp_path))
    told = [n.text for n in source.notices("t")]
    assert _shown(source.scan(Scan("t", ("x",))).read_all()["x"]) == row["becomes"]
    if "said" in row:
        assert row["said"] in " ".join(told)
    else:
        assert told == []
