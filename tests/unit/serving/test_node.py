"""A node on real bundles, in this process: what it serves, swaps to, refuses, and how rollouts end."""

import asyncio
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import http_server
import shop_project
from http_server import ROW
from tilth.app.project import Project
from tilth.core.errors import InputError, UnknownNameError
from tilth.core.principals import person
from tilth.core.time import parse_instant
from tilth.interfaces.http.door import Door
from tilth.interfaces.http.predictions import predict
from tilth.ml.watching.rollout import Progress, Stage
from tilth.ports.predictions import MemoryLog
from tilth.runtime.act import Act
from tilth.runtime.keeping.reconciler import Reconciler
from tilth.runtime.loading import version_of
from tilth.runtime.moving.publishing import rollback
from tilth.runtime.record import environments
from tilth.runtime.serving import rollouts
from tilth.runtime.serving.answering import WAITING, Answering, Route, Side
from tilth.runtime.serving.node import Node, NotServingError
from tilth.sql.language.statements import Kind

BY = person("test")

BODY = json.dumps(ROW).encode()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two projects: one whose two versions are alike, one whose second version needs one more input."""
    root = tmp_path_factory.mktemp("shops")
    alike = http_server.applied(root / "alike", http_server.staged())
    project = shop_project.opened(alike)
    shop_project.trained_again(project, "late")
    project.close()
    needy = http_server.applied(root / "needy", http_server.staged(http_server.NARROW))
    (needy / "shop.sql").write_text(http_server.staged())
    project = shop_project.opened(needy)
    project.apply()
    project.close()
    return {"alike": alike, "needy": needy}


class Served:
    """A project, its node, and what answers; `later` is done when asked for."""

    def __init__(self, project: Project) -> None:
        self.project, self.work = project, project.work()
        self.said: list[str] = []
        self.node = Node(self.work, "prod", tell=self.said.append)
        self.log = MemoryLog()
        self.waiting: list[Callable[[], None]] = []
        self.answering = Answering(self.log, self.work.clock, self.waiting.append, self.said.append)

    def ask(self, body: bytes = BODY) -> dict[str, Any]:
        answer, _ = self.answering.one(self.node.route("late_api"), body)
        while self.waiting:
            self.waiting.pop(0)()
        found: dict[str, Any] = json.loads(answer)
        return found

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(r) for r in self.log.records()]

    def revision(self) -> dict[str, Any]:
        return dict(self.work.state.read("latest_revisions", environment="prod")[0])

    def at(self, version: int) -> int:
        """Publish a generation with the model at this version, as a rollback does: at once."""
        number, pointers = environments.pointers_of(self.work.state, "prod")
        for row in self.work.state.read("generations", environment="prod", limit=50):
            old = self.work.state.read("pointers", environment="prod", generation=row["number"])
            if any(p["kind"] == "model" and p["name"] == "late" and p["target"] == str(version) for p in old):
                return rollback(self.work.state, "prod", int(row["number"] or 0), BY, self.work.clock.now())
        raise AssertionError((number, pointers))


@pytest.fixture
def served(made: dict[str, Path], tmp_path: Path) -> Iterator[Callable[[str], Served]]:
    opened = []

    def get(name: str) -> Served:
        opened.append(http_server.copied(made[name], tmp_path / name))
        return Served(opened[-1])

    yield get
    for project in opened:
        project.close()


def test_before_the_first_generation_there_is_a_next_step(tmp_path: Path) -> None:
    project = shop_project.opened(shop_project.make(tmp_path / "shop"))
    node = Node(project.work(), "prod")
    node.refresh()
    assert node.health()["status"] == "starting"
    with pytest.raises(NotServingError, match="nothing was applied") as caught:
        node.route("late_api")
    assert caught.value.http_status == 503
    assert "tilth apply" in str(caught.value.hint)
    project.close()


def test_an_unknown_endpoint_gets_the_nearest(served: Callable[[str], Served]) -> None:
    one = served("alike")
    one.node.refresh()
    with pytest.raises(UnknownNameError, match="late_apo") as caught:
        one.node.route("late_apo")
    assert "late_api" in str(caught.value.hint)


def test_what_is_under_way_ends_on_the_old_version(served: Callable[[str], Served]) -> None:
    one = served("alike")
    one.at(1)
    one.node.refresh()
    route = one.node.route("late_api")
    one.at(2)
    one.node.refresh()
    under_way, side = one.answering.one(route, BODY)
    assert json.loads(under_way)["version"] == side.version == 1
    assert one.ask()["version"] == 2
    assert one.node.figures.swaps == 2


def test_a_state_that_moved_elsewhere_swaps_nothing(served: Callable[[str], Served]) -> None:
    one = served("alike")
    one.node.refresh()
    table = one.node.table
    with one.work.state.change(BY, "2024-05-01T00:00:00.000000Z") as change:
        change.audit("look", "nothing", {})
    one.node.refresh()
    assert one.node.table is table


def test_a_node_says_which_generation_it_serves(served: Callable[[str], Served]) -> None:
    one = served("alike")
    one.node.start("prod-1", "http://127.0.0.1:1")
    try:
        made = one.at(1)
        http_server.wait(
            lambda: [
                n for n in one.work.state.read("nodes") if n["name"] == "prod-1" and n["generation"] == made
            ]
        )
        assert one.node.table is not None
        assert one.node.table.generation == made
        assert one.ask()["version"] == 1
    finally:
        one.node.stop()


def tampered(one: Served, version: int) -> tuple[Path, bytes]:
    """Flip one bit of a version's bundle; the file and what it was."""
    row = one.work.state.read("version", model="late", version=version)[0]
    path = Path(one.work.bundles.path(str(row["digest"]))) / "member.json"
    whole = path.read_bytes()
    os.chmod(path, 0o600)
    path.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    return path, whole


