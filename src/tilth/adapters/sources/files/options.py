"""What a source says about how its files are to be read: `format = {...}`, and `tables = {name: {...}}` over it.

Everything is checked here, before a file is opened, but for names of tables and columns, which only the files know.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Container, Mapping
from dataclasses import dataclass, fields, replace

from tilth.core.errors import ProjectError, UnknownNameError
from tilth.core.names import did_you_mean, is_bare, literal

_DECIMAL = re.compile(r"DECIMAL\(\s*(\d{1,2})\s*,\s*(\d{1,2})\s*\)\Z")
_TYPES = {
    **dict.fromkeys(("VARCHAR", "TEXT", "STRING"), "VARCHAR"),
    **dict.fromkeys(("BIGINT", "INTEGER", "INT"), "BIGINT"),
    **dict.fromkeys(("DOUBLE", "FLOAT", "REAL"), "DOUBLE"),
    **dict.fromkeys(("BOOLEAN", "BOOL"), "BOOLEAN"),
    **{name: name for name in ("DATE", "TIMESTAMP", "TIME")},
}
_ONE_CHARACTER = ("quote", "escape", "decimal", "thousands", "comment")
COMPRESSIONS = {"gzip": ".gz", "zstd": ".zst", "none": ""}
MISFITS = ("quarantine", "null")
JSON_KEYS = frozenset({"types", "dateformat", "timestampformat", "compression", "misfits", "nulls"})


class _Any:
    """Holds whatever is said: it does not matter to what is written."""

    def __contains__(self, said: object) -> bool:
        return True


WRITTEN: dict[str, dict[str, Container[object]]] = {  # what may be said of the files that tilth writes
    "csv": {
        "delimiter": (",",), "quote": ('"',), "escape": ('"',), "decimal": (".",), "thousands": (",",),
        "dateformat": ("%Y-%m-%d",), "encoding": ("utf-8",), "compression": ("none",), "skip": (0,),
        "header": (True,), "types": _Any(), "misfits": _Any(),
    },
    "jsonl": {"dateformat": ("%Y-%m-%d",), "compression": ("none",), "types": _Any(), "misfits": _Any()},
    "parquet": {},
    "xlsx": {},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Format:
    """How one table's files are read; None: as they look. The names of the fields are the keys of `format`."""

    delimiter: str | None = None
    quote: str | None = None
    escape: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    dateformat: str | None = None
    timestampformat: str | None = None
    nulls: tuple[str, ...] | None = None
    encoding: str | None = None
    compression: str | None = None
    skip: int | None = None
    header: bool | None = None
    comment: str | None = None
    types: tuple[tuple[str, str], ...] = ()
    misfits: str | None = None
    sheet: str | None = None

    @property
    def given(self) -> tuple[str, ...]:
        """The keys that were written."""
        return tuple(f.name for f in fields(self) if getattr(self, f.name) not in (None, ()))

    def unlike_written(self, kind: str) -> tuple[str, ...]:
        """The keys that do not say of a file of this kind what tilth writes. Of Parquet none says anything."""
        return tuple(k for k in self.given if getattr(self, k) not in WRITTEN[kind].get(k, ()))


KEYS = tuple(f.name for f in fields(Format))


@dataclass(frozen=True, slots=True)
class Formats:
    """The format of all tables, and what single tables say over it."""

    common: Format = Format()
    tables: tuple[tuple[str, Format], ...] = ()

    def of(self, table: str) -> Format:
        """How this table is read; `book#sheet` as `book`, where nothing else is said of it."""
        base, _, sheet = table.partition("#")
        common = replace(self.of(base), sheet=sheet) if sheet else self.common
        own = next((f for name, f in self.tables if name.lower() == table.lower()), None)
        if own is None:
            return common
        types = {name.lower(): (name, kind) for name, kind in (*common.types, *own.types)}
        said = {key: getattr(own, key) for key in own.given if key != "types"}
        if "thousands" not in said and said.get("decimal") == common.thousands:
            said["thousands"] = None  # it is the decimal sign of this table
        return replace(common, **said, types=tuple(types.values()))

    def check_tables(self, known: tuple[str, ...]) -> None:
        """UnknownNameError when `tables` names one that is not there."""
        low = {k.lower() for k in known}
        for name, _ in self.tables:
            if name.partition("#")[0].lower() not in low:
                raise UnknownNameError(
                    f"The option `tables` names `{name}`, and there is no such table.",
                    hint=did_you_mean(name, known, "tables"),
                )


