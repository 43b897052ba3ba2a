"""Several targets in one training: what fits which, what is refused before anything is learned, and that each is learned alone."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tilth.core.errors import ProjectError, TargetError, TilthError
from tilth.ml.learning import several, training
from tilth.ml.learning.dealing import Files
from tilth.ml.model import joint
from tilth.ml.model.joint import JointPredictor, parts_of
from tilth.ml.model.spec import TrainingSpec
from tilth.ports.registry import load

ROWS = 900
RNG = np.random.default_rng(4)
X, Z = RNG.normal(size=ROWS), RNG.normal(size=ROWS)
DELAY = 10 * X + 3 * Z + RNG.normal(0, 3, ROWS)
TABLE = pa.table(
    {
        "id": np.arange(ROWS),
        "at": [datetime(2024, 1, 1) + timedelta(hours=n) for n in range(ROWS)],
        "x": X,
        "z": Z,
        "late": pa.array(DELAY > 3),
        "delay": DELAY,
        "sort": np.where(Z > 0.5, "hot", np.where(Z > -0.5, "mild", "cold")),
        "early": pa.array(np.where(DELAY < -3, "yes", "no")),
    }
)
GET = partial(load, "tilth.learners"), partial(load, "tilth.scorers")
Run = Callable[..., tuple[dict[str, Any], dict[str, bytes]]]


def spec_of(targets: tuple[str, ...], **more: Any) -> TrainingSpec:
    given = {
        "key": ("id",), "event_time": "at", "engine": "linear", "threads": 1, "include": ("x", "z"), "outputs": targets,
        "positives": (None,) * len(targets) if len(targets) > 1 else (),
    }  # fmt: skip
    return TrainingSpec("m", targets, **{**given, **more})


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def go(
        targets: tuple[str, ...], table: pa.Table = TABLE, **more: Any
    ) -> tuple[dict[str, Any], dict[str, bytes]]:
        pq.write_table(table, tmp_path / "rows.parquet")
        out = tmp_path / "-".join(targets)
        out.mkdir()
        train = several.train if len(targets) > 1 else training.train
        spec = spec_of(targets, **more)
        assert TrainingSpec.from_plain(json.loads(json.dumps(spec.plain()))) == spec
        facts = train(spec, Files([str(tmp_path / "rows.parquet")]), str(out), *GET, lambda *_: None)
        return facts, {p.name: p.read_bytes() for p in out.iterdir()}

    return go


def test_each_target_has_the_bytes_of_a_model_of_its_own(run: Run) -> None:
    gaps = pa.array([None if n % 10 == 0 else v for n, v in enumerate(TABLE["late"].to_pylist())])
    table = TABLE.set_column(4, "late", gaps)
    facts, files = run(("late", "delay", "sort"), table)
    rows = {"late": table.filter(gaps.is_valid())}
    for name, part in zip(("late", "delay", "sort"), parts_of(files), strict=True):
        _, own = run((name,), rows.get(name, table))
        assert {k: v for k, v in own.items() if k != "MLmodel"} == part, name
    assert facts["rows"] == ROWS
    assert [t["text"] for t in facts["told"] if t["kind"] == "labels"] == [
        "`late` is missing in 90 of 900 rows, which teach `delay` and `sort` alone."
    ]
    model = joint.load(files, GET[1], 1, "d")
    assert isinstance(model, JointPredictor)
    assert model.outputs[0].name == "late"
    assert {o.name for o in model.outputs} >= {"delay_upper", "sort_probabilities", "sort_explain"}
    body = json.dumps({"x": 0.5, "z": -1.0}).encode()
    inside, row, answer = model.score_json(body)
    batch = model.predict(pa.table({"x": [0.5], "z": [-1.0]})).to_pylist()[0]
    assert json.loads(b"{" + inside + b"}") == batch
    assert len(json.loads(model.logged(answer))) == 1 + 1 + 3
    assert model.choose(row, answer, ("sort", "delay")) == {"sort": batch["sort"], "delay": batch["delay"]}


REFUSED: dict[str, tuple[tuple[str, ...], dict[str, Any], type[TilthError], str, str]] = {
    "a metric of one kind": (
        ("late", "delay"), {"metrics": (("late", "roc_auc"), ("delay", "roc_auc"))}, ProjectError,
        "`roc_auc` does not fit `delay`, which is a regression target", "metric = {late: 'roc_auc', delay: 'rmse'}",
    ),
    "costs of two": (
        ("late", "early"), {"cost_false_negative": 5.0}, TargetError,
        "`late` and `early` have two classes", "one CREATE MODEL for each",
    ),
    "costs of none": (
        ("sort", "delay"), {"cost_false_positive": 5.0}, TargetError, "none has two classes", "Leave cost_false_positive out",
    ),
    "coverage of none": (("sort", "late"), {"coverage": 0.8}, TargetError, "none of the targets is a number", "Leave coverage"),
    "a positive class of a number": (
        ("late", "delay"), {"positives": (None, "x")}, TargetError, "only one of two classes can be POSITIVE", "Leave out",
    ),
    "a name of an output": (
        ("late", "delay"), {"outputs": ("late", "late_confidence")}, TargetError, "output called `late_confidence`",
        "delay AS late_confidence_2",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("targets", "more", "error", "says", "hint"), REFUSED.values(), ids=REFUSED)
def test_what_fits_no_target_is_refused_before_anything_is_learned(
    run: Run, monkeypatch: pytest.MonkeyPatch, targets: tuple[str, ...], more: dict[str, Any],
    error: type[TilthError], says: str, hint: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(training, "fitted", lambda *_: pytest.fail("something was learned"))
    with pytest.raises(error) as caught:
        run(targets, **more)
    assert says in caught.value.message
    assert hint in (caught.value.hint or "")


def test_a_row_that_lacks_every_target_is_refused_as_ever(run: Run) -> None:
    lacking = [None if n == 7 else v for n, v in enumerate(DELAY.tolist())]
    late = [None if n == 7 else v for n, v in enumerate(TABLE["late"].to_pylist())]
    table = TABLE.set_column(5, "delay", pa.array(lacking)).set_column(4, "late", pa.array(late))
    with pytest.raises(TargetError, match="`late` is missing in 1 of 900 rows"):
        run(("late", "delay"), table)


def test_no_target_is_an_input_of_another(run: Run) -> None:
    _, files = run(("late", "delay"), include=(), exclude=("sort", "early"))
    for part in parts_of(files):
        assert {i["name"] for i in json.loads(part["signature.json"])["inputs"]} <= {"x", "z", "at"}
