"""Everything gets another name, and nothing is lost or made anew: served, watched, promoted, rolled back, and told."""

import re
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import http_server
import returns
import shop_project
from http_server import up, wait
from tilth.app.project import Project
from tilth.core.errors import ProjectError, StateChangedError
from tilth.ml.watching.rollout import Progress, Stage
from tilth.plan.actions import CollectDataset, DropResource, Rename, ShareSnapshot, ShareVersion, TrainModel
from tilth.ports.clock import ManualClock
from tilth.runtime.record import names
from tilth.runtime.serving import rollouts
from tilth.runtime.watching.watcher import Watcher

NEW = {
    "SOURCE ops ENGINE sqlite WITH (path = 'ops.db')": "SOURCE crm ENGINE sqlite WITH (path = 'ops.db') RENAMED FROM ops",
    "DATASET deliveries\n": "DATASET orders\n",
    "AS SELECT * FROM ops.deliveries": "RENAMED FROM deliveries AS SELECT * FROM crm.deliveries",
    "MODEL late\n  PREDICT": "MODEL delays\n  RENAMED FROM late\n  PREDICT",
    "FROM deliveries\n": "FROM orders\n",
    "ENDPOINT late_api FOR MODEL late\n": "ENDPOINT delays_api FOR MODEL delays RENAMED FROM late_api\n",
    "FROM deliveries (id": "FROM orders (id",
}
RENAMED = {"crm": "ops", "orders": "deliveries", "delays": "late", "delays_api": "late_api"}


def renamed(text: str = http_server.QUICK) -> str:
    for old, new in NEW.items():
        assert old in text
        text = text.replace(old, new)
    return text


def without_clauses(text: str) -> str:
    return re.sub(r"RENAMED FROM \w+", "", text)


OLD_TEXT, NEW_TEXT = http_server.QUICK, renamed()
BARE_TEXT = without_clauses(NEW_TEXT)


def write(project: Project, text: str) -> None:
    Path(project.root, "shop.sql").write_text(text)


def actions(found: Any) -> list[tuple[type, str]]:
    return [(type(a), a.name) for a in found.actions]


ALL = [(Rename, name) for name in RENAMED]


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return http_server.applied(tmp_path_factory.mktemp("shop") / "shop")


@pytest.fixture
def project(applied: Path, tmp_path: Path) -> Iterator[Project]:
    made = http_server.copied(applied, tmp_path / "shop")
    yield made
    made.close()


def facts(project: Project, query: str) -> list[dict[str, Any]]:
    return project.sql(query).rows()


def made(project: Project) -> tuple[list[str], list[str]]:
    """What there is of content: bundles and snapshots, whatever they are called."""
    state = project.state()
    return (
        sorted(str(r["digest"]) for r in state.read("versions")),
        sorted(str(r["id"]) for r in state.read("snapshot_ids")),
    )


def test_what_is_served_goes_on_under_other_names_and_a_rollback_brings_the_old_ones_back(
    project: Project,
) -> None:
    before = made(project)
    with up(Path(project.root)) as server:
        first = server.predict().json
        write(project, NEW_TEXT)
        assert actions(project.plan()) == ALL
        done = project.apply()
        assert [d.status for d in done.did] == ["done"] * 4
        assert made(project) == before
        wait(lambda: server.predict(path="/predict/delays_api").status == 200)
        after = server.predict(path="/predict/delays_api").json
        assert {k: v for k, v in after.items() if k != "id"} == {k: v for k, v in first.items() if k != "id"}
        gone = server.predict()
        assert (gone.status, "delays_api" in gone.error) == (404, True)
        assert {(r["endpoint"], r["model"]) for r in server.records()} == {
            ("late_api", "late"),
            ("delays_api", "delays"),
        }
        assert project.rollback() == done.generation + 1
        wait(lambda: server.predict().status == 200)
        assert server.predict().json["digest"] == first["digest"]
        assert server.predict(path="/predict/delays_api").status == 404
    assert project.model("late").version == 1
    assert actions(project.plan()) == ALL
    assert project.verify().bundles == 2
    audit = facts(project, "SELECT actor, subject FROM tilth.audit WHERE verb = 'rename' ORDER BY sequence")
    assert audit == [{"actor": project.by.text, "subject": name} for name in RENAMED]


