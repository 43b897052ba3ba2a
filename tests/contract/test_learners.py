"""Every learner and its scorer against their ports, over each kind of task, with gaps and unknown codes."""

import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from tilth.adapters.learners.catboost_learner import CatBoostLearner
from tilth.adapters.learners.extra_trees_learner import ExtraTreesLearner
from tilth.adapters.learners.lightgbm_learner import LightGBMLearner
from tilth.adapters.learners.linear_learner import LinearLearner
from tilth.adapters.learners.xgboost_learner import XGBoostLearner
from tilth.adapters.scorers.extra_trees_scorer import ExtraTreesScorer
from tilth.adapters.scorers.lightgbm_scorer import LightGBMScorer
from tilth.adapters.scorers.linear_scorer import LinearScorer
from tilth.core.errors import TrainingError
from tilth.ml.model.metrics import evaluate
from tilth.ports.learning import Budget, Fitted, Task

PAIRS = {
    "lightgbm": (LightGBMLearner, LightGBMScorer),
    "linear": (LinearLearner, LinearScorer),
    "extra_trees": (ExtraTreesLearner, ExtraTreesScorer),
    "xgboost": (XGBoostLearner, LightGBMScorer),
    "catboost": (CatBoostLearner, LightGBMScorer),
}
FORMATS = {
    "linear": ("linear", "json"),
    "extra_trees": ("extra_trees", "trees"),
}  # all others: a LightGBM text
SMALL: dict[str, dict[str, object]] = {"extra_trees": {"trees": 30, "min_data_in_leaf": 5}}
FEW = {**SMALL, "linear": {}}  # all others: rounds
KINDS = ("regression", "binary", "multiclass")
METRIC = {"regression": "rmse", "binary": "log_loss", "multiclass": "log_loss"}
COLUMNS = ("a", "b", "c", "place")


