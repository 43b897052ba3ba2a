"""GROUP KEY: groups stay together when rows are parted, with and without event time, and gates resample groups."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tilth.core.errors import DataError
from tilth.ml.data import identity
from tilth.ml.judging import split
from tilth.ml.learning.dealing import Files, dealt
from tilth.ml.learning.rows import Rows
from tilth.ml.model.spec import TrainingSpec

RNG = np.random.default_rng(5)


def rows(count: int, groups: int) -> pa.Table:
    start = datetime(2024, 1, 1)
    return pa.table({
        "id": np.arange(count), "g": RNG.integers(0, groups, count), "a": RNG.normal(size=count),
        "t": [start + timedelta(hours=int(h)) for h in range(count)], "y": RNG.random(count) < 0.3,
    })  # fmt: skip


SPEC = TrainingSpec("m", ("y",), key=("id",), exclude=("t",), group=("g",))


def dealt_(folder: Path, table: pa.Table, spec: TrainingSpec) -> Rows:
    pq.write_table(table, folder / "rows.parquet")
    return dealt(spec, Files([str(folder / "rows.parquet")]))


CASES = [
    ("few rows", 400, 40, None),
    ("few rows with times", 400, 40, "t"),
    ("rows with times and a window", 3000, 100, "t"),
    ("many rows, of which some are asked", 25_000, 900, None),
    ("many rows with times", 25_000, 900, "t"),
]


@pytest.mark.parametrize(("count", "groups", "event"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_rows_of_a_group_stay_in_one_part(tmp_path: Path, count: int, groups: int, event: Any) -> None:
    data = dealt_(
        tmp_path, rows(count, groups), replace(SPEC, event_time=event, exclude=() if event else ("t",))
    )
    older = slice(0, data.split.window)
    group, part = data.table["g"].to_numpy()[older], data.part[older]
    parts = [set(part[group == one]) for one in np.unique(group)]
    assert all(len(one) == 1 for one in parts)
    assert set(part) >= set(range(split.FOLDS))
    assert "g" not in data.preparation.features
    sizes = np.bincount(part[part >= 0])
    assert sizes.max() < 2 * sizes.min()


REFUSED = [
    ("one group", lambda t: t.set_column(1, "g", pa.array(np.zeros(len(t)))), "makes 1 groups, of which the largest has 400 of 400"),
    ("three groups", lambda t: t.set_column(1, "g", pa.array(np.arange(len(t)) % 3)), "makes 3 groups"),
    ("gaps", lambda t: t.set_column(1, "g", pa.array([None, *range(len(t) - 1)])), "`g` of GROUP KEY is missing in 1 rows"),
    ("no such column", lambda t: t.drop_columns(["g"]), "no column `g`"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_groups_that_cannot_be_parted_are_refused(tmp_path: Path, change: Any, message: str) -> None:
    with pytest.raises(DataError) as error:
        dealt_(tmp_path, change(rows(400, 40)), SPEC)
    assert message in str(error.value.message)
    assert error.value.hint


@pytest.mark.parametrize("groups", [7, 5_000])
def test_blocks_of_a_gate_are_whole_groups(groups: int) -> None:
    table = rows(20_000, groups)
    blocks = split.group_blocks(identity.row_ids(table, ("g",)))
    group = table["g"].to_numpy()
    assert len({(int(g), int(b)) for g, b in zip(group, blocks, strict=True)}) == len(np.unique(group))
    assert len(np.unique(blocks)) == min(groups, split.GROUP_BLOCKS)
