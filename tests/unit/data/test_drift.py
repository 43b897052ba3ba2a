"""Profiles and drift: nothing where nothing moved, something where something did."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_bench import Bench

from tilth.ml.data.drift import ENOUGH, ColumnDrift, compare, drift, overall, prediction_drift, unusual
from tilth.ml.data.profile import Categorical, Numeric, Profile, profile


def rows(
    seed: int, n: int = 2_000, shift: float = 0.0, letters: str = "abcdefgh", gone: float = 0.1
) -> pa.Table:
    r = np.random.default_rng(seed)
    return pa.table(
        {
            "x": pa.array(r.normal(shift, 1, n), mask=r.random(n) < gone),
            "y": r.integers(0, 5, n),
            "s": r.choice(list(letters), n),
            "b": r.random(n) < 0.3,
            "k": r.exponential(size=n),
            "same": np.zeros(n),
            "none": pa.nulls(n, pa.float64()),
            "at": pa.array(np.arange(n), pa.timestamp("us")),
        }
    )


@pytest.fixture
def reference(bench: Bench) -> Profile:
    return profile(rows(0, 20_000), bench.engine)


def test_a_profile_reads_back_from_json(reference: Profile) -> None:
    assert Profile.from_plain(json.loads(json.dumps(reference.plain()))) == reference
    assert [c.column for c in reference.columns] == ["x", "y", "s", "b", "k", "same", "none"]


def test_a_numeric_profile_counts_every_row_once(reference: Profile) -> None:
    x = reference.find("x")
    assert isinstance(x, Numeric)
    assert sum(x.counts) + x.nulls == x.rows == 20_000
    assert len(x.counts) == 20
    assert max(x.counts) < 1.1 * min(x.counts)
    assert x.mean is not None
    assert x.sd is not None
    assert abs(x.mean) < 0.05
    assert 0.95 < x.sd < 1.05


def test_a_categorical_profile_keeps_the_top_and_counts_the_rest(bench: Bench) -> None:
    many = pa.table({"s": [f"v{i % 80}" for i in range(8_000)] + [None] * 5})
    found = profile(many, bench.engine).find("s")
    assert isinstance(found, Categorical)
    assert (len(found.values), sum(found.counts), found.other, found.nulls) == (50, 5_000, 3_000, 5)


def test_files_and_tables_have_the_same_profile(bench: Bench, reference: Profile) -> None:
    table, paths = rows(0, 20_000), []
    for part in range(2):
        paths.append(str(bench.folder / f"{part}.parquet"))
        pq.write_table(table.slice(part * 9_000, 9_000 + part * 2_000), paths[-1])
    assert profile(paths, bench.engine) == reference


def test_few_rows_in_memory_are_counted_as_the_engine_counts_them(
    bench: Bench, reference: Profile, tmp_path: Path
) -> None:
    r = rows(5, 3_000, shift=0.3, letters="abcxyz", gone=0.2)
    x = np.where(np.arange(3_000) % 97 == 0, np.inf, r["x"].to_numpy())
    edge = reference.columns[0].edges[3]
    x[::50], x[1::50] = edge, np.nextafter(edge, 9.0)
    s = pa.array([None if i % 11 == 0 else v for i, v in enumerate(r["s"].to_pylist())])
    r = r.set_column(0, "x", pa.array(x)).set_column(2, "s", s)
    pq.write_table(r, tmp_path / "rows.parquet")
    assert drift(reference, r, bench.engine) == drift(
        reference, [str(tmp_path / "rows.parquet")], bench.engine
    )


@pytest.mark.parametrize("seed", range(1, 21))
def test_the_same_distribution_does_not_drift(bench: Bench, reference: Profile, seed: int) -> None:
    found = drift(reference, rows(seed), bench.engine)
    assert overall(found) < 0.03
    assert all(d.js < 0.1 for d in found)


def test_what_moved_is_found_and_nothing_else(bench: Bench, reference: Profile) -> None:
    found = {d.column: d for d in drift(reference, rows(1, shift=0.5), bench.engine)}
    assert found["x"].psi > 0.15
    assert all(d.psi < 0.03 for c, d in found.items() if c != "x")


def test_new_categories_and_missing_values_drift(bench: Bench, reference: Profile) -> None:
    found = {d.column: d for d in drift(reference, rows(1, letters="abcdefgz", gone=0.5), bench.engine)}
    assert found["s"].psi > 0.2
    assert found["x"].psi > 0.2
    assert found["x"].share_null_reference == pytest.approx(0.1, abs=0.02)
    assert found["x"].share_null_current == pytest.approx(0.5, abs=0.05)


def test_too_few_rows_have_no_score(bench: Bench, reference: Profile) -> None:
    found = drift(reference, rows(1, ENOUGH - 1, shift=3), bench.engine)
    assert {d.score for d in found} == {None}
    assert overall(found) == 0.0


def test_a_column_that_is_not_there_is_left_out(bench: Bench, reference: Profile) -> None:
    found = drift(reference, rows(1).select(["k", "s"]), bench.engine)
    assert [d.column for d in found] == ["s", "k"]


def test_weights_say_what_matters(bench: Bench, reference: Profile) -> None:
    found = drift(reference, rows(1, shift=1), bench.engine)
    worst = overall(found)
    assert overall(found, {"k": 1.0}) < 0.03 < worst
    assert overall(found, {"x": 1.0}) == pytest.approx(worst)


def test_predictions_drift_by_themselves(bench: Bench, reference: Profile) -> None:
    found = prediction_drift(reference, rows(1, shift=1).select(["x"]), bench.engine, "x")
    assert found is not None
    assert found.score is not None
    assert found.score > 0.5
    assert prediction_drift(reference, rows(1), bench.engine, "nosuch") is None


def test_an_empty_bin_counts_for_little_when_one_row_falls_in_it() -> None:
    assert compare([1000, 1000, 0], [1000, 999, 1])[0] < 0.01
    assert compare([], [])[0] == 0.0


def test_the_overall_drift_is_bounded_and_leaves_out_what_is_usual() -> None:
    far = [
        ColumnDrift("a", 7.0, 1.0, 0, 0, 1000, 7.0),
        ColumnDrift("b", 0.2, 0.1, 0, 0, 1000, 0.2),
    ]
    assert overall(far) == 1.0
    assert overall(far, {"a": 0.1, "b": 0.9}) == pytest.approx(0.1 + 0.18)
    found = unusual(far, {"a": 6.5, "b": 0.5})
    assert [(d.psi, d.score) for d in found] == [(7.0, 0.5), (0.2, 0.0)]
    few = ColumnDrift("c", 1.0, 1.0, 0, 0, 10, None)
    assert unusual([few], {}) == (few,)


def numbers(rows: int, counts: tuple[int, ...], nulls: int = 0) -> Profile:
    """A column whose values are up to 0, up to 1, and beyond."""
    return Profile(rows, (Numeric("x", rows, nulls, (0.0, 1.0), counts),))


NO_ENGINE: Any = None


@pytest.mark.parametrize(
    ("was", "now", "told"), [(500, 500, True), (499, 5_000, False), (5_000, 499, False), (5_000, 500, True)]
)
def test_five_hundred_rows_on_both_sides_have_a_score(was: int, now: int, told: bool) -> None:
    reference = numbers(was, (was - 2, 1, 1))
    (found,) = drift(reference, pa.table({"x": [0.5] * now}), NO_ENGINE)
    assert (found.score is not None) is told


def test_an_edge_is_the_last_value_of_its_bin_and_gaps_are_a_bin() -> None:
    (found,) = drift(
        numbers(900, (300, 300, 0), 300), pa.table({"x": pa.array([0.0, 1.0, None] * 300)}), NO_ENGINE
    )
    assert (found.psi, found.js, found.score) == (0.0, 0.0, 0.0)
    (moved,) = drift(
        numbers(900, (300, 300, 0), 300), pa.table({"x": pa.array([0.0, 1.0, 1.0] * 300)}), NO_ENGINE
    )
    assert moved.psi > 1


def test_the_distance_of_halves_and_of_strangers() -> None:
    assert compare([1000, 0], [0, 1000])[1] == pytest.approx(1.0)
    assert compare([1000, 1000], [0, 2000])[1] == pytest.approx(0.5579, abs=1e-3)


def test_the_noise_of_both_samples_is_taken_off() -> None:
    """Of shares that differ by nothing but what a sample of 100 differs from one of 100,000."""
    plain = sum((p - q) * np.log(p / q) for p, q in ((0.5, 0.6), (0.5, 0.4)))
    assert compare([50_000, 50_000], [60, 40])[0] == pytest.approx(plain - 1 / 100 - 1 / 100_000)
    assert compare([60, 40], [50_000, 50_000])[0] == pytest.approx(plain - 1 / 100 - 1 / 100_000)
    assert compare([50_000, 50_000], [51, 49])[0] == 0.0


def test_one_row_in_an_empty_bin_counts_as_twice_its_half() -> None:
    psi, _ = compare([5_000, 0], [4_999, 1])
    assert psi == pytest.approx(0.0, abs=1e-3)


def test_a_weight_below_nothing_is_nothing() -> None:
    far = [ColumnDrift("a", 0.9, 1.0, 0, 0, 1000, 0.9), ColumnDrift("b", 0.1, 0.1, 0, 0, 1000, 0.1)]
    assert overall(far, {"a": -1.0, "b": 2.0}) == pytest.approx(0.1)
    assert overall(far, {"a": -1.0}) == 0.0
