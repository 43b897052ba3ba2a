"""A query in which datasets and sources have other names: tables and what qualifies their columns, edited in place.

What a query calls by an alias of its own stays, and so does all that is no table: a column may be called like a dataset.
Neighbour: `rewrite.rename_tables` puts other tables in and keeps the old names as aliases.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tilth.core.names import is_bare, quoted
from tilth.sql.language.tokens import RESERVED
from tilth.sql.language.trees import Named, named_tables, tree
from tilth.sql.queries import asof
from tilth.sql.queries.timetravel import time_travel

if TYPE_CHECKING:
    from sqlglot import exp


def renamed(sql: str, names: Mapping[str, str]) -> str:
    """The same query where resources have other names; keys and values in lower case.

    >>> renamed("SELECT d.a, ops.f.b FROM days d, ops.f", {"days": "dates", "ops": "crm"})
    'SELECT d.a, crm.f.b FROM dates d, crm.f'
    """
    if not names:
        return sql
    root, edits, plain = tree(time_travel(sql)[0]), dict[int, tuple[int, str]](), set[tuple[str, ...]]()
    for table in named_tables(root):
        first = table.identifiers[0]
        if (new := names.get(first.name.lower())) is not None:
            edits[first.meta["start"]] = (first.meta["end"] + 1, _as_written(first, new))
            plain |= _qualifying(table)
    _columns(root, plain, names, edits)
    for at, time in asof.times(sql):
        _columns(time, plain, names, edits, at)
    out = sql
    for start, (end, text) in sorted(edits.items(), reverse=True):
        out = out[:start] + text + out[end:]
    return out


def _qualifying(table: Named) -> set[tuple[str, ...]]:
    """How columns are qualified by its name; not at all where it has an alias."""
    return set() if table.node.alias else {tuple(i.name.lower() for i in table.identifiers)}


def _columns(
    root: exp.Expr, plain: set[tuple[str, ...]], names: Mapping[str, str], edits: dict[int, tuple[int, str]], at: int = 0
) -> None:  # fmt: skip
    """Note the qualifiers that change, of a tree whose text begins at `at`."""
    from sqlglot import exp

    for column in root.find_all(exp.Column):
        parts = [column.args[k] for k in ("catalog", "db", "table") if column.args.get(k) is not None]
        said = tuple(p.name.lower() for p in parts)
        if any(said[: len(known)] == known for known in plain):
            begin, end = parts[0].meta["start"] + at, parts[0].meta["end"] + 1 + at
            edits[begin] = (end, _as_written(parts[0], names[said[0]]))


def _as_written(old: exp.Expr, new: str) -> str:
    """The new name in the letters of the old one, and quoted where that was though it need not be."""
    name = old.name
    if name == name.capitalize():
        new = new.capitalize()
    elif name.isupper():
        new = new.upper()
    return quoted(new) if _is_odd(new) or (old.args.get("quoted") and not _is_odd(name)) else new


def _is_odd(name: str) -> bool:
    """Whether a name has to be quoted."""
    return not is_bare(name) or name.upper() in RESERVED
