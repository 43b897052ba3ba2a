"""A forecast from its declaration to its retraining: MindsDB's house sales, made up, with series that go wrong beside them."""

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import house_sales
import http_server
from tilth.app.project import Project
from tilth.core.errors import InputError, TilthError, UnsupportedError
from tilth.interfaces.cli.commands import tilth
from tilth.interfaces.report.page import page
from tilth.ports.clock import ManualClock
from tilth.runtime.asking.exporting import exported
from tilth.runtime.asking.model import ForecastWarning
from tilth.runtime.watching import watcher

NOW = datetime(2019, 7, 1, tzinfo=UTC)
KNOWN = 48  # quarters that are there when the project is applied
DECLARED = """
CREATE SOURCE estate ENGINE files WITH (path = 'data');
CREATE DATASET sales KEY (saledate, type, bedrooms) AS SELECT * FROM estate.house_sales;
CREATE MODEL prices PREDICT ma AS price FROM sales ORDER BY saledate GROUP BY type, bedrooms WINDOW 16 HORIZON 4
  RETRAIN WHEN quality < 1.5 OR drift > 1.0;
CREATE ENDPOINT ask FOR MODEL prices;
"""
ODD = [
    *({"saledate": house_sales.quarter(n), "ma": 5, "type": "short", "bedrooms": 1} for n in (40, 41)),
    *({"saledate": house_sales.quarter(n), "ma": 700, "type": "constant", "bedrooms": 1} for n in range(48)),
    *({"saledate": house_sales.quarter(n), "ma": 0, "type": "zero", "bedrooms": 1} for n in range(48)),
    *({"saledate": house_sales.quarter(n), "ma": 90 + n % 4, "type": "early", "bedrooms": 1} for n in range(20)),
    *({"saledate": house_sales.quarter(n), "ma": None if n == 30 else 50 + n, "type": "gap", "bedrooms": 1} for n in range(48)),
]  # fmt: skip
"""Series that are short, constant, all zero, ended long ago, and one with a NULL in the middle."""


def write(folder: Path, table: pa.Table) -> None:
    (folder / "data").mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / "data" / "house_sales.parquet")


def rows(quarters: int) -> pa.Table:
    plain = house_sales.table(quarters)
    return pa.concat_tables([plain, pa.Table.from_pylist(ODD, plain.schema)])


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("forecast") / "p"
    write(folder, rows(KNOWN))
    (folder / "all.sql").write_text(DECLARED)
    with Project(str(folder), ManualClock(NOW)) as made:
        done = made.apply()
        assert not done.refusals
        told = [n for one in done.did for n in one.notices]
    assert any("short" in n for n in told), told
    assert any("gap" in n.lower() for n in told), told
    return folder


@pytest.fixture
def project(applied: Path, tmp_path: Path) -> Iterator[Project]:
    shutil.copytree(applied, tmp_path / "p")
    with Project(str(tmp_path / "p"), ManualClock(NOW)) as made:
        yield made


def asked(project: Project, sql: str) -> list[dict[str, Any]]:
    return list(project.sql(sql).rows())


JOINED = "SELECT m.* FROM sales t JOIN prices m"


