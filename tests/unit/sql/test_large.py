"""Large and deep texts: read in seconds or refused by a stated number, and never by a traceback."""

import time

import pytest

from tilth.core.errors import LanguageError
from tilth.core.schema import DataType, Field, Schema
from tilth.kinds import parse
from tilth.sql.language import trees
from tilth.sql.queries import reads
from tilth.sql.queries.rewrite import ModelShape, predictions

SCHEMAS = {"d": Schema((Field("a", DataType.INTEGER), Field("x", DataType.INTEGER)))}
SHAPES = {"late": ModelShape(("x",), ("late",))}


def understood(sql: str) -> None:
    parse(sql)
    if not sql.startswith("CREATE"):
        reads.tables(sql)
        reads.scans(sql, SCHEMAS)
        predictions(sql, SHAPES, SCHEMAS)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM d WHERE a IN (" + ",".join(map(str, range(10_000))) + ")",
        "SELECT * FROM d WHERE " + " OR ".join(f"a = {n}" for n in range(5_000)),
        "SELECT " + "+".join(["1"] * 10_000) + " FROM d",
        "SELECT late FROM late WHERE " + " AND ".join(["x = 1"] * 2_500),
        "SELECT m.late FROM d JOIN late m WHERE " + " AND ".join(f"d.a <> {n}" for n in range(2_500)),
        "SELECT " + "||".join(["'a'"] * 10_000),
        ";" * 100_000 + "SELECT 1",
        "-" * 100_000 + "\nSELECT 1",
    ],
    ids=["in", "or", "plus", "and", "and of a join", "texts", "semicolons", "a comment"],
)
def test_a_large_text_is_read_in_time_that_grows_with_it(sql: str) -> None:
    began = time.process_time()
    understood(sql.lstrip(";"))
    parse(sql)
    assert time.process_time() - began < 20


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        (
            "SELECT * FROM d WHERE a IN (" + ",".join(map(str, range(300_000))) + ")",
            "the most that are read",
        ),
        ("SELECT * FROM d WHERE " + " OR ".join(["a=1"] * 100_000), "200,000 are the most"),
        (";" * (16 << 20), "2,000,000 are the most"),
        ("SELECT '" + "x" * 3_000_000 + "'", "2,000,000 are the most"),
        ("SELECT " + "(" * 5_000 + "1" + ")" * 5_000, "More than 100 brackets"),
        ("SELECT " + "[" * 5_000 + "1" + "]" * 5_000, "More than 100 brackets"),
        ("SELECT " + "{'a':" * 5_000 + "1" + "}" * 5_000, "More than 100 brackets"),
        ("CREATE SOURCE a ENGINE files WITH (path = " + "[" * 5_000 + "]" * 5_000 + ")", "More than 100"),
        (
            "CREATE SOURCE a ENGINE files WITH (path = " + "{'a':" * 5_000 + "1" + "}" * 5_000 + ")",
            "More than",
        ),
        ("CREATE DATASET a EXPECT (" + "(" * 5_000 + "a" + ")" * 5_000 + ") AS SELECT 1", "More than 100"),
        ("SELECT " + "NOT " * 5_000 + "true", "More than 100 signs"),
        ("SELECT " + "- " * 5_000 + "1", "More than 100 signs"),
        ("SELECT " + "NOT - " * 5_000 + "1", "More than 100 signs"),
        ("SELECT " + "CASE WHEN a THEN " * 5_000 + "1" + " END" * 5_000, "More than 100"),
    ],
)
def test_what_is_too_large_or_too_deep_says_so(sql: str, words: str) -> None:
    began = time.process_time()
    with pytest.raises(LanguageError, match=words) as caught:
        understood(sql)
    assert time.process_time() - began < 20
    assert caught.value.hint
    assert len(str(caught.value)) < 2_000


def from_deep(calls: int, sql: str) -> None:
    if calls:
        return from_deep(calls - 1, sql)
    trees.tree.cache_clear()
    understood(sql)


@pytest.mark.parametrize("calls", [0, 500])
@pytest.mark.parametrize(
    ("opened", "inner", "closed"),
    [
        ("(", "1", ")"),
        ("abs(", "1", ")"),
        ("[", "1", "]"),
        ("{'a':", "1", "}"),
        ("(a = 1 OR ", "a = 2", ")"),
        ("(SELECT ", "1", ")"),
        ("CASE WHEN a = 1 THEN ", "true", " END"),
        ("CAST(", "1", " AS int)"),
    ],
)
def test_a_hundred_brackets_are_read_however_deep_the_caller_stands(
    calls: int, opened: str, inner: str, closed: str
) -> None:
    sql = "SELECT " + opened * 100 + inner + closed * 100
    from_deep(calls, sql)
    kinds = [type(node) for node in trees.tree(sql).walk()]
    assert max(map(kinds.count, kinds)) >= 100  # as many of what is nested as were written


@pytest.mark.parametrize(
    "text",
    [
        "SELECT '\udcff'",
        "DROP MODEL \ud800",
        "SELECT 1 -- \udfff",
        "CREATE SOURCE a ENGINE files WITH (path = '\ud83d')",
    ],
)
def test_half_a_character_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(LanguageError, match="not valid Unicode") as caught:
        parse(text)
    assert caught.value.where is not None
    str(caught.value).encode("utf-8", "backslashreplace")


def test_a_long_line_is_shown_around_the_place() -> None:
    with pytest.raises(LanguageError) as caught:
        parse("DROP MODEL " + "a" * 1000 + " nonsense " + "b" * 1000)
    shown, caret = str(caught.value).splitlines()[2:4]
    assert len(shown) < 420
    assert shown[caret.index("^") :].startswith("nonsense")


@pytest.mark.parametrize(
    ("limit", "inside"),
    [("LIMIT 10", True), ("LIMIT 10 OFFSET 2", True), ("LIMIT 10%", False), ("LIMIT 10 PERCENT", False), ("LIMIT 2.5%", False)],
)  # fmt: skip
def test_a_limit_goes_inside_when_it_counts_rows(limit: str, inside: bool) -> None:
    split = predictions(f"SELECT m.late FROM d JOIN late m {limit}", SHAPES, SCHEMAS)
    assert ("LIMIT" in split.inner) is inside  # type: ignore[union-attr]
    assert "LIMIT" in split.outer  # type: ignore[union-attr]


def test_a_model_of_many_inputs_is_joined_in_time_that_grows_with_them() -> None:
    def taken(count: int) -> float:
        names = tuple(f"c{n}" for n in range(count))
        schemas = {"d": Schema(tuple(Field(n, DataType.FLOAT) for n in names))}
        shapes = {"late": ModelShape(names, ("late",))}
        times = []
        for _ in range(3):
            began = time.process_time()
            predictions("SELECT m.late FROM d JOIN late m", shapes, schemas)
            times.append(time.process_time() - began)
        return min(times)

    few, many = taken(1_000), taken(8_000)
    assert many < 40 * few, "eight times as many inputs: eight times the time, and not 64 times"
