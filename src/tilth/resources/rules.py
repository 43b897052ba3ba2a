"""The rules that declarations of every kind keep: how a resource may be called, and what an option may be.

What one kind asks of its declarations alone is in its module of `tilth.kinds`. What depends on data (a target that the
query does not return) or on other declarations is not checked here: the first is the runtime's, the second `compiler`'s.
"""

from __future__ import annotations

import re
from datetime import timedelta

from tilth.core.errors import LanguageError, ProjectError
from tilth.core.names import is_resource_name
from tilth.core.time import parse_duration
from tilth.sql.language.statements import Declaration, Value

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt])i?b")
_SIZES = {"k": 10, "m": 20, "g": 30, "t": 40}
RESERVED = frozenset({"tilth", "main", "temp", "system", "information_schema", "pg_catalog"})


def check_name(d: Declaration) -> None:
    """ProjectError unless a resource may be called so."""
    if d.name in RESERVED:
        raise ProjectError(
            f"`{d.name}` is a name of the system.",
            hint=f"Call it, for example, my_{d.name}.",
            where=d.position,
        )
    if is_resource_name(d.name):
        return
    plain = re.sub(r"\W", "_", d.name, flags=re.ASCII).lower()[:60] or "name"
    raise ProjectError(
        f"`{d.name}` cannot be the name of a resource.",
        hint=f"Names are lower-case letters, digits and underscores, at most 63: for example "
        f"{plain if is_resource_name(plain) else 'x_' + plain}.",
        where=d.position,
    )


def size_of(value: Value) -> int | None:
    """An option's size in bytes, whose units count in steps of 1,024; None when it is none.

    >>> size_of("1.5 KB"), size_of("much")
    (1536, None)
    """
    found = _SIZE.fullmatch(value.strip().lower()) if isinstance(value, str) else None
    return int(float(found[1]) * (1 << _SIZES[found[2]])) if found else None


def duration_of(value: Value) -> timedelta | None:
    """An option's duration; None when it is none."""
    if not isinstance(value, str):
        return None
    try:
        return parse_duration(value)
    except (LanguageError, OverflowError):
        return None
