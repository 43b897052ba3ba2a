"""Rollouts as tables: the stages, what is observed, and where that leads."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilth.ml.watching.rollout import Observation, Progress, Stage, late, observe, start, takes
from tilth.sql.language.statements import Rollout

BOTH = Rollout(shadow_requests=100, canary_share=0.1, canary_requests=200, max_error_rate=0.01)
FAST = Rollout(canary_share=0.5, canary_requests=200, max_p99=timedelta(milliseconds=20))
OK, BAD, SLOW = Observation(), Observation(error=True), Observation(seconds=0.5)
OTHER = Observation(disagreed=True)
FIVE = Rollout(shadow_requests=100, max_error_rate=0.05)
ALIKE = Rollout(shadow_requests=100, canary_share=0.1, canary_requests=200, max_disagreement=0.05)
EXACT = Rollout(shadow_requests=100, max_error_rate=0.29, max_disagreement=0.57)

TABLE = [
    ("nothing seen holds in the shadow", BOTH, [], Stage.SHADOW),
    ("too little traffic holds", BOTH, [OK] * 99, Stage.SHADOW),
    ("the shadow passes to the canary", BOTH, [OK] * 100, Stage.CANARY),
    ("one error in a hundred is allowed", BOTH, [OK] * 99 + [BAD], Stage.CANARY),
    ("two are not, and are not waited for", BOTH, [BAD, BAD], Stage.ROLLED_BACK),
    ("the canary passes to full", BOTH, [OK] * 300, Stage.FULL),
    ("the canary fails by itself", BOTH, [OK] * 100 + [BAD] * 3, Stage.ROLLED_BACK),
    ("full stays full", BOTH, [OK] * 300 + [BAD] * 50, Stage.FULL),
    ("rolled back stays so", BOTH, [BAD] * 2 + [OK] * 900, Stage.ROLLED_BACK),
    ("no shadow begins in the canary", FAST, [], Stage.CANARY),
    ("slow answers over one in a hundred fail", FAST, [SLOW] * 3, Stage.ROLLED_BACK),
    ("slow answers within it pass", FAST, [SLOW] * 2 + [OK] * 198, Stage.FULL),
    ("the limit itself is not slow", FAST, [Observation(seconds=0.02)] * 200, Stage.FULL),
    ("no stages is full at once", Rollout(), [], Stage.FULL),
    ("an early error counts against the whole goal", FIVE, [BAD], Stage.SHADOW),
    ("so do five, at once", FIVE, [BAD] * 5, Stage.SHADOW),
    ("and the sixth is over 5 %", FIVE, [OK] * 60 + [BAD] * 6, Stage.ROLLED_BACK),
    ("five of a hundred pass", FIVE, [BAD] * 5 + [OK] * 95, Stage.FULL),
    ("disagreement has no limit of its own", BOTH, [OTHER] * 300, Stage.FULL),
    ("disagreement within its limit passes", ALIKE, [OTHER] * 5 + [OK] * 95, Stage.CANARY),
    ("over it the shadow fails", ALIKE, [OTHER] * 6, Stage.ROLLED_BACK),
    ("the canary is judged by its own", ALIKE, [OTHER] * 5 + [OK] * 95 + [OTHER] * 10, Stage.CANARY),
    ("over it the canary fails", ALIKE, [OK] * 100 + [OTHER] * 11, Stage.ROLLED_BACK),
    ("29 of 100 are not over 29 %", EXACT, [BAD] * 29 + [OK] * 71, Stage.FULL),
    ("57 of 100 are not over 57 %", EXACT, [OTHER] * 57 + [OK] * 43, Stage.FULL),
]


@pytest.mark.parametrize(("rollout", "seen", "stage"), [t[1:] for t in TABLE], ids=[t[0] for t in TABLE])
def test_a_rollout_leads_to(rollout: Rollout, seen: list[Observation], stage: Stage) -> None:
    progress = start(rollout)
    for one in seen:
        progress = observe(rollout, progress, one)
    assert progress.stage is stage
    assert progress.reason


@pytest.mark.parametrize(
    ("rollout", "seen", "words"),
    [
        (ALIKE, [OTHER] * 6, "6 of 6 answers differed, over max_disagreement: 5.00% of 100"),
        (BOTH, [OTHER, BAD, BAD], "2 of 3 requests failed, over 1.00% of 100; 1 of 3 answers differed"),
        (FAST, [SLOW, SLOW, OTHER, SLOW], "over 1% of 200; 1 of 4 answers differed"),
        (BOTH, [OTHER] * 7 + [OK] * 93, "canary: 10% for 200 requests; in the shadow 7 of 100 answers differed"),
        (BOTH, [OK] * 100 + [OTHER] * 3 + [OK] * 197, "canary passed: 0 of 200 requests failed, 3 of 200 answers differed"),
    ],
)  # fmt: skip
def test_a_reason_says_how_often_the_versions_disagreed(
    rollout: Rollout, seen: list[Observation], words: str
) -> None:
    progress = start(rollout)
    for one in seen:
        progress = observe(rollout, progress, one)
    assert words in progress.reason


DAY = timedelta(days=1)
TIMED = Rollout(shadow_requests=100, canary_share=0.1, canary_requests=200, deadline=DAY)


@pytest.mark.parametrize(
    ("rollout", "seen", "waited", "reason"),
    [
        (TIMED, 0, DAY - timedelta(microseconds=1), None),
        (TIMED, 0, DAY, "shadow: 0 of 100 requests came within the deadline of 1 day; 0 of 0 answers differed"),
        (TIMED, 112, 2 * DAY, "canary: 12 of 200 requests came within the deadline of 1 day; 0 of 12 answers differed"),
        (TIMED, 300, 9 * DAY, None),
        (BOTH, 0, 900 * DAY, None),
    ],
    ids=["not yet", "without traffic", "too little", "decided before", "without a deadline"],
)  # fmt: skip
def test_an_undecided_rollout_ends_at_its_deadline(
    rollout: Rollout, seen: int, waited: timedelta, reason: str | None
) -> None:
    progress = start(rollout)
    for _ in range(seen):
        progress = observe(rollout, progress, OK)
    ended = late(rollout, progress, waited)
    assert (None if ended is None else (ended.stage, ended.reason)) == (
        None if reason is None else (Stage.ROLLED_BACK, reason)
    )


def test_the_first_version_of_an_endpoint_serves_at_once() -> None:
    assert start(BOTH, first=True).stage is Stage.FULL


@given(st.floats(0.01, 1), st.integers(1, 2000))
def test_the_canary_takes_its_share_evenly(share: float, total: int) -> None:
    rollout = Rollout(canary_share=share, canary_requests=10**6)
    taken = sum(takes(Progress(Stage.CANARY), rollout, n) for n in range(total))
    assert abs(taken - share * total) <= 1


@pytest.mark.parametrize(
    ("stage", "answers"),
    [(Stage.SHADOW, []), (Stage.CANARY, [3, 7]), (Stage.FULL, list(range(8))), (Stage.ROLLED_BACK, [])],
)
def test_the_new_version_answers_its_share_in_the_canary_and_all_once_it_is_full(
    stage: Stage, answers: list[int]
) -> None:
    rollout = Rollout(shadow_requests=9, canary_share=0.25, canary_requests=9)
    assert [n for n in range(8) if takes(Progress(stage), rollout, n)] == answers


@pytest.mark.parametrize("percent", range(1, 101))
def test_of_a_hundred_requests_the_canary_takes_its_percentage(percent: int) -> None:
    rollout = Rollout(canary_share=percent / 100, canary_requests=1000)
    assert sum(takes(Progress(Stage.CANARY), rollout, n) for n in range(100)) == percent


@given(st.lists(st.sampled_from([OK, BAD, SLOW]), max_size=400))
def test_counts_never_exceed_requests_and_a_decision_is_final(seen: list[Observation]) -> None:
    progress = start(BOTH)
    for one in seen:
        after = observe(BOTH, progress, one)
        assert not progress.decided or after == progress
        assert max(after.errors, after.slow, after.disagreed) <= after.requests
        progress = after