def test_what_lies_ahead_is_near_what_comes_and_the_same_at_every_door(project: Project) -> None:
    truth = {(r["saledate"], r["type"], r["bedrooms"]): r["ma"] for r in house_sales.table().to_pylist()}
    found = asked(project, f"{JOINED} WHERE t.saledate > LATEST AND t.type IN ('house', 'unit')")
    assert len(found) == 4 * len(house_sales.SERIES)
    assert {r["saledate"] for r in found} == {house_sales.quarter(n) for n in range(KNOWN, KNOWN + 4)}
    off = [abs(r["price"] / truth[r["saledate"], r["type"], r["bedrooms"]] - 1) for r in found]
    assert sum(off) / len(off) < 0.03
    held = [
        r["price_lower"] <= truth[r["saledate"], r["type"], r["bedrooms"]] <= r["price_upper"] for r in found
    ]
    assert sum(held) >= 0.7 * len(held)
    one = [r for r in found if (r["type"], r["bedrooms"]) == ("house", 3)]
    named = f"WITH h AS (SELECT * FROM sales WHERE type = 'house'), f AS ({JOINED.replace('sales', 'h')} WHERE t.saledate > LATEST) SELECT * FROM f"
    assert [r["price"] for r in asked(project, f"{named} WHERE bedrooms = 3 ORDER BY saledate")] == [
        r["price"] for r in one
    ]
    stored = asked(project, "SELECT * FROM prices WHERE type = 'house' AND bedrooms = 3")
    python = project.model("prices").forecast({"type": "house", "bedrooms": 3}).to_pylist()
    said = CliRunner().invoke(
        tilth, ["predict", "prices", "type=house", "bedrooms=3", "--json", "--project", str(project.root)]
    )
    assert said.exit_code == 0, said.output
    shell = json.loads(said.output)["forecast"]
    for other in (stored, python):
        assert [r["price"] for r in other] == pytest.approx([r["price"] for r in one], rel=1e-9)
    assert [r["price"] for r in shell] == pytest.approx([r["price"] for r in one], rel=1e-9)


def test_the_past_is_forecast_from_what_was_known_then(project: Project) -> None:
    since = house_sales.quarter(KNOWN - 7)
    where = f"t.type = 'house' AND t.bedrooms = 2 AND t.saledate > DATE '{since}'"
    found = asked(
        project, f"SELECT t.saledate, t.ma AS came, m.price FROM sales t JOIN prices m WHERE {where}"
    )
    assert [r["saledate"] for r in found] == [house_sales.quarter(n) for n in range(KNOWN - 6, KNOWN + 4)]
    assert [r["came"] is None for r in found] == [False] * 6 + [True] * 4
    history = project.sql("SELECT * FROM sales WHERE type = 'house' AND bedrooms = 2").arrow()
    model = project.model("prices")._answerer.forecaster
    for first, last in ((0, 4), (4, 6)):
        known = history.filter(pc.less(history.column("saledate"), pa.scalar(found[first]["saledate"])))
        alone = model.forecast(known, alone=True).table
        assert [r["price"] for r in found[first:last]] == pytest.approx(
            alone.column("ma").to_pylist()[: last - first]
        )
    early = project.sql(
        "SELECT m.price FROM sales t JOIN prices m WHERE t.saledate > DATE '2005-01-01' AND t.type = 'house'"
    )
    assert early.rows()
    assert any("too few rows" in t for t in early.told), early.told
    last = asked(
        project,
        "SELECT t.type, t.bedrooms, t.saledate, t.ma AS came, m.price FROM sales t JOIN prices m WHERE t.saledate = LATEST",
    )
    assert {(r["type"], r["saledate"]) for r in last} >= {
        ("house", house_sales.quarter(KNOWN - 1)),
        ("early", house_sales.quarter(19)),
    }
    assert all(r["came"] is not None for r in last)


def test_series_that_go_wrong_harm_no_other(project: Project) -> None:
    found = asked(project, f"{JOINED} WHERE t.saledate > LATEST")
    kinds = {r["type"] for r in found}
    assert kinds == {"house", "unit", "constant", "zero", "early", "gap"}
    assert all(r["price"] == pytest.approx(700) for r in found if r["type"] == "constant")
    assert all(r["price"] == pytest.approx(0) for r in found if r["type"] == "zero")
    assert [r["saledate"] for r in found if r["type"] == "early"] == [
        house_sales.quarter(n) for n in range(20, 24)
    ]
    assert 90 < next(r["price"] for r in found if r["type"] == "gap") < 110
    told = asked(project, "SELECT kind, text FROM tilth.notices WHERE name = 'prices'")
    assert any("short" in t["text"] for t in told)


