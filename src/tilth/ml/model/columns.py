"""One input column as numbers: which values it takes, and what they become in the matrix that engines read.

What is learned of a column (levels, parts, medians) is in `preparation`; one row of JSON takes the way of `ml.model.encode`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tilth.core.errors import InputError
from tilth.core.schema import DataType
from tilth.ml.model import nested
from tilth.ml.model.text import TextSpace
from tilth.ports.arrow import data_type

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float64]

DAY_US, HOUR_US, MINUTE_US = 86_400_000_000, 3_600_000_000, 60_000_000


@dataclass(frozen=True, slots=True)
class Column:
    """One input. `kind`: number | boolean | category | text | list | instant; `parts` are what an instant or a list gives.

    `levels` of a category are in the order of their codes, the most frequent first; a text whose values repeat has them too,
    and its code before what `text` gives. `fills` are what a gap counts as, one a feature but the code, where the fit rows had
    none: engines learned nothing of gaps then, and would take one for a zero. `ends` are the least and the greatest number (of
    an instant, microseconds since 1970) that is not far out of what was learned from, and those that were; of a category they
    are zeros where (nearly) all levels are known.
    """

    name: str
    type: DataType
    kind: str
    levels: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    fills: tuple[float, ...] = ()
    ends: tuple[float, ...] = ()
    text: TextSpace | None = None

    @property
    def features(self) -> tuple[str, ...]:
        """The names of its columns in the matrix."""
        if self.kind in {"instant", "list"}:
            return tuple(f"{self.name}.{part}" for part in self.parts)
        if self.text is None:
            return (self.name,)
        return (*([self.name] if self.levels else []), *(f"{self.name}.{one}" for one in self.text.features))

    @property
    def tails(self) -> tuple[str, ...]:
        """The names of its columns at the end of the matrix: raw scores of a text, for the member that learned of its terms."""
        return () if self.text is None else tuple(f"{self.name}.{one}" for one in self.text.tails)

    @property
    def coded(self) -> bool:
        """Whether its first feature is the code of a level."""
        return bool(self.levels)

    @property
    def filled(self) -> tuple[float, ...]:
        """What stands for a gap, one a feature: NaN where the fit rows had gaps too."""
        nan = float("nan")
        bare = len(self.features) - self.coded
        return (*([nan] if self.coded else []), *(self.fills or (nan,) * bare))

    @property
    def filled_tails(self) -> tuple[float, ...]:
        """What stands for a gap in its tails: as a text without a known term, where the fit rows had no gaps."""
        return (0.0 if self.fills else float("nan"),) * len(self.tails)


# --- filling -----------------------------------------------------------------------------------------------


def fill(out: Matrix, tail: Matrix, column: Column, values: Any, moments: Mapping[str, Matrix]) -> None:
    """Write the features of one column into its part of the matrix, and its tails into theirs. `moments` are those of the
    instants that parts name.
    """
    if values.null_count == len(values):
        out[:] = tail[:] = float("nan")
    elif column.kind == "instant":
        _fill_instant(out, column, taken(column, values), moments)
    elif column.kind == "list":
        out[:] = _different(taken(column, values), lambda texts: nested.matrix(texts, column.parts))
    elif column.kind in {"category", "text"}:
        known = taken(column, values)
        if column.coded:
            out[:, 0] = _codes(known, column.levels)
        if column.text is not None:
            described = _described(known, column.text)
            bare = out.shape[1] - column.coded
            out[:, column.coded :], tail[:] = described[:, :bare], described[:, bare:]
    else:
        out[:, 0] = _finite(floats(taken(column, values)))


def mend(
    out: Matrix, tail: Matrix, column: Column, values: Any, gaps: dict[str, npt.NDArray[np.bool_]] | None
) -> None:
    """Note which rows have no value, and put what that counts as in its place."""
    import numpy as np

    if column.kind in {"category", "text", "list", "instant"}:
        lacking = np.asarray(numpy_of(values.is_null()), dtype=np.bool_) if values.null_count else None
    else:
        lacking = np.isnan(out[:, 0])
    if lacking is None or not lacking.any():
        return
    if gaps is not None:
        gaps[column.name] = lacking
    if column.fills:
        out[lacking] = column.filled
        tail[lacking] = column.filled_tails


def taken(column: Column, values: Any) -> Any:
    """The values, known to be of a type that the column takes; a whole number's are whole."""
    given = data_type(values.type)
    if column.type is DataType.JSON and given is DataType.OTHER:
        return nested.texts_of(values)
    fits = {
        "number": given in (DataType.INTEGER, DataType.FLOAT, DataType.DECIMAL),
        "boolean": given is DataType.BOOLEAN,
        "category": given is DataType.STRING,
        "text": given is DataType.STRING,
        "list": given is DataType.STRING,
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
        micros, known = micros_of(values)
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
            wrong = np.asarray(numpy_of(pc.fill_null(odd, False)), dtype=np.bool_)
            _refuse_row(column, wrong, "whole numbers within 64 bits", f"CAST({column.name} AS BIGINT)")
        return
    known = floats(values)
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
    DataType.JSON: "JSON",
    DataType.DATE: "DATE",
    DataType.TIMESTAMP: "TIMESTAMP",
}


