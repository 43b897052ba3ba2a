"""What presets and limits of a training do: what is tried, what is left out, and what is said of it."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tilth.ml.learning import candidates as among
from tilth.ml.learning import repeated
from tilth.ml.learning.candidates import absent, candidates
from tilth.ml.learning.dealing import Files
from tilth.ml.learning.training import train
from tilth.ml.model.spec import TrainingSpec
from tilth.ports import learning, registry
from tilth.ports.learning import Task

RNG = np.random.default_rng(3)
X = RNG.normal(size=(900, 3))
TABLE = pa.table({
    "id": np.arange(900), "a": X[:, 0], "b": X[:, 1], "c": X[:, 2],
    "y": np.sin(2 * X[:, 0]) * X[:, 1] + 2 * X[:, 2] + RNG.normal(size=900),
})  # fmt: skip
SPEC = TrainingSpec("m", ("y",), key=("id",))


def trained(folder: Path, table: pa.Table = TABLE, **changes: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    pq.write_table(table, folder / "rows.parquet")
    facts = train(
        replace(SPEC, **changes), Files([str(folder / "rows.parquet")]), str(folder / "out"),
        lambda name: registry.load("tilth.learners", name), lambda name: registry.load("tilth.scorers", name),
        lambda *_: None,
    )  # fmt: skip
    return facts, json.loads((folder / "out" / "metrics.json").read_text())


def installed(monkeypatch: pytest.MonkeyPatch, *without: str) -> None:
    """As if these were not installed, and all others of the preset were."""
    known = tuple(
        replace(e, fault=f"`{e.name}` is not there." if e.name in without else "", mend=f"install {e.name}")
        if e.best
        else e
        for e in learning.engines()
    )
    for module in (learning, among):
        monkeypatch.setattr(module, "engines", lambda: known)


TRIED = [
    ("fast", (), ["linear", "lightgbm", "extra_trees"]),
    ("best", (), ["linear", "lightgbm", "extra_trees", "catboost", "xgboost", "lightgbm.slow"]),
    ("best", ("catboost", "xgboost"), ["linear", "lightgbm", "extra_trees", "lightgbm.slow"]),
]


@pytest.mark.parametrize(("preset", "without", "names"), TRIED)
def test_a_preset_says_what_is_tried(
    monkeypatch: pytest.MonkeyPatch, preset: str, without: tuple[str, ...], names: list[str]
) -> None:
    installed(monkeypatch, *without)
    spec = replace(SPEC, preset=preset)
    assert [c.name for c in candidates(spec, Task("regression"))] == names
    assert [r.option for r in absent(spec)] == [f"install {name}" for name in without]


def test_the_slower_twin_takes_what_using_gives_its_engine() -> None:
    spec = replace(SPEC, preset="best", options=(("lightgbm.num_leaves", 5),))
    found = {c.name: c for c in candidates(spec, Task("regression"))}
    assert found["lightgbm.slow"].options == {"learning_rate": 0.03, "num_leaves": 5, "feature_fraction": 0.6}
    assert "lightgbm" not in {c.engine for c in candidates(spec, Task("multiclass", 200))}


def test_a_limit_of_a_row_or_of_the_bundle_leaves_members_out(tmp_path: Path) -> None:
    facts, metrics = trained(tmp_path, max_row_time=20.0)
    assert sum(bool(m["weight"]) for m in metrics["members"]) == 1
    assert {m["why"] for m in metrics["members"]} >= {"a row would take too long with it"}
    assert all("max_row_time" in t["option"] for t in facts["told"] if t["kind"] == "row time")
    facts, metrics = trained(tmp_path, max_bundle=50)
    assert sum(bool(m["weight"]) for m in metrics["members"]) == 1
    (said,) = [t for t in facts["told"] if t["kind"] == "bundle"]
    assert "more than they may" in said["text"]
    assert "max_bundle = '1 MB'" in said["option"]


def test_a_limit_of_cpu_time_cuts_and_is_told(tmp_path: Path) -> None:
    facts, _ = trained(tmp_path, cpu_limit=1e-3)
    (said,) = [t for t in facts["told"] if t["kind"] == "time"]
    assert "cut short" in said["text"]
    assert "cpu_limit" in said["option"]


@pytest.mark.parametrize("kind", ["regression", "binary"])
def test_best_fits_all_of_them_and_keeps_those_that_add_to_the_others(tmp_path: Path, kind: str) -> None:
    table = TABLE if kind == "regression" else TABLE.set_column(4, "y", pa.array(TABLE["y"].to_numpy() > 0))
    facts, metrics = trained(tmp_path, table, preset="best")
    members = {m["name"]: m for m in metrics["members"]}
    assert set(members) == set(TRIED[1][2])
    losses = [m["loss"] for m in members.values()]
    assert max(losses) < 3 * min(losses)  # one measure for all of them
    assert sum(m["weight"] for m in members.values()) == pytest.approx(1.0)
    assert not [t for t in facts["told"] if t["kind"] == "engine"]


def test_members_of_the_best_preset_serve_as_the_mean_of_several_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch, "catboost", "xgboost")
    _, metrics = trained(tmp_path, preset="best")
    weights = {m["name"]: m["weight"] for m in metrics["members"] if m["weight"]}
    kept = json.loads((tmp_path / "out" / "calibration.json").read_text())["members"]
    for name, weight in weights.items():
        own = re.compile(rf"{name.replace('.', '_')}(_\d)?\.\w+")
        fits = [m for m in kept if own.fullmatch(m["member"])]
        assert len(fits) == (1 if name == "linear" else repeated.FITS)
        assert sum(m["weight"] for m in fits) == pytest.approx(weight)
    texts = {(tmp_path / "out" / m["member"]).read_bytes() for m in kept}
    assert len(texts) == len(kept)  # no fit is another one again


def test_a_row_that_may_take_no_longer_is_answered_by_one_fit_of_each(tmp_path: Path) -> None:
    facts, metrics = trained(tmp_path, preset="best", max_row_time=1.0)
    kept = json.loads((tmp_path / "out" / "calibration.json").read_text())["members"]
    (serves,) = [m["name"] for m in metrics["members"] if m["weight"]]
    assert len(kept) == 1
    cut = next(t["text"] for t in facts["told"] if "cut short" in t["text"])
    assert f"`{serves}` serves as 1 of 3 fits since more are above max_row_time" in cut