WRONG = {
    "SELECT m.price FROM prices m WHERE m.type = 'castle'": "knows no such group",
    "SELECT m.price FROM prices m WHERE m.bedrooms = 'two'": "is compared with",
    "SELECT m.price FROM sales t JOIN prices m WHERE t.type = 'castle' AND t.saledate > LATEST": "no row",
    "SELECT m.price FROM sales t JOIN prices m WHERE t.saledate BETWEEN DATE '1990-01-01' AND DATE '1991-01-01'": "enough rows before",
    "SELECT m.price FROM sales t JOIN prices m WHERE t.saledate > DATE '1290-01-01'": "More than 200 forecasts",
    "SELECT m.price FROM sales t JOIN prices m WHERE t.saledate < LATEST": "end at no moment",
    "SELECT m.price FROM prices m WHERE m.saledate > DATE '2019-01-01'": "from rows",
    "SELECT m.price FROM sales t JOIN prices m WHERE t.saledate > LATEST AND t.saledate <= DATE '2090-01-01'": "at most",
    "SELECT m.price FROM sales t JOIN prices m WHERE t.saledate BETWEEN DATE '2019-01-01' AND DATE '2018-01-01'": "earlier one first",
    "EXPLAIN PREDICT prices (type = 'house')": "answers from the rows|forecasts",
}  # fmt: skip


@pytest.mark.parametrize("sql", WRONG)
def test_what_cannot_be_asked_is_one_sentence(project: Project, sql: str) -> None:
    with pytest.raises(TilthError, match=WRONG[sql]):
        project.sql(sql).rows()


def test_other_tools_refuse_what_they_cannot_do_with_it(project: Project) -> None:
    model = project.model("prices")
    with pytest.raises(UnsupportedError, match="rows that came before"):
        model.predict({"type": "house", "bedrooms": 2})
    with pytest.raises(UnsupportedError, match="forecasts"):
        exported(project.work(), "prices", 1, "onnx")
    with pytest.raises(InputError, match="no group column `kind`"):
        model.forecast({"kind": "house"})
    with pytest.raises(InputError, match="is not given"):
        model.forecast({"type": "house"})
    with pytest.warns(ForecastWarning, match="were not judged"):
        assert model.forecast({"type": "house", "bedrooms": 2}, horizon=9).num_rows == 9
    with pytest.raises(InputError, match="at most"):
        model.forecast({"type": "house", "bedrooms": 2}, horizon=99)


def test_a_better_version_wins_at_the_same_cut_offs_and_a_worse_one_is_held_back(project: Project) -> None:
    text = Path(project.root) / "all.sql"
    text.write_text(text.read_text().replace("HORIZON 4\n", "HORIZON 4 USING (members = ['last'])\n"))
    done = project.apply()
    gate = asked(project, "SELECT * FROM tilth.gates ORDER BY id")[-1]
    assert (gate["candidate"], gate["champion"], gate["outcome"]) == (2, 1, "fail"), done
    assert gate["candidate_metric"] > gate["champion_metric"]
    assert asked(project, f"{JOINED} WHERE t.saledate > LATEST LIMIT 1")
    assert project.model("prices").version == 1
    project.sql("PROMOTE MODEL prices VERSION 2 BECAUSE 'to be beaten'")
    assert project.model("prices").version == 2
    text.write_text(
        text.read_text().replace(
            " USING (members = ['last'])", " USING (members = ['smoothing', 'linear', 'drift'])"
        )
    )
    assert not project.apply().refusals
    gate = asked(project, "SELECT * FROM tilth.gates ORDER BY id")[-1]
    assert (gate["candidate"], gate["champion"], gate["outcome"], gate["metric"]) == (3, 2, "pass", "mase")
    assert gate["blocks"] >= 4
    project.sql("ROLLBACK ENVIRONMENT prod")
    assert project.model("prices").version == 2


