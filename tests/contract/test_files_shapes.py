"""Files of every shape: separators, headers, encodings, line ends, broken lines, several files, what is passed over."""

import bz2
import gzip
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tilth.adapters.sources.files.source import FilesSource
from tilth.core.errors import ProjectError, SourceError, TilthError, UnknownNameError
from tilth.core.scan import Predicate, Scan

ROWS = "".join(f"{i},x{i}\n" for i in range(300))
AB = [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]


def _source(folder: Path, files: dict[str, str | bytes], **options: Any) -> FilesSource:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return FilesSource.from_options({"path": ".", **options}, str(folder))


def _rows(source: FilesSource, table: str = "t") -> list[dict[str, Any]]:
    return source.scan(Scan(table)).read_all().to_pylist()


def _said(source: FilesSource, table: str = "t") -> str:
    return " ".join(f"{n.text} {n.option or ''}" for n in source.notices(table))


def _gzip(content: bytes) -> bytes:
    """Without the time, so that the names of tests are the same in every process."""
    return gzip.compress(content, mtime=0)


def _zstd(text: str) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as out:
        out.write(text.encode())
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("name", "content", "options"),
    [
        ("t.csv", "a,b\n1,x\n2,y\n", {}),
        ("t.csv", "a;b\n1;x\n2;y\n", {}),
        ("t.csv", "a\tb\n1\tx\n2\ty\n", {}),
        ("t.csv", "a|b\n1|x\n2|y\n", {}),
        ("t.csv", "a:b\n1:x\n2:y\n", {"delimiter": ":"}),
        ("t.csv", "a,b\r\n1,x\r\n2,y\r\n", {}),
        ("t.csv", "a,b\r1,x\r2,y\r", {}),
        ("t.csv", "a,b\n1,x\n2,y", {}),
        ("t.csv", "\n\na,b\n1,x\n\n2,y\n\n", {}),
        ("t.csv", "a , b\n1,x\n2,y\n", {}),
        ("t.csv", 'a,b\n"1","x"\n"2","y"\n', {}),
        ("t.csv", "a,b\n1,'x'\n2,'y'\n", {"quote": "'"}),
        ("t.csv", "sep=;\na;b\n1;x\n2;y\n", {}),
        ("t.csv", "sep=,\r\na,b\r\n1,x\r\n2,y\r\n", {}),
        ("t.csv", "# made by hand\na,b\n1,x\n# no row\n2,y\n", {"comment": "#"}),
        ("t.csv", "one\ntwo\na,b\n1,x\n2,y\n", {"skip": 2}),
        ("t.csv", "1,x\n2,y\n", {"header": False}),
        ("t.csv", "\ufeffa,b\n1,x\n2,y\n", {}),
        ("t.csv", "a,b\n1,x\n2,y\n".encode("utf-16"), {}),
        ("t.csv", "a,b\n1,x\n2,y\n".encode("utf-32"), {}),
        ("t.csv", "a,b\n1,x\n2,y\n".encode("utf-16-le"), {"encoding": "utf-16-le"}),
        ("t.csv", "a,b\n1,x\n2,y\n".encode("cp1252"), {"encoding": "cp1252"}),
        ("t.csv.gz", _gzip(b"a,b\n1,x\n2,y\n"), {}),
        ("t.csv.zst", _zstd("a,b\n1,x\n2,y\n"), {}),
        ("t.CSV.GZ", _gzip(b"a,b\n1,x\n2,y\n"), {}),
        ("t.csv", _gzip(b"a,b\n1,x\n2,y\n"), {"compression": "gzip"}),
        ("t.csv.gz", _gzip("a,b\n1,x\n2,y\n".encode("utf-16")), {}),
        ("t.tsv", "a\tb\n1\tx\n2\ty\n", {}),
        ("t.jsonl", '{"a": 1, "b": "x"}\n\n{"a": 2, "b": "y"}', {}),
        ("t.jsonl", '\ufeff{"a": 1, "b": "x"}\r\n{"b": "y", "a": 2}\r\n', {}),
        ("t.ndjson", '{"a": 1, "b": "x"}\n{"a": 2, "b": "y"}\n', {}),
        ("t.jsonl.gz", _gzip(b'{"a": 1, "b": "x"}\n{"a": 2, "b": "y"}\n'), {}),
        ("t.ndjson.zst", _zstd('{"a": 1, "b": "x"}\n{"a": 2, "b": "y"}\n'), {}),
    ],
)
def test_the_same_two_rows_in_every_dress(
    tmp_path: Path, name: str, content: str | bytes, options: dict[str, Any]
) -> None:
    source = _source(tmp_path, {name: content}, format=options)
    got = [tuple(r.values()) for r in _rows(source)]
    assert sorted(got) == [(1, "x"), (2, "y")]
    assert source.describe("t").names == (
        ("column0", "column1") if options.get("header") is False else ("a", "b")
    )
    assert source.broken(Scan("t")).num_rows == 0
    assert source.notices("t") == ()


