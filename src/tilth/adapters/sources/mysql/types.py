"""MySQL's types: what each becomes, how it is asked for, which predicates the server decides, and what of it is refused.

A text is compared as DuckDB does, byte by byte, whatever the column's collation. Dates that are none (0000-00-00, a
31 February) become NULL and are counted; a TIME that is no time of day, a TINYINT(1) that is neither 0 nor 1, and numbers that
would lose a digit are refused with their column and row.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from tilth.adapters.sources.mysql.wire import NULLS, Moments, Sent, Vector
from tilth.adapters.sources.numbers import Numbers, rounded, surviving
from tilth.adapters.sources.table_options import decimal_of, option
from tilth.core.errors import DataError, ProjectError
from tilth.core.names import literal, quoted
from tilth.core.scan import Predicate
from tilth.core.schema import DataType
from tilth.ports.predicates import condition, sql_literal

if TYPE_CHECKING:
    import pyarrow as pa

TYPES = ("VARCHAR", "BIGINT", "DOUBLE", "DECIMAL(p, s)")
_NAMES = {
    0: "decimal", 1: "tinyint", 2: "smallint", 3: "int", 4: "float", 5: "double", 6: "null", 7: "timestamp", 8: "bigint",
    9: "mediumint", 10: "date", 11: "time", 12: "datetime", 13: "year", 14: "date", 15: "varchar", 16: "bit", 245: "json",
    246: "decimal", 247: "enum", 248: "set", 249: "tinyblob", 250: "mediumblob", 251: "longblob", 252: "blob", 253: "varchar",
    254: "char", 255: "geometry",
}  # fmt: skip
_TEXTS = frozenset({15, 245, 247, 248, 249, 250, 251, 252, 253, 254})
_WHOLE = frozenset({1, 2, 3, 8, 9, 13})
_JSON, _BIT, _YEAR, _FLOAT, _DATE, _GEOMETRY = 245, 16, 13, 4, frozenset({10, 14}), 255
_DECIMALS = frozenset({0, 246})
_BYTES = 63  # the character set of what is no text
_TYPED = {"VARCHAR": DataType.STRING, "BIGINT": DataType.INTEGER, "DOUBLE": DataType.FLOAT}
_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_DAY_US = 86_400_000_000
_WRITTEN = re.compile(r"\d{4}-\d\d-\d\d(?: \d\d:\d\d:\d\d(?:\.\d{1,6})?)?\Z")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table or of a result; `declared` by the source's option."""

    sent: Sent
    declared: str | None = None

    @property
    def name(self) -> str:
        return self.sent.name

    @property
    def type(self) -> DataType:
        """What it becomes."""
        if self.declared is not None:
            return _TYPED.get(self.declared, DataType.DECIMAL)
        kind = self.sent.kind
        if kind in _WHOLE or kind == _BIT:
            return DataType.BOOLEAN if self._truth else DataType.INTEGER
        if kind in _DECIMALS:
            sized = self._digits()
            if sized is None:
                return DataType.FLOAT
            return DataType.INTEGER if _is_whole(sized) else DataType.DECIMAL
        if kind in _DATE:
            return DataType.DATE
        if kind in _TEXTS:
            bare = self.sent.charset == _BYTES and kind != _JSON and not self.sent.flags & (256 | 2048)
            return DataType.BINARY if bare else DataType.STRING
        others = {
            4: DataType.FLOAT,
            5: DataType.FLOAT,
            7: DataType.TIMESTAMP,
            12: DataType.TIMESTAMP,
            11: DataType.TIME,
        }
        others |= {_GEOMETRY: DataType.BINARY, NULLS: DataType.STRING}
        return others.get(kind, DataType.OTHER)

    @property
    def nullable(self) -> bool:
        return not self.sent.required or self._dated

    @property
    def kind(self) -> str:
        """The server's name of its type."""
        return _NAMES.get(self.sent.kind, f"number {self.sent.kind}")

    @property
    def asked(self) -> str:
        """The expression that is asked for."""
        name = quoted(self.name)
        return name if self.declared is None else f"CAST({self._number()} AS CHAR)"

    def check(self) -> None:
        """DataError for a type that is not known; ProjectError when something is declared that it cannot be read as."""
        if self.type is DataType.OTHER:
            raise DataError(
                f"Column `{self.name}` is of type {self.kind}, which is not read.",
                hint=f"Leave it out of the query, or have a native query CAST it: CAST({self.name} AS CHAR).",
            )
        if self.declared is None:
            return
        kind = self.sent.kind
        number = kind in _WHOLE or kind in _DECIMALS or kind in {_BIT, _FLOAT, 5}
        if not number and (self.declared != "VARCHAR" or Column(self.sent).type is DataType.BINARY):
            raise ProjectError(
                f"Column `{self.name}` is of type {self.kind}, which cannot be read as {self.declared}.",
                hint=f"Leave it out of `types`, and write CAST({quoted(self.name)} AS {self.declared}) in the query.",
            )

    # --- predicates ----------------------------------------------------------------------------------------

    def test(self, where: Predicate) -> str | None:
        """The predicate as the server decides it; None where it would not mean what it means in DuckDB."""
        name, none = quoted(self.name), self._no_date()
        if where.op == "is_null":
            return f"({name} IS NULL OR {none})" if none else f"{name} IS NULL"
        if where.op == "is_not_null":
            return f"NOT ({name} IS NULL OR {none})" if none else f"{name} IS NOT NULL"
        given = where.value if isinstance(where.value, tuple) else (where.value,)
        values = [v for v in given if v is not None]
        if not values:
            return "1 = 0"
        if self.type is DataType.STRING:
            return self._text_test(where, values)
        if self.type in {DataType.INTEGER, DataType.FLOAT, DataType.DECIMAL}:
            numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
            return self._number_test(where, values) if numbers else None
        if self.type is DataType.BOOLEAN:
            plain = all(isinstance(v, bool) for v in values) and where.op in {"=", "<>", "in"}
            return condition(where, self._number()) if plain else None
        if self.type in {DataType.DATE, DataType.TIMESTAMP}:
            found = self._time_test(where, values)
            return found if found is None or not none else f"({found} AND NOT {none})"
        return None

    def _text_test(self, where: Predicate, values: Sequence[Any]) -> str | None:
        if not all(isinstance(v, str) for v in values):
            return None
        bytes_ = f"CAST(CONVERT({self.asked} USING utf8mb4) AS BINARY)"
        texts = [f"x'{v.encode().hex()}'" for v in values]
        same = where.op in {"=", "in"}
        found = f"{bytes_} IN ({', '.join(texts)})" if where.op == "in" else f"{bytes_} {where.op} {texts[0]}"
        if (
            same
            and self.declared is None
            and self.sent.kind in {15, 253, 254}
            and not self.sent.flags & (256 | 2048)
        ):
            # an index finds more than what is the same byte by byte, and never less
            return (
                f"({quoted(self.name)} IN ({', '.join(map(literal, values))}) AND {found})"
                if _plain(values)
                else found
            )
        return found

    def _number_test(self, where: Predicate, values: Sequence[Any]) -> str:
        name = quoted(self.name)
        approximate = self.type is DataType.FLOAT and self.sent.kind != 5
        name = f"({name} * 1e0)" if approximate else self._number()
        if where.op == "in":
            finite = [v for v in values if math.isfinite(v)]
            return f"{name} IN ({', '.join(map(sql_literal, finite))})" if finite else "1 = 0"
        (value,) = values
        if math.isfinite(value):
            return condition(where, name)
        # there is no infinity and no NaN, which DuckDB takes as greater than all others
        above = {"<", "<=", "<>"} if value != -math.inf else {">", ">=", "<>"}
        return f"{name} IS NOT NULL" if where.op in above else "1 = 0"

    def _time_test(self, where: Predicate, values: Sequence[Any]) -> str | None:
        moments: list[datetime | date] = []
        for value in values:
            found = value
            if isinstance(value, str):
                if not _WRITTEN.match(value) or (self.type is DataType.DATE and len(value) > 10):
                    return None
                try:
                    found = datetime.fromisoformat(value)
                except ValueError:
                    return None
            if not isinstance(found, date):
                return None
            moments.append(found)
        made = Predicate(where.column, where.op, tuple(moments) if where.op == "in" else moments[0])
        return condition(made, quoted(self.name))

    def _number(self) -> str:
        """The column as an expression that is a number, or a text, as it is kept."""
        name = quoted(self.name)
        if self.sent.kind == _BIT or (self.sent.kind == _YEAR and self.declared is None):
            return f"({name} + 0)"  # a YEAR takes the number 1 for 2001
        return f"({name} * 1e0)" if self.sent.kind == _FLOAT and self.declared is not None else name

    @property
    def _truth(self) -> bool:
        sent = self.sent
        return sent.length == 1 and (sent.kind == _BIT or (sent.kind == 1 and not sent.unsigned))

    @property
    def _dated(self) -> bool:
        return self.type in {DataType.DATE, DataType.TIMESTAMP}

    def _no_date(self) -> str | None:
        """Whether a date is none, as SQL; it is NULL for the reader then."""
        if not self._dated:
            return None
        name = quoted(self.name)
        day = f"DAYOFMONTH({name}) BETWEEN 1 AND DAYOFMONTH(LAST_DAY({name}))"
        return f"({name} IS NOT NULL AND ({day}) IS NOT TRUE)"

    def _digits(self) -> tuple[int, int] | None:
        """Digits and scale of a decimal that Arrow's holds."""
        scale = self.sent.decimals
        digits = self.sent.length - bool(scale) - (not self.sent.unsigned)
        return (digits, scale) if 0 < digits <= 38 and scale <= digits else None

    # --- values --------------------------------------------------------------------------------------------

    @property
    def arrow(self) -> pa.DataType:
        """The Arrow type that it has."""
        import pyarrow as pa

        if self.type is DataType.DECIMAL:
            sized = decimal_of(self.declared) if self.declared else self._digits()
            assert sized is not None
            return pa.decimal128(*sized)
        kinds = {
            DataType.BOOLEAN: pa.bool_(), DataType.INTEGER: pa.int64(), DataType.FLOAT: pa.float64(), DataType.DATE: pa.date32(),
            DataType.TIME: pa.time64("us"), DataType.TIMESTAMP: pa.timestamp("us"), DataType.BINARY: pa.binary(),
        }  # fmt: skip
        return kinds.get(self.type, pa.string())

    def made(self, vector: Vector, place: Place) -> pa.Array:
        """The values of one batch, exact."""
        import pyarrow as pa

        null = vector.null
        if self.sent.kind == NULLS:
            return pa.nulls(len(null), pa.string())
        if self.declared is None and self.sent.kind == _BIT:
            return self._bits(vector, place)
        if vector.numbers is not None:
            return self._whole(vector.numbers, null, place)
        if vector.moments is not None:
            return _dates(vector.moments, null, self.type, place)
        assert vector.bytes is not None
        if self.type is DataType.BINARY:
            return vector.bytes.cast(pa.binary())
        texts = _texts(vector.bytes, place)
        if self.type is DataType.STRING:
            return texts
        if self.declared == "DOUBLE":
            return rounded(texts, place)
        if self.type is DataType.FLOAT:
            return surviving(texts, place)
        return Numbers(None if self.type is DataType.INTEGER else decimal_size(self.arrow))(texts, place)

    def _whole(self, numbers: Any, null: Any, place: Place) -> pa.Array:
        import pyarrow as pa

        if self.type is DataType.FLOAT:
            return pa.array(numbers.astype("f8"), pa.float64(), mask=null)
        if self.type is DataType.BOOLEAN:
            odd = ~null & (numbers != 0) & (numbers != 1)
            if odd.any():
                raise place.refused(
                    int(odd.argmax()),
                    "a number that is neither 0 nor 1, where TINYINT(1) is read as a BOOLEAN,",
                )
            return pa.array(numbers == 1, pa.bool_(), mask=null)
        if numbers.dtype == "u8":
            beyond = ~null & (numbers > 2**63 - 1)
            if beyond.any():
                raise place.refused(int(beyond.argmax()), "a number beyond 64 bits with a sign")
        return pa.array(numbers.astype("i8"), pa.int64(), mask=null)

    def _bits(self, vector: Vector, place: Place) -> pa.Array:
        import pyarrow as pa

        assert vector.bytes is not None
        found = [None if v is None else int.from_bytes(v, "big") for v in vector.bytes.to_pylist()]
        if self.type is DataType.BOOLEAN:
            return pa.array([None if v is None else bool(v) for v in found], pa.bool_())
        for at, value in enumerate(found):
            if value is not None and value >= 2**63:
                raise place.refused(at, "a number beyond 64 bits with a sign")
        return pa.array(found, pa.int64())


