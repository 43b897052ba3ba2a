"""Checks proposed from rows: what is planted is found, what the newest rows would break is not, and files keep all else."""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tilth.adapters.engines.duckdb_engine import DuckDBEngine
from tilth.app.suggesting import added
from tilth.core.errors import ProjectError
from tilth.kinds import parse
from tilth.ml.data.suggesting import looked, past, proposing
from tilth.ml.data.suggesting.proposing import Failed
from tilth.ports.arrow import schema_of

ENGINE = DuckDBEngine([])
N = 2_000
RNG = np.random.default_rng(8)
AT = [datetime(2026, 1, 1) + timedelta(hours=i) for i in range(N)]
NEWEST = np.arange(N) >= N * 4 // 5


def proposed(columns: dict[str, Any], key: tuple[str, ...] = ("id",), taken: tuple[str, ...] = (), event: str | None = "at") -> tuple[dict[str, str], dict[str, str]]:  # fmt: skip
    table = pa.table({"id": np.arange(N), "at": pa.array(AT, pa.timestamp("us")), **columns})
    schema = schema_of(table.schema)
    rows = looked.cut(table, event, N, ENGINE)
    names = [n for n in schema.names if n not in {*key, event}]
    made, refused = proposing.propose(rows, looked.look(rows, schema, names), key, taken)
    return {p.check: p.kind for p in made}, {r.column: r.why for r in refused}


def gaps(values: Any) -> pa.Array:
    return pa.array(values, mask=np.arange(N) % 10 == 0)


@pytest.mark.parametrize(
    ("name", "values", "check"),
    [
        ("kind", RNG.choice(["a", "b'c"], N), "kind IN ('a', 'b''c')"),
        ("yes", RNG.random(N) < 0.5, "yes IN (FALSE, TRUE)"),
        ("tail", [f"N{i % 90000:05d}" for i in RNG.integers(0, 90000, N)], "regexp_full_match(tail, '[A-Z][0-9]{5}')"),
        ("flag", RNG.integers(0, 2, N), "flag IN (0, 1)"),
        ("stars", gaps(RNG.integers(1, 6, N)), "stars IS NULL OR stars IN (1, 2, 3, 4, 5)"),
        ("dice", RNG.integers(1, 7, N), "dice BETWEEN 0 AND 8"),
        ("x", RNG.uniform(0, 1, N), "x BETWEEN 0 AND 1"),
        ("b", RNG.choice(["a", "z"], N), "b IN ('a', 'z')"),
        ("v", RNG.choice(["a", "z"], N), "v IN ('a', 'z')"),
        ("p", pa.array(RNG.uniform(0, 1, N), mask=np.arange(N) < 9), "p BETWEEN 0 AND 1"),
        ("y", RNG.uniform(-50, 50, N), "y BETWEEN -80 AND 80"),
        ("n", RNG.integers(10, 100, N), "n BETWEEN 0 AND 130"),
        ("select", gaps(RNG.choice(["a", "b"], N)), '"select" IS NULL OR "select" IN (\'a\', \'b\')'),
        ("d", pa.array([a + timedelta(days=int(i)) for a, i in zip(AT, RNG.integers(1, 9, N), strict=True)], pa.timestamp("us")), "d IS NOT NULL"),
        ("text", [f"{'word ' * int(i)}{i}" for i in RNG.integers(0, 900, N)], "text IS NOT NULL"),
    ],
)  # fmt: skip
def test_what_is_planted_is_found(name: str, values: Any, check: str) -> None:
    made, _ = proposed({name: values})
    assert check in made


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (np.where(NEWEST, "new", RNG.choice(["a", "b"], N)), "there will be more"),
        (np.arange(N) + RNG.integers(0, 9, N), "grows with time"),
        (-np.arange(N) * 2.0, "grows with time"),
        (np.where(NEWEST, 2, RNG.integers(0, 2, N)), "extremes differ much"),
        (np.where(NEWEST, 900.0, 1.0) * RNG.uniform(0, 1, N), "extremes differ much"),
        (pa.array([None] * N, pa.float64()), "has no value"),
    ],
)
def test_what_the_newest_rows_would_break_is_left_out_and_said(values: Any, why: str) -> None:
    made, refused = proposed({"c": values})
    assert not [c for c, kind in made.items() if kind in ("set", "range")]
    assert why in refused["c"]


def test_gaps_that_come_only_lately_are_no_reason_to_forbid_them() -> None:
    made, _ = proposed({"c": pa.array(RNG.uniform(0, 9, N), mask=NEWEST & (np.arange(N) % 7 == 0))})
    assert list(made) == ["c IS NULL OR c BETWEEN 0 AND 12"]


