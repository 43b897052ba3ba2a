"""The gate of forecasts: which cut-offs are blocks of their own, and what is compared."""

from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from tilth.ml.judging.gates import Rule
from tilth.runtime.applying import forecast_gate as gate

START = datetime(2024, 1, 1)
HORIZON = 4


def origins(cuts: list[int], groups: int = 3, off: float = 1.0, seed: int = 0) -> pa.Table:
    """Rows of these cut-offs (in days): what came is noise, what was said is `off` by as much more."""
    rng = np.random.default_rng(seed)
    rows = []
    for cut in cuts:
        for g in range(groups):
            for step in range(1, HORIZON + 1):
                came = float(rng.normal(100, 5))
                at = START + timedelta(days=cut)
                rows.append({"target": "y", "g": g, "origin": at, "step": step, "time": at + timedelta(days=step),
                             "actual": came, "forecast": came + off * float(rng.normal(0, 4)), "naive": came + 6.0,
                             "unit": 5.0 if g else 0.0})  # fmt: skip
    return pa.Table.from_pylist(rows)


BLOCKS = {
    "apart": ([0, 4, 8, 12], [0, 1, 2, 3]),
    "one step of each over the next": ([0, 3, 6, 9], [0, 0, 1, 1]),
    "half over one another": ([0, 2, 4, 6], [0, 0, 1, 1]),
    "each day": ([0, 1, 2, 3, 4], [0, 0, 0, 0, 1]),
    "alone": ([7], [0]),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_cut_offs_whose_horizons_lie_over_one_another_are_one_block(name: str) -> None:
    cuts, wanted = BLOCKS[name]
    rows = origins(cuts, groups=1)
    found = gate._blocks(rows)
    by_cut = {o: int(b) for o, b in zip(rows.column("origin").to_pylist(), found, strict=True)}
    assert [by_cut[START + timedelta(days=c)] for c in cuts] == wanted


def judged(
    rows: pa.Table, held: np.ndarray | None, metric: str = "mase", kind: str = "better"
) -> gate.GateResult:
    return gate._judged(Rule(metric, kind), gate._Case(rows, held), 0)


def test_a_first_version_is_let_in_and_a_better_one_wins() -> None:
    rows = origins(list(range(0, 40, 4)), off=0.2)
    assert judged(rows, None).outcome == "pass"
    worse = np.asarray(origins(list(range(0, 40, 4)), off=1.5).column("forecast").to_numpy())
    found = judged(rows, worse)
    assert (found.outcome, found.blocks) == ("pass", 4), "cut-offs that one fit answers are one block"
    unit = np.asarray(rows.column("unit").to_numpy()) > 0
    truth, said = (np.asarray(rows.column(n).to_numpy())[unit] for n in ("actual", "forecast"))
    assert found.candidate_metric == pytest.approx(np.abs((truth - said) / 5.0).mean()), (
        "series that never move do not count"
    )
    assert judged(rows, np.asarray(rows.column("forecast").to_numpy())).outcome == "pass", (
        "what answers alike"
    )


def test_a_worse_one_is_refused_and_too_few_blocks_hold() -> None:
    rows = origins(list(range(0, 40, 4)), off=1.5)
    better = np.asarray(origins(list(range(0, 40, 4)), off=0.2).column("forecast").to_numpy())
    assert judged(rows, better).outcome == "fail"
    few = origins([0, 1, 2, 3, 20, 40], off=0.2)
    found = judged(few, np.asarray(few.column("forecast").to_numpy()) + 9)
    assert (found.outcome, found.blocks) == ("inconclusive", 3)
    assert "4 are needed" in found.reason


def test_equal_candidates_are_seldom_let_in() -> None:
    won = 0
    for seed in range(60):
        rows = origins(list(range(0, 40, 4)), seed=seed)
        actual = np.asarray(rows.column("actual").to_numpy())
        other = actual + np.random.default_rng(1000 + seed).normal(0, 4, len(actual))
        won += judged(rows, other).outcome == "pass"
    assert won <= 5


@pytest.mark.parametrize("metric", ["mase", "mae", "rmse", "mape"])
def test_every_metric_of_forecasts_can_be_judged(metric: str) -> None:
    rows = origins(list(range(0, 40, 4)))
    other = np.asarray(rows.column("forecast").to_numpy()) + 1.0
    found = judged(rows, other, metric, "not_worse_by")
    assert found.candidate_metric is not None
    assert found.champion_metric is not None