def test_no_request_under_the_new_name_fails_while_it_is_published_again(project: Project) -> None:
    """A generation that changes other names leaves this one alone."""
    write(project, NEW_TEXT)
    project.apply()
    failed: list[int] = []
    with up(Path(project.root)) as server:
        mine = http_server.Up(server.process, server.port, server.token, server.folder, server.log)
        stop = threading.Event()

        def ask() -> None:
            while not stop.is_set():
                if (status := mine.predict(path="/predict/delays_api").status) != 200:
                    failed.append(status)

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            write(project, BARE_TEXT.replace("MODEL duration\n", "MODEL minutes\n RENAMED FROM duration\n"))
            assert actions(project.apply().plan) == [(Rename, "minutes")]
            wait(lambda: server.ask("GET", "/healthz").json["generation"] == 3)
        finally:
            stop.set()
            thread.join(30)
            mine.connection.close()
    assert failed == []


TEXTS = {"the clauses stay": NEW_TEXT, "the clauses are taken out": BARE_TEXT}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_once_applied_there_is_nothing_to_do(project: Project, text: str) -> None:
    write(project, NEW_TEXT)
    project.apply()
    write(project, text)
    assert project.plan().actions == ()
    assert project.apply().did == ()
    assert {p.name for p in project.current("prod").pointers} == {*RENAMED, "duration"}


def test_everything_that_is_remembered_has_the_new_names(project: Project) -> None:
    before = {
        "versions": "SELECT version, digest, status FROM tilth.versions WHERE model = 'late'",
        "gates": "SELECT candidate, outcome FROM tilth.gates WHERE model = 'late'",
        "refreshes": "SELECT status, rows_read FROM tilth.refreshes WHERE dataset = 'deliveries'",
        "snapshots": "SELECT id, rows FROM tilth.snapshots WHERE dataset = 'deliveries'",
        "check_results": "SELECT expectation, passed FROM tilth.check_results WHERE dataset = 'deliveries'",
        "revisions": "SELECT revision, version FROM tilth.revisions WHERE endpoint = 'late_api' AND model = 'late'",
        "notices": "SELECT kind, text FROM tilth.notices WHERE name = 'late'",
    }
    known = {table: facts(project, query) for table, query in before.items()}
    write(project, NEW_TEXT)
    project.apply()
    for table, query in before.items():
        assert facts(project, query) == []
        now = query.replace("'late'", "'delays'").replace("'late_api'", "'delays_api'")
        assert facts(project, now.replace("'deliveries'", "'orders'")) == known[table], table
    shown = project.status()
    assert {r["name"] for r in shown["models"]} == {"delays", "duration"}
    assert next(r for r in shown["models"] if r["name"] == "delays")["version"] == 1
    assert project.sql("SELECT count(*) AS n FROM orders").rows() == [{"n": 6000}]


def test_the_next_version_is_the_next_one_and_is_judged_against_the_last(project: Project) -> None:
    write(project, NEW_TEXT)
    project.apply()
    shop_project.trained_again(project, "delays")
    found = facts(
        project, "SELECT version, model FROM tilth.versions WHERE model = 'delays' ORDER BY version"
    )
    assert [r["version"] for r in found] == [1, 2]
    (gate,) = facts(
        project, "SELECT champion, uses FROM tilth.gates WHERE candidate = 2 AND model = 'delays'"
    )
    assert gate["champion"] == 1
    project.verify()
    write(project, OLD_TEXT)
    done = project.apply()
    assert {(a.name, a.was) for a in done.plan.of(Rename)} == {(old, new) for new, old in RENAMED.items()}  # type: ignore[attr-defined]
    assert project.model("late").version == 2
    assert project.model("late", 1).version == 1
    project.verify()


