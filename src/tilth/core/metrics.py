"""The metrics that models are judged by: their names, the kinds of task that they fit, and which way is better.

The one table of them: OBJECTIVE is checked against it, and `ml.model.metrics` computes what it lists.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. `decides`: it looks at classes, and not at probabilities."""

    name: str
    kinds: tuple[str, ...]
    higher: bool = False
    decides: bool = False


_CLASSES = ("binary", "multiclass")
METRICS = (
    Metric("roc_auc", ("binary",), higher=True),
    Metric("log_loss", _CLASSES),
    Metric("accuracy", _CLASSES, higher=True, decides=True),
    Metric("f1", _CLASSES, higher=True, decides=True),
    Metric("brier", _CLASSES),
    Metric("rmse", ("regression",)),
    Metric("mae", ("regression",)),
    Metric("r2", ("regression",), higher=True),
    Metric("mape", ("regression",)),
)
NAMES = tuple(m.name for m in METRICS)
BY_KIND = {kind: tuple(m.name for m in METRICS if kind in m.kinds) for kind in (*_CLASSES, "regression")}
HIGHER = frozenset(m.name for m in METRICS if m.higher)
DECISIONS = frozenset(m.name for m in METRICS if m.decides)
