"""What is told of a fresh model: what it goes by, where it is weak, what its decisions cost, what simpler ones would be."""

import json
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tilth.ml.judging.resampled import Blocks, told
from tilth.ml.learning.money import money
from tilth.ml.learning.permuted import permuted
from tilth.ml.learning.training import Files, train
from tilth.ml.learning.weak import of_column, weak
from tilth.ml.model.spec import TrainingSpec
from tilth.ports.registry import load

RNG = np.random.default_rng(0)
ROWS = 4000
DAYS = np.arange(ROWS) // 40
A, B = RNG.normal(size=ROWS), RNG.normal(size=ROWS)
SHOP = np.array(["north", "south", "east"])[RNG.integers(0, 3, ROWS)]
CHANCE = 1 / (1 + np.exp(-2 * A))
Y = (RNG.random(ROWS) < CHANCE).astype(float)
TABLE = pa.table({"a": A, "b": B, "shop": SHOP})


# --- money -------------------------------------------------------------------------------------------------


def test_money_is_what_misses_and_false_alarms_cost_and_what_is_saved_of_the_same_rows() -> None:
    spec = TrainingSpec("m", ("y",), cost_false_negative=9.0, cost_false_positive=1.0)
    found = money(spec, Y, CHANCE, 0.1, Blocks.of(ROWS, DAYS))
    assert found is not None
    missed, false = ((CHANCE <= 0.1) & (Y == 1)).sum(), ((CHANCE > 0.1) & (Y == 0)).sum()
    assert found["value"] == pytest.approx(1000 * (9 * missed + false) / ROWS, rel=1e-5)
    assert found["against"]["always yes"]["value"] == pytest.approx(1000 * (Y == 0).mean(), rel=1e-5)
    assert found["against"]["always no"]["value"] == pytest.approx(9000 * Y.mean(), rel=1e-5)
    assert found["against"]["threshold 0.5"]["saved"]["low"] > 0  # costs move the threshold, and that pays
    assert money(TrainingSpec("m", ("y",)), Y, CHANCE, 0.5, Blocks.of(ROWS, DAYS)) is None


def test_an_interval_holds_the_true_mean_in_95_of_100_cases_also_where_days_share_their_luck() -> None:
    hits = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        rows = rng.normal(size=600) + np.repeat(rng.normal(size=30), 20)
        one = told(
            Blocks.of(600, np.repeat(np.arange(30), 20)).gain(rows[:, None], lambda means: means[:, 0])
        )
        hits += one["low"] <= 0 <= one["high"]
    assert 182 <= hits <= 198


# --- importance --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["binary", "regression"])
def test_what_a_model_goes_by_costs_it_when_it_is_dealt_to_other_rows(kind: str) -> None:
    x = np.stack([A, B], axis=1)
    y = Y if kind == "binary" else A

    def scores(rows: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-2 * rows[:, 0])) if kind == "binary" else rows[:, 0]

    found = permuted(kind, scores, x, y, ("a", "b"), {"a": 0.9, "b": 0.1, "c": 0.0}, DAYS, 20_000)
    assert found["inputs"]["a"]["low"] > 0.2
    assert max(map(abs, found["inputs"]["b"].values())) < 1e-12  # it goes by `a` alone
    assert found["not_measured"] == 1
    assert found["rows"] * (found["deals"] * 2 + 1) <= 20_000


# --- weak slices -------------------------------------------------------------------------------------------


def weakened(where: np.ndarray) -> np.ndarray:
    """The truth, where these rows are answered as if nothing was known, and surely so."""
    return np.where(where, (np.random.default_rng(1).random(ROWS) < 0.5).astype(float), Y)


