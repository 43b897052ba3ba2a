"""The metrics against scikit-learn's, and at the edges."""

import numpy as np
import pytest

from tilth.core.errors import DataError, ProjectError
from tilth.core.metrics import BY_KIND
from tilth.ml.model.metrics import evaluate, evaluate_all, higher_is_better

RNG = np.random.default_rng(3)
VALUE = RNG.normal(3, 2, 500)
GUESS = VALUE + RNG.normal(0, 1, 500)
LABEL = (RNG.random(500) < 0.3).astype(float)
CHANCE = np.clip(np.round(0.3 * LABEL + 0.6 * RNG.random(500), 1), 0.01, 0.99)  # many ties
CODE = RNG.integers(0, 4, 500).astype(float)
SPREAD = RNG.dirichlet(np.ones(4), 500)


def theirs(metric: str, kind: str) -> float:
    from sklearn import metrics as m

    if kind == "regression":
        table = {
            "rmse": m.root_mean_squared_error,
            "mae": m.mean_absolute_error,
            "r2": m.r2_score,
            "mape": m.mean_absolute_percentage_error,
        }
        return table[metric](VALUE, GUESS)
    truth, chance = (LABEL, CHANCE) if kind == "binary" else (CODE, SPREAD)
    label = CHANCE > 0.5 if kind == "binary" else SPREAD.argmax(1)
    return {
        "roc_auc": lambda: m.roc_auc_score(truth, chance),
        "log_loss": lambda: m.log_loss(truth, chance),
        "accuracy": lambda: m.accuracy_score(truth, label),
        "f1": lambda: m.f1_score(truth, label, average="binary" if kind == "binary" else "macro"),
        "brier": lambda: np.mean(
            (chance - truth) ** 2
            if kind == "binary"
            else ((chance - np.eye(4)[truth.astype(int)]) ** 2).sum(1)
        ),
    }[metric]()


@pytest.mark.parametrize(("kind", "metric"), [(k, m) for k, names in BY_KIND.items() for m in names])
def test_a_metric_equals_scikit_learns(kind: str, metric: str) -> None:
    truth, output = {"regression": (VALUE, GUESS), "binary": (LABEL, CHANCE), "multiclass": (CODE, SPREAD)}[
        kind
    ]
    assert evaluate(metric, truth, output) == pytest.approx(theirs(metric, kind), rel=1e-12)


def test_the_direction_of_each_metric() -> None:
    up = {m for names in BY_KIND.values() for m in names if higher_is_better(m)}
    assert up == {"roc_auc", "accuracy", "f1", "r2"}


def test_all_ties_are_a_coin() -> None:
    assert evaluate("roc_auc", LABEL, np.full(500, 0.2)) == 0.5


def test_one_class_has_no_auc_and_is_left_out_of_the_whole() -> None:
    with pytest.raises(DataError, match="both classes"):
        evaluate("roc_auc", np.ones(5), np.ones(5))
    assert set(evaluate_all("binary", np.ones(5), np.ones(5))) == {"log_loss", "accuracy", "f1", "brier"}


def test_no_rows_and_unknown_metrics_are_said() -> None:
    with pytest.raises(DataError, match="at least one"):
        evaluate("mae", np.empty(0), np.empty(0))
    with pytest.raises(ProjectError, match="Did you mean `roc_auc`"):
        evaluate("roc_ac", LABEL, CHANCE)
