"""Turns input columns into the numbers that engines learn from, and remembers how, as plain JSON.

What it knows (levels of categories, parts of instants) is learned on the fit rows only. Columns bind by name and
type; their order never matters. One row of JSON takes the faster way in `ml.serving.encode`, with equal results.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from tilth.core.errors import InputError
from tilth.core.names import did_you_mean
from tilth.core.schema import DataType

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Matrix = npt.NDArray[np.float64]
    Table: TypeAlias = pa.Table | pa.RecordBatch

MOST_LEVELS = 1_000
ID_LIKE = 0.5  # a text column with more distinct values a row than this names rows, it does not describe them
YEAR = 366  # days of history below which the day of the year is a clock and not a season
DAY_US, HOUR_US, MINUTE_US = 86_400_000_000, 3_600_000_000, 60_000_000


@dataclass(frozen=True, slots=True)
class Column:
    """One input. `kind`: number | boolean | category | instant; `parts` are what an instant gives.

    `levels` of a category are in the order of their codes, the most frequent first. `fills` are what a gap counts as, one a
    feature, where the fit rows had none: engines learned nothing of gaps then, and would take one for a zero.
    """

    name: str
    type: DataType
    kind: str
    levels: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    fills: tuple[float, ...] = ()

    @property
    def features(self) -> tuple[str, ...]:
        """The names of its columns in the matrix."""
        return tuple(f"{self.name}.{part}" for part in self.parts) if self.kind == "instant" else (self.name,)


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
                _fill(part, column, table.column(index), event)
                _mend(part, column, table.column(index), gaps)
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
        micros, valid = _micros(_of(event, table.column(known[event.name])))
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


def data_type(arrow: pa.DataType) -> DataType:
    """The word of `core.schema` for an Arrow type."""
    import pyarrow.types as t

    if t.is_dictionary(arrow):
        return data_type(arrow.value_type)
    tests: list[tuple[Callable[[Any], bool], DataType]] = [
        (t.is_boolean, DataType.BOOLEAN),
        (t.is_integer, DataType.INTEGER),
        (t.is_floating, DataType.FLOAT),
        (t.is_decimal, DataType.DECIMAL),
        (t.is_date, DataType.DATE),
        (t.is_timestamp, DataType.TIMESTAMP),
        (t.is_time, DataType.TIME),
        (lambda a: t.is_duration(a) or t.is_interval(a), DataType.INTERVAL),
        (lambda a: t.is_string(a) or t.is_large_string(a) or t.is_string_view(a), DataType.STRING),
        (lambda a: t.is_binary(a) or t.is_large_binary(a) or t.is_fixed_size_binary(a), DataType.BINARY),
    ]
    return next((found for test, found in tests if test(arrow)), DataType.OTHER)


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

    counts = [(c["values"], c["counts"]) for c in pc.value_counts(_plain_strings(values)).to_pylist()]
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

    micros, known = _micros(values)
    micros = micros[known]
    wanted = ["dow"] + (["hour"] if kind is DataType.TIMESTAMP else [])
    whole_years = span is None or span >= YEAR
    if whole_years or micros.max() - micros.min() >= YEAR * DAY_US:
        wanted.insert(0, "day")  # over less, each is seen a few times: it would name days, not describe them
    if name != event_time or whole_years:
        wanted += ["month", "doy"]
    parts = [part for part in wanted if len(np.unique(_part(part, micros))) > 1]
    if name != event_time and len(micros) and micros.min() != micros.max():
        if event_time is None:
            parts.append("epoch")
        elif has_event:
            parts.append("since_event")
    return tuple(parts)


def _span_days(table: Table, event_time: str | None) -> float | None:
    micros, known = _micros(table.column(str(event_time)))
    return float(micros[known].max() - micros[known].min()) / DAY_US if known.any() else None


def _with_fills(bare: Preparation, table: Table) -> tuple[Column, ...]:
    """The columns; those without a gap in these rows know the medians of their features."""
    import numpy as np

    gaps: dict[str, npt.NDArray[np.bool_]] = {}
    x = bare.matrix(table, gaps=gaps)
    out, at = [], 0
    for column in bare.columns:
        width = len(column.features)
        whole = column.kind != "category" and column.name not in gaps and len(x) > 0
        known = x[:, at : at + width]
        fills = tuple(map(float, np.median(known, axis=0))) if whole and not np.isnan(known).any() else ()
        if column.kind == "boolean":
            fills = tuple(float(fill > 0.5) for fill in fills)
        out.append(replace(column, fills=fills))
        at += width
    return tuple(out)


# --- filling -----------------------------------------------------------------------------------------------


def _fill(out: Matrix, column: Column, values: Any, event: Matrix | None) -> None:
    """Write the features of one column into its part of the matrix."""
    if values.null_count == len(values):
        out[:] = float("nan")
    elif column.kind == "instant":
        _fill_instant(out, column, _of(column, values), event)
    elif column.kind == "category":
        out[:, 0] = _codes(_of(column, values), column.levels)
    else:
        out[:, 0] = _finite(_floats(_of(column, values)))


def _mend(out: Matrix, column: Column, values: Any, gaps: dict[str, npt.NDArray[np.bool_]] | None) -> None:
    """Note which rows have no value, and put what that counts as in its place."""
    import numpy as np

    if column.kind in {"category", "instant"}:
        lacking = np.asarray(_numpy(values.is_null()), dtype=np.bool_) if values.null_count else None
    else:
        lacking = np.isnan(out[:, 0])
    if lacking is None or not lacking.any():
        return
    if gaps is not None:
        gaps[column.name] = lacking
    if column.fills:
        out[lacking] = column.fills


def _of(column: Column, values: Any) -> Any:
    """The values, known to be of a type that the column takes; a whole number's are whole."""
    given = data_type(values.type)
    fits = {
        "number": given in (DataType.INTEGER, DataType.FLOAT, DataType.DECIMAL),
        "boolean": given is DataType.BOOLEAN,
        "category": given is DataType.STRING,
        "instant": given in (DataType.DATE, DataType.TIMESTAMP),
    }
    if not fits[column.kind]:
        raise InputError(
            f"The input `{column.name}` is {column.type.value}; {given.value} was given.",
            hint=f"Cast it: CAST({column.name} AS {SQL_TYPE[column.type]}).",
        )
    if column.type is DataType.INTEGER and str(values.type) not in SMALL_INTEGERS:
        _whole(column, values, given)
    if column.type is DataType.DATE and given is DataType.TIMESTAMP:
        micros, known = _micros(values)
        _refuse_row(column, known & (micros % DAY_US != 0), "dates", f"{column.name}::DATE")
    return values


