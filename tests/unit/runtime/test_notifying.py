"""What channels are told: which events, once each, in which messages, and what becomes of those that are not taken."""

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from memories import BY, DAY, NOW, workspace

from tilth.core.scan import Scan
from tilth.core.time import show_instant
from tilth.kinds import compile as compiled
from tilth.kinds import parse
from tilth.ml.watching.monitoring import Look
from tilth.plan.actions import CollectDataset, TrainModel
from tilth.plan.snapshot import Pointer
from tilth.ports import registry
from tilth.resources.facts import Facts
from tilth.resources.graph import Graph
from tilth.runtime.act import Act
from tilth.runtime.asking.catalog import SystemTables
from tilth.runtime.keeping import notifying
from tilth.runtime.keeping.notifying import Notifier, pause
from tilth.runtime.moving.publishing import Move, publish, rollback
from tilth.runtime.record import looks, messages, refreshes, runs, writes
from tilth.runtime.record.refreshes import Refresh
from tilth.runtime.record.runs import Begun, Ended
from tilth.runtime.workspace import Workspace
from tilth.sql.language.statements import Kind

BASE = (
    "CREATE SOURCE s ENGINE files WITH (path = '.'); CREATE DATASET d REFRESH EVERY '1 day' AS SELECT * FROM s.t;"
    " CREATE DATASET other AS SELECT * FROM s.u; CREATE MODEL m PREDICT a FROM d RETRAIN WHEN drift > 0.3;"
    " CREATE MODEL n PREDICT a FROM other;"
)
ALL = "failed, refused, rolled_back, late, drift"


def graph(events: str = ALL, of: str = "") -> Graph:
    said = f"CREATE CHANNEL c WITH (url = 'http://x/', key = SECRET 'env:TILTH_TEST_KEY') NOTIFY ON ({events}){of};"
    return compiled(parse(BASE + said), Facts())


@dataclass
class Hook:
    """A webhook that answers what the test says, in turn, and then takes everything."""

    answers: list[str | None] = field(default_factory=list)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def __call__(self) -> "Hook":
        return self

    def post(self, _url: str, headers: dict[str, str], body: bytes) -> str | None:
        self.got.append((headers, body))
        return self.answers.pop(0) if self.answers else None


@dataclass
class Scene:
    work: Workspace
    notifier: Notifier
    hook: Hook
    wall: list[float]
    told: list[str]

    def run(
        self, name: str, action: type = TrainModel, status: str = "failed", kind: Kind = Kind.MODEL
    ) -> None:
        act = Act(self.work, "prod", BY)
        number = runs.start(act, Begun(action.__name__, kind, name, "due"))
        runs.finish(act, number, Ended(status, 1.0, f"{name} is {status}"))

    def step(self, wanted: Graph | None = None, now: Any = NOW) -> list[dict[str, Any]]:
        """What is sent by a step, half a minute after the last one, as far as it was taken or answered."""
        before = len(self.hook.got)
        self.wall[0] += 31
        self.notifier.step(graph() if wanted is None else wanted, now)
        self.settle(now)
        return [json.loads(body)["data"] for _, body in self.hook.got[before:]]

    def settle(self, now: Any = NOW) -> None:
        until = time.monotonic() + 5
        while self.notifier._flying and time.monotonic() < until:
            time.sleep(0.002)
            self.notifier.tend(now)

    def rows(self) -> list[dict[str, Any]]:
        columns, found = self.work.state.table("messages")
        return [dict(zip(columns, r, strict=True)) for r in found]


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setenv("TILTH_TEST_KEY", "k3y")
    hook, wall, told, work = Hook(), [1e9], [], workspace()
    load: Callable[..., Any] = registry.load
    monkeypatch.setattr(registry, "load", lambda g, n: hook if n == "webhook" else load(g, n))
    monkeypatch.setattr(notifying.time, "time", lambda: wall[0])
    made = Scene(work, Notifier(work, "prod", told.append), hook, wall, told)
    publish(work.state, Move("prod", 0, "first", NOW), (Pointer(Kind.SOURCE, "s", "1:s", None, ""),), BY)
    return made


def events(found: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(e["event"], e["subject"]) for data in found for e in data["events"]]