def test_a_bundle_with_one_flipped_bit_is_not_taken_and_the_old_version_goes_on(
    served: Callable[[str], Served],
) -> None:
    one = served("alike")
    first = one.at(1)
    one.node.refresh()
    path, whole = tampered(one, 2)
    second = one.at(2)
    one.node.refresh()
    assert one.ask()["version"] == 1
    health = one.node.health()
    assert (health["status"], health["generation"]) == ("degraded", first)
    assert "member.json" in str(health["reasons"])
    assert one.node.figures.rejected == 1
    one.node.refresh()
    assert one.node.figures.rejected == 1, "it is told once"
    path.write_bytes(whole)
    one.node.refresh()
    assert one.ask()["version"] == 2
    assert (one.node.health()["status"], one.node.health()["generation"]) == ("ok", second)


def test_a_node_that_starts_with_a_broken_bundle_says_so_and_serves_the_rest(
    served: Callable[[str], Served],
) -> None:
    one = served("alike")
    one.at(1)
    tampered(one, 1)
    one.node.refresh()
    assert one.node.health()["status"] == "degraded"
    with pytest.raises(NotServingError, match=r"member\.json"):
        one.node.route("late_api")


def test_a_state_edited_by_hand_is_not_served(served: Callable[[str], Served]) -> None:
    import sqlite3

    one = served("alike")
    one.at(1)
    one.node._turn()
    db = sqlite3.connect(one.work.root + "/.tilth/state.db")
    db.execute("UPDATE pointers SET target = '2' WHERE kind = 'model' AND name = 'late'")
    db.commit()
    db.close()
    one.node._turn()
    assert one.node.health()["status"] == "degraded"
    assert one.ask()["version"] == 1


# --- rollouts ----------------------------------------------------------------------------------------------


def test_a_good_version_goes_from_shadow_to_canary_to_full(served: Callable[[str], Served]) -> None:
    one = served("alike")
    one.node.refresh()
    assert one.revision()["stage"] == "shadow"
    assert {one.ask()["version"] for _ in range(20)} == {1}
    one.node._turn()
    assert one.revision()["stage"] == "canary"
    answers = [one.ask()["version"] for _ in range(40)]
    assert answers.count(2) == 20
    one.node._turn()
    found = one.revision()
    assert (found["stage"], found["version"]) == ("full", 2)
    assert json.loads(found["counts"])["requests"] == 20
    assert {one.ask()["version"] for _ in range(5)} == {2}
    roles = [(r["role"], r["version"]) for r in one.records()]
    assert roles.count(("shadow", 2)) == 20
    assert roles.count(("canary", 2)) == 20
    assert roles.count(("champion", 1)) == 40
    assert roles.count(("champion", 2)) == 5
    assert len({r["id"] for r in one.records()}) == len(roles)


