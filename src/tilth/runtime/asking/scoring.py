"""Models over a stream of batches: outputs are added to each batch, several batches at a time.

A stream of one batch is scored with all cores. Of a longer one each core has a batch of its own, scored in one thread:
reading, preparing and scoring then keep all cores busy, where threads of one batch would wait for one another.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeAlias

from tilth.core.errors import InputError, TilthError
from tilth.core.schema import DataType
from tilth.ml.model.gaps import Gaps
from tilth.ml.model.values import Misfit, fitted
from tilth.ports.arrow import arrow_type
from tilth.sql.queries.rewrite import ModelUse

if TYPE_CHECKING:
    import pyarrow as pa

    from tilth.ml.model.answerer import Answerer

Asked: TypeAlias = "Callable[[Answerer, pa.RecordBatch], None]"
Through: TypeAlias = "Callable[[pa.RecordBatch], pa.RecordBatch]"
MOST_CORES = 8
AT_ONCE = 16_384  # rows that a core scores at a time


def through(
    uses: Sequence[tuple[ModelUse, Answerer]], seen: Mapping[str, Gaps], asked: Asked | None = None
) -> Through:
    """A function that adds the outputs of each model in turn, under their flat names. `seen` counts gaps by model, `asked`
    is told what each model is asked.
    """
    steps = [_applied(use, model, seen[use.name], asked) for use, model in uses]

    def apply(batch: pa.RecordBatch) -> pa.RecordBatch:
        for step in steps:
            batch = step(batch)
        return batch

    return apply


def predicted(
    rows: pa.RecordBatchReader, chain: Callable[[int | None], Through], failed: list[TilthError]
) -> pa.RecordBatchReader:
    """The rows with the models' outputs, in order. `chain(threads)` gives the models with so many threads a batch.

    An error that ends them is kept in `failed`: the engine that reads them will not say it whole.
    """
    import pyarrow as pa

    apply = chain(None)
    empty = pa.RecordBatch.from_arrays([pa.array([], f.type) for f in rows.schema], schema=rows.schema)
    schema = apply(empty).schema

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            first = next(rows, None)
            second = next(rows, None) if first is not None else None
            if first is not None and second is None:
                yield apply(first).cast(schema)
            elif first is not None and second is not None:
                for batch in _side_by_side([first, second], rows, chain(1)):
                    yield batch.cast(schema)
        except TilthError as error:
            failed.append(error)
            raise

    return pa.RecordBatchReader.from_batches(schema, batches())


def _side_by_side(
    first: list[pa.RecordBatch], rest: pa.RecordBatchReader, apply: Through
) -> Iterator[pa.RecordBatch]:
    """The batches applied to, in order, as many at a time as there are cores."""
    cores = max(1, min(os.cpu_count() or 1, MOST_CORES))
    waiting: deque[Future[pa.RecordBatch]] = deque()
    with ThreadPoolExecutor(cores, "tilth-score") as pool:
        try:
            for batch in _chained(first, rest):
                waiting.append(pool.submit(apply, batch))
                if len(waiting) > 2 * cores:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for one in waiting:
                one.cancel()


def _chained(first: list[pa.RecordBatch], rest: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    """All batches, cut small: with large ones a core would be without work while another does the last."""
    while first:
        yield from _cut(first.pop(0))
    for batch in rest:
        yield from _cut(batch)


def _cut(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    for start in range(0, batch.num_rows, AT_ONCE):
        yield batch.slice(start, AT_ONCE)


def _applied(use: ModelUse, model: Answerer, seen: Gaps, asked: Asked | None) -> Through:
    """A function that adds the model's outputs to a batch under their flat names."""
    import pyarrow as pa

    types = {i.name: i.type for i in model.inputs}
    constants = {
        b.input: fitting(b.input, b.value, types[b.input])[0] for b in use.inputs if b.column is None
    }
    wanted = [output for output, _ in use.outputs]
    flat = [name for _, name in use.outputs]

    def apply(batch: pa.RecordBatch) -> pa.RecordBatch:
        columns, names = [], []
        for b in use.inputs:
            names.append(b.input)
            if b.column is None:
                columns.append(pa.repeat(constants[b.input], batch.num_rows))
            else:
                columns.append(batch.column(b.column))
        inputs = pa.RecordBatch.from_arrays(columns, names=names) if columns else batch
        if asked is not None:
            asked(model, _with_carried(inputs, batch, use) if columns else inputs)
        made = model.predict(inputs, wanted, seen)
        return pa.RecordBatch.from_arrays([*batch.columns, *made.columns], names=[*batch.schema.names, *flat])

    return apply


def _with_carried(inputs: pa.RecordBatch, batch: pa.RecordBatch, use: ModelUse) -> pa.RecordBatch:
    """The inputs, and beside them what the model takes along for the log."""
    import pyarrow as pa

    there = frozenset(inputs.schema.names)
    more = [b for b in use.carried if b.input not in there and b.column is not None]
    columns = [*inputs.columns, *(batch.column(b.column) for b in more)]
    return pa.RecordBatch.from_arrays(columns, names=[*inputs.schema.names, *(b.input for b in more)])


def fitting(name: str, value: Any, kind: DataType) -> pa.Array:
    """The value in the input's type, as every door has it; InputError when it does not fit, exactly."""
    import pyarrow as pa

    try:
        held = fitted(value, kind)
        return pa.array([held], pa.float64() if kind is DataType.DECIMAL else arrow_type(kind))
    except (Misfit, pa.ArrowException, OverflowError, ValueError, TypeError):
        shown = repr(value)
        raise InputError(
            f"The input `{name}` cannot be {shown if len(shown) <= 60 else shown[:59] + '…'}: it is {kind}.",
            hint=f"Give `{name}` a value of that type; a moment without an offset is in UTC.",
        ) from None


def honest(reader: pa.RecordBatchReader, failed: list[TilthError]) -> pa.RecordBatchReader:
    """The reader, raising a model's own error and not what the engine makes of it."""
    import pyarrow as pa

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            yield from reader
        except TilthError as error:
            raise failed[0] if failed else error from None

    return pa.RecordBatchReader.from_batches(reader.schema, batches())
