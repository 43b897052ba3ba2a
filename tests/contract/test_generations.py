"""Publish, promote and roll back over a real state file: one transaction each, and nothing half done."""

import sqlite3
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tilth.adapters.state.sqlite.state import SqliteState
from tilth.core.errors import GateRefusedError, ProjectError, StateChangedError, UnknownNameError
from tilth.plan.snapshot import Pointer
from tilth.ports.principals import person
from tilth.runtime.record.generations import current, pointers_of, promote, publish, rollback
from tilth.sql.language.statements import Kind

BY = person("test")

AT = datetime(2013, 5, 1, tzinfo=UTC)


def pointers(version: int, rule: str = "better") -> tuple[Pointer, ...]:
    return (
        Pointer(Kind.DATASET, "departures", "1:d", "s1", "CREATE DATASET departures"),
        Pointer(
            Kind.MODEL,
            "late",
            "1:m",
            str(version),
            f"CREATE MODEL late PREDICT y FROM departures PROMOTE IF {rule}",
        ),
    )


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "state.db")


@pytest.fixture
def state(path: str):
    made = SqliteState(path)
    yield made
    made.close()


def test_an_unknown_environment_is_empty(state: SqliteState) -> None:
    assert pointers_of(state, "prod") == (0, ())
    assert current(state, "prod").pointers == ()


def test_what_is_published_is_what_is(state: SqliteState) -> None:
    assert publish(state, "prod", 0, pointers(1), "first", BY, AT) == 1
    assert publish(state, "prod", 1, pointers(2), "second", BY, AT) == 2
    assert pointers_of(state, "prod") == (2, pointers(2))
    assert state.verify_audit() == 2


def test_a_plan_against_an_older_generation_publishes_nothing(state: SqliteState) -> None:
    publish(state, "prod", 0, pointers(1), "first", BY, AT)
    with pytest.raises(StateChangedError, match="moved to generation 1"):
        publish(state, "prod", 0, pointers(2), "late", BY, AT)
    assert pointers_of(state, "prod") == (1, pointers(1))


def test_promotion_and_rollback_move_every_pointer_at_once(state: SqliteState) -> None:
    publish(state, "prod", 0, pointers(1), "first", BY, AT)
    publish(state, "dev", 0, pointers(2), "try", BY, AT)
    assert promote(state, "dev", "prod", BY, AT) == 2
    assert pointers_of(state, "prod")[1] == pointers(2)
    assert rollback(state, "prod", None, BY, AT) == 3
    assert pointers_of(state, "prod") == (3, pointers(1))
    assert rollback(state, "prod", 2, BY, AT) == 4
    assert pointers_of(state, "prod") == (4, pointers(2))


@pytest.mark.parametrize(
    ("act", "error", "says"),
    [
        (lambda s: promote(s, "dve", "prod", BY, AT), UnknownNameError, "Did you mean `dev`"),
        (lambda s: promote(s, "dev", "dev", BY, AT), ProjectError, "to itself"),
        (lambda s: rollback(s, "prd", None, BY, AT), UnknownNameError, "Did you mean `prod`"),
        (lambda s: rollback(s, "prod", None, BY, AT), UnknownNameError, "no earlier generation"),
        (lambda s: rollback(s, "prod", 9, BY, AT), UnknownNameError, "no generation 9"),
        (lambda s: rollback(s, "prod", 1, BY, AT), UnknownNameError, "current is 1"),
    ],
)
def test_a_wrong_move_is_refused_and_changes_nothing(state: SqliteState, act, error, says: str) -> None:
    publish(state, "prod", 0, pointers(1), "first", BY, AT)
    publish(state, "dev", 0, pointers(2), "try", BY, AT)
    before = state.verify_audit()
    with pytest.raises(error, match=says):
        act(state)
    assert state.verify_audit() == before
    assert pointers_of(state, "prod") == (1, pointers(1))


FIGURES = (
    "candidate_metric",
    "champion_metric",
    "baseline_metric",
    "delta",
    "lower",
    "upper",
    "confidence",
    "spent",
)


def judged(
    state: SqliteState,
    candidate: int,
    champion: int | None,
    outcome: str,
    rule: str = "better",
    lower: float | None = None,
) -> None:
    """A gate's verdict as it is written down."""
    with state.change(BY, "2013-05-01T00:00:00.000000Z") as change:
        change.write(
            "add_gate",
            model="late", candidate=candidate, champion=champion, environment="dev", rule=rule, metric="roc_auc",
            outcome=outcome, reason="as the test says", rows=100, blocks=10, holdout="h", uses=1, detectable=None,
            at="2013-05-01T00:00:00.000000Z", **dict.fromkeys(FIGURES) | {"lower": lower, "upper": None if lower is None else lower + 0.2},
        )  # fmt: skip
        change.audit("gate", "late", {"version": candidate})


