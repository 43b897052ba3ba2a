"""Charts over time, charts of a result, what differs between generations, and requests put together from nodes' counts."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tilth.core.errors import InputError
from tilth.core.latency import BUCKETS
from tilth.interfaces.drawing.timeline import Line, Rule, timeline
from tilth.interfaces.http.queried import POINTS, chart
from tilth.plan.snapshot import Pointer
from tilth.runtime.record.requests import Counted
from tilth.runtime.showing.answered import BINS, answered
from tilth.runtime.showing.apart import GONE, NEW, OTHER, apart
from tilth.runtime.showing.apart import POINTS as ELSEWHERE
from tilth.sql.language.statements import Kind

AT = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
EVIL = '<img src=x onerror="alert(1)">'


def line(*values: float | None, name: str = "x") -> Line:
    return Line(name, [(AT + n * HOUR, v) for n, v in enumerate(values)])


@pytest.mark.parametrize(
    ("lines", "more", "holds", "lacks"),
    [
        ([line(1, 2, 3)], {}, ["2026-01-01 00:00", "2026-01-01 02:00", 'class="line"'], ["over", "limit"]),
        ([line(1, None, 3)], {}, ['class="dot"'], ['class="line"']),
        ([line(1, 2, 3)], {"rule": Rule(">", 2.5, "RETRAIN WHEN drift > 2.5")}, ["dot over", "RETRAIN WHEN drift &gt; 2.5"], []),
        ([line(1, 2, 3)], {"rule": Rule("<=", 0.5, "r")}, ["limit"], ["dot over"]),
        ([line(5, 5)], {}, ["5.25", "4.75"], []),
        ([line(5, 6)], {"zero": True}, [">0<"], []),
        ([line(1, 2), line(3, 4, name="y")], {}, ['class="said"', "dashed: y"], []),
        ([line(1, 2, name=EVIL)], {"marks": [(AT, EVIL)]}, ["&lt;img"], ["<img"]),
        ([line(1, 2)], {"marks": [(AT - HOUR, "v9")]}, [], ["v9"]),
    ],
)  # fmt: skip
def test_values_over_time_are_drawn(
    lines: list[Line], more: dict[str, Any], holds: list[str], lacks: list[str]
) -> None:
    found = timeline("values", lines, **more)
    assert [w for w in holds if w not in found] == []
    assert [w for w in lacks if w in found] == []


def test_nothing_is_drawn_of_nothing() -> None:
    assert timeline("values", [line(None, None)]) == timeline("values", []) == ""


@pytest.mark.parametrize(
    ("x", "y", "holds"),
    [
        (["2026-01-02", "2026-01-01"], [[1, 2]], "2026-01-01 00:00"),
        (["2026-01-02T10:00:00", "2026-01-01T00:00:00"], [[1, None]], "2026-01-02 10:00"),
        ([3, 1, 2], [[1, 2, 3]], '<path class="line"'),
        (["a", "b"], [[1, 2]], '<rect class="bar"'),
        ([EVIL, "b"], [[1, 2]], "&lt;img"),
        ([True, False], [[1, 2]], '<rect class="bar"'),
        (["a", None], [[1, 2]], ">a<"),
    ],
)
def test_a_result_is_drawn_by_what_it_holds(x: list[Any], y: list[list[Any]], holds: str) -> None:
    found = chart(json.dumps({"x": x, "y": y, "names": ["x", "y"]}).encode())
    assert holds in found
    assert "<img" not in found


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"x": [], "y": [[]], "names": ["x", "y"]}, "as many values"),
        ({"x": [1], "y": [], "names": ["x"]}, "as many values"),
        ({"x": [1, 2], "y": [[1]], "names": ["x", "y"]}, "as many values"),
        ({"x": [1], "y": [[1]], "names": ["x"]}, "as many values"),
        ({"x": [1], "y": [[None]], "names": ["x", "y"]}, "no value to draw"),
        ({"x": [None], "y": [[1]], "names": ["x", "y"]}, "no value to draw"),
        ({"x": [1], "y": [["a"]], "names": ["x", "y"]}, "is no chart"),
        ({"x": list(range(POINTS + 1)), "y": [[1] * (POINTS + 1)], "names": ["x", "y"]}, "at most"),
        ([], "is no chart"),
        ({"x": [10**400, 2], "y": [[1, 2]], "names": ["x", "y"]}, "no place for numbers over"),
        ({"x": [1, 2], "y": [[1e308, -1e308]], "names": ["x", "y"]}, "no place for numbers over"),
        ({"x": [1, 2], "y": [[None, None], [1, 2]], "names": ["x", "y", "z"]}, "no value to draw"),
    ],
)
def test_what_is_no_chart_is_refused(asked: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        chart(json.dumps(asked).encode())
    with pytest.raises(InputError, match="is no chart"):
        chart(json.dumps(asked).encode() + b"\xff")


def pointer(name: str, target: str | None = "1", text: str = "a\nb", kind: Kind = Kind.MODEL) -> Pointer:
    return Pointer(kind, name, f"1:{text}", target, text)


@pytest.mark.parametrize(
    ("was", "now", "found"),
    [
        ([], [], []),
        ([pointer("m")], [pointer("m")], []),
        ([], [pointer("m")], [("m", NEW, None, "1")]),
        ([pointer("m")], [], [("m", GONE, "1", None)]),
        ([pointer("m")], [pointer("m", "2")], [("m", ELSEWHERE, "1", "2")]),
        ([pointer("m")], [pointer("m", "2", "a\nc")], [("m", OTHER, "1", "2")]),
        ([pointer("m", kind=Kind.DATASET)], [pointer("m")], [("m", GONE, "1", None), ("m", NEW, None, "1")]),
        ([pointer("b"), pointer("a")], [], [("a", GONE, "1", None), ("b", GONE, "1", None)]),
    ],
)
def test_what_differs_is_told(was: list[Pointer], now: list[Pointer], found: list[Any]) -> None:
    rows = apart(was, now)
    assert [(r.name, r.what, r.was, r.now) for r in rows] == found
    assert [r.lines for r in rows if r.what == OTHER] in ([], [("@@ -1,2 +1,2 @@", " a", "-b", "+c")])


def counted(minute: int, requests: int, *, status: int = 200, bucket: int = 3, version: int = 1, node: str = "n") -> Counted:  # fmt: skip
    buckets = tuple(requests if place == bucket else 0 for place in range(BUCKETS))
    at = AT + minute * timedelta(minutes=1)
    return Counted(
        at, at + timedelta(minutes=1), node, "e", version, status, requests, 2 * requests, 1.0, buckets
    )


def test_counts_of_nodes_are_put_together() -> None:
    many = [
        counted(0, 4),
        counted(0, 6, node="m"),
        counted(0, 1, status=422, version=0, bucket=13),
        counted(90, 5, bucket=5),
    ]
    found = answered(many, AT, AT + 96 * timedelta(minutes=1))
    assert [(b.at, b.requests, b.failed) for b in found.bins] == [
        (AT, 11, 1),
        (AT + timedelta(minutes=90), 5, 0),
    ]
    assert found.statuses == {200: 15, 422: 1}
    assert found.versions == {0: 1, 1: 15}
    assert found.rows == 32
    assert found.p50 == pytest.approx(0.001 + 0.0015 * 7.5 / 10)  # what was refused at 10 s is not in it
    assert found.bins[1].p99 == pytest.approx(0.005 + 0.005 * 4.95 / 5)


def test_a_month_has_as_many_bins_as_a_day() -> None:
    many = [counted(n, 1) for n in range(0, 31 * 24 * 60, 7)]
    assert len(answered(many, AT, AT + timedelta(days=31)).bins) <= BINS + 1
    assert answered([], AT, AT + HOUR).p99 is None