def test_the_stage_that_was_seen_holds_before_it_is_written(served: Callable[[str], Served]) -> None:
    one = served("alike")
    one.node.refresh()
    for _ in range(60):
        one.ask()
    assert one.node.route("late_api").live_stage == "full"
    assert one.revision()["stage"] == "shadow"
    assert one.ask()["version"] == 2
    one.node.stop()
    assert one.revision()["stage"] == "full"


def test_a_version_that_needs_another_input_is_rolled_back_and_no_request_fails(
    served: Callable[[str], Served],
) -> None:
    one = served("needy")
    one.node.refresh()
    old = json.dumps({k: v for k, v in ROW.items() if k != "distance"}).encode()
    for _ in range(30):
        assert one.ask(old)["version"] == 1
    one.node._turn()
    found = one.revision()
    assert found["stage"] == "rolled_back"
    assert "1 of 1 requests failed" in found["reason"]
    _, pointers = environments.pointers_of(one.work.state, "prod")
    model = next(p for p in pointers if p.kind is Kind.MODEL and p.name == "late")
    version = one.work.state.read("version", model="late", version=1)[0]
    assert (model.target, model.recipe) == ("1", version["recipe"])
    assert "minutes, distance" in model.text, "the declaration it was made from"
    assert one.work.state.read("version", model="late", version=2)[0]["status"] == "refused"
    assert one.work.state.verify_audit()
    assert one.ask(old)["version"] == 1
    assert one.node.health()["status"] == "ok"


def test_a_request_that_fits_no_version_is_the_clients_and_counts_for_none(
    served: Callable[[str], Served],
) -> None:
    one = served("alike")
    one.node.refresh()
    for _ in range(20):
        one.ask()
    assert one.node.route("late_api").live_stage == "canary"
    for _ in range(20):
        with pytest.raises(InputError, match="carrier"):
            one.ask(b'{"ordered_at": "2024-04-30T20:00:00", "distance": 1}')
    rolling = one.node.route("late_api").rolling
    assert rolling is not None
    assert rolling.progress.errors == 0
    assert len([r for r in one.records() if r["role"] != "shadow"]) == 20


def test_counts_outlive_the_process(served: Callable[[str], Served]) -> None:
    one = served("alike")
    one.node.refresh()
    for _ in range(15):
        one.ask()
    one.node.stop()
    assert json.loads(one.revision()["counts"])["requests"] == 15
    again = Served(one.project)
    again.node.refresh()
    for _ in range(5):
        again.ask()
    assert again.node.route("late_api").live_stage == "canary"


def test_a_rollout_whose_declaration_changes_goes_on_by_the_new_one(served: Callable[[str], Served]) -> None:
    one = served("alike")
    one.node.refresh()
    for _ in range(5):
        one.ask()
    text = Path(one.work.root, "shop.sql").read_text()
    Path(one.work.root, "shop.sql").write_text(text.replace("'20 requests'", "'6 requests'"))
    one.project.apply()
    one.node.refresh()
    one.ask()
    assert one.node.route("late_api").live_stage == "canary"


def test_a_stage_never_goes_back(served: Callable[[str], Served]) -> None:
    one = served("alike")
    number, at = one.revision()["revision"], one.work.clock.now()
    canary, full = Progress(Stage.CANARY, 3), Progress(Stage.FULL, 20, reason="canary passed")
    assert rollouts.decide(Act(one.work, "prod", BY), "late_api", number, canary, at)
    assert not rollouts.decide(Act(one.work, "prod", BY), "late_api", number, Progress(Stage.SHADOW, 5), at)
    assert rollouts.decide(Act(one.work, "prod", BY), "late_api", number, full, at)
    for later in (canary, full, Progress(Stage.ROLLED_BACK, 1, reason="late")):
        assert not rollouts.decide(Act(one.work, "prod", BY), "late_api", number, later, at)
    assert one.revision()["stage"] == "full"
    assert not rollouts.decide(Act(one.work, "prod", BY), "late_api", 99, full, at)


def test_another_servers_decision_is_taken_over(served: Callable[[str], Served]) -> None:
    one = served("alike")
    one.node._turn()
    one.ask()
    other = Served(one.project)
    other.node._turn()
    for _ in range(60):
        other.ask()
    other.node._turn()
    assert one.revision()["stage"] == "full"
    one.node.refresh()
    assert one.ask()["version"] == 2


