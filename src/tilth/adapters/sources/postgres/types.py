"""PostgreSQL's types: what each becomes, how it is sent, how predicates see it, and how what arrives is made exact.

A numeric travels as text and becomes a whole number, a DECIMAL, or a DOUBLE where no digit is lost; what would not stay
what it is, is refused with its column and row. What Arrow has no type for (uuid, json, inet, arrays, ranges, enums, bits,
times with a zone) becomes text as PostgreSQL writes it. Sending queries is `postgres_source`'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tilth.adapters.sources.numbers import Numbers, rounded, surviving
from tilth.adapters.sources.table_options import decimal_of, option
from tilth.core.errors import DataError, ProjectError
from tilth.core.names import quoted
from tilth.core.scan import Predicate
from tilth.core.schema import DataType
from tilth.ports.predicates import condition

if TYPE_CHECKING:
    import pyarrow as pa

TYPES = ("VARCHAR", "BIGINT", "DOUBLE", "DECIMAL(p, s)")
_BARE: dict[str, DataType] = {
    "bool": DataType.BOOLEAN,
    **dict.fromkeys(("int2", "int4", "int8"), DataType.INTEGER),
    **dict.fromkeys(("float4", "float8"), DataType.FLOAT),
    "date": DataType.DATE,
    "time": DataType.TIME,
    "interval": DataType.INTERVAL,
    **dict.fromkeys(("timestamp", "timestamptz"), DataType.TIMESTAMP),
    "bytea": DataType.BINARY,
}
_SENT = {"timestamptz": "({0} AT TIME ZONE 'UTC')", "oid": "{0}::int8"}
_NUMBERS = frozenset({"int2", "int4", "int8", "oid", "float4", "float8", "numeric", "money"})
_ENDLESS = frozenset({"date", "timestamp", "timestamptz"})
_ENDS_US = (-9_222_425_352_054_775_809, -9_222_425_352_054_775_808)  # infinity, as ADBC's sum overflows to it
_FIRST_US, _FIRST_DAY = (
    -210_900_000_000_000_000,
    -2_450_000,
)  # before 4713 BC, where PostgreSQL's calendar begins


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table or of a result, by the name of its base type and its typmod; `declared` by the source's option."""

    name: str
    kind: str
    typmod: int = -1
    required: bool = False
    declared: str | None = None

    @property
    def type(self) -> DataType:
        """What it becomes."""
        if self.declared is not None:
            kinds = {"VARCHAR": DataType.STRING, "BIGINT": DataType.INTEGER, "DOUBLE": DataType.FLOAT}
            return kinds.get(self.declared, DataType.DECIMAL)
        if self.kind in ("numeric", "money"):
            found = self._digits()
            if found is None:
                return DataType.FLOAT
            return DataType.INTEGER if _is_whole(found) else DataType.DECIMAL
        return DataType.INTEGER if self.kind == "oid" else _BARE.get(self.kind, DataType.STRING)

    @property
    def nullable(self) -> bool:
        lossy = self.kind in _ENDLESS or (self.kind == "numeric" and self.type is not DataType.FLOAT)
        return lossy or not self.required

    def sent(self, at: str | None = None) -> str:
        """The expression that is sent for the column, or for the column `at`."""
        name = at or quoted(self.name)
        if self.kind == "money":
            return f"{name}::numeric::text" if self.declared != "VARCHAR" else f"{name}::text"
        if self.declared is not None or self.kind == "numeric":
            return f"{name}::text"
        return _SENT.get(self.kind, "{0}" if self.kind in _BARE else "{0}::text").format(name)

    def test(self, where: Predicate) -> str:
        """The predicate as PostgreSQL decides it; values that become NULL are none."""
        name = quoted(self.name)
        if self.type is DataType.STRING:
            return condition(where, f'{name}::text COLLATE "C"')
        if self.declared == "DOUBLE":
            return condition(where, f"{name}::float8")
        found = condition(where, f"{name}::numeric" if self.kind == "money" else name)
        if (none := self._becomes_null(name)) is None:
            return found
        if where.op == "is_null":
            return f"({name} IS NULL OR {none})"
        return found if where.op in {"=", "in"} else f"({found} AND NOT ({none}))"

    def check(self) -> None:
        """ProjectError when a number is declared of what PostgreSQL keeps as something else."""
        if self.declared not in (None, "VARCHAR") and self.kind not in _NUMBERS:
            raise ProjectError(
                f"Column `{self.name}` is of type {self.kind}, which cannot be read as {self.declared}.",
                hint=f"Leave it out of `types`, and write CAST({quoted(self.name)} AS {self.declared}) in the query.",
            )

    def decode(self) -> Decode | None:
        """What makes the arrived column exact; None where it is as it came."""
        if self.declared == "VARCHAR":
            return None
        if self.declared == "BIGINT":
            return Decode("int64", Numbers(None))
        if self.declared == "DOUBLE":
            return Decode("float64", rounded)
        if self.declared is not None or self.kind in ("numeric", "money"):
            sized = decimal_of(self.declared) if self.declared else self._digits()
            if sized is None:
                return Decode("float64", surviving)
            whole = self.declared is None and _is_whole(sized)
            return Decode("int64", Numbers(None)) if whole else Decode(sized, Numbers(sized))
        if self.kind == "date":
            return Decode("date32", _dates)
        return Decode("timestamp", _times) if self.kind in _ENDLESS else None

    def _digits(self) -> tuple[int, int] | None:
        """Digits and scale of a numeric that a DECIMAL holds."""
        if self.kind != "numeric" or self.typmod < 4:
            return None
        precision = ((self.typmod - 4) >> 16) & 0xFFFF
        scale = (((self.typmod - 4) & 0x7FF) ^ 1024) - 1024  # eleven bits with a sign
        digits = max(precision - min(scale, 0), scale)
        return (digits, max(scale, 0)) if digits <= 38 else None

    def _becomes_null(self, name: str) -> str | None:
        if self.kind in _ENDLESS:
            return f"NOT isfinite({name})"
        nan = self.kind in ("numeric", "float4", "float8") and self.type is not DataType.FLOAT
        return f"{name} = 'NaN'" if nan else None


