"""What reaches a terminal or a file: tables that fit, values whole, parameters as literals, and a prompt of a few words."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import click
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tilth.core.errors import InputError, TilthError
from tilth.interfaces.cli import ask, files, look, parameters, show, typed
from tilth.runtime import unforeseen
from tilth.runtime.showing.standing import NEVER

ROWS = [("first", "x" * 50, 1), ("second", "y", 2)]
FITS = [
    (200, ["name", "text", "n"], None),
    (60, ["name", "text", "n"], None),
    (30, ["name", "text"], "(1 more columns do not fit: n; --vertical shows all)"),
    (10, ["name"], "(2 more columns do not fit: text, n; --vertical shows all)"),
    (1, ["name"], "(2 more columns do not fit: text, n; --vertical shows all)"),
]


@pytest.mark.parametrize(("width", "columns", "left"), FITS, ids=[str(w) for w, *_ in FITS])
def test_a_table_fits_the_terminal_and_says_what_does_not(
    width: int, columns: list[str], left: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))
    lines = show.table(("name", "text", "n"), ROWS, whole="--vertical").split("\n")
    assert lines[0].split() == columns
    assert (lines[-1] if lines[-1].startswith("(") else None) == left
    assert all(len(line) <= max(width, 6) for line in lines[: 4 if left else None])


def test_down_the_page_nothing_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    show.rows(pa.table({"a": ["x" * 300], "b\n": ["two\nlines"]}).to_reader(), "vertical", 1)
    assert capsys.readouterr().out == f"-- row 1\na  {'x' * 300}\nb  two\nlines\n"


LITERALS = {
    "1": "1",
    "-3.50": "(-3.50)",
    "1e9": "1000000000.0e0",
    "9" * 38: "9" * 38,
    "9" * 39: "9" * 39,
    "007": "'007'",
    "": "''",
    "true": "TRUE",
    "NULL": "NULL",
    "JFK": "'JFK'",
    "it's": "'it''s'",
    "'1'": "'1'",
    "'it''s'": "'it''s'",
    "'": "''''",
    "1; DROP MODEL m": "'1; DROP MODEL m'",
    "1_0": "'1_0'",
    "\u0661": "'\u0661'",
    "2013-07-01": "'2013-07-01'",
}


@pytest.mark.parametrize("value", LITERALS)
def test_a_parameter_is_a_literal(value: str) -> None:
    given = parameters.given((f"x={value}",))
    assert parameters.filled("SELECT $x;", given).text == f"SELECT {LITERALS[value]};"


@pytest.mark.parametrize("value", ["1e400", "-1e999"])
def test_no_number_becomes_an_infinity(value: str) -> None:
    with pytest.raises(click.BadParameter, match="beyond any DOUBLE"):
        parameters.given((f"x={value}",))


def test_only_a_name_after_a_dollar_is_a_parameter() -> None:
    text = """SELECT '$x', "$x", $$ $x $$, a$x -- $x\n/* $x */ FROM t WHERE a = $x AND b=$x"""
    filled = parameters.filled(text, {"x": 7})
    assert filled.text == text.replace("= $x AND b=$x", "= 7 AND b=7")
    assert parameters.filled("SELECT $1 + $x", parameters.given(("1=2", "x=3"))).text == "SELECT 2 + 3"


@pytest.mark.parametrize("pair", ["x", "=1", "1x=1", "a b=1", ""])
def test_what_is_no_parameter_is_refused(pair: str) -> None:
    with pytest.raises(click.BadParameter, match="is not NAME=VALUE"):
        parameters.given((pair,))


@pytest.mark.parametrize(
    ("text", "pairs", "said"),
    [
        ("SELECT $y", ("x=1",), "names `\\$y`, which is not given"),
        ("SELECT $y", (), "names `\\$y`, which is not given"),
        ("SELECT 1", ("x=1",), "No statement names `\\$x`"),
        ("SELECT $x", ("x=1", "x=2"), "given twice"),
    ],
)
def test_parameters_and_names_belong_together(text: str, pairs: tuple[str, ...], said: str) -> None:
    with pytest.raises(InputError, match=said):
        parameters.filled(text, parameters.given(pairs))


TABLE = pa.table({"a": [1, None], "b|": ["=x|<y>", "é\n2"], "c": [[1], []]})
WRITTEN = {
    ".csv": 'a,b|,c\n1,\'=x|<y>,[1]\n,"é\n2",[]\n',
    ".json": '[{"a": 1, "b|": "=x|<y>", "c": [1]},\n {"a": null, "b|": "\\u00e9\\n2", "c": []}]\n',
    ".jsonl": '{"a": 1, "b|": "=x|<y>", "c": [1]}\n{"a": null, "b|": "\\u00e9\\n2", "c": []}\n',
    ".md": "| a | b\\| | c |\n|---|---|---|\n| 1 | =x\\|&lt;y> | [1] |\n|  | é 2 | [] |\n",
}


@pytest.mark.parametrize("suffix", [*WRITTEN, ".parquet"])
def test_rows_become_a_file_of_its_suffix(tmp_path: Path, suffix: str) -> None:
    path = str(tmp_path / f"out{suffix.upper()}")
    assert files.write(TABLE.to_reader(), path, files.checked(path, force=False), force=False) == 2
    if suffix == ".parquet":
        assert pq.read_table(path).equals(TABLE)
    else:
        assert Path(path).read_text("utf-8") == WRITTEN[suffix]
    with pytest.raises(InputError, match="already"):
        files.checked(path, force=False)
    files.write(TABLE.slice(0, 0).to_reader(), path, files.checked(path, force=True), force=True)
    assert len(os.listdir(tmp_path)) == 1


def test_a_file_that_fails_leaves_what_stood_there(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("old")

    def broken() -> pa.RecordBatch:
        yield TABLE.to_batches()[0]
        raise InputError("bad row")

    with pytest.raises(InputError, match="bad row"):
        files.write(pa.RecordBatchReader.from_batches(TABLE.schema, broken()), str(path), ".csv", force=True)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.csv"]


@pytest.mark.parametrize("path", ["x", "x.xls", "no/where.csv", ".csv"])
def test_a_file_that_cannot_be_is_refused_beforehand(path: str, tmp_path: Path) -> None:
    (tmp_path / "d.csv").mkdir()
    for one in (path, "d.csv"):
        with pytest.raises(click.BadParameter):
            files.checked(str(tmp_path / one), force=True)


MEANT = {
    ("-118,5", "float"): "-118.5",
    ("1,234,567", "float"): "1.5",
    ("31/03/2024", "date"): "2024-03-31",
    ("31.3.2024", "date"): "2024-03-31",
    ("03/04/2024", "date"): "2013-07-04",
    ("99/99/2024", "date"): "2013-07-04",
    ("x", "float"): "1.5",
}


@pytest.mark.parametrize(("text", "kind"), MEANT)
def test_a_value_that_does_not_fit_is_told_as_it_may_be_meant(text: str, kind: str) -> None:
    with pytest.raises(InputError) as refused:
        ask._typed(f"i={text}", {"i": kind}, "m")
    assert refused.value.hint == f"Write i={MEANT[text, kind]}."


SHORT = {
    "\\d": "SHOW TABLES",
    ".tables": "SHOW TABLES",
    "\\d late": "DESCRIBE late",
    "\\d late;": "DESCRIBE late",
    "SELECT 1": None,
    ".tables x": None,
    "": None,
}


@pytest.mark.parametrize("line", SHORT)
def test_a_word_stands_for_a_statement(line: str) -> None:
    assert typed.short(line) == SHORT[line]


def test_a_prompt_helps_goes_on_after_errors_and_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = iter(
        [
            "",
            "help",
            "\\x",
            ".mode csv",
            "\\h",
            "\\d",
            "SELECT",
            " 1;",
            "bad;",
            "worse;",
            "quit",
            "SELECT never;",
        ]
    )
    asked: list[str] = []

    def answer(text: str) -> None:
        asked.append(text)
        if text.startswith("bad"):
            raise InputError("no", hint="yes")
        if text.startswith("worse"):
            raise ZeroDivisionError

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("builtins.input", lambda _: next(lines))
    typed.prompt(answer, lambda: ["late"])
    assert asked == ["SHOW TABLES", "SELECT\n 1;\n", "bad;\n", "worse;\n"]
    told = capsys.readouterr()
    assert told.out.count("SUMMARIZE") == 2
    assert "`\\x` is not known here" in told.err
    assert "`.mode` is not known here" in told.err
    assert "no  [E-INPUT]" in told.err
    assert "ZeroDivisionError" in told.err
    kept = tmp_path / ".tilth_history"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_names_and_words_complete() -> None:
    found = typed.Completer(lambda: ["late_api", "late", "orders"])
    assert found.matches("la") == ["late", "late_api"]
    assert found.matches("SEL") == ["SELECT"]
    assert found.matches("sel") == ["select"]
    assert [found("ord", n) for n in range(3)] == ["orders", "order", None]


def test_what_nobody_foresaw_leaves_a_file_without_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    try:
        raise KeyError("a secret row")
    except KeyError as error:
        told = unforeseen.reported(error, "plan")
    (path,) = tmp_path.iterdir()
    text = path.read_text()
    assert str(path) in str(told)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "secret row'" not in text.replace('raise KeyError("a secret row")', "")
    assert all(
        word in text for word in ("command: tilth plan", "duckdb ", "builtins.KeyError", "test_answers.py")
    )
    known = InputError("known")
    assert unforeseen.reported(known, "plan") is known
    assert isinstance(told, TilthError)
    assert json.dumps(told.fields())


def test_what_was_told_on_this_terminal_is_not_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(show, "_TOLD", {"     ok  d: 3 rows  (0.1 s)"})
    text = "     ok  d: 3 rows  (0.1 s)\nprod is at generation 1."
    assert show.untold(text) == text
    for stream in ("stdout", "stderr"):
        monkeypatch.setattr(f"sys.{stream}.isatty", lambda: True)
    assert show.untold(text) == "prod is at generation 1."


@pytest.mark.parametrize(("err", "times"), [("a", 1), ("b", 2)])
def test_what_was_told_in_one_log_is_not_told_again(tmp_path: Path, err: str, times: int) -> None:
    text = "     ok  d: 3 rows  (0.1 s)"
    script = f"from tilth.interfaces.cli import show; show._TOLD.add({text!r}); print({text!r}, file=sys.stderr, flush=True); print(show.untold({text!r}))"
    with (tmp_path / "a").open("a") as out, (tmp_path / err).open("a") as other:
        subprocess.run([sys.executable, "-c", f"import sys; {script}"], stdout=out, stderr=other, check=True)
    assert "".join(f.read_text() for f in tmp_path.iterdir()).count(text) == times


COUNTS = [
    (None, None),
    ('{"requests": 0, "errors": 0, "slow": 0, "disagreed": 0}', ""),
    ('{"requests": 1200, "errors": 2, "slow": 0, "disagreed": 1}', "1,200 requests, 2 errors, 1 disagreed"),
]


@pytest.mark.parametrize(("kept", "said"), COUNTS)
def test_what_a_rollout_counted_is_said_in_words(kept: str | None, said: str | None) -> None:
    assert look._counts(kept) == said
    found = {**NEVER, "environment": "prod", "generation": 1, "reason": "new"}
    found["endpoints"] = [{"name": "api", "counts": kept}]
    assert "{" not in look.words(found)
    assert (said or "api") in look.words(found)