SMALL_INTEGERS = frozenset(
    {"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"}
)  # all within int64


def _refuse_row(column: Column, wrong: npt.NDArray[np.bool_], takes: str, instead: str) -> None:
    """InputError naming the first row that is wrong, if any is."""
    if wrong.any():
        raise InputError(
            f"The input `{column.name}` takes {takes}, and row {int(wrong.argmax()) + 1:,} has another value.",
            hint=f"Give it what it takes, for example {instead}, or leave such rows out.",
        )


def _whole(column: Column, values: Any, given: DataType) -> None:
    """InputError with the row for a value that is no whole number within 64 bits; NaN and infinities are gaps."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if given is not DataType.FLOAT:
        try:
            pc.cast(values, pa.int64())
        except pa.ArrowInvalid:
            least, most = (pa.scalar(v, values.type) for v in _ends_of(values.type))
            out = pc.or_(pc.less(values, least), pc.greater(values, most))
            odd = out if given is DataType.INTEGER else pc.or_(out, pc.not_equal(values, pc.round(values)))
            wrong = np.asarray(_numpy(pc.fill_null(odd, False)), dtype=np.bool_)
            _refuse_row(column, wrong, "whole numbers within 64 bits", f"CAST({column.name} AS BIGINT)")
        return
    known = _floats(values)
    with np.errstate(invalid="ignore"):
        fits = (known == np.floor(known)) & (known >= -(2.0**63)) & (known < 2.0**63)
    wrong = ~fits & np.isfinite(known)
    _refuse_row(column, wrong, "whole numbers within 64 bits", f"CAST({column.name} AS BIGINT)")


def _ends_of(kind: Any) -> tuple[Any, Any]:
    """The least and the greatest 64-bit integer that a type of numbers can compare with."""
    from decimal import Decimal

    if "uint" in str(kind):
        return 0, 2**63 - 1
    most = min(2**63 - 1, 10 ** (kind.precision - kind.scale) - 1)
    return Decimal(-most - (most == 2**63 - 1)), Decimal(most)


SQL_TYPE = {
    DataType.BOOLEAN: "BOOLEAN",
    DataType.INTEGER: "BIGINT",
    DataType.FLOAT: "DOUBLE",
    DataType.DECIMAL: "DOUBLE",
    DataType.STRING: "VARCHAR",
    DataType.DATE: "DATE",
    DataType.TIMESTAMP: "TIMESTAMP",
}


def _floats(values: Any) -> Matrix:
    import pyarrow as pa
    import pyarrow.compute as pc

    if values.type != pa.float64():
        if pa.types.is_dictionary(values.type):
            values = pc.cast(values, values.type.value_type)
        values = pc.cast(values, pa.float64(), safe=False)
    found: Matrix = _numpy(values)
    return found


def _finite(values: Matrix) -> Matrix:
    """The values, with a gap in place of an infinity: it is what a division by nothing leaves, and no number."""
    import numpy as np

    endless = np.isinf(values)
    return np.where(endless, np.nan, values) if endless.any() else values


def _numpy(values: Any) -> Any:
    """Arrow to numpy for arrays and chunked arrays alike; nulls of floats become NaN."""
    import pyarrow as pa

    return values.to_numpy() if isinstance(values, pa.ChunkedArray) else values.to_numpy(zero_copy_only=False)


def _plain_strings(values: Any) -> Any:
    """Strings without a dictionary."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.cast(values, pa.string()) if values.type != pa.string() else values