def test_large_and_odd_texts_are_read_as_pandas_reads_them(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "id": range(4),
            "text": ["a,b", 'say "hi"', "two\nlines", "é😀\u2028z"],
            "long": ["x" * 3_000_000, "y", "z", "w"],
        }
    )
    source = _source(tmp_path, {"t.csv": frame.to_csv(index=False)})
    assert _rows(source) == frame.to_dict("records")


@pytest.mark.parametrize(
    ("content", "rows", "says"),
    [
        ("Report of sales\nid,x\n" + ROWS, 300, "1 line before the header of t.csv was left out. tables = {t: {skip: 1}}"),
        ("Report\n\nof\nid,x,y\n" + "1,2,3\n" * 9, 9, "{skip: 3}"),
        ("a,b\n1,2\n3,4\r\n5,6\n", 3, "end in different ways"),
        ("a,b\n" + "1,2\n" * 90_000 + "3,4\r\n", 90_001, "end in different ways"),
        ("1,2.5,a\n2,3.5,b\n", 2, "read as a row, not as names. tables = {t: {header: true}}"),
        ("country,2019,2020\nFR,1.5,2.5\nDE,2.5,3.5\n", 2, "years in its first line were read as names"),
        ("a,a,,b\n1,2,3,4\n", 1, "a second column `a`: it is called `a_1`"),
        ("a,,b\n1,2,3\n", 1, "no name for its column 2: it is called `column1`"),
        ("Amount,amount\n1,2\n", 1, "a second column `amount`: it is called `amount_1`"),
        ("a,b,\n1,2,\n", 1, "`column2` has neither a name nor a value"),
        ("a,b;c\n1,2;3\n4,5;6\n", 2, "by a comma or by a semicolon"),
        ("a,b\n1,x\n2,y\n3,z\n".encode("utf-16-le"), 3, "was read as utf-16-le"),
    ],
)  # fmt: skip
def test_a_guess_about_the_shape_is_said(tmp_path: Path, content: str | bytes, rows: int, says: str) -> None:
    source = _source(tmp_path, {"t.csv": content})
    assert len(_rows(source)) == rows
    assert says in _said(source)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "t.csv is empty"),
        ("\n\n", "t.csv is empty"),
        ("x,y\nr1,2,3\nr2,4,5\n", "line 1 has 2 cells, and 2 of the 2 lines after it have another number, most of them 3"),
        ("title\nlower,3\n4,5\n6,7\n", r"skip: 1"),
        ("a,b\n1,caf\xe9\n2,b\n".encode("latin-1"), r"not UTF-8 text \(line 2 is the first"),
        ("n\xe9,b\n1,2\n".encode("latin-1"), "not UTF-8 text"),
        (_gzip(b"a,b\n1,2\n"), "is compressed"),
        ('"id"x,y\n1,2\n', "the header in line 1 has text between the end of a quote and a comma"),
        ('note\n"id"x,y\n1,2\n3,4\n5,6\n', "the header in line 2 has text between"),
        ('id, "x"\t,y\n1,2,3\n', "the header in line 1 has text between"),
        ('"id,x\n1,2\n3,4\n', "the header in line 1 has a quote that does not end"),
        ('id,x\n1,"a\n2,b\n3,c\n', "No line of t.csv could be read as a row; line 2 is the first: a quote that does not end"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_in_words(tmp_path: Path, content: str | bytes, says: str) -> None:
    source = _source(tmp_path, {"t.csv": content})
    with pytest.raises(SourceError, match=says):
        source.describe("t")


@pytest.mark.parametrize(
    "header",
    ['"id" , "x"', 'id,"x"  ', '"i""d ",x', '"i,d",x', 'i"d,5"', '"two\nlines",x'],
)
def test_quotes_of_a_header_may_have_blanks_around_them(tmp_path: Path, header: str) -> None:
    assert len(_rows(_source(tmp_path, {"t.csv": f"{header}\n1,2\n3,4\n"}))) == 2


def test_a_delimiter_that_is_said_and_wrong_loses_no_rows_in_silence(tmp_path: Path) -> None:
    source = _source(tmp_path, {"t.csv": '"id","x"\n1,"a"\n2,"b"\n'}, format={"delimiter": ";"})
    with pytest.raises(SourceError, match="between the end of a quote and a semicolon"):
        source.describe("t")


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    whole = _gzip(b"".join(b"%d,%d\n" % (i, i * i % 9973) for i in range(90_000)))
    for content in (whole[: len(whole) // 2], whole[:2000] + b"x" * 40 + whole[2040:], b"no archive"):
        with pytest.raises(SourceError, match="could not be read"):
            source = _source(tmp_path, {"t.csv.gz": content})
            source.scan(Scan("t")).read_all()


def test_a_table_of_many_columns_is_typed_like_one_of_few(tmp_path: Path) -> None:
    lines = [
        (i * 7, f"{i / 7:.4f}", f"{i % 28 + 1:02d}/03/2024", "NA" if i % 5 else i, f"x{i}") for i in range(60)
    ]
    few = pd.DataFrame(lines, columns=["a", "b", "c", "d", "e"])
    many = pd.concat([few.add_suffix(str(k)) for k in range(40)], axis=1)
    source = _source(tmp_path, {"few.csv": few.to_csv(index=False), "many.csv": many.to_csv(index=False)})
    types = [f.type.value for f in source.describe("few")]
    assert types == ["integer", "float", "date", "integer", "string"]
    assert [f.type.value for f in source.describe("many")] == types * 40
    one, all_ = (source.scan(Scan(t)).read_all() for t in ("few", "many"))
    assert all(all_[f"{c}39"].to_pylist() == one[c].to_pylist() for c in few)
    assert {n.column for n in source.notices("many")} == {f"d{k}" for k in range(40)}


def test_broken_lines_have_their_line_text_and_reason(tmp_path: Path) -> None:
    tail = '300\n301,a,b\n"302,c\n303,"d"e\n'
    source = _source(tmp_path, {"t.csv": f'id,x\n0,"two\nlines"\n{ROWS}{tail}'})
    assert len(_rows(source)) == 301
    kept = source.broken(Scan("t")).to_pylist()
    assert [(r["line"], r["reason"]) for r in kept] == [
        (304, "fewer cells than the header"),
        (305, "more cells than the header"),
        (306, "a quote that does not end, or text behind its end"),
    ]
    assert kept[0]["text"] == "300"
    assert "3 of 304 lines could not be read as rows" in _said(source)


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_cell_that_does_not_fit_has_the_line_that_a_reader_counts(
    tmp_path: Path, ending: str, packed: bool
) -> None:
    lines = [
        "id,x,n",
        *(f'{i},"a\nb",{i}' if i == 5 else f"{i},a,{i}" for i in range(150)),
        "",
        "7,a,oops",
        "8",
        "9,a,",
    ]
    text = ending.join(lines)
    name, content = ("t.csv.gz", _gzip(text.encode())) if packed else ("t.csv", text.encode())
    source = _source(tmp_path, {name: content})
    assert len(_rows(source)) == 151
    kept = source.broken(Scan("t")).to_pylist()
    assert [(r["line"], r["text"], r["reason"]) for r in kept] == [
        (154, "7,a,oops", "`n` is no BIGINT"),
        (155, "8", "fewer cells than the header"),
    ]


def test_a_row_with_a_misfit_is_left_out_whatever_is_asked_for(tmp_path: Path) -> None:
    text = "id,n\n" + "".join(f"{i},{i}\n" for i in range(200)) + "200,oops\n201,\n"
    source = _source(tmp_path, {"t.csv": text})
    for columns in (None, ("id",), ("n",), ()):
        assert source.scan(Scan("t", columns)).read_all().num_rows == 201
    found = source.scan(Scan("t", ("id",), (Predicate("id", ">", 198),))).read_all()
    assert found["id"].to_pylist() == [199, 201]


def test_a_line_in_another_encoding_is_a_broken_row_whatever_is_asked_for(tmp_path: Path) -> None:
    source = _source(tmp_path, {"t.csv": f"id,x\n{ROWS}".encode() + b"300,caf\xe9\n"})
    for columns in (None, ("id",), ("x",)):
        assert source.scan(Scan("t", columns)).read_all().num_rows == 300
    assert [r["reason"] for r in source.broken(Scan("t")).to_pylist()] == ["not UTF-8 text"]
    assert "{encoding: 'cp1252'}" in _said(source)


def test_cells_in_an_encoding_are_what_python_decodes(tmp_path: Path) -> None:
    words = ["café", "€ 5", "naïve"]
    for encoding in ("cp1252", "utf-16", "utf-16-be", "utf-8-sig"):
        text = "id,x\r\n" + "".join(f"{i},{w}\r\n" for i, w in enumerate(words))
        source = _source(tmp_path, {"t.csv": text.encode(encoding)}, format={"encoding": encoding})
        assert [r["x"] for r in _rows(source)] == words
    with pytest.raises(SourceError, match="not text in the encoding ascii"):
        _source(tmp_path, {"t.csv": "id,x\n1,é\n"}, format={"encoding": "ascii"}).describe("t")


@pytest.mark.parametrize(
    ("files", "rows", "says"),
    [
        (
            {"t/1.csv": "id,buy\n1,2\n", "t/2.csv": "id,buy,sell\n3,4,5\n"},
            [{"id": 1, "buy": 2, "sell": None}, {"id": 3, "buy": 4, "sell": 5}],
            "`sell` is in 1 of 2 files, first in t/2.csv: missing in the others",
        ),
        ({"t/1.csv": "a,b\n1,2\n", "t/2.csv": "B;A\n4;3\n"}, [{"a": 1, "b": 2}, {"a": 3, "b": 4}], ""),
        ({"t/1.csv": "a\n1\n", "t/2.csv": "a\n2.5\n"}, [{"a": 1.0}, {"a": 2.5}], ""),
        ({"t/1.csv": "a\n7\n", "t/2.csv": "a\n007\n"}, [{"a": "7"}, {"a": "007"}], "leading zeros in 1 of 2 values"),
        ({"t/1.csv": "a,b\n1,2\n", "t/2.csv": ""}, [{"a": 1, "b": 2}], "t/2.csv is empty"),
        ({"t/1.csv": "a,b\n1,2\n", "t/2.csv": "a,b\n"}, [{"a": 1, "b": 2}], ""),
        ({"t/1.csv": "a\n1\n", "t/2.csv.gz": _gzip(b"a\n2\n")}, [{"a": 1}, {"a": 2}], ""),
        ({"t/1.csv": "a\n1\n", "t/2.csv": "a\n2\n".encode("utf-16")}, [{"a": 1}, {"a": 2}], ""),
        ({"t/1.jsonl": '{"a": 1}\n', "t/2.jsonl": '{"a": 2.5, "z": "q"}\n'}, [{"a": 1.0, "z": None}, {"a": 2.5, "z": "q"}], ""),
        ({"t/1.csv": "a\n1\n", "t/x.csv.bz2": bz2.compress(b"a\n2\n")}, [{"a": 1}], "not read: t/x.csv.bz2"),
        ({"t.csv": "a\n1\n", "u.ods": "", "README.md": ""}, [{"a": 1}], "not read: README.md, u.ods"),
        ({"t.csv": "a\n1\n", "_SUCCESS": "", ".DS_Store": "", ".t.csv.crc": ""}, [{"a": 1}], ""),
        ({"t.csv": "a\n1\n", "t/notes.txt": ""}, [{"a": 1}], ""),
    ],
)  # fmt: skip
def test_files_of_a_folder_are_one_table_by_name(
    tmp_path: Path, files: dict[str, str | bytes], rows: list[dict[str, Any]], says: str
) -> None:
    source = _source(tmp_path, files)
    assert sorted(map(str, _rows(source))) == sorted(map(str, rows))
    if says:
        assert says in _said(source)
    else:
        assert source.notices("t") == ()


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"t/1.csv": "a,b\n1,2\n", "t/2.csv": "3,4\n5,6\n"}, "t/2.csv has no header, and t/1.csv has one"),
        ({"t.csv": "a\n1\n", "t.csv.gz": _gzip(b"a\n1\n")}, "Two things would be table `t`: t.csv and t.csv.gz"),
        ({"t.csv": "a\n1\n", "t/1.csv": "a\n1\n"}, "Two things would be table `t`"),
        ({"t.csv": "a\n1\n", "t.jsonl": '{"a": 1}'}, "files of several kinds"),
        ({"t.jsonl": '{"A": 1, "a": 2}'}, "differ from `a` in capital letters alone"),
        ({"t.jsonl": "[1]\n"}, "no JSON object"),
        ({"t.jsonl": ""}, "no JSON object"),
    ],
)  # fmt: skip
def test_files_that_are_no_one_table_are_refused_by_name(
    tmp_path: Path, files: dict[str, str | bytes], says: str
) -> None:
    source = _source(tmp_path, {**files, "other.csv": "a\n1\n"})
    with pytest.raises(SourceError, match=says):
        source.describe("t")
    assert _rows(source, "other") == [{"a": 1}]


