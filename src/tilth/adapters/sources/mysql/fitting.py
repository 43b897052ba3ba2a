"""What columns of a table that is there would change without a word, found before rows are sent to it.

In strict mode MySQL refuses what is too long or too large. It still rounds fractions and parts of a second, drops blanks at the ends of
texts, reads 24 as the year 2024, and puts the time of day where a TIMESTAMP may not be NULL: all that is refused here, by the
column's name. Digits that a FLOAT does not keep are counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tilth.adapters.sources import writing
from tilth.adapters.sources.mysql.connecting import refused
from tilth.adapters.sources.mysql.types import Column
from tilth.adapters.sources.mysql.wire import Prepared
from tilth.core.errors import DataError, SourceError, UnknownNameError, UnsupportedError
from tilth.core.names import did_you_mean, literal, quoted
from tilth.core.schema import DataType
from tilth.ports.arrow import data_type

if TYPE_CHECKING:
    import pyarrow as pa

_DETAILS = (
    "SELECT column_name, data_type, column_type, character_set_name, collation_name, is_nullable, numeric_precision,"
    " numeric_scale, datetime_precision, character_maximum_length, extra FROM information_schema.columns"
    " WHERE table_schema = DATABASE() AND table_name = {} ORDER BY ordinal_position"
)
_PREFIX = 191  # characters of a long text that an index keeps everywhere


@dataclass(frozen=True, slots=True)
class Kept:
    """A column of a table, with what it does to values."""

    column: Column
    kind: str  # MySQL's name of its type
    full: str  # with its size
    charset: str | None
    collation: str | None
    required: bool
    precision: int
    scale: int
    fraction: int
    length: int
    numbered: bool  # AUTO_INCREMENT

    @property
    def name(self) -> str:
        return self.column.name

    @property
    def declaration(self) -> str:
        """The same type, for a table of ours."""
        texts = f" CHARACTER SET {self.charset} COLLATE {self.collation}" if self.charset else ""
        return f"{self.full}{texts} NULL"

    @property
    def indexed(self) -> str:
        """The column as part of an index."""
        long = self.kind.endswith(("text", "blob")) or self.length > _PREFIX
        return (
            f"{quoted(self.name)}({_PREFIX})"
            if long and self.kind not in {"enum", "set"}
            else quoted(self.name)
        )


def described(connection: Any, table: str) -> list[Kept]:
    """The table's columns; UnsupportedError where rows could not be taken back."""
    _transactional(connection, table)
    sent = {c.name: Column(c) for c in Prepared(connection, f"SELECT * FROM {quoted(table)} LIMIT 0").columns}
    out = []
    with connection.cursor() as cursor:
        cursor.execute(_DETAILS.format(literal(table)))
        for (
            name,
            kind,
            full,
            charset,
            collation,
            null,
            precision,
            scale,
            fraction,
            length,
            extra,
        ) in cursor.fetchall():
            if name in sent:
                digits, places, fine, long = (int(n or 0) for n in (precision, scale, fraction, length))
                numbered = "auto_increment" in str(extra).lower()
                out.append(
                    Kept(sent[name], str(kind).lower(), str(full), charset, collation, null == "NO", digits, places, fine, long, numbered)
                )  # fmt: skip
    return out


def _transactional(connection: Any, table: str) -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT t.table_type, t.engine, e.transactions FROM information_schema.tables t"
                " LEFT JOIN information_schema.engines e ON e.engine = t.engine"
                f" WHERE t.table_schema = DATABASE() AND t.table_name = {literal(table)}"
            )
            found = cursor.fetchone()
            cursor.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()")
            names = [str(n) for (n,) in cursor.fetchall()]
    except Exception as error:
        raise refused(error) from None
    if found is None:
        raise UnknownNameError(f"There is no table `{table}`.", hint=did_you_mean(table, names, "tables"))
    kind, engine, transactions = found
    if kind == "VIEW":
        raise UnsupportedError(f"`{table}` is a view, which is not written to.", hint="Name its table.")
    if engine is None:
        raise SourceError(f"Table `{table}` is damaged, the server says.", hint="Repair it first.")
    if transactions != "YES":
        raise UnsupportedError(
            f"`{table}` is of the engine {engine}, which has no transactions: rows could be written in part.",
            hint=f"ALTER TABLE {table} ENGINE = InnoDB, or write into another table.",
        )


