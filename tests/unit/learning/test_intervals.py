"""Intervals follow the row and cover what they promise: one row and many the same bits, no end below 0 where no target was."""

import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tilth.core.errors import DataError, TamperError, TargetError
from tilth.ml.learning.dealing import Files
from tilth.ml.learning.training import train
from tilth.ml.model.curve import Curve
from tilth.ml.model.predictor import Predictor
from tilth.ml.model.spec import TrainingSpec
from tilth.ports.registry import load

SCORERS = partial(load, "tilth.scorers")
Run = Callable[..., tuple[dict[str, Any], dict[str, bytes]]]
ENGINES = ("linear", "lightgbm", "sklearn")
FEW = {"sklearn": (("n_estimators", 20),)}  # trees: to load 150 takes longer than to grow them


def rows(count: int, seed: int, above: bool = False) -> pa.Table:
    """The noise grows tenfold along x; `above`: never below 0, and often near it."""
    rng = np.random.default_rng(seed)
    x, z = rng.random(count), rng.normal(size=count)
    y = 3 * x + 0.3 * z + rng.normal(size=count) * (0.1 + 0.9 * x)
    return pa.table({"x": x, "z": z, "y": np.maximum(y, 0.0) if above else y})


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def go(table: pa.Table, **changes: Any) -> tuple[dict[str, Any], dict[str, bytes]]:
        pq.write_table(table, tmp_path / "rows.parquet")
        given = {
            "model": "m",
            "targets": ("y",),
            "options": FEW.get(changes.get("engine", ""), ()),
            **changes,
        }
        spec, out = TrainingSpec(**given), tmp_path / "out"
        files = Files([str(tmp_path / "rows.parquet")])
        facts: Any = train(spec, files, str(out), partial(load, "tilth.learners"), SCORERS, lambda *_: None)
        return facts, {p.name: p.read_bytes() for p in out.iterdir()}

    return go


def ends(files: dict[str, bytes], table: pa.Table) -> tuple[Any, Any, Any]:
    found = Predictor.load(files, SCORERS, 1, "d").predict(table)
    return tuple(found[n].to_numpy() for n in ("y", "y_lower", "y_upper"))  # type: ignore[return-value]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("coverage", [None, 0.5, 0.8, 0.99])
def test_they_cover_what_is_asked_and_are_wide_where_errors_are(
    run: Run, engine: str, coverage: float | None
) -> None:
    facts, files = run(rows(3000, 1), engine=engine, coverage=coverage)
    new = rows(20_000, 2)
    value, low, high = ends(files, new)
    truth, asked = new["y"].to_numpy(), coverage or 0.9
    assert abs(((low <= truth) & (truth <= high)).mean() - asked) < 0.05
    assert ((low <= value) & (value <= high)).all()
    width, x = high - low, new["x"].to_numpy()
    assert width[x > 0.9].mean() > 2 * width[x < 0.1].mean()
    assert json.loads(files["calibration.json"])["conformal"]["coverage"] == asked
    assert abs(facts["metrics"]["coverage"] - asked) < 0.08
    assert facts["metrics"]["width"] == pytest.approx(width.mean(), rel=0.1)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("above", [True, False])
def test_one_row_has_the_bits_of_many(run: Run, engine: str, above: bool) -> None:
    _, files = run(rows(900, 3, above), engine=engine)
    found = Predictor.load(files, SCORERS, 1, "d")
    new = rows(200, 4).select(["x", "z"])
    many = found.predict(new).to_pylist()
    for row, expected in zip(new.to_pylist(), many, strict=True):
        fields, decoded, answer = found.score_json(json.dumps(row).encode())
        assert json.loads(b"{" + fields + b"}") == expected
        assert found.predict_rows([row]) == [expected]
        assert found.choose(decoded, answer, list(expected)) == expected
        assert found.render(answer) == fields


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("count", [120, 2000])
def test_nothing_is_below_0_where_no_target_was(run: Run, engine: str, count: int) -> None:
    _, files = run(rows(count, 5, above=True), engine=engine)
    far = pa.table({"x": [-5.0, 0.0, 0.01, 1.0, None], "z": [-3.0, -3.0, 0.0, 1.0, None]})
    found = Predictor.load(files, SCORERS, 1, "d")
    value, low, high = ends(files, far.slice(0, 4))
    assert (low >= 0).all()
    assert ((low <= value) & (value <= high)).all()
    assert low.min() == 0
    assert (found.scores(far.slice(0, 4)) >= 0).all()
    _, files = run(rows(count, 5), engine=engine)
    assert ends(files, far.slice(0, 4))[1].min() < 0


