"""What a query reads: its tables, and what it needs of each, read off stock sqlglot trees.

`tables` is used to compile projects, `scans` to push work to sources (see `pushdown` for what is safe to push). What a
query returns is in `outputs`, where its columns come from in `origins`. Columns that cannot be resolved here are left
to DuckDB.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from tilth.core.errors import LanguageError, Position, UnknownNameError
from tilth.core.names import did_you_mean
from tilth.core.scan import Predicate, Scan
from tilth.core.schema import Schema
from tilth.sql.language.trees import (
    Named,
    named_tables,
    parts_of,
    position_of,
    relations,
    selects_of,
    shifted,
    tree,
)
from tilth.sql.queries.derived import through
from tilth.sql.queries.outputs import is_plain
from tilth.sql.queries.pushdown import filters

if TYPE_CHECKING:
    from sqlglot import exp

_PSEUDO = frozenset({"rowid"})


@dataclass(frozen=True, slots=True)
class TableUse:
    """A table that a query reads, as written. A name of three parts has the first as schema, the others as name."""

    schema: str | None
    name: str
    alias: str
    position: Position | None = None


@dataclass(frozen=True, slots=True)
class TableScan:
    """What is needed of one table: its columns may be all, or not known, and the rows those that the query looks at."""

    schema: str | None
    scan: Scan


def parsed(sql: str, at: Position | None = None) -> exp.Expr:
    """The query's tree; errors are placed in the file where the query begins at `at`."""
    try:
        return tree(sql)
    except LanguageError as problem:
        problem.where = shifted(problem.where, at)
        raise


def tables(sql: str, at: Position | None = None) -> tuple[TableUse, ...]:
    """The tables of a query in the order written, each time they are used; CTEs and table functions are none.

    `at` is where the query begins in its file: positions are then places in the file.

    >>> [(t.schema, t.name, t.alias) for t in tables("SELECT * FROM ops.flights f JOIN departures")]
    [('ops', 'flights', 'f'), (None, 'departures', 'departures')]
    """
    return tuple(
        TableUse(t.schema, t.name, t.alias, shifted(position_of(sql, *t.identifiers), at))
        for t in named_tables(parsed(sql, at))
    )


# --- scans -------------------------------------------------------------------------------------------------


def scans(sql: str, schemas: Mapping[str, Schema], at: Position | None = None) -> tuple[TableScan, ...]:
    """For each distinct table that has a schema here (key `schema.table` or `table`), what the query needs of it.

    A misspelt column of a qualified name raises UnknownNameError with the nearest. A table of which only the
    rows count (`count(*)`) is read with its first column.
    """
    return _scans(sql, tuple((k.lower(), v) for k, v in schemas.items()), at)


@lru_cache(maxsize=256)  # a dataset's query is asked about at every refresh
def _scans(sql: str, schemas: tuple[tuple[str, Schema], ...], at: Position | None) -> tuple[TableScan, ...]:
    root, known = parsed(sql, at), dict(schemas)
    groups: dict[str, list[Named]] = {}
    for table in named_tables(root):
        if table.key in known:
            groups.setdefault(table.key, []).append(table)
    by_node = {id(t.node): known[key] for key, group in groups.items() for t in group}
    _check_columns(sql, root, groups, known, at)
    out = []
    for key, group in groups.items():
        schema, first = known[key], group[0]
        columns = _columns(root, group, schema)
        pushed: tuple[Predicate, ...] = ()
        if len(group) == 1 and (select := _reader(first.node)) is not None:
            pushed = filters(select, first.node, schema, by_node)
            pushed = tuple(dict.fromkeys((*pushed, *through(select, first.node, schema, by_node))))
        out.append(TableScan(first.schema, Scan(first.name, columns, pushed)))
    return tuple(out)


def _reader(table: exp.Expr) -> exp.Expr | None:
    """The SELECT that has the table directly in its FROM or JOIN."""
    from sqlglot import exp

    at = table.parent
    if isinstance(at, exp.From | exp.Join) and isinstance(at.parent, exp.Select):
        return at.parent
    return None


def _columns(root: exp.Expr, group: list[Named], schema: Schema) -> tuple[str, ...] | None:
    from sqlglot import exp

    if any(root.find_all(exp.Pivot, exp.Columns)) or any(
        str(j.method).upper() == "NATURAL" for j in root.find_all(exp.Join)
    ):
        return None
    aliases = {t.alias.lower() for t in group} | {t.name.lower() for t in group}
    if _starred(root, group, aliases):
        return None
    others = _aliases(root) - aliases
    needed: set[str] = set()
    for parts in _names(root):
        head = parts[0].lower()
        if len(parts) == 1 and head in aliases and head not in schema:
            return None  # a whole row as one value
        if len(parts) > 1 and head in others:
            continue
        needed.update(p.lower() for p in parts)
    found = tuple(n for n in schema.names if n.lower() in needed)
    return found or schema.names[:1]