Test = Callable[[Any, int], None]


def fitting(
    rows: pa.RecordBatchReader, into: Mapping[str, Kept], table: str, lost: Counter[str]
) -> pa.RecordBatchReader:
    """The same rows, looked at as they come; DataError for a column that does not hold what is given."""
    import pyarrow as pa

    looks = []
    for i, (name, kept) in enumerate(into.items()):
        given = data_type(rows.schema.field(name).type)
        writing.fit(name, given, kept.column.type, table)
        looks.append((i, _Look(name, kept, table, lost)))

    def batches() -> Iterator[pa.RecordBatch]:
        count = 0
        for batch in rows:
            for i, look in looks:
                look(batch.column(i), count)
            count += batch.num_rows
            yield batch

    return pa.RecordBatchReader.from_batches(rows.schema, batches())


@dataclass(frozen=True, slots=True)
class _Look:
    """Looks at the values of one column."""

    name: str
    kept: Kept
    table: str
    lost: Counter[str]

    def __call__(self, array: Any, before: int) -> None:
        kept = self.kept
        if kept.required and not kept.numbered and array.null_count:
            raise DataError(
                f"The server would not take the rows (a column may not be NULL: `{kept.name}`). Nothing was written.",
                hint="Have the query give a value: coalesce(...).",
            )
        if kept.kind == "float":
            self._digits_of_float(array)
        elif kept.kind == "decimal":
            self._each(array, before, self._decimal, f"DECIMAL({kept.precision},{kept.scale})")
        elif kept.kind in {"datetime", "timestamp", "time"} and kept.fraction < 6:
            self._each(array, before, self._fraction, kept.full.upper())
        elif kept.kind in {"char", "varchar"}:
            self._each(array, before, self._text, kept.full.upper())
        elif kept.kind == "year":
            self._each(array, before, lambda v: v == 0 or 1901 <= v <= 2155, "YEAR")

    def _each(self, array: Any, before: int, keeps: Callable[[Any], bool], kind: str) -> None:
        for at, value in enumerate(array.to_pylist()):
            if value is not None and not keeps(value):
                raise DataError(
                    f"`{self.name}` holds a value in row {before + at + 1:,} that the column of `{self.table}`, {kind}, would change."
                    " Nothing was written.",
                    hint=self._instead(),
                )

    def _instead(self) -> str:
        if self.kept.column.type is DataType.STRING:
            return f"Write left(rtrim({self.name}), {self.kept.length}) AS {self.name} in the query, if that is meant."
        if self.kept.kind == "year":
            return "A year is 0, or from 1901 to 2155."
        if self.kept.kind == "decimal":
            return (
                f"Write round({self.name}, {self.kept.scale}) AS {self.name} in the query, if that is meant."
            )
        return f"Write date_trunc('second', {self.name}) AS {self.name} in the query, if that is meant."

    def _decimal(self, value: Any) -> bool:
        number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
        if not number.is_finite():
            return True  # told where it is written
        exponent = number.normalize().as_tuple().exponent
        return not isinstance(exponent, int) or -exponent <= self.kept.scale

    def _fraction(self, value: Any) -> bool:
        micros = getattr(value, "microsecond", 0)
        return bool(micros % 10 ** (6 - self.kept.fraction) == 0)

    def _text(self, value: str) -> bool:
        return len(value) <= self.kept.length and not (self.kept.kind == "char" and value.endswith(" "))

    def _digits_of_float(self, array: Any) -> None:
        import numpy as np

        values = np.array([v for v in array.to_pylist() if v is not None], "f8")
        with np.errstate(over="ignore"):
            changed = int((values.astype("f4").astype("f8") != values)[np.isfinite(values)].sum())
        if changed:
            self.lost[f"a number of `{self.name}`, kept as FLOAT, lost digits"] += changed
