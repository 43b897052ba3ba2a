"""CREATE TABLE and INSERT INTO over a real project: who may write what where, what is logged, watched and planned."""

import json
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import returns
import servers
from tilth.app.project import Project
from tilth.core.errors import DataError, ProjectError, RightError, TilthError, UnknownNameError
from tilth.core.principals import Role, person, token
from tilth.core.time import show_instant
from tilth.ports.clock import ManualClock
from tilth.runtime.record import messages, writes
from tilth.runtime.showing.next_steps import next_steps
from tilth.runtime.watching.watcher import Watcher, served

WRITABLE = """
CREATE SOURCE results ENGINE files WITH (path = 'results', writable = true);
CREATE SOURCE crm ENGINE sqlite WITH (path = 'crm.db', writable = true);
"""
N = 11_999  # orders that are not quarantined
SCORES = "SELECT o.id, o.placed, o.shop, m.returned, m.returned_probability AS p FROM orders o JOIN returns m"


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = returns.make(tmp_path_factory.mktemp("writing") / "shop")
    (folder / "writable.sql").write_text(WRITABLE)
    project, _ = returns.opened(folder)
    assert not project.apply().refusals
    project.close()
    return folder


@pytest.fixture
def shop(applied: Path, tmp_path: Path) -> Iterator[tuple[Project, ManualClock]]:
    shutil.copytree(applied, tmp_path / "shop")
    made, clock = returns.opened(tmp_path / "shop")
    yield made, clock
    made.close()


def one(project: Project, sql: str) -> dict[str, Any]:
    (row,) = project.sql(sql).rows()
    return row


@pytest.mark.parametrize("source", ["results", "crm"])
def test_a_batch_is_written_once_logged_and_told(shop: tuple[Project, ManualClock], source: str) -> None:
    project, _ = shop
    done = project.sql(f"CREATE TABLE {source}.scores KEY (id) AS {SCORES}")
    rows = N
    assert done.facts["rows"] == rows
    assert done.facts["predictions"] == [{"model": "returns", "version": 1, "rows": rows, "logged": rows}]
    assert done.text.splitlines()[0] == f"{source}.scores: 11,999 rows written."
    same = one(
        project,
        f"SELECT count(*) AS n, sum((s.p <> m.returned_probability)::INT) AS odd FROM {source}.scores s JOIN orders o ON o.id = s.id JOIN returns m ON m.price = o.price AND m.shop = o.shop AND m.placed = o.placed",
    )
    assert same == {"n": rows, "odd": 0}
    again = project.sql(f"INSERT INTO {source}.scores KEY (id) {SCORES} WHERE o.shop = 'a'")
    assert again.facts["changed"] == again.facts["rows"] > 0
    assert one(project, f"SELECT count(*) AS n FROM {source}.scores")["n"] == rows


def test_what_is_logged_is_what_the_model_was_asked_and_said(shop: tuple[Project, ManualClock]) -> None:
    project, _ = shop
    project.sql(f"CREATE TABLE results.scores KEY (id) AS {SCORES} WHERE o.id < 50")
    logged = project.sql("SELECT * FROM tilth.predictions WHERE door = 'batch' ORDER BY id").rows()
    assert {(r["endpoint"], r["model"], r["version"], r["environment"], r["role"]) for r in logged} == {
        ("", "returns", 1, "prod", "batch")
    }
    asked = {
        r["id"]: r
        for r in project.sql(
            "SELECT o.*, m.returned_probability AS p FROM orders o JOIN returns m WHERE o.id < 50"
        ).rows()
    }
    assert len(logged) == len(asked) == 50
    for row in logged:
        inputs, outputs = json.loads(row["inputs"]), json.loads(row["outputs"])
        truth = asked[inputs["id"]]  # the key goes along, for OUTCOMES
        assert inputs["price"] == truth["price"]
        assert inputs["shop"] == truth["shop"]
        assert inputs["placed"] == truth["placed"].isoformat()
        assert outputs["returned_probability"] == row["score"] == truth["p"]


@pytest.mark.parametrize(
    ("how", "logged"),
    [("", 100), (" WITH (log = 'all')", N), (" WITH (log = 'none')", 0)],
)
def test_how_many_are_logged(
    shop: tuple[Project, ManualClock], monkeypatch: pytest.MonkeyPatch, how: str, logged: int
) -> None:
    monkeypatch.setattr("tilth.runtime.asking.batches.MOST", 100)
    project, _ = shop
    done = project.sql(f"CREATE TABLE results.scores{how} AS {SCORES}")
    assert done.facts["predictions"][0] == {
        "model": "returns",
        "version": 1,
        "rows": N,
        "logged": logged,
    }
    kept = project.sql("SELECT inputs FROM tilth.predictions").rows()
    assert len(kept) == logged
    if logged == 100:  # evenly chosen: neither the first ones nor of one day
        days = {json.loads(r["inputs"])["placed"][:10] for r in kept}
        assert len(days) > 30


