"""Deals the rows of a training: which are known and due, in which order, in which parts, and which of them judge.

How many rows judge follows from how many there are. Up to `split.MANY_ROWS` each part is answered by models of the other
four; of more, half of a fifth is answered by a model of all others, and the other half by another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tilth.core.errors import DataError, ResourceLimitError, TargetError
from tilth.core.names import did_you_mean
from tilth.ml.data import identity, snapshots
from tilth.ml.judging import split
from tilth.ml.judging.gates import FEWEST
from tilth.ml.learning import intervals, tall, target, weights
from tilth.ml.learning.rows import Rows, inputs, rows_of
from tilth.ml.model.signature import outputs
from tilth.ml.model.spec import TrainingSpec, check_metric

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Parts = npt.NDArray[np.int8]
    Array = npt.NDArray[np.float64]

SHORT = (
    500  # rows, up to which all are judged by models of the others, whether they have an event time or not
)
ASKED = 0.2  # of many rows, those that are asked
MOST_ASKED = 50_000
MOST_ANSWERS = 1_500_000  # numbers that are kept: rows times classes
MORE_MEMORY = "Give the model more: USING (memory = '8 GB'), or train on fewer rows or columns."


@dataclass(frozen=True, slots=True)
class Files:
    """The snapshot's Parquet files, and beside each the file with its rows' ids, or None where none was written."""

    rows: Sequence[str]
    ids: Sequence[str | None] = ()

    def ids_of(self, columns: Sequence[str], places: npt.NDArray[np.int64] | None = None) -> Any:
        """uint64 of every row, or of those at these places, in order; `columns` are what they are made of where no file keeps them."""
        import numpy as np

        kept = [*self.ids, *([None] * (len(self.rows) - len(self.ids)))]
        out, start = [], 0
        for rows, ids in zip(self.rows, kept, strict=True):
            found = snapshots.file_ids(rows, ids, columns)
            if places is not None:
                low, high = np.searchsorted(places, (start, start + len(found)))
                start, found = start + len(found), found[places[low:high] - start]
            out.append(found)
        return np.concatenate(out)

    def ids_at(self, wanted: npt.NDArray[np.int64], columns: Sequence[str]) -> Any:
        """uint64 of the rows at these places, in their order, made of these columns; batch by batch, since they may be wide."""
        import numpy as np

        out, start = np.zeros(len(wanted), dtype=np.uint64), 0
        for path in self.rows:
            for batch in snapshots.file_batches(path):
                mine = np.flatnonzero((wanted >= start) & (wanted < start + batch.num_rows))
                if len(mine):
                    out[mine] = identity.row_ids(batch.take(_indices(wanted[mine] - start)), columns)
                start += batch.num_rows
        return out

    def _some(self, columns: Sequence[str], places: npt.NDArray[np.int64]) -> pa.Table:
        import numpy as np
        import pyarrow as pa

        out, start = [self.schema().empty_table().select(list(columns))], 0
        for path in self.rows:
            for batch in snapshots.file_batches(path, columns):
                low, high = np.searchsorted(places, (start, start + batch.num_rows))
                if low < high:
                    some = batch.take(_indices(places[low:high] - start))
                    out.append(pa.Table.from_batches([some]).select(list(columns)))
                start += batch.num_rows
        return pa.concat_tables(out)

    def schema(self) -> pa.Schema:
        """Of the rows; all files have the same."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        return pq.read_schema(self.rows[0]) if self.rows else pa.schema([])

    def count(self) -> int:
        """How many rows there are."""
        import pyarrow.parquet as pq

        return sum(pq.read_metadata(path).num_rows for path in self.rows)

    def read(self, columns: Sequence[str], places: npt.NDArray[np.int64] | None = None) -> pa.Table:
        """The columns, of all files; with `places` only of the rows there, in their order."""
        import pyarrow as pa

        try:
            if places is not None:
                return self._some(columns, places)
            return pa.concat_tables([snapshots.file_rows(path, columns, mapped=True) for path in self.rows])
        except pa.ArrowMemoryError as error:
            raise ResourceLimitError(f"The rows do not fit into memory: {error}", hint=MORE_MEMORY) from error


def _indices(places: Any) -> Any:
    import pyarrow as pa

    return pa.array(places)


def dealt(spec: TrainingSpec, files: Files) -> Rows:
    """The known and mature rows in order, as numbers, with their parts. TargetError or DataError."""
    import numpy as np
    import pyarrow as pa

    schema = files.schema()
    used = _used(spec, schema)
    draw = tall.drawn(spec, files)
    drawn = None if draw is None else draw.places
    table = files.read(used, drawn)
    when = split.micros(table, spec.event_time) if spec.event_time else None
    mature = split.mature(when, spec.label_delay, spec.now)
    beside = [table.column(name) for name in spec.beside]
    known = target.known_rows(table.column(spec.target), spec.target, mature, beside)
    if draw is not None:
        found = draw.target
    else:
        found = target.inspect(table.column(spec.target).filter(pa.array(known)), spec.target, spec.metric)
    check_metric(spec.metric, found.kind)
    intervals.check(spec, found.kind)
    found = target.with_positive(found, spec)
    _apart(spec, found, schema.names)
    named = spec.identity or spec.key or sorted(schema.names)
    ids = files.ids_of(named, drawn) if _has_ids(spec) else None
    order, values = split.order(None if ids is None else ids[known], None if when is None else when[known])
    index = np.flatnonzero(known)[order]
    y = target.encode(table.column(spec.target), found)[index]
    _enough(y, found.kind, spec.target)
    target.bounded(y, found, spec.metric)
    cut = split.cut(values, spec.event_time, SHORT)
    if spec.group:
        part = _group_parts(spec, table.take(pa.array(index)), found, cut)
    else:
        part = _parts(values, y, found, cut, spec.event_time is None)
    dropped = table.num_rows - len(index) if draw is None else len(draw.known) - len(draw.y)
    table = table.take(pa.array(index)).combine_chunks()
    weight = weights.of(spec, table, part[: cut.window])
    places = index if drawn is None else drawn[index]
    made = rows_of(spec, table, cut, found, dropped, part, places, weight)
    if draw is None:
        return made
    mean = weights.mean(spec, table)
    return replace(
        made, tall=tall.Everything(spec, tuple(files.rows), made.preparation, draw.y, draw.known, mean)
    )


