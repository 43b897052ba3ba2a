"""What a source of a database may be told of its tables: `tables = {t: {types: {id: 'VARCHAR'}, times: {..}, misfits: ..}}`.

Only reads the option; what a type or a unit does to a column is the source's own business.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from tilth.core.errors import ProjectError, UnknownNameError
from tilth.core.names import did_you_mean, is_bare, literal, quoted

T = TypeVar("T")
UNITS = ("seconds", "milliseconds", "microseconds", "nanoseconds", "days", "julian")
MISFITS = ("quarantine", "null")
_DECIMAL = re.compile(r"(?:DECIMAL|NUMERIC)\s*\(\s*(\d{1,2})\s*(?:,\s*(\d{1,2})\s*)?\)\Z")
_SAME = {"TEXT": "VARCHAR", "STRING": "VARCHAR", "INTEGER": "BIGINT", "INT": "BIGINT", "INT8": "BIGINT",
         "FLOAT8": "DOUBLE", "FLOAT": "DOUBLE", "REAL": "DOUBLE", "BOOL": "BOOLEAN", "DATETIME": "TIMESTAMP"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TableOptions:
    """What is declared of one table. Columns are found without regard to case, exactly written ones first."""

    types: Mapping[str, str] = field(default_factory=dict)
    times: Mapping[str, str] = field(default_factory=dict)
    misfits: str = "quarantine"

    def type_of(self, column: str) -> str | None:
        return _find(self.types, column)

    def unit_of(self, column: str) -> str | None:
        return _find(self.times, column)

    def check(self, columns: Iterable[str]) -> None:
        """UnknownNameError for a column that the table does not have."""
        names = tuple(columns)
        low = {n.lower() for n in names}
        for name in (*self.types, *self.times):
            if name.lower() not in low:
                raise UnknownNameError(
                    f"The source's option `tables` names a column `{name}` that the table does not have.",
                    hint=did_you_mean(name, names, "columns"),
                )


def read(options: Mapping[str, object], known: Sequence[str], types: Sequence[str]) -> Tables:
    """The options `tables` and `misfits`; `known` are what a table may be told, `types` the names of types."""
    misfits = _misfits(options["misfits"]) if "misfits" in options else "quarantine"
    given = _mapping(options.get("tables", {}), "tables", "{t: {types: {id: 'VARCHAR'}}}")
    tables = {
        t: _table(_mapping(o, t, "{types: {id: 'VARCHAR'}}"), known, types, misfits) for t, o in given.items()
    }
    return Tables(tables, TableOptions(misfits=misfits))


@dataclass(frozen=True, slots=True)
class Tables:
    """The options by table."""

    named: Mapping[str, TableOptions] = field(default_factory=dict)
    others: TableOptions = field(default_factory=TableOptions)

    def of(self, table: str) -> TableOptions:
        return _find(self.named, table) or self.others

    def check(self, tables: Iterable[str]) -> None:
        """UnknownNameError for a table that the source does not have."""
        names = tuple(tables)
        low = {n.lower() for n in names}
        for name in self.named:
            if name.lower() not in low:
                raise UnknownNameError(
                    f"The source's option `tables` names a table `{name}` that the source does not have.",
                    hint=did_you_mean(name, names, "tables"),
                )


def option(table: str, what: str, column: str, value: str) -> str:
    """What to write for a column, ready to paste."""
    return f"tables = {{{_key(table)}: {{{what}: {{{_key(column)}: {literal(value)}}}}}}}"


def decimal_of(kind: str) -> tuple[int, int] | None:
    """Digits and scale of `DECIMAL(p, s)`."""
    found = _DECIMAL.match(kind)
    return (int(found[1]), int(found[2] or 0)) if found else None


def _find(named: Mapping[str, T], name: str) -> T | None:
    if name in named:
        return named[name]
    return next((v for n, v in named.items() if n.lower() == name.lower()), None)


def _key(name: str) -> str:
    return name if is_bare(name) and name == name.lower() else quoted(name)


def _table(
    given: Mapping[str, object], known: Sequence[str], types: Sequence[str], misfits: str
) -> TableOptions:
    for name in given:
        if name not in known:
            raise UnknownNameError(
                f"The option `tables` has no `{name}`.", hint=did_you_mean(name, known, "options of a table")
            )
    kinds = _mapping(given.get("types", {}), "types", "{id: 'VARCHAR'}")
    units = _mapping(given.get("times", {}), "times", "{at: 'milliseconds'}")
    return TableOptions(
        {c: _type(c, k, types) for c, k in kinds.items()},
        {c: _one_of(u, UNITS, f"The unit of `{c}`", "units") for c, u in units.items()},
        _misfits(given["misfits"]) if "misfits" in given else misfits,
    )


def _type(column: str, given: object, types: Sequence[str]) -> str:
    name = " ".join(str(given).upper().split())
    name = _SAME.get(name, name)
    sized = decimal_of(name)
    if sized and "DECIMAL(p, s)" in types and 1 <= sized[0] <= 38 and sized[1] <= sized[0]:
        return f"DECIMAL({sized[0]},{sized[1]})"
    if name not in types:
        raise UnknownNameError(
            f"The type `{given}` of column `{column}` is none that this source reads a column as.",
            hint=did_you_mean(name, types, "types"),
        )
    return name


def _one_of(given: object, known: Sequence[str], what: str, kinds: str) -> str:
    if str(given).lower() not in known:
        raise UnknownNameError(f"{what} is not `{given}`.", hint=did_you_mean(str(given), known, kinds))
    return str(given).lower()


def _misfits(given: object) -> str:
    return _one_of(given, MISFITS, "The option `misfits`", "values")


def _mapping(given: object, name: str, like: str) -> Mapping[str, object]:
    if not isinstance(given, Mapping):
        raise ProjectError(f"The option `{name}` is not a list of names.", hint=f"Write {name} = {like}.")
    return given