def test_a_file_of_another_kind_is_named_when_its_table_is_asked_for(tmp_path: Path) -> None:
    source = _source(tmp_path, {"t.ods": "", "u.csv": "a\n1\n"})
    with pytest.raises(UnknownNameError, match=r"t\.ods is passed over"):
        source.describe("t")


def test_misfits_of_one_file_among_many_are_told_with_the_file(tmp_path: Path) -> None:
    many = "id,a\n" + "".join(f"{i},{i}\n" for i in range(200))
    source = _source(tmp_path, {"t/1.csv": many, "t/2.csv": many.replace("\n7,7\n", "\n7,oops\n")})
    assert len(_rows(source)) == 399
    (kept,) = source.broken(Scan("t")).to_pylist()
    assert kept == {"line": 9, "text": "7,oops", "reason": "`a` is no BIGINT (in t/2.csv)"}


def test_broken_json_lines_say_why(tmp_path: Path) -> None:
    good = "".join(f'{{"a": {i}}}\n' for i in range(200))
    bad = b'{"a": "oops"}\n{"a":\n\n[1]\n{"a": null}\n{"a": 1, "b": "\xff"}\n{"a": 7, "b": "z"}\n'
    source = _source(tmp_path, {"t.jsonl": good.encode() + bad})
    assert len(_rows(source)) == 201
    kept = source.broken(Scan("t")).to_pylist()
    assert [(r["line"], r["reason"]) for r in kept] == [
        (201, "`a` is no BIGINT"),
        (202, "not JSON"),
        (204, "not an object"),
        (205, "no values"),
        (206, "not UTF-8 text"),
    ]