@pytest.mark.parametrize(
    ("lacks", "check"),
    [
        (np.arange(24) % 8 == 0, "c BETWEEN 0 AND 12"),
        (np.arange(24 * 40) % 24 == 0, "c IS NULL OR c BETWEEN 0 AND 12"),
    ],
)
def test_gaps_of_few_days_are_failures_and_those_of_many_are_not(lacks: Any, check: str) -> None:
    mask = np.append(lacks, np.zeros(N - len(lacks), bool))
    made, _ = proposed({"c": pa.array(np.arange(N) % 10, pa.float64(), mask=mask)})
    assert check in made


@pytest.mark.parametrize(
    ("failed", "words"),
    [
        ((), "0 of 31 days"),
        ((Failed("2026-03-04", 12, 12, 100),), "1 of 31 days: 2026-03-04 (12 % NULL); 0 of the last 11"),
        ((Failed("a", 1, 0, 3), Failed("b (volume)", 1, 0, 0)), "2 of 31 days: a (33 %), b (volume); 0 of the last 11"),
        (tuple(Failed(d, 1, 0, 2) for d in "abcde"), "5 of 31 days: a (50 %), b (50 %), c (50 %) and 2 more; 0 of the last 11"),
    ],
)  # fmt: skip
def test_what_a_check_would_have_caught_is_said(failed: tuple[Failed, ...], words: str) -> None:
    asked = [*(Failed("", 0, 0, 9) for _ in range(20 - len(failed))), *failed, *[Failed("", 0, 0, 9)] * 11]
    assert past.told("days", asked).words == words


def test_a_key_is_proposed_where_there_is_none() -> None:
    made, _ = proposed({"n": np.arange(N)[::-1].copy()}, key=())
    assert "COUNT(DISTINCT id) = COUNT(*)" in made
    assert "unique" not in proposed({"n": np.arange(N)[::-1].copy()})[0].values()


def test_times_that_follow_one_another_are_found() -> None:
    ends = pa.array([a + timedelta(hours=2) for a in AT], pa.timestamp("us"))
    made, _ = proposed({"began": pa.array(AT, pa.timestamp("us")), "ended": ends})
    assert made["began IS NULL OR ended IS NULL OR began <= ended"] == "order"
    assert len([k for k in made.values() if k == "order"]) == 1


def test_columns_that_a_check_names_are_left_alone() -> None:
    made, _ = proposed({"x": RNG.uniform(0, 1, N), "y": RNG.uniform(0, 1, N)}, taken=("X",))
    assert list(made) == ["y BETWEEN 0 AND 1"]


@pytest.mark.parametrize("rows", [0, 1, 99])
def test_few_rows_give_nothing_and_it_is_said(rows: int) -> None:
    table = pa.table({"a": pa.array(np.arange(rows), pa.int64())})
    cut = looked.cut(table, None, rows, ENGINE)
    made, refused = proposing.propose(cut, looked.look(cut, schema_of(table.schema), ["a"]), (), ())
    assert not made
    assert "too few to learn from" in refused[0].why


def test_without_an_event_time_the_order_of_rows_counts() -> None:
    made, refused = proposed({"c": np.where(NEWEST, "new", RNG.choice(["a", "b"], N))}, event=None)
    assert "c" in refused
    assert not [k for k in made.values() if k == "set"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "CREATE DATASET d\n  EXPECT (\n    a > 0 -- why\n  )\nAS SELECT 1;",
            "CREATE DATASET d\n  EXPECT (\n    a > 0,\n    b > 0 -- why\n  )\nAS SELECT 1;",
        ),
        (
            "CREATE DATASET d AS SELECT 1 AS x;",
            "CREATE DATASET d EXPECT (\n    b > 0\n  )\nAS SELECT 1 AS x;",
        ),
        (
            "CREATE DATASET e EXPECT (z > 0) AS SELECT 1;\nCREATE DATASET d EXPECT (f(a) > 0 ON FAIL WARN) AS SELECT 1;",
            "CREATE DATASET e EXPECT (z > 0) AS SELECT 1;\nCREATE DATASET d EXPECT (f(a) > 0 ON FAIL WARN,\n    b > 0) AS SELECT 1;",
        ),
        (
            "CREATE DATASET d EXPECT (CAST(a AS INTEGER) > 0) AS SELECT 1",
            "CREATE DATASET d EXPECT (CAST(a AS INTEGER) > 0,\n    b > 0) AS SELECT 1",
        ),
    ],
)
def test_items_are_added_and_all_else_stays(text: str, expected: str) -> None:
    line = text[: text.index("CREATE DATASET d")].count("\n") + 1
    assert added(text, line, ["b > 0"]) == expected
    parse(expected)


def test_a_text_without_a_place_for_checks_is_an_error() -> None:
    with pytest.raises(ProjectError):
        added("CREATE DATASET d;", 1, ["b > 0"])
