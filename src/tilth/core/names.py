"""Identifiers: how they are written, quoted and, when misspelt, guessed. Values of columns are in `schema`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*\Z")
_RESOURCE = re.compile(r"[a-z_][a-z0-9_]{0,62}\Z")
_ENVIRONMENT = re.compile(r"[a-z0-9_][a-z0-9_-]{0,62}\Z")

WORDS_OF_SQL = frozenset(
    """
    all alter analyse analyze and anti any array as asc asof asymmetric at authorization between binary
    both by case cast check collate collation column concurrently constraint create cross
    current_catalog current_date current_schema current_time current_timestamp current_user default
    deferrable desc describe distinct do drop else end except false fetch for force foreign freeze from
    full glob grant group having if ilike in initially inner insert install intersect into is isnull
    join lambda lateral leading left like limit localtime localtimestamp map natural not notnull null
    offset on only or order outer overlaps pivot pivot_longer pivot_wider placing positional primary
    qualify references returning revoke right rollback select semi session_user show similar some
    summarize symmetric table tablesample then to trailing true union unique unpack unpivot using values
    variadic verbose when where window with
    """.split()  # noqa: SIM905 - a list of quoted words reads worse
)
"""What DuckDB or our reader of queries takes for something else than a column unless it is quoted."""


def quoted(name: str) -> str:
    """The name as a double-quoted SQL identifier, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """The text as a single-quoted SQL string."""
    return "'" + text.replace("'", "''") + "'"


def is_bare(name: str) -> bool:
    """Whether the name can stand in a statement without quotes (keywords apart)."""
    return _BARE.match(name) is not None


def in_query(name: str) -> str:
    """The name of a column as a query or a check has it: quoted where it would be read as something else.

    >>> in_query("age"), in_query("default"), in_query("customer id")
    ('age', '"default"', '"customer id"')
    """
    plain = is_bare(name) and "$" not in name and name.lower() not in WORDS_OF_SQL
    return name if plain else quoted(name)


def is_resource_name(name: str) -> bool:
    """Whether a resource may be called so: lower case, digits and underscores, at most 63 of them."""
    return _RESOURCE.match(name) is not None


def is_environment_name(name: str) -> bool:
    """Whether an environment may be called so: lower case, digits, underscores and hyphens, at most 63 of them."""
    return _ENVIRONMENT.match(name) is not None


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was most likely meant, or None when none is near.

    >>> nearest("carier", ["carrier", "origin"])
    'carrier'
    """
    by_lower = {k.lower(): k for k in known}
    hit = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[hit[0]] if hit else None


def did_you_mean(word: str, known: Iterable[str], what: str = "known") -> str:
    """The next step after an unknown word: the nearest one, and the list when it is short enough to read."""
    names = sorted(set(known))
    near = nearest(word, names)
    listed = ", ".join(names[:30]) + (f" and {len(names) - 30} more" if len(names) > 30 else "")
    guess = f"Did you mean `{near}`? " if near else ""
    return f"{guess}{what.capitalize()}: {listed or 'none'}."
