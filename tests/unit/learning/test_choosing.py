"""Which member serves: the best by the metric, and of those that it cannot tell apart the one with the least loss."""

import numpy as np
import pytest

from tilth.ml.learning.fitting import _choose
from tilth.ml.learning.made import Member
from tilth.ports.learning import Fitted, Task

Y = np.repeat([0.0, 1.0], [900, 100])


def member(name: str, metric: float | None, loss: float | None) -> Member:
    return Member(name, Fitted(name, "txt", b""), None, metric, loss)


@pytest.mark.parametrize(
    ("metric", "linear", "lightgbm", "chosen"),
    [
        ("roc_auc", (1.0, 0.05), (1.0, 0.001), "lightgbm"),  # a tie
        ("roc_auc", (1.0, 0.001), (1.0, 0.05), "linear"),
        ("roc_auc", (1.0, 0.05), (0.9999, 0.001), "lightgbm"),  # as good as a tie
        ("roc_auc", (0.91, 0.30), (0.90, 0.25), "lightgbm"),  # 0.03 is a standard error here
        ("roc_auc", (0.80, 0.20), (0.90, 0.25), "lightgbm"),  # told apart: the metric decides
        ("roc_auc", (0.90, 0.25), (0.80, 0.20), "linear"),
        ("accuracy", (0.905, 0.30), (0.900, 0.25), "lightgbm"),
        ("accuracy", (0.95, 0.30), (0.90, 0.25), "linear"),
        ("f1", (0.52, 0.30), (0.50, 0.25), "lightgbm"),
        ("log_loss", (0.2501, 0.2501), (0.25, 0.25), "lightgbm"),
        ("log_loss", (0.24, 0.24), (0.25, 0.25), "linear"),
        ("roc_auc", (None, 0.2), (0.7, 0.3), "lightgbm"),  # a metric that the rows do not define
    ],
)
def test_the_member_that_serves(
    metric: str, linear: tuple[float | None, float], lightgbm: tuple[float | None, float], chosen: str
) -> None:
    members = {"linear": member("linear", *linear), "lightgbm": member("lightgbm", *lightgbm)}
    task = Task("binary", 2, metric=metric)
    assert _choose(task, members, "lightgbm", True, Y).engine == chosen
    assert _choose(task, members, "linear", False, Y).engine == "linear"