def test_rows_of_before_are_asked_and_new_ones_come_in(project: Project) -> None:
    (before,) = facts(project, "SELECT id, rows FROM tilth.snapshots WHERE dataset = 'deliveries'")
    write(project, NEW_TEXT)
    project.apply()
    shop_project.add(Path(project.root), shop_project.deliveries(120, 121))
    project.sql("REFRESH DATASET orders")
    assert facts(project, "SELECT count(*) AS n FROM orders") == [{"n": before["rows"] + 50}]
    held = f"SELECT count(*) AS n FROM orders FOR SNAPSHOT '{before['id']}'"
    assert facts(project, held) == [{"n": before["rows"]}]
    assert [r["dataset"] for r in facts(project, "SELECT dataset FROM tilth.snapshots")] == ["orders"] * 2


def test_a_source_that_is_watched_for_changes_has_not_changed_by_its_name(tmp_path: Path) -> None:
    text = OLD_TEXT.replace("REFRESH EVERY '1 day' INCREMENTAL LOOKBACK '2 days'", "REFRESH ON CHANGE")
    project = shop_project.opened(shop_project.make(tmp_path / "shop", text))
    project.apply()
    assert project.plan().actions == ()
    write(project, renamed(text))
    assert actions(project.plan()) == ALL
    project.apply()
    assert project.plan().actions == ()
    shop_project.add(Path(project.root), shop_project.deliveries(120, 121))
    assert actions(project.plan()) == [(CollectDataset, "orders")]
    project.close()


