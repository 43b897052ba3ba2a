"""How the parts of statements are written: names, values, options, durations, and the head of a CREATE.

Used by `printer` and by the modules of `tilth.kinds`; how they are read is in `values`, `clauses` and `tokens`.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from tilth.core.errors import LanguageError
from tilth.core.names import is_bare, literal, quoted
from tilth.core.time import parse_duration, show_duration
from tilth.sql.language.statements import Declaration, NativeQuery, Options, Query, Secret, Value
from tilth.sql.language.tokens import RESERVED

_AFTER_WORDS = RESERVED | {
    "MODEL",
    "DATASET",
    "SOURCE",
    "ENDPOINT",
    "ENVIRONMENT",
}  # fixed: deployed texts are compared


def span(duration: timedelta) -> str:
    """A duration as a quoted text that reads back as exactly the same."""
    text = show_duration(duration)
    try:
        exact = parse_duration(text) == duration
    except LanguageError:
        exact = False
    return literal(text if exact else f"{round(duration / timedelta(microseconds=1))} microseconds")


def percent(share: float) -> str:
    """A share as '20%', exactly."""
    text = format(Decimal(repr(share)).scaleb(2), "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text) + "%"


def show_value(value: Value) -> str:
    """A value as it is written in options; secrets stay references."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, str):
        return literal(value)
    if isinstance(value, Secret):
        return f"SECRET {literal(value.reference)}"
    if isinstance(value, Options):
        return "{" + ", ".join(f"{literal(k)}: {show_value(v)}" for k, v in value.items) + "}"
    if isinstance(value, tuple):
        return "[" + ", ".join(show_value(v) for v in value) + "]"
    return repr(value)


def name(said: str) -> str:
    """A resource's name: bare when it would be read back as it is."""
    plain = is_bare(said) and "$" not in said and said == said.lower() and said.upper() not in _AFTER_WORDS
    return said if plain else quoted(said)


def column(said: str) -> str:
    """A column's name: quoted where it would not be read back."""
    plain = is_bare(said) and "$" not in said and said.upper() not in RESERVED
    return said if plain else quoted(said)


def rows_from(source: Query | NativeQuery) -> str:
    """`FROM (query)`, or with the source whose language it is in."""
    return (
        f"FROM {name(source.source)} ({source.sql})"
        if isinstance(source, NativeQuery)
        else f"FROM ({source.sql})"
    )


def columns(names: tuple[str, ...]) -> str:
    """Names of columns with commas between."""
    return ", ".join(column(n) for n in names)


def _key(key: str) -> str:
    return ".".join(part if is_bare(part) and "$" not in part else quoted(part) for part in key.split("."))


def options(said: Options) -> str:
    """`k = v` pairs with commas between."""
    return ", ".join(f"{_key(k)} = {show_value(v)}" for k, v in said.items)


def create(s: Declaration) -> str:
    """The head of a CREATE, to its name."""
    replace = "OR REPLACE " if s.or_replace else ""
    exists = "IF NOT EXISTS " if s.if_not_exists else ""
    return f"CREATE {replace}{s.kind.keyword} {exists}{name(s.name)}"


def renamed(s: Declaration) -> str | None:
    """The clause that says what it was called before."""
    return f"RENAMED FROM {name(s.renamed_from.name)}" if s.renamed_from is not None else None


def rows(head: str, *clauses: str | None) -> str:
    """A statement: its head, and below it each clause that says something."""
    return "\n  ".join([head, *(c for c in clauses if c)])