def _names(root: exp.Expr) -> Iterator[tuple[str, ...]]:
    """Names of columns, by their parts; also those in JOIN ... USING."""
    from sqlglot import exp

    for column in root.find_all(exp.Column):
        yield parts_of(column)
    for join in root.find_all(exp.Join):
        for name in join.args.get("using") or ():
            yield (name.name,)


def _aliases(root: exp.Expr) -> set[str]:
    from sqlglot import exp

    kinds = (exp.Table, exp.Subquery, exp.CTE, exp.Unnest, exp.Lateral, exp.Values)
    return {n.alias_or_name.lower() for n in root.find_all(*kinds)} - {""}


def _starred(root: exp.Expr, group: list[Named], aliases: set[str]) -> bool:
    """Whether a `*` may stand for columns of the table."""
    from sqlglot import exp

    nodes = {id(t.node) for t in group}
    for star in root.find_all(exp.Star):
        parent = star.parent
        if isinstance(parent, exp.Count):
            continue
        if isinstance(parent, exp.Column):
            if parts_of(parent)[-2].lower() in aliases:
                return True
            continue
        select = star.find_ancestor(exp.Select)
        if select is None or any(id(r.node) in nodes for r in relations(select)) or _nested(select, nodes):
            return True
    return False


def _nested(select: exp.Expr, nodes: set[int]) -> bool:
    """Whether a table stands deeper in FROM, say in parentheses with its joins."""
    from sqlglot import exp

    for r in relations(select):
        plain = isinstance(r.node, exp.Table) and not r.node.args.get("joins")
        if plain or (
            isinstance(r.node, exp.Subquery) and isinstance(r.node.this, exp.Select | exp.SetOperation)
        ):
            continue
        if any(id(t) in nodes for t in r.node.find_all(exp.Table)):
            return True
    return False


def _check_columns(
    sql: str,
    root: exp.Expr,
    groups: Mapping[str, list[Named]],
    known: Mapping[str, Schema],
    at: Position | None,
) -> None:
    """Raise for a column that certainly belongs to one table, when the table has no such column."""
    from sqlglot import exp

    plain = _certain_aliases(root, groups, known)
    alone = _only_table(root, groups, known)
    structs = {n.lower() for s in known.values() for n in s.names}
    for column in root.find_all(exp.Column):
        parts = parts_of(column)
        if isinstance(column.this, exp.Star) or parts[-1].lower() in _PSEUDO:
            continue
        if len(parts) == 1 and alone is not None:
            owner, schema = alone
            known_here = parts[0] in schema or parts[0].lower() in _own_names(root)
        elif len(parts) == 2 and (found := plain.get(parts[0].lower())) and parts[0].lower() not in structs:
            owner, schema, known_here = parts[0], found, parts[1] in found
        else:
            continue
        if not known_here:
            raise UnknownNameError(
                f"`{owner}` has no column `{parts[-1]}`.",
                hint=did_you_mean(parts[-1], schema.names, "columns"),
                where=shifted(position_of(sql, column), at),
            )


def _certain_aliases(
    root: exp.Expr, groups: Mapping[str, list[Named]], known: Mapping[str, Schema]
) -> dict[str, Schema]:
    """Schemas by alias, for aliases that stand for one table in the whole query."""
    from sqlglot import exp

    kinds = (exp.Table, exp.Subquery, exp.CTE, exp.Unnest, exp.Lateral, exp.Values)
    seen: dict[str, int] = {}
    for node in root.find_all(*kinds):
        name = node.alias_or_name.lower()
        seen[name] = seen.get(name, 0) + 1
    return {
        t.alias.lower(): known[key]
        for key, group in groups.items()
        for t in group
        if seen.get(t.alias.lower()) == 1 and not t.node.args.get("pivots") and is_plain(t)
    }


def _only_table(
    root: exp.Expr, groups: Mapping[str, list[Named]], known: Mapping[str, Schema]
) -> tuple[str, Schema] | None:
    """The table and its schema, when the whole query is one SELECT over just this table."""
    from sqlglot import exp

    select = selects_of(root)
    if select is None or len(groups) != 1 or any(select.find_all(exp.Lambda, exp.Pivot, exp.CTE)):
        return None
    of, (key, group) = relations(select), next(iter(groups.items()))
    if len(of) != 1 or of[0].node is not group[0].node or len(list(select.find_all(exp.Query))) != 1:
        return None
    return (group[0].alias, known[key]) if is_plain(group[0]) else None


def _own_names(select: exp.Expr) -> set[str]:
    """Names that are no columns: the query's own aliases, and the table itself as a row."""
    from sqlglot import exp

    return {a.alias.lower() for a in select.find_all(exp.Alias)} | _aliases(select)
