"""The reference knows how much weeks differ anyway: a season is no drift, a column that stands still has no excuse."""

import json
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tilth.ml.data.profile import Profile
from tilth.ml.learning.dealing import Files
from tilth.ml.learning.training import train
from tilth.ml.model.spec import TrainingSpec
from tilth.ports.registry import load


def usual(folder: Path, event_time: str | None) -> dict[str, float]:
    """What a bundle says of 14,000 rows over 140 days with one column that stands still and one that wanders."""
    random = np.random.default_rng(5)
    rows = 14_000
    still = random.normal(size=rows)
    weather = np.repeat(random.normal(size=140), 100) + 0.2 * random.normal(size=rows)
    table = pa.table(
        {
            "id": np.arange(rows),
            "at": [datetime(2024, 1, 1) + timedelta(minutes=14 * n) for n in range(rows)],
            "still": still,
            "weather": weather,
            "kind": [("a", "b", "c")[n % 3] for n in range(rows)],
            "y": still + 0.5 * weather + random.normal(size=rows) > 0,
        }
    )
    pq.write_table(table, folder / "rows.parquet")
    spec = TrainingSpec("m", ("y",), key=("id",), event_time=event_time, engine="linear", exclude=("at",))
    train(
        spec,
        Files([str(folder / "rows.parquet")]),
        str(folder / "out"),
        partial(load, "tilth.learners"),
        partial(load, "tilth.scorers"),
        lambda _what, _done: None,
    )
    found: dict[str, float] = json.loads((folder / "out" / "profile.json").read_bytes())["usual"]
    return found


def test_weeks_that_differ_anyway_are_told_from_a_column_that_stands_still(tmp_path: Path) -> None:
    found = usual(tmp_path, "at")
    assert set(found) == {"still", "weather", "kind", "y_score"}
    assert found["weather"] > 0.5
    assert found["still"] < 0.05
    assert found["kind"] < 0.02
    assert found["still"] < found["y_score"] < found["weather"]


def test_without_an_event_time_there_are_no_weeks(tmp_path: Path) -> None:
    assert usual(tmp_path, None) == {}


def test_texts_that_repeat_have_a_profile_as_categories_have(tmp_path: Path) -> None:
    styles = [f"{a} {b} ale" for a in ("pale", "dark", "red", "old", "new", "dry", "hop") for b in "abcdefgh"]
    rows = pa.table(
        {
            "style": [styles[n % len(styles)] for n in range(600)],
            "note": [f"{styles[n % 9]} {n}" for n in range(600)],
            "y": [float(n % 7) for n in range(600)],
        }
    )
    pq.write_table(rows, tmp_path / "rows.parquet")
    train(
        TrainingSpec("m", ("y",), metric="rmse", engine="linear"), Files([str(tmp_path / "rows.parquet")]),
        str(tmp_path / "out"), partial(load, "tilth.learners"), partial(load, "tilth.scorers"), lambda *_: None,
    )  # fmt: skip
    kept = Profile.from_plain(json.loads((tmp_path / "out" / "profile.json").read_bytes()))
    assert {c.column for c in kept.columns} == {"style", "y_score"}