def test_drift_and_quality_see_a_batch(shop: tuple[Project, ManualClock]) -> None:
    project, clock = shop
    day = returns.HISTORY
    for shifted in range(day, day + 7):
        returns.add(Path(project.root), shifted, shift=2.0)
    clock.set(returns.at(day + 7))
    project.sql("REFRESH DATASET orders")
    project.sql(f"CREATE TABLE results.scores AS {SCORES} WHERE o.id >= {day * returns.A_DAY}")
    (look,) = project.sql("LOOK AT MODEL returns").facts["looks"]
    assert look["predictions"] == look["outcomes"] == 7 * returns.A_DAY
    assert look["drift"] > 0.2
    assert look["quality"] is not None


def test_a_model_without_an_endpoint_is_watched_once_a_batch_is_written(
    shop: tuple[Project, ManualClock],
) -> None:
    project, clock = shop
    project.sql("DROP ENDPOINT returns_api")
    assert served(project.work(), "prod") == ()
    with pytest.raises(TilthError, match="no endpoint answers with it, and no batch was written"):
        project.sql("LOOK AT MODEL returns")
    project.sql(f"CREATE TABLE results.scores AS {SCORES}")
    (seen,) = served(project.work(), "prod")
    assert (seen.model, seen.version, seen.endpoints) == ("returns", 1, ())
    clock.set(returns.at(returns.HISTORY + 1.1))
    (look,) = Watcher(project.work(), "prod").look(clock.now(), project.deployed("prod"))
    assert look.predictions == N


def test_the_plan_names_who_writes_where_and_a_loop(shop: tuple[Project, ManualClock]) -> None:
    project, _ = shop
    root = Path(project.root)
    project.sql(f"CREATE TABLE crm.scores KEY (id) AS {SCORES}")
    notes = {n.name: n.text for n in project.plan().notes}
    assert notes["crm.scores"].startswith(
        "written to by CREATE TABLE or INSERT INTO: predictions of returns; last "
    )
    (root / "loop.sql").write_text(
        "CREATE DATASET again KEY (id) AS SELECT * FROM crm.scores;\n"
        "CREATE MODEL echo PREDICT returned FROM again FEATURES (shop, placed) USING (engine = 'linear');\n"
    )
    project.apply()
    done = project.sql(
        "INSERT INTO crm.scores KEY (id) SELECT a.id, e.returned_probability AS p FROM again a JOIN echo e"
    )
    assert "`echo` learns from `crm.scores` through `again`" in done.told[0]
    notes = [n.text for n in project.plan().notes if n.name == "echo"]
    assert notes
    assert "keep the written columns out" in notes[0]
    assert not [n for n in project.plan().notes if n.name == "returns"]


REFUSED: dict[str, tuple[str, type[TilthError], str]] = {
    "a source that is read-only": (f"CREATE TABLE ops.scores AS {SCORES}", ProjectError, "The source `ops` is read-only"),
    "no source": (f"CREATE TABLE oops.scores AS {SCORES}", UnknownNameError,
        r"There is no source `oops`(.|\n)*Did you mean `ops`\?(.|\n)*CREATE SOURCE results ENGINE files"),
    "a dataset": (f"INSERT INTO orders.scores {SCORES}", UnknownNameError, "There is no source `orders`"),
    "the schema tilth": ("INSERT INTO tilth.audit SELECT 1", UnknownNameError, "There is no source `tilth`"),
    "a table that is not there": ("INSERT INTO crm.nothing KEY (a) SELECT 1 AS a", UnknownNameError,
        r"(?s)no table `nothing`.*CREATE TABLE crm.nothing KEY \(a\) AS ... makes it"),
    "a column that is not there": ("INSERT INTO crm.theirs SELECT 1 AS b", UnknownNameError, r"(?s)no column `b`(?!.*CREATE TABLE)"),
    "two columns of a name": ("CREATE TABLE crm.x AS SELECT 1 AS a, 2 AS A", ProjectError, "two columns called `a`"),
    "a list that does not fit": ("INSERT INTO crm.x (a, b) SELECT 1", ProjectError, "2 columns are named, and the query gives 1"),
    "an unknown model": ("CREATE TABLE crm.x AS SELECT * FROM orders JOIN retruns m", UnknownNameError, "retruns"),
    "somebody else's table": ("CREATE OR REPLACE TABLE crm.theirs AS SELECT 1 AS a", ProjectError, "is not replaced"),
    "a key twice": ("CREATE TABLE crm.x KEY (a) AS SELECT 1 AS a FROM orders", DataError, "several rows"),
    "a division that fails in the middle": (
        "CREATE TABLE crm.x AS SELECT CAST(shop AS INTEGER) AS a FROM orders", DataError, "Could not convert"),
}  # fmt: skip