def test_what_came_is_looked_at_and_a_shift_retrains_it(project: Project) -> None:
    folder = Path(project.root)

    def look() -> Any:
        return watcher.look_now(
            project.work(), "prod", project.clock.now(), project.deployed("prod"), {"prices"}
        )[0]

    assert (look().quality, look().outcomes) == (None, 0)
    write(folder, rows(KNOWN + 3))
    project.sql("REFRESH DATASET sales")
    seen = look()
    (target,) = json.loads(seen.targets)
    assert seen.metric == "mase"
    assert seen.outcomes == 3 * len(house_sales.SERIES)
    assert seen.quality < 1.5
    assert [s["step"] for s in target["steps"]] == [1, 2, 3]
    assert seen.drift < 1.0
    ahead = asked(project, "SELECT min(m.saledate) AS first FROM prices m WHERE m.type = 'unit'")
    assert ahead == [{"first": house_sales.quarter(KNOWN + 3)}], "it goes on from what came"
    shifted = rows(KNOWN + 4)
    new = pc.greater(shifted.column("saledate"), pa.scalar(house_sales.quarter(KNOWN - 1)))
    doubled = pc.if_else(new, pc.multiply(shifted.column("ma"), 2), shifted.column("ma"))
    write(folder, shifted.set_column(shifted.schema.get_field_index("ma"), "ma", doubled))
    project.sql("REFRESH DATASET sales")
    clock: Any = project.clock
    for _ in range(3):
        clock.set(clock.now() + timedelta(days=9))
        watcher.Watcher(project.work(), "prod").look(clock.now(), project.deployed("prod"))
    plan = project.plan()
    assert [(a.name, "less is better" in a.reason) for a in plan.actions if a.name == "prices"] == [
        ("prices", True)
    ]


def test_it_is_described_reported_and_verified(project: Project) -> None:
    described = str(asked(project, "DESCRIBE prices"))
    assert "Forecasts ma, 4 steps ahead for each type, bedrooms" in described
    assert "a seasonal naive's" in described
    html = page(project.report("prices"))
    for part in (
        "What is forecast",
        "Seasons",
        "By step",
        "Members",
        "Series, the worst first",
        'class="fan"',
    ):
        assert part in html
    assert project.verify().audit_rows > 0
    steps = asked(project, "EXPLAIN SELECT m.price FROM sales t JOIN prices m WHERE t.saledate > LATEST")
    assert any(s["filter"] == "time > LATEST" for s in steps)
    assert {
        r["column_name"]
        for r in asked(project, "SELECT column_name FROM tilth.columns WHERE name = 'prices'")
    } >= {"ma"}


def test_its_drills_rehearse_what_they_rehearse_of_other_models(project: Project) -> None:
    drift = project.sql("DRILL MODEL prices (drift)").facts
    assert drift["drift_after"] > 1.0 > drift["drift_before"]
    assert drift["quality_after"] > drift["quality_before"]
    assert drift["fires_after_days"] is not None
    bad = project.sql("DRILL MODEL prices (bad_data)").facts
    assert {m["kind"] for m in bad["mishaps"] if m["column"] is None} == {"scaled", "missing", "repeated"}
    assert project.sql("DRILL MODEL prices (rollback)").facts["ok"]
    lost = project.sql("DRILL MODEL prices (node_loss)").facts
    assert (lost["lost_acknowledged"], lost["acknowledged"] > 50) == (0, True)


