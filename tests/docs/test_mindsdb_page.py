"""The page for who comes from MindsDB: its statements run in its order, on tables that are made up, and answer."""

import random
import re
import sqlite3
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

import house_sales
import tilth
from tilth.kinds import parse, show
from tilth.sql.language import acts as a
from tilth.sql.language.mindsdb import absent, learning
from tilth.sql.language.prefix import TEMPLATES

PAGE = (Path(__file__).parents[2] / "docs" / "coming-from-mindsdb.md").read_text("utf-8")
BLOCKS = re.findall(r"^```sql\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
TEXTS = [t.strip() for block in BLOCKS for t in re.findall(r"(?:\((?:[^()]|\([^()]*\))*\)|[^;(])+;", block)]


def made(path: Path) -> None:
    """MindsDB's sample tables, made up: what rents and churn depend on is known, and some of it is chance."""
    chance = random.Random(11)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(
            "CREATE TABLE home_rentals (number_of_rooms INTEGER, number_of_bathrooms INTEGER, sqft INTEGER, location TEXT,"
            " days_on_market INTEGER, initial_price INTEGER, neighborhood TEXT, rental_price REAL)"
        )
        for _ in range(400):
            rooms, size, days = chance.randint(0, 3), chance.randint(300, 1200), chance.randint(1, 90)
            place = chance.choice(["great", "good", "poor"])
            first = (
                900
                + 2 * size
                + 150 * rooms
                + {"great": 500, "good": 200, "poor": 0}[place]
                + chance.gauss(0, 120)
            )
            rent = first - 4 * days + chance.gauss(0, 60)
            row = (
                rooms,
                1 + rooms // 2,
                size,
                place,
                days,
                round(first),
                chance.choice(["downtown", "thowsand_oaks"]),
                round(rent, 2),
            )
            db.execute("INSERT INTO home_rentals VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        db.execute("CREATE TABLE house_sales (saledate DATE, ma INTEGER, type TEXT, bedrooms INTEGER)")
        sales = [
            (str(r["saledate"]), r["ma"], r["type"], r["bedrooms"]) for r in house_sales.table().to_pylist()
        ]
        db.executemany("INSERT INTO house_sales VALUES (?, ?, ?, ?)", sales)
        db.execute(
            "CREATE TABLE customer_churn (customerID TEXT PRIMARY KEY, SeniorCitizen INTEGER, Partner TEXT, tenure INTEGER,"
            " Contract TEXT, MonthlyCharges REAL, joined_at DATE, Churn TEXT)"
        )
        for i in range(500):
            tenure, contract = (
                chance.randint(0, 72),
                chance.choice(["Month-to-month", "One year", "Two year"]),
            )
            odds = 0.15 + 0.5 * (contract == "Month-to-month") - 0.004 * tenure
            gone = "Yes" if chance.random() < odds else "No"
            joined = (date(2024, 1, 1) - timedelta(days=30 * tenure)).isoformat()
            row = (
                f"{i:04}-X",
                i % 5 == 0,
                chance.choice(["Yes", "No"]),
                tenure,
                contract,
                round(chance.uniform(20, 110), 2),
                joined,
                gone,
            )
            db.execute("INSERT INTO customer_churn VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What each statement of the page answered, in order."""
    folder = tmp_path_factory.mktemp("theirs") / "samples"
    folder.mkdir()
    (folder / "tilth.toml").touch()
    made(folder / "demo.db")
    project = tilth.open(str(folder))
    answers = []
    for text in TEXTS:
        found = project.sql(text)
        rows = found.rows() if found.reader is not None else None
        answers.append((text, rows, found))
    return answers, project


def test_the_statements_of_the_page_are_all_taken() -> None:
    assert [parse(t)[0] for t in TEXTS] == [s for block in BLOCKS for s in parse(block)]
    assert len(TEXTS) > 25


@pytest.mark.parametrize("number", range(len(TEXTS)), ids=[" ".join(t.split())[:50] for t in TEXTS])
def test_an_example_of_the_page_of_mindsdb_answers(done: Any, number: int) -> None:
    text, rows, found = done[0][number]
    assert rows or found.text
    assert not found.refused or text.startswith("FINETUNE")  # which may not be shown to be better


def _answer(done: Any, begins: str) -> Any:
    return next((rows, found) for text, rows, found in done[0] if text.startswith(begins))


def test_what_the_page_says_of_the_answers_is_so(done: Any) -> None:
    models, _ = _answer(done, "SELECT name, status")
    assert (models[0]["STATUS"], models[0]["ACCURACY"] > 0.8) == ("complete", True)
    (price,), _ = _answer(done, "SELECT rental_price, rental_price_explain")
    assert 2200 < price["rental_price"] < 3600
    versions, _ = _answer(done, "SELECT name, version, active")
    assert [
        (v["VERSION"], v["ACTIVE"], "days_on_market < 80" in v["SELECT_DATA_QUERY"]) for v in versions
    ] == [(1, 0, False), (2, 1, True)]
    score, _ = _answer(done, "EVALUATE")
    assert 0.5 < score[0]["balanced_accuracy_score"] < 1
    written, _ = _answer(done, "SELECT predicted, count(*)")
    assert sum(r["customers"] for r in written) == 500
    _, model = _answer(done, "CREATE MODEL mindsdb.home_rentals_model")
    assert any("lightwood" in t for t in model.told)
    _, job = _answer(done, "CREATE JOB")
    assert any("is read as LAST" in t for t in job.told)


def test_the_job_of_the_page_runs_and_writes_each_row_once(done: Any) -> None:
    project = done[1]
    for _ in range(2):
        project.sql("RUN JOB retrain_and_score")
    assert project.sql("SELECT count(*) AS n, count(DISTINCT customerID) AS m FROM results.churn").rows() == [
        {"n": 500, "m": 500}
    ]


def test_the_page_tells_of_what_is_read_otherwise() -> None:
    for word in (
        *(w for w in absent.ABSENT if w not in ("KNOWLEDGE", "RAG")),
        "lightwood",
        "ludwig",
        *list(TEMPLATES)[:2],
        "ignore_features",
    ):
        assert word in PAGE, word
    for option in (*learning.SECONDS[:1], learning.SECONDS[2], learning.LEFT_OUT[2]):
        assert option in PAGE, option


def test_a_statement_of_the_page_is_shown_as_tilths_own() -> None:
    statements = [s for block in BLOCKS for s in parse(block)]
    for s in statements:
        if not isinstance(s, a.Noted):
            assert parse(show(s)) == (s,)
