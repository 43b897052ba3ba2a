"""The one table of metrics, and those who use it."""

from tilth.core.metrics import BY_KIND, DECISIONS, HIGHER, METRICS, NAMES
from tilth.ml.model.metrics import _metrics


def test_every_metric_is_computed_and_has_a_kind_of_task() -> None:
    assert set(NAMES) == set(_metrics())
    assert len(set(NAMES)) == len(NAMES)
    assert {k for m in METRICS for k in m.kinds} == set(BY_KIND)


def test_what_a_target_is_judged_by_if_nobody_says_otherwise() -> None:
    assert {kind: names[0] for kind, names in BY_KIND.items()} == {
        "binary": "roc_auc", "multiclass": "log_loss", "regression": "rmse",
    }  # fmt: skip
    assert {"accuracy", "f1"} == DECISIONS
    assert {"roc_auc", "accuracy", "f1", "r2"} == HIGHER