def parse(options: Mapping[str, object]) -> Formats:
    """`format` and `tables` of a source's options; ProjectError or UnknownNameError says what is wrong with them."""
    common = _format(options.get("format", {}), "format")
    tables = _mapping(options.get("tables", {}), "tables", "{prices: {decimal: ','}}")
    return Formats(common, tuple((str(n), _format(f, f"tables.{n}")) for n, f in tables.items()))


def paste(table: str, key: str, value: str) -> str:
    """An option for one table, as it is to be written."""
    return f"tables = {{{key_of(table)}: {{{key}: {value}}}}}"


def paste_type(table: str, column: str, kind: str) -> str:
    """The type of one column, as it is to be written."""
    return paste(table, "types", f"{{{key_of(column)}: '{kind}'}}")


def key_of(name: str) -> str:
    """A name as a key of {...}."""
    return name if is_bare(name) else literal(name)


def _format(given: object, where: str) -> Format:
    said: dict[str, object] = {}
    for key, value in _mapping(given, where, "{decimal: ','}").items():
        name = str(key).lower()
        if name not in KEYS:
            raise UnknownNameError(f"`{where}` has no key `{key}`.", hint=did_you_mean(name, KEYS, "keys"))
        said[name] = _checked(name, value, where)
    made = Format(**said)  # type: ignore[arg-type]
    if made.decimal is not None and made.decimal == made.thousands:
        raise ProjectError(
            f"`{where}` has the same character for decimal and thousands.", hint="Correct one of them."
        )
    return made


def _mapping(given: object, where: str, example: str) -> Mapping[object, object]:
    if not isinstance(given, Mapping):
        raise ProjectError(f"`{where}` is written in braces.", hint=f"Write for example {where} = {example}.")
    return given


def _checked(key: str, value: object, where: str) -> object:
    if key == "header":
        return _expect(isinstance(value, bool), key, value, where, "header: false")
    if key == "skip":
        fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 1_000_000
        return _expect(fits, key, value, where, "skip: 1")
    if key == "nulls":
        fits = isinstance(value, tuple | list) and all(isinstance(v, str) for v in value)
        _expect(fits, key, value, where, "nulls: ['NA', '-']")
        return tuple(value)  # type: ignore[arg-type]
    if key == "types":
        return tuple((str(n), _type(v, str(n), where)) for n, v in _mapping(value, f"{where}.types", "{zip: 'VARCHAR'}").items())  # fmt: skip
    _expect(isinstance(value, str) and value != "", key, value, where, f"{key}: '...'")
    return _text(key, str(value), where)


def _text(key: str, value: str, where: str) -> str:
    if "\0" in value:
        raise ProjectError(f"`{where}.{key}` has a NUL character in it.", hint="Correct it.")
    if key in _ONE_CHARACTER:
        _expect(len(value) == 1 and value not in "\r\n", key, value, where, f"{key}: one character")
    if key == "delimiter":
        value = {"\\t": "\t", "tab": "\t"}.get(value, value)
        _expect(len(value) == 1 and value not in "\r\n", key, value, where, "delimiter: ';'")
    if key == "encoding":
        return _encoding(value, where)
    if key in ("dateformat", "timestampformat"):
        _expect("%" in value, key, value, where, f"{key}: '%d/%m/%Y'")
    choices = {"compression": tuple(COMPRESSIONS), "misfits": MISFITS}.get(key)
    if choices and value.lower() not in choices:
        raise UnknownNameError(
            f"`{where}.{key}` cannot be {value!r}.", hint=did_you_mean(value, choices, "values")
        )
    return value.lower() if choices else value


def _encoding(value: str, where: str) -> str:
    try:
        known = codecs.lookup(value)
    except LookupError:
        known = None
    if known is None or not getattr(known, "_is_text_encoding", True):
        common = ("utf-8", "utf-16", "latin-1", "cp1252", "shift_jis", "gb18030")
        raise UnknownNameError(
            f"`{where}.encoding`: there is no encoding {value!r}.",
            hint=did_you_mean(value, common, "the common ones"),
        )
    return known.name


def _type(value: object, column: str, where: str) -> str:
    written = str(value).strip().upper()
    if found := _TYPES.get(written):
        return found
    if (match := _DECIMAL.match(written)) and 1 <= int(match[1]) <= 38 and int(match[2]) <= int(match[1]):
        return f"DECIMAL({int(match[1])},{int(match[2])})"
    known = (*dict.fromkeys(_TYPES.values()), "DECIMAL(18,3)")
    raise UnknownNameError(
        f"`{where}.types`: `{column}` cannot be of the type {value!r}.",
        hint=did_you_mean(written, known, "types"),
    )


def _expect(fits: bool, key: str, value: object, where: str, example: str) -> object:
    if not fits:
        raise ProjectError(f"`{where}.{key}` cannot be {value!r}.", hint=f"Write for example {example}.")
    return value