def test_the_index_that_pandas_writes_is_left_out_and_said(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": range(5), "b": list("vwxyz")}).sample(frac=1, random_state=1)
    frame.to_parquet(tmp_path / "t.parquet")
    frame.set_index("a").to_parquet(tmp_path / "named.parquet")
    source = _source(tmp_path, {})
    assert source.describe("t").names == ("a", "b")
    assert "`__index_level_0__` is the row number that pandas adds" in _said(source)
    assert source.describe("named").names == ("b", "a")
    assert source.notices("named") == ()


@pytest.mark.parametrize(
    ("first", "second", "says", "becomes"),
    [
        ([1], ["x"], "is a whole number in t/1.parquet and text in t/2.parquet", None),
        ([2**60], [1.5], "is a whole number in t/1.parquet and a fraction", None),
        ([1], [True], "true or false in t/2.parquet", None),
        ([1], [1.5], "all were read as DOUBLE", [1.0, 1.5]),
        ([None], ["x"], "", [None, "x"]),
    ],
)
def test_parquet_files_whose_types_differ(
    tmp_path: Path, first: list[Any], second: list[Any], says: str, becomes: list[Any] | None
) -> None:
    (tmp_path / "t").mkdir()
    for i, values in enumerate((first, second), 1):
        pq.write_table(pa.table({"a": pa.array(values)}), tmp_path / "t" / f"{i}.parquet")
    source = _source(tmp_path, {})
    if becomes is None:
        with pytest.raises(SourceError, match=says):
            source.describe("t")
    else:
        assert [r["a"] for r in _rows(source)] == becomes
        assert says in _said(source)


def test_a_parquet_column_that_only_some_files_have_is_said(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    pq.write_table(pa.table({"a": [1]}), tmp_path / "t" / "1.parquet")
    pq.write_table(pa.table({"A": [2], "b": ["q"]}), tmp_path / "t" / "2.parquet")
    source = _source(tmp_path, {})
    assert _rows(source) == [{"a": 1, "b": None}, {"a": 2, "b": "q"}]
    assert "`b` is in 1 of 2 files, first in t/2.parquet" in _said(source)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"formt": {}}, UnknownNameError, "format"),
        ({"format": {"typs": {}}}, UnknownNameError, "Did you mean `types`"),
        ({"format": "x"}, ProjectError, "braces"),
        ({"format": {"decimal": ",,"}}, ProjectError, "decimal"),
        ({"format": {"decimal": ",", "thousands": ","}}, ProjectError, "same character"),
        ({"format": {"delimiter": ""}}, ProjectError, "delimiter"),
        ({"format": {"skip": -1}}, ProjectError, "skip: 1"),
        ({"format": {"skip": True}}, ProjectError, "skip: 1"),
        ({"format": {"skip": 5}}, SourceError, "no line after the first 5"),
        ({"format": {"header": "no"}}, ProjectError, "header: false"),
        ({"format": {"nulls": "NA"}}, ProjectError, r"nulls: \['NA'"),
        ({"format": {"encoding": "utf-9"}}, UnknownNameError, "utf-8"),
        ({"format": {"encoding": "base64"}}, UnknownNameError, "no encoding"),
        ({"format": {"compression": "gzp"}}, UnknownNameError, "gzip"),
        ({"format": {"misfits": "drop"}}, UnknownNameError, "quarantine"),
        ({"format": {"dateformat": "iso"}}, ProjectError, "%d/%m/%Y"),
        ({"format": {"dateformat": "%Q"}}, SourceError, "'%Q' cannot be read"),
        ({"format": {"types": {"a": "NUMBER"}}}, UnknownNameError, "cannot be of the type 'NUMBER'"),
        ({"format": {"types": {"a": "DECIMAL(50,2)"}}}, UnknownNameError, "DECIMAL"),
        ({"format": {"types": {"aa": "BIGINT"}}}, UnknownNameError, "names a column `aa`"),
        ({"tables": {"tt": {"skip": 1}}}, UnknownNameError, "Did you mean `t`"),
        ({"tables": {"t": {"skp": 1}}}, UnknownNameError, "Did you mean `skip`"),
    ],
)
def test_an_option_that_cannot_be_is_refused(
    tmp_path: Path, options: dict[str, Any], error: type[TilthError], says: str
) -> None:
    with pytest.raises(error) as caught:
        _source(tmp_path, {"t.csv": "a,b\n1,2\n"}, **options).describe("t")
    assert says.replace("\\", "") in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "option"),
    [("t.jsonl", b'{"a": 1}\n', {"delimiter": ";"}), ("t.parquet", b"", {"decimal": ","})],
)
def test_an_option_that_a_kind_of_file_cannot_use_is_refused(
    tmp_path: Path, name: str, content: bytes, option: dict[str, Any]
) -> None:
    source = _source(tmp_path, {name: content, "u.csv": "a;b\n1;2,5\n"}, format=option)
    with pytest.raises(ProjectError, match=next(iter(option))):
        source.describe("t")
    assert len(_rows(source, "u")) == 1