def decimal_size(kind: Any) -> tuple[int, int]:
    """Digits and scale of an Arrow decimal."""
    return int(kind.precision), int(kind.scale)


def _is_whole(sized: tuple[int, int]) -> bool:
    return sized[1] == 0 and sized[0] <= 18


def _plain(values: Sequence[str]) -> bool:
    """Whether texts stand in SQL as they are."""
    return all(v.isprintable() for v in values)


@dataclass(slots=True)
class Place:
    """Where an array stands: for errors, and to count what became NULL."""

    column: Column
    table: str | None
    first: int = 0
    gone: Counter[str] = field(default_factory=Counter)

    def refused(self, at: int, what: str) -> DataError:
        name, row = self.column.name, self.first + at + 1
        if self.table is None:
            return DataError(
                f"Column `{name}` of the native query holds {what} in row {row:,}.",
                hint=f"Write CAST({name} AS CHAR) AS {name} in the native query.",
            )
        whole = self.column.type in {DataType.BOOLEAN, DataType.INTEGER}
        first, second = (
            ("BIGINT", "VARCHAR") if self.column.type is DataType.BOOLEAN else ("VARCHAR", "DECIMAL(38,0)")
        )
        others = (
            f"'{second}' keeps them, too"
            if whole
            else "'DOUBLE' rounds numbers; 'DECIMAL(38,10)' keeps digits"
        )
        return DataError(
            f"Column `{name}` of table `{self.table}` holds {what} in row {row:,} of those read.",
            hint=f"Write in the source: WITH (..., {option(self.table, 'types', name, first)})   ({others}).",
        )