@pytest.mark.parametrize(
    ("verdicts", "serving", "says"),
    [
        ([(1, "pass", "better")], "prod", None),
        ([(1, "fail", "better")], "prod", r"did not pass its gate \(fail\): as the test says"),
        ([(1, "inconclusive", "better")], "prod", r"did not pass its gate \(inconclusive\)"),
        ([(1, "inconclusive", "not_worse_by")], "prod", r"did not pass its gate \(inconclusive\)"),
        ([(None, "pass", "better")], "prod", "was never shown to pass PROMOTE IF better against version 1, which prod serves"),
        ([(7, "pass", "better")], "prod", "was never shown to pass PROMOTE IF better against version 1, which prod serves"),
        ([(1, "inconclusive", "better")], "live", None),
    ],
    ids=[
        "won", "lost", "not shown", "not shown by another rule", "as the first", "against another",
        "to where models do not serve",
    ],
)  # fmt: skip
def test_only_a_version_that_won_is_promoted_to_where_models_serve(
    state: SqliteState, verdicts: list[tuple[int | None, str, str]], serving: str, says: str | None
) -> None:
    publish(state, "prod", 0, pointers(1), "first", BY, AT)
    publish(state, "dev", 0, pointers(2), "try", BY, AT)
    for champion, outcome, rule in verdicts:
        judged(state, 2, champion, outcome, rule)
    if says is None:
        promote(state, "dev", "prod", BY, AT, serving)
        assert pointers_of(state, "prod")[1] == pointers(2)
        return
    with pytest.raises(GateRefusedError, match=says):
        promote(state, "dev", "prod", BY, AT, serving)
    assert pointers_of(state, "prod") == (1, pointers(1))


@pytest.mark.parametrize(
    ("judged_by", "outcome", "lower", "declared", "says"),
    [
        ("manual", "inconclusive", -0.1, "manual", None),
        ("manual", "fail", -0.1, "manual", None),
        ("better", "fail", -0.1, "manual", None),
        ("better", "inconclusive", None, "manual", None),
        ("manual", "fail", -0.1, "better", "did not pass its gate"),
        ("manual", "inconclusive", 0.1, "better", "did not pass its gate"),
        ("not_worse_by(0.5)", "pass", -0.3, "better", "never shown to pass PROMOTE IF better"),
        (
            "not_worse_by(0.5)",
            "pass",
            -0.3,
            "not_worse_by(0.01)",
            r"never shown to pass PROMOTE IF not_worse_by\(0.01\)",
        ),
        ("not_worse_by", "pass", -0.3, "not_worse_by(0.01)", "never shown to pass"),
        ("not_worse_by(0.5)", "pass", 0.01, "better", None),
        ("better", "pass", 0.01, "not_worse_by(0.01)", None),
        ("not_worse_by(0.5)", "pass", -0.3, "not_worse_by(0.4)", None),
    ],
)
def test_the_rule_that_counts_at_a_promotion_is_the_one_declared_now(
    state: SqliteState, judged_by: str, outcome: str, lower: float | None, declared: str, says: str | None
) -> None:
    publish(state, "prod", 0, pointers(1), "first", BY, AT)
    publish(state, "dev", 0, pointers(2, declared), "try", BY, AT)
    judged(state, 2, 1, outcome, judged_by, lower)
    if says is None:
        assert promote(state, "dev", "prod", BY, AT) == 2
        return
    with pytest.raises(GateRefusedError, match=says):
        promote(state, "dev", "prod", BY, AT)
    assert pointers_of(state, "prod") == (1, pointers(1))


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE pointers SET target = '7' WHERE kind = 'model'",
        "DELETE FROM pointers WHERE kind = 'dataset'",
        "UPDATE definitions SET text = 'CREATE MODEL worse'",
        "UPDATE generations SET digest = 'x'",
    ],
)
def test_an_edited_state_file_is_refused(state: SqliteState, path: str, edit: str) -> None:
    publish(state, "prod", 0, pointers(1), "first", BY, AT)
    with sqlite3.connect(path) as db:
        db.execute(edit)
    db.close()
    with pytest.raises(StateChangedError, match="was edited"):
        pointers_of(state, "prod")


def test_readers_see_whole_generations_while_writers_swap(state: SqliteState, path: str) -> None:
    publish(state, "prod", 0, pointers(1), "first", BY, AT)
    publish(state, "dev", 0, pointers(2), "try", BY, AT)
    seen: set[tuple[Pointer, ...]] = set()
    done = threading.Event()

    def read() -> None:
        mine = SqliteState(path)
        while not done.is_set():
            seen.add(pointers_of(mine, "prod")[1])
        mine.close()

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(10):
        promote(state, "dev", "prod", BY, AT)
        rollback(state, "prod", None, BY, AT)
    done.set()
    reader.join(10)
    assert seen
    assert seen <= {pointers(1), pointers(2)}
    assert state.verify_audit() == 22


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["publish", "promote", "rollback"]), max_size=8))
def test_any_sequence_of_moves_keeps_the_chain_and_the_digests(tmp_path: Path, moves: list[str]) -> None:
    state = SqliteState(":memory:")
    publish(state, "prod", 0, pointers(0), "first", BY, AT)
    publish(state, "dev", 0, pointers(1), "try", BY, AT)
    for n, move in enumerate(moves):
        at = AT + timedelta(hours=n)
        if move == "publish":
            publish(state, "prod", pointers_of(state, "prod")[0], pointers(n + 2), "next", BY, at)
        elif move == "promote":
            promote(state, "dev", "prod", BY, at)
        elif pointers_of(state, "prod")[0] > 1:
            rollback(state, "prod", None, BY, at)
    assert len(pointers_of(state, "prod")[1]) == 2
    assert state.verify_audit() >= 2
    state.close()
