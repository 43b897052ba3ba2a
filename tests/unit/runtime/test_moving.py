"""Environments that move, on values and a state in memory: publish, promote, roll back, and what may not be."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tilth.adapters.state.sqlite.state import SqliteState, memory
from tilth.core.errors import GateRefusedError, ProjectError, StateChangedError, UnknownNameError
from tilth.core.principals import person
from tilth.core.time import show_instant
from tilth.plan.snapshot import Pointer
from tilth.runtime.moving.promotion import promote
from tilth.runtime.moving.publishing import Move, publish, rollback
from tilth.runtime.record import evidence, runs
from tilth.runtime.record.current import current
from tilth.runtime.record.environments import pointers_of
from tilth.runtime.record.evidence import Gate
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
def state() -> Iterator[SqliteState]:
    made = memory()
    yield made
    made.close()


def test_an_unknown_environment_is_empty(state: SqliteState) -> None:
    assert pointers_of(state, "prod") == (0, ())
    assert current(state, "prod").pointers == ()


def test_what_is_published_is_what_is(state: SqliteState) -> None:
    assert publish(state, Move("prod", 0, "first", AT), pointers(1), BY) == 1
    assert publish(state, Move("prod", 1, "second", AT), pointers(2), BY) == 2
    assert pointers_of(state, "prod") == (2, pointers(2))
    assert state.verify_audit() == 2


def test_a_plan_against_an_older_generation_publishes_nothing(state: SqliteState) -> None:
    publish(state, Move("prod", 0, "first", AT), pointers(1), BY)
    with pytest.raises(StateChangedError, match="moved to generation 1"):
        publish(state, Move("prod", 0, "late", AT), pointers(2), BY)
    assert pointers_of(state, "prod") == (1, pointers(1))


def test_promotion_and_rollback_move_every_pointer_at_once(state: SqliteState) -> None:
    publish(state, Move("prod", 0, "first", AT), pointers(1), BY)
    publish(state, Move("dev", 0, "try", AT), pointers(2), BY)
    with pytest.raises(GateRefusedError, match="Version 2 of `late` was never judged by a gate"):
        promote(state, "dev", "prod", BY, AT)
    judged(state, 2, 1, "pass", lower=0.01)
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
    publish(state, Move("prod", 0, "first", AT), pointers(1), BY)
    publish(state, Move("dev", 0, "try", AT), pointers(2), BY)
    before = state.verify_audit()
    with pytest.raises(error, match=says):
        act(state)
    assert state.verify_audit() == before
    assert pointers_of(state, "prod") == (1, pointers(1))


def test_a_rollback_goes_to_the_generation_before(state: SqliteState) -> None:
    for n in range(3):
        publish(state, Move("prod", n, "next", AT), pointers(n + 1), BY)
    assert rollback(state, "prod", None, BY, AT) == 4
    assert pointers_of(state, "prod")[1] == pointers(2)


def judged(
    state: SqliteState,
    candidate: int,
    champion: int | None,
    outcome: str,
    rule: str = "better",
    lower: float | None = None,
) -> None:
    """A gate's verdict as it is written down."""
    upper = None if lower is None else lower + 0.2
    said = Gate(
        "late", candidate, champion, "dev", rule, "roc_auc", outcome, "as the test says", 100, 10, "h", 1, AT,
        lower=lower, upper=upper,
    )  # fmt: skip
    with state.change(BY, show_instant(AT)) as change:
        evidence.add(change, said, b"", "")
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
    publish(state, Move("prod", 0, "first", AT), pointers(1), BY)
    publish(state, Move("dev", 0, "try", AT), pointers(2), BY)
    for champion, outcome, rule in verdicts:
        judged(state, 2, champion, outcome, rule)
    if says is None:
        promote(state, "dev", "prod", BY, AT, serving)
        assert pointers_of(state, "prod")[1] == pointers(2)
        return
    with pytest.raises(GateRefusedError, match=says):
        promote(state, "dev", "prod", BY, AT, serving)
    assert pointers_of(state, "prod") == (1, pointers(1))


def test_what_was_held_in_the_target_is_over_when_it_points_elsewhere(state: SqliteState) -> None:
    publish(state, Move("prod", 0, "first", AT), pointers(1), BY)
    publish(state, Move("dev", 0, "try", AT), pointers(2), BY)
    judged(state, 2, 1, "pass")
    with state.change(BY, show_instant(AT)) as change:
        for kind, name in ((Kind.MODEL, "late"), (Kind.DATASET, "departures")):
            number = runs.begin(change, "prod", runs.Begun("TrainModel", kind, name, "new"), AT)
            runs.end(change, number, runs.Ended("held", 1.0, "it waits"), AT)
        change.audit("record", "test", {})
    promote(state, "dev", "prod", BY, AT)
    assert [r.name for r in runs.unsettled(state, "prod", 9)] == ["departures"]


def test_the_verdict_that_counts_is_that_of_the_version_whatever_was_judged_since(state: SqliteState) -> None:
    publish(state, Move("prod", 0, "first", AT), pointers(1), BY)
    publish(state, Move("dev", 0, "try", AT), pointers(2), BY)
    judged(state, 2, 1, "pass")
    judged(state, 3, 1, "fail")
    assert promote(state, "dev", "prod", BY, AT) == 2


def test_what_is_served_already_need_not_win_again(state: SqliteState) -> None:
    publish(state, Move("prod", 0, "first", AT), pointers(2), BY)
    publish(state, Move("dev", 0, "try", AT), pointers(2), BY)
    judged(state, 2, 1, "fail")
    assert promote(state, "dev", "prod", BY, AT) == 2


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
    publish(state, Move("prod", 0, "first", AT), pointers(1), BY)
    publish(state, Move("dev", 0, "try", AT), pointers(2, declared), BY)
    judged(state, 2, 1, outcome, judged_by, lower)
    if says is None:
        assert promote(state, "dev", "prod", BY, AT) == 2
        return
    with pytest.raises(GateRefusedError, match=says):
        promote(state, "dev", "prod", BY, AT)
    assert pointers_of(state, "prod") == (1, pointers(1))


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["publish", "promote", "rollback"]), max_size=8))
def test_any_sequence_of_moves_keeps_the_chain_and_the_digests(moves: list[str]) -> None:
    state = memory()
    publish(state, Move("prod", 0, "first", AT), pointers(0), BY)
    publish(state, Move("dev", 0, "try", AT), pointers(1, "manual"), BY)
    for n, move in enumerate(moves):
        at = AT + timedelta(hours=n)
        if move == "publish":
            publish(state, Move("prod", pointers_of(state, "prod")[0], "next", at), pointers(n + 2), BY)
        elif move == "promote":
            promote(state, "dev", "prod", BY, at)
        elif pointers_of(state, "prod")[0] > 1:
            rollback(state, "prod", None, BY, at)
    assert len(pointers_of(state, "prod")[1]) == 2
    assert state.verify_audit() >= 2
    state.close()
