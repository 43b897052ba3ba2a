"""What columns are worth: codes, redundancy and stability by hand, and planted columns of a small training."""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tilth.ml.learning.alike import codes, stability, twins

sys.path.insert(0, str(Path(__file__).parents[3] / "bench"))
RNG = np.random.default_rng(4)
X = RNG.normal(size=3000)
GAPS = np.where(np.arange(3000) % 4 == 0, np.nan, X)


@pytest.mark.parametrize(
    ("values", "different"),
    [(np.full(9, 3.0), 1), (np.full(9, np.nan), 1), (np.array([1.0, 2.0, np.nan]), 3), (X, 12), (GAPS, 13)],
)
def test_codes_are_values_or_quantiles_and_one_for_gaps(values: np.ndarray, different: int) -> None:
    found = codes(values)
    assert sorted(set(found)) == list(range(len(set(found))))
    assert abs(len(set(found)) - different) <= 1


@pytest.mark.parametrize(
    ("other", "low", "high"),
    [(X, 0.999, 1.0), (-3 * X + 2, 0.97, 1.0), (X + RNG.normal(0, 0.3, 3000), 0.3, 0.8), (RNG.normal(size=3000), 0.0, 0.01)],
)  # fmt: skip
def test_what_another_column_says_of_one(other: np.ndarray, low: float, high: float) -> None:
    found = twins(np.stack([X, other], axis=1), {"x": [0], "other": [1]})
    assert low <= (found["x"].share if "x" in found else 0.0) <= high


def test_a_constant_is_said_by_nobody_and_many_columns_are_bounded() -> None:
    wide = np.stack([np.full(300, 1.0), *(RNG.normal(size=(400, 300)))], axis=1)
    found = twins(wide, {f"c{i}": [i] for i in range(401)})
    assert "c0" not in found
    assert len(found) < 121


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [(X, -0.02, 0.02), (X + np.linspace(0, 3, 3000), 0.5, 20), (X[:100], None, None), (np.full(3000, 2.0), -0.01, 0.01)],
)  # fmt: skip
def test_stability_is_of_the_quarter_most_unlike(
    values: np.ndarray, low: float | None, high: float | None
) -> None:
    found = stability(values)
    assert found is None if low is None else low <= found <= high


@pytest.mark.parametrize("kind", ["binary", "regression"])
def test_planted_columns_are_found_and_no_useful_one_is(kind: str) -> None:
    from columns import judged

    found = judged(11, 3000, kind)
    assert found["wrong"] == []
    assert found["found"] >= 0.85 * found["planted"], found
    assert found["share"] <= 0.25


@pytest.mark.parametrize(
    ("rows", "words"),
    [(90, "fewer than 200 rows"), (400, None)],
)
def test_few_rows_and_nothing_to_learn_propose_nothing(rows: int, words: str | None) -> None:
    from columns import found

    rng = np.random.default_rng(1)
    made = found(
        pa.table({"id": np.arange(rows), "a": rng.normal(size=rows), "b": rng.normal(size=rows), "y": rng.random(rows) < 0.5})
    )  # fmt: skip
    assert [c["drop"] for c in made["columns"]] == [False, False]
    assert {c["verdict"] for c in made["columns"]} == {"unsure"}
    assert words is None or words in made["why"]


def test_of_many_columns_some_are_measured_and_the_rest_is_said() -> None:
    from columns import found

    rng = np.random.default_rng(2)
    wide = {f"c{i}": rng.normal(size=600) for i in range(260)}
    made = found(
        pa.table({"id": np.arange(600), **wide, "y": wide["c0"] + rng.normal(0, 0.2, 600)}), engine="linear"
    )
    assert made["not_measured"] == 60
    assert sum(c.get("why") == "it was not measured" for c in made["columns"]) == 60
    assert next(c for c in made["columns"] if c["name"] == "c0")["verdict"] == "needed"


@pytest.mark.parametrize("left", [-1.0, 0.002], ids=["none", "a little"])
def test_what_the_time_limit_cuts_short_proposes_no_useful_column(
    left: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A probe that was cut short takes every column for useless."""
    import time
    from dataclasses import replace

    from columns import found, table

    from tilth.ml.learning import valuing

    real = valuing._Valuing.columns

    def late(self: valuing._Valuing) -> object:
        self.tools = replace(self.tools, deadline=time.monotonic() + left)
        return real(self)

    monkeypatch.setattr(valuing._Valuing, "columns", late)
    made, useful, _, _ = table(5, 2000, "binary")
    said = found(made)
    assert said["why"] == valuing.LATE
    assert not useful & {c["name"] for c in said["columns"] if c["drop"]}
    assert {c["verdict"] for c in said["columns"]} <= {"unsure", "unused"}
