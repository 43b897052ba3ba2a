"""Which revision an endpoint is at after each move, and what a rollout's end leads to, on records in memory."""

from dataclasses import replace
from datetime import timedelta

import pytest
from memories import (
    BY,
    DAY,
    ENDPOINT,
    MODEL,
    NOW,
    pointed,
    published,
    remember,
    version,
    workspace,
)

from tilth.ml.watching.rollout import Progress, Stage
from tilth.runtime.act import Act
from tilth.runtime.moving.publishing import rollback
from tilth.runtime.record import endpoints, environments, versions
from tilth.runtime.record.endpoints import Revision
from tilth.runtime.serving import rollouts
from tilth.runtime.workspace import Workspace
from tilth.sql.language.statements import Kind

SHADOW = " ROLLOUT (shadow = '9 requests', deadline = '2 days')"


@pytest.fixture
def work() -> Workspace:
    made = workspace()
    remember(made, *(version(n) for n in (1, 2, 3)))
    return made


def now(work: Workspace) -> Revision:
    return endpoints.current(work.state, "prod")["e"]


def said(one: Revision) -> tuple[int, int, int | None, str, int | None]:
    return one.revision, one.version, one.previous, one.stage, one.answering


@pytest.mark.parametrize(
    ("moves", "expected"),
    [
        ([1], (1, 1, None, "full", 1)),
        ([1, 1], (1, 1, None, "full", 1)),
        ([1, 2], (2, 2, 1, "shadow", 1)),
        ([1, 2, 2], (2, 2, 1, "shadow", 1)),
        ([1, 2, 3], (3, 3, 1, "shadow", 1)),
        ([1, 2, 1], (3, 1, 1, "full", 1)),
    ],
    ids=["the first", "the same", "another", "under way", "superseded", "back before it was in"],
)
def test_a_version_comes_in_by_the_stages_of_the_rollout(
    work: Workspace, moves: list[int], expected: tuple[int, int, int | None, str, int | None]
) -> None:
    for n in moves:
        published(work, *pointed(n, endpoint=SHADOW))
    assert said(now(work)) == expected
    if len(set(moves)) == 3:
        old = endpoints.get(work.state, "prod", "e", 2)
        assert old is not None
        assert (old.stage, old.reason) == ("superseded", "superseded by another version")


def test_without_stages_it_answers_at_once(work: Workspace) -> None:
    published(work, *pointed(1, endpoint=""))
    published(work, *pointed(2, endpoint=""))
    assert said(now(work)) == (2, 2, 1, "full", 2)


def test_an_endpoint_whose_model_has_no_version_is_left_out(work: Workspace) -> None:
    published(work, *pointed(None, endpoint=SHADOW))
    assert [p.name for p in environments.pointers_of(work.state, "prod")[1]] == ["d", "m"]


def test_a_rollback_goes_straight_to_full(work: Workspace) -> None:
    published(work, *pointed(1, endpoint=SHADOW))
    published(work, *pointed(2, endpoint=SHADOW))
    rollback(work.state, "prod", 1, BY, NOW)
    assert said(now(work))[1:] == (1, 1, "full", 1)
    rollback(work.state, "prod", 2, BY, NOW)
    assert said(now(work))[1:] == (2, 1, "full", 2)


def test_a_deadline_is_told_when_the_rollout_begins(work: Workspace) -> None:
    published(work, *pointed(1, endpoint=SHADOW))
    published(work, *pointed(2, endpoint=SHADOW))
    assert now(work).reason.endswith("at most until 2024-06-03T00:00:00.000000Z")


def rolling(work: Workspace) -> Act:
    published(work, *pointed(1, endpoint=SHADOW))
    published(work, *pointed(2, endpoint=SHADOW))
    return Act(work, "prod", BY)


@pytest.mark.parametrize(
    ("progress", "stage", "model", "status"),
    [
        (Progress(Stage.SHADOW, 3), "shadow", "2", "promoted"),
        (Progress(Stage.CANARY), "canary", "2", "promoted"),
        (Progress(Stage.FULL, reason="all went well"), "full", "2", "promoted"),
        (Progress(Stage.ROLLED_BACK, 3, 3, reason="errors"), "rolled_back", "1", "refused"),
    ],
    ids=["counts", "a stage", "its end", "a failure"],
)
def test_what_a_rollout_saw_is_written_and_a_failure_moves_the_model_back(
    work: Workspace, progress: Progress, stage: str, model: str, status: str
) -> None:
    act = rolling(work)
    assert rollouts.decide(act, "e", 2, progress, NOW)
    _, pointers = environments.pointers_of(work.state, "prod")
    assert next(p.target for p in pointers if p.name == "m") == model
    assert (now(work).stage, versions.require(work.state, "m", 2).status) == (stage, status)
    written = endpoints.get(work.state, "prod", "e", 2)
    assert written is not None
    assert (written.stage, written.progress.counts()) == (progress.stage.value, progress.counts())


