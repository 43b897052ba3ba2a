"""How likely each class is: the same numbers at every door, and every way of SQL to ask for one of them."""

import csv
import json
from random import Random
from typing import Any

import pytest

import tilth

CLASSES = ("EV", "a.b", "x[0]", "no show")  # the last three are paths to JSON's arrows
DECLARED = """
CREATE SOURCE f ENGINE files WITH (path = 'data');
CREATE DATASET d KEY (id) AS SELECT * FROM f.t;
CREATE MODEL m PREDICT kind FROM d FEATURES (a, b) USING (engine = 'linear');
CREATE MODEL two PREDICT paid POSITIVE 'done' FROM d FEATURES (a, b) USING (engine = 'linear');
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("shares")
    random = Random(5)
    (folder / "data").mkdir()
    with open(folder / "data" / "t.csv", "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["id", "a", "b", "kind", "paid"])
        for n in range(1200):
            a, b = random.gauss(0, 1), random.gauss(0, 1)
            kind = CLASSES[(a > 0) * 2 + (b > 0)] if random.random() < 0.8 else random.choice(CLASSES)
            out.writerow([n, a, b, kind, "done" if a + random.gauss(0, 1) > 0 else "open"])
    (folder / "p.sql").write_text(DECLARED)
    found = tilth.open(str(folder))
    found.sql("APPLY")
    return found


@pytest.fixture(scope="module")
def shares(project: Any) -> dict[str, float]:
    """Those of row 7, by the model in Python."""
    row = project.sql("SELECT a, b FROM d WHERE id = 7").rows()[0]
    return dict(
        project.sql(f"SELECT kind_probabilities FROM m WHERE a = {row['a']!r} AND b = {row['b']!r}").rows()[
            0
        ]["kind_probabilities"]
    )


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize(
    "asked",
    [
        "m.kind_probabilities['{}']",
        "(m.kind_probabilities->>'{}')::DOUBLE",
        "CAST(kind_probabilities ->> '{}' AS DOUBLE)",
        "(m.kind_probabilities->'{}')::DOUBLE",
    ],
)
def test_every_way_to_ask_for_a_class_gives_its_number(
    project: Any, shares: dict[str, float], asked: str, name: str
) -> None:
    sql = f"SELECT {asked.format(name)} AS p FROM d JOIN m WHERE d.id = 7"
    assert project.sql(sql).rows() == [{"p": shares[name]}]


@pytest.mark.parametrize("name", CLASSES)
def test_an_arrow_on_one_row_and_around_a_subquery(project: Any, shares: dict[str, float], name: str) -> None:
    row = project.sql("SELECT a, b FROM d WHERE id = 7").rows()[0]
    one = f"SELECT kind_probabilities->>'{name}' AS p FROM m WHERE a = {row['a']!r} AND b = {row['b']!r}"
    assert float(project.sql(one).rows()[0]["p"]) == shares[name]
    around = (
        f"SELECT t.p['{name}'] AS p FROM (SELECT d.id, m.kind_probabilities p FROM d JOIN m) t WHERE t.id = 7"
    )
    assert project.sql(around).rows() == [{"p": shares[name]}]


def test_an_arrow_stays_a_text_and_names_its_column(project: Any) -> None:
    found = project.sql("SELECT m.kind_probabilities->>'a.b' FROM d JOIN m WHERE d.id = 7").arrow()
    assert (found.schema.names, str(found.schema.types[0])) == (["kind_probabilities ->> 'a.b'"], "string")


def test_a_class_that_is_none_has_no_number(project: Any) -> None:
    sql = "SELECT m.kind_probabilities['EU'] a, m.kind_probabilities->>'EU' b FROM d JOIN m WHERE d.id = 7"
    assert project.sql(sql).rows() == [{"a": None, "b": None}]


def test_shares_add_up_to_one_in_many_rows_and_in_none(project: Any) -> None:
    sql = "SELECT list_sum(map_values(m.kind_probabilities)) s FROM d JOIN m"
    assert all(abs(r["s"] - 1) < 1e-9 for r in project.sql(sql).rows())
    none = project.sql("SELECT m.kind_probabilities, m.kind_explain FROM d JOIN m WHERE d.id < 0").arrow()
    assert none.num_rows == 0
    assert str(none.schema.types[0]).startswith("map<string, double")


def test_the_probability_is_of_the_positive_class_whichever_is_the_answer(project: Any) -> None:
    found = project.sql("SELECT m.*, m.paid_probabilities FROM d JOIN two m").rows()
    assert {r["paid"] for r in found} == {"done", "open"}
    for row in found:
        assert row["paid_probability"] == row["paid_probabilities"]["done"]
        assert row["paid"] == ("done" if row["paid_probability"] > 0.5 else "open")
        assert row["paid_confidence"] == max(row["paid_probabilities"].values())


def test_json_has_an_object(project: Any, capsys: pytest.CaptureFixture[str]) -> None:
    from tilth.interfaces.cli import show

    show.rows(project.sql("SELECT m.kind_probabilities p FROM d JOIN m WHERE d.id = 7").reader, "json", 1)
    (row,) = json.loads(capsys.readouterr().out)
    assert set(row["p"]) == set(CLASSES)
