"""A served model is looked at once a day: drift, quality and new rows come out of the log and the snapshots."""

import re
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

import returns
from tilth.app.project import Project
from tilth.core.errors import UnknownNameError
from tilth.interfaces.cli.look import words
from tilth.ports.clock import ManualClock
from tilth.runtime.watching import watcher as watching
from tilth.runtime.watching.watcher import Watcher, served


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = returns.make(tmp_path_factory.mktemp("shop") / "shop")
    project, _ = returns.opened(folder)
    assert not project.apply().refusals
    project.close()
    return folder


@pytest.fixture
def project(applied: Path, tmp_path: Path):
    shutil.copytree(applied, tmp_path / "shop")
    made, clock = returns.opened(tmp_path / "shop")
    yield made, clock
    made.close()


def refresh(project: Project) -> None:
    project.sql("REFRESH DATASET orders")


def day(project: tuple[Project, ManualClock], number: int, shift: float = 0.0) -> None:
    """A day passes: asked, answered, the truth arrives, the dataset is refreshed."""
    made, clock = project
    returns.ask(made, number, shift)
    returns.add(Path(made.root), number, shift=shift)
    clock.set(returns.at(number + 1))
    refresh(made)


def rows(project: Project, table: str) -> list[dict[str, object]]:
    columns, found = project.state().table(table)
    return [dict(zip(columns, r, strict=True)) for r in found]


def test_a_look_is_due_a_day_after_serving_began_and_then_daily_also_after_a_restart(
    project: tuple[Project, ManualClock],
) -> None:
    made, clock = project
    work, graph = made.work(), made.deployed("prod")
    (one,) = served(work, "prod")
    assert (one.model, one.version, one.endpoints) == ("returns", 1, ("returns_api",))
    watcher = Watcher(work, "prod")
    assert watcher.look(clock.now() + timedelta(hours=23), graph) == ()
    day(project, returns.HISTORY)
    assert len(watcher.look(clock.now(), graph)) == 1
    assert watcher.look(clock.now(), graph) == ()
    assert Watcher(work, "prod").look(clock.now() + timedelta(hours=23), graph) == ()
    assert len(Watcher(work, "prod").look(clock.now() + timedelta(hours=24), graph)) == 1
    assert [r["at"] for r in rows(made, "quality")] == [
        "2024-03-02T00:00:00.000000Z",
        "2024-03-03T00:00:00.000000Z",
    ]
    assert made.verify().audit_rows > 0


def test_what_is_as_in_training_does_not_drift_and_quality_is_realised(
    project: tuple[Project, ManualClock],
) -> None:
    made, clock = project
    for n in range(4):
        day(project, returns.HISTORY + n)
    (look,) = Watcher(made.work(), "prod").look(clock.now(), made.deployed("prod"))
    assert look.drift is not None
    assert look.drift < 0.05
    assert look.prediction_drift is not None
    assert look.prediction_drift < 0.1
    assert look.quality is not None
    assert 0.7 < look.quality < 0.95
    assert (look.predictions, look.outcomes) == (800, 800)
    assert look.new_rows == pytest.approx(800 / 12000, rel=0.01)
    assert {r["column"] for r in rows(made, "drift")} == {"price", "shop", "returned_score"}


def test_outcomes_that_have_not_arrived_are_not_guessed(project: tuple[Project, ManualClock]) -> None:
    made, clock = project
    returns.ask(made, returns.HISTORY)
    clock.set(returns.at(returns.HISTORY + 1))
    (look,) = Watcher(made.work(), "prod").look(clock.now(), made.deployed("prod"))
    assert (look.predictions, look.outcomes, look.quality, look.drift) == (200, 0, None, None)
    assert look.new_rows == 0


def test_quality_is_known_with_labels_that_come_later_than_the_window_of_drift(tmp_path: Path) -> None:
    folder = returns.make(tmp_path / "shop")
    text = (folder / "models.sql").read_text()
    (folder / "models.sql").write_text(
        text.replace("minimum = 0.6", "minimum = 0.6, label_delay = '10 days'")
    )
    made, clock = returns.opened(folder)
    assert not made.apply().refusals
    watcher, graph, seen = Watcher(made.work(), "prod"), made.deployed("prod"), []
    for n in range(19):
        day((made, clock), returns.HISTORY + n)  # outcomes come at once, and are not due for ten days
        (look,) = watcher.look(clock.now(), graph)
        seen.append((look.predictions, look.outcomes, look.quality is not None))
    assert [o for _, o, _ in seen[:10]] == [0] * 9 + [1], "one is ten days old to the second"
    assert seen[9] == (1400, 1, False)
    assert seen[11][1] == 401
    assert all(1395 <= o <= 1410 and known and p == 1400 for p, o, known in seen[17:])
    (anew,) = watching.look_now(made.work(), "prod", clock.now(), graph, {"returns"})
    assert (anew.outcomes, anew.quality) == (look.outcomes, look.quality), "also after a restart"
    made.close()


