"""EXPLAIN SELECT says what goes where, and runs nothing of it."""

from collections.abc import Iterator
from typing import Any

import pytest

import shop_project as c
from tilth.core.errors import UnknownNameError, UnsupportedError

ENGINE, HERE = "query process", "this process"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with c.opened(c.make(tmp_path_factory.mktemp("explained") / "shop")) as opened:
        opened.apply()
        yield opened


STEPS = {
    "SELECT 1": [(ENGINE, "SELECT 1", None, None, None)],
    "SELECT d.id, m.late FROM deliveries d JOIN late m WHERE d.id < 10": [
        (ENGINE, "dataset deliveries", "id, ordered_at, carrier, distance", "id < 10", 6000),
        (ENGINE, 'SELECT "d"."ordered_at"', None, None, None),
        (HERE, "model late@1, of ordered_at = d__ordered_at, carrier = d__carrier, distance = d__distance", "late", None, None),
    ],
    "SELECT d.carrier, count(*) FROM ops.deliveries d JOIN late m WHERE m.late AND d.carrier IN ('own', 'x') AND d.minutes IS NOT NULL GROUP BY ALL": [
        ("source ops", "table deliveries, streamed", "ordered_at, carrier, distance, minutes", "carrier IN ('own', 'x') AND minutes IS NOT NULL", None),
        (ENGINE, 'SELECT "d"."ordered_at"', None, None, None),
        (HERE, "model late@1, of ", "late", None, None),
        (ENGINE, 'SELECT "d__carrier"', None, None, None),
    ],
    "SELECT a.id FROM ops.deliveries a JOIN deliveries b ON a.id = b.id": [
        ("source ops", "table deliveries, kept while it is asked", "id", None, None),
        (ENGINE, "dataset deliveries", "id", None, 6000),
        (ENGINE, "SELECT a.id FROM ops.deliveries a", None, None, None),
    ],
    "SELECT late FROM late WHERE carrier = 'slow' AND distance = 20.5 AND ordered_at = TIMESTAMP '2024-04-01 12:00:00'": [
        (HERE, "model late@1, of ordered_at = 2024-04-01 12:00:00, carrier = 'slow', distance = 20.5", "late", None, 1),
    ],
    "SELECT late FROM late WHERE carrier IN ('slow', 'own') AND distance = 20.5 AND ordered_at = TIMESTAMP '2024-04-01 12:00:00'": [
        (HERE, "model late@1, of ordered_at = 2024-04-01 12:00:00, carrier IN ('slow', 'own'), distance = 20.5", "late", None, None),
        (ENGINE, "SELECT late FROM __prediction", None, None, None),
    ],
    "SELECT count(*) FROM tilth.models": [
        ("source tilth", "table models, streamed", "environment", None, None),
        (ENGINE, "SELECT count(*) FROM tilth.models", None, None, None),
    ],
}  # fmt: skip


@pytest.mark.parametrize("sql", STEPS)
def test_the_steps_of_a_query_are_told(project: Any, sql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise AssertionError("the engine is asked")

    monkeypatch.setattr(project.work().engine, "stream", refused)
    found = project.sql(f"EXPLAIN {sql}").rows()
    assert [r["step"] for r in found] == list(range(1, len(found) + 1))
    told = [(r["runs_in"], r["what"], r["columns"], r["filter"], r["rows"]) for r in found]
    wanted = STEPS[sql]
    assert len(told) == len(wanted)
    for (runs, what, *rest), (runs_in, begins, *others) in zip(told, wanted, strict=True):
        assert (runs, rest) == (runs_in, others)
        assert what.startswith(begins)


def test_selects_that_are_asked_one_by_one_are_told_one_by_one(project: Any) -> None:
    sql = (
        "SELECT a.id FROM (SELECT d.id, m.late FROM deliveries d JOIN late m) a"
        " JOIN (SELECT e.id, n.minutes FROM deliveries e JOIN duration n) b ON a.id = b.id"
    )
    found = project.sql(f"EXPLAIN {sql}").rows()
    assert [r["what"].split(",")[0] for r in found if r["runs_in"] == HERE] == [
        "model late@1",
        "model duration@1",
    ]
    assert found[-1]["what"].startswith("SELECT a.id FROM")
    assert project.sql(sql).rows()


@pytest.mark.parametrize(
    ("sql", "error"),
    [
        ("SELECT nope FROM deliveries", UnknownNameError),
        ("SELECT * FROM nowhere", UnknownNameError),
        ("SELECT * FROM read_csv('x')", UnsupportedError),
    ],
)
def test_what_is_wrong_with_a_query_its_explanation_says_too(
    project: Any, sql: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        project.sql(f"EXPLAIN {sql}")
