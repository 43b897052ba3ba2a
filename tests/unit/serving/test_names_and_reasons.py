"""Columns may be called anything, but not as an output is; and every engine says why, or that it cannot."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tilth.core.errors import InputError, TargetError
from tilth.core.schema import DataType
from tilth.ml.learning.dealing import Files
from tilth.ml.learning.training import train
from tilth.ml.model.once import once
from tilth.ml.model.predictor import Predictor
from tilth.ml.model.signature import Input, Signature
from tilth.ml.model.spec import TrainingSpec
from tilth.ports.registry import load

ROWS = 400
RNG = np.random.default_rng(4)
X = RNG.normal(size=ROWS)
TARGETS = {
    "binary": X + RNG.normal(0, 0.5, ROWS) > 0,
    "multiclass": np.digitize(X + RNG.normal(0, 0.5, ROWS), [-0.7, 0.7]),
    "regression": X + RNG.normal(0, 0.5, ROWS),
}
ODD = [
    'width 5" pipe',
    "a\\b",
    "a\nb",
    "tab\tbed",
    "\x01",
    "😀",
    "é",
    'é"',
    "a`b",
    "''",
    " x ",
    "$.a",
    "\ufffd",
]


def trained(folder: Path, target: str, columns: dict[str, object], **changes: object) -> Predictor:
    table = pa.table({**columns, "y": TARGETS[target]})
    pq.write_table(table, folder / "rows.parquet")
    given = {"model": "m", "targets": ("y",), "engine": "linear", **changes}
    files, out = Files([str(folder / "rows.parquet")]), folder / "out"
    scorers = partial(load, "tilth.scorers")
    train(TrainingSpec(**given), files, str(out), partial(load, "tilth.learners"), scorers, lambda *_: None)
    return Predictor.load({p.name: p.read_bytes() for p in out.iterdir()}, scorers, 1, "d")


@pytest.mark.parametrize("name", ODD)
def test_a_column_may_be_called_anything(tmp_path: Path, name: str) -> None:
    found = trained(tmp_path, "regression", {name: X, "z": RNG.normal(size=ROWS)})
    body = json.dumps({name: 0.5, "z": 0.25}).encode()
    fields, row, answer = found.score_json(body)
    batch = found.predict(pa.table({name: [0.5], "z": [0.25]}))
    assert json.loads(b"{" + fields + b"}") == batch.to_pylist()[0]
    assert found.values(row) == {name: 0.5, "z": 0.25} == json.loads(found.record(row))
    once(body, found.record(row))
    assert found.choose(row, answer, ["y_explain"])["y_explain"]["contributions"][0]["input"] == name
    for wrong in ({"z": 0.5}, {name: "far", "z": 1}):
        with pytest.raises(InputError) as error:
            found.score_json(json.dumps(wrong).encode())
        assert f"`{name}`" in error.value.message
    with pytest.raises(InputError, match="no input"):
        found.score_json(json.dumps({name: 0.5, "z": 0.25, name.replace('"', "\ufffd") + "?": 1}).encode())


def test_two_odd_names_that_look_alike_stay_two(tmp_path: Path) -> None:
    found = trained(tmp_path, "regression", {'a"': X, "a\\": RNG.normal(size=ROWS), "a\ufffd": X**2})
    (one,) = found.predict_rows([{'a"': 1.0, "a\\": 2.0, "a\ufffd": 3.0}])
    assert one == found.predict(pa.table({"a\ufffd": [3.0], "a\\": [2.0], 'a"': [1.0]})).to_pylist()[0]


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("binary", "y_confidence"), ("binary", "y_probability"), ("binary", "Y_Probabilities"), ("binary", "y_explain"),
        ("multiclass", "y_confidence"), ("regression", "y_lower"), ("regression", "y_upper"),
    ],
)  # fmt: skip
def test_a_column_called_as_an_output_is_refused(tmp_path: Path, target: str, name: str) -> None:
    with pytest.raises(TargetError) as error:
        trained(tmp_path, target, {name: X})
    assert f"`{name}` is called as an output" in error.value.message
    assert f"EXCEPT ({name})" in error.value.hint


def test_names_of_other_kinds_of_outputs_and_of_another_alias_are_free(tmp_path: Path) -> None:
    assert trained(tmp_path, "regression", {"y_probability": X}).signature.names == ("y_probability",)
    assert trained(tmp_path, "binary", {"y_lower": X}).signature.names == ("y_lower",)
    named = trained(tmp_path, "binary", {"y_confidence": X}, outputs=("said",))
    assert "said_confidence" in named.usual


def test_a_model_of_before_keeps_its_input_of_the_new_outputs_name() -> None:
    old = Signature("m", "y", "y", "binary", DataType.BOOLEAN, (Input("y_probability", DataType.FLOAT),))
    assert [o.name for o in old.outputs] == ["y", "y_confidence", "y_probabilities", "y_explain"]
    new = Signature("m", "y", "y", "binary", DataType.BOOLEAN, (Input("x", DataType.FLOAT),))
    assert [o.name for o in new.outputs if o.type is DataType.FLOAT] == ["y_confidence", "y_probability"]


@pytest.mark.parametrize("engine", ["linear", "lightgbm", "sklearn"])
@pytest.mark.parametrize("target", list(TARGETS))
def test_every_engine_explains_one_row_many_and_none(tmp_path: Path, engine: str, target: str) -> None:
    gappy = pa.array(X, mask=RNG.random(ROWS) < 0.1)
    few = (("n_estimators", 20),) if engine == "sklearn" else ()
    found = trained(
        tmp_path,
        target,
        {"x": gappy, "z": pa.array(X**2, mask=RNG.random(ROWS) < 0.1)},
        engine=engine,
        options=few,
    )
    rows = pa.table(
        {"x": pa.array([0.3, None, -2.0], pa.float64()), "z": pa.array([1.0, None, None], pa.float64())}
    )
    texts = found.predict(rows, ["y_explain"])["y_explain"].to_pylist()
    assert found.predict(rows.slice(0, 0), ["y_explain", "y"]).num_rows == 0
    for row, text in zip(rows.to_pylist(), texts, strict=True):
        many, one = json.loads(text), found.explain(row)
        assert many == json.loads(json.dumps(one))
        assert {"value", "confidence", "model", "version", "digest", "contributions"} <= set(many)
        assert ("note" in many) is (engine == "sklearn")
        parts = [c["contribution"] for c in many["contributions"]]
        assert many["base"] + many["others"] + sum(parts) == pytest.approx(many["total"], abs=1e-12)
        assert parts
