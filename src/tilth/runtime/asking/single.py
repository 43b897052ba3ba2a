"""One row of a model: its inputs and outputs as arrays of one value."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tilth.ml.model.answerer import RowAnswerer
from tilth.ml.model.gaps import notice
from tilth.ports.arrow import arrow_type
from tilth.runtime.asking.scoring import fitting
from tilth.sql.queries.direct import Taken
from tilth.sql.queries.shapes import RowPrediction

if TYPE_CHECKING:
    import pyarrow as pa


def answered(
    model: RowAnswerer, split: RowPrediction, given: Mapping[str, Any], told: list[str]
) -> dict[str, pa.Array]:
    """The inputs of a row and the outputs that are wanted of it, each an array of one; `told` gets what people should know."""
    import pyarrow as pa

    arrays = {i.name: fitting(i.name, given.get(i.name), i.type) for i in model.inputs}
    row = model.taken(dict(given))
    outputs = model.choose(row, model.score_row(row), split.wanted)
    far = (one.words for one in model.outside(row))
    told.extend(f"{split.model}: {words}" for words in notice(model.gaps(row), far))
    types = {o.name: arrow_type(o.type) for o in model.outputs}
    return arrays | {o: pa.array([_cell(outputs[o], types[o])], types[o]) for o in split.wanted}


def picked(columns: Sequence[Taken], arrays: Mapping[str, pa.Array]) -> pa.Table:
    """The columns of the answer, as the engine would give them."""
    import pyarrow as pa

    known = {name.lower(): (name, array) for name, array in arrays.items()}
    names, made = [], []
    for one in columns:
        if one.column is None:
            whole = isinstance(one.value, int) and not isinstance(one.value, bool)
            names.append(one.name)
            made.append(pa.array([one.value], pa.int32() if whole else None))
        else:
            name, array = known[one.column.lower()]
            names.append(one.name if one.renamed else name)
            made.append(array)
    return pa.table(made, names=names)


def _cell(value: Any, kind: pa.DataType) -> Any:
    """An output as Arrow takes it: probabilities as pairs, an explanation as a JSON text."""
    import pyarrow as pa

    if not isinstance(value, dict):
        return value
    return list(value.items()) if pa.types.is_map(kind) else json.dumps(value)