@pytest.fixture(scope="module")
def in_a_rollout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose second version, of another definition, is in the shadow."""
    folder = http_server.applied(tmp_path_factory.mktemp("staged") / "shop", http_server.staged())
    project = shop_project.opened(folder)
    (folder / "shop.sql").write_text(narrow(http_server.staged()))
    assert not project.apply().refusals
    project.close()
    return folder


def narrow(text: str) -> str:
    """The model without an input that tells little."""
    return text.replace("EXCEPT (minutes)", "EXCEPT (minutes, id)").replace(
        "not_worse_by(0.02)", "not_worse_by(0.5)"
    )


STAGED_NEW = {
    **NEW,
    "ENDPOINT late_api FOR MODEL late ROLLOUT": "ENDPOINT delays_api FOR MODEL delays RENAMED FROM late_api ROLLOUT",
}
del STAGED_NEW["ENDPOINT late_api FOR MODEL late\n"]


@pytest.mark.parametrize("end", [Stage.FULL, Stage.ROLLED_BACK])
def test_a_rollout_under_way_goes_on_and_ends_under_the_new_names(
    in_a_rollout: Path, tmp_path: Path, end: Stage
) -> None:
    project = http_server.copied(in_a_rollout, tmp_path / "shop")
    text = narrow(http_server.staged())
    for old, new in STAGED_NEW.items():
        assert old in text
        text = text.replace(old, new)
    write(project, text)
    assert actions(project.apply().plan) == ALL
    (under_way,) = project.state().read("current_revisions", environment="prod")
    found = {k: under_way[k] for k in ("endpoint", "model", "revision", "version", "previous", "stage")}
    assert found == {
        "endpoint": "delays_api",
        "model": "delays",
        "revision": 2,
        "version": 2,
        "previous": 1,
        "stage": "shadow",
    }
    act = project.session().act()
    assert rollouts.decide(
        act, "delays_api", 2, Progress(end, reason="as the test says"), project.clock.now()
    )
    version = 2 if end is Stage.FULL else 1
    assert project.model("delays").version == version
    assert {r.name for r in project.deployed("prod")} == {*RENAMED, "duration"}
    assert project.deployed("prod").get("delays").depends == ("orders",)
    project.verify()
    project.close()


def test_a_chain_of_names_leads_to_one_history(project: Project) -> None:
    for was, name in (
        ("duration", "minutes"),
        ("minutes", "time"),
        ("time", "duration"),
        ("duration", "span"),
    ):
        write(project, OLD_TEXT.replace("MODEL duration\n", f"MODEL {name} RENAMED FROM {was}\n"))
        assert actions(project.apply().plan) == [(Rename, name)]
        assert project.model(name).version == 1
    assert {n for (_, n), _ in names.origins(project.state()).taken} == {"minutes", "time", "span"}
    project.gc(keep=1)
    assert {n for (_, n), _ in names.origins(project.state()).taken} == {"span"}
    assert project.model("span").version == 1
    assert project.verify().bundles == 2


def test_renamed_in_dev_and_promoted(project: Project) -> None:
    """An environment that was never applied shares what there is under the old name; prod takes it with nothing judged anew."""
    before = made(project)
    write(project, NEW_TEXT)
    done = project.apply("dev")
    assert {type(a) for a in done.plan.actions}.isdisjoint({TrainModel, CollectDataset, DropResource})
    assert {*actions(done.plan)} >= {(ShareSnapshot, "orders"), (ShareVersion, "delays")}
    assert made(project) == before
    assert project.model("delays", environment="dev").version == project.model("late").version == 1
    assert actions(project.plan()) == ALL
    project.promote("dev")
    assert project.plan().actions == ()
    assert {
        r["stage"] for r in facts(project, "SELECT stage FROM tilth.endpoints WHERE environment = 'prod'")
    } == {"full"}
    assert project.state().read("current_revisions", environment="prod")[0]["revision"] == 1
    project.rollback()
    assert project.model("late").version == 1


def test_what_changed_besides_is_made_under_the_new_name(project: Project) -> None:
    write(project, NEW_TEXT.replace("EXCEPT (minutes)", "EXCEPT (minutes, distance)"))
    found = project.plan()
    assert (TrainModel, "delays") in actions(found)
    assert not found.of(DropResource, CollectDataset)
    project.apply()
    versions = facts(project, "SELECT version FROM tilth.versions WHERE model = 'delays' ORDER BY version")
    assert [v["version"] for v in versions] == [1, 2]
    assert project.plan().of(Rename) == ()


def test_what_fails_beside_it_leaves_the_new_names(project: Project) -> None:
    """A model that cannot be trained as it is declared now serves on as it was, under the new name of itself and its data."""
    estimators = Path(project.root, "estimators")
    estimators.mkdir()
    (estimators / "bad.py").write_text("def make():\n    raise ValueError('no')\n")
    broken = NEW_TEXT.replace(
        "USING (engine = 'linear', time_limit = '20 s')", "USING (engine = 'sklearn', estimator = 'bad:make')"
    )
    write(project, broken)
    done = project.apply(strict=False)
    assert [d.action.name for d in done.errors] == ["delays"]
    assert {p.name for p in project.current("prod").pointers} == {*RENAMED, "duration"}
    assert project.model("delays").version == 1
    assert {r.name for r in project.deployed("prod")} == {*RENAMED, "duration"}
    assert (TrainModel, "delays") in actions(project.plan())
    write(project, NEW_TEXT)
    project.apply()
    assert project.plan().actions == ()


def test_all_or_nothing_takes_the_names_back(project: Project) -> None:
    estimators = Path(project.root, "estimators")
    estimators.mkdir()
    (estimators / "bad.py").write_text("def make():\n    raise ValueError('no')\n")
    write(
        project,
        NEW_TEXT.replace(
            "USING (engine = 'linear', time_limit = '20 s')",
            "USING (engine = 'sklearn', estimator = 'bad:make')",
        ),
    )
    with pytest.raises(Exception, match="no"):
        project.apply(all_or_nothing=True)
    assert names.origins(project.state()).taken == ()
    assert project.model("late").version == 1
    project.verify()


def test_at_a_prompt_all_that_names_it_names_it_anew(project: Project) -> None:
    before = made(project)
    project.sql(
        "CREATE DATASET orders KEY (id) EVENT TIME ordered_at REFRESH EVERY '1 day' INCREMENTAL LOOKBACK '2 days'"
        " EXPECT (minutes BETWEEN 0 AND 600 ON FAIL QUARANTINE, carrier IS NOT NULL ON FAIL STOP, COUNT(*) >= 100 ON FAIL STOP)"
        " RENAMED FROM deliveries AS SELECT * FROM ops.deliveries"
    )
    deployed = project.deployed("prod")
    assert deployed.get("late").depends == ("orders",)
    assert "deliveries" not in deployed
    assert made(project) == before
    assert len(facts(project, "SELECT 1 FROM tilth.refreshes WHERE dataset = 'orders'")) == 1
    assert facts(project, "SELECT count(*) AS n FROM tilth.versions") == [{"n": 2}]


def test_a_fresh_clone_begins_with_the_new_names(tmp_path: Path) -> None:
    folder = shop_project.make(tmp_path / "clone", NEW_TEXT)
    project = shop_project.opened(folder)
    notes = [n.text for n in project.plan().notes if "remembered" in n.text]
    assert notes[1] == "nothing is remembered of a dataset `deliveries`: it is new"
    assert len(notes) == 4
    project.apply()
    for text in (NEW_TEXT, BARE_TEXT):
        write(project, text)
        found = project.plan()
        assert (found.actions, [n for n in found.notes if "remembered" in n.text]) == ((), [])
    assert names.origins(project.state()).taken == ()
    project.close()


WRONG = {
    "the old name is declared again": (
        BARE_TEXT + "CREATE MODEL late PREDICT minutes FROM orders USING (engine = 'linear');",
        "`late` was the name of the model that is `delays` now",
    ),
    "a name with a history": (
        BARE_TEXT.replace("MODEL duration\n", "MODEL duration RENAMED FROM delays\n").replace("MODEL delays\n", "MODEL d2\n"),
        "`duration` has a history of its own",
    ),
    "of another kind": (
        BARE_TEXT.replace("MODEL duration\n", "MODEL span RENAMED FROM late_api\n"),
        "`late_api` was of another kind (endpoint)",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "says"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_renamed_is_said_before_anything_is_done(
    project: Project, text: str, says: str
) -> None:
    write(project, NEW_TEXT)
    number = project.apply().generation
    write(project, text)
    for act in (project.plan, project.apply):
        with pytest.raises(ProjectError) as caught:
            act()
        assert says in caught.value.message
        assert "shop.sql" in str(caught.value)
    assert project.generations(limit=1)[0].number == number


def test_a_name_that_nobody_gave_is_found(project: Project) -> None:
    """A name that leads to another history would serve another model's versions."""
    state = project.state()
    with state.change(project.by, "2024-04-30T00:00:00+00:00") as change:
        change.write("add_name", kind="model", name="duration", origin="late", at="2024-04-30T00:00:00+00:00")
        change.audit("note", "duration", {})
    with pytest.raises(StateChangedError, match="The name duration of a model leads to the history of late"):
        project.verify()