def saw(scene: Scene, model: str, drift: float | None, at: Any = NOW) -> None:
    with scene.work.state.change(BY, show_instant(at)) as change:
        looks.add(change, "prod", Look(model, 1, show_instant(at), (), drift, None, "roc_auc", 0.7, 10, 10))
        change.audit("look", model, {})


def refreshed(scene: Scene, at: Any, status: str = refreshes.PUBLISHED) -> None:
    recipe = graph().get("d").recipe
    with scene.work.state.change(BY, show_instant(at)) as change:
        refreshes.add(change, Refresh("d", recipe, status, at, {}), ())
        change.audit("refresh", "d", {})


def wrote(scene: Scene, *statuses: str, model: str = "m", environment: str = "prod") -> None:
    """Writes into one table, one after another, as `asking.writing` writes them down."""
    for status in statuses:
        with scene.work.state.change(BY, show_instant(NOW)) as change:
            number = writes.begin(change, environment, ("db", "scores"), "insert", (), NOW)
            done = status == writes.DONE
            writes.end(change, number, status, NOW, 1 if done else 0, error=None if done else "no right")
            if done:
                writes.add_model(change, number, writes.Used(model, 1, 1, 1))
            change.audit("written" if done else "not written", "db.scores", {"write": number})


def test_a_new_channel_is_told_of_nothing_that_happened_before(scene: Scene) -> None:
    scene.run("m")
    assert scene.step() == []
    scene.run("d", CollectDataset, kind=Kind.DATASET)
    assert events(scene.step()) == [("failed", "d")]
    assert scene.step() == []


HAPPENED: dict[str, tuple[Callable[[Scene], Any], list[tuple[str, str]]]] = {
    "a training fails": (lambda s: s.run("m"), [("failed", "m")]),
    "a candidate is refused": (lambda s: s.run("m", status="refused"), [("refused", "m")]),
    "a first version is held": (lambda s: s.run("m", status="held"), [("refused", "m")]),
    "an endpoint only waits": (lambda s: s.run("api", CollectDataset, "held"), []),
    "all goes well": (lambda s: s.run("m", status="done"), []),
    "a rollback": (lambda s: (publish(s.work.state, Move("prod", 1, "more", NOW), (Pointer(Kind.SOURCE, "s", "2:s", None, ""),), BY),
                              rollback(s.work.state, "prod", None, BY, NOW)), [("rolled_back", "prod")]),
    "a write that is done": (lambda s: wrote(s, "done"), []),
    "a nightly write fails": (lambda s: wrote(s, "done", "failed"), [("failed", "db.scores")]),
    "it fails each night": (lambda s: wrote(s, "done", "failed", "failed", "done"), [("failed", "db.scores")] * 2),
    "nobody knows whether it is written": (lambda s: wrote(s, "unsure"), [("failed", "db.scores")]),
    "a table that never was written": (lambda s: wrote(s, "failed"), []),
    "a write of another environment": (lambda s: wrote(s, "done", "failed", environment="dev"), []),
    "drift over the model's own limit": (lambda s: saw(s, "m", 0.31), [("drift", "m")]),
    "drift under the model's own limit": (lambda s: saw(s, "m", 0.29), []),
    "drift over the usual limit": (lambda s: saw(s, "n", 0.21), [("drift", "n")]),
    "drift that cannot be told": (lambda s: saw(s, "n", None), []),
    "data that is fresh": (lambda s: refreshed(s, NOW - 2 * DAY), []),
    "data that is overdue": (lambda s: refreshed(s, NOW - 2 * DAY - timedelta(seconds=1)), [("late", "d")]),
    "data whose last refresh failed is told as that": (lambda s: refreshed(s, NOW - 9 * DAY, refreshes.FAILED), []),
}  # fmt: skip


@pytest.mark.parametrize(("happens", "expected"), HAPPENED.values(), ids=HAPPENED)
def test_what_happens_is_told_once(
    scene: Scene, happens: Callable[[Scene], Any], expected: list[tuple[str, str]]
) -> None:
    scene.step()
    happens(scene)
    assert events(scene.step()) == expected
    assert scene.step() == []
    again = Notifier(scene.work, "prod", scene.told.append)  # after a restart
    again.step(graph(), NOW)
    assert not again._flying


