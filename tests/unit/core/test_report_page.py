"""The page of a report: charts of every kind of task, text that is text, and nothing that would be fetched."""

import re
from copy import deepcopy
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from tilth.interfaces.report.page import page
from tilth.ml.judging import curves

random = np.random.default_rng(3)
SHARE = random.random(400)
CAME = (random.random(400) < SHARE).astype(float)
FACTS: dict[str, Any] = {
    "name": "late", "version": 3, "target": "arr_late", "task": "binary", "metric": "roc_auc", "value": 0.7117,
    "engine": "lightgbm", "rows": 300_326, "trained_at": "2026-11-28T10:00:00.000000Z", "at": "2026-11-28T11:00:00.000000Z",
    "environment": "prod", "digest": "b1e4d04fe9b97b85a2e4", "made_from": ["ops", "departures"], "notices": ["`x` is left out."],
    "definition": "CREATE MODEL late PREDICT arr_late FROM departures;", "why": None,
    "metrics": {"roc_auc": 0.7117, "log_loss": 0.27}, "baselines": {"dummy": {"roc_auc": 0.5, "log_loss": 0.31}},
    "slices": {"origin": [{"value": "JFK", "rows": 9000, "roc_auc": 0.69}]},
    "money": {
        "value": 17.5, "low": 16.0, "high": 19.0, "per": 1000, "rows": 400, "confidence": 0.95, "threshold": 0.2, "cost_false_negative": 4.0,
        "cost_false_positive": 1.0, "against": {"always no": {"value": 40.0, "saved": {"value": 22.5, "low": 18.0, "high": 27.0}}},
    },
    "permuted": {
        "loss": "log_loss", "rows": 400, "deals": 3, "confidence": 0.95, "learned_from": True, "not_measured": 2,
        "inputs": {"distance": {"value": 0.2, "low": 0.1, "high": 0.3}, "carrier": {"value": -0.01, "low": None, "high": None}},
    },
    "weak": {
        "loss": "log_loss", "rows": 400, "tested": 30, "error": 0.05,
        "slices": [{"where": "distance < 500 AND carrier = 'EV'", "rows": 60, "loss": 0.5, "rest": 0.2, "said": 0.3, "came": None}],
    },
    "simpler": {
        "bytes": 90_000, "metric": 0.71, "rows": 400, "nearest": "linear",
        "models": [
            {"name": "linear", "inputs": 2, "metric": 0.7, "loses": {"value": 0.01, "low": -0.01, "high": 0.03}, "bytes": 900},
            {"name": "small trees", "inputs": 2, "why": "the time limit was reached"},
        ],
    },
    "row_us": {"this": 4.0, "linear": 90.0},
    "gate": {"outcome": "pass", "reason": "It is better."},
    "gates": [{
        "at": "2026-11-28T10:00:00.000000Z", "candidate": 3, "champion": 2, "outcome": "pass", "candidate_metric": 0.71,
        "champion_metric": 0.70, "rows": 30_033, "reason": "It is better.",
    }],
    "inputs": [
        {"name": "distance", "type": "integer", "required": True, "range": [80, 4983], "categories": None, "more_categories": False, "importance": 0.6},
        {"name": "carrier", "type": "string", "required": False, "range": None, "categories": ["DL", "UA"], "more_categories": True, "importance": 0.4},
    ],
    "effects": [
        {"input": "distance", "values": [80.0, 500.0, 2500.0], "means": [0.1, None, 0.3], "numeric": True},
        {"input": "carrier", "values": ["DL", "UA"], "means": [0.1, 0.2], "numeric": False},
    ],
    "judged": {
        "rows": 400, "ranking": curves.ranking(CAME, SHARE), "reliability": curves.reliability(CAME, SHARE), "threshold": 0.5,
        "confusion": curves.confusion(CAME, (SHARE > 0.5).astype(float), ["false", "true"]),
    },
}  # fmt: skip
HOSTILE = "<script>alert(1)</script>\"'&{{title}}"


