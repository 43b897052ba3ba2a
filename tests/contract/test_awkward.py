"""Files and tables as other tools write them: exact, or told, or refused by name."""

import datetime as dt
import json
import secrets
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import servers
from tilth.adapters.sources.files.source import FilesSource
from tilth.adapters.sources.postgres.source import PostgresSource
from tilth.core.errors import SourceError, TilthError
from tilth.core.scan import Scan


def _read(folder: Path, table: str = "t", **options: Any) -> tuple[dict[str, list[Any]], str]:
    """The rows, and all that is said of the table."""
    source = FilesSource.from_options({"path": str(folder), **options}, str(folder))
    rows = source.scan(Scan(table)).read_all()
    said = " ".join(f"{n.column}: {n.text} {n.option or ''}" for n in source.notices(table))
    return {f: rows[f].to_pylist() for f in rows.column_names}, said


# --- Parquet -----------------------------------------------------------------------------------------------


def _with_index(folder: Path, index: pa.Array) -> None:
    meta = {b"pandas": json.dumps({"index_columns": ["__index_level_0__"]}).encode()}
    table = pa.table({"v": [1, 2], "__index_level_0__": index}).replace_schema_metadata(meta)
    pq.write_table(table, folder / "t.parquet")


def test_an_index_of_days_without_a_name_is_data(tmp_path: Path) -> None:
    days = [dt.date(2024, 1, 1), dt.date(2024, 1, 2)]
    _with_index(tmp_path, pa.array(days))
    rows, said = _read(tmp_path)
    assert rows == {"v": [1, 2], "__index_level_0__": days}
    assert "an index that pandas kept" in said


def test_row_numbers_of_pandas_are_left_out(tmp_path: Path) -> None:
    _with_index(tmp_path, pa.array([1, 0]))
    rows, said = _read(tmp_path)
    assert rows == {"v": [1, 2]}
    assert "row number that pandas adds" in said


def _two_files(folder: Path, *columns: pa.Array) -> None:
    (folder / "t").mkdir()
    for i, column in enumerate(columns):
        pq.write_table(pa.table({"x": column}), folder / "t" / f"{i}.parquet")


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ((pa.array([5], pa.duration("s")), pa.array([5], pa.duration("us"))), "a span of time in s in .* and a span of time in us in"),
        ((pa.array([5], pa.duration("s")), pa.array([5])), "a span of time in s in .* and no span of time in"),
        ((pa.array([{"a": 2**53 + 1}]), pa.array([{"a": 0.5, "b": "x"}])), "`x.a` of table `t` is a whole number in .* and a fraction in"),
        ((pa.array([[2**53 + 1]]), pa.array([[0.5]])), "is a whole number in .* and a fraction in"),
    ],
)  # fmt: skip
def test_files_whose_values_have_no_common_type_are_refused(
    tmp_path: Path, columns: tuple[pa.Array, ...], said: str
) -> None:
    _two_files(tmp_path, *columns)
    with pytest.raises(SourceError, match=said):
        _read(tmp_path)


def test_structs_with_more_fields_in_a_later_file_are_read(tmp_path: Path) -> None:
    _two_files(tmp_path, pa.array([{"a": 1}]), pa.array([{"a": 2**53 + 1, "b": "x"}]))
    assert _read(tmp_path)[0] == {"x": [{"a": 1, "b": None}, {"a": 2**53 + 1, "b": "x"}]}