def _texts(array: Any, place: Place) -> pa.Array:
    """Texts; DataError for one that is not UTF-8, which a server should not send."""
    import pyarrow as pa

    try:
        texts = array.cast(pa.large_string())
        texts.validate(full=True)
        return texts.cast(pa.string())
    except pa.ArrowInvalid:
        for at, value in enumerate(array.to_pylist()):
            try:
                (value or b"").decode()
            except UnicodeDecodeError:
                raise place.refused(at, "a text that is not UTF-8") from None
        raise place.refused(0, "more text than 2 GB in one batch, at first") from None


def _dates(moments: Moments, null: Any, kind: DataType, place: Place) -> pa.Array:
    """Dates, moments or times of day; dates that are none become NULL, a time that is no time of day is refused."""
    import numpy as np
    import pyarrow as pa

    year, month, day, hour, minute, second, micro = moments.parts
    clock = ((hour * 60 + minute) * 60 + second) * 1_000_000 + micro
    if kind is DataType.TIME:
        odd = ~null & ((moments.negative & (clock + day > 0)) | (day > 0) | (clock >= _DAY_US))
        if odd.any():
            raise place.refused(int(odd.argmax()), "a duration that is no time of a day")
        return pa.array(clock, pa.int64(), mask=null).cast(pa.time64("us"))
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    most = np.array((0, *_DAYS, 0, 0, 0))[np.minimum(month, 13)] + ((month == 2) & leap)
    none = ~null & ((day < 1) | (day > most))
    place.gone["no date"] += int(none.sum())
    days = _days(
        np.where(none | null, 1970, year), np.where(none | null, 1, month), np.where(none | null, 1, day)
    )
    mask = null | none
    if kind is DataType.DATE:
        return pa.array(days.astype(np.int32), pa.int32(), mask=mask).cast(pa.date32())
    return pa.array(days * _DAY_US + clock, pa.int64(), mask=mask).cast(pa.timestamp("us"))


def _days(year: Any, month: Any, day: Any) -> Any:
    """Days since 1970 in the Gregorian calendar, also before it began."""
    import numpy as np

    y = year - (month <= 2)
    era, of_era = y // 400, y % 400
    of_year = (153 * (month + np.where(month > 2, -3, 9)) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468
