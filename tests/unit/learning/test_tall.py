"""Tall tables: some rows stand for all until the last fits, which see every row; what was drawn is told."""

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tilth.adapters.learners.lightgbm_learner import LightGBMLearner
from tilth.core.errors import DataError, TargetError
from tilth.ml.learning import tall
from tilth.ml.learning.dealing import Files, dealt
from tilth.ml.learning.starting import NoStartError, Start, begun
from tilth.ml.learning.training import train
from tilth.ml.model.spec import TrainingSpec
from tilth.ports.learning import Budget, Task, Weights
from tilth.ports.registry import load

ROWS, DRAWN = 6_000, 1_500
SPEC = TrainingSpec(
    "late", ("late",), key=("id",), engine="lightgbm", options=(("rounds", 12),), time_limit=60.0
)


@pytest.fixture(autouse=True)
def low(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tall, "TALL", 2_000)
    monkeypatch.setattr(tall, "DRAWN", DRAWN)


def table(**more: object) -> pa.Table:
    rng = np.random.default_rng(6)
    x = rng.normal(size=(ROWS, 3))
    late = rng.random(ROWS) < 1 / (1 + np.exp(-2 * x[:, 0] + x[:, 1]))
    kind = pa.array(["a", "b", "c"]).take(pa.array(np.arange(ROWS) % 3))
    columns = {"id": np.arange(ROWS), "x": x[:, 0], "y": x[:, 1], "z": x[:, 2], "kind": kind, "late": late}
    return pa.table({**columns, **more})


def files(folder: Path, found: pa.Table) -> Files:
    """The rows in two files, of several row groups."""
    half = found.num_rows // 2
    for n, part in enumerate((found.slice(0, half), found.slice(half))):
        pq.write_table(part, folder / f"{n}.parquet", row_group_size=700)
    return Files([str(folder / "0.parquet"), str(folder / "1.parquet")])


def trained(folder: Path, found: pa.Table, spec: TrainingSpec = SPEC) -> tuple[dict, dict[str, bytes]]:
    folder.mkdir(exist_ok=True)
    learners, scorers = partial(load, "tilth.learners"), partial(load, "tilth.scorers")
    out = folder / "out"
    facts = train(spec, files(folder, found), str(out), learners, scorers, lambda _w, _d: None)
    return facts, {p.name: p.read_bytes() for p in out.iterdir()}


def seen(text: bytes) -> int:
    """The rows in the leaves of the first tree that a bag of three quarters was drawn for."""
    counts = next(line for line in text.decode().splitlines() if line.startswith("leaf_count="))
    return sum(map(int, counts.partition("=")[2].split()))


def test_every_row_teaches_what_serves_and_the_draw_is_told(tmp_path: Path) -> None:
    facts, bundle = trained(tmp_path / "one", table())
    assert facts["rows"] == ROWS
    assert seen(bundle["member.txt"]) == pytest.approx(0.75 * ROWS, rel=0.02)
    (said,) = [t["text"] for t in facts["told"] if t["kind"] == "rows"]
    assert "of 6,000 rows, drawn at random" in said
    assert said.endswith("`lightgbm` learned from all of them.")
    assert facts["metrics"]["split"]["rows"] < 0.5 * ROWS
    assert trained(tmp_path / "two", table())[1] == bundle


def test_members_that_take_no_stream_learn_from_those_drawn(tmp_path: Path) -> None:
    facts, _ = trained(tmp_path, table(), replace(SPEC, engine="linear", options=()))
    (said,) = [t for t in facts["told"] if t["kind"] == "rows"]
    assert said["text"].endswith("no member learned from all of them, `linear` from those that were drawn.")


def test_a_row_fewer_and_all_are_in_memory(tmp_path: Path) -> None:
    assert dealt(SPEC, files(tmp_path, table().slice(0, 2_000))).tall is None
    found = dealt(SPEC, files(tmp_path, table().slice(0, 2_001)))
    assert found.tall is not None
    assert found.taught == 2_001


def test_a_tall_table_is_learned_anew_whatever_a_version_knows(tmp_path: Path) -> None:
    rows = files(tmp_path, table())
    with pytest.raises(NoStartError, match="of 6,000 rows only some are in memory"):
        begun(SPEC, dealt(SPEC, rows), cast("Start", None), rows, rows)


