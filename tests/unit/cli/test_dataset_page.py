"""The page of a dataset: every panel, whatever there is; nothing of the rows' text is taken for HTML."""

from typing import Any

import pytest

from tilth.interfaces.report.dataset import page

NUMBER = {
    "name": "a<b", "type": "float", "tag": None, "missing": 0.25, "kind": "number", "minimum": 0.0, "maximum": 9.0,
    "mean": 4.0, "sd": 1.0, "edges": [0.0, 4.5, 9.0], "counts": [10, 20], "below": 1, "above": 2, "drift": 0.3,
}  # fmt: skip
TEXT = {
    "name": "place", "type": "string", "tag": "pii", "missing": 0.0, "kind": "category", "values": [["<script>", 5]],
    "others": 3, "drift": None,
}  # fmt: skip
POINTS = [
    {
        "at": f"2024-01-0{n}",
        "value": float(n),
        "low": 0.0,
        "high": 9.0,
        "failed": 0,
        "rows": 5,
        "passed": True,
    }
    for n in (1, 2, 3)
]
CHECK = {
    "expectation": "COUNT(*) >= 3", "on_fail": "stop", "passed": True, "failed": 0, "observed": None, "room": 0.4,
    "since": "2024-01-01T00:00", "rows": 5,
}  # fmt: skip
FACTS: dict[str, Any] = {
    "name": "d", "environment": "prod", "at": "2024-01-03T00:00:00Z", "snapshot": "abcdef", "rows": 30, "bytes": 4000,
    "key": ["id"], "event_time": "t", "newest": "2024-01-02", "definition": "CREATE DATASET d AS SELECT 1 < 2", "leakage": None,
    "before": "fedcba", "columns": [NUMBER, TEXT], "left_out": 7, "checks": [CHECK],
    "history": [{"check": "COUNT(*) >= 3", "points": POINTS}],
    "refreshes": [{"at": "2024-01-01", "status": "published", "rows_read": 3, "rows_quarantined": 0, "reason": None}] * 2,
    "lineage": [
        {"from_kind": "table", "from_name": "s.t", "from_column": "a", "to_kind": "dataset", "to_name": "d", "to_column": "a<b", "how": "computed from"},
        {"from_kind": "dataset", "from_name": "d", "from_column": "a<b", "to_kind": "model", "to_name": "m", "to_column": "a<b", "how": "learned from"},
    ],
}  # fmt: skip
EMPTY = {
    **FACTS, "rows": 0, "bytes": 0, "newest": None, "before": None, "columns": [], "left_out": 0, "checks": [], "history": [],
    "refreshes": [], "lineage": [],
}  # fmt: skip


def test_every_panel_is_drawn_and_text_is_escaped() -> None:
    made = page(FACTS)
    for words in (
        "Columns",
        "Missing values",
        "Drift against",
        "Distributions",
        "Checks over time",
        "Freshness",
        "Lineage",
        "Declaration",
    ):
        assert f"<h2>{words}" in made
    assert "a&lt;b" in made
    assert "&lt;script&gt;" in made
    assert "<script" not in made
    assert "7 more columns are not shown" in made
    assert "1 of 1 columns are above 0.1" in made
    assert made.count("<svg") == 6
    assert "http" not in made.replace("http-equiv", "")


@pytest.mark.parametrize(
    "facts",
    [
        EMPTY,
        {**EMPTY, "columns": [{**NUMBER, "counts": [], "missing": None, "minimum": None, "drift": None}]},
    ],
)
def test_nothing_is_no_failure(facts: dict[str, Any]) -> None:
    made = page(facts)
    assert "Its EXPECT names no check." in made
    assert "There is no earlier snapshot" in made
