"""An apply over a state in memory and a file of rows: what is done, what waits, and what is pointed at when a gate holds.

Nothing is trained: a candidate that was sealed for the recipe and the snapshot is taken up, and those here are by hand.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from memories import BY, DAY, NOW, gate, manifest, published, remember, sealed, stocked, version

from handmade import files
from tilth.adapters.engines.duckdb_engine import DuckDBEngine
from tilth.core.errors import SourceError, StateChangedError, TilthError
from tilth.kinds import compile as compiled
from tilth.kinds import parse
from tilth.plan.actions import CollectDataset, DropResource, Plan, TrainModel
from tilth.plan.snapshot import Pointer
from tilth.resources.facts import Facts
from tilth.resources.graph import Graph
from tilth.runtime.act import Act
from tilth.runtime.applying.executor import Applied, _waits, apply
from tilth.runtime.applying.handlers import DONE, FAILED, HELD, REFUSED, Run, _champion, _has_won, datasets
from tilth.runtime.record import environments, runs, snapshots, versions
from tilth.runtime.workspace import Workspace
from tilth.sql.language.statements import Kind

START = datetime(2024, 1, 1)
ROWS = 400
RNG = np.random.default_rng(5)
X, Z = RNG.normal(size=ROWS), RNG.normal(size=ROWS)
TRUE = X + RNG.normal(0, 0.7, ROWS) > 0
GOOD, POOR, BAD = (
    files({"x": x, "z": z}, key=("id",), event_time="at") for x, z in ((3.0, 0.0), (1.0, 2.0), (-3.0, 0.0))
)
SOURCE = "CREATE SOURCE ops ENGINE files WITH (path = '.');"
DATA = "CREATE DATASET d KEY (id) EVENT TIME at AS SELECT * FROM ops.t;"
MODEL = "CREATE MODEL m PREDICT y FROM d{};"
SERVED = "CREATE ENDPOINT api FOR MODEL m{};"
SEED = " USING (seed = {})"


def graph(*declared: str) -> Graph:
    return compiled(parse(" ".join(declared)), Facts())


ROWS_ONLY = graph(SOURCE, DATA)
ALL = graph(SOURCE, DATA, MODEL.format(""), SERVED.format(""))
CHANGED = graph(SOURCE, DATA, MODEL.format(SEED.format(8)), SERVED.format(""))


@pytest.fixture
def work(tmp_path: Path) -> Workspace:
    """A project whose file of rows is there."""
    lines = [
        f"{n},{START + timedelta(hours=2 * n)},{X[n]:.6f},{Z[n]:.6f},{str(TRUE[n]).lower()}"
        for n in range(ROWS)
    ]
    (tmp_path / "t.csv").write_text("\n".join(["id,at,x,z,y", *lines]) + "\n")
    engine = DuckDBEngine([str(tmp_path)])
    return replace(stocked(), root=str(tmp_path), engine_of=lambda: engine)


def applied(work: Workspace, wanted: Graph, environment: str = "prod", **more: Any) -> Applied:
    return apply(Act(work, environment, BY), wanted, **more)


def candidate(work: Workspace, wanted: Graph, number: int, made: Any, **more: Any) -> None:
    """A version that was sealed for what is wanted, and waits for its gate."""
    snapshot = snapshots.ids(work.state)[-1]
    said = {"tuned_until": "2024-01-10T00:00:00.000000Z", "split": {"by": "event time", "ids": 2}}
    sealed(work, number, made, snapshot, recipe=wanted.get("m").recipe, **said | more)


def targets(work: Workspace, environment: str = "prod") -> dict[str, str | None]:
    _, pointers = environments.pointers_of(work.state, environment)
    return {p.name: p.target for p in pointers}


def statuses(found: Applied) -> dict[str, str]:
    return {d.action.name: d.status for d in found.did}


def recorded(work: Workspace) -> dict[str, tuple[str, str | None]]:
    """The last run of each name."""
    found = work.state.read("recent_runs", environment="prod", limit=50)
    return {str(r["name"]): (str(r["status"]), r["error"]) for r in reversed(found)}  # type: ignore[misc]


@pytest.fixture
def served(work: Workspace) -> Workspace:
    """Version 1, a good one, serves."""
    applied(work, ROWS_ONLY)
    candidate(work, ALL, 1, GOOD)
    applied(work, ALL)
    return work


def test_what_passes_its_gate_is_pointed_at_and_served(work: Workspace) -> None:
    first = applied(work, ROWS_ONLY)
    assert statuses(first) == {"ops": DONE, "d": DONE}
    assert targets(work) == {"ops": None, "d": snapshots.ids(work.state)[0]}
    candidate(work, ALL, 1, GOOD)
    found = applied(work, ALL)
    assert statuses(found) == {"m": DONE, "api": DONE}
    assert (found.generation, found.refusals, found.errors) == (2, (), ())
    assert targets(work) | {"d": "", "ops": ""} == {"d": "", "ops": "", "m": "1", "api": "1"}
    assert recorded(work)["m"] == ("done", None)
    assert applied(work, ALL).did == ()


def test_a_first_version_that_is_refused_leaves_its_endpoint_waiting(work: Workspace) -> None:
    applied(work, ROWS_ONLY)
    candidate(work, ALL, 1, BAD)
    found = applied(work, ALL)
    assert statuses(found) == {"m": REFUSED, "api": HELD}
    assert found.did[1].text == "waits for a version of `m` that passes its gate"
    assert (found.generation, found.refusals) == (1, found.did)
    assert set(targets(work)) == {"ops", "d"}
    status, error = recorded(work)["m"]
    assert (status, "baseline" in str(error)) == ("refused", True)


LEAK = {"leaks": [{"column": "x", "seen": "tells all"}]}


@pytest.mark.parametrize(
    ("made", "more", "status"), [(POOR, {}, REFUSED), (GOOD, LEAK, HELD)], ids=["worse", "a leak"]
)
def test_where_a_gate_holds_the_champion_stays_and_elsewhere_the_version_is_taken(
    served: Workspace, made: Any, more: Any, status: str
) -> None:
    candidate(served, CHANGED, 2, made, **more)
    found = applied(served, CHANGED)
    assert (statuses(found), found.generation) == ({"m": status}, 2)
    assert targets(served)["m"] == "1"
    assert found.refusals == found.did
    there = applied(served, CHANGED, "dev")
    assert statuses(there) == {"ops": DONE, "d": DONE, "m": DONE, "api": DONE}
    assert targets(served, "dev")["m"] == "2"


def test_a_candidate_elsewhere_is_judged_against_what_serves_and_taken_all_the_same(
    served: Workspace,
) -> None:
    applied(served, ROWS_ONLY, "dev")
    candidate(served, CHANGED, 2, POOR)
    found = applied(served, CHANGED, "dev")
    one = next(d for d in found.did if d.action.name == "m")
    assert (one.status, "Gates hold in `prod`; here it is taken all the same." in one.text) == (DONE, True)
    assert "champion" in one.text
    assert (targets(served, "dev")["m"], targets(served)["m"]) == ("2", "1")
    assert versions.require(served.state, "m", 2).status == "refused"


def test_a_generation_says_what_was_done_and_not_what_was_refused(served: Workspace) -> None:
    candidate(served, CHANGED, 2, POOR)
    wanted = graph(
        SOURCE, DATA, MODEL.format(SEED.format(8)), SERVED.format(" ROLLOUT (shadow = '9 requests')")
    )
    found = applied(served, wanted)
    assert statuses(found) == {"m": REFUSED, "api": DONE}
    made = environments.generation(served.state, "prod", found.generation)
    assert made is not None
    assert (made.number, made.reason.startswith("api: changed"), "m:" in made.reason) == (3, True, False)


def test_a_changed_declaration_keeps_what_it_points_at_and_a_dropped_one_goes(served: Workspace) -> None:
    wanted = graph(SOURCE, DATA, MODEL.format(" RETRAIN WHEN age > '9 days'"))
    found = applied(served, wanted)
    assert statuses(found) == {"m": DONE, "api": DONE}
    assert (targets(served)["m"], "api" in targets(served)) == ("1", False)
    _, pointers = environments.pointers_of(served.state, "prod")
    assert "9 days" in next(p.text for p in pointers if p.name == "m")


def test_a_version_that_won_elsewhere_is_shared_and_one_that_did_not_is_judged_anew(
    served: Workspace,
) -> None:
    """Version 2 passed as the first of dev, so that nobody knows whether it beats what serves."""
    candidate(served, CHANGED, 2, POOR, status="promoted")
    found = applied(served, CHANGED)
    (one,) = found.did
    assert (one.status, one.text.startswith("version 2, judged anew with roc_auc")) == (REFUSED, True)
    assert targets(served)["m"] == "1"
    shared = applied(served, CHANGED, "dev")
    assert (
        next(d.text for d in shared.did if d.action.name == "m").startswith("version 2, judged anew") is False
    )
    assert targets(served, "dev")["m"] == "2"


def test_a_version_that_beat_what_serves_is_shared(served: Workspace) -> None:
    candidate(served, CHANGED, 2, POOR, status="promoted")
    remember(served, gate(2, 1, lower=0.01, upper=0.2))
    (one,) = applied(served, CHANGED).did
    assert (one.status, one.text) == (DONE, "shares version 2")
    assert targets(served)["m"] == "2"


@pytest.mark.parametrize("generation", [0, 1, 3])
def test_a_plan_of_another_generation_is_not_performed(served: Workspace, generation: int) -> None:
    before = served.state.verify_audit()
    with pytest.raises(StateChangedError, match=f"it began at {generation}"):
        applied(served, ALL, plan=Plan("prod", generation, (DropResource(Kind.ENDPOINT, "api", "test"),)))
    assert ("api" in targets(served), served.state.verify_audit()) == (True, before)
    given = applied(served, ALL, plan=Plan("prod", 2, (DropResource(Kind.ENDPOINT, "api", "test"),)))
    assert (given.generation, "api" in targets(served)) == (3, False)


# --- what fails and what waits -----------------------------------------------------------------------------

STOPS = DATA.replace(" AS ", " EXPECT (x > 99 ON FAIL STOP) AS ")
BROKEN = graph(SOURCE, STOPS, MODEL.format(""), SERVED.format(""))


def test_an_error_ends_an_apply_and_nothing_is_pointed_at(work: Workspace) -> None:
    told: list[str] = []
    with pytest.raises(TilthError, match="x > 99"):
        applied(work, BROKEN, tell=lambda did: told.append(f"{did.action.name} {did.status}"))
    assert told == ["ops done", "d failed"]
    assert environments.current_number(work.state, "prod") == 0


def test_the_reconciler_does_the_rest_and_what_needs_what_failed_waits(work: Workspace) -> None:
    found = applied(work, BROKEN, go_on=True)
    assert statuses(found) == {"ops": DONE, "d": FAILED, "m": HELD, "api": HELD}
    assert found.did[2].text.startswith("waits for `d`, which was not made: ")
    assert found.did[3].text.startswith("waits for `m`, which was not made: waits for `d`")
    assert (found.errors, found.refusals) == (found.did[1:2], found.did[2:])
    assert (found.generation, targets(work)) == (1, {"ops": None})
    assert recorded(work)["m"][0] == "held"
    assert recorded(work)["d"] == ("failed", found.did[1].text)


def test_what_cannot_be_bound_is_said_before_anything_is_done_but_to_the_reconciler(work: Workspace) -> None:
    wanted = graph(SOURCE, DATA, MODEL.format("").replace("PREDICT y", "PREDICT nosuch"))
    with pytest.raises(TilthError, match="nosuch"):
        applied(work, wanted)
    assert (recorded(work), snapshots.ids(work.state)) == ({}, ())
    with pytest.raises(TilthError, match="nosuch"):
        applied(work, wanted, go_on=True)
    found = applied(work, wanted, go_on=True, bind=False)
    assert statuses(found) == {"ops": DONE, "d": DONE, "m": FAILED}
    assert set(targets(work)) == {"ops", "d"}
    with pytest.raises(TilthError, match="nosuch") as raised:
        found.whole()
    assert raised.value.detail[-1] == "What succeeded is published: prod is at generation 1."


def test_what_failed_and_is_declared_no_more_is_over(work: Workspace) -> None:
    found = applied(work, graph(SOURCE, DATA, STOPS.replace("DATASET d", "DATASET e")), go_on=True)
    assert statuses(found) == {"ops": DONE, "d": DONE, "e": FAILED}
    assert [u.name for u in runs.unsettled(work.state, "prod", 9)] == ["e"]
    assert applied(work, ROWS_ONLY, go_on=True).did == ()
    assert runs.unsettled(work.state, "prod", 9) == ()


def test_rows_that_changed_stay_with_the_served_model_that_failed(served: Workspace) -> None:
    before = targets(served)
    wanted = graph(SOURCE, DATA.replace("*", 'id, "at", x, y'), MODEL.format(""), SERVED.format(""))
    (Path(served.root) / "u.csv").write_text("id,v\n1,2\n")
    more = graph(*(r.text for r in wanted), "CREATE DATASET u AS SELECT * FROM ops.u;")
    found = applied(served, more, go_on=True)
    assert statuses(found) == {"d": DONE, "m": FAILED, "u": DONE}
    assert [(n.name, n.text) for n in found.stays] == [
        ("d", "stays as it was: `m` was not made anew and needs it so")
    ]
    assert {k: v for k, v in targets(served).items() if k != "u"} == before
    assert (found.moved, targets(served)["u"] is not None) == (True, True)
    assert environments.generation(served.state, "prod", found.generation).reason == "u: new"


def test_a_source_that_is_gone_is_an_error_of_the_apply(work: Workspace) -> None:
    (Path(work.root) / "t.csv").unlink()
    with pytest.raises((SourceError, TilthError)):
        applied(work, ROWS_ONLY)
    assert environments.current_number(work.state, "prod") == 0


def run(work: Any, *pointers: Pointer, environment: str = "prod", wanted: Graph = ALL) -> Run:
    nothing: Any = None
    known = {(p.kind, p.name): p for p in pointers}
    return Run(Act(work, environment, BY), wanted, {}, known, gates=environment == "prod", jobs=nothing)


def at(kind: Kind, name: str, target: str | None = None, recipe: str = "") -> Pointer:
    return Pointer(kind, name, recipe or ALL.get(name).recipe, target, "")


OLD = at(Kind.DATASET, "d", "s", "1:before")
WAITS: dict[str, tuple[tuple[Pointer, ...], Any, dict[str, str], str | None]] = {
    "nothing is lost": ((), TrainModel("m", "", ""), {}, None),
    "what it needs is lost": ((), TrainModel("m", "", ""), {"d": "why"}, "waits for `d`, which was not made: why"),
    "what another needs is lost": ((), CollectDataset("d", "", ""), {"m": "why"}, None),
    "its rows are of an earlier declaration": ((OLD,), TrainModel("m", "", ""), {}, "waits for `d`, which is not yet collected"),
    "its rows are of this one": ((at(Kind.DATASET, "d", "s"),), TrainModel("m", "", ""), {}, None),
    "a drop waits for nothing": ((OLD,), DropResource(Kind.ENDPOINT, "m", ""), {"d": "why"}, None),
    "a drop of what is declared no more": ((), DropResource(Kind.ENDPOINT, "gone", ""), {"d": "why"}, None),
}  # fmt: skip


@pytest.mark.parametrize(("pointers", "action", "lost", "says"), WAITS.values(), ids=WAITS)
def test_an_action_waits_for_what_it_is_made_from(
    pointers: tuple[Pointer, ...], action: Any, lost: dict[str, str], says: str | None
) -> None:
    found = _waits(run(stocked(), *pointers), action, lost)
    assert (found is None) == (says is None)
    assert says is None or (found or "").startswith(says)


# --- champions ---------------------------------------------------------------------------------------------


def with_versions() -> Workspace:
    work = stocked()
    statuses_of = {1: "promoted", 2: "promoted", 3: "refused", 4: "candidate"}
    remember_versions = [version(n, s, NOW - n * DAY) for n, s in statuses_of.items()]
    with work.state.change(BY, "2024-06-01T00:00:00.000000Z") as change:
        for one in remember_versions:
            versions.add(change, one)
        change.audit("record", "test", {})
    remember(work, gate(2, 7, lower=0.1, upper=0.2), gate(3, 1, "fail", lower=-0.1, upper=0.2))
    return work


WON = [
    (1, 1, True),
    (2, 1, False),
    (2, 7, True),
    (2, None, True),
    (3, None, False),
    (3, 1, False),
    (3, 3, True),
    (4, None, False),
]


@pytest.mark.parametrize(("number", "champion", "won"), WON)
def test_a_version_has_won_that_serves_or_passed_against_what_does(
    number: int, champion: int | None, won: bool
) -> None:
    work = with_versions()
    one = versions.require(work.state, "m", number)
    against = None if champion is None else replace(one, version=champion)
    assert _has_won(run(work), one, against) is won


def test_the_champion_is_the_serving_environment_s_and_else_this_one_s_own() -> None:
    work = with_versions()
    with work.state.change(BY, "2024-06-01T00:00:00.000000Z") as change:
        versions.add(change, version(1, model="a"))
        change.audit("record", "test", {})
    own = at(Kind.MODEL, "m", "1")
    assert _number(_champion(run(work), "m")) is None
    assert _number(_champion(run(work, at(Kind.MODEL, "m")), "m")) is None
    assert _number(_champion(run(work, own), "m")) == 1
    assert _number(_champion(run(work, own, environment="dev"), "m")) == 1
    texts = "CREATE MODEL {} PREDICT y FROM d"
    published(
        work, Pointer(Kind.MODEL, "a", "1:a", "1", texts.format("a")), Pointer(Kind.MODEL, "m", "1:m", "2", texts.format("m")),
    )  # fmt: skip
    assert _number(_champion(run(work, own, environment="dev"), "m")) == 2
    assert _number(_champion(run(work, own), "m")) == 1


def _number(one: Any) -> int | None:
    return None if one is None else one.version


def test_rows_are_those_that_are_pointed_at_by_now() -> None:
    work = stocked()
    with work.state.change(BY, "2024-06-01T00:00:00.000000Z") as change:
        for n in (1, 2):
            snapshots.add(change, manifest(n), NOW)
        change.audit("record", "test", {})
    one = run(work, at(Kind.DATASET, "d", manifest(2).id))
    one.made["d"] = manifest(1)
    assert datasets(one)["d"].id == manifest(2).id
    assert datasets(run(work, at(Kind.DATASET, "d"))) == {}
