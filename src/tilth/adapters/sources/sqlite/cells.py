"""How one column of a loosely typed table is read: what SQLite sends for each cell, and which cells do not fit.

SQLite types values and not columns. A cell that is not of its column's type is a misfit: its row is left out and
told (`broken`), or it becomes NULL where that is declared. Types of values are looked at in SQLite; texts that stand
for times travel as they are and are looked at by DuckDB, numbers that stand for times as '#' and their microseconds.
What a number of a time counts is decided in `sqlite_times`.
"""

from __future__ import annotations

from dataclasses import dataclass

from tilth.adapters.sources.table_options import option
from tilth.core.names import literal, quoted
from tilth.core.schema import DataType

TYPES = ("VARCHAR", "BIGINT", "DOUBLE", "BOOLEAN", "DATE", "TIMESTAMP", "BLOB")
DECLARED = {
    "VARCHAR": DataType.STRING,
    "BIGINT": DataType.INTEGER,
    "DOUBLE": DataType.FLOAT,
    "BOOLEAN": DataType.BOOLEAN,
    "DATE": DataType.DATE,
    "TIMESTAMP": DataType.TIMESTAMP,
    "BLOB": DataType.BINARY,
}
TIMES = frozenset({DataType.DATE, DataType.TIMESTAMP})
_TRUE = "('t', 'true', 'y', 'yes', 'on', '1')"
_FALSE = "('f', 'false', 'n', 'no', 'off', '0')"
_LEADING = {DataType.INTEGER: "0", DataType.FLOAT: "0.5", DataType.BINARY: "x'00'", DataType.BOOLEAN: "0"}
_WORDS = {
    DataType.INTEGER: "a whole number",
    DataType.FLOAT: "a number",
    DataType.BOOLEAN: "true or false",
    DataType.STRING: "a text",
    DataType.BINARY: "a blob",
    DataType.DATE: "a date",
    DataType.TIMESTAMP: "a time",
}
_FIRST_US, _END_US = -62_135_596_800_000_000, 253_402_300_800_000_000  # the years 1 to 9999
_DAY_US = 86_400_000_000
_JULIAN_US = 210_866_760_000_000_000  # from noon of 24 November 4714 BC to 1970
_SCALES = {"seconds": 1_000_000, "milliseconds": 1_000, "microseconds": 1, "days": _DAY_US, "julian": _DAY_US}
_DAY = r"\s*\d{4}[-/]\d{1,2}[-/]\d{1,2}"
_CLOCK = r"[ T]\d{1,2}:\d{1,2}(:\d{1,2}(\.\d{1,6}0*)?)?"
_ZONE = r"([zZ]|[+-]\d\d(:?\d\d)?)"
_SHAPE = rf"{_DAY}({_CLOCK}\s*({_ZONE}|UTC)?)?\s*"
_ZONED = rf"{_DAY}{_CLOCK}\s*{_ZONE}\s*"