def _parts(values: Any, y: Array, found: target.Target, cut: split.Split, by_id: bool) -> Parts:
    """The part of each row, -1 for those that are not asked before the window: of many, the last ones are."""
    import numpy as np

    classes = y if by_id and found.kind != "regression" else None
    out = np.full(cut.rows, -1, dtype=np.int8)
    first = cut.window - _most(found, cut)
    while 0 < first < cut.window and values[first] == values[first - 1]:
        first += 1
    own = slice(first, cut.window)
    out[own] = split.parts(values[own], None if classes is None else classes[own])
    return out


def _most(found: target.Target, cut: split.Split) -> int:
    """How many rows before the window are asked."""
    most = cut.window
    if cut.window > split.MANY_ROWS:
        most = min(int(ASKED * cut.window), MOST_ASKED)
    return min(most, MOST_ANSWERS // max(1, len(found.classes)))


def _group_parts(spec: TrainingSpec, table: pa.Table, found: target.Target, cut: split.Split) -> Parts:
    """The part of each row where whole groups stay in one, whatever their rows' times and classes; -1 as in `_parts`.

    A window by time is cut through groups all the same: those that come again come again when the model serves, too.
    """
    import numpy as np

    for name in spec.group:
        if gaps := table.column(name).null_count:
            raise DataError(
                f"`{name}` of GROUP KEY is missing in {gaps:,} rows, which belong to no group.",
                hint=f"Filter them in the dataset's query, or EXPECT ({name} IS NOT NULL ON FAIL QUARANTINE).",
            )
    own = identity.row_ids(table.slice(0, cut.window), spec.group)
    order = np.argsort(own, kind="stable")
    groups = own[order]
    first = cut.window - _most(found, cut)
    if first > 0:  # a group is asked whole, or not at all
        first = int(np.searchsorted(groups, groups[first - 1], side="right"))
    out = np.full(cut.rows, -1, dtype=np.int8)
    try:
        out[order[first:]] = split.parts(groups[first:], None)
    except DataError as error:
        _, sizes = np.unique(own, return_counts=True)
        raise DataError(
            f"GROUP KEY ({', '.join(spec.group)}) makes {len(sizes):,} groups, of which the largest has {sizes.max():,} of "
            f"{len(own):,} rows: they cannot be parted into {split.FOLDS}.",
            hint="Collect rows of more groups, or leave out GROUP KEY.",
        ) from error
    return out


def _enough(y: Array, kind: str, name: str) -> None:
    """TargetError for a history that is too short even for parts that judge each other."""
    import numpy as np

    rarer = int(np.bincount(y.astype(np.int64), minlength=2).min()) if kind == "binary" else FEWEST.rarer
    if len(y) >= FEWEST.rows and rarer >= FEWEST.rarer:
        return
    have = f"{len(y)} rows" + (f", {rarer} of the rarer class" if kind == "binary" else "")
    raise TargetError(
        f"There are {have} with a known `{name}`; a model needs {FEWEST.rows}, and {FEWEST.rarer} of the rarer class.",
        hint="Collect more rows, or check the WHERE of the dataset's query.",
    )


def _apart(spec: TrainingSpec, found: target.Target, names: Sequence[str]) -> None:
    """TargetError when a column that the model takes is called as one of its outputs is: one would hide the other."""
    made = {o.name.lower(): o.name for o in outputs(spec.output, found.kind, found.type)}
    event = [spec.event_time] if spec.event_time else []
    for name in (*inputs(spec, names), *spec.key, *event):
        if name.lower() in made:
            raise TargetError(
                f"The column `{name}` is called as an output of the model `{spec.model}` is: one would hide the other.",
                hint=f"Give the prediction another name: PREDICT {spec.target} AS {spec.output}_predicted; or leave the "
                f"column out: FEATURES (* EXCEPT ({name})).",
            )


def _has_ids(spec: TrainingSpec) -> bool:
    """Whether rows are dealt or ordered by their ids: those without a key that have a time are not."""
    return bool(spec.key) or spec.event_time is None


def _used(spec: TrainingSpec, schema: pa.Schema) -> list[str]:
    """The columns that are needed; DataError with the nearest for one that is not there."""
    event = [spec.event_time] if spec.event_time else []
    weight = [spec.weight] if spec.weight else []
    for name in (
        spec.target, *spec.beside, *spec.key, *weight, *spec.group, *spec.include, *spec.slices, *event
    ):  # fmt: skip
        if name not in schema.names:
            raise DataError(
                f"The rows have no column `{name}`.", hint=did_you_mean(name, schema.names, "columns")
            )
    used = {
        *inputs(spec, schema.names),
        spec.target,
        *spec.beside,
        *spec.key,
        *weight,
        *spec.group,
        *spec.slices,
        *event,
    }
    return [n for n in schema.names if n in used]