def test_over_http_a_group_is_asked_and_one_that_is_not_in_the_data_brings_its_history(
    applied: Path, tmp_path: Path
) -> None:
    shutil.copytree(applied, tmp_path / "p")
    with http_server.up(tmp_path / "p") as server:
        one = server.ask("POST", "/predict/ask", {"type": "house", "bedrooms": 2, "horizon": 2})
        assert (one.status, len(one.json["forecast"])) == (200, 2), one.body
        assert set(one.json["forecast"][0]) == {
            "saledate",
            "type",
            "bedrooms",
            "price",
            "price_confidence",
            "price_lower",
            "price_upper",
        }
        many = server.ask(
            "POST",
            "/predict/ask",
            [{"type": "house", "bedrooms": 2}, {"type": "unit", "bedrooms": 1, "horizon": 1}],
        )
        assert [len(r["forecast"]) for r in many.json["rows"]] == [4, 1]
        history = [{"saledate": str(house_sales.quarter(n)), "ma": 1000 + 10 * n} for n in range(12)]
        new = server.ask(
            "POST", "/predict/ask", {"type": "castle", "bedrooms": 9, "history": history, "horizon": 3}
        )
        assert [r["saledate"] for r in new.json["forecast"]] == [
            str(house_sales.quarter(n)) for n in (12, 13, 14)
        ]
        assert 1100 < new.json["forecast"][0]["price"] < 1180
        for body, says in (
            ({"type": "castle", "bedrooms": 9}, "no group"),
            ({"type": "house"}, "bedrooms"),
            ({"type": "house", "bedrooms": "two"}, "bedrooms"),
            ({"type": "house", "bedrooms": 2, "horizon": 0}, "horizon"),
            ({"type": "house", "bedrooms": 2, "horizon": 1000}, "at most"),
            ({"type": "house", "bedrooms": 2, "nope": 1}, "no `nope`"),
            ({"type": "castle", "bedrooms": 9, "history": []}, "list of objects"),
            ({"type": "castle", "bedrooms": 9, "history": [{"ma": 3}]}, "saledate"),
            (
                {
                    "type": "castle",
                    "bedrooms": 9,
                    "history": [{"saledate": "2019-03-31", "ma": 3, "type": "house"}],
                },
                "is asked for",
            ),
            ({"type": "castle", "bedrooms": 9, "history": [{"saledate": "soon", "ma": 3}]}, "soon"),
        ):
            refused = server.ask("POST", "/predict/ask", body)
            assert (400 <= refused.status < 500, says in refused.error) == (True, True), (body, refused.body)
        api = server.ask("GET", "/openapi.json").json
        assert api["components"]["schemas"]["Row.ask"]["required"] == ["type", "bedrooms"]
    with Project(str(tmp_path / "p")) as made:
        logged = made.sql("SELECT inputs, outputs FROM tilth.predictions").rows()
        assert len(logged) == 4
        assert json.loads(logged[0]["inputs"]) == {"type": "house", "bedrooms": 2, "horizon": 2}


def test_a_model_of_its_own_query_with_two_targets_and_what_is_known_ahead(tmp_path: Path) -> None:
    start = date(2024, 1, 1)
    made = [
        {"day": start + timedelta(days=n), "shop": s, "promo": n % 9 == 0, "sold": 50 + 7 * (n % 7) + 30 * (n % 9 == 0) + s,
         "seen": 500 + 20 * (n % 7), "closed": None}
        for s in (1, 2) for n in range(200)
    ]  # fmt: skip
    ahead = [
        {
            **made[0],
            "day": start + timedelta(days=200 + n),
            "shop": s,
            "promo": n == 3,
            "sold": None,
            "seen": None,
        }
        for s in (1, 2)
        for n in range(7)
    ]
    (tmp_path / "data").mkdir()
    pq.write_table(pa.Table.from_pylist([*made, *ahead]), tmp_path / "data" / "days.parquet")
    (tmp_path / "all.sql").write_text("""
      CREATE SOURCE f ENGINE files WITH (path = 'data');
      CREATE MODEL sells PREDICT sold, seen AS visits FROM (SELECT day, shop, promo, sold, seen FROM f.days WHERE sold IS NOT NULL)
        ORDER BY day GROUP BY shop HORIZON 7 USING (known = ['promo'], members = ['trees', 'seasonal']) OBJECTIVE (metric = 'mae', coverage = 0.8);
    """)
    with Project(str(tmp_path)) as project:
        done = project.apply()
        assert not done.refusals, [d.text for d in done.did]
        found = project.sql(
            "SELECT m.* FROM f.days t JOIN sells m WHERE t.day > LATEST AND t.shop = 1"
        ).rows()
        assert [r["day"] for r in found] == [start + timedelta(days=200 + n) for n in range(7)]
        above = [r["sold"] - 51 - 7 * ((200 + n) % 7) for n, r in enumerate(found)]
        assert [abs(a) < 12 for a in above] == [True] * 3 + [False] + [True] * 3, above
        assert above[3] > 18, "the promotion is known ahead"
        assert all(500 <= r["visits"] <= 630 for r in found)
        assert {r["sold_confidence"] for r in found} == {0.8}
        with pytest.raises(TilthError, match="promo"):
            project.sql("SELECT m.sold FROM sells m WHERE m.shop = 1").rows()
        gate = project.sql("SELECT metric, outcome FROM tilth.gates").rows()
        assert gate == [{"metric": "mae", "outcome": "pass"}]


