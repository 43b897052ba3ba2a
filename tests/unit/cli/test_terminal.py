"""What data can do to a terminal or a spreadsheet: nothing; and options that nobody can mean."""

import json
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from click.testing import CliRunner

from tilth.core.errors import InputError
from tilth.core.schema import DataType
from tilth.interfaces.cli import show
from tilth.interfaces.cli.ask import Span
from tilth.interfaces.cli.commands import tilth
from tilth.runtime.asking.scoring import fitting


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 日本 😀", "plain é 日本 😀"),
        ("\x1b]0;x\x07", "\\x1b]0;x\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("a\u202eb\u2066c", "a\\u202eb\\u2066c"),
        ("a\x00b\x7f", "a\\x00b\\x7f"),
        ("a\r\nb", "a\\r\nb"),
        ("a\tb\n", "a\tb\n"),
    ],
)
def test_what_controls_a_terminal_is_written_out(text: str, shown: str) -> None:
    assert show.clean(text) == shown


@pytest.mark.parametrize("form", ["table", "csv"])
def test_no_cell_and_no_name_commands_the_terminal(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    evil = "\x1b[2J\x9b\u202e\x07"
    show.rows(pa.table({evil: [evil], "two\nlines": ["a\nb"]}).to_reader(), form, 10)
    out = capsys.readouterr().out
    assert not any(c in out for c in "\x1b\x9b\u202e\x07")
    assert "\\x1b[2J" in out
    if form == "table":
        assert "a b" in out


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("a=1", "a=1"),
        (-1, -1),
        (-1.5, -1.5),
        (True, "true"),
        (None, None),
    ],
)
def test_a_spreadsheet_sees_no_formula(value: object, cell: object) -> None:
    assert show._csv_cell(value) == cell


@pytest.mark.parametrize(
    "line",
    [
        ["plan", "--env", ""],
        ["plan", "--env", "../x"],
        ["status", "--env", "PROD"],
        ["sql", "SELECT 1", "--limit", "9" * 20],
        ["sql", "SELECT 1", "--timeout", "0"],
        ["sql", "SELECT 1", "--timeout", "nan"],
        ["sql", "SELECT 1", "--timeout", "4 parsecs"],
        ["sql", "SELECT 1", "--timeout", "99999999999 days"],
        ["rollback", "prod", "--to", "9" * 20],
        ["rollback", "prod", "--to", "-1"],
        ["predict", "late@" + "9" * 20, "a=1"],
        ["predict", "late@٣", "a=1"],
        ["predict", "late", "--version", "9" * 20],
        ["diff", "late@1", "late@" + "9" * 20],
        ["diff", "late@²", "late@1"],
        ["sql", "SELECT late FROM late FOR VERSION " + "9" * 20 + " WHERE a = 1"],
    ],
)
def test_what_nobody_can_mean_is_refused_in_words(
    line: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = CliRunner().invoke(tilth, line)
    assert found.exit_code != 0
    assert found.exception is not None
    assert isinstance(found.exception, SystemExit) or hasattr(found.exception, "hint"), found.exception


@pytest.mark.parametrize(
    ("text", "seconds"), [("30", 30), ("0.5", 0.5), ("4 s", 4), ("5 minutes", 300), ("1 hour 30 s", 3630)]
)
def test_a_time_to_wait_is_seconds_or_a_duration(text: str, seconds: float) -> None:
    assert Span().convert(text, None, None) == seconds


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (DataType.INTEGER, 3.7),
        (DataType.INTEGER, 1e308),
        (DataType.INTEGER, 2**63),
        (DataType.INTEGER, 2**64),
        (DataType.INTEGER, 2**70),
        (DataType.INTEGER, "many"),
        (DataType.FLOAT, 10**400),
        (DataType.FLOAT, "much"),
        (DataType.BOOLEAN, "perhaps"),
        (DataType.TIMESTAMP, "yesterday"),
        (DataType.DATE, "2024-02-30"),
    ],
)
def test_a_value_that_does_not_fit_its_input_says_which(kind: DataType, value: object) -> None:
    with pytest.raises(InputError, match="The input `age` cannot be") as caught:
        fitting("age", value, kind)
    assert len(caught.value.message) < 120


@pytest.mark.parametrize(
    ("kind", "value", "kept"),
    [
        (DataType.FLOAT, 2**70, 2.0**70),
        (DataType.FLOAT, None, None),
        (DataType.INTEGER, 3.0, 3),
        (DataType.INTEGER, -(2**63), -(2**63)),
        (DataType.STRING, "x", "x"),
    ],
)
def test_a_value_that_fits_is_kept(kind: DataType, value: object, kept: object) -> None:
    assert fitting("age", value, kind).to_pylist() == [kept]


JSONS: list[tuple[str, str]] = [  # of one value by DuckDB
    ("sum(x) FROM range(100) t(x)", "4950"),
    ("12345678901234567890123::HUGEINT", "12345678901234567890123"),
    ("1.50::DECIMAL(9, 2)", "1.50"),
    ("map {'EV': 0.25::DOUBLE}", '{"EV": 0.25}'),
    ("{'a': [1, NULL]}", '{"a": [1, null]}'),
    ("'NaN'::DOUBLE", "null"),
    ("true", "true"),
    ("INTERVAL '1 day 2 hours'", '"1 day 02:00:00"'),
    ("'ab\\x00'::BLOB", '"ab\\\\x00"'),
    ("TIMESTAMP '2024-01-01 10:00:00.5'", '"2024-01-01T10:00:00.500000"'),
    ("DATE '2024-01-01'", '"2024-01-01"'),
    ("chr(27) || 'é'", '"\\u001b\\u00e9"'),
    ("0.1::DOUBLE + 0.2::DOUBLE", "0.30000000000000004"),
    ("2.049e5", "204900.0"),
]


@pytest.mark.parametrize(("expression", "right"), JSONS)
def test_a_cell_in_json_keeps_its_value(
    expression: str, right: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with duckdb.connect() as connection:
        show.rows(
            connection.sql(
                f"SELECT {expression if ' FROM ' in expression else expression + ' AS v'}"
            ).to_arrow_reader(10),
            "json",
            5,
        )
    written = capsys.readouterr().out
    (name,) = json.loads(written)[0]
    assert written == f"[{{{json.dumps(name)}: {right}}}]\n"
