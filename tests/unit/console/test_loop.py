"""What the overview says of an environment: the worst first, each thing once, and what comes next and when."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tilth.interfaces.drawing.over_time import interval, over_time
from tilth.kinds import parse_one
from tilth.runtime.showing import loop
from tilth.runtime.showing.promises import Promise
from tilth.runtime.showing.standing import NEVER
from tilth.sql.language.statements import Kind

NOW = datetime(2024, 4, 30, tzinfo=UTC)
EMPTY: dict[str, Any] = {**NEVER, "environment": "prod"}
FAILED = {
    "at": "2024-04-29T00:00:00Z",
    "action": "TrainModel",
    "name": "m",
    "error": "no room",
    "deployed": True,
}
HELD = {
    "at": "2024-04-28T00:00:00Z",
    "action": "TrainModel",
    "name": "m",
    "status": "held",
    "error": "it may leak",
    "deployed": True,
}
CONTRADICTED = {
    "expectation": "COUNT(*) > 1",
    "on_fail": "warn",
    "since": "2024-04-01",
    "refreshes": 3,
    "observed": "0",
}
DATASET: dict[str, Any] = {
    "name": "d",
    "contradicted": [CONTRADICTED],
    "notices": ["2 lines could not be read"],
}

CONCERNED: list[tuple[dict[str, Any], list[Promise], dict[str, Any], list[tuple[str, str, str]]]] = [
    ({}, [], {}, []),
    (
        {"failures": [FAILED]}, [], {}, [("bad", "m", "Train model m failed on 2024-04-29: no room")],
    ),
    (
        {"failures": [FAILED]}, [Promise("model", "m", "good", False, "its mae is 3")], {},
        [("bad", "m", "m does not hold what it promises (good): its mae is 3.")],
    ),
    ({"held": [HELD]}, [], {}, [("warn", "m", "m is held back since 2024-04-28: it may leak")]),
    (
        {"datasets": [DATASET]}, [], {},
        [
            ("warn", "d", "d does not hold COUNT(*) > 1, it is 0, since 2024-04-01."), ("soft", "d", "d: 2 lines could not be read"),
        ],
    ),
    (
        {"endpoints": [{"name": "e"}]}, [], {"health": {"reasons": ["e: no bundle.", "the state: locked"]}},
        [("bad", "e", "The server does not serve all: e: no bundle."), ("bad", "", "The server does not serve all: the state: locked.")],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("found", "broken", "served", "said"), CONCERNED)
def test_what_needs_attention_is_said_once_and_the_worst_first(
    found: dict[str, Any], broken: list[Promise], served: dict[str, Any], said: list[tuple[str, str, str]]
) -> None:
    concerns = list(loop._concerns({**EMPTY, **found}, broken, served))
    assert [(c.level, c.name, c.words) for c in concerns] == said


def test_what_comes_next_is_told_with_its_time_where_it_has_one() -> None:
    texts = {
        (Kind.DATASET, "d"): "CREATE DATASET d KEY (id) REFRESH EVERY '1 day' AS SELECT * FROM s.t",
        (Kind.DATASET, "c"): "CREATE DATASET c KEY (id) REFRESH ON CHANGE AS SELECT * FROM s.t",
        (Kind.MODEL, "m"): "CREATE MODEL m PREDICT y FROM d RETRAIN WHEN drift > 0.2 OR age > '7 days'",
    }
    found = {
        **EMPTY,
        "datasets": [
            {"name": "d", "refreshed_at": "2024-04-29T12:00:00Z"},
            {"name": "c", "refreshed_at": None},
        ],
        "models": [{"name": "m", "trained_at": "2024-04-25T00:00:00Z", "drift": 0.05}],
        "endpoints": [{"name": "e", "stage": "shadow"}, {"name": "f", "stage": "full"}],
    }
    said = list(loop._next(found, {key: parse_one(text) for key, text in texts.items()}))
    assert [(None if n.at is None else n.at.isoformat()[:16], n.words) for n in said] == [
        ("2024-04-30T12:00", "d is refreshed, every 1 day"),
        (None, "c is refreshed when its sources change"),
        (None, "m is trained again when drift > 0.2; it is 0.05"),
        ("2024-05-02T00:00", "m is trained again: age > 7 days"),
        (None, "e goes on from shadow when enough requests were seen"),
    ]


def test_a_chart_over_time_has_its_rule_its_versions_and_what_is_over() -> None:
    points = [
        (NOW + timedelta(days=n), value, version)
        for n, value, version in ((0, 0.1, 1), (1, None, 1), (2, 0.3, 2))
    ]
    drawn = over_time("drift <b>", points, (">", 0.2))
    assert drawn.count('class="limit"') == 1
    assert drawn.count('class="version"') == 1
    assert drawn.count('class="dot over"') == 1
    assert drawn.count("<circle") == 2
    assert "<b>" not in drawn
    assert over_time("drift", points[:2]) == '<p class="soft">One look: 0.1.</p>'
    assert over_time("drift", []) == '<p class="soft">No look yet.</p>'


def test_an_interval_stands_against_zero_and_is_nothing_where_it_is_not_known() -> None:
    drawn = interval(0.01, 0.0, 0.02, (-0.02, 0.02), "good")
    assert 'x1="100.0" x2="100.0"' in drawn
    assert 'cx="148.0"' in drawn
    assert "0.01 [0, 0.02]" in drawn
    assert interval(None, 0.0, 0.02, (0, 1)) == ""
