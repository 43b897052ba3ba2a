"""Models by hand: the files of a bundle whose member is a linear one with the weights that a test gives."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from tilth.core.schema import DataType
from tilth.ml.model.columns import Column
from tilth.ml.model.curve import Curve
from tilth.ml.model.predictor import Predictor
from tilth.ml.model.preparation import Preparation
from tilth.ml.model.signature import Input, Signature
from tilth.ports.registry import load

TYPES = {"binary": DataType.BOOLEAN, "multiclass": DataType.STRING, "regression": DataType.FLOAT}


def member(weights: Sequence[Sequence[float]], bias: Sequence[float]) -> bytes:
    """A linear member: for each input its weight in each score; a gap counts nothing."""
    columns = [{"center": 0.0, "scale": 1.0, "weight": list(w), "missing": [0.0] * len(w)} for w in weights]
    return json.dumps({"format": "tilth-linear-1", "bias": list(bias), "columns": columns}).encode()


def files(
    weights: Mapping[str, float | Sequence[float]],
    kind: str = "binary",
    *,
    classes: tuple[Any, ...] | None = None,
    bias: float | Sequence[float] = 0.0,
    target: str = "y",
    strict: bool = False,
    optional: Sequence[str] = (),
    curve: Curve | None = None,
    width: Mapping[str, float] | None = None,
    key: tuple[str, ...] = (),
    event_time: str | None = None,
) -> dict[str, bytes]:
    """The files of a bundle. `weights` by input; `width`, by input, is of the model that says how wide intervals are."""
    known = ((False, True) if kind == "binary" else ()) if classes is None else classes
    inputs = tuple(Input(name, DataType.FLOAT, name not in optional) for name in weights)
    carried = (*(Input(k, DataType.INTEGER, required=False) for k in key),)
    value = DataType.STRING if known and isinstance(known[0], str) else TYPES[kind]
    signature = Signature("m", target, "y", kind, value, inputs, carried, known, key, event_time, strict)
    columns = tuple(Column(name, DataType.FLOAT, "number") for name in weights)
    kept: dict[str, Any] = {**(curve or Curve()).plain(), "member": "member.json", "scorer": "linear"}
    made = {
        "signature.json": json.dumps(signature.plain()).encode(),
        "prepare.json": json.dumps(Preparation(columns, (), None).plain()).encode(),
        "member.json": member([_several(w) for w in weights.values()], _several(bias)),
    }
    if width is not None:
        kept["spread"] = {"member": "spread.json", "scorer": "linear"}
        made["spread.json"] = member([[width.get(name, 0.0)] for name in weights], [0.0])
    return {**made, "calibration.json": json.dumps(kept).encode()}


def _several(value: float | Sequence[float]) -> Sequence[float]:
    return [value] if isinstance(value, int | float) else value


def predictor(made: Mapping[str, bytes], version: int = 1) -> Predictor:
    return Predictor.load(made, partial(load, "tilth.scorers"), version, "d")