def test_requests_that_the_shadow_has_no_time_for_are_counted(served: Callable[[str], Served]) -> None:
    one = served("alike")
    one.node.refresh()
    route = one.node.route("late_api")
    route = replace(
        route, rolling=replace(route.rolling, rollout=replace(route.rolling.rollout, shadow_requests=9999))
    )
    for _ in range(WAITING + 10):
        one.answering.one(route, BODY)
    assert one.answering.shadows_skipped == 10


def test_many_rows_are_one_request_of_a_rollout(served: Callable[[str], Served]) -> None:
    one = served("alike")
    one.node.refresh()
    reply = asyncio.run(one.answering.many(one.node.route("late_api"), [BODY] * 30, None))
    while one.waiting:
        one.waiting.pop(0)()
    rolling = one.node.route("late_api").rolling
    assert rolling is not None
    assert (rolling.progress.requests, len(reply.rows)) == (1, 30)
    assert len([r for r in one.records() if r["role"] == "shadow"]) == 30


def canary(one: Served, candidate: Side | None = None, share: float = 0.5) -> Route:
    """The endpoint's route in its canary, which never ends."""
    one.node.refresh()
    route = one.node.route("late_api")
    assert route.rolling is not None
    rollout = replace(route.rolling.rollout, canary_share=share, canary_requests=10_000, max_error_rate=1.0)
    rolling = replace(route.rolling, rollout=rollout, progress=Progress(Stage.CANARY))
    return replace(route, rolling=rolling, candidate=candidate or route.candidate)


@pytest.mark.parametrize("share", [0.5, 0.1])
@pytest.mark.parametrize("shape", ["a row", "rows", "an array", "a row with outputs", "both kinds in turns"])
def test_a_canary_gets_its_share_of_requests_of_every_shape(
    served: Callable[[str], Served], share: float, shape: str
) -> None:
    one = served("alike")
    route = canary(one, share=share)
    door = Door(one.node, one.answering, None, None, None)  # type: ignore[arg-type]
    bodies = {
        "a row": [(BODY, b"")],
        "rows": [(json.dumps({"rows": [ROW, ROW]}).encode(), b"")],
        "an array": [(json.dumps([ROW]).encode(), b"")],
        "a row with outputs": [(BODY, b"outputs=late")],
        "both kinds in turns": [(json.dumps({"rows": [ROW]}).encode(), b""), (BODY, b"")],
    }[shape]

    async def ask(body: bytes, query: bytes) -> int:
        _, side, _ = door._short(route, body, query)
        return (
            side.version
            if side is not None
            else (await predict(one.answering, route, body, query))[1].side.version
        )

    async def versions() -> list[int]:
        return [await ask(*bodies[n % len(bodies)]) for n in range(100)]

    assert asyncio.run(versions()).count(2) == round(100 * share)


@pytest.mark.parametrize("rows", [1, 60])
@pytest.mark.parametrize(("threshold", "stage"), [(None, Stage.FULL), (0.0, Stage.ROLLED_BACK)])
def test_the_canary_is_compared_with_the_old_version_too(
    served: Callable[[str], Served], rows: int, threshold: float | None, stage: Stage
) -> None:
    one = served("alike")
    route = canary(one)
    rolling = route.rolling
    assert rolling is not None
    assert route.candidate is not None
    if threshold is not None:  # the new version says the positive class of every row, the old one of none
        for side, at in ((route.champion, 1.0), (route.candidate, 0.0)):
            side.model._meaning = replace(side.model.meaning, threshold=at)
    rolling.rollout = replace(rolling.rollout, canary_requests=20, max_disagreement=0.05)
    body = json.dumps([ROW] * rows if rows > 1 else ROW).encode()
    for _ in range(40):
        asyncio.run(predict(one.answering, route, body, b""))
    assert rolling.progress.stage is stage
    assert ("answers differed, over max_disagreement" in rolling.progress.reason) is (
        stage is Stage.ROLLED_BACK
    )


def test_a_canary_that_nobody_asks_is_held_and_rolled_back_at_its_deadline_by_the_reconciler(
    served: Callable[[str], Served],
) -> None:
    one = served("alike")
    path = Path(one.work.root, "shop.sql")
    path.write_text(path.read_text().replace("'20 requests'", "'20 requests', deadline = '1 day'"))
    one.project.apply()
    number, began = one.revision()["revision"], parse_instant(one.revision()["created_at"])
    lines: list[str] = []
    loop = Reconciler(one.work, "prod", lambda: one.project.deployed("prod"), tell=lines.append)
    loop.step(began + timedelta(hours=23, minutes=59))
    assert one.revision()["stage"] == "shadow"
    loop.step(began + timedelta(days=1))
    found = one.work.state.read("revision", environment="prod", endpoint="late_api", revision=number)[0]
    assert found["stage"] == "rolled_back"
    assert "shadow: 0 of 20 requests came within the deadline of 1 day" in str(found["reason"])
    assert any("late_api: rolled_back: shadow: 0 of 20 requests" in line for line in lines)
    one.node.refresh()
    assert one.ask()["version"] == 1
    assert one.work.state.read("version", model="late", version=2)[0]["status"] == "refused"