def test_a_row_with_another_target_may_lack_this_one(tmp_path: Path) -> None:
    late = pa.array(np.arange(ROWS) % 3 == 0, mask=np.arange(ROWS) % 4 == 0)
    rows = files(tmp_path, table(late=late, cost=np.ones(ROWS)))
    found = dealt(replace(SPEC, beside=("cost",)), rows)
    assert (found.taught, found.dropped) == (ROWS * 3 // 4, ROWS // 4)
    with pytest.raises(TargetError, match="missing"):
        dealt(SPEC, rows)


def test_rows_without_a_label_are_neither_drawn_nor_taught(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    late = pa.array(["yes" if v < 0.5 else "no" for v in rng.random(ROWS)], mask=rng.random(ROWS) < 0.3)
    at = pa.array(np.arange(ROWS) * 60_000_000, pa.timestamp("us"))
    now = "1970-01-04T00:00:00Z"  # of the last day and more labels are not due
    spec = replace(SPEC, event_time="at", label_delay=3600.0, now=now)
    found = table(late=pa.array(["yes", "no"] * (ROWS // 2)), at=at)
    data = dealt(spec, files(tmp_path, found))
    due = 3 * 24 * 60 - 60 + 1
    assert data.taught == due
    assert data.dropped == ROWS - due
    assert sum(len(x) for x, _ in data.tall.batches()) == due
    assert set(data.places.tolist()) <= set(range(due))
    with pytest.raises(TargetError, match="missing"):
        dealt(spec, files(tmp_path, table(late=late, at=at)))


def test_a_class_that_no_drawn_row_has_is_a_class(tmp_path: Path) -> None:
    names = ["a", "b", "c"] * (ROWS // 3)
    names[100] = "rare"
    data = dealt(replace(SPEC, engine="linear"), files(tmp_path, table(late=pa.array(names))))
    assert "rare" in data.target.classes


def test_weights_are_asked_of_every_row(tmp_path: Path) -> None:
    counts = np.where(np.arange(ROWS) % 2, 3.0, 1.0)
    spec = replace(SPEC, weight="counts")
    data = dealt(spec, files(tmp_path, table(counts=counts)))
    found = np.concatenate([w for _, w in data.tall.batches()])
    assert found.tolist() == (counts / data.tall.mean).tolist()
    counts[7] = np.nan if 7 not in data.places else 1.0
    counts[8] = np.nan if 8 not in data.places else 1.0
    counts[9] = np.nan if 9 not in data.places else 1.0
    with pytest.raises(DataError, match="counts"):
        list(dealt(spec, files(tmp_path, table(counts=counts))).tall.batches())


KINDS = {"binary": 2, "regression": 0, "multiclass": 3}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weighed", [False, True])
def test_a_stream_of_rows_grows_the_trees_of_a_matrix(kind: str, weighed: bool) -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(3_000, 4))
    x[:, 3] = rng.integers(0, 6, 3_000)
    x[rng.random(x.shape) < 0.1] = np.nan
    x[rng.random(x.shape) < 0.1] = 0.0
    raw = np.nan_to_num(x[:, 0]) + rng.normal(size=3_000)
    y = {
        "binary": (raw > 0).astype(float),
        "regression": raw,
        "multiclass": np.digitize(raw, [-1, 1]).astype(float),
    }[kind]
    weight = rng.uniform(0.5, 2, 3_000) if weighed else None
    task = Task(
        kind, KINDS[kind], ("a", "b", "c", "d"), (3,), (6,), "rmse" if kind == "regression" else "log_loss"
    )
    own = None if weight is None else Weights(weight, (weight[:10],))
    budget = Budget(time.monotonic() + 60, 2, 0, own)

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        for at in range(0, 3_000, 700):
            part = slice(at, at + 700)
            yield np.ascontiguousarray(x[part]), None if weight is None else weight[part]

    options = {"refit_rounds": 15}
    whole = LightGBMLearner().fit(task, x, y, x[:10], y[:10], budget, options, lambda _w, _d: None)
    streamed = LightGBMLearner().stream(
        task, x, y.astype(np.float32), batches, budget, options, lambda _w, _d: None
    )
    assert streamed.payload == whole.payload
