"""Turns input columns into the numbers that engines learn from, and remembers how, as plain JSON.

What it knows (levels of categories, parts of instants, the words of texts) is learned on the fit rows only, in
`ml.model.preparing`. Columns bind by name and type; their order never matters. One row of JSON takes the faster way in
`ml.model.encode`, with equal results.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from tilth.core.errors import InputError
from tilth.core.names import did_you_mean
from tilth.core.schema import DataType
from tilth.ml.model.columns import Column, fill, mend, micros_of, span_of, taken
from tilth.ml.model.text import TextSpace

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Matrix = npt.NDArray[np.float64]
    Table: TypeAlias = pa.Table | pa.RecordBatch


MEDIAN_ROWS, TEXT_ROWS = 100_000, 500  # of which medians are taken; of texts


@dataclass(frozen=True, slots=True)
class Preparation:
    """Columns in, matrix out. `dropped` says which columns are not used, and why."""

    columns: tuple[Column, ...]
    dropped: tuple[tuple[str, str], ...] = ()
    event_time: str | None = None

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the matrix columns: those of each input in order, then the tails of texts."""
        return (*self.heads, *(f for c in self.columns for f in c.tails))

    @property
    def heads(self) -> tuple[str, ...]:
        """Those that are made without the target: what every member reads but one that learned of the terms of texts."""
        return tuple(f for c in self.columns for f in c.features)

    @property
    def categorical(self) -> tuple[tuple[int, int], ...]:
        """(index in the matrix, number of levels) of the columns that hold codes."""
        out, at = [], 0
        for column in self.columns:
            if column.coded:
                out.append((at, len(column.levels)))
            at += len(column.features)
        return tuple(out)

    def owners(self) -> tuple[str, ...]:
        """For each matrix column, the input it was made of."""
        heads = (c.name for c in self.columns for _ in c.features)
        return (*heads, *(c.name for c in self.columns for _ in c.tails))

    def matrix(
        self,
        table: Table,
        optional: frozenset[str] = frozenset(),
        gaps: dict[str, npt.NDArray[np.bool_]] | None = None,
    ) -> Matrix:
        """float64, C-contiguous, [rows, features], NaN for missing; `gaps` gets the rows without a value by column.

        Raises InputError for a missing column that is not `optional`, and for one of another type.
        """
        import numpy as np

        out = np.empty((table.num_rows, len(self.features)))
        known = {name: index for index, name in enumerate(table.schema.names)}
        moments = self._moments(table, known)
        at, tails = 0, len(self.heads)
        for column in self.columns:
            width, more = len(column.features), len(column.tails)
            index = known.get(column.name)
            part, tail = out[:, at : at + width], out[:, tails : tails + more]
            if index is not None:
                fill(part, tail, column, table.column(index), moments)
                mend(part, tail, column, table.column(index), gaps)
            elif column.name in optional:
                part[:] = tail[:] = np.nan
            else:
                raise InputError(
                    f"The input `{column.name}` is missing.",
                    hint=did_you_mean(column.name, table.schema.names, "columns given"),
                )
            at, tails = at + width, tails + more
        return out

    def chunks(
        self,
        source: Table | Sequence[str],
        rows: int = 65_536,
        optional: frozenset[str] = frozenset(),
        single: bool = False,
    ) -> Iterator[Matrix | npt.NDArray[np.float32]]:
        """The matrix piece by piece, each of at most so many rows, in order; of a table or of Parquet files by their paths.

        Beside the pieces no rows lie in memory but a row group of a file. `single` gives float32, half the size. Errors as
        `matrix`.
        """
        import numpy as np

        for batch in self._batches(source, rows):
            x = self.matrix(batch, optional)
            yield x.astype(np.float32) if single else x

    def _batches(self, source: Table | Sequence[str], rows: int) -> Iterator[Table]:
        if not isinstance(source, Sequence):
            for start in range(0, source.num_rows, rows):
                yield source.slice(start, rows)
            return
        import pyarrow.parquet as pq

        for path in source:
            with pq.ParquetFile(path, pre_buffer=False) as file:
                there = set(file.schema_arrow.names)
                wanted = [c.name for c in self.columns if c.name in there]
                yield from file.iter_batches(rows, columns=wanted, use_threads=False)

    def _moments(self, table: Table, known: Mapping[str, int]) -> dict[str, Matrix]:
        """Microseconds, exact in float64 and NaN where missing, of the instants that parts count from; the event time as ''."""
        import numpy as np

        spans = {span[0] for c in self.columns for part in c.parts if (span := span_of(part)) is not None}
        out: dict[str, Matrix] = {}
        for name in spans:
            column = self._column(name or self.event_time)
            if column is not None and column.name in known:
                micros, valid = micros_of(taken(column, table.column(known[column.name])))
                out[name] = np.where(valid, micros, np.nan)
        return out

    def _column(self, name: str | None) -> Column | None:
        return next((c for c in self.columns if c.name == name), None)

    @property
    def texts(self) -> dict[str, TextSpace]:
        """The space of each text column, by its name."""
        return {c.name: c.text for c in self.columns if c.text is not None}

    def with_text(self, name: str, space: TextSpace) -> Preparation:
        """The same with another space for the text column of that name."""
        return replace(
            self, columns=tuple(replace(c, text=space) if c.name == name else c for c in self.columns)
        )

    def plain(self) -> dict[str, object]:
        """JSON-able values, as kept in `prepare.json`; `from_plain` reads them back."""
        columns = [_plain_column(c) for c in self.columns]
        dropped = [{"name": name, "why": why} for name, why in self.dropped]
        return {
            "format": FORMAT,
            "event_time": self.event_time,
            "columns": columns,
            "dropped": dropped,
        }

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Preparation:
        """ValueError for a format that this version does not know."""
        if values["format"] not in KNOWN_FORMATS:
            raise ValueError(f"prepare.json has the format {values['format']}; known are 1 to {FORMAT}")
        columns = tuple(map(_column_of, values["columns"]))
        dropped = tuple((d["name"], d["why"]) for d in values["dropped"])
        return cls(columns, dropped, values["event_time"])

    @classmethod
    def fit(cls, table: Table, names: tuple[str, ...], event_time: str | None = None) -> Preparation:
        """Learn how to prepare the named columns from the fit rows. `event_time` may be among the names."""
        from tilth.ml.model.preparing import learned

        bare = cls(*learned(table, names, event_time), event_time)
        return replace(bare, columns=_with_medians(bare, table))