@pytest.mark.parametrize(
    ("wanted", "of", "told"),
    [
        ("failed", "", [("failed", "m"), ("failed", "d"), ("failed", "n"), ("failed", "db.scores")]),
        ("refused", "", [("refused", "m")]),
        ("late, drift", "", []),
        (ALL, " FOR MODEL m", [("failed", "m"), ("refused", "m"), ("failed", "d")]),
        (ALL, " FOR MODEL n", [("failed", "n"), ("failed", "db.scores")]),
    ],
)
def test_a_channel_hears_what_it_asks_for(
    scene: Scene, wanted: str, of: str, told: list[tuple[str, str]]
) -> None:
    scene.step(graph(wanted, of))
    scene.run("m")
    scene.run("m", status="refused")
    scene.run("d", CollectDataset, kind=Kind.DATASET)
    scene.run("n")
    wrote(scene, writes.DONE, writes.FAILED, model="n")
    assert events(scene.step(graph(wanted, of))) == told


def test_what_is_so_is_told_when_it_begins_and_when_it_begins_again(scene: Scene) -> None:
    scene.step()
    saw(scene, "m", 0.5)
    assert events(scene.step()) == [("drift", "m")]
    saw(scene, "m", 0.6, NOW + DAY)
    assert scene.step() == []
    saw(scene, "m", 0.1, NOW + 2 * DAY)
    assert scene.step() == []
    saw(scene, "m", 0.5, NOW + 3 * DAY)
    assert events(scene.step()) == [("drift", "m")]


def test_a_flood_is_one_message(scene: Scene) -> None:
    scene.step()
    for _ in range(70):
        scene.run("m")
    (data,) = scene.step()
    assert (data["count"], len(data["events"])) == (70, notifying.LISTED)
    scene.run("m")
    scene.notifier.step(graph(), NOW)  # within the pause
    scene.settle()
    assert len(scene.hook.got) == 1
    assert events(scene.step()) == [("failed", "m")]


def test_what_is_sent_is_a_signed_cloud_event(scene: Scene) -> None:
    scene.step()
    scene.run("m")
    scene.step()
    ((headers, body),) = scene.hook.got
    said = json.loads(body)
    assert {k: said[k] for k in ("specversion", "type", "source", "subject", "id", "datacontenttype")} == {
        "specversion": "1.0", "type": "io.tilth.failed", "source": "/tilth/prod", "subject": "m",
        "id": "prod-c-1", "datacontenttype": "application/json",
    }  # fmt: skip
    assert headers["Content-Type"] == "application/cloudevents+json; charset=utf-8"
    at, _, sign = headers["Tilth-Signature"].partition(",v1=")
    made = hmac.new(b"k3y", at.removeprefix("t=").encode() + b"." + body, hashlib.sha256).hexdigest()
    assert sign == made
    assert b"k3y" not in body


def test_what_is_not_taken_is_sent_again_with_growing_pauses_and_the_same_id(scene: Scene) -> None:
    scene.hook.answers = ["it answered 500", "it did not answer within 10 s"]
    scene.step()
    scene.run("m")
    scene.step()
    for n in (1, 2):
        (row,) = scene.rows()
        assert (row["status"], row["attempts"], row["next_try"] - scene.wall[0]) == ("waiting", n, pause(n))
        scene.wall[0] += pause(n) - 0.5
        scene.notifier.tend(NOW)
        scene.settle()
        assert len(scene.hook.got) == n, "not before its time"
        scene.wall[0] += 1
        scene.notifier.tend(NOW)
        scene.settle()
    (row,) = scene.rows()
    assert (row["status"], row["attempts"], row["error"]) == ("delivered", 3, None)
    assert len({json.loads(body)["id"] for _, body in scene.hook.got}) == 1
    assert scene.told == ["c: a message was not taken: it answered 500, and is tried again"]


