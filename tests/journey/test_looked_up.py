"""LOOK UP: requests completed by the newest row of a dataset, at every door of an endpoint, from the snapshot that is deployed."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest

import tilth
from http_server import Up, up, wait
from tilth.app.project import Project
from tilth.core.errors import TilthError

DECLARED = """
CREATE SOURCE ops ENGINE sqlite WITH (path = 'ops.db');
CREATE DATASET customers KEY (customer_id) AS SELECT * FROM ops.customers;
CREATE DATASET days KEY (customer_id, day) EVENT TIME day KNOWN AT loaded AS
  SELECT customer_id, CAST(day AS TIMESTAMP) AS day, CAST(loaded AS TIMESTAMP) AS loaded, tier, spend FROM ops.days;
CREATE DATASET orders KEY (id) EVENT TIME at AS
  SELECT o.id, CAST(o.at AS TIMESTAMP) AS at, o.amount, c.tier, c.spend, o.back
  FROM ops.orders o JOIN ops.customers c ON c.customer_id = o.customer_id;
CREATE MODEL back PREDICT back FROM orders FEATURES (* EXCEPT (at)) USING (engine = 'linear', time_limit = '10 s');
CREATE ENDPOINT back_api FOR MODEL back LOOK UP customers (customer_id);
CREATE ENDPOINT open_api FOR MODEL back LOOK UP customers (customer_id) ELSE GAPS;
CREATE ENDPOINT days_api FOR MODEL back LOOK UP days (customer_id) ELSE GAPS;
"""
TIERS = ("gold", "silver", "none")


def filled(folder: Path) -> None:
    """300 customers, with two of an odd kind, and 600 orders; of customer 1 a history that is corrected late."""
    random = Random(1)
    people = [(n, TIERS[n % 3], round(random.uniform(0, 100), 2)) for n in range(300)]
    orders = []
    for n in range(600):
        who = random.choice(people)
        amount = round(random.uniform(1, 50), 2)
        odds = 0.1 + 0.3 * (who[1] == "none") + who[2] / 250
        at = f"2024-0{1 + n // 100}-{1 + n % 28:02d} 10:00:00"
        orders.append((n, who[0], at, amount, int(random.random() < odds)))
    days = [
        (1, "2024-01-01", "2024-01-02", "gold", 1.0),
        (1, "2024-02-01", "2024-02-02", "none", 90.0),
        (1, "2024-01-01", "2024-03-01", "silver", 2.0),  # a late correction of what is no more the newest
        (1, "2024-02-01", "2999-01-01", "gold", 3.0),  # not known yet
        (1, "2999-01-01", "2024-02-02", "gold", 4.0),  # not happened yet
        (2, "2024-02-01", "2999-01-01", "gold", 5.0),
    ]
    days = [(*d[:1], d[1] if n != 2 else "2024-01-01 00:00:01", *d[2:]) for n, d in enumerate(days)]
    days[3] = (1, "2024-02-01 00:00:01", *days[3][2:])
    with closing(sqlite3.connect(folder / "ops.db")) as db, db:
        db.execute("CREATE TABLE customers (customer_id INTEGER, tier TEXT, spend REAL)")
        db.execute(
            "CREATE TABLE orders (id INTEGER, customer_id INTEGER, at TEXT, amount REAL, back BOOLEAN)"
        )
        db.execute("CREATE TABLE days (customer_id INTEGER, day TEXT, loaded TEXT, tier TEXT, spend REAL)")
        db.executemany("INSERT INTO customers VALUES (?, ?, ?)", people)
        db.executemany("INSERT INTO orders VALUES (?, ?, ?, ?, ?)", orders)
        db.executemany("INSERT INTO days VALUES (?, ?, ?, ?, ?)", days)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("looked") / "shop"
    made.mkdir()
    filled(made)
    (made / "all.sql").write_text(DECLARED)
    with tilth.open(made) as project:
        done = project.apply()
        assert not done.refusals, done.refusals
    return made


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Up]:
    with up(folder) as found:
        yield found


@pytest.fixture
def project(folder: Path) -> Iterator[Project]:
    with tilth.open(folder) as found:
        yield found


def customer(number: int) -> dict[str, Any]:
    random = Random(1)
    people = [(TIERS[n % 3], round(random.uniform(0, 100), 2)) for n in range(300)]
    return dict(zip(("tier", "spend"), people[number], strict=True))


def plain(found: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in found.items() if k not in ("id", "version", "digest")}


def test_a_request_is_completed_at_every_door_and_logged_as_it_was_answered(server: Up) -> None:
    whole = {"amount": 12.5, **customer(7)}
    asked = {"amount": 12.5, "customer_id": 7}
    expected = server.predict(whole, "/predict/back_api").json
    assert plain(server.predict(asked, "/predict/back_api").json) == plain(expected)
    many = server.predict([asked, whole], "/predict/back_api").json
    assert "error" not in many, many
    assert [plain(r) for r in many["rows"]] == [plain(expected)] * 2
    named = server.predict({"rows": [asked], "outputs": ["back_probability"]}, "/predict/back_api").json
    assert named["rows"] == [{"back_probability": expected["back_probability"]}]
    tensors = [
        {"name": "amount", "shape": [1], "datatype": "FP64", "data": [12.5]},
        {"name": "customer_id", "shape": [1], "datatype": "INT64", "data": [7]},
    ]
    found = server.ask("POST", "/v2/models/back_api/infer", {"inputs": tensors}).json
    outputs = {o["name"]: o["data"][0] for o in found["outputs"]}
    assert outputs["back_probability"] == expected["back_probability"]
    inputs = [r["inputs"] for r in server.records() if r["endpoint"] == "back_api"]
    assert [{k: i[k] for k in whole} for i in inputs] == [whole] * len(inputs)
    assert len(inputs) == 6


def test_what_the_request_gives_wins_also_a_null(server: Up) -> None:
    mine = server.predict({"amount": 3, "customer_id": 7, "tier": "none"}, "/predict/back_api")
    whole = server.predict({"amount": 3, **customer(7), "tier": "none"}, "/predict/back_api")
    assert plain(mine.json) == plain(whole.json)
    empty = server.predict({"amount": 3, "customer_id": 7, "tier": None}, "/predict/back_api").json
    assert "tier" in empty["notices"][0]


REFUSED = [
    ({"amount": 3}, "Missing: `tier`, `spend`, or `customer_id`, by which `back_api` looks them up"),
    ({"amount": 3, "customer_id": 900}, "`customers` has no row of customer_id 900"),
    ({"amount": 3, "customer_id": None}, "`customers` has no row of customer_id null"),
    ({"amount": 3, "customer_id": [7]}, "`customer_id`, by which rows are looked up, must be a whole number"),
    ({"amount": 3, "customer_id": "7"}, 'must be a whole number. "7" was given'),
    ({"amount": 3, "customer_id": 7.5}, "must be a whole number"),
    ({"amount": 3, "customer_id": True}, "must be a whole number"),
    ({"amount": 3, "customer_id": 2**70}, "must be a whole number"),
    ({"customer_id": 7}, "Missing: `amount`"),
    ({"amount": 3, "customer_id": 7, "colour": 1}, "colour"),
    (b'{"amount": 3, "customer_id": 7, "customer_id": 8}', "`customer_id` is given twice"),
    (b'{"amount": 3, "customer_id": 7', "not JSON"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "said"), REFUSED)
def test_what_cannot_be_completed_is_refused(server: Up, body: Any, said: str) -> None:
    found = server.predict(body, "/predict/back_api")
    assert found.status == 422
    assert said in found.error


def test_a_key_that_is_not_there_is_answered_with_gaps_where_it_may(server: Up) -> None:
    told = "customers has no row of customer_id 900: tier, spend counted as gaps"
    asked = {"amount": 3, "customer_id": 900}
    [*others, last] = server.predict(asked, "/predict/open_api").json["notices"]
    assert last == told
    assert others
    [row] = server.predict([asked], "/predict/open_api").json["rows"]
    assert row["notices"][-1] == told
    assert "by which `open_api`" in server.predict({"amount": 3}, "/predict/open_api").error


def test_of_a_history_the_newest_row_that_is_known_by_now_is_looked_up(server: Up) -> None:
    whole = server.predict({"amount": 3, "tier": "none", "spend": 90.0}, "/predict/days_api").json
    assert plain(server.predict({"amount": 3, "customer_id": 1}, "/predict/days_api").json) == plain(whole)
    nobody = server.predict({"amount": 3, "customer_id": 2}, "/predict/days_api").json
    assert "days has no row of customer_id 2" in nobody["notices"][-1]


def test_what_may_be_left_out_is_said_where_people_look(server: Up, project: Project, capsys: Any) -> None:
    facts = project.sql("DESCRIBE ENDPOINT back_api").facts
    assert (facts["look_up"]["columns"], facts["look_up"]["key"]) == (["tier", "spend"], ["customer_id"])
    assert set(facts["body"]) == {"amount", "customer_id"}
    assert "customer_id" in facts["example"]["curl"]
    assert "customer_id" not in facts["example"]["sql"]
    row = server.ask("GET", "/openapi.json").json["components"]["schemas"]["Row.back_api"]
    assert (row["required"], set(row["examples"][0])) == (["amount"], {"amount", "customer_id"})
    assert row["properties"]["tier"]["description"].startswith("may be left out where customer_id is given")
    assert server.predict(row["examples"][0], "/predict/back_api").status == 200
    names = {i["name"] for i in server.ask("GET", "/v2/models/back_api").json["inputs"]}
    assert names == {"amount", "tier", "spend", "id", "at", "customer_id"}


def test_explain_predict_says_what_was_looked_up_and_how_old_it_is(project: Project) -> None:
    found = project.sql("EXPLAIN PREDICT back_api (amount = 3, customer_id = 7)")
    looked = found.facts["looked_up"]
    assert (looked["found"], looked["dataset"], looked["key"]) == (
        customer(7),
        "customers",
        {"customer_id": 7},
    )
    snapshot = project.sql("SELECT snapshot FROM tilth.datasets WHERE name = 'customers'").rows()[0][
        "snapshot"
    ]
    assert looked["snapshot"] == snapshot
    assert 0 <= looked["age_seconds"] < 3600
    assert "tier, spend looked up in customers by customer_id 7: snapshot" in found.text
    gone = project.sql("EXPLAIN PREDICT open_api (amount = 3, customer_id = 900)")
    assert "customers has no row of customer_id 900" in gone.text
    with pytest.raises(TilthError, match="has no row"):
        project.sql("EXPLAIN PREDICT back_api (amount = 3, customer_id = 900)")


def test_a_new_snapshot_is_swapped_in_and_said_without_a_failed_request(server: Up, project: Project) -> None:
    def served() -> set[str]:
        rows = project.sql("SELECT looked_up FROM tilth.nodes").rows()
        return {one["snapshot"] for row in rows for one in json.loads(row["looked_up"])}

    before, asked = served(), {"amount": 12.5, "customer_id": 7}
    old = plain(server.predict(asked, "/predict/back_api").json)
    with closing(sqlite3.connect(Path(project.root) / "ops.db")) as db, db:
        db.execute("UPDATE customers SET tier = 'none', spend = 99.0 WHERE customer_id = 7")
    project.sql("REFRESH DATASET customers")
    statuses = []

    def moved() -> bool:
        found = server.predict(asked, "/predict/back_api")
        statuses.append(found.status)
        return plain(found.json) != old

    wait(moved)
    assert set(statuses) == {200}
    new = server.predict({"amount": 12.5, "tier": "none", "spend": 99.0}, "/predict/back_api")
    assert plain(server.predict(asked, "/predict/back_api").json) == plain(new.json)
    wait(lambda: served() != before)
    assert len(list(Path(project.root, ".tilth/lookups").iterdir())) == 2  # of two datasets; what was is gone
    project.gc(keep=1)
    assert server.predict(asked, "/predict/back_api").status == 200


def test_a_store_that_rots_is_an_error_and_then_made_again(folder: Path, server: Up) -> None:
    assert server.predict({"amount": 1, "customer_id": 8}, "/predict/back_api").status == 200
    for path in (folder / ".tilth/lookups").iterdir():
        path.write_bytes(path.read_bytes().replace(b'"tier"', b'"tire"'))
    asked, seen = {"amount": 12.5, "customer_id": 8}, []
    with up(folder) as other:

        def well() -> bool:
            seen.append(other.predict(asked, "/predict/back_api").status)
            return seen[-1] == 200

        wait(well)
        whole = other.predict({"amount": 12.5, **customer(8)}, "/predict/back_api").json
        assert plain(other.predict(asked, "/predict/back_api").json) == plain(whole)
    assert seen[0] == 507


def test_who_is_forgotten_is_looked_up_no_more(server: Up, project: Project) -> None:
    assert server.predict({"amount": 3, "customer_id": 11}, "/predict/back_api").status == 200
    done = project.sql("FORGET FROM customers WHERE customer_id = 11")
    assert "the prediction log of back_api, open_api: inputs that were looked up in customers" in str(
        done.facts
    )
    wait(lambda: server.predict({"amount": 3, "customer_id": 11}, "/predict/back_api").status == 422)
    kept = b"".join(p.read_bytes() for p in Path(project.root, ".tilth/lookups").iterdir())
    assert str(customer(11)["spend"]).encode() not in kept


def test_what_was_logged_is_answered_the_same_again(project: Project) -> None:
    found = project.sql(
        "SELECT inputs, score FROM tilth.predictions WHERE endpoint = 'back_api' LIMIT 20"
    ).rows()
    assert found
    with tilth.open(project.root) as again:
        model = again.model("back")
        for row in found:
            given = {k: v for k, v in json.loads(row["inputs"]).items() if k not in ("id", "at")}
            if None in given.values():
                continue
            assert model.predict(given)["back_probability"] == pytest.approx(row["score"], abs=1e-12)


DECLARED_WRONG = [
    ("LOOK UP customers (customer_id)", "LOOK UP nobody (customer_id)", "no dataset `nobody`"),
    ("LOOK UP customers (customer_id)", "LOOK UP customers (tier)", "by `tier`, which is not in its KEY"),
    ("LOOK UP customers (customer_id)", "LOOK UP customers (customer_id, customer_id)", "twice"),
    ("EVENT TIME day KNOWN AT loaded", "", "several rows of one customer_id, and no EVENT TIME"),
    ("AS SELECT * FROM ops.customers", "AS SELECT customer_id, 1 AS other FROM ops.customers", "no input of model `back`"),
    ("AS SELECT * FROM ops.customers", "AS SELECT customer_id, tier, 'x' AS spend FROM ops.customers", "`spend` is of type"),
    ("AS SELECT * FROM ops.customers", "AS SELECT customer_id::DOUBLE AS customer_id, tier FROM ops.customers", "of type float"),
    ("KEY (customer_id) AS", "AS", "Declare it: CREATE OR REPLACE DATASET customers KEY (customer_id)"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "said"), DECLARED_WRONG)
def test_what_cannot_be_looked_up_is_refused_before_anything_runs(
    project: Project, tmp_path: Path, old: str, new: str, said: str
) -> None:
    (tmp_path / "ops.db").write_bytes(Path(project.root, "ops.db").read_bytes())
    (tmp_path / "all.sql").write_text(DECLARED.replace(old, new, 1))
    with tilth.open(tmp_path) as other, pytest.raises(TilthError) as caught:
        other.apply()
    assert said in f"{caught.value} {caught.value.hint}"


def test_a_dataset_that_is_looked_up_is_not_dropped(project: Project) -> None:
    with pytest.raises(TilthError, match="back_api"):
        project.sql("DROP DATASET customers")