def test_the_source_that_is_proposed_for_tables_takes_them(shop: tuple[Project, ManualClock]) -> None:
    project, _ = shop
    statement, _, _ = REFUSED["no source"]
    with pytest.raises(UnknownNameError) as raised:
        project.sql(statement)
    (said,) = re.findall(r"CREATE SOURCE results .*;", str(raised.value.hint))
    assert said in (Path(project.root) / "writable.sql").read_text()
    project.sql(statement.replace("oops.", "results."))
    assert (Path(project.root) / "results" / "scores.parquet").exists()


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused_changes_nothing(shop: tuple[Project, ManualClock], what: str) -> None:
    project, _ = shop
    statement, error, words = REFUSED[what]
    with closing(sqlite3.connect(Path(project.root) / "crm.db")) as db, db:
        db.execute("CREATE TABLE theirs (a)")
    with pytest.raises(error, match=words):
        project.sql(statement)
    with closing(sqlite3.connect(Path(project.root) / "crm.db")) as db:
        assert db.execute("SELECT name FROM sqlite_schema").fetchall() == [("theirs",)]
    assert {r["status"] for r in project.sql("SELECT status FROM tilth.writes").rows()} <= {"failed"}
    assert one(project, "SELECT count(*) AS n FROM tilth.predictions") == {"n": 0}


def test_a_table_of_ours_is_replaced_and_one_that_is_there_let_be(shop: tuple[Project, ManualClock]) -> None:
    project, _ = shop
    project.sql("CREATE TABLE crm.x AS SELECT 1 AS a")
    project.sql("CREATE OR REPLACE TABLE crm.x AS SELECT 2 AS b")
    assert one(project, "SELECT * FROM crm.x") == {"b": 2}
    assert project.sql("CREATE TABLE IF NOT EXISTS crm.x AS SELECT 3 AS c").facts["rows"] == 0
    assert one(project, "SELECT * FROM crm.x") == {"b": 2}


def test_only_the_serving_environment_writes_unless_the_settings_say_so(
    shop: tuple[Project, ManualClock],
) -> None:
    project, clock = shop
    project.apply("dev")
    with pytest.raises(ProjectError, match="From the environment `dev` nothing is written"):
        project.sql("CREATE TABLE crm.x AS SELECT 1 AS a", environment="dev")
    (Path(project.root) / "tilth.toml").write_text("[environments.dev]\nwritable = true\n")
    again = Project(project.root, clock)
    again.sql("CREATE TABLE crm.x AS SELECT 1 AS a", environment="dev")
    assert one(again, "SELECT environment, status FROM tilth.writes") == {
        "environment": "dev",
        "status": "done",
    }
    again.close()


@pytest.mark.parametrize("role", [Role.READER, Role.PREDICTOR])
def test_only_owners_write(shop: tuple[Project, ManualClock], role: Role) -> None:
    project, _ = shop
    session = project.session()
    session.principal = token("ci", role)
    for statement in ("CREATE TABLE crm.x AS SELECT 1 AS a", "INSERT INTO crm.x SELECT 1 AS a"):
        with pytest.raises(RightError, match=f"token:ci is a {role.value}"):
            session.run(statement)
    assert not (Path(project.root) / "crm.db").exists()


def test_a_write_that_was_killed_stands_as_begun_and_leaves_the_table(
    shop: tuple[Project, ManualClock],
) -> None:
    project, _ = shop
    project.sql(f"CREATE TABLE crm.scores KEY (id) AS {SCORES}")
    kill = (
        "import os, sys, tilth\n"
        "from tilth.adapters.sources.sqlite import writing\n"
        "writing._merged = lambda *a: os._exit(9)\n"
        'tilth.open(sys.argv[1]).sql("INSERT INTO crm.scores KEY (id) SELECT -1 AS id, 0.5 AS p")\n'
    )
    ended = subprocess.run([sys.executable, "-c", kill, project.root], timeout=60, check=False)
    assert ended.returncode == 9
    assert one(project, "SELECT count(*) AS n, min(id) AS least FROM crm.scores") == {"n": N, "least": 0}
    assert project.status()["failures"] == []  # it may be under way
    shop[1].set(datetime.now(UTC) + timedelta(hours=2))  # it was killed by a process with a real clock
    assert [f["status"] for f in project.status()["failures"]] == ["began"]
    last = one(project, "SELECT status, rows_written FROM tilth.writes ORDER BY id DESC LIMIT 1")
    assert last == {"status": "began", "rows_written": 0}
    assert any("whether they are there is not known" in n.text for n in project.plan().notes)


