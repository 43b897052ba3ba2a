"""What becomes of each column is a table, what is not used says why, and what is far out of training is told in SQL."""

from pathlib import Path
from typing import Any

import pytest

import tilth
from tilth.core.errors import InputError, TargetError, UnknownNameError

WORDS = ("dry soil", "wet soil", "late frost", "good seed", "old plough")
FILES = """
CREATE SOURCE files ENGINE files WITH (path = 'data');
CREATE DATASET fields KEY (id) AS SELECT * FROM files.fields;
CREATE MODEL yield PREDICT tons FROM fields USING (engine = 'linear');
CREATE MODEL named PREDICT code FROM fields USING (engine = 'linear');
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder: Path = tmp_path_factory.mktemp("fields")
    (folder / "data").mkdir()
    rows = [
        f"{n},{n * 37 % 101},{WORDS[n * 7 % 5]} on plot {n},F-{n:06},{'north' if n % 3 else 'south'},"
        f"{(n * 37 % 101) / 10 + n * 7 % 5}"
        for n in range(400)
    ]
    (folder / "data" / "fields.csv").write_text("\n".join(["id,rain,note,code,side,tons", *rows]))
    (folder / "fields.sql").write_text(FILES)
    with tilth.open(str(folder)) as project:
        with pytest.raises(TargetError) as refused:
            project.sql("APPLY")
        yield project, str(refused.value)


def test_the_table_of_columns_says_what_became_of_each(made: Any) -> None:
    project, _ = made
    found = project.sql(
        "SELECT column_name, kind, features, missing, distinct_values, importance > 0 AS matters, split_part(reason, ':', 1) AS why FROM tilth.columns"
        " WHERE name = 'yield' AND version = 1 ORDER BY column_name"
    ).rows()
    assert [tuple(row.values()) for row in found] == [
        ("code", None, 0, 0.0, 400, None, "it looks like an identifier"),
        ("note", "text", 10, 0.0, 400, True, None),
        ("rain", "number", 1, 0.0, 101, True, None),
        ("side", "category", 1, 0.0, 2, True, None),
    ]


def test_a_target_that_names_rows_is_refused_and_the_others_are_made(made: Any) -> None:
    project, refused = made
    assert "`code` has 400 different texts in 400 rows: it looks like an identifier" in refused
    assert project.model("yield").version == 1


def test_a_column_that_is_not_learned_from_is_no_input_and_the_error_says_why(made: Any) -> None:
    project, _ = made
    with pytest.raises(InputError) as refused:
        project.sql("SELECT tons FROM yield WHERE rain = 3 AND side = 'north' AND Code = 'F-1'").rows()
    assert refused.value.message.startswith(
        "`Code` is no input of model `yield`, which does not learn from it: it looks like an identifier"
    )
    assert refused.value.hint == "Leave it out. Inputs: note, rain, side."


def test_a_name_that_is_no_column_is_no_input(made: Any) -> None:
    project, _ = made
    with pytest.raises(InputError, match="Model `yield` has no input `rein`"):
        project.sql("SELECT tons FROM yield WHERE rein = 3").rows()


def test_sql_tells_once_a_statement_what_is_far_out(made: Any) -> None:
    project, _ = made
    given = "SELECT 90000 AS rain, 'zzz' AS note, 'east' AS side FROM range(3)"
    answer = project.sql(f"SELECT y.tons, y.tons_explain FROM ({given}) d JOIN yield y")
    answer.rows()
    assert answer.told == [
        "yield: `rain` is far out of what training had (0 to 100) in 3 of 3 rows",
        "yield: `note` has no word of training in 3 of 3 rows",
        "yield: `side` is none of those of training ('north', 'south') in 3 of 3 rows",
    ]
    one = project.sql("SELECT tons FROM yield WHERE rain = 90000 AND note = 'good seed' AND side = 'east'")
    one.rows()
    assert one.told == [
        "yield: `rain` is 90,000, and training had 0 to 100",
        "yield: `side` is 'east', and training had 'north', 'south'",
    ]


def test_what_each_column_is_worth_is_told_with_its_cost(made: Any) -> None:
    project, _ = made
    found = {r["column_name"]: r for r in project.sql("EXPLAIN DATASET fields FOR MODEL yield").rows()}
    assert (found["rain"]["verdict"], found["rain"]["proposed"]) == ("needed", False)
    assert found["rain"]["low"] > found["rain"]["shuffled"]
    assert (found["note"]["verdict"], found["note"]["reason"]) == (
        "unsure",
        "what a text is worth is not measured",
    )
    assert found["code"]["verdict"] == "unused"
    assert all(r["given"] is None for r in found.values())
    table = project.sql("SELECT * FROM tilth.column_value WHERE model = 'yield'").rows()
    assert {r["column_name"]: r["verdict"] for r in table} == {n: r["verdict"] for n, r in found.items()}
    assert all(r["cpu_seconds"] > 0 and r["cpu_share"] < 1 for r in table)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("EXPLAIN DATASET fields FOR MODEL yeld", "There is no model `yeld`"),
        ("EXPLAIN DATASET files FOR MODEL yield", "does not learn from a dataset `files`"),
        ("EXPLAIN DATASET fields FOR MODEL named", "There is no model `named`"),
    ],
)
def test_a_wrong_name_is_told(made: Any, statement: str, words: str) -> None:
    project, _ = made
    with pytest.raises(UnknownNameError, match=words.replace("`", ".")):
        project.sql(statement)
