"""The metrics against scikit-learn's, and at the edges."""

import numpy as np
import pytest

from tilth.core.errors import DataError, ProjectError
from tilth.core.metrics import ALL, BY_KIND, USUAL
from tilth.ml.judging.replicates import affordable, replicator
from tilth.ml.model.measures import MEASURES
from tilth.ml.model.metrics import evaluate, evaluate_all
from tilth.ml.model.spec import check_metric

RNG = np.random.default_rng(3)
VALUE = RNG.gamma(3, 2, 500)
GUESS = VALUE * np.exp(RNG.normal(0, 0.3, 500))
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
        return table[metric](VALUE, GUESS) if metric in table else _of_numbers(metric, VALUE, GUESS)
    truth, chance = (LABEL, CHANCE) if kind == "binary" else (CODE, SPREAD)
    label = CHANCE > 0.5 if kind == "binary" else SPREAD.argmax(1)
    if metric not in USUAL[kind]:
        return _of_scorer(metric, kind, truth, chance, label)
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


def _of_numbers(metric: str, truth: np.ndarray, said: np.ndarray, weights: np.ndarray | None = None) -> float:
    from sklearn import metrics as m

    names = {"explained_variance": "explained_variance_score"}
    given = {} if metric == "max_error" else {"sample_weight": weights}
    return getattr(m, names.get(metric, metric))(truth, said, **given)


def _of_scorer(
    metric: str,
    kind: str,
    truth: np.ndarray,
    chance: np.ndarray,
    label: np.ndarray,
    weights: np.ndarray | None = None,
) -> float:
    from sklearn import metrics as m

    base, _, way = metric.rpartition("_")
    given = {} if "ovo" in metric else {"sample_weight": weights}
    if metric.startswith("roc_auc_ov"):
        pairs = {"multi_class": metric[8:11], "average": "weighted" if way == "weighted" else "macro"}
        return m.roc_auc_score(truth, chance, **(pairs if kind == "multiclass" else {}), **given)
    if metric in ("average_precision", "top_k_accuracy", "d2_log_loss_score", "d2_brier_score"):
        return getattr(m, metric if metric.startswith("d2") else f"{metric}_score")(truth, chance, **given)
    if way in ("macro", "micro", "weighted"):
        return getattr(m, f"{base}_score")(truth, label, average=way, **given)
    if metric.endswith("likelihood_ratio"):
        both = m.class_likelihood_ratios(truth, label, **given)
        return both[0 if metric.startswith("positive") else 1]
    names = {"matthews_corrcoef": metric}
    return getattr(m, names.get(metric, f"{metric}_score"))(truth, label, **given)


@pytest.mark.parametrize(
    ("kind", "metric"), [(k, m) for k, names in BY_KIND.items() if k != "forecast" for m in names]
)
def test_a_metric_equals_scikit_learns(kind: str, metric: str) -> None:
    truth, output = {"regression": (VALUE, GUESS), "binary": (LABEL, CHANCE), "multiclass": (CODE, SPREAD)}[
        kind
    ]
    assert evaluate(metric, truth, output) == pytest.approx(theirs(metric, kind), rel=1e-12)


@pytest.mark.parametrize(
    ("kind", "metric"),
    [(k, m) for k, names in BY_KIND.items() if k != "forecast" for m in names if m in MEASURES],
)
def test_under_weights_it_is_scikit_learns_of_rows_that_come_as_often(kind: str, metric: str) -> None:
    """Blocks of ten rows, drawn as the bootstrap draws them."""
    truth, output = {"regression": (VALUE, GUESS), "binary": (LABEL, CHANCE), "multiclass": (CODE, SPREAD)}[
        kind
    ]
    block = np.arange(500) // 10
    drawn = np.random.default_rng(1).multinomial(50, np.full(50, 1 / 50), 3).astype(float)
    ours = replicator(metric, truth, output, block)(drawn)
    for weights, value in zip(drawn, ours, strict=True):
        rows = np.repeat(np.arange(500), weights[block].astype(int))
        assert value == pytest.approx(evaluate(metric, truth[rows], output[rows]), rel=1e-9)


def test_ranks_of_many_rows_are_resampled_less_often_but_never_less_than_a_hundred_times() -> None:
    many = np.zeros(1_000_000)
    assert [affordable(m, many, 1000) for m in ("f1_macro", "average_precision", "roc_auc")] == [
        1000,
        100,
        1000,
    ]
    assert affordable("average_precision", many[:10_000], 1000) == 1000


def test_what_scikit_learn_refuses_is_as_bad_as_can_be() -> None:
    bad = np.where(np.arange(500) == 7, -1.0, GUESS)
    assert evaluate("mean_gamma_deviance", VALUE, bad) > 1e10
    assert evaluate("mean_poisson_deviance", VALUE, bad) > evaluate("mean_poisson_deviance", VALUE, GUESS)
    assert evaluate("positive_likelihood_ratio", LABEL, np.zeros(500)) == 1.0  # always no tells nothing
    assert evaluate("cohen_kappa", np.ones(9), np.ones(9)) == 0.0
    with pytest.raises(DataError, match="not defined on these"):
        evaluate("positive_likelihood_ratio", np.ones(9), np.ones(9))


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


@pytest.mark.parametrize(
    ("metric", "kind", "words"),
    [
        ("neg_log_loss", "binary", "log_loss"),
        (None, "regression", "rmse"),
        ("mse", "regression", "mean_squared_error"),
        ("precision", "multiclass", "Did you mean `precision_macro`"),
        ("max_error", "binary", "does not fit a binary target"),
        ("balanced_acuracy", "binary", "Did you mean `balanced_accuracy`"),
        ("rand_score", "binary", "There is no metric `rand_score`"),
    ],
)
def test_a_metric_is_known_by_any_of_its_names_and_an_unfit_one_is_refused(
    metric: str | None, kind: str, words: str
) -> None:
    if words in ALL:
        assert check_metric(metric, kind) == words
        return
    with pytest.raises(ProjectError) as caught:
        check_metric(metric, kind)
    assert words in f"{caught.value.message} {caught.value.hint}"
