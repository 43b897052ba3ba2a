"""A model whose only version is held or refused serves nothing, and can be asked all the same, at every door."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import shop_project
from tilth.app.project import Project
from tilth.core.errors import TilthError, UnknownNameError

TEXT = shop_project.DECLARED.replace("minimum = 0.6", "minimum = 0.9999").replace(
    "USING (engine = 'linear');", "USING (engine = 'linear') PROMOTE IF manual;"
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """`late` was refused, and `duration` waits for a person."""
    made = shop_project.opened(shop_project.make(tmp_path_factory.mktemp("held") / "shop", TEXT))
    done = made.apply()
    assert {d.action.name: d.status for d in done.did if d.action.name in ("late", "duration")} == {
        "late": "refused",
        "duration": "held",
    }
    yield made
    made.close()


ONE = "WHERE ordered_at = TIMESTAMP '2024-04-30 20:00:00' AND carrier = 'slow' AND distance = 50.5"
ASKED = {
    "one row of a refused one": (f"SELECT late_probability FROM late FOR VERSION 1 {ONE}", 1),
    "one row of a held one": (f"SELECT * FROM duration FOR VERSION 1 {ONE}", 1),
    "an alias": (f"SELECT m.minutes FROM duration FOR VERSION 1 AS m {ONE}", 1),
    "many rows": ("SELECT d.id, m.* FROM deliveries d JOIN late FOR VERSION 1 m LIMIT 5", 5),
    "two models": (
        "SELECT d.id, a.late, b.minutes FROM deliveries d JOIN late FOR VERSION 1 a JOIN duration FOR VERSION 1 b LIMIT 5",
        5,
    ),
    "in capitals": (f"SELECT minutes FROM Duration FOR VERSION 1 {ONE}", 1),
}


@pytest.mark.parametrize(("query", "rows"), ASKED.values(), ids=ASKED)
def test_a_version_that_serves_nowhere_answers_when_it_is_named(
    project: Project, query: str, rows: int
) -> None:
    try:
        found = project.sql(query).rows()
    except TilthError as error:
        pytest.fail(str(error))
    assert len(found) == rows
    assert all(value is not None for value in found[0].values())


def test_the_doors_agree(project: Project) -> None:
    (row,) = project.sql(f"SELECT late_probability FROM late FOR VERSION 1 {ONE}").rows()
    given = {"ordered_at": "2024-04-30T20:00:00", "carrier": "slow", "distance": 50.5}
    assert project.model("late", 1).predict(given)["late_probability"] == pytest.approx(
        row["late_probability"]
    )


REFUSED, HELD = "`late` serves no version here: version 1 was refused", "version 1 is held by its gate"
UNSERVED = {
    "one row": (f"SELECT late FROM late {ONE}", REFUSED, "PROMOTE MODEL late VERSION 1 BECAUSE '...'"),
    "many rows": ("SELECT m.late FROM deliveries d JOIN late m", REFUSED, "Ask one: FROM late FOR VERSION 1"),
    "held": (f"SELECT * FROM duration {ONE}", HELD, "PROMOTE MODEL duration VERSION 1."),
    "explained": ("EXPLAIN PREDICT duration (distance = 1)", HELD, "tilth predict duration@1"),
    "no such version": (f"SELECT * FROM duration FOR VERSION 2 {ONE}", "no version 2 of the model `duration`", "Versions: 1."),
    "no such model": ("SELECT * FROM lat FOR VERSION 1", "There is no dataset or model `lat` here", "Datasets and models"),
    "a source that is not there": ("SELECT * FROM opps.t", "There is no source `opps`", "Did you mean `ops`? Sources: ops, tilth."),
    "a source that is not applied": ("SELECT * FROM shop.t", "There is no source `shop`", "run `tilth apply`"),
    "a catalog of others": (
        "SELECT * FROM information_schema.tables", "There is no source `information_schema`", "SHOW DATASETS",
    ),
    "no such model at all": ("EXPLAIN PREDICT lat (a = 1)", "There is no model `lat`", "Models: none"),
}  # fmt: skip


@pytest.mark.parametrize(("query", "says", "next_step"), UNSERVED.values(), ids=UNSERVED)
def test_what_serves_nothing_says_what_there_is_and_what_to_write(
    project: Project, query: str, says: str, next_step: str
) -> None:
    with pytest.raises(UnknownNameError) as caught:
        project.sql(query)
    assert says in caught.value.message
    assert next_step in (caught.value.hint or "")


def test_the_version_of_a_join_has_its_own_inputs(tmp_path: Path) -> None:
    """A version that was trained on other columns than the one that serves is bound by its own."""
    folder = shop_project.make(tmp_path / "shop")
    made = shop_project.opened(folder)
    made.apply()
    text = (folder / "shop.sql").read_text().replace("EXCEPT (minutes)", "EXCEPT (minutes, carrier)")
    (folder / "shop.sql").write_text(text.replace("not_worse_by(0.02)", "not_worse_by(0.5)"))
    assert not made.apply().refusals
    assert made.model("late").version == 2
    (first,) = made.sql(f"SELECT late_probability FROM late FOR VERSION 1 {ONE}").rows()
    assert 0 < first["late_probability"] < 1
    made.close()
