"""Rows of a model whose inputs a query gives: its inputs and outputs as arrays, of one value or one for each combination."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any

from tilth.core.errors import InputError
from tilth.ml.model.answerer import Answerer, RowAnswerer
from tilth.ml.model.gaps import Gaps, notice
from tilth.ports.arrow import arrow_type
from tilth.runtime.asking.scoring import fitting
from tilth.sql.queries.direct import Taken
from tilth.sql.queries.shapes import RowPrediction, Several

if TYPE_CHECKING:
    import pyarrow as pa

MOST = 100_000  # combinations of inputs that one query asks


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


def combined(model: Answerer, split: RowPrediction, told: list[str], most: int = MOST) -> dict[str, pa.Array]:
    """The same of all combinations of the values that IN lists, the last input's changing fastest; InputError for too many."""
    import pyarrow as pa

    lists = [v.values if isinstance(v, Several) else (v,) for _, v in split.inputs]
    count = prod(map(len, lists))
    if count > most:
        raise InputError(
            f"These are {count:,} combinations of inputs of model `{split.model}`, and one query asks at most {most:,}.",
            hint="Join a table of the rows instead: FROM <dataset> d JOIN the model.",
        )
    rows = list(product(*lists))
    given = {name: [row[n] for row in rows] for n, (name, _) in enumerate(split.inputs)}
    arrays = {
        i.name: pa.concat_arrays([fitting(i.name, v, i.type) for v in given.get(i.name, [None] * count)])
        for i in model.inputs
    }
    seen = Gaps(split.model, model.strict)
    asked = pa.record_batch([arrays[n] for n in given], names=list(given))
    answers = model.predict(asked, split.wanted, seen)
    told.extend(seen.words())
    return arrays | dict(zip(answers.schema.names, answers.columns, strict=True))


def picked(columns: Sequence[Taken], arrays: Mapping[str, pa.Array]) -> pa.Table:
    """The columns of an answer of one row, as the engine would give them."""
    import pyarrow as pa

    row = pa.RecordBatch.from_arrays(list(arrays.values()), names=list(arrays))
    return pa.Table.from_batches([_picked(columns, row)])


def taken(rows: pa.RecordBatchReader, columns: Sequence[Taken]) -> pa.RecordBatchReader:
    """The same of many rows."""
    import pyarrow as pa

    empty = pa.RecordBatch.from_arrays([pa.array([], f.type) for f in rows.schema], schema=rows.schema)
    schema = _picked(columns, empty).schema
    return pa.RecordBatchReader.from_batches(schema, (_picked(columns, batch) for batch in rows))


def _picked(columns: Sequence[Taken], rows: pa.RecordBatch) -> pa.RecordBatch:
    import pyarrow as pa

    known = {name.lower(): place for place, name in enumerate(rows.schema.names)}
    fields, made = [], []
    for one in columns:
        if one.column is None:
            whole = isinstance(one.value, int) and not isinstance(one.value, bool)
            array = pa.repeat(pa.scalar(one.value, pa.int32() if whole else None), rows.num_rows)
            fields.append(pa.field(one.name, array.type))
        else:
            place = known[one.column.lower()]
            array, field = rows.column(place), rows.schema.field(place)
            fields.append(field.with_name(one.name) if one.renamed else field)
        made.append(array)
    return pa.RecordBatch.from_arrays(made, schema=pa.schema(fields))


def _cell(value: Any, kind: pa.DataType) -> Any:
    """An output as Arrow takes it: probabilities as pairs, an explanation as a JSON text."""
    import pyarrow as pa

    if not isinstance(value, dict):
        return value
    return list(value.items()) if pa.types.is_map(kind) else json.dumps(value)