def open_days(known: int, ahead: int) -> pa.Table:
    """Two shops, closed on Sundays, that sell more on days of a promotion; what is planned is there before what is sold."""
    made = [
        {"day": date(2024, 1, 1) + timedelta(days=n), "shop": shop, "promo": n % 9 < 2,
         "sold": 40 + 5 * (n % 7) + (n * 7) % 5 + 25 * (n % 9 < 2) + shop if n < known else None}
        for shop in (1, 2) for n in range(known + ahead) if n % 7 != 6
    ]  # fmt: skip
    schema = pa.schema({"day": pa.date32(), "shop": pa.int64(), "promo": pa.bool_(), "sold": pa.int64()})
    return pa.Table.from_pylist(made, schema)


def test_plans_are_known_ahead_over_closed_days_and_looked_at_from_the_first_day_on(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    file = tmp_path / "data" / "days.parquet"
    pq.write_table(open_days(200, 20), file)
    (tmp_path / "all.sql").write_text("""
      CREATE SOURCE f ENGINE files WITH (path = 'data');
      CREATE DATASET days KEY (day, shop) AS SELECT * FROM f.days;
      CREATE MODEL sells PREDICT sold FROM days ORDER BY day GROUP BY shop HORIZON 10
        USING (known = ['promo'], gaps = 'zero', members = ['trees', 'seasonal']);
      CREATE ENDPOINT ask FOR MODEL sells;
    """)
    with Project(str(tmp_path)) as project:
        assert not project.apply().refusals
        until = asked(project, "SELECT tuned_until FROM tilth.versions")[0]["tuned_until"]
        assert str(until).startswith("2024-07-18"), (
            "the newest day that something was sold, and not the last plan"
        )
        found = project.sql("SELECT m.* FROM sells m WHERE m.shop = 1")
        assert [r["day"] for r in found.rows()] == [date(2024, 7, 19) + timedelta(days=n) for n in range(10)]
        assert any("have no row between rows" in t for t in found.told), found.told
        past = "SELECT t.day, t.sold AS came, m.sold FROM days t JOIN sells m WHERE t.day > DATE '2024-06-30' AND t.day <= LATEST"
        assert len(asked(project, past)) == 2 * 18
        pq.write_table(open_days(202, 20), file)
        project.sql("REFRESH DATASET days")
        seen = watcher.look_now(
            project.work(), "prod", project.clock.now(), project.deployed("prod"), {"sells"}
        )[0]
        assert seen.outcomes == 2 * 2, "two days came of ten that were forecast"
        pq.write_table(open_days(206, 20), file)
        project.sql("REFRESH DATASET days")
        project.sql("RETRAIN MODEL sells USING (seed = 11)")
        gate = asked(project, "SELECT champion, rows, blocks FROM tilth.gates ORDER BY id")[-1]
        assert gate["champion"] == 1, gate
        assert gate["blocks"] >= 4
