"""A forecaster as files and back: JSON, Arrow and arrays without pickles, and the texts of trees. Nothing in them executes.

What is read is checked to fit together; a file that does not is refused.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tilth.core.errors import InputError, TamperError
from tilth.ml.forecasting.forecaster import Forecaster
from tilth.ml.forecasting.intervals import Widths
from tilth.ml.forecasting.known import Covariates
from tilth.ml.forecasting.members import table
from tilth.ml.forecasting.members.linear import Lines
from tilth.ml.forecasting.members.table import Setting
from tilth.ml.forecasting.members.trees import Grown
from tilth.ml.forecasting.panel import Panel
from tilth.ml.forecasting.spec import MEMBERS, Spec
from tilth.ml.forecasting.state import State
from tilth.ml.forecasting.steps import Step

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    Arrays = dict[str, npt.NDArray[Any]]

HEAD, GROUPS, SCHEMA, ARRAYS = "forecast.json", "groups.arrow", "schema.arrow", "arrays.npz"
FORMAT = 1
PANEL = ("members", "begins", "shifts", "lengths", "values")


def written(f: Forecaster) -> dict[str, bytes]:
    """The files by name; equal forecasters give equal bytes."""
    arrays: Arrays = {"keys": f.covariates.keys, "known": f.covariates.values, "static": f.covariates.static}
    out: dict[str, bytes] = {}
    states = []
    for i, s in enumerate(f.states):
        states.append(_state(s, i, arrays, out))
    head = {
        "format": FORMAT, "spec": f.spec.plain(), "step": f.step.plain(), "trees": f.trees, "states": states,
        "levels": {k: None if v is None else list(v) for k, v in f.covariates.levels.items()},
    }  # fmt: skip
    return {
        HEAD: json.dumps(head, sort_keys=True, indent=1).encode(),
        GROUPS: _table(f.groups), SCHEMA: _table(f.schema.empty_table()), ARRAYS: _packed(arrays), **out,
    }  # fmt: skip


def _state(s: State, i: int, arrays: Arrays, out: dict[str, bytes]) -> dict[str, Any]:
    """What of a target goes into the head; its arrays and texts go where the others are."""
    for name in PANEL:
        arrays[f"{i}_{name}"] = getattr(s.panel, name)
    arrays |= {
        f"{i}_weights": s.weights, f"{i}_pooled": s.pooled, f"{i}_answers": s.answers, f"{i}_halves": s.halves,
        f"{i}_holidays": s.setting.holidays, f"{i}_steps": s.widths.steps, f"{i}_groups": s.widths.groups,
    }  # fmt: skip
    models: dict[str, Any] = {}
    for name, model in s.models.items():
        if isinstance(model, Lines):
            arrays[f"{i}_{name}"] = model.weights
            models[name] = {"width": model.width, "season": model.season}
        else:
            file = f"{i}_{name}.txt"
            out[file] = model.payload
            models[name] = {"file": file, "columns": list(model.columns), "rounds": model.rounds}
    return {
        "target": s.target, "seasons": list(s.setting.seasons), "members": list(s.members), "unsure": s.unsure, "quantile": s.widths.quantile, "scale": s.widths.pooled, "models": models,
    }  # fmt: skip


def read(files: Mapping[str, bytes], threads: int = 1) -> Forecaster:
    """A forecaster of its files. TamperError where they do not fit together."""
    try:
        head = json.loads(files[HEAD])
        if head["format"] != FORMAT:
            raise TamperError(
                f"The forecast is of format {head['format']}; this release reads {FORMAT}.",
                hint="Use a newer release, or train it again.",
            )
        arrays = _unpacked(files[ARRAYS])
        spec = Spec.from_plain(head["spec"])
        step = Step(**head["step"])
        levels = {k: None if v is None else tuple(v) for k, v in head["levels"].items()}
        covariates = Covariates(
            spec.known, spec.static, arrays["keys"], arrays["known"], arrays["static"], levels
        )
        states = tuple(_read_state(s, i, spec, step, arrays, files) for i, s in enumerate(head["states"]))
        groups, schema = _read_table(files[GROUPS]), _read_table(files[SCHEMA]).schema
        for made in states:
            _fits(made, groups.num_rows)
        if covariates.static.shape[0] != max(1, groups.num_rows) or len(covariates.keys) != len(
            covariates.values
        ):
            raise ValueError("covariates")
        return Forecaster(spec, groups, schema, step, states, covariates, head["trees"], threads)
    except (InputError, KeyError, ValueError, TypeError, IndexError, OSError, EOFError) as error:
        raise TamperError(
            f"The files of the forecast do not fit together ({type(error).__name__}).",
            hint="Restore them, or train it again.",
        ) from error


def _read_state(
    s: Mapping[str, Any], i: int, spec: Spec, step: Step, arrays: Arrays, files: Mapping[str, bytes]
) -> State:
    panel = Panel.of(step, *(arrays[f"{i}_{name}"] for name in PANEL))
    setting = Setting(
        tuple(s["seasons"]), spec.horizon, spec.window, spec.limits.cells, arrays[f"{i}_holidays"]
    )
    widths = Widths(float(s["quantile"]), arrays[f"{i}_steps"], arrays[f"{i}_groups"], float(s["scale"]))
    models: dict[str, Lines | Grown] = {}
    for name, about in s["models"].items():
        if "file" in about:
            models[name] = Grown(files[about["file"]], tuple(about["columns"]), int(about["rounds"]))
        else:
            models[name] = Lines(int(about["width"]), int(about["season"]), arrays[f"{i}_{name}"])
    return State(
        s["target"], setting, tuple(s["members"]), bool(s["unsure"]), arrays[f"{i}_weights"], arrays[f"{i}_pooled"], widths, panel,
        models, arrays[f"{i}_answers"], arrays[f"{i}_halves"],
    )  # fmt: skip


def _fits(s: State, groups: int) -> None:
    """ValueError where arrays are not of one another's kinds and sizes, or name what is not there."""
    import numpy as np

    p, series, members, horizon = s.panel, len(s.panel), len(s.members), s.setting.horizon
    ints = (p.members, p.begins, p.shifts, p.lengths, s.setting.holidays)
    floats = (p.values, s.weights, s.pooled, s.widths.steps, s.widths.groups, s.answers, s.halves)
    known = table.named(MEMBERS, s.setting.seasons)
    if not (
        all(a.dtype == np.int64 and a.ndim == 1 for a in ints)
        and all(a.dtype == np.float64 for a in floats)
        and all(len(a) == series for a in ints[:4])
        and s.answers.shape in {(0, horizon), (series, horizon)}
        and s.answers.shape == s.halves.shape
        and (s.weights.shape, s.pooled.shape) == ((members, series), (members,))
        and (s.widths.groups.shape, s.widths.steps.shape) == ((series,), (horizon,))
        and int(p.lengths.sum()) == len(p.values)
        and (
            not series or (p.lengths.min() > 0 and p.members.min() >= 0 and p.members.max() < max(1, groups))
        )
        and np.isfinite(p.values).all()
        and set(s.members) <= set(known)
        and {m for m in s.members if table.learns(m)} <= set(s.models)
        and all(_whole(m) for m in s.models.values() if isinstance(m, Lines))
    ):
        raise ValueError("sizes")


def _whole(lines: Lines) -> bool:
    shape = lines.weights.shape
    return len(shape) == 2 and shape[0] == lines.width + (shape[1] if lines.season else 0) + 1


def _packed(arrays: Arrays) -> bytes:
    import numpy as np

    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def _unpacked(content: bytes) -> Arrays:
    import zipfile

    import numpy as np

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            if any(f.compress_type != zipfile.ZIP_STORED for f in packed.infolist()):
                raise ValueError("compressed")  # what it holds is not larger than the file
        with np.load(io.BytesIO(content), allow_pickle=False) as found:
            return {name: found[name] for name in found.files}
    except zipfile.BadZipFile as error:
        raise ValueError("zip") from error


def _table(rows: pa.Table) -> bytes:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as out:
        out.write_table(rows)
    return bytes(sink.getvalue())


def _read_table(content: bytes) -> pa.Table:
    import pyarrow as pa

    with pa.ipc.open_stream(pa.BufferReader(content)) as found:
        return found.read_all()