def _is_whole(sized: tuple[int, int]) -> bool:
    return sized[1] == 0 and sized[0] <= 18


@dataclass(slots=True)
class Place:
    """Where an array stands: for errors, and to count what became NULL."""

    column: Column
    table: str | None
    first: int
    gone: Counter[str] = field(default_factory=Counter)

    def refused(self, at: int, what: str) -> DataError:
        name, row = self.column.name, self.first + at + 1
        if self.table is None:
            hint = f"Write {quoted(name)}::text in the native query (::float8 rounds, ::bigint keeps whole numbers)."
            return DataError(f"Column `{name}` of the native query holds {what} in row {row:,}.", hint=hint)
        kept, others = (
            option(self.table, "types", name, "VARCHAR"),
            "'DOUBLE' rounds; 'BIGINT' and 'DECIMAL(38,10)' keep digits",
        )
        return DataError(
            f"Column `{name}` of table `{self.table}` holds {what} in row {row:,} of those read.",
            hint=f"Write in the source: WITH (..., {kept})   ({others}).",
        )


@dataclass(frozen=True, slots=True)
class Decode:
    """How one column's arrays become exact, and the type that they have then."""

    kind: str | tuple[int, int]
    convert: Callable[[Any, Place], Any]

    @property
    def arrow(self) -> pa.DataType:
        import pyarrow as pa

        if isinstance(self.kind, tuple):
            return pa.decimal128(*self.kind)
        kinds = {"int64": pa.int64(), "float64": pa.float64(), "date32": pa.date32()}
        return kinds.get(self.kind, pa.timestamp("us"))


# --- times -------------------------------------------------------------------------------------------------


def _dates(days: pa.Array, place: Place) -> pa.Array:
    """Dates; infinite ones become NULL."""
    import pyarrow as pa
    import pyarrow.compute as pc

    numbers = days.cast(pa.int32())
    first = pc.min(numbers).as_py()
    if first is None or first >= _FIRST_DAY:
        return days
    return _without(days, pc.less(numbers, _FIRST_DAY), place)


def _times(times: pa.Array, place: Place) -> pa.Array:
    """Times; infinite ones become NULL, and what 64 bits of microseconds do not hold is refused."""
    import pyarrow as pa
    import pyarrow.compute as pc

    numbers = times.cast(pa.int64())
    first = pc.min(numbers).as_py()
    if first is None or first >= _FIRST_US:
        return times
    endless = pc.is_in(numbers, value_set=pa.array(_ENDS_US, pa.int64()))
    lost = pc.and_(pc.less(numbers, _FIRST_US), pc.invert(endless))
    if pc.any(lost).as_py():
        raise place.refused(pc.index(lost, True).as_py(), "a time after the year 294246")
    return _without(times, endless, place)


def _without(array: pa.Array, endless: pa.Array, place: Place) -> pa.Array:
    import pyarrow.compute as pc

    place.gone["infinity"] += pc.sum(endless).as_py() or 0
    return pc.if_else(endless, None, array)
