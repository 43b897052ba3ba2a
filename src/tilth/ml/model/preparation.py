"""Turns input columns into the numbers that engines learn from, and remembers how, as plain JSON.

What it knows (levels of categories, parts of instants) is learned on the fit rows only. Columns bind by name and
type; their order never matters. One row of JSON takes the faster way in `ml.model.encode`, with equal results.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from tilth.core.errors import InputError
from tilth.core.names import did_you_mean
from tilth.core.schema import DataType
from tilth.ml.model.columns import (
    DAY_US,
    Column,
    fill,
    mend,
    micros_of,
    part_of,
    plain_strings,
    taken,
)
from tilth.ports.arrow import data_type

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Matrix = npt.NDArray[np.float64]
    Table: TypeAlias = pa.Table | pa.RecordBatch

MOST_LEVELS = 1_000
ID_LIKE = 0.5  # a text column with more distinct values a row than this names rows, it does not describe them
MEDIAN_ROWS = 100_000  # of which medians are taken
YEAR = 366  # days of history below which the day of the year is a clock and not a season


@dataclass(frozen=True, slots=True)
class Preparation:
    """Columns in, matrix out. `dropped` says which columns are not used, and why."""

    columns: tuple[Column, ...]
    dropped: tuple[tuple[str, str], ...] = ()
    event_time: str | None = None

    @property
    def features(self) -> tuple[str, ...]:
        return tuple(f for c in self.columns for f in c.features)

    @property
    def categorical(self) -> tuple[tuple[int, int], ...]:
        """(index in the matrix, number of levels) of the columns that hold codes."""
        out, at = [], 0
        for column in self.columns:
            if column.kind == "category":
                out.append((at, len(column.levels)))
            at += len(column.features)
        return tuple(out)

    def owners(self) -> tuple[str, ...]:
        """For each matrix column, the input it was made of."""
        return tuple(c.name for c in self.columns for _ in c.features)

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
        event = self._event(table, known)
        at = 0
        for column in self.columns:
            width = len(column.features)
            index = known.get(column.name)
            if index is not None:
                part = out[:, at : at + width]
                fill(part, column, table.column(index), event)
                mend(part, column, table.column(index), gaps)
            elif column.name in optional:
                out[:, at : at + width] = np.nan
            else:
                raise InputError(
                    f"The input `{column.name}` is missing.",
                    hint=did_you_mean(column.name, table.schema.names, "columns given"),
                )
            at += width
        return out

    def _event(self, table: Table, known: Mapping[str, int]) -> Matrix | None:
        """The event times in microseconds, exact in float64, NaN where missing; None when no part needs them."""
        import numpy as np

        event = next((c for c in self.columns if c.name == self.event_time), None)
        if (
            event is None
            or event.name not in known
            or not any("since_event" in c.parts for c in self.columns)
        ):
            return None
        micros, valid = micros_of(taken(event, table.column(known[event.name])))
        return np.where(valid, micros, np.nan)

    def plain(self) -> dict[str, object]:
        """JSON-able values, as kept in `prepare.json`; `from_plain` reads them back."""
        columns = [
            {
                "name": c.name,
                "type": c.type.value,
                "kind": c.kind,
                "levels": list(c.levels),
                "parts": list(c.parts),
                "fills": list(c.fills),
            }
            for c in self.columns
        ]
        dropped = [{"name": name, "why": why} for name, why in self.dropped]
        return {"format": 1, "event_time": self.event_time, "columns": columns, "dropped": dropped}

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Preparation:
        columns = tuple(
            Column(
                c["name"],
                DataType(c["type"]),
                c["kind"],
                tuple(c["levels"]),
                tuple(c["parts"]),
                tuple(c.get("fills", ())),
            )
            for c in values["columns"]
        )
        dropped = tuple((d["name"], d["why"]) for d in values["dropped"])
        return cls(columns, dropped, values["event_time"])

    @classmethod
    def fit(cls, table: Table, names: tuple[str, ...], event_time: str | None = None) -> Preparation:
        """Learn how to prepare the named columns from the fit rows. `event_time` may be among the names."""
        columns, dropped = [], []
        span = _span_days(table, event_time) if event_time in table.schema.names else None
        for name in names:
            found = _learn(table, name, event_time, span, event_time in names)
            if isinstance(found, Column):
                columns.append(found)
            else:
                dropped.append((name, found))
        bare = cls(tuple(columns), tuple(dropped), event_time)
        return replace(bare, columns=_with_fills(bare, table))


# --- learning ----------------------------------------------------------------------------------------------


def _learn(
    table: Table, name: str, event_time: str | None, span: float | None, has_event: bool
) -> Column | str:
    """The column's preparation, or why it is not used."""
    values = table.column(name)
    kind = data_type(values.type)
    if values.null_count == len(values):
        return "every value is missing"
    if kind in (DataType.INTEGER, DataType.FLOAT, DataType.DECIMAL, DataType.BOOLEAN):
        if kind is DataType.FLOAT and not _any_finite(values):
            return "no value is a finite number"
        if _constant(values):
            return "it has one value only"
        return Column(name, kind, "boolean" if kind is DataType.BOOLEAN else "number")
    if kind is DataType.STRING:
        return _category(name, values)
    if kind in (DataType.DATE, DataType.TIMESTAMP):
        parts = _parts(name, kind, values, event_time, span, has_event)
        return Column(name, kind, "instant", parts=parts) if parts else "it has one value only"
    return f"values of type {kind.value} are not used for learning"