def test_a_table_has_its_own_format_over_the_source_s(tmp_path: Path) -> None:
    source = _source(
        tmp_path,
        {"a.csv": "d;n\n03/04/2024;1,5\n", "b.csv": "d;n\n03/04/2024;1,5\n"},
        format={"decimal": ",", "dateformat": "%d/%m/%Y", "types": {"n": "DOUBLE"}},
        tables={"B": {"dateformat": "%m/%d/%Y", "types": {"d": "DATE"}}},
    )
    assert [str(r["d"]) for t in ("a", "b") for r in _rows(source, t)] == ["2024-04-03", "2024-03-04"]
    assert [r["n"] for t in ("a", "b") for r in _rows(source, t)] == [1.5, 1.5]


def test_two_sources_read_one_file_each_in_its_own_way(tmp_path: Path) -> None:
    plain = _source(tmp_path, {"t.csv": "a\n1\n2\n"})
    text = _source(tmp_path, {}, format={"types": {"a": "VARCHAR"}})
    assert [_rows(s) for s in (plain, text, plain)] == [
        [{"a": 1}, {"a": 2}],
        [{"a": "1"}, {"a": "2"}],
        [{"a": 1}, {"a": 2}],
    ]


def test_what_a_notice_offers_can_be_pasted(tmp_path: Path) -> None:
    from tilth.kinds import parse_one, show
    from tilth.sql.language.statements import CreateSource, Options

    def plain(value: Any) -> Any:
        if isinstance(value, Options):
            return {k: plain(v) for k, v in value.items}
        return value

    files = {"my t.csv": "d,my n,c\n03/04/2024,NA,00420\n05/06/2024,1,420\n"}
    settled: dict[str, Any] = {}
    for notice in _source(tmp_path, files).notices("my t"):
        written = f"CREATE SOURCE s ENGINE files WITH (path = '.', {notice.option})"
        declared = parse_one(written)
        assert isinstance(declared, CreateSource)
        assert parse_one(show(declared)) == declared
        settled.update(plain(declared.options.get("tables"))["my t"])
    assert set(settled) == {"dateformat", "nulls", "types"}
    assert _source(tmp_path, {}, tables={"my t": settled}).notices("my t") == ()
