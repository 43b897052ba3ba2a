"""The metrics that models are judged by: their names, the kinds of task that they fit, and which way is better.

The one table of them: OBJECTIVE is checked against it, and `ml.model.metrics` computes what it lists. Besides tilth's own
short names there are those of scikit-learn's scorers; an error that is called `neg_...` there is itself here, and less of
it is better.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. `decides`: it looks at classes, and not at probabilities.

    `usual`: told of every model of its kind. `positive`: it asks how one of two classes is found. `least`: what every
    target must be above (`above`) or at. `also`: other names of it.
    """

    name: str
    kinds: tuple[str, ...]
    higher: bool = False
    decides: bool = False
    usual: bool = False
    positive: bool = False
    least: float | None = None
    above: bool = False
    also: tuple[str, ...] = ()


_BINARY, _SEVERAL, _NUMBER = ("binary",), ("multiclass",), ("regression",)
_AHEAD = ("forecast",)
_NUMBERS = (*_NUMBER, *_AHEAD)
_CLASSES = (*_BINARY, *_SEVERAL)


def _averaged(name: str) -> tuple[Metric, ...]:
    ways = tuple(
        Metric(f"{name}_{way}", _CLASSES, higher=True, decides=True) for way in ("macro", "micro", "weighted")
    )
    if name == "f1":
        return ways
    return (Metric(name, _BINARY, higher=True, decides=True, positive=True), *ways)


METRICS = (
    Metric("roc_auc", _BINARY, higher=True, usual=True),
    Metric("log_loss", _CLASSES, usual=True, also=("neg_log_loss",)),
    Metric("accuracy", _CLASSES, higher=True, decides=True, usual=True),
    Metric("f1", _CLASSES, higher=True, decides=True, usual=True, positive=True),
    Metric("brier", _CLASSES, usual=True, also=("neg_brier_score", "brier_score")),
    Metric("mase", _AHEAD, usual=True),
    Metric("rmse", _NUMBERS, usual=True, also=("neg_root_mean_squared_error", "root_mean_squared_error")),
    Metric("mae", _NUMBERS, usual=True, also=("neg_mean_absolute_error", "mean_absolute_error")),
    Metric("r2", _NUMBER, higher=True, usual=True, also=("d2_tweedie_score",)),
    Metric("mape", _NUMBERS, usual=True, also=("neg_mean_absolute_percentage_error", "mean_absolute_percentage_error")),
    Metric("balanced_accuracy", _CLASSES, higher=True, decides=True),
    Metric("average_precision", _CLASSES, higher=True, positive=True),
    Metric("matthews_corrcoef", _CLASSES, higher=True, decides=True),
    Metric("cohen_kappa", _CLASSES, higher=True, decides=True, also=("cohen_kappa_score",)),
    *_averaged("f1"), *_averaged("precision"), *_averaged("recall"), *_averaged("jaccard"),
    Metric("positive_likelihood_ratio", _BINARY, higher=True, decides=True, positive=True),
    Metric("negative_likelihood_ratio", _BINARY, decides=True, positive=True, also=("neg_negative_likelihood_ratio",)),
    Metric("roc_auc_ovr", _CLASSES, higher=True), Metric("roc_auc_ovr_weighted", _CLASSES, higher=True),
    Metric("roc_auc_ovo", _CLASSES, higher=True), Metric("roc_auc_ovo_weighted", _CLASSES, higher=True),
    Metric("top_k_accuracy", _SEVERAL, higher=True),
    Metric("d2_log_loss_score", _CLASSES, higher=True), Metric("d2_brier_score", _CLASSES, higher=True),
    Metric("mean_squared_error", _NUMBER, also=("neg_mean_squared_error", "mse")),
    Metric("median_absolute_error", _NUMBER, also=("neg_median_absolute_error",)),
    Metric("mean_squared_log_error", _NUMBER, least=0.0, also=("neg_mean_squared_log_error",)),
    Metric("root_mean_squared_log_error", _NUMBER, least=0.0, also=("neg_root_mean_squared_log_error", "rmsle")),
    Metric("max_error", _NUMBER, also=("neg_max_error",)),
    Metric("explained_variance", _NUMBER, higher=True),
    Metric("mean_pinball_loss", _NUMBER, also=("neg_mean_pinball_loss", "mean_pinball")),
    Metric("mean_poisson_deviance", _NUMBER, least=0.0, also=("neg_mean_poisson_deviance",)),
    Metric("mean_gamma_deviance", _NUMBER, least=0.0, above=True, also=("neg_mean_gamma_deviance",)),
    Metric("d2_absolute_error_score", _NUMBER, higher=True, also=("d2_pinball_score",)),
)  # fmt: skip
NAMES = tuple(m.name for m in METRICS)
ALSO = {also: m.name for m in METRICS for also in m.also}
ALL = (*NAMES, *ALSO)
BY_KIND = {
    kind: tuple(m.name for m in METRICS if kind in m.kinds) for kind in (*_CLASSES, "regression", "forecast")
}
USUAL = {kind: tuple(m.name for m in METRICS if m.usual and kind in m.kinds) for kind in BY_KIND}
HIGHER = frozenset(m.name for m in METRICS if m.higher)
DECISIONS = frozenset(m.name for m in METRICS if m.decides)
POSITIVE = frozenset(m.name for m in METRICS if m.positive)
TO_THE_MIDDLE = frozenset(
    ("mae", "mape", "median_absolute_error", "mean_pinball_loss", "d2_absolute_error_score")
)
"""Metrics of numbers of which a median is the best single answer."""


PINBALL = {f"pinball_{n / 100:g}": n / 100 for n in range(1, 100)}
"""The pinball losses, by name, with the quantile that each is least at. In no list of metrics: they would be most of it."""


def quantile_of(name: str) -> float | None:
    """The quantile that a model of this metric learns; None for other metrics.

    >>> quantile_of("pinball_0.9"), quantile_of("pinball_0.95"), quantile_of("mae")
    (0.9, 0.95, None)
    """
    return PINBALL.get(name)


def canonical(name: str) -> str:
    """The name that a metric has here; what is no metric stays as it is.

    >>> canonical("neg_log_loss"), canonical("mse"), canonical("roc_auc")
    ('log_loss', 'mean_squared_error', 'roc_auc')
    """
    return ALSO.get(name, name)


def find(name: str) -> Metric | None:
    """The metric of a name, or None."""
    meant = canonical(name)
    if quantile_of(meant) is not None:
        return Metric(meant, _NUMBER)
    return next((m for m in METRICS if m.name == meant), None)
