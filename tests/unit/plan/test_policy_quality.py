"""RETRAIN WHEN quality < x: worse than x, whatever way the metric goes."""

from datetime import UTC, datetime, timedelta

import pytest

from tilth.plan.policy import compares, retrain_reason
from tilth.plan.snapshot import Signals
from tilth.sql.language.statements import Condition

START = datetime(2026, 1, 1, tzinfo=UTC)
CASES = [
    ("<", 0.7, "roc_auc", 0.6, True),
    ("<", 0.7, "roc_auc", 0.8, False),
    ("<", 1.1, "mase", 1.3, True),
    ("<", 1.1, "mase", 0.9, False),
    ("<=", 1.1, "rmse", 1.1, True),
    (">", 1.1, "mase", 1.3, True),
    (">", 1.1, "mase", 0.9, False),
    ("<", 0.7, "", 0.6, True),
    ("<", 0.7, "accuracy, mae", 0.6, True),
]


@pytest.mark.parametrize(("op", "limit", "metric", "value", "fires"), CASES)
def test_a_quality_fires_when_it_is_worse(
    op: str, limit: float, metric: str, value: float, fires: bool
) -> None:
    condition = Condition("quality", op, limit)
    assert compares(condition, value, metric) is fires
    looks = [Signals(START + timedelta(days=n), None, None, value, None, metric) for n in (8, 9, 10)]
    reason = retrain_reason([condition], looks, START, START + timedelta(days=10))
    assert (reason is not None) is fires
    if fires and op[0] == "<" and metric in ("mase", "rmse"):
        assert f"quality {value:g} >{op[1:]} {limit:g}" in (reason or "")
        assert f"of {metric} less is better" in (reason or "")


def test_other_signals_are_compared_as_they_are_written() -> None:
    assert compares(Condition("drift", ">", 0.2), 0.3, "mase")
    assert not compares(Condition("drift", ">", 0.2), 0.1, "mase")
