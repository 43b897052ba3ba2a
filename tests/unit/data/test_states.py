"""Set checks from states of files, and checks of a column's values, against one pass over all rows."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_bench import Bench, check, dataset

from tilth.adapters.engines.duckdb_engine import DuckDBEngine
from tilth.ml.data import checks as checking
from tilth.ml.data import counting, grouped, merge, rows, snapshots, states
from tilth.ports.arrow import schema_of
from tilth.ports.history import History, States
from tilth.sql.language.statements import CheckKind, OnFail

ENGINE = DuckDBEngine([])
RNG = np.random.default_rng(6)
TABLE = pa.table(
    {
        "a": pa.array(RNG.integers(-50, 50, 300), mask=RNG.random(300) < 0.1),
        "x": pa.array([float("nan") if i % 9 == 0 else 1e6 + v for i, v in enumerate(RNG.normal(size=300))]),
        "s": pa.array(RNG.choice(["p", "q", "r"], 300)),
        "big": pa.array(np.full(300, 2**62)),
        "d": pa.array(list(range(300)), pa.decimal128(10, 2)),
        "gone": pa.array([None] * 300, pa.float64()),
    }
)
SPLIT = [TABLE.slice(0, 1), TABLE.slice(1, 150), TABLE.slice(151, 0), TABLE.slice(151)]
KEPT = [
    "COUNT(*) = 300", "COUNT(a) > 1", "count(*) FILTER (WHERE a > 0) > 3", "count_if(a > 0) > 3", "sum(a) > 0", "avg(a) > 0",
    "avg(x) BETWEEN 0 AND 1", "min(x) > 0", "max(s) = 'r'", "stddev(x) < 2", "var_pop(a) > 1", "stddev_pop(x) > 0.5", "sum(d) > 3",
    "avg(d) > 3", "sum(big) > 0", "COUNT(a) >= 0.5 * COUNT(*)", "count(DISTINCT s) = 3", "approx_count_distinct(a) > 9",
    "avg(gone) > 0", "sum(a) / count(*) > -99", "max(a) - min(a) < 100", "avg(a + 1) > 0", "min(coalesce(a, 0)) < 0",
]  # fmt: skip
ASKED_WHOLE = ["median(a) > 0", "max(a) < (SELECT 99)", "quantile_cont(a, 0.5) > 0", "mode(s) = 'p'", "max(length(s)) = 1"]  # fmt: skip


def checks_of(
    *texts: str, kind: CheckKind = CheckKind.SET, schema: pa.Schema = TABLE.schema
) -> checking.Checks:
    spec = dataset("SELECT 1", *(check(t, OnFail.WARN, kind) for t in texts))
    return checking.checks_of(spec, schema_of(schema), ENGINE)


@pytest.mark.parametrize("text", KEPT)
def test_states_put_together_say_what_one_pass_says(text: str) -> None:
    checks, kept = checks_of(text), States()
    files = [(str(n), piece) for n, piece in enumerate(SPLIT)]
    known = states.answered(checks, files, kept, ENGINE)
    assert set(known) == {0}
    now = checking.set_results(checks, TABLE, ENGINE, None, 300, known)[0]  # type: ignore[arg-type]
    once = checking.set_results(checks, TABLE, ENGINE, None, 300)[0]  # type: ignore[arg-type]
    assert (now.value is None) == (once.value is None)
    assert now.value is None or now.value == pytest.approx(once.value, rel=1e-9)
    assert replace(now, value=once.value) == once


@pytest.mark.parametrize("text", ASKED_WHOLE)
def test_what_has_no_state_is_asked_of_all_rows(text: str) -> None:
    assert states.answered(checks_of(text), [("1", TABLE)], States(), ENGINE) == {}


def test_many_distinct_values_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states, "FEW", 20)
    kept = States()
    assert set(
        states.answered(checks_of("count(DISTINCT a) > 1", "sum(a) > 0"), [("1", TABLE)], kept, ENGINE)
    ) == {1}
    assert max(map(len, kept.values())) < 2_000


def test_a_file_that_is_known_is_not_read_again() -> None:
    checks, kept = checks_of("sum(a) > 0", "count(DISTINCT s) = 3"), States()
    first = states.answered(checks, [("1", TABLE)], kept, ENGINE)
    again = States(kept)
    assert states.answered(checks, [("1", ["/nowhere.parquet"])], again, ENGINE) == first
    assert not again.new


def test_a_refresh_reads_new_files_alone_and_says_the_same(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "FEW_ROWS", 0)
    monkeypatch.setattr(snapshots, "PART_ROWS", 10_000)
    monkeypatch.setattr(merge, "SMALL_ROWS", 1)
    monkeypatch.setattr(rows, "MEMORY_ROWS", 1_000)
    items = [
        check(t, OnFail.WARN, CheckKind.SET)
        for t in ("count(*) > 1", "avg(x) > 0", "stddev(x) > 9", "median(x) > 0")
    ]
    spec = dataset("SELECT * FROM ops.t", *items, key=("id",), event="at", lookback=timedelta(minutes=1))
    at = np.datetime64("2024-01-01T00:00:00", "us") + np.arange(40_000) * 1_000_000
    table = pa.table({"id": np.arange(40_000), "at": at, "x": RNG.normal(size=40_000)})
    bench.source.held["t"] = table.slice(0, 39_000)
    first = bench.collect(spec)
    bench.source.held["t"] = table
    past = History((), {k: v for k, (_, v) in first.states.items()})
    second = bench.collect(spec, first.manifest, history=past)
    fresh = [c for c, _ in second.states.values()]
    held = {p.content for p in first.manifest.parts} & {p.content for p in second.manifest.parts}
    assert len(held) == 3
    assert held.isdisjoint(fresh)
    one_pass = bench.collect(spec)
    assert [r.observed for r in second.results if r.kind == "set"] == [
        r.observed for r in one_pass.results if r.kind == "set"
    ]


ROWS = [
    "s IN ('p', 'q')", "s = 'z'", "length(s) = 1", "regexp_matches(s, '^[pqr]$')", "s IS NOT NULL", "s > 'p' AND s < 'r'",
    "a > 0", "s = 'p' OR a > 0", "s IN (SELECT 'p')", "list_contains(list_transform(['p'], lambda v: v || s), 'pp')", "upper(s) <> 'P'",
]  # fmt: skip


@pytest.mark.parametrize("on_fail", [OnFail.WARN, OnFail.QUARANTINE])
def test_values_say_of_rows_what_the_rows_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_fail: OnFail
) -> None:
    table = TABLE.set_column(
        2, "s", pa.array([None if i % 7 == 0 else v for i, v in enumerate(TABLE["s"].to_pylist())])
    )
    files = [str(tmp_path / f"{n}.parquet") for n in range(2)]
    for n, path in enumerate(files):
        pq.write_table(table.slice(n * 150, 150), path)
    engine = DuckDBEngine([str(tmp_path)])
    spec = dataset("SELECT 1", *(check(t, on_fail) for t in ROWS))
    checks = checking.checks_of(spec, schema_of(table.schema), engine)
    flat = counting.count_rows(checks, files, engine, {})
    monkeypatch.setattr(grouped, "LEAST_ROWS", 1)
    found = grouped.count({i: checks.expressions[i] for i in checks.row_items}, checks.schema, files, engine)
    assert sorted(found) == [0, 1, 2, 3, 4, 5, 10]
    assert counting.count_rows(checks, files, engine, {}) == flat


def test_a_column_of_many_values_is_asked_by_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouped, "LEAST_ROWS", 1)
    path = str(tmp_path / "t.parquet")
    pq.write_table(pa.table({"s": [str(i) for i in range(500)]}), path)
    assert (
        grouped.count(
            {0: "s <> ''"}, schema_of(pa.schema({"s": pa.string()})), [path], DuckDBEngine([str(tmp_path)])
        )
        == {}
    )
