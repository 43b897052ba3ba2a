"""A version as one ONNX file: named columns in, the outputs of a prediction out. Checked by running it on real rows.

What it cannot say exactly is refused with the reason: formats of members that offer no `portable`, kinds of inputs that ONNX
has no word for, and an answer that lies more than `EXACT` from the version's own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tilth.core.errors import MissingExtraError, UnsupportedError
from tilth.core.schema import DataType
from tilth.ml.exporting import columns
from tilth.ml.exporting.graph import INSTALL, Graph
from tilth.ml.exporting.members import blended, scores
from tilth.ml.model.calibration import SMALLEST
from tilth.ml.model.curve import Curve
from tilth.ml.model.ensemble import members_in
from tilth.ml.model.predictor import Predictor, task
from tilth.ml.model.preparation import Preparation
from tilth.ml.model.signature import Signature
from tilth.ports.learning import Task, version_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Array = npt.NDArray[np.float64]

EXACT = 1e-5  # of a probability; of a value, times its size above 1
LABELS = {
    DataType.BOOLEAN: ("BOOL", "bool"),
    DataType.INTEGER: ("INT64", "int64"),
    DataType.STRING: ("STRING", "object"),
    DataType.FLOAT: ("DOUBLE", "float64"),
}
Getter = Callable[[str], Any]


def made(files: Mapping[str, bytes], scorers: Getter, about: Mapping[str, str]) -> bytes:
    """The file's bytes; UnsupportedError for what cannot be said. `scorers(name)` gives the class that reads a member."""
    signature = Signature.from_plain(json.loads(files["signature.json"]))
    preparation = Preparation.from_plain(json.loads(files["prepare.json"]))
    kept = json.loads(files["calibration.json"])
    asked, curve = task(signature, preparation), Curve.from_plain(kept)
    graph = Graph()
    x = columns.matrix(graph, preparation)
    said = [(_portable(files, scorers, m, asked), m["weight"]) for m in members_in(kept)]
    found = _calibrated(graph, blended(graph, x, said), curve)
    if signature.kind == "regression":
        half = None
        if curve.conformal is not None and kept.get("spread"):
            width = _portable(files, scorers, kept["spread"], replace(asked, kind="regression", classes=0))
            half = _half(graph, scores(graph, x, width), curve)
        _value(graph, found, signature, curve, half)
    else:
        _classes(graph, found, signature, curve)
    told = {"inputs": json.dumps({c.name: columns.HOW[c.kind] for c in preparation.columns})}
    return graph.model(
        signature.model, {**about, **told, "tilth_version": version_of("tilth"), "task": signature.kind}
    )


def _portable(files: Mapping[str, bytes], scorers: Getter, kept: Mapping[str, Any], asked: Task) -> Any:
    name = str(kept["scorer"])
    say = getattr(scorers(name), "portable", None)
    if say is None:
        raise UnsupportedError(
            f"The model is kept in the format `{name}`, which is not said in ONNX.",
            hint="Export it as --format mlflow, or train it with engine = 'auto', 'lightgbm', 'xgboost', 'catboost' or 'linear'.",
        )
    return say(files[kept["member"]], asked)


# --- what is done to scores ----------------------------------------------------------------------------------


def _calibrated(graph: Graph, found: str, curve: Curve) -> str:
    if curve.platt is not None:
        p = graph.do("Clip", found, SMALLEST, 1.0 - SMALLEST)
        logit = graph.do("Sub", graph.do("Log", p), graph.do("Log", graph.do("Sub", 1.0, p)))
        raw = graph.do("Add", graph.do("Mul", logit, curve.platt.slope), curve.platt.shift)
        return graph.do("Sigmoid", raw)
    if curve.shift:
        found = graph.do("Add", found, curve.shift)
    if curve.floor is not None:
        return graph.do("Max", found, curve.floor)
    if curve.temperature is not None:
        logs = graph.do("Log", graph.do("Clip", found, SMALLEST, 1.0))
        return graph.do("Softmax", graph.do("Div", logs, curve.temperature.temperature), axis=1)
    return found


def _half(graph: Graph, width: str, curve: Curve) -> str:
    assert curve.conformal is not None
    grown = graph.do("Mul", graph.do("Max", width, 0.0), curve.conformal.slope)
    return graph.do("Add", grown, curve.conformal.radius)


def _value(graph: Graph, value: str, signature: Signature, curve: Curve, half: str | None) -> None:
    graph.output(value, signature.output, "DOUBLE")
    if curve.conformal is None:
        return
    width: str | float = curve.conformal.radius if half is None else half
    low = graph.do("Sub", value, width)
    if curve.floor is not None:
        low = graph.do("Min", graph.do("Max", low, curve.floor), value)
    graph.output(low, f"{signature.output}_lower", "DOUBLE")
    graph.output(graph.do("Add", value, width), f"{signature.output}_upper", "DOUBLE")


def _classes(graph: Graph, found: str, signature: Signature, curve: Curve) -> None:
    if signature.kind == "binary":
        code = graph.do("Cast", graph.do("Greater", found, curve.threshold), to=7)
        name, width = "_probability", 1
    else:
        code = graph.do("ArgMax", found, axis=1, keepdims=1)
        name, width = "_probabilities", len(signature.classes)
    kind, array = LABELS.get(signature.target_type, ("STRING", "object"))
    labels = (
        list(signature.classes) if signature.target_type in LABELS else [str(c) for c in signature.classes]
    )
    graph.output(graph.do("Gather", graph.constant(labels, array), code, axis=0), signature.output, kind)
    graph.output(found, f"{signature.output}{name}", "DOUBLE", width)


# --- whether it is exact -------------------------------------------------------------------------------------


def checked(made: bytes, predictor: Predictor, preparation: Preparation, table: pa.Table) -> float:
    """How far its answers to the rows lie from the version's own at most; UnsupportedError above `EXACT`."""
    import numpy as np

    session = _session(made)
    said = dict(
        zip(
            [o.name for o in session.get_outputs()],
            session.run(None, columns.fed(preparation, table)),
            strict=True,
        )
    )
    signature = predictor.signature
    name = signature.output + {"regression": "", "binary": "_probability"}.get(
        signature.kind, "_probabilities"
    )
    own = predictor.scores(table).reshape(len(table), -1)
    off = np.abs(said[name] - own) / (np.maximum(1.0, np.abs(own)) if signature.kind == "regression" else 1.0)
    worst = float(off.max()) if off.size else 0.0
    if not worst <= EXACT:
        raise UnsupportedError(
            f"In ONNX the model answers {int((~(off <= EXACT)).any(axis=1).sum()):,} of {len(table):,} rows otherwise, "
            f"by up to {worst:.2g}.",
            hint="Export it as --format mlflow, which answers as the version does.",
        )
    return worst


def _session(made: bytes) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError(
            "An ONNX file is checked with the package onnxruntime.", hint=INSTALL
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(made, options, providers=["CPUExecutionProvider"])