def test_nanoseconds_of_spans_are_told(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": pa.array([1_000, 1_001, None], pa.duration("ns"))}), tmp_path / "t.parquet")
    assert "1 of 2 spans of time have more than six digits" in _read(tmp_path)[1]


def test_periods_of_pandas_are_told(tmp_path: Path) -> None:
    noted = {"ARROW:extension:name": "pandas.period", "ARROW:extension:metadata": '{"freq": "D"}'}
    field = pa.field("x", pa.int64(), metadata=noted)  # as they are read whether pandas is imported or not
    pq.write_table(pa.table([[648]], schema=pa.schema([field])), tmp_path / "t.parquet")
    rows, said = _read(tmp_path)
    assert rows == {"x": [648]}
    assert "of the type pandas.period" in said


# --- PostgreSQL --------------------------------------------------------------------------------------------


def test_what_a_session_is_given_changes_no_value() -> None:
    from adbc_driver_postgresql import dbapi

    url, name = servers.postgres_url(), f"awkward_{secrets.token_hex(4)}"
    given = ("datestyle=German", "extra_float_digits=-5", "bytea_output=escape", "intervalstyle=iso_8601")
    options = quote(" ".join(f"-c {g}" for g in given), safe="")
    with dbapi.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE SCHEMA {name}")
        try:
            cursor.execute(
                f"CREATE TABLE {name}.t AS SELECT ARRAY[0.30000000000000004::float8] AS f, ARRAY[interval '1 day'] AS i,"
                " daterange('2024-01-05', '2024-02-01') AS r, ARRAY['\\x00ff'::bytea] AS b"
            )
            rows = PostgresSource(f"{url}&options={options}", name).scan(Scan("t")).read_all().to_pylist()
        finally:
            cursor.execute(f"DROP SCHEMA {name} CASCADE")
    f, i, r, b = "{0.30000000000000004}", '{"1 day"}', "[2024-01-05,2024-02-01)", '{"\\\\x00ff"}'
    assert rows == [{"f": f, "i": i, "r": r, "b": b}]


# --- JSON Lines --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "becomes", "said"),
    [
        (['{"x": {"u": "00000000-0000-0000-0000-00000000000A"}}'], [{"u": "00000000-0000-0000-0000-00000000000A"}], ""),
        (['{"x": {"DATE": "03-04-2024", "UUID": "9:5"}}'], [{"DATE": "03-04-2024", "UUID": "9:5"}], ""),
        (['{"x": [["2024-01-05T10:00:00+02:00"]]}'], [[["2024-01-05T10:00:00+02:00"]]], ""),
        (['{"x": [9007199254740993, 0.5]}'], ["[9007199254740993,0.5]"], "1 of 1 values have numbers within that a DOUBLE does not keep"),
        (['{"x": {"n": 123456789012345678901234567890}}'], ['{"n":123456789012345678901234567890}'], "that a DOUBLE does not keep"),
        (['{"x": {"l": [{"n": 1e400}]}}'], ['{"l":[{"n":1e400}]}'], "that a DOUBLE does not keep"),
        (['{"x": {"id": 9007199254740993, "s": "1e400", "p": 0.5}}'], [{"id": 9007199254740993, "s": "1e400", "p": 0.5}], ""),
        (['{"x": [9007199254740992, 0.5, null]}'], [[9007199254740992.0, 0.5, None]], ""),
        (['{"x": NaN}', '{"x": 1.5}', '{"x": -Infinity}'], [None, 1.5, float("-inf")], "1 of 3 values are words for a missing one ('NaN') among values of type DOUBLE"),
        (['{"x": "NaN"}', '{"x": "a"}'], ["NaN", "a"], "kept as text"),
        (['{"x": 1, "x": 2}', '{"x": 3}'], [1, 3], "1 of 2 lines have a key more than once: its first value was taken"),
    ],
)  # fmt: skip
def test_values_within_values_are_kept(
    tmp_path: Path, lines: list[str], becomes: list[Any], said: str
) -> None:
    (tmp_path / "t.jsonl").write_text("\n".join(lines) + "\n")
    rows, told = _read(tmp_path)
    assert rows["x"] == becomes
    assert said in told if said else not told


def test_a_nested_value_is_read_as_text_when_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"x": {"a": 1}}\n')
    assert _read(tmp_path, format={"types": {"x": "VARCHAR"}})[0] == {"x": ['{"a":1}']}


# --- CSV ---------------------------------------------------------------------------------------------------

BANK = '"Konto:";"DE02"\n"Zeitraum:";"2024"\n\n"Tag";"Text";"Betrag";\n' + '"01.02.2024";"x";"1";\n' * 9
LABELS = "EXTF;1;2;3;4\nx\ny;z\n" + "a;b;c\n" + "1;2;3\n" * 9


