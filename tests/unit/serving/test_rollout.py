"""Rollouts as tables: the stages, what is observed, and where that leads."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilth.ml.serving.rollout import Observation, Progress, Stage, observe, start, takes
from tilth.sql.statements import Rollout

BOTH = Rollout(shadow_requests=100, canary_share=0.1, canary_requests=200, max_error_rate=0.01)
FAST = Rollout(canary_share=0.5, canary_requests=200, max_p99=timedelta(milliseconds=20))
OK, BAD, SLOW = Observation(), Observation(error=True), Observation(seconds=0.5)

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
    ("no stages is full at once", Rollout(), [], Stage.FULL),
]


@pytest.mark.parametrize(("rollout", "seen", "stage"), [t[1:] for t in TABLE], ids=[t[0] for t in TABLE])
def test_a_rollout_leads_to(rollout: Rollout, seen: list[Observation], stage: Stage) -> None:
    progress = start(rollout)
    for one in seen:
        progress = observe(rollout, progress, one)
    assert progress.stage is stage
    assert progress.reason


def test_the_first_version_of_an_endpoint_serves_at_once() -> None:
    assert start(BOTH, first=True).stage is Stage.FULL


@given(st.floats(0.01, 1), st.integers(1, 2000))
def test_the_canary_takes_its_share_evenly(share: float, total: int) -> None:
    rollout = Rollout(canary_share=share, canary_requests=10**6)
    taken = sum(takes(Progress(Stage.CANARY), rollout, n) for n in range(total))
    assert abs(taken - share * total) <= 1


@given(st.lists(st.sampled_from([OK, BAD, SLOW]), max_size=400))
def test_counts_never_exceed_requests_and_a_decision_is_final(seen: list[Observation]) -> None:
    progress = start(BOTH)
    for one in seen:
        after = observe(BOTH, progress, one)
        assert not progress.decided or after == progress
        assert max(after.errors, after.slow, after.disagreed) <= after.requests
        progress = after
