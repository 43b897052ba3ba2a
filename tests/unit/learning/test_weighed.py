"""Rows that count as a column says, in metrics, in the evidence of a difference and in gates; what they count in fits is in `test_weights`."""

import numpy as np
import pytest
from sklearn import metrics as theirs

from tilth.core.errors import DataError
from tilth.core.metrics import BY_KIND
from tilth.ml.judging.evidence import Evidence, alike
from tilth.ml.judging.gates import Holdout, Rule, judge
from tilth.ml.judging.resampled import Blocks
from tilth.ml.learning.evaluation import below, by_slice
from tilth.ml.learning.losses import dummy
from tilth.ml.model.metrics import evaluate, evaluate_all, measured

RNG = np.random.default_rng(5)
ROWS = 300
TIMES = RNG.integers(0, 4, ROWS)  # how often each row is there
WEIGHT = TIMES / TIMES.mean()
Y2 = (RNG.random(ROWS) < 0.4).astype(float)
P2 = np.round(np.clip(0.3 * Y2 + 0.7 * RNG.random(ROWS), 0.01, 0.99), 2)
Y3 = RNG.integers(0, 3, ROWS).astype(float)
P3 = RNG.dirichlet((1, 1, 1), ROWS) * 0.7 + 0.3 * np.eye(3)[Y3.astype(int)]
YN = RNG.gamma(2.0, 2.0, ROWS)
PN = YN * RNG.uniform(0.6, 1.5, ROWS)
KINDS = {"binary": (Y2, P2), "multiclass": (Y3, P3), "regression": (YN, PN)}
CASES = [(kind, name) for kind, names in BY_KIND.items() if kind != "forecast" for name in names] + [
    ("regression", "pinball_0.9")
]


@pytest.mark.parametrize(("kind", "metric"), CASES)
def test_a_row_that_counts_twice_counts_as_two(kind: str, metric: str) -> None:
    truth, output = KINDS[kind]
    rows = np.repeat(np.arange(ROWS), TIMES)
    expected = evaluate(metric, truth[rows], output[rows])
    assert evaluate(metric, truth, output, weight=TIMES.astype(float)) == pytest.approx(expected, rel=1e-9)
    if "likelihood" not in metric and "median" not in metric:  # half a row, and a half exactly, are of counts
        assert evaluate(metric, truth, output, weight=WEIGHT) == pytest.approx(expected, rel=1e-9)
    assert evaluate(metric, truth, output) != pytest.approx(expected, rel=1e-9) or metric == "max_error"


SKLEARN = {
    "roc_auc": lambda w: theirs.roc_auc_score(Y2, P2, sample_weight=w),
    "log_loss": lambda w: theirs.log_loss(Y2, P2, sample_weight=w),
    "accuracy": lambda w: theirs.accuracy_score(Y2, P2 > 0.5, sample_weight=w),
    "f1": lambda w: theirs.f1_score(Y2, P2 > 0.5, sample_weight=w),
    "average_precision": lambda w: theirs.average_precision_score(Y2, P2, sample_weight=w),
    "matthews_corrcoef": lambda w: theirs.matthews_corrcoef(Y2, P2 > 0.5, sample_weight=w),
    "rmse": lambda w: theirs.root_mean_squared_error(YN, PN, sample_weight=w),
    "mae": lambda w: theirs.mean_absolute_error(YN, PN, sample_weight=w),
    "r2": lambda w: theirs.r2_score(YN, PN, sample_weight=w),
    "mape": lambda w: theirs.mean_absolute_percentage_error(YN, PN, sample_weight=w),
    "explained_variance": lambda w: theirs.explained_variance_score(YN, PN, sample_weight=w),
    "mean_gamma_deviance": lambda w: theirs.mean_gamma_deviance(YN, PN, sample_weight=w),
}


@pytest.mark.parametrize("metric", SKLEARN)
def test_it_is_the_weight_of_scikit_learn(metric: str) -> None:
    weight = RNG.exponential(1.0, ROWS)
    kind = "binary" if metric in BY_KIND["binary"] else "regression"
    assert evaluate(metric, *KINDS[kind], weight=weight) == pytest.approx(SKLEARN[metric](weight), rel=1e-9)


def test_rows_that_count_nothing_define_nothing() -> None:
    none = np.zeros(ROWS)
    with pytest.raises(DataError, match="needs rows that count") as error:
        evaluate("rmse", YN, PN, weight=none)
    assert error.value.hint
    assert measured("roc_auc", Y2, P2, weight=none) is None
    assert measured("roc_auc", Y2, P2, weight=Y2) is None, "the other class counts nothing"
    assert "roc_auc" not in evaluate_all("binary", Y2, P2, weight=Y2)


@pytest.mark.parametrize(
    "metric", ["roc_auc", "log_loss", "f1", "average_precision", "balanced_accuracy", "top"]
)
def test_a_resample_weighs_blocks_and_rows(metric: str) -> None:
    truth, output, name = (Y3, P3, "top_k_accuracy") if metric == "top" else (Y2, P2, metric)
    block = np.arange(ROWS) // 10
    drawn = np.random.default_rng(1).multinomial(30, np.full(30, 1 / 30), 8)
    found = Evidence(name, truth, block, 8, 0, WEIGHT)._replicate(output)(drawn.astype(float))
    for value, times in zip(found, drawn, strict=True):
        rows = np.repeat(np.arange(ROWS), times[block] * TIMES)
        assert value == pytest.approx(evaluate(name, truth[rows], output[rows]), rel=1e-9)