def floats(values: Any) -> Matrix:
    import pyarrow as pa
    import pyarrow.compute as pc

    if values.type != pa.float64():
        if pa.types.is_dictionary(values.type):
            values = pc.cast(values, values.type.value_type)
        values = pc.cast(values, pa.float64(), safe=False)
    found: Matrix = numpy_of(values)
    return found


def _finite(values: Matrix) -> Matrix:
    """The values, with a gap in place of an infinity: it is what a division by nothing leaves, and no number."""
    import numpy as np

    endless = np.isinf(values)
    return np.where(endless, np.nan, values) if endless.any() else values


def numpy_of(values: Any) -> Any:
    """Arrow to numpy for arrays and chunked arrays alike; nulls of floats become NaN."""
    import pyarrow as pa

    return values.to_numpy() if isinstance(values, pa.ChunkedArray) else values.to_numpy(zero_copy_only=False)


def plain_strings(values: Any) -> Any:
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


def _described(values: Any, space: TextSpace) -> Matrix:
    """The features of texts [rows, features]."""
    return _different(values, space.many)


def _different(values: Any, many: Callable[[Sequence[str | None]], Matrix]) -> Matrix:
    """What a function makes of texts [rows, features]; each different text is looked at once."""
    import numpy as np
    import pyarrow as pa

    chunks = values.chunks if isinstance(values, pa.ChunkedArray) else [values]
    out = []
    for chunk in chunks:
        coded = chunk if pa.types.is_dictionary(chunk.type) else chunk.dictionary_encode()
        different = many([*coded.dictionary.to_pylist(), None])
        index = coded.indices.fill_null(len(different) - 1) if coded.indices.null_count else coded.indices
        out.append(different.take(index.to_numpy(zero_copy_only=False), axis=0))
    return np.concatenate(out) if len(out) != 1 else out[0]


def micros_of(values: Any) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Microseconds since 1970 in UTC (0 where missing), and where a value is known."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_date(values.type):
        values = pc.cast(values, pa.timestamp("us"))
    elif values.type.unit != "us":
        values = pc.cast(values, pa.timestamp("us", values.type.tz), safe=False)
    known = np.asarray(numpy_of(pc.is_valid(values)), dtype=np.bool_)
    whole = pc.cast(values, pa.int64())
    return np.asarray(numpy_of(pc.fill_null(whole, 0)), dtype=np.int64), known


def _fill_instant(out: Matrix, column: Column, values: Any, moments: Mapping[str, Matrix]) -> None:
    import numpy as np

    micros, known = micros_of(values)
    for index, part in enumerate(column.parts):
        if (span := span_of(part)) is None:
            out[:, index] = part_of(part, micros)
            continue
        other, unit = span
        since = moments.get(other)
        out[:, index] = np.nan if since is None else (micros - since) / unit
        if column.fills and other:
            out[np.isnan(out[:, index]), index] = column.fills[index]
    if not known.all():
        out[~known] = np.nan


SINCE = "since "  # and the name of another instant: days from it to this one


def span_of(part: str) -> tuple[str, float] | None:
    """Since when a part counts (the name of an instant, empty for the event time) and the microseconds of its unit; None of
    one that counts from no other instant.
    """
    if part == "since_event":
        return "", HOUR_US
    return (part.removeprefix(SINCE), float(DAY_US)) if part.startswith(SINCE) else None


def part_of(part: str, micros: npt.NDArray[np.int64]) -> Matrix:
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