def data(kind: str) -> tuple[Task, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    x = rng.normal(0, 1, (1500, 4))
    x[:, 3] = rng.integers(0, 5, 1500)
    signal = 2 * x[:, 0] - x[:, 1] + np.array([0, 1, -1, 2, 0.5])[x[:, 3].astype(int)]
    x[rng.random(1500) < 0.1, 1] = np.nan
    x[rng.random(1500) < 0.05, 3] = np.nan
    if kind == "regression":
        y = signal + rng.normal(0, 0.5, 1500)
    elif kind == "binary":
        y = (rng.random(1500) < 1 / (1 + np.exp(-signal))).astype(float)
    else:
        y = np.digitize(signal + rng.normal(0, 0.5, 1500), [-1, 1]).astype(float)
    classes = {"regression": 0, "binary": 2, "multiclass": 3}[kind]
    return Task(kind, classes, COLUMNS, (3,), (5,), METRIC[kind]), np.ascontiguousarray(x), y


def fit(name: str, kind: str, *, seconds: float = 60, **options: object) -> Fitted:
    task, x, y = data(kind)
    budget = Budget(time.monotonic() + seconds, threads=2, seed=3)
    learner = PAIRS[name][0]()
    return learner.fit(task, x[:900], y[:900], x[900:1200], y[900:1200], budget, options, lambda _w, _s: None)


@pytest.fixture(params=[(n, k) for n in PAIRS for k in KINDS], ids="-".join, scope="module")
def case(request: pytest.FixtureRequest) -> tuple:
    name, kind = request.param
    fitted = fit(name, kind, **SMALL.get(name, {}))
    task, x, y = data(kind)
    return name, kind, fitted, PAIRS[name][1].load(fitted.payload, task), x[1200:], y[1200:]


def test_it_names_its_scorer(case: tuple) -> None:
    name, _, fitted, *_ = case
    assert (fitted.scorer, fitted.suffix) == FORMATS.get(name, ("lightgbm", "txt"))


def test_it_learns_more_than_the_mean(case: tuple) -> None:
    _, kind, _, scorer, x, y = case
    if kind == "multiclass":
        blind = np.tile(np.bincount(y.astype(int), minlength=3) / len(y), (len(y), 1))
    else:
        blind = np.full(len(y), y.mean())
    assert evaluate(METRIC[kind], y, scorer.score(x)) < 0.8 * evaluate(METRIC[kind], y, blind)


def test_scores_have_the_shape_and_range_of_the_kind(case: tuple) -> None:
    _, kind, _, scorer, x, _ = case
    out = scorer.score(x)
    assert (out.dtype, out.shape) == (np.float64, (300, 3) if kind == "multiclass" else (300,))
    assert np.isfinite(out).all()
    if kind != "regression":
        assert ((out >= 0) & (out <= 1)).all()
    if kind == "multiclass":
        assert out.sum(axis=1) == pytest.approx(np.ones(300))


def test_one_row_scores_as_it_does_among_many(case: tuple) -> None:
    *_, scorer, x, _ = case
    many = scorer.score(x).reshape(300, -1)
    rows = [scorer.score_row(bytearray(row.tobytes())) for row in x[:50]]
    assert np.array(rows) == pytest.approx(many[:50], rel=1e-12, abs=1e-15)


def test_gaps_and_unknown_codes_score_alike(case: tuple) -> None:
    """But for a forest, which takes codes as ordered numbers: unknown ones reach it as gaps, as the port says."""
    name, *_, scorer, x, _ = case
    gap, unknown = x[:1].copy(), x[:1].copy()
    gap[0, 3], unknown[0, 3] = np.nan, 99.0
    assert np.isfinite(scorer.score(unknown)).all()
    assert name == "extra_trees" or scorer.score(gap) == pytest.approx(scorer.score(unknown), rel=1e-12)
    assert np.isfinite(scorer.score(np.full((1, 4), np.nan))).all()


def test_no_rows_give_no_scores(case: tuple) -> None:
    _, kind, _, scorer, x, _ = case
    assert scorer.score(x[:0]).shape == ((0, 3) if kind == "multiclass" else (0,))


def test_threads_share_a_scorer(case: tuple) -> None:
    *_, scorer, x, _ = case
    alone = [scorer.score_row(bytearray(row.tobytes())) for row in x]
    seen: dict[int, list] = {}

    def work(number: int) -> None:
        seen[number] = [scorer.score_row(bytearray(row.tobytes())) for row in x]

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [seen[n] == alone for n in range(4)] == [True] * 4


def test_contributions_add_up_to_the_raw_score(case: tuple) -> None:
    name, kind, _, scorer, x, _ = case
    x = x[:60]
    parts = scorer.contributions(x)
    if name == "extra_trees":  # to the answer itself
        raw = parts.reshape(60, -1, 5).sum(axis=2)
        assert raw == pytest.approx(scorer.score(x).reshape(60, -1), abs=1e-6)
        return
    if kind == "multiclass":
        raw = parts.reshape(60, 3, 5).sum(axis=2)
        e = np.exp(raw - raw.max(axis=1, keepdims=True))
        assert e / e.sum(axis=1, keepdims=True) == pytest.approx(scorer.score(x), abs=1e-9)
        return
    raw = parts.sum(axis=1)
    out = 1 / (1 + np.exp(-raw)) if kind == "binary" else raw
    assert parts.shape == (60, 5)
    assert out == pytest.approx(scorer.score(x), abs=1e-9)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_rows_give_the_same_bytes(name: str, kind: str) -> None:
    few = FEW.get(name, {"rounds": 60})
    assert fit(name, kind, **few).payload == fit(name, kind, **few).payload


@pytest.mark.parametrize("name", PAIRS)
def test_a_deadline_that_has_passed_still_leaves_a_model(name: str) -> None:
    fitted = fit(name, "binary", seconds=-1)
    task, x, _ = data("binary")
    assert np.isfinite(PAIRS[name][1].load(fitted.payload, task).score(x)).all()


@pytest.mark.parametrize("name", PAIRS)
def test_an_unknown_option_is_said(name: str) -> None:
    with pytest.raises(TrainingError, match="no option `colour`"):
        fit(name, "binary", colour="red")


@pytest.mark.parametrize("kind", KINDS)
def test_scores_equal_lightgbms_own_predict(kind: str) -> None:
    import lightgbm

    fitted = fit("lightgbm", kind)
    task, x, _ = data(kind)
    theirs = lightgbm.Booster(model_str=fitted.payload.decode()).predict(x, num_threads=1)
    assert np.array_equal(LightGBMScorer.load(fitted.payload, task).score(x), theirs)


def test_fitting_and_scoring_do_not_import_lightgbms_package() -> None:
    code = """
import sys, time, numpy as np
from tilth.adapters.learners.catboost_learner import CatBoostLearner
from tilth.adapters.learners.lightgbm_learner import LightGBMLearner
from tilth.adapters.learners.xgboost_learner import XGBoostLearner
from tilth.adapters.scorers.lightgbm_scorer import LightGBMScorer
from tilth.ports.learning import Budget, Task
task, x = Task("regression", columns=("a",)), np.arange(400.0)[:, None]
budget = Budget(time.monotonic() + 60)
made = LightGBMLearner().fit(task, x, x[:, 0], x, x[:, 0], budget, {"rounds": 3}, lambda *_: None)
LightGBMScorer.load(made.payload, task).score(x)
print(*{m.partition(".")[0] for m in sys.modules})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"lightgbm", "sklearn", "scipy", "pandas"} & set(done.stdout.split())
    assert done.stderr == ""
