"""MindsDB's statements on a project of one SQLite database: what is asked, listed, retrained, chosen and evaluated."""

import json
import os
import random
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import tilth
from tilth.core.errors import RightError, TilthError
from tilth.core.principals import Role, token
from tilth.kinds import parse_one, show
from tilth.runtime import secrets as kept
from tilth.runtime.asking.statements import masked

HOME = {
    "sqft": 823, "location": "good", "number_of_rooms": 2, "number_of_bathrooms": 1, "days_on_market": 10, "neighborhood": "b",
}  # fmt: skip


def homes(path: Path, count: int = 300) -> None:
    """A database with the table of MindsDB's tutorial, made up."""
    chance = random.Random(7)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(
            "CREATE TABLE home_rentals (number_of_rooms INTEGER, number_of_bathrooms INTEGER, sqft INTEGER, location TEXT,"
            " days_on_market INTEGER, neighborhood TEXT, rental_price REAL)"
        )
        for _ in range(count):
            rooms, size, place = (
                chance.randint(0, 3),
                chance.randint(300, 1200),
                chance.choice(["great", "good", "poor"]),
            )
            price = (
                1000
                + 2 * size
                + 200 * rooms
                + {"great": 500, "good": 200, "poor": 0}[place]
                + chance.gauss(0, 50)
            )
            db.execute(
                "INSERT INTO home_rentals VALUES (?, ?, ?, ?, ?, ?, ?)",
                (rooms, 1 + rooms // 2, size, place, chance.randint(1, 90), chance.choice("abc"), price),
            )


def asked(inputs: dict[str, Any]) -> str:
    return " AND ".join(f"{k} = {v!r}" for k, v in inputs.items())


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("theirs") / "homes"
    folder.mkdir()
    (folder / "tilth.toml").touch()
    homes(folder / "demo.db")
    made = tilth.open(str(folder))
    made.sql('CREATE DATABASE example_db WITH ENGINE = \'sqlite\', PARAMETERS = {"db_file": "demo.db"}')
    done = made.sql(
        "CREATE PREDICTOR mindsdb.home_rentals_model FROM example_db (SELECT * FROM home_rentals)"
        " PREDICT rental_price USING engine = 'linear', tag = 'first'"
    )
    assert done.told == ["USING tag has no counterpart here, and was passed over"]
    made.sql("RETRAIN mindsdb.home_rentals_model USING seed = 8, active = 1")
    made.sql("CREATE VIEW mindsdb.big FROM example_db (SELECT * FROM home_rentals WHERE sqft > 900)")
    return made


def rows(project: Any, text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = project.sql(text).rows()
    return found


def test_a_prediction_is_the_same_with_the_prefix_and_whatever_the_order(project: Any) -> None:
    back = dict(reversed(HOME.items()))
    texts = [
        f"SELECT rental_price FROM mindsdb.home_rentals_model WHERE {asked(HOME)}",
        f"SELECT rental_price FROM home_rentals_model WHERE {asked(back)}",
        f"SELECT mindsdb.home_rentals_model.rental_price FROM `mindsdb`.home_rentals_model.2 WHERE {asked(HOME)}",
        f"SELECT m.rental_price FROM home_rentals_model.2 AS m WHERE {asked(back)}",
    ]
    (first, *others) = [rows(project, t)[0]["rental_price"] for t in texts]
    assert 2500 < first < 4500
    assert others == [first] * 3


def test_an_answer_has_the_parts_that_mindsdb_gives_it(project: Any) -> None:
    text = "SELECT rental_price AS y, rental_price_lower AS low, rental_price_min, rental_price_max, rental_price_anomaly, rental_price_explain AS why"
    found = rows(project, f"{text} FROM mindsdb.home_rentals_model WHERE {asked(HOME)}")[0]
    why = json.loads(found["why"])
    assert found["low"] == found["rental_price_min"] == why["confidence_lower_bound"] < found["y"]
    assert found["rental_price_max"] == why["confidence_upper_bound"]
    assert (why["predicted_value"], why["anomaly"], why["truth"]) == (found["y"], None, None)
    assert found["rental_price_anomaly"] is None
    joined = rows(
        project,
        "SELECT t.rental_price, m.rental_price_original AS theirs FROM example_db.home_rentals t JOIN mindsdb.home_rentals_model m LIMIT 3",
    )
    assert [r["rental_price"] for r in joined] == [r["theirs"] for r in joined]


def test_many_predictions_may_name_a_version(project: Any) -> None:
    new, old = (
        rows(
            project,
            f"SELECT avg(m.rental_price) AS price FROM example_db.home_rentals AS t JOIN mindsdb.home_rentals_model{v} AS m",
        )
        for v in ("", ".1")
    )
    assert new[0]["price"] == pytest.approx(old[0]["price"], rel=0.01)
    with pytest.raises(TilthError, match="no version 9"):
        rows(project, f"SELECT rental_price FROM mindsdb.home_rentals_model.9 WHERE {asked(HOME)}")


ASKED = {
    "SELECT name, version, active, status, predict FROM mindsdb.models": [("home_rentals_model", 2, 1, "complete", "rental_price")],
    "SELECT status FROM mindsdb.predictors WHERE name = 'home_rentals_model'": [("complete",)],
    "SELECT version, active FROM models_versions ORDER BY version": [(1, 0), (2, 1)],
    "SELECT name, project FROM information_schema.models": [("home_rentals_model", "mindsdb")],
    "SELECT select_data_query, update_status FROM mindsdb.models": [("SELECT * FROM home_rentals", "up_to_date")],
    "SELECT accuracy > 0.9 AS good, training_time > 0 AS took FROM mindsdb.models": [(True, True)],
    "SELECT name, type, engine FROM mindsdb.databases WHERE type <> 'system'": [
        ("mindsdb", "project", None), ("example_db", "data", "sqlite"),
    ],
    "SHOW PROJECTS": [("mindsdb",)],
    "SHOW MODELS FROM mindsdb LIKE 'home%' WHERE status = 'error'": [],
    "SHOW TABLES FROM example_db": [("home_rentals", "table")],
    "SELECT name FROM mindsdb.ml_engines WHERE name IN ('auto', 'linear')": [("auto",), ("linear",)],
    "SELECT name, type, import_success FROM mindsdb.handlers WHERE name IN ('sqlite', 'linear') ORDER BY name": [
        ("linear", "ml", True), ("sqlite", "data", True),
    ],
    "SELECT name, query FROM mindsdb.views": [("big", "(SELECT * FROM example_db.home_rentals WHERE sqft > 900)")],
    "SELECT count(*) AS n FROM mindsdb.jobs": [(0,)],
    "SELECT count(*) AS n FROM mindsdb.triggers": [(0,)],
    "SELECT min(sqft) > 900 AS big FROM mindsdb.big": [(True,)],
}  # fmt: skip


@pytest.mark.parametrize("text", ASKED)
def test_a_table_of_mindsdb_says_what_there_is(project: Any, text: str) -> None:
    assert [tuple(r.values()) for r in rows(project, text)] == ASKED[text]


def test_a_description_has_features_and_versions(project: Any) -> None:
    features = rows(project, "DESCRIBE MODEL mindsdb.home_rentals_model.features")
    assert {f["COLUMN"]: f["ROLE"] for f in features} == {
        "rental_price": "target",
        **dict.fromkeys(HOME, "feature"),
    }
    assert [r["VERSION"] for r in rows(project, "DESCRIBE mindsdb.home_rentals_model.1")] == [1]
    assert rows(project, "DESCRIBE PREDICTOR home_rentals_model.info")[0]["VERSION"] == 2
    for wrong in ("DESCRIBE home_rentals_model.7", "DESCRIBE example_db.3", "DESCRIBE nobody.features"):
        with pytest.raises(TilthError):
            project.sql(wrong)


@pytest.mark.parametrize(
    "metric", ["mean_absolute_error", "r2_score", "neg_root_mean_squared_error", "explained_variance_score"]
)
def test_a_metric_is_that_of_scikit_learn(project: Any, metric: str) -> None:
    from sklearn import metrics

    query = "SELECT t.rental_price AS actual, m.rental_price AS prediction FROM example_db.home_rentals t JOIN mindsdb.home_rentals_model m"
    table = project.sql(query).arrow()
    plain = metric.removeprefix("neg_")
    wanted = getattr(metrics, plain)(table["actual"].to_numpy(), table["prediction"].to_numpy())
    assert rows(project, f"EVALUATE {metric} FROM ({query})") == [{metric: pytest.approx(wanted)}]


CLASSES = "VALUES ('a', 'a', 0.2), ('b', 'a', 0.4), ('b', 'b', 0.9), ('a', 'b', 0.6), (NULL, 'a', 0.1)"
OF_CLASSES = {
    "accuracy_score": ("said", 0.5),
    "balanced_accuracy_score": ("said", 0.5),
    "f1_score": ("said", 0.5),
    "roc_auc_score": ("score", 0.75),
}


@pytest.mark.parametrize("metric", OF_CLASSES)
def test_a_metric_of_classes_leaves_out_what_is_not_known(project: Any, metric: str) -> None:
    column, wanted = OF_CLASSES[metric]
    done = project.sql(
        f"EVALUATE {metric} FROM (SELECT truth AS actual, {column} AS prediction FROM ({CLASSES}) t(truth, said, score))"
    )
    assert done.rows() == [{metric: pytest.approx(wanted)}]
    assert any("1 of 5 rows" in t for t in done.told)


REFUSED = {
    "EVALUATE loveliness FROM (SELECT 1 AS actual, 1 AS prediction)": "no metric",
    "EVALUATE mae FROM (SELECT 1 AS actual, 1 AS said)": "actual and prediction",
    "EVALUATE mae FROM (SELECT 'a' AS actual, 'b' AS prediction)": "compares numbers",
    "EVALUATE roc_auc FROM (SELECT 'a' AS actual, 'b' AS prediction)": "compares probabilities",
    "EVALUATE mae FROM (SELECT 1 AS actual, 1 AS prediction WHERE false)": "at least one",
    "CREATE MODEL mindsdb.f FROM example_db (SELECT * FROM home_rentals) PREDICT rental_price WINDOW 3 HORIZON 2": "which column is the time",
    'CREATE DATABASE m WITH ENGINE = \'mongodb\', PARAMETERS = {"host": "h"}': "no engine of sources",
    "SELECT * FROM mindsdb.nobody": "nobody",
    "SHOW TABLES FROM nobody": "no source",
    "SET active = home_rentals_model.9": "no version 9",
    "SELECT * FROM mindsdb.models.x": "models",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_be_is_one_sentence(project: Any, text: str) -> None:
    with pytest.raises(TilthError, match=REFUSED[text]):
        project.sql(text).rows()


NATIVE = {
    "SELECT * FROM example_db (SELECT location, count(*) AS n FROM home_rentals GROUP BY location ORDER BY 1)": 3,
    "SELECT t.sqft, m.rental_price FROM example_db (SELECT * FROM home_rentals WHERE sqft < 400 LIMIT 2) AS t JOIN mindsdb.home_rentals_model m": 2,
    "SELECT a.x, b.y FROM example_db (SELECT 1 AS x) a, example_db (SELECT 2 AS y UNION SELECT 3) AS b": 2,
    "WITH c AS (SELECT * FROM example_db (SELECT printf('%d', 5) AS x)) SELECT x FROM c": 1,
    "SELECT 'FROM example_db (SELECT 1)' AS text": 1,
}


@pytest.mark.parametrize("text", NATIVE)
def test_a_source_answers_a_query_of_its_own_within_another(project: Any, text: str) -> None:
    assert len(rows(project, text)) == NATIVE[text]


def test_who_may_only_read_asks_no_source_in_its_own_language(project: Any) -> None:
    reader = project.session(by=token("r", Role.READER))
    assert reader.run("SELECT count(*) AS n FROM example_db.home_rentals").rows()
    for text in (
        "SELECT * FROM example_db (SELECT 1 AS a)",
        "EVALUATE mae FROM (SELECT * FROM example_db (SELECT 1 AS actual, 2 AS prediction))",
    ):
        with pytest.raises(RightError, match="own language"):
            reader.run(text)


def test_rows_that_are_there_are_changed_and_none_is_added(tmp_path: Path) -> None:
    (tmp_path / "tilth.toml").touch()
    project = tilth.open(str(tmp_path))
    project.sql("CREATE DATABASE out ENGINE = 'sqlite', PARAMETERS = {'db_file': 'out.db', 'writable': true}")
    project.sql(
        "CREATE TABLE out.t (SELECT 1 AS id, 'a' AS b, 1.5 AS c UNION ALL SELECT 2, 'b', 2.5 UNION ALL SELECT 2, 'c', 3.5)"
    )
    given = "FROM (SELECT {} AS id, 'new' AS z UNION ALL SELECT 9, 'none') AS df WHERE t.id = df.id"
    project.sql(f"UPDATE out.t SET b = df.z {given.format(1)}")
    assert [tuple(r.values()) for r in rows(project, "SELECT id, b, c FROM out.t ORDER BY c")] == [
        (1, "new", 1.5),
        (2, "b", 2.5),
        (2, "c", 3.5),
    ]
    for wrong in (
        f"UPDATE out.t SET b = df.z {given.format(2)}",
        f"UPDATE out.t SET nope = df.z {given.format(1)}",
        f"UPDATE out.u SET b = df.z {given.format(1)}",
    ):
        with pytest.raises(TilthError):
            project.sql(wrong)
    assert len(rows(project, "SELECT * FROM out.t WHERE b = 'new'")) == 1


def test_a_version_is_chosen_and_chosen_back(project: Any) -> None:
    for text, wanted in (
        ("SET active = mindsdb.home_rentals_model.1", 1),
        (
            "UPDATE mindsdb.models_versions SET active = 1 WHERE name = 'home_rentals_model' AND version = 2",
            2,
        ),
    ):
        project.sql(text)
        assert rows(project, "SELECT version FROM mindsdb.models") == [{"VERSION": wanted}]


def test_other_rows_and_active_are_what_they_say(tmp_path: Path) -> None:
    (tmp_path / "tilth.toml").touch()
    homes(tmp_path / "demo.db")
    project = tilth.open(str(tmp_path))
    project.sql("CREATE DATABASE db ENGINE = 'sqlite', PARAMETERS = {'db_file': 'demo.db'}")
    project.sql(
        "CREATE MODEL m FROM db (SELECT * FROM home_rentals) PREDICT rental_price USING engine = 'linear'"
    )

    def active() -> list[Any]:
        return [r["VERSION"] for r in rows(project, "SELECT version FROM mindsdb.models")]

    waits = project.sql("RETRAIN mindsdb.m USING seed = 8, active = 0")
    assert (waits.refused, active()) == (True, [1])
    other = "RETRAIN mindsdb.m FROM db (SELECT * FROM home_rentals WHERE sqft < 500)"
    refused = project.sql(other)
    assert (refused.refused, active()) == (True, [1])
    assert any("own rows" in t and "active = 1" in t for t in refused.told)
    taken = project.sql(f"{other} USING active = 1, seed = 9")
    assert (taken.refused, active()) == (False, [4])
    assert any("from now on" in t for t in taken.told)
    assert "sqft < 500" in rows(project, "SELECT select_data_query AS q FROM mindsdb.models")[0]["q"]
    tuned = project.sql("FINETUNE mindsdb.m FROM db (SELECT * FROM home_rentals)")
    assert any("from these rows alone" in t for t in tuned.told)
    assert active() == [5]
    back = project.sql("SET active = mindsdb.m.1")
    assert any("as it was" in t for t in back.told)
    assert active() == [1]
    queries = rows(
        project,
        "SELECT version, select_data_query AS q FROM mindsdb.models_versions WHERE version IN (1, 4) ORDER BY version",
    )
    assert ["500" in r["q"] for r in queries] == [False, True]


def test_a_typed_password_is_kept_in_a_file_and_none_in_the_projects(tmp_path: Path) -> None:
    (tmp_path / "tilth.toml").touch()
    project = tilth.open(str(tmp_path))
    text = "CREATE DATABASE d WITH ENGINE = '{}', PARAMETERS = {{'path': '.', 'host': 'h', 'database': 'd', 'password': 'geheim'}}"
    secrets = tmp_path / ".tilth" / "secrets"
    with pytest.raises(TilthError):  # nobody answers there
        project.sql(
            "CREATE DATABASE d ENGINE = 'postgres', PARAMETERS = {'host': '127.0.0.1', 'port': '1', 'database': 'd', 'password': 'geheim'}"
        )
    assert list(secrets.iterdir()) == []
    first, second = (
        kept.keep(str(tmp_path), "d.password", "geheim"),
        kept.keep(str(tmp_path), "d.password", "neu"),
    )
    assert (first, second) == ("file:.tilth/secrets/d.password", "file:.tilth/secrets/d.password.2")
    assert [(p.read_text(), stat.S_IMODE(os.stat(p).st_mode)) for p in sorted(secrets.iterdir())] == [
        ("geheim", 0o600),
        ("neu", 0o600),
    ]
    project.sql("CREATE DATABASE lite ENGINE = 'sqlite', PARAMETERS = {'db_file': 'x.db', 'writable': true}")
    again = "CREATE DATABASE IF NOT EXISTS lite ENGINE = 'postgres', PARAMETERS = {'host': 'h', 'database': 'd', 'password': 'geheim'}"
    assert project.sql(again).text.endswith("is there already.")
    assert len(list(secrets.iterdir())) == 2
    assert "geheim" not in masked(show(parse_one(again)))
    (tmp_path / "all.sql").write_text(text.format("postgres"))
    with pytest.raises(TilthError, match="holds a secret") as caught:
        project.apply()
    assert "geheim" not in str(caught.value)


def test_what_a_file_says_in_mindsdbs_words_is_planned_with_what_differs(tmp_path: Path) -> None:
    (tmp_path / "all.sql").write_text(
        "CREATE DATABASE db ENGINE = 'sqlite', PARAMETERS = {'db_file': 'demo.db', 'timeout': 3};\n"
        "CREATE PREDICTOR mindsdb.m FROM db (SELECT * FROM home_rentals) PREDICT rental_price USING engine = 'lightwood', time_aim = 9;\n"
    )
    homes(tmp_path / "demo.db")
    project = tilth.open(str(tmp_path))
    words = project.sql("PLAN").text
    assert "PARAMETERS timeout has no counterpart" in words
    assert "engine = 'lightwood' is MindsDB's" in words
    project.sql("APPLY")
    assert "lightwood" not in project.sql("PLAN").text
    (tmp_path / "more.sql").write_text("EVALUATE mae FROM (SELECT 1 AS actual, 1 AS prediction);")
    with pytest.raises(TilthError, match="only declare"):
        project.sql("PLAN")


def test_a_model_reads_files_by_a_query_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "tilth.toml").touch()
    (tmp_path / "data").mkdir()
    lines = [f"{i * 7 % 50},{i % 7 * 10},{i * 7 % 50 + i % 7 * 10 + i * 13 % 11}" for i in range(200)]
    (tmp_path / "data" / "t.csv").write_text("\n".join(["a,b,y", *lines]))
    (tmp_path / "data" / "u.csv").write_text(
        "\n".join(["a,y", *(f"{i},{3 * i + i % 7}" for i in range(200))])
    )
    project = tilth.open(str(tmp_path))
    project.sql("CREATE DATABASE files ENGINE = 'files', PARAMETERS = {'path': 'data'}")
    project.sql(
        "CREATE MODEL mindsdb.m FROM files (SELECT a, b, y FROM t WHERE a < 40) PREDICT y USING engine = 'linear'"
    )
    assert rows(project, "SELECT rows FROM tilth.models") == [{"rows": 160}]
    assert len(rows(project, "SELECT x.a FROM files (SELECT a FROM t WHERE a = 0 LIMIT 3) AS x")) == 3
    assert rows(project, "SELECT y FROM mindsdb.m WHERE a = 30 AND b = 20")[0]["y"] == pytest.approx(
        55, abs=5
    )
    project.sql("CREATE MODEL told FROM files (SELECT a, y FROM u) PREDICT y USING engine = 'linear'")
    held = rows(project, "SELECT status, active, error FROM mindsdb.models WHERE name = 'told'")[0]
    assert (held["STATUS"], held["ACTIVE"]) == ("error", 0)
    assert "held" in held["ERROR"]
    project.sql("DROP MODEL mindsdb.m")
    assert rows(project, "SELECT name FROM mindsdb.models WHERE name = 'm'") == []