def test_few_rows_share_one_width_and_it_is_told(run: Run) -> None:
    facts, files = run(rows(60, 6), engine="linear")
    (said,) = [t for t in facts["told"] if t["kind"] == "interval"]
    assert "60 rows are too few" in said["text"]
    assert "spread.json" not in files
    _, low, high = ends(files, rows(50, 7))
    assert np.ptp(high - low) < 1e-9
    facts, files = run(rows(2000, 6), engine="linear")
    assert "spread.json" in files
    assert not [t for t in facts["told"] if t["kind"] == "interval"]


@pytest.mark.parametrize(
    ("count", "coverage", "refused"),
    [(60, 0.99, True), (98, 0.99, True), (150, 0.99, False), (40, 0.97, False)],
)
def test_a_coverage_that_the_rows_cannot_promise_is_refused(
    run: Run, count: int, coverage: float, refused: bool
) -> None:
    if not refused:
        run(rows(count, 8), engine="linear", coverage=coverage)
        return
    with pytest.raises(DataError, match=f"{count} rows cannot promise a coverage of {coverage:g}") as error:
        run(rows(count, 8), engine="linear", coverage=coverage)
    assert f"at least {math.ceil(coverage / (1 - coverage))} rows" in error.value.hint


def test_a_coverage_of_classes_is_refused(run: Run) -> None:
    table = rows(300, 9)
    table = table.set_column(2, "y", pa.array(table["y"].to_numpy() > 1))
    with pytest.raises(TargetError, match="`y` is a binary target"):
        run(table, coverage=0.9)


@pytest.mark.parametrize("engine", ENGINES)
def test_errors_of_nothing_give_an_interval_of_nothing(run: Run, engine: str) -> None:
    table = rows(600, 10)
    table = table.set_column(2, "y", pa.array(np.where(table["x"].to_numpy() > 0.5, 5.0, 2.5)))
    _, files = run(table, engine=engine, metric="rmse")
    value, low, high = ends(files, table)
    assert np.isfinite(high).all()
    assert ((low <= value) & (value <= high)).all()


def test_the_same_rows_make_the_same_bytes(run: Run) -> None:
    first = run(rows(1200, 11), engine="lightgbm")[1]
    assert run(rows(1200, 11), engine="lightgbm")[1] == first


def test_time_decides_by_its_newest_rows(run: Run) -> None:
    table = rows(3000, 12)
    days = np.datetime64("2024-01-01", "us") + np.arange(3000) * np.timedelta64(1, "h")
    y = table["y"].to_numpy() + np.where(
        np.arange(3000) > 2300, np.random.default_rng(1).normal(0, 3, 3000), 0.0
    )
    table = table.set_column(2, "y", pa.array(y)).append_column("at", pa.array(days))
    facts, files = run(table, engine="linear", event_time="at")
    assert facts["metrics"]["coverage"] < 0.5  # what the older rows would have promised of the newest
    value, low, high = ends(files, table)
    truth = table["y"].to_numpy()
    assert 0.87 < ((low <= truth) & (truth <= high))[2700:].mean() < 0.95
    enough = np.quantile(np.abs(truth - value)[2700:], 0.9)  # half a width that would have covered them
    assert ((high - low) / 2)[2700:].mean() < 1.25 * enough
    assert ((low <= value) & (value <= high)).all()


def test_an_interval_of_before_keeps_its_width() -> None:
    old = {
        "platt": None,
        "temperature": None,
        "conformal": {"radius": 2.0, "coverage": 0.9},
        "threshold": 0.5,
        "rows": 40,
    }
    curve = Curve.from_plain(old)
    assert curve.floor is None
    assert curve.conformal is not None
    assert (curve.conformal.one(7.0), curve.conformal.slope) == (2.0, 0.0)
    assert Curve.from_plain(json.loads(json.dumps(curve.plain()))) == curve


def test_a_bundle_whose_spread_is_missing_is_refused(run: Run) -> None:
    _, files = run(rows(900, 13), engine="lightgbm")
    del files["spread.txt"]
    with pytest.raises(TamperError, match="do not fit together"):
        Predictor.load(files, SCORERS, 1, "d")
