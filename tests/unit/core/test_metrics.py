"""The one table of metrics, and those who use it."""

import sklearn.metrics

from tilth.core.metrics import ALL, ALSO, BY_KIND, HIGHER, METRICS, NAMES, PINBALL, USUAL
from tilth.ml.model.measures import MEASURES
from tilth.ml.model.metrics import _usual

OF_CLUSTERS = {
    "adjusted_mutual_info_score", "adjusted_rand_score", "completeness_score", "fowlkes_mallows_score",
    "homogeneity_score", "mutual_info_score", "normalized_mutual_info_score", "rand_score", "v_measure_score",
}  # fmt: skip


def test_every_metric_is_computed_and_has_a_kind_of_task() -> None:
    assert set(NAMES) == {*_usual(), *MEASURES} - set(PINBALL)
    assert len(set(ALL)) == len(ALL)
    assert {k for m in METRICS for k in m.kinds} == set(BY_KIND)
    assert set(ALSO.values()) <= set(NAMES)


def test_every_scorer_of_scikit_learn_that_fits_a_task_is_known_and_goes_the_same_way() -> None:
    theirs = {n for n in sklearn.metrics.get_scorer_names() if not n.endswith("_samples")} - OF_CLUSTERS
    assert theirs <= set(ALL)
    assert {ALSO.get(n, n) for n in theirs if not n.startswith("neg_")} <= HIGHER
    assert not {ALSO[n] for n in theirs if n.startswith("neg_")} & HIGHER


def test_what_a_target_is_judged_by_if_nobody_says_otherwise() -> None:
    assert {kind: names[0] for kind, names in BY_KIND.items()} == {
        "binary": "roc_auc", "multiclass": "log_loss", "regression": "rmse", "forecast": "mase",
    }  # fmt: skip
    assert {kind: len(names) for kind, names in USUAL.items()} == {
        "binary": 5,
        "multiclass": 4,
        "regression": 4,
        "forecast": 4,
    }