def test_answers_to_rows_of_training_are_no_quality(project: tuple[Project, ManualClock]) -> None:
    made, clock = project
    work, graph = made.work(), made.deployed("prod")
    row = work.state.read("version", model="returns", version=1)[0]
    judged = sum(
        1
        for n in range(50, 60)
        for o in returns.orders(n)
        if o[1] > str(row["tuned_until"])[:19].replace("T", " ")
    )
    for n in range(50, 60):
        returns.ask(made, n, now=returns.at(60))
    clock.set(returns.at(60.5))
    (look,) = watching.look_now(work, "prod", clock.now(), graph, {"returns_api"})
    assert (look.predictions, look.outcomes) == (2000, judged)
    returns.ask(made, 50, now=returns.at(60.1), timed=False)
    (look,) = watching.look_now(work, "prod", clock.now(), graph, {"returns_api"})
    assert (look.predictions, look.outcomes) == (2200, judged), "known by their keys"
    returns.ask(made, 59, now=returns.at(60.2), timed=False)
    (look,) = watching.look_now(work, "prod", clock.now(), graph, {"returns_api"})
    assert (look.predictions, look.outcomes) == (2400, judged)


def test_a_row_that_was_logged_ends_no_look_and_is_told(project: tuple[Project, ManualClock]) -> None:
    made, clock = project
    returns.ask(made, returns.HISTORY)
    (line,) = list(made.work().log.records())[-1:]
    for wrong in (b"1e300", b"9223372036854775808", b"[1]", b'"x"', b"7.5"):
        made.work().log.append(re.sub(rb'"id":\d+', b'"id":' + wrong, line, count=1))
    made.work().log.append(line.replace(b'"price":', b'"price":NaN,"_":'))
    clock.set(returns.at(returns.HISTORY + 1))
    (look,) = Watcher(made.work(), "prod").look(clock.now(), made.deployed("prod"))
    assert (look.predictions, look.left_out) == (200, 5)
    assert "5 left out: they are not what the version takes" in watching.words(look)


def test_answers_without_the_key_of_outcomes_are_told(project: tuple[Project, ManualClock]) -> None:
    made, clock = project
    returns.ask(made, returns.HISTORY)
    (line,) = list(made.work().log.records())[-1:]
    for keyless in (
        b"null",
        b'[1,"no key"]',
    ):  # the first is an answer, the second is none that the version takes
        made.work().log.append(re.sub(rb'"id":\d+', b'"id":' + keyless, line, count=1))
    clock.set(returns.at(returns.HISTORY + 1))
    (look,) = Watcher(made.work(), "prod").look(clock.now(), made.deployed("prod"))
    assert (look.predictions, look.left_out, look.without_key) == (201, 1, 1)
    assert "1 without the key of OUTCOMES" in watching.words(look)
    assert [(r["left_out"], r["without_key"]) for r in rows(made, "quality")] == [(1, 1)]
    shown = words(made.status("prod"))
    assert "1 answers came without the key of OUTCOMES" in shown
    assert "1 logged rows are not what the version takes" in shown