def test_status_tells_a_table_whose_last_write_failed(shop: tuple[Project, ManualClock]) -> None:
    project, _ = shop
    with pytest.raises(DataError):
        project.sql("CREATE TABLE crm.never KEY (a) AS SELECT 1 AS a FROM orders")
    assert project.status()["failures"] == []  # what never was written is told where it was said
    project.sql("CREATE TABLE crm.nightly KEY (a) AS SELECT 1 AS a")
    with pytest.raises(DataError):
        project.sql("INSERT INTO crm.nightly KEY (a) SELECT 1 AS a FROM orders")
    happened = messages.ill_writes(project.state(), "prod", 0, 10)
    assert [(h.event, h.subject) for h in happened] == [("failed", "crm.nightly")]  # what channels are told
    assert "has several rows" in happened[0].words
    (failed,) = project.status()["failures"]
    assert (failed["action"], failed["name"], failed["status"]) == ("write", "crm.nightly", "failed")
    assert "has several rows" in failed["error"]
    assert any("crm.nightly" in step for step in next_steps(project.status(), "prod"))
    project.sql("INSERT INTO crm.nightly KEY (a) SELECT 1 AS a")
    assert project.status()["failures"] == []


NIGHTS = [
    ("INSERT INTO crm.nightly KEY (a) SELECT 1 AS a FROM orders", "has several rows"),
    ("INSERT INTO crm.nightly KEY (a) SELECT b AS a FROM orders", "no column `b`"),
    ("INSERT INTO crm.nightly KEY (a) SELECT 1 AS a FROM ordres", "ordres"),
    ("INSERT INTO crm.nightly KEY (a) SELECT 1 AS a FROM orders o JOIN retruns m", "retruns"),
    ("INSERT INTO pg.nightly KEY (a) SELECT 1 AS a", "needs the secret `env:NIGHTLY_URL`"),
]


@pytest.mark.parametrize(("statement", "words"), NIGHTS)
def test_whatever_keeps_a_nightly_write_from_its_table_is_told(
    shop: tuple[Project, ManualClock], monkeypatch: pytest.MonkeyPatch, statement: str, words: str
) -> None:
    project, clock = shop
    place = ("pg" if " pg." in statement else "crm", "nightly")
    if place[0] == "pg":
        monkeypatch.setenv("NIGHTLY_URL", servers.postgres_url())
        said = "CREATE SOURCE pg ENGINE postgres WITH (url = SECRET 'env:NIGHTLY_URL', writable = true)"
        project.sql(said)
        monkeypatch.delenv("NIGHTLY_URL")
    else:
        project.sql("CREATE TABLE crm.nightly KEY (a) AS SELECT 1 AS a")
    with project.work().state.change(person("test"), show_instant(clock.now())) as change:
        number = writes.begin(change, "prod", place, "create", ("a",), clock.now())
        writes.end(change, number, writes.DONE, clock.now(), 1)  # in the night before
        change.audit("written", ".".join(place), {"write": number})
    with pytest.raises(TilthError, match=words):
        project.sql(statement)
    (failed,) = project.status()["failures"]
    assert (failed["name"], failed["status"]) == (".".join(place), "failed")
    with project.work().state.reading() as reader:
        (event,) = messages.ill_writes(reader, "prod", 0, 9)
    assert words in event.words


def test_predictions_that_cannot_be_logged_are_written_and_told(
    shop: tuple[Project, ManualClock], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tilth.core.errors import StorageError
    from tilth.runtime.asking.batches import Batches

    def full(*_: object) -> None:
        raise StorageError("No space left.", hint="Free some.")

    monkeypatch.setattr(Batches, "write_down", full)
    project, _ = shop
    done = project.sql(f"CREATE TABLE crm.scores AS {SCORES}")
    assert done.told == ["The predictions are written, and could not be logged: No space left."]
    assert one(project, "SELECT status, rows_written, error IS NOT NULL AS told FROM tilth.writes") == {
        "status": "done", "rows_written": N, "told": True,
    }  # fmt: skip


def test_a_frame_of_python_is_written(shop: tuple[Project, ManualClock]) -> None:
    import pyarrow as pa

    project, _ = shop
    frame = pa.table(
        {"id": [1, 2], "price": [10.0, 90.0], "shop": ["a", "b"], "placed": [returns.at(1), returns.at(2)]}
    )
    project.sql(
        "CREATE TABLE crm.mine KEY (id) AS SELECT f.id, m.returned_probability AS p FROM $frame f JOIN returns m",
        frame=frame,
    )
    assert [r["id"] for r in project.sql("SELECT id FROM crm.mine ORDER BY id").rows()] == [1, 2]