@pytest.mark.parametrize("many", [False, True])
def test_a_request_that_lacks_a_required_key_counts_for_no_version(
    served: Callable[[str], Served], many: bool
) -> None:
    one = served("alike")
    route = replace(canary(one), require_key=True)
    body = json.dumps({k: v for k, v in ROW.items() if k != "id"}).encode()
    assert route.rolling is not None
    for _ in range(4):
        with pytest.raises(InputError, match="requires its key, and `id` is missing"):
            if many:
                asyncio.run(one.answering.many(route, [BODY, body], None))
            else:
                one.answering.one(route, body)
    assert (route.rolling.progress.requests, route.rolling.ordinal, one.records()) == (0, 0, [])


def test_a_key_that_the_model_does_not_take_is_said(served: Callable[[str], Served]) -> None:
    one = served("alike")
    one.node.refresh()
    side = Side(one.node.route("late_api").champion.model, "late_api", "prod", ("ID", "parcel"))
    row = side.model.decode(BODY)
    assert side.lacks(row)
    with pytest.raises(InputError, match="`parcel` is missing") as caught:
        side.require(row)
    assert "does not take parcel: make it the KEY" in str(caught.value.hint)


@pytest.mark.parametrize("body", [b"{}", b"[{}]", b'{"rows": [{}]}', b'{"rows": 3}', b"nonsense"])
def test_a_request_that_is_refused_takes_no_turn(served: Callable[[str], Served], body: bytes) -> None:
    one = served("alike")
    route = canary(one)
    door = Door(one.node, one.answering, None, None, None)  # type: ignore[arg-type]
    assert route.rolling is not None
    for _ in range(5):
        with pytest.raises(InputError):
            door._short(route, body, b"")
            asyncio.run(predict(one.answering, route, body, b""))
    assert (route.rolling.ordinal, route.rolling.progress.requests) == (0, 0)


def test_a_candidate_without_the_output_that_is_asked_for_is_at_fault(
    served: Callable[[str], Served],
) -> None:
    one = served("alike")
    other = version_of(one.work, "duration", 1)  # it says `minutes`, not `late`
    route = canary(one, Side(other, "late_api", "prod"))
    replies = [asyncio.run(predict(one.answering, route, BODY, b"outputs=late")) for _ in range(10)]
    assert [set(json.loads(p)) - {"version", "digest", "id"} for p, _ in replies] == [{"late"}] * 10
    assert route.rolling is not None
    assert (route.rolling.progress.requests, route.rolling.progress.errors) == (5, 5)
    assert any("has no output `late`" in line for line in one.said)
    with pytest.raises(UnknownNameError, match="laet"):
        asyncio.run(predict(one.answering, route, BODY, b"outputs=laet"))
    assert route.rolling.ordinal == 10


def test_a_look_that_fails_is_made_again_after_a_while(
    served: Callable[[str], Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = served("alike")
    looks = []

    def fails() -> None:
        looks.append(1)
        raise OSError("the disk is away")

    with monkeypatch.context() as broken:
        broken.setattr(one.node, "refresh", fails)
        for _ in range(100):
            one.node._turn()
    assert len(looks) == 1
    assert one.node.health()["status"] == "starting"
    assert [line for line in one.said if "the disk is away" in line] == [one.said[0]]
    one.node._rest = one.node._again = 0.0
    one.node._turn()
    assert one.node.health()["status"] == "ok"


def test_versions_used_before_are_kept_in_memory(served: Callable[[str], Served]) -> None:
    one = served("alike")
    one.at(1)
    one.node.refresh()
    one.at(2)
    one.node.refresh()
    row = one.work.state.read("version", model="late", version=1)[0]
    shutil.move(one.work.bundles.path(str(row["digest"])), one.work.root + "/away")
    one.at(1)
    one.node.refresh()
    assert one.ask()["version"] == 1
