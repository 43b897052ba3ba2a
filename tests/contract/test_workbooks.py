"""Excel workbooks as people export them: where the header is, what is empty, which sheet is meant."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest

import buckets
from tilth.adapters.sources.files.source import FilesSource
from tilth.adapters.sources.s3.source import S3Source
from tilth.core.errors import ProjectError, SourceError, TilthError, UnknownNameError
from tilth.core.scan import Scan

ROWS = [{"id": 1, "city": "Oslo"}, {"id": 2, "city": None}]


def _book(path: Path, **sheets: list[list[Any]]) -> Any:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return book


def _source(folder: Path, **more: Any) -> FilesSource:
    return FilesSource.from_options({"path": ".", **more}, str(folder))


def _rows(source: Any, table: str = "t") -> list[dict[str, Any]]:
    return source.scan(Scan(table)).read_all().to_pylist()


@pytest.mark.parametrize(
    ("rows", "more", "said"),
    [
        ([["id", "city"], [1, "Oslo"], [2, None]], {}, ()),
        ([[], [None, "id", "city"], [None, 1, "Oslo"], [None, 2, None], [], [None, None, " "[:0]]], {}, ()),
        ([["Cities of 2024"], [], ["id", "city"], [1, "Oslo"], [2, None]], {}, ("row 3", "{skip: 2}")),
        ([["Cities", "2024"], ["id", "city"], [1, "Oslo"], [2, None]], {"format": {"skip": 1}}, ()),
        (
            [["id", "city"], [1, "Oslo"], [], [2, None]],
            {},
            ("1 row of t.xlsx without a value is passed over",),
        ),
    ],
)
def test_the_table_within_a_sheet_is_found(
    tmp_path: Path, rows: Any, more: Any, said: tuple[str, ...]
) -> None:
    _book(tmp_path / "t.xlsx", data=rows)
    source = _source(tmp_path, **more)
    assert _rows(source) == ROWS
    told = " ".join(f"{n.text} {n.option}" for n in source.notices("t"))
    assert all(word in told for word in said)
    assert bool(told) == bool(said)


def test_each_sheet_is_a_table(tmp_path: Path) -> None:
    _book(tmp_path / "t.xlsx", **{"empty": [], "Q 1": [["a"], [1]], "q2": [["b"], [2]]})
    source = _source(tmp_path, tables={"t#q2": {"types": {"b": "VARCHAR"}}})
    assert (_rows(source), _rows(source, "t#Q 1"), _rows(source, "t#q2")) == (
        [{"a": 1}],
        [{"a": 1}],
        [{"b": "2"}],
    )
    assert (
        '2 sheets with cells; this is `Q 1`. The others are the tables "t#q2"' in source.notices("t")[0].text
    )
    assert source.notices("t#Q 1") == ()
    assert _rows(_source(tmp_path, tables={"t": {"sheet": "q2"}})) == [{"b": 2}]
    with pytest.raises(UnknownNameError, match="no sheet `q3`"):
        source.describe("t#q3")


def test_a_workbook_beside_its_own_export_is_passed_over(tmp_path: Path) -> None:
    _book(tmp_path / "t.xlsx", data=[["a"], [1]])
    (tmp_path / "t.csv").write_text("a\n2\n")
    (tmp_path / "t.json").write_text('[{"a": 3}]')
    assert _rows(_source(tmp_path)) == [{"a": 2}]
    assert "t.json, t.xlsx" in _source(tmp_path).notices("t")[0].text


def test_merged_cells_and_what_does_not_fit_are_told_by_their_place(tmp_path: Path) -> None:
    rows = [["Report"], ["id", "n"], *([i, "two\nlines"] for i in range(300)), ["x", "y"]]
    book = _book(tmp_path / "t.xlsx", data=rows)
    book["data"].merge_cells("B3:B4")
    book.save(tmp_path / "t.xlsx")
    source = _source(tmp_path)
    assert "1 range of t.xlsx is merged, the first at B3" in " ".join(n.text for n in source.notices("t"))
    assert source.broken(Scan("t"))["line"].to_pylist() == [303]
    assert [r["n"] for r in _rows(source)[:3]] == ["two\nlines", None, "two\nlines"]


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def _bomb(path: Path) -> None:
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as packed,
        packed.open("xl/more.xml", "w", force_zip64=True) as file,
    ):
        for _ in range(2100):
            file.write(bytes(1 << 20))


@pytest.mark.parametrize(
    ("spoil", "more", "error", "said"),
    [
        (_cut, {}, SourceError, "no Excel workbook"),
        (lambda p: p.write_text("a;b"), {}, SourceError, "no Excel workbook"),
        (lambda p: _book(p, data=[]), {}, SourceError, "has no cells"),
        (_bomb, {}, SourceError, "unpacks to 2.05 GB"),
        (lambda _: None, {"format": {"delimiter": ";"}}, ProjectError, "`delimiter` says nothing"),
        (lambda _: None, {"format": {"skip": 9}}, SourceError, "9 are to be skipped"),
    ],
)
def test_what_is_no_table_is_refused(
    tmp_path: Path, spoil: Callable[[Path], Any], more: Any, error: type[TilthError], said: str
) -> None:
    _book(tmp_path / "t.xlsx", data=[["a"], [1]])
    spoil(tmp_path / "t.xlsx")
    with pytest.raises(error, match=said) as caught:
        _source(tmp_path, **more).describe("t")
    assert caught.value.hint


def test_a_workbook_in_a_bucket_is_read_by_a_jailed_process(tmp_path: Path) -> None:
    _book(tmp_path / "t.xlsx", one=[["id", "city"], [1, "Oslo"], [2, None]], two=[["a"], [1]])
    name = buckets.new()
    buckets.put(name, "d/t.xlsx", (tmp_path / "t.xlsx").read_bytes())
    source = S3Source.from_options({**buckets.options(name), "path": "d"}, str(tmp_path))
    assert (_rows(source), _rows(source, "t#two")) == (ROWS, [{"a": 1}])