def test_looks_go_on_where_they_were(tmp_path: Path) -> None:
    """Answers that were given under the old name count, and so do the looks of before."""
    folder = returns.make(tmp_path / "shop", promote="not_worse_by(0.5)")
    project, clock = returns.opened(folder)
    assert not project.apply().refusals
    for number in (returns.HISTORY, returns.HISTORY + 1):
        a_day(project, clock, number)
    first = Watcher(project.work(), "prod").look(clock.now(), project.deployed("prod"))
    for name, old, new in (
        ("models.sql", "MODEL returns PREDICT", "MODEL comebacks RENAMED FROM returns PREDICT"),
        (
            "endpoints.sql",
            "returns_api FOR MODEL returns",
            "comebacks_api FOR MODEL comebacks RENAMED FROM returns_api",
        ),
    ):
        file = folder / name
        file.write_text(file.read_text().replace(old, new))
    assert actions(project.apply().plan) == [(Rename, "comebacks"), (Rename, "comebacks_api")]
    clock.set(clock.now() + timedelta(days=1))
    (second,) = Watcher(project.work(), "prod").look(clock.now(), project.deployed("prod"))
    assert (second.model, second.predictions, second.outcomes) == ("comebacks", 400, 400)
    assert [(one.model, one.predictions) for one in first] == [("returns", 400)]
    looks = facts(project, "SELECT model, predictions FROM tilth.quality ORDER BY recorded_at")
    assert looks == [{"model": "comebacks", "predictions": 400}] * 2
    assert [len(found) for _, found in project.current("prod").signals] == [2]
    assert project.status()["models"][0]["quality"] is not None
    project.close()


def a_day(project: Project, clock: ManualClock, number: int) -> None:
    """A day passes: asked, answered, the truth arrives, the dataset is refreshed."""
    returns.ask(project, number)
    returns.add(Path(project.root), number)
    clock.set(returns.at(number + 1))
    project.sql("REFRESH DATASET orders")
