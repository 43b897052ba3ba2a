"""A report of one version as plain facts: what `tilth describe` knows, how its answers to rows it was not tuned on look, how
its answers change with each input, and every gate of the model. `interfaces.report` makes a page of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from tilth.core.errors import ProjectError, UnknownNameError
from tilth.core.names import did_you_mean
from tilth.core.time import show_instant
from tilth.ml.judging import curves
from tilth.runtime.applying import gate
from tilth.runtime.applying.candidates import spec_of
from tilth.runtime.asking import foretold
from tilth.runtime.loading import version_of
from tilth.runtime.record import declarations, environments, evidence, versions
from tilth.runtime.record.snapshots import manifest_of
from tilth.runtime.record.versions import Version
from tilth.runtime.showing import forecasts
from tilth.runtime.showing.describing import Place, describe
from tilth.sql.language.statements import CreateDataset, CreateModel, DatasetRef, Kind

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from tilth.ml.model.predictor import Predictor
    from tilth.resources.kinds import Resource

    Array = npt.NDArray[np.float64]

INPUTS = 8  # whose effect is drawn, the most important ones
GRID = 16  # values of a number
LEVELS = 10  # of a category
SHOWN = 0.2  # of the rows must have one of those; else it is a name or a text, of which they say little
SAMPLED = 300  # rows whose input is changed to each value
BARS = 24  # of how dense rows are below an effect
VERSIONS = 20  # gates that are listed, the newest


def report(at: Place, name: str) -> dict[str, Any]:
    """The facts of the model's version that serves, or of the one that `at` names; UnknownNameError for what is no model,
    ProjectError while none serves.
    """
    found = at.graph.find(name)
    if found is None or found.kind is not Kind.MODEL:
        models = [r.name for r in at.graph.of_kind(Kind.MODEL)]
        raise UnknownNameError(
            f"There is no model `{name}` in `{at.environment}`.", hint=did_you_mean(name, models, "models")
        )
    facts = describe(at, found, differs=False)
    if facts["version"] is None:
        raise ProjectError(
            f"No version of `{name}` serves in `{at.environment}`.",
            hint="`tilth status` says what is held or failed.",
        )
    row = versions.require(at.work.state, name, facts["version"])
    with at.work.state.reading() as reader:
        gates = [{**asdict(g), "at": show_instant(g.at)} for g in evidence.gates_of(reader, name, VERSIONS)]
    declared, facts = _declared(at, found, row), {**facts, **_text(at, row)}
    made = show_instant(at.work.clock.now())
    if forecasts.is_one(row):
        _, pointers = environments.pointers_of(at.work.state, at.environment)
        drawn = foretold.shown(at.work, row, declarations.snapshot_of(pointers, name))
        return {**facts, "at": made, "gates": gates, "foretold": drawn}
    seen: dict[str, Any] = {"judged": None, "effects": [], "why": None}
    if "targets" in facts:
        seen["targets"] = [
            {**one, **_seen(at, declared, row, one["importance"], place)}
            for place, one in enumerate(facts["targets"])
        ]
    else:
        seen = _seen(at, declared, row, {i["name"]: i["importance"] for i in facts["inputs"]})
    return {**facts, "at": made, "gates": gates, **seen}


def _text(at: Place, row: Version) -> dict[str, str]:
    """What was declared when another version than the one that serves was made, where that is still kept."""
    if at.version is None:
        return {}
    text = environments.definition_of(at.work.state, Kind.MODEL, row.model, row.recipe)
    return {} if text is None else {"definition": text}


def _declared(at: Place, found: Resource, row: Version) -> CreateModel:
    text = _text(at, row).get("definition")
    declared = None if text is None else declarations.declared(text)
    return declared if isinstance(declared, CreateModel) else found.as_(CreateModel)


def _seen(
    at: Place, declared: CreateModel, row: Version, importance: Mapping[str, float | None], place: int = 0
) -> dict[str, Any]:
    """Curves and effects of the target at that place; why there are none where the rows are gone."""
    if not isinstance(declared.source, DatasetRef):
        return {
            "judged": None,
            "effects": [],
            "why": "The model reads a query of its own, whose rows are not kept.",
        }
    known = at.graph.find(declared.source.name)
    if known is None or known.kind is not Kind.DATASET:
        why = f"Its dataset `{declared.source.name}` is not deployed any more."
        return {"judged": None, "effects": [], "why": why}
    data = known.as_(CreateDataset)
    try:
        manifest = manifest_of(at.work.state, row.snapshot)
    except UnknownNameError:
        return {"judged": None, "effects": [], "why": "The snapshot that it was trained on is gone."}
    whole = replace(spec_of(at.work, declared, data, manifest.schema), now=show_instant(row.created_at))
    table, truth, scores = gate.unseen(at.work, whole.of_each()[place], manifest, row)
    if not len(truth):
        return {"judged": None, "effects": [], "why": "There is no row that it was not tuned on."}
    model = version_of(at.work, row.model, row.version).parts[place]
    weighed = sorted((-weight, name) for name, weight in importance.items() if weight)
    names = [name for _, name in weighed]
    return {
        "judged": {"rows": len(truth), **_curves(model, truth, scores)},
        "effects": effects(model, table, names),
        "why": None,
    }


def _curves(model: Predictor, truth: Array, scores: Array) -> dict[str, Any]:
    kind, classes = model.signature.kind, [str(c) for c in model.classes]
    if kind == "regression":
        return {"residuals": curves.residuals(truth, scores)}
    if kind == "binary":
        said = (scores > model.threshold).astype(float)
        return {
            "ranking": curves.ranking(truth, scores),
            "reliability": curves.reliability(truth, scores),
            "confusion": curves.confusion(truth, said, classes),
            "threshold": model.threshold,
        }
    said = scores.argmax(axis=1)
    return {
        "reliability": curves.reliability((said == truth).astype(float), scores.max(axis=1)),
        "confusion": curves.confusion(truth, said.astype(float), classes),
    }


# --- what an input does --------------------------------------------------------------------------------------


def effects(model: Predictor, rows: pa.Table, names: list[str]) -> list[dict[str, Any]]:
    """Partial dependence (Friedman 2001): the mean answer when an input has each of some values, all else as it is.

    For a class it is the mean probability: of the positive class, or of the most frequent one.
    """
    sample = rows.slice(0, rows.num_rows)
    if rows.num_rows > SAMPLED:
        step = rows.num_rows / SAMPLED
        sample = rows.take([int(i * step) for i in range(SAMPLED)])
    return [found for name in names[:INPUTS] if (found := _effect(model, rows, sample, name)) is not None]


def _effect(model: Predictor, rows: pa.Table, sample: pa.Table, name: str) -> dict[str, Any] | None:
    import numpy as np
    import pyarrow as pa

    column = rows.column(name)
    values = _grid(column)
    if len(values) < 2:
        return None
    numbers = (
        pa.types.is_integer(column.type)
        or pa.types.is_floating(column.type)
        or pa.types.is_decimal(column.type)
    )
    density = _density(column, values, numbers)
    if not numbers and density and sum(density) < SHOWN * (len(column) - column.null_count):
        return None  # of names and texts, whose frequent values are few of all
    at = sample.column_names.index(name)
    means = []
    for value in values:
        filled = pa.chunked_array([pa.array([value] * sample.num_rows, column.type)])
        scores, can = model.answers(sample.set_column(at, name, filled))
        scores = scores[can]
        means.append(float(np.mean(scores if scores.ndim == 1 else scores[:, 0])) if len(scores) else None)
    shown = [float(v) for v in values] if numbers else [str(v) for v in values]
    return {
        "input": name,
        "values": shown,
        "means": means,
        "numeric": numbers,
        "rows": density,
    }


def _density(column: pa.ChunkedArray, values: list[Any], numbers: bool) -> list[int]:
    """How many rows lie in each of BARS equal steps from the first value to the last, or have each value; of moments nothing."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from tilth.ml.model.columns import floats

    if pa.types.is_temporal(column.type):
        return []
    if not numbers:
        return [int(pc.sum(pc.equal(column, v)).as_py() or 0) for v in values]
    known = floats(column)
    ends = float(values[0]), float(values[-1])
    counts, _ = np.histogram(known[np.isfinite(known)], bins=BARS, range=ends)
    return [int(c) for c in counts]


def _grid(column: pa.ChunkedArray) -> list[Any]:
    """Values that the input takes: quantiles of a number or a moment, the most frequent ones of what else it is."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind, known = column.type, column.drop_null()
    counted = known.value_counts().to_pylist()
    if (
        len(counted) <= LEVELS
        or not (pa.types.is_primitive(kind) or pa.types.is_decimal(kind))
        or pa.types.is_boolean(kind)
    ):
        ordered = sorted(counted, key=lambda c: (-c["counts"], str(c["values"])))[:LEVELS]
        found = [c["values"] for c in ordered]
        return sorted(found) if pa.types.is_primitive(kind) else found
    ordered = known.take(pc.sort_indices(known))
    places = [round((0.02 + 0.96 * i / (GRID - 1)) * (len(ordered) - 1)) for i in range(GRID)]
    return list(dict.fromkeys(ordered[p].as_py() for p in places))