@dataclass(frozen=True, slots=True)
class Cell:
    """A column with the type it is read as. `unit`: what its numbers count, for times; `plain`: SQLite itself compares it so."""

    table: str
    name: str
    type: DataType
    unit: str | None = None
    null: bool = False  # a misfit becomes NULL
    plain: bool = True
    dated: bool = False  # all there are are texts that begin with a four-digit year

    # --- in SQLite -----------------------------------------------------------------------------------------

    @property
    def leading(self) -> str:
        """A value of the type that is sent, for the first row, which settles it."""
        return _LEADING.get(self.type, "''")

    @property
    def misfit(self) -> str:
        """Whether a cell does not fit, as far as SQLite can tell: 0 or 1."""
        x = quoted(self.name)
        kind = f"typeof({x})"
        if self.type is DataType.INTEGER:
            real = f"({kind} = 'real' AND {x} BETWEEN -9.2e18 AND 9.2e18 AND {x} = CAST({x} AS INTEGER))"
            text = f"({_number(x)} = 'integer' AND CAST(CAST({x} AS INTEGER) AS TEXT) = {x})"
            return f"({kind} NOT IN ('integer', 'null') AND NOT {real} AND NOT ({text} IS TRUE))"
        if self.type is DataType.FLOAT:
            whole = f"({kind} = 'integer' AND CAST(CAST({x} AS REAL) AS INTEGER) = {x})"
            text = f"({_number(x)} IN ('integer', 'real') AND CAST({x} AS REAL) BETWEEN -1.7e308 AND 1.7e308)"
            return f"({kind} NOT IN ('real', 'null') AND NOT {whole} AND NOT ({text} IS TRUE))"
        if self.type is DataType.BOOLEAN:
            word = f"{kind} = 'text' AND lower(trim({x})) IN ({_TRUE[1:-1]}, {_FALSE[1:-1]})"
            return f"({kind} <> 'null' AND NOT ({kind} IN ('integer', 'real') AND {x} IN (0, 1)) AND NOT ({word}))"
        if self.type in TIMES:
            return f"({kind} = 'blob' OR ({kind} IN ('integer', 'real') AND {self._micros()} IS NULL))"
        if self.type is DataType.STRING:
            return f"({kind} = 'blob')"
        kinds = "('blob', 'null')" if self.plain else "('blob', 'text', 'null')"
        return f"({kind} NOT IN {kinds})"

    @property
    def sent(self) -> str:
        """What SQLite sends for the cell; NULL for a misfit."""
        return f"CASE WHEN NOT {self.misfit} THEN {self.fitting} END"

    @property
    def compared(self) -> str:
        """What SQLite compares for the cell."""
        if self.null or not self.plain:
            return self.sent
        return f"{quoted(self.name)} COLLATE BINARY" if self.type is DataType.STRING else quoted(self.name)

    @property
    def words(self) -> str:
        """What a misfit is, as a text that SQLite makes without showing the value."""
        x = quoted(self.name)
        number = (
            f"CASE WHEN {x} BETWEEN -9.2e18 AND 9.2e18 THEN 'a fraction' ELSE 'a number beyond 64 bits' END"
        )
        if self.type is DataType.TIMESTAMP:
            number = f"'a number that is no time of the years 1 to 9999 as {self.unit}'"
        elif self.type is DataType.DATE:
            number = literal(f"a number that is no whole day as {self.unit} (to read it: {self._as_time()})")
        elif self.type is DataType.BOOLEAN:
            number = "'another number than 0 and 1'"
        elif self.type is DataType.FLOAT:
            number = "'a whole number of more digits than a DOUBLE keeps'"
        what = (
            f"CASE typeof({x}) WHEN 'blob' THEN 'a blob' WHEN 'text' THEN"
            f" CASE WHEN trim({x}) = '' THEN 'an empty text' ELSE 'another text' END ELSE {number} END"
        )
        return f"{literal(self._expected())} || {what}"

    @property
    def fitting(self) -> str:
        """What SQLite sends for a cell that fits."""
        x = quoted(self.name)
        if self.type is DataType.BOOLEAN:
            return f"CASE typeof({x}) WHEN 'text' THEN lower(trim({x})) IN {_TRUE} ELSE {x} <> 0 END"
        if self.type in TIMES:
            text = f"CASE WHEN substr({x}, 1, 1) = '#' THEN '?' ELSE {x} END"
            return f"CASE typeof({x}) WHEN 'text' THEN {text} ELSE '#' || {self._micros()} END"
        if self.type is DataType.STRING:
            short = f"CAST({x} AS TEXT)"
            long = f"CASE WHEN CAST({short} AS REAL) = {x} THEN {short} ELSE printf('%!.17g', {x}) END"
            return f"CASE typeof({x}) WHEN 'real' THEN {long} ELSE {short} END"
        kinds = {DataType.INTEGER: "INTEGER", DataType.FLOAT: "REAL"}
        return f"CAST({x} AS {kinds.get(self.type, 'BLOB')})"

    def _micros(self) -> str:
        """Microseconds since 1970 of a number, NULL when no year from 1 to 9999 has it."""
        x, unit = quoted(self.name), self.unit
        if unit is None:  # there were no numbers when they were looked at
            return "NULL"
        if unit == "nanoseconds":
            made = f"CASE WHEN {x} % 1000 = 0 THEN CAST({x} / 1000 AS INTEGER) END"
            return self._whole_day(made)
        scale, less = _SCALES[unit], _JULIAN_US if unit == "julian" else 0
        low, end = (_FIRST_US + less) / scale, (_END_US + less) / scale
        step = (
            1_000 if unit == "julian" else 1
        )  # of SQLite's own Julian days, which are kept to the millisecond
        real = f"CAST(round(({x} - {less / scale!r}) * {scale / step!r}) AS INTEGER) * {step}"
        whole = f"CASE typeof({x}) WHEN 'integer' THEN {x} * {scale} - {less} ELSE {real} END"
        return self._whole_day(f"CASE WHEN {x} >= {low!r} AND {x} < {end!r} THEN {whole} END")

    def _whole_day(self, micros: str) -> str:
        if self.type is not DataType.DATE:
            return micros
        return f"CASE WHEN ({micros}) % {_DAY_US} = 0 THEN {micros} END"

    def _as_time(self) -> str:
        return option(self.table, "types", self.name, "TIMESTAMP")

    def _expected(self) -> str:
        return f"column `{self.name}` is read as {_WORDS[self.type]} and holds "

    # --- in DuckDB -----------------------------------------------------------------------------------------

    @property
    def later(self) -> bool:
        """Whether DuckDB looks at the cells, too."""
        return self.type in TIMES

    @property
    def surely(self) -> str:
        """Whether a text is a time for sure, as SQLite can tell fast: written in full, and of a day that there is."""
        x = quoted(self.name)
        day = f"{x} IS date({x})"
        forms = [day] if self.type is DataType.DATE else [f"{x} IS strftime('%Y-%m-%d %H:%M:%S', {x})", day]
        return f"(substr({x}, 1, 4) >= '0001' AND ({' OR '.join(forms)}))"

    def moment(self, x: str) -> str:
        """What DuckDB makes of `x`, the cell as it was sent; a moment with a zone becomes naive UTC."""
        if self.type not in TIMES:
            return f"CAST({x} AS BOOLEAN)" if self.type is DataType.BOOLEAN else x
        close = rf"regexp_replace({x}, '\s+({_ZONE})\s*$', '\1')"  # DuckDB reads no blank before a zone
        return (
            f"CASE WHEN {x} LIKE '____-__-__ __:__:__' THEN TRY_CAST({x} AS TIMESTAMP)"  # by far the most, without a pattern
            f" WHEN {x}[1] = '#' THEN make_timestamp(TRY_CAST({x}[2:] AS BIGINT))"
            f" WHEN regexp_full_match({x}, {literal(_ZONED)}) THEN TRY_CAST({close} AS TIMESTAMPTZ) AT TIME ZONE 'UTC'"
            f" WHEN regexp_full_match({x}, {literal(_SHAPE)}) THEN TRY_CAST({x} AS TIMESTAMP) END"
        )

    def real(self, m: str) -> str:
        """The value, of `m`, its moment; NULL for one that does not fit."""
        if self.type not in TIMES:
            return m
        fits = f"{m} BETWEEN TIMESTAMP '0001-01-01' AND TIMESTAMP '9999-12-31 23:59:59.999999'"
        if self.type is DataType.DATE:
            return f"CASE WHEN {fits} AND {m} = date_trunc('day', {m}) THEN CAST({m} AS DATE) END"
        return f"CASE WHEN {fits} THEN {m} END"

    def why(self, x: str) -> str:
        """What a text that DuckDB found not to fit is; SQL."""
        day = ""
        if self.type is DataType.DATE:
            hint = literal(f"a time of day (to read it: {self._as_time()})")
            day = f" WHEN TRY_CAST({x} AS TIMESTAMP) IS NOT NULL THEN {hint}"
        return (
            f"{literal(self._expected())} || CASE WHEN trim({x}) = '' THEN 'an empty text'"
            rf" WHEN regexp_matches({x}, ':\d\d\.\d{{6}}\d*[1-9]') THEN 'a time with digits beyond microseconds'{day}"
            " ELSE 'a text that is none' END"
        )


def _number(x: str) -> str:
    """The kind of number that a text is, in the grammar of JSON; NULL when it is none."""
    return f"CASE WHEN typeof({x}) = 'text' AND json_valid({x}) THEN json_type({x}) END"