def _any_finite(values: Any) -> bool:
    import pyarrow.compute as pc

    return bool(pc.any(pc.is_finite(values)).as_py())


def _constant(values: Any) -> bool:
    import pyarrow.compute as pc

    ends = pc.min_max(values)
    return bool(values.null_count == 0 and ends["min"].as_py() == ends["max"].as_py())


def _category(name: str, values: Any) -> Column | str:
    """Levels by falling frequency, then by name; at least two rows each in a table of more than 500."""
    import pyarrow.compute as pc

    counts = [(c["values"], c["counts"]) for c in pc.value_counts(plain_strings(values)).to_pylist()]
    known = [(level, count) for level, count in counts if level is not None]
    rows = sum(count for _, count in known)
    if len(known) == 1 and rows == len(values):
        return "it has one value only"
    if len(known) > 50 and len(known) > ID_LIKE * rows:
        return f"it looks like an identifier: {len(known)} different values in {rows} rows"
    least = 2 if len(values) > 500 else 1
    kept = sorted(((-count, level) for level, count in known if count >= least))[:MOST_LEVELS]
    if not kept:
        return "no value occurs twice"
    return Column(name, DataType.STRING, "category", levels=tuple(level for _, level in kept))


def _parts(
    name: str, kind: DataType, values: Any, event_time: str | None, span: float | None, has_event: bool
) -> tuple[str, ...]:
    """Which parts of an instant vary. The event time itself gives no part that only counts time onwards."""
    import numpy as np

    micros, known = micros_of(values)
    micros = micros[known]
    wanted = ["dow"] + (["hour"] if kind is DataType.TIMESTAMP else [])
    whole_years = span is None or span >= YEAR
    if whole_years or micros.max() - micros.min() >= YEAR * DAY_US:
        wanted.insert(0, "day")  # over less, each is seen a few times: it would name days, not describe them
    if name != event_time or whole_years:
        wanted += ["month", "doy"]
    parts = [part for part in wanted if len(np.unique(part_of(part, micros))) > 1]
    if name != event_time and len(micros) and micros.min() != micros.max():
        if event_time is None:
            parts.append("epoch")
        elif has_event:
            parts.append("since_event")
    return tuple(parts)


def _span_days(table: Table, event_time: str | None) -> float | None:
    micros, known = micros_of(table.column(str(event_time)))
    return float(micros[known].max() - micros[known].min()) / DAY_US if known.any() else None


def _with_fills(bare: Preparation, table: Table) -> tuple[Column, ...]:
    """The columns; those without a gap in these rows know the medians of their features, over a sample of many rows."""
    import numpy as np
    import pyarrow as pa

    step = 1 + table.num_rows // MEDIAN_ROWS
    x = bare.matrix(table if step == 1 else table.take(pa.array(range(0, table.num_rows, step))))
    out, at = [], 0
    for column in bare.columns:
        known = x[:, at : at + len(column.features)]
        whole = column.kind != "category" and len(x) and not np.isnan(known).any()
        fills: Any = np.median(known, axis=0) if whole and not _has_gaps(table.column(column.name)) else []
        halves = column.kind == "boolean"
        out.append(replace(column, fills=tuple(float(f > 0.5) if halves else float(f) for f in fills)))
        at += len(column.features)
    return tuple(out)


def _has_gaps(values: Any) -> bool:
    """Whether a value is missing: NULL, NaN or an infinity."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if values.null_count or not pa.types.is_floating(values.type):
        return bool(values.null_count)
    return not pc.all(pc.is_finite(values)).as_py()