def _codes(values: Any, levels: tuple[str, ...]) -> Matrix:
    """Level codes as float64; unseen and missing are NaN."""
    import numpy as np
    import pyarrow as pa

    chunks = values.chunks if isinstance(values, pa.ChunkedArray) else [values]
    code = {level: float(index) for index, level in enumerate(levels)}
    out = []
    for chunk in chunks:
        coded = chunk if pa.types.is_dictionary(chunk.type) else chunk.dictionary_encode()
        table = np.array([code.get(v, np.nan) for v in coded.dictionary.to_pylist()] + [np.nan])
        index = coded.indices
        if index.null_count:
            index = index.fill_null(len(table) - 1)
        out.append(table.take(index.to_numpy(zero_copy_only=False)))
    return np.concatenate(out) if len(out) != 1 else out[0]


def _micros(values: Any) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Microseconds since 1970 in UTC (0 where missing), and where a value is known."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_date(values.type):
        values = pc.cast(values, pa.timestamp("us"))
    elif values.type.unit != "us":
        values = pc.cast(values, pa.timestamp("us", values.type.tz), safe=False)
    known = np.asarray(_numpy(pc.is_valid(values)), dtype=np.bool_)
    whole = pc.cast(values, pa.int64())
    return np.asarray(_numpy(pc.fill_null(whole, 0)), dtype=np.int64), known


def _fill_instant(out: Matrix, column: Column, values: Any, event: Matrix | None) -> None:
    import numpy as np

    micros, known = _micros(values)
    for index, part in enumerate(column.parts):
        if part != "since_event":
            out[:, index] = _part(part, micros)
        elif event is None:
            out[:, index] = np.nan
        else:
            out[:, index] = (micros - event) / HOUR_US
    if not known.all():
        out[~known] = np.nan


def _part(part: str, micros: npt.NDArray[np.int64]) -> Matrix:
    """The part: month 1..12, day 1..31, dow 0 (Monday)..6, doy 1..366, hour 0..24 to the minute, epoch in days."""
    days = micros // DAY_US
    if part == "hour":
        minutes = (micros - days * DAY_US) // MINUTE_US
        return minutes // 60 + (minutes % 60) / 60
    if part == "dow":
        return ((days + 3) % 7).astype("float64")
    if part == "epoch":
        return days.astype("float64")
    date = days.astype("M8[D]")
    month = date.astype("M8[M]")
    if part == "month":
        return (month.astype("int64") % 12 + 1).astype("float64")
    start = month if part == "day" else date.astype("M8[Y]")
    found: Matrix = ((date - start.astype("M8[D]")).astype("int64") + 1).astype("float64")
    return found