@pytest.mark.parametrize(
    ("cells", "options", "becomes", "said"),
    [
        (["2,20,100.50", "1,234"], {}, None, "tables = {t: {thousands: ','}}"),
        (["2,20,100.50", "1,234", "12,34,56,789", "5"], {"thousands": ","}, [220100.5, 1234.0, 123456789.0, 5.0], ""),
        (["1’234.50", "12"], {}, None, "with apostrophes (’) between thousands; all 2 were read as text. tables = {t: {thousands: '’'}}"),
        (["1’234.50", "12"], {"thousands": "’"}, [1234.5, 12.0], ""),
        (["11\u202f100,50", "7"], {}, None, "with blanks between thousands; all 2 were read as text. tables = {t: {thousands: ' ', decimal: ','}}"),
        (["11\u202f100,50", "7"], {"thousands": " ", "decimal": ","}, [11100.5, 7.0], ""),
        (["1 000 100", "1\u00a0000", "7"], {"thousands": " "}, [1000100, 1000, 7], ""),
        (["1’234", "x"], {}, None, ""),
        (["30.12.24", "31.12.2024", "29.12.2024"], {}, None, "1 years have two digits: 69 to 99 were read as 1969 to 1999, others as 2000 to 2068. tables = {t: {types: {x: 'VARCHAR'}}}"),
        (["1-Jan-2024", "2-Feb-2024", "3-Mrz-2024"], {}, None, "1 of 3 values are not dates in one form, so all were read as text. tables = {t: {types: {x: 'DATE'}}}"),
    ],
)  # fmt: skip
def test_cells_of_other_countries(
    tmp_path: Path, cells: list[str], options: dict[str, Any], becomes: list[Any] | None, said: str
) -> None:
    (tmp_path / "t.csv").write_text("nr;x\n" + "".join(f"{i};{c}\n" for i, c in enumerate(cells)))
    rows, told = _read(tmp_path, format=options)
    if becomes is not None:
        assert rows["x"] == becomes
    assert said in told if said else not told


def test_a_format_that_is_said_for_one_column_leaves_the_others(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "a;b;c\n" + "".join(f"{d}.3.24;2024.03.{d};{d}.03.2024\n" for d in range(10, 12))
    )
    rows, told = _read(tmp_path, format={"dateformat": "%d.%m.%y"})
    days = [dt.date(2024, 3, 10), dt.date(2024, 3, 11)]
    assert rows == {"a": days, "b": days, "c": days}
    assert "c: 2 of 2 dates fit day first and month first; read day first" in told
    assert "tables = {t: {types: {c: 'VARCHAR'}}}" in told


def test_title_lines_before_a_header_that_ends_in_a_separator(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(BANK)
    rows, told = _read(tmp_path)
    assert list(rows) == ["Tag", "Text", "Betrag"]
    assert "3 lines before the header of t.csv were left out" in told


def test_a_header_further_down_is_pointed_at(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(LABELS)
    with pytest.raises(SourceError) as error:
        _read(tmp_path)
    assert "{skip: 3}" in str(error.value)
    assert list(_read(tmp_path, format={"skip": 3})[0]) == ["a", "b", "c"]


def test_folders_within_folders_are_passed_over_and_named(tmp_path: Path) -> None:
    (tmp_path / "t" / "year=2024").mkdir(parents=True)
    (tmp_path / "t" / "year=2024" / "a.csv").write_text("x\n1\n")
    with pytest.raises(TilthError, match="t/ is passed over: its files lie in folders within it"):
        _read(tmp_path)


def test_an_array_of_objects_is_read_as_lines_are(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(
        '\ufeff [{"x": 1, "y": "a\\n\u2028"},\n {"x":\n 2}, 3]', encoding="utf-8"
    )
    source = FilesSource.from_options({"path": "."}, str(tmp_path))
    assert source.scan(Scan("t")).read_all().to_pylist() == [{"x": 1, "y": "a\n\u2028"}, {"x": 2, "y": None}]
    assert [(r["line"], r["reason"]) for r in source.broken(Scan("t")).to_pylist()] == [(3, "not an object")]


def test_an_array_that_breaks_off_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('[{"x": 1},{"x": ')
    with pytest.raises(SourceError, match="none to its end"):
        FilesSource.from_options({"path": "."}, str(tmp_path)).describe("t")


def test_a_table_without_columns_is_named() -> None:
    from adbc_driver_postgresql import dbapi

    url, name = servers.postgres_url(), f"awkward_{secrets.token_hex(4)}"
    with dbapi.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE SCHEMA {name}")
        try:
            cursor.execute(f"CREATE TABLE {name}.t ()")
            with pytest.raises(SourceError, match="Table `t` has no columns"):
                PostgresSource(url, name).describe("t")
        finally:
            cursor.execute(f"DROP SCHEMA {name} CASCADE")


def test_bytes_within_values_are_written_as_duckdb_writes_them() -> None:
    from tilth.ml.data.exact import plain_array

    array = pa.array([{"b": b"a\xff\\'", "d": Decimal("1.10")}])
    assert plain_array(array, pa.string()).to_pylist() == [r'{"b": "a\\xFF\\x5C\\x27", "d": "1.10"}']