def test_rows_that_all_count_the_same_are_as_without_a_weight() -> None:
    block, other = np.arange(ROWS) // 10, np.clip(P2 + RNG.normal(0, 0.1, ROWS), 0.01, 0.99)
    for metric in ("roc_auc", "log_loss", "average_precision"):
        plain, weighed = (
            Evidence(metric, Y2, block, 200, 0, w).gain(P2, other) for w in (None, np.full(ROWS, 2.0))
        )
        assert weighed.value == pytest.approx(plain.value)
        assert (weighed.spread, weighed.freedom) == (pytest.approx(plain.spread), plain.freedom)


def test_a_few_heavy_rows_tell_no_more_than_so_few() -> None:
    heavy = np.where(np.arange(ROWS) < 30, 1.0, 1e-6)
    assert alike(heavy) == pytest.approx(30, abs=0.1)
    found = Evidence("mae", YN, np.arange(ROWS) // 10, 200, 0, heavy).gain(PN, YN)
    assert found.freedom == 2
    holdout = Holdout("regression", YN, np.arange(ROWS) // 10, weight=heavy)
    said = judge(Rule("mae"), holdout, YN, PN)
    assert (said.outcome, "is worth 30 rows that count the same" in said.reason) == ("inconclusive", True)


@pytest.mark.parametrize(("weighed", "outcome"), [(True, "pass"), (False, "fail")])
def test_a_gate_goes_by_the_rows_that_count(weighed: bool, outcome: str) -> None:
    """The candidate is better on a third of the rows, which count twenty times, and worse on the others."""
    rows = 1_500
    third = np.arange(rows) % 3 == 0
    truth, noise = np.zeros(rows), RNG.normal(0, 0.3, rows)
    candidate, champion = np.where(third, 1.0, 2.0) + noise, np.where(third, 2.0, 1.0) + noise
    weight = np.where(third, 20.0, 1.0) if weighed else None
    place = np.where(third, "here", "there")
    said = judge(Rule("mae"), Holdout("regression", truth, weight=weight), candidate, champion)
    assert said.outcome == outcome
    sliced = judge(
        Rule("mae"), Holdout("regression", truth, slices={"place": place}, weight=weight), candidate, champion
    )
    assert sliced.outcome == "fail"
    assert ("place = there" in sliced.reason) == weighed, "the slice is named where the whole is better"


@pytest.mark.slow
def test_equal_candidates_with_uneven_weights_seldom_win() -> None:
    wins, looks = 0, 400
    for seed in range(looks):
        random = np.random.default_rng(seed)
        weight = random.lognormal(0.0, 1.2, 400)
        truth = random.normal(size=400)
        ours, other = (truth + random.normal(size=400) for _ in range(2))
        look = Holdout("regression", truth, np.arange(400) // 8, weight=weight / weight.mean())
        wins += judge(Rule("mae"), look, ours, other, replicates=300, seed=seed).outcome == "pass"
    assert wins / looks <= 0.05, "2.5 % are allowed at the first look"


def test_what_knows_the_target_alone_knows_what_rows_count() -> None:
    rows = np.repeat(np.arange(ROWS), TIMES)
    for kind, truth, classes in (("binary", Y2, 2), ("multiclass", Y3, 3), ("regression", YN, 0)):
        said = dummy(kind, classes, truth, 1, "", WEIGHT)
        assert said == pytest.approx(dummy(kind, classes, truth[rows], 1, ""))
    for metric, share in (("mae", 0.5), ("pinball_0.9", 0.9)):
        expected = np.quantile(YN[rows], share, method="inverted_cdf")
        assert dummy("regression", 0, YN, 1, metric, WEIGHT)[0] == pytest.approx(expected)


def test_slices_shares_and_costs_go_by_it() -> None:
    rows = np.repeat(np.arange(ROWS), TIMES)
    place = np.where(np.arange(ROWS) < 150, "a", "b")
    import pyarrow as pa

    for one in by_slice(pa.chunked_array([place]), YN, PN, "mae", weight=WEIGHT):
        mine = rows[place[rows] == one["value"]]
        assert one["mae"] == pytest.approx(evaluate("mae", YN[mine], PN[mine]))
    found = below(YN, PN, 0.9, WEIGHT)
    assert found["share"] == pytest.approx((YN[rows] <= PN[rows]).mean())
    cost = np.abs(YN - PN)[:, None]
    days = np.arange(ROWS) // 10
    gain = Blocks.of(ROWS, days, own=WEIGHT).gain(cost, lambda means: means[:, 0])
    assert gain.value == pytest.approx(cost[rows].mean())
    again = Blocks.of(ROWS, days).gain(cost, lambda means: means[:, 0])
    assert Blocks.of(ROWS, days, own=np.ones(ROWS)).gain(cost, lambda m: m[:, 0]).spread == pytest.approx(
        again.spread
    )