WEAK = {  # rows that are weak -> the condition that names them
    "one value": (SHOP == "north", "shop = 'north'"),
    "a range": (np.argsort(np.argsort(B)) >= 3 * ROWS // 4, "b >= "),
    "two columns": ((SHOP == "east") & (np.quantile(B, 0.25) > B), "b < * AND shop = 'east'"),
    "nowhere": (np.zeros(ROWS, bool), None),
}


@pytest.mark.parametrize(("where", "named"), WEAK.values(), ids=WEAK)
def test_a_weak_slice_is_found_and_named_as_sql_has_it(where: np.ndarray, named: str | None) -> None:
    scores = np.where(where, np.where(RNG.random(ROWS) < 0.5, 0.02, 0.98), CHANCE)
    found = weak("binary", "roc_auc", TABLE, ["a", "b", "shop"], weakened(where), scores, DAYS)
    # the loss of good answers differs by `a`, too: sure answers lose less
    mine = [s for s in found["slices"] if "a" not in s["columns"]]
    if named is None:
        assert not mine
        return
    assert all(part in mine[0]["where"] for part in named.split("*"))
    assert mine[0]["loss"] > 1.5 * mine[0]["rest"]
    assert mine[0]["chance"] < 0.05
    assert found["tested"] > 20


def test_where_nothing_is_weak_a_slice_is_named_in_at_most_one_of_twenty_cases() -> None:
    named = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        y, rows = rng.normal(size=800), {n: rng.normal(size=800) for n in "abcd"}
        table = pa.table({**rows, "shop": rng.integers(0, 4, 800).astype(str)})
        named += bool(weak("regression", "rmse", table, list("abcd"), y, np.zeros(800), None)["slices"])
    assert named <= 5  # 2 are expected


COLUMNS = {  # values -> the conditions of their slices
    "numbers": ([1.5, 2.5, 3.5, 4.5, None] * 3 + list(np.arange(20) / 7), ["x IS NULL", "x < ", "x >= "]),
    "few whole numbers": ([1, 2, 2, 3], ["x = 2", "x = 1", "x = 3"]),
    "truths": ([True, False, None], ["x IS NULL", "x = false", "x = true"]),
    "texts with quotes": (["it's", "b"], ["x = 'b'", "x = 'it''s'"]),
}


@pytest.mark.parametrize(("values", "conditions"), COLUMNS.values(), ids=COLUMNS)
def test_slices_of_a_column_part_its_rows(values: list, conditions: list) -> None:
    found = of_column("x", pa.chunked_array([values]))
    assert all(any(c.where.startswith(w) for c in found) for w in conditions)
    assert np.sum([c.rows for c in found], axis=0).tolist() == [1] * len(values)


# --- a whole training --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict:
    folder = tmp_path_factory.mktemp("understood")
    noise = np.where(SHOP == "east", 3.0, 0.3) * RNG.normal(size=ROWS)
    columns = {"id": np.arange(ROWS), "a": A, "b": B, "shop": SHOP, "y": 2 * A + 4 * A * B + noise}
    out = {}
    for rows in (ROWS, 300):
        pq.write_table(pa.table({k: v[:rows] for k, v in columns.items()}), folder / f"{rows}.parquet")
        spec = TrainingSpec("m", ("y",), key=("id",), engine="lightgbm", options=(("rounds", 60),))
        got = partial(load, "tilth.learners"), partial(load, "tilth.scorers")
        goal = folder / str(rows)
        facts = train(spec, Files([str(folder / f"{rows}.parquet")]), str(goal), *got, lambda _w, _d: None)
        out[rows] = facts["metrics"], json.loads((goal / "metrics.json").read_text())
    return out


@pytest.mark.parametrize("rows", [ROWS, 300])
def test_a_training_tells_what_simpler_models_would_be(made: dict, rows: int) -> None:
    facts, kept = made[rows]
    measured = {
        "row_us",
        "cpu_seconds",
        "fit_cpu_seconds",
        "column_value",
        "labels",
    }  # of the version, and none of the bundle's
    assert {k: v for k, v in facts.items() if k not in measured} == kept
    models = {m["name"]: m for m in kept["simpler"]["models"]}
    assert list(models) == ["linear", "small trees", "small trees, fewer columns"]
    assert models["linear"]["loses"]["low"] > 0  # its lines bend, and know no products
    assert models["linear"]["bytes"] < kept["simpler"]["bytes"]
    assert "a" in models["small trees, fewer columns"]["kept"]
    assert set(facts["row_us"]) == {"this", *models}
    assert kept["permuted"]["learned_from"] is True


def test_a_training_finds_where_it_is_weak(made: dict) -> None:
    assert "shop = 'east'" in [s["where"] for s in made[ROWS][1]["weak"]["slices"]]