class Checked(HTMLParser):
    """What a page holds, and whether what it opens it closes."""

    VOID = frozenset({"meta", "br", "path", "rect", "circle"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def checked(facts: dict[str, Any]) -> Checked:
    found = Checked()
    found.feed(page(facts))
    assert not found.open
    assert not [t for t, _ in found.tags if t in ("script", "link", "img", "iframe", "object")]
    assert not [a for _, a in found.tags for key in a if key in ("src", "href") or key.startswith("on")]
    return found


def test_a_page_is_whole_and_fetches_nothing() -> None:
    found = checked(FACTS)
    assert [a["aria-label"] for t, a in found.tags if t == "svg"] == [
        "ROC curve", "precision and recall", "reliability", "importance of inputs", "effect of distance", "effect of carrier",
    ]  # fmt: skip
    text = re.sub(r"<[^>]+>", " ", page(FACTS))
    for words in (
        "late",
        "0.7117",
        "300,326 rows",
        "It is better.",
        "JFK",
        "80 to 4,983",
        "DL, UA, ...",
        "`x` is left out.",
    ):
        assert words in text


@pytest.mark.parametrize(
    "judged",
    [
        None,
        {"rows": 5, "residuals": curves.residuals(np.array([1.0, 2, 3, 4, 5]), np.array([1.0, 2, 3, 4, 9]))},
        {"rows": 1, "residuals": curves.residuals(np.array([1.0]), np.array([1.0]))},
        {"rows": 3, "reliability": curves.reliability(np.ones(3), np.ones(3)), "confusion": curves.confusion(np.array([0.0, 1, 2]), np.array([0.0, 0, 2]), ["a", "b", "c"])},
        {"rows": 2, "ranking": curves.ranking(np.array([0.0, 0]), np.array([0.5, 0.5])), "reliability": curves.reliability(np.zeros(2), np.full(2, 0.5)), "threshold": 0.5, "confusion": curves.confusion(np.zeros(2), np.zeros(2), ["n", "y"])},
    ],
    ids=["none", "regression", "one row", "classes", "one class"],
)  # fmt: skip
def test_a_page_of_little_or_nothing(judged: dict[str, Any] | None) -> None:
    facts = {
        **FACTS,
        "judged": judged,
        "why": "The snapshot that it was trained on is gone.",
        "effects": [],
        "slices": {},
        "gates": [],
        "gate": None,
        "notices": [],
    }
    checked(facts)
    assert ("is gone" in page(facts)) is (judged is None)
    assert "nan" not in page(facts).lower().replace("finance", "")


def hostile(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: hostile(v) for k, v in value.items()}
    if isinstance(value, list):
        return [hostile(v) for v in value]
    return HOSTILE if isinstance(value, str) else value


def test_a_name_is_never_markup() -> None:
    facts = hostile(deepcopy(FACTS))
    facts["weak"]["slices"][0]["where"] = HOSTILE
    facts["permuted"]["inputs"] = {HOSTILE: FACTS["permuted"]["inputs"]["distance"]}
    facts["slices"] = {HOSTILE: FACTS["slices"]["origin"]}
    found = checked(facts)
    assert not any("alert" in str(a) and t == "script" for t, a in found.tags)


# --- curves, computed apart ----------------------------------------------------------------------------------


def test_curves_are_those_of_scikit_learn() -> None:
    from sklearn import metrics

    found = curves.ranking(CAME, SHARE)
    fpr, tpr, _ = metrics.roc_curve(CAME, SHARE, drop_intermediate=False)
    known = {(round(a, 12), round(b, 12)) for a, b in zip(fpr, tpr, strict=True)}
    assert {(round(a, 12), round(b, 12)) for a, b in zip(found["fpr"], found["tpr"], strict=True)} <= known
    assert np.trapezoid(found["tpr"], found["fpr"]) == pytest.approx(
        metrics.roc_auc_score(CAME, SHARE), abs=0.01
    )
    precision, recall, _ = metrics.precision_recall_curve(CAME, SHARE)
    known = {(round(a, 12), round(b, 12)) for a, b in zip(recall, precision, strict=True)}
    assert {
        (round(a, 12), round(b, 12)) for a, b in zip(found["recall"], found["precision"], strict=True)
    } <= known


def test_reliability_is_that_of_bins_of_equal_counts() -> None:
    from sklearn.calibration import calibration_curve

    came, said = calibration_curve(CAME, SHARE, n_bins=10, strategy="quantile")
    found = curves.reliability(CAME, SHARE)
    assert [b["said"] for b in found["bins"]] == pytest.approx(said.tolist())
    assert [b["came"] for b in found["bins"]] == pytest.approx(came.tolist())
    assert found["ece"] == pytest.approx(float(np.mean(np.abs(said - came))))
    assert all(b["low"] <= b["came"] <= b["high"] for b in found["bins"])


def test_confusion_counts_all_rows_and_puts_rare_classes_together() -> None:
    from sklearn.metrics import confusion_matrix

    truth, said = random.integers(0, 20, 500), random.integers(0, 20, 500)
    found = curves.confusion(truth, said, [f"c{i}" for i in range(20)])
    assert found["classes"][-1] == "others"
    assert len(found["classes"]) == curves.SHOWN
    assert sum(map(sum, found["rows"])) == 500
    whole = confusion_matrix(truth, said, labels=range(20))
    first = int(found["classes"][0][1:])
    assert found["rows"][0][0] == whole[first, first]


def test_what_training_found_out_is_told_and_versions_of_before_have_none_of_it() -> None:
    told = page(FACTS)
    for words in (
        "17.5 (16 to 19)", "22.5 (18 to 27)", "which this version has learned from", "2 inputs weigh less", "distance &lt; 500 AND carrier",
        "30 slices of one column or two", "loses 0.01 of roc_auc (-0.01 to 0.03)", "the time limit was reached", "90 us",
    ):  # fmt: skip
        assert words in told
    before = {k: v for k, v in FACTS.items() if k not in ("money", "permuted", "weak", "simpler", "row_us")}
    assert "Simpler models" not in page(before)
    assert "importance of inputs" in page(before)
    none = {**FACTS, "weak": {**FACTS["weak"], "slices": []}}
    assert "in none is the model shown to be weaker" in page(none)