def test_what_is_on_its_way_is_not_sent_again_meanwhile(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, post = threading.Event(), scene.hook.post
    monkeypatch.setattr(scene.hook, "post", lambda *a: (gate.wait(5), post(*a))[1])
    scene.step()
    scene.run("m")
    scene.wall[0] += 31
    scene.notifier.step(graph(), NOW)
    for _ in range(3):
        scene.wall[0] += 100
        scene.notifier.tend(NOW)
    gate.set()
    scene.settle()
    assert (len(scene.hook.got), scene.rows()[0]["status"]) == (1, "delivered")


def test_a_channel_that_hangs_keeps_no_other_waiting(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, post, before = threading.Event(), scene.hook.post, threading.active_count()

    def hanging(url: str, headers: dict[str, str], body: bytes) -> str | None:
        if url == "http://x/":
            gate.wait(10)
        return post(url, headers, body)

    monkeypatch.setattr(scene.hook, "post", hanging)
    text = BASE + "".join(
        f"CREATE CHANNEL {name} WITH (url = 'http://{host}/', key = SECRET 'env:TILTH_TEST_KEY') NOTIFY ON (failed);"
        for name, host in (("c", "x"), ("second", "y"), ("third", "z"))
    )
    both = compiled(parse(text), Facts())
    scene.step(both)
    for n in range(1, 4):  # while the first one hangs, the others are told again and again
        scene.run("m")
        scene.wall[0] += 31
        scene.notifier.step(both, NOW)
        until = time.monotonic() + 5
        while len(scene.hook.got) < 2 * n and time.monotonic() < until:
            scene.notifier.tend(NOW)
            time.sleep(0.002)
        assert len(scene.hook.got) == 2 * n
    status = {(r["channel"], r["status"]) for r in scene.rows()}
    gate.set()
    assert ("c", "delivered") not in status
    scene.settle()
    scene.wall[0] += 31
    scene.notifier.tend(NOW)
    scene.settle()
    assert {r["status"] for r in scene.rows() if r["channel"] != "c"} == {"delivered"}
    assert threading.active_count() < before + 10


def test_a_message_that_is_never_taken_is_given_up_and_told(scene: Scene) -> None:
    scene.hook.answers = ["it answered 500"] * 500
    scene.step()
    scene.run("m")
    scene.step()
    for _ in range(400):
        (row,) = scene.rows()
        if row["status"] != "waiting":
            break
        scene.wall[0] = row["next_try"] + 1
        scene.notifier.tend(NOW)
        scene.settle()
    assert row["status"] == "dead"
    assert 90 < row["attempts"] < 130
    assert messages.dead(scene.work.state, "prod") == (messages.Dead("c", 1, "it answered 500"),)
    assert scene.told[-1] == "c: a message was not taken: it answered 500 and is given up"
    (notice,) = SystemTables(scene.work).scan(Scan("notices")).read_all().to_pylist()
    assert (notice["resource"], notice["name"], notice["kind"]) == ("channel", "c", "undelivered")
    assert notice["text"] == "That m failed was not delivered: it answered 500"


def test_what_waits_is_sent_after_a_restart_and_a_secret_that_is_gone_is_said(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.step()
    monkeypatch.delenv("TILTH_TEST_KEY")
    scene.run("m")
    scene.step()
    assert scene.hook.got == []
    (row,) = scene.rows()
    assert (row["status"], "needs the secret `env:TILTH_TEST_KEY`" in row["error"]) == ("waiting", True)
    monkeypatch.setenv("TILTH_TEST_KEY", "k3y")
    scene.notifier = Notifier(scene.work, "prod", scene.told.append)
    assert events(scene.step()) == [("failed", "m")]
    assert scene.rows()[0]["status"] == "delivered"


def test_messages_of_a_channel_that_is_gone_are_given_up(scene: Scene) -> None:
    scene.hook.answers = ["it answered 500"]
    scene.step()
    scene.run("m")
    scene.step()
    other = (
        graph()
        .without("c")
        .with_(
            compiled(
                parse(
                    BASE + "CREATE CHANNEL e WITH (url = 'http://x/', key = SECRET 'env:K') NOTIFY ON (late);"
                ),
                Facts(),
            ).get("e")
        )
    )
    scene.step(other)
    assert [r["status"] for r in scene.rows()] == ["dead"]
    assert scene.rows()[0]["error"] == "there is no such channel any more"