@pytest.mark.parametrize("revision", [1, 9], ids=["decided", "unknown"])
def test_what_is_decided_stays_as_it_is(work: Workspace, revision: int) -> None:
    act = rolling(work)
    before = work.state.verify_audit()
    assert not rollouts.decide(act, "e", revision, Progress(Stage.ROLLED_BACK, reason="late"), NOW)
    assert work.state.verify_audit() == before


def test_a_failed_rollout_gives_the_model_the_declaration_of_the_version_before() -> None:
    work = workspace()
    remember(work, version(1, recipe="1:old"), version(2))
    old = replace(MODEL, recipe="1:old", target="1", text="CREATE MODEL m PREDICT a FROM d USING (seed = 1)")
    published(work, old, *pointed(None, endpoint=SHADOW)[2:])
    published(work, *pointed(2, endpoint=SHADOW))
    assert rollouts.decide(Act(work, "prod", BY), "e", 2, Progress(Stage.ROLLED_BACK, reason="errors"), NOW)
    back = next(p for p in environments.pointers_of(work.state, "prod")[1] if p.kind is Kind.MODEL)
    assert back == old
    kept = versions.require(work.state, "m", 1)
    assert (kept.status, versions.require(work.state, "m", 2).status) == ("promoted", "refused")


def test_a_model_that_moved_on_is_not_moved_back(work: Workspace) -> None:
    """The endpoint was dropped, and another version came since; a server that did not see it ends the rollout."""
    act = rolling(work)
    published(work, *pointed(3))
    assert rollouts.decide(act, "e", 2, Progress(Stage.ROLLED_BACK, reason="errors"), NOW)
    number, pointers = environments.pointers_of(work.state, "prod")
    assert (number, [p.target for p in pointers if p.kind is Kind.MODEL]) == (3, ["3"])
    assert versions.require(work.state, "m", 2).status == "refused"


def test_an_endpoint_of_another_model_now_begins_as_a_first(work: Workspace) -> None:
    remember(work, version(1, model="n"))
    published(work, *pointed(1, endpoint=SHADOW))
    other = (
        replace(MODEL, name="n", target="1", text="CREATE MODEL n PREDICT a FROM d"),
        replace(ENDPOINT, text=f"CREATE ENDPOINT e FOR MODEL n{SHADOW}"),
    )
    published(work, *other)
    assert (now(work).model, *said(now(work))) == ("n", 2, 1, None, "full", 1)


def test_a_rollback_to_what_is_under_way_ends_its_rollout(work: Workspace) -> None:
    act = rolling(work)
    published(work, *pointed(2, endpoint=SHADOW))
    rollback(work.state, "prod", 2, BY, NOW)
    assert said(now(work)) == (3, 2, 1, "full", 2)
    old = endpoints.get(act.work.state, "prod", "e", 2)
    assert old is not None
    assert old.stage == "superseded"


def test_a_stage_never_goes_back(work: Workspace) -> None:
    act = rolling(work)
    assert rollouts.decide(act, "e", 2, Progress(Stage.CANARY), NOW)
    assert not rollouts.decide(act, "e", 2, Progress(Stage.SHADOW, 8), NOW)
    assert now(work).stage == "canary"


@pytest.mark.parametrize(
    ("after", "ends"), [(timedelta(days=2) - timedelta(seconds=1), False), (2 * DAY, True), (9 * DAY, True)]
)
def test_a_rollout_that_nobody_decides_ends_at_its_deadline(
    work: Workspace, after: timedelta, ends: bool
) -> None:
    act = rolling(work)
    lines = rollouts.expire(act, NOW + after)
    assert (len(lines) == 1) is ends
    _, pointers = environments.pointers_of(work.state, "prod")
    assert next(p.target for p in pointers if p.name == "m") == ("1" if ends else "2")
