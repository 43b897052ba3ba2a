"""A look at a model that forecasts: what it said of the steps after its training against what has come since.

The truth is read from the snapshot that the environment points at: of the dataset that OUTCOMES names, or that the model learns from.
Quality is the MASE of what came within the horizon; drift is how far the newest errors lie to one side, in units of the series'
movement, less twice its standard error over series and horizons: a level or a season that is no more as it was learned.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tilth.core.errors import DataError
from tilth.ml.data.snapshots import file_rows
from tilth.ml.forecasting import columns, predicting
from tilth.ml.forecasting.came import METRIC, Came, figures
from tilth.ml.forecasting.movement import movement
from tilth.ml.forecasting.predicting import ForecastPredictor
from tilth.ml.watching.monitoring import Look
from tilth.ports.snapshots import Manifest
from tilth.runtime.loading import verified
from tilth.runtime.record.versions import Version
from tilth.runtime.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Array = npt.NDArray[np.float64]


def loaded(work: Workspace, row: Version) -> ForecastPredictor:
    """The version; what asks has seen that it forecasts."""
    return predicting.load(verified(work, row).files, row.version, row.digest, 1, row.model)


def look(
    work: Workspace, model: ForecastPredictor, manifest: Manifest | None, at: str, predictions: int, new_rows: float | None
) -> Look:  # fmt: skip
    """What is seen of the version at that instant; `predictions` were answered in the window."""
    own = model.signature
    each = [] if manifest is None else [came(work, model, manifest, n) for n in range(len(own.targets))]
    seen = [
        {"target": target, "output": name, "metric": METRIC, "prediction_drift": None, "new_rows": new_rows, **figures(found)}
        for target, name, found in zip(own.targets, own.names, each, strict=False)
    ]  # fmt: skip
    quality = [s["quality"] for s in seen if s["quality"] is not None]
    drift = [s["drift"] for s in seen if s["drift"] is not None]
    return Look(
        model.name, model.version, at, (), max(drift, default=None), None, METRIC,
        sum(quality) / len(quality) if quality else None, sum(len(c.error) for c in each), predictions, new_rows,
        targets=json.dumps(seen) if seen else None,
    )  # fmt: skip


def came(work: Workspace, model: ForecastPredictor, manifest: Manifest, place: int) -> Came:
    """The errors of what came within the horizon after each series of the training ended."""
    import numpy as np
    import pyarrow.compute as pc

    own = model.signature
    target = own.targets[place]
    later = _after(work, model, manifest, target)
    rows = later.filter(pc.is_valid(later.column(target))) if later is not None else None
    if later is None or rows is None or not rows.num_rows:
        return Came(np.empty(0), np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, bool))
    said = _known_ahead(model, rows, later) if own.known else model.forecast().table
    name, marks = own.names[place], (*own.groups, own.time)
    units = _units(model, place)
    truth = dict(zip(_keys(rows, said.schema, marks), rows.column(target).to_pylist(), strict=True))
    error, series, step, held = [], [], [], []
    before: tuple[Any, ...] | None = None
    number, ahead = -1, 0
    columns = [said.column(c).to_pylist() for c in (name, f"{name}_lower", f"{name}_upper")]
    for i, key in enumerate(_keys(said, said.schema, marks)):
        number, ahead = (number + 1, 1) if key[:-1] != before else (number, ahead + 1)
        before = key[:-1]
        value, unit, answer = truth.get(key), units.get(key[:-1], 0.0), columns[0][i]
        if value is None or answer is None or unit <= 0:
            continue
        error.append((float(value) - answer) / unit)
        series.append(number)
        step.append(ahead)
        held.append(columns[1][i] <= float(value) <= columns[2][i])
    return Came(np.array(error), np.array(series, np.int64), np.array(step, np.int64), np.array(held, bool))


def _known_ahead(model: ForecastPredictor, rows: pa.Table, later: pa.Table) -> pa.Table:
    """What it says from the end of its training, told what of `later` rows was known ahead; of interest is what came, in `rows`."""
    own = model.signature
    upto: dict[tuple[Any, ...], int] = {}
    instants = columns.instants(rows, own.time).tolist()
    for key, at in zip(
        _keys(rows, model.forecaster.schema, own.groups) or [()] * len(instants), instants, strict=True
    ):
        upto[key] = max(at, upto.get(key, at))
    found = model.forecaster.forecast(None, None, None, None, later, upto=upto)
    return model.renamed(found.table)


def _keys(table: pa.Table, schema: pa.Schema, marks: tuple[str, ...]) -> list[tuple[Any, ...]]:
    lists = [table.column(n).cast(schema.field(n).type).to_pylist() for n in marks]
    return list(zip(*lists, strict=True))


def _units(model: ForecastPredictor, place: int) -> Mapping[tuple[Any, ...], float]:
    """The movement of each series that the training saw, by its group."""
    state = model.forecaster.states[place]
    seasons = state.setting.seasons
    moved = movement(state.panel, seasons[0] if seasons else 1)
    groups = model.forecaster.groups
    keys = list(zip(*(groups.column(g).to_pylist() for g in model.signature.groups), strict=True)) or [()]
    return {keys[g]: float(u) for g, u in zip(state.panel.members.tolist(), moved.tolist(), strict=True)}


def _after(work: Workspace, model: ForecastPredictor, manifest: Manifest, target: str) -> pa.Table | None:
    """The rows of a snapshot that are later than the earliest end of a series."""
    import pyarrow as pa
    import pyarrow.compute as pc

    own = model.signature
    names = [own.time, *own.groups, target, *own.known]
    if any(manifest.schema.find(n) is None for n in names):
        lacking = next(n for n in names if manifest.schema.find(n) is None)
        raise DataError(
            f"Dataset `{manifest.dataset}` has no column `{lacking}`, which version {model.version} of `{model.name}` is judged by.",
            hint="Keep it in the dataset's query.",
        )
    first = model.forecaster.ends
    if first is None:
        return None
    found = []
    for part in manifest.parts:
        table = columns.timed(file_rows(work.blobs.path(part.blob), names), own.time)
        when = pc.cast(table.column(own.time), pa.timestamp("us"))
        later = pc.greater(when, pa.scalar(first, pa.timestamp("us")))
        found.append(table.filter(later))
    return pa.concat_tables(found) if found else None
