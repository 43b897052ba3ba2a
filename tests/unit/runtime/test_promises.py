"""What is promised, and when it does not hold: a table."""

from datetime import timedelta
from typing import Any

import pytest
from memories import NOW

from tilth.core.time import show_instant
from tilth.kinds import parse
from tilth.runtime.showing.promises import facts, judged

TEXT = """
CREATE SOURCE s ENGINE files WITH (path = '.');
CREATE DATASET d EVENT TIME t REFRESH EVERY '1 hour' EXPECT (FRESH WITHIN '2 days' ON FAIL WARN) AS SELECT * FROM s.t;
CREATE MODEL m PREDICT y FROM d OBJECTIVE (metric = 'roc_auc', minimum = 0.7) RETRAIN WHEN quality < 0.75 OR drift > 0.3 OR prediction_drift > 0.2 PROMOTE IF better;
CREATE ENDPOINT e FOR MODEL m;
"""
DECLARED = {(s.kind, s.name): s for s in parse(TEXT)}  # type: ignore[union-attr]
LOSS = {
    (s.kind, s.name): s
    for s in parse(
        TEXT.replace("roc_auc", "rmse").replace(
            "RETRAIN WHEN quality < 0.75 OR drift > 0.3 OR prediction_drift > 0.2", ""
        )
    )
}  # type: ignore[union-attr]


def ago(**span: float) -> str:
    return show_instant(NOW - timedelta(**span))


def found(**changed: Any) -> dict[str, Any]:
    """Where an environment stands in which all holds, but for what is changed: `d_newest` is `newest` of the dataset."""
    rows = {
        "d": {"name": "d", "newest": ago(days=1), "refreshed_at": ago(minutes=30), "last_refresh": "published", "reason": None},
        "m": {"name": "m", "quality": 0.8, "metric": "roc_auc", "drift": 0.1, "prediction_drift": None},
        "e": {"name": "e", "version": 3, "previous": 2},
    }  # fmt: skip
    more: dict[str, Any] = {"failures": [], "damage": []}
    for key, value in changed.items():
        of, _, name = key.partition("_")
        rows.get(of, more)[name if of in rows else key] = value
    return {"datasets": [rows["d"]], "models": [rows["m"]], "endpoints": [rows["e"]], **more}


FAILED = {"action": "CollectDataset", "name": "d", "error": "no table t", "deployed": True}
CASES: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({}, {}),
    ({"d_last_refresh": "failed", "d_reason": "no table t"}, {"d refreshed": "its last refresh failed: no table t"}),
    ({"d_last_refresh": "stopped", "d_reason": "a check"}, {"d refreshed": "its last refresh failed: a check"}),
    ({"failures": [FAILED]}, {"d refreshed": "its last refresh failed: no table t"}),
    ({"failures": [{**FAILED, "name": "x"}]}, {"x refreshed": "it was never collected: no table t"}),
    ({"failures": [{**FAILED, "action": "TrainModel", "name": "m"}]}, {}),
    ({"failures": [{**FAILED, "action": "write", "name": "db.scores", "error": "no right"}]},
     {"db.scores written": "its last write did not end well: no right"}),
    ({"d_newest": ago(days=2)}, {}),
    ({"d_newest": ago(days=3)}, {"d fresh": "its newest row is 3 days old, and FRESH WITHIN is 2 days"}),
    ({"d_newest": None}, {}),
    ({"d_refreshed_at": ago(hours=2)}, {}),
    ({"d_refreshed_at": ago(hours=2, seconds=1)}, {"d fresh": "its last refresh was 2 hours ago, and REFRESH EVERY is 1 hour"}),
    ({"d_refreshed_at": None, "d_last_refresh": None}, {}),
    ({"m_quality": None}, {}),
    ({"m_quality": 0.75}, {}),
    ({"m_quality": 0.74}, {"m good": "its roc_auc is 0.74: RETRAIN WHEN quality < 0.75"}),
    ({"m_quality": 0.69}, {"m good": "its roc_auc is 0.69, and the minimum is 0.7"}),
    ({"m_drift": 0.3}, {}),
    ({"m_drift": None}, {}),
    ({"m_drift": 0.312}, {"m steady": "its drift is 0.312: RETRAIN WHEN drift > 0.3"}),
    ({"m_prediction_drift": 0.21}, {"m steady": "its prediction drift is 0.21: RETRAIN WHEN prediction_drift > 0.2"}),
    ({"m_quality": 0.6, "m_drift": 0.4}, {
        "m good": "its roc_auc is 0.6, and the minimum is 0.7", "m steady": "its drift is 0.4: RETRAIN WHEN drift > 0.3",
    }),
    ({"e_version": None, "e_previous": None}, {"e served": "no version answers it"}),
    ({"e_version": None}, {}),
    ({"damage": [{"of": "version 3 of m", "damage": "model.txt changed"}]}, {"version 3 of m whole": "model.txt changed"}),
]  # fmt: skip


@pytest.mark.parametrize(("changed", "broken"), CASES)
def test_what_does_not_hold_is_told_with_its_reason(changed: dict[str, Any], broken: dict[str, str]) -> None:
    made = judged(found(**changed), DECLARED, NOW)
    assert {f"{p.name} {p.promise}": p.reason for p in made if not p.holds} == broken
    assert {f"{p.name} {p.promise}" for p in made} >= {"d refreshed", "m good", "m steady", "e served"}
    assert all(not p.reason for p in made if p.holds)
    assert facts("prod", made)["holds"] is not bool(broken)


def test_a_metric_whose_less_is_better_has_a_maximum() -> None:
    for value, words in ((0.6, ""), (0.8, "its rmse is 0.8, and the maximum is 0.7")):
        made = judged(found(m_quality=value, m_metric="rmse"), LOSS, NOW)
        assert [p.reason for p in made if p.promise == "good"] == [words]
        assert "steady" not in {p.promise for p in made}  # nothing is declared of drift