def test_what_nobody_foresaw_is_one_models_and_its_window_is_read_anew(
    project: tuple[Project, ManualClock], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, clock = project
    returns.ask(made, returns.HISTORY)
    clock.set(returns.at(returns.HISTORY + 1))
    real, said = watching.decode, []

    def broken(*_: object) -> None:
        raise OverflowError("too large")

    watcher, graph = Watcher(made.work(), "prod"), made.deployed("prod")
    monkeypatch.setattr(watching, "decode", broken)
    assert watcher.look(clock.now(), graph, failed=lambda one, e: said.append((one.model, e.message))) == ()
    assert said == [("returns", "OverflowError: too large")]
    monkeypatch.setattr(watching, "decode", real)
    (look,) = watcher.look(clock.now(), graph)
    assert look.predictions == 200


def test_a_shift_fires_the_rule_after_two_looks_and_not_after_one(
    project: tuple[Project, ManualClock],
) -> None:
    made, clock = project
    watcher, graph = Watcher(made.work(), "prod"), made.deployed("prod")
    for n in range(7):
        day(project, returns.HISTORY + n)
        watcher.look(clock.now(), graph)
    assert made.plan().actions == ()
    plans = []
    for n in range(7, 12):
        day(project, returns.HISTORY + n, shift=1.5)
        watcher.look(clock.now(), graph)
        plans.append([a.reason for a in made.plan().actions])
    drifts = [r["drift"] for r in rows(made, "quality")]
    assert all(d is None or d < 0.2 for d in drifts[:7])
    first = next(n for n, d in enumerate(drifts) if d is not None and d > 0.2)
    fired = next(n for n, reasons in enumerate(plans, 7) if reasons)
    assert fired == first + 1
    assert "drift" in plans[fired - 7][0]


def test_only_answers_that_a_client_of_this_environment_has_seen_count(
    project: tuple[Project, ManualClock],
) -> None:
    made, clock = project
    first = returns.HISTORY
    returns.ask(made, first)
    returns.ask(made, first + 1, role="shadow")
    returns.ask(made, first + 2, environment="dev")
    returns.ask(made, first + 3, endpoint="other")
    returns.ask(made, first + 4, role="canary")
    clock.set(returns.at(first + 5))
    (look,) = Watcher(made.work(), "prod").look(clock.now(), made.deployed("prod"))
    assert look.predictions == 400


def test_the_window_is_seven_days_and_is_read_on_from_where_it_was(
    project: tuple[Project, ManualClock], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, clock = project
    read: list[int] = []
    real = watching.decode
    monkeypatch.setattr(watching, "decode", lambda w, t: read.append(t.num_rows) or real(w, t))
    watcher, graph = Watcher(made.work(), "prod"), made.deployed("prod")
    seen = []
    for n in range(10):
        returns.ask(made, returns.HISTORY + n)
        clock.set(returns.at(returns.HISTORY + n + 1))
        if n == 5:
            made.work().log.close()  # type: ignore[attr-defined]
            assert made.work().log.compact() == 1
        (look,) = watcher.look(clock.now(), graph)
        seen.append(look.predictions)
    assert read == [200] * 10
    assert seen == [200 * min(n, 7) for n in range(1, 11)]
    (again,) = watching.look_now(made.work(), "prod", clock.now(), graph, {"returns"})
    assert (again.predictions, again.drift) == (look.predictions, look.drift)


def test_a_look_on_demand_tells_and_decides_nothing(project: tuple[Project, ManualClock]) -> None:
    made, clock = project
    for n in range(3):
        day(project, returns.HISTORY + n, shift=2.0)
    before = made.state().version_counter()
    for text in ("LOOK AT MODEL returns", "LOOK AT ENDPOINT returns_api"):
        found = made.sql(text)
        (look,) = found.facts["looks"]
        assert (look["model"], look["version"], look["predictions"], look["outcomes"]) == (
            "returns",
            1,
            600,
            600,
        )
        assert look["drift"] > 0.2
        columns = found.rows()
        assert columns[0]["column"] == "price"
        assert columns[0]["score"] > 1
        assert "looked at returns@1" in found.text
    assert rows(made, "quality") == []
    assert rows(made, "drift") == []
    assert made.state().version_counter() == before
    assert made.plan().actions == ()
    (recorded,) = Watcher(made.work(), "prod").look(clock.now(), made.deployed("prod"))
    assert (recorded.drift, recorded.quality) == (look["drift"], look["quality"])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("LOOK AT MODEL retruns", "Did you mean `returns`?"),
        ("LOOK AT ENDPOINT returns", "Endpoints that are served: returns_api"),
        ("LOOK AT MODEL orders", "Models that are served: returns"),
    ],
)
def test_what_is_not_served_is_not_looked_at(
    project: tuple[Project, ManualClock], text: str, says: str
) -> None:
    with pytest.raises(UnknownNameError) as raised:
        project[0].sql(text)
    assert says in str(raised.value)


def test_watch_says_how_often_and_how_far_back(project: tuple[Project, ManualClock]) -> None:
    made, clock = project
    watcher = Watcher(made.work(), "prod")
    for n in range(4):
        day(project, returns.HISTORY + n)
    before = made.generations()[0].number
    text = returns.ENDPOINT.replace(";", " WATCH (every = '6 hours', window = '2 days');")
    (Path(made.root) / "endpoints.sql").write_text(text)
    done = made.apply()
    assert [(d.action.name, d.text) for d in done.did] == [
        ("returns_api", "takes the changed declaration; nothing is made anew")
    ]
    assert done.generation == before + 1
    assert rows(made, "revisions")[-1]["revision"] == 1, "no rollout begins"
    (one,) = served(made.work(), "prod")
    assert (one.watch.every, one.watch.window) == (timedelta(hours=6), timedelta(days=2))
    graph, now = made.deployed("prod"), clock.now()
    (look,) = watcher.look(now, graph)
    assert look.predictions == 2 * returns.A_DAY
    assert watcher.look(now + timedelta(hours=5), graph) == ()
    assert len(watcher.look(now + timedelta(hours=6), graph)) == 1