FORMAT, KNOWN_FORMATS = 2, (1, 2)  # 2: texts, spans between instants, ends


def _plain_column(c: Column) -> dict[str, object]:
    said: dict[str, object] = {
        "name": c.name,
        "type": c.type.value,
        "kind": c.kind,
        "levels": list(c.levels),
        "parts": list(c.parts),
        "fills": list(c.fills),
        "ends": list(c.ends),
    }
    return said if c.text is None else {**said, "text": c.text.plain()}


def _column_of(c: Mapping[str, Any]) -> Column:
    return Column(
        c["name"],
        DataType(c["type"]),
        c["kind"],
        tuple(c["levels"]),
        tuple(c["parts"]),
        tuple(c.get("fills", ())),
        tuple(c.get("ends", ())),
        TextSpace.from_plain(c["text"]) if "text" in c else None,
    )


# --- medians ----------------------------------------------------------------------------------------------


def _with_medians(bare: Preparation, table: Table) -> tuple[Column, ...]:
    """The columns; those without a gap in these rows know the medians of their features."""
    import numpy as np

    drawn = {True: _Drawn(bare, table, TEXT_ROWS), False: _Drawn(bare, table, MEDIAN_ROWS)}
    out = []
    for column in bare.columns:
        known = drawn[column.kind == "text"].next_of(column)
        fills: Any = []
        if known.size and not np.isnan(known).any() and not _has_gaps(table.column(column.name)):
            fills = np.median(known, axis=0)
        halves = column.kind == "boolean"
        plain = tuple(float(f > 0.5) if halves else float(f) for f in fills)
        out.append(replace(column, fills=plain))
    return tuple(out)


class _Drawn:
    """The features of the text columns, or of all others, of some rows; taken column by column."""

    def __init__(self, bare: Preparation, table: Table, rows: int) -> None:
        from tilth.ml.model.preparing import sampled

        mine = tuple(c for c in bare.columns if (c.kind == "text") is (rows == TEXT_ROWS))
        self._x = replace(bare, columns=mine).matrix(sampled(table, rows))
        self._at = 0

    def next_of(self, column: Column) -> Matrix:
        """Its features without the code [rows, features]."""
        start, self._at = self._at + column.coded, self._at + len(column.features)
        return self._x[:, start : self._at]


def _has_gaps(values: Any) -> bool:
    """Whether a value is missing: NULL, NaN or an infinity."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if values.null_count or not pa.types.is_floating(values.type):
        return bool(values.null_count)
    return not pc.all(pc.is_finite(values)).as_py()
