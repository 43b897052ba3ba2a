"""What a query reads and what its columns come from, read off stock sqlglot trees.

`tables` is used to compile projects, `scans` and `origin` to push work to sources (see `pushdown` for what is safe to
push), `output_names` to name what a query returns. Columns that cannot be resolved here are left to DuckDB.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilth.core.errors import LanguageError, Position, UnknownNameError
from tilth.core.names import did_you_mean
from tilth.core.schema import Schema
from tilth.sql.language.trees import (
    Named,
    Relation,
    holds_aggregate,
    named_tables,
    parts_of,
    position_of,
    relations,
    selects_of,
    shifted,
    tree,
)
from tilth.sql.queries.pushdown import Filter, filters, is_preserved

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
    """What is needed of one table: these columns (None: all, or not known), of rows for which all filters hold."""

    schema: str | None
    table: str
    columns: tuple[str, ...] | None = None
    filters: tuple[Filter, ...] = ()


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
    root = parsed(sql, at)
    known = {k.lower(): v for k, v in schemas.items()}
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
        pushed: tuple[Filter, ...] = ()
        if len(group) == 1 and (select := _reader(first.node)) is not None:
            pushed = filters(select, first.node, schema, by_node)
        out.append(TableScan(first.schema, first.name, columns, pushed))
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
        if seen.get(t.alias.lower()) == 1 and not t.node.args.get("pivots") and _simple(t)
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
    return (group[0].alias, known[key]) if _simple(group[0]) else None


def _own_names(select: exp.Expr) -> set[str]:
    """Names that are no columns: the query's own aliases, and the table itself as a row."""
    from sqlglot import exp

    return {a.alias.lower() for a in select.find_all(exp.Alias)} | _aliases(select)


def _simple(table: Named) -> bool:
    alias = table.node.args.get("alias")
    return not (alias is not None and alias.args.get("columns"))


# --- where an output column comes from ---------------------------------------------------------------------


def origin(sql: str, output: str, schemas: Mapping[str, Schema]) -> tuple[str | None, str, str] | None:
    """`(schema, table, column)` when filtering the output column is filtering that column of that table.

    So it is when the output is the plain column, the table is read once, on a preserved side of its joins, and no
    aggregate, window, LIMIT or sample stands between. None when not, or when it is not certain.
    """
    root = tree(sql)
    known = {k.lower(): v for k, v in schemas.items()}
    named = list(named_tables(root))
    found = _origin(root, output, {id(t.node): t for t in named}, known, root)
    if found is None:
        return None
    table, column = found
    if sum(t.key == table.key for t in named) != 1:
        return None
    return table.schema, table.name, column


def _origin(
    query: exp.Expr, output: str, named: Mapping[int, Named], known: Mapping[str, Schema], root: exp.Expr
) -> tuple[Named, str] | None:
    select = selects_of(query)
    if select is None or not _filterable(select):
        return None
    of = relations(select)
    hit = _projected(select, output, of, named, known, root)
    if hit is None:
        return None
    relation, column = hit
    if not is_preserved(relation, of):
        return None
    table = named.get(id(relation.node))
    if table is not None:
        field = known[table.key].find(column) if table.key in known else None
        return (table, field.name) if field else None
    inner = _inner(relation.node, root)
    return _origin(inner, column, named, known, root) if inner is not None else None


def _filterable(select: exp.Expr) -> bool:
    """Whether a filter on a plain output column may as well be applied before this SELECT."""
    from sqlglot import exp

    blocks = (
        "group",
        "having",
        "qualify",
        "limit",
        "offset",
        "sample",
        "connect",
        "laterals",
        "match",
        "pivots",
    )
    if any(select.args.get(k) for k in blocks):
        return False
    distinct = select.args.get("distinct")
    if distinct is not None and distinct.args.get("on") is not None:
        return False
    rows = (exp.Window, exp.Unnest, exp.Explode)
    return not any(p.find(*rows) or holds_aggregate(p) for p in select.expressions)


def _projected(
    select: exp.Expr,
    output: str,
    of: list[Relation],
    named: Mapping[int, Named],
    known: Mapping[str, Schema],
    root: exp.Expr,
) -> tuple[Relation, str] | None:
    """The relation and its column that the output is, if it is just that."""
    from sqlglot import exp

    low, hits = output.lower(), list[tuple[Relation, str] | None]()
    for p in select.expressions:
        if isinstance(p, exp.Star) or (isinstance(p, exp.Column) and isinstance(p.this, exp.Star)):
            hits += _in_star(p, low, of, named, known, root)
        elif p.alias_or_name.lower() == low:
            bare = p.unalias()
            hits.append(_of_column(bare, of, named, known, root) if isinstance(bare, exp.Column) else None)
    return hits[0] if len(hits) == 1 else None


def _in_star(
    star: exp.Expr,
    low: str,
    of: list[Relation],
    named: Mapping[int, Named],
    known: Mapping[str, Schema],
    root: exp.Expr,
) -> list[tuple[Relation, str] | None]:
    from sqlglot import exp

    inner = star.this if isinstance(star, exp.Column) else star
    if any(inner.args.get(k) for k in ("replace", "rename", "ilike", "like")):
        return [None]
    if any(e.name.lower() == low for e in inner.args.get("except_") or ()):
        return []
    of_star = of
    if isinstance(star, exp.Column):
        of_star = [r for r in of if r.alias.lower() == parts_of(star)[-2].lower()]
    hits: list[tuple[Relation, str] | None] = []
    for r in of_star:
        names = _relation_names(r, named, known, root)
        if names is None:
            return [None, None]
        hits += [(r, n) for n in names if n.lower() == low]
    return hits


def _of_column(
    column: exp.Expr,
    of: list[Relation],
    named: Mapping[int, Named],
    known: Mapping[str, Schema],
    root: exp.Expr,
) -> tuple[Relation, str] | None:
    parts = parts_of(column)
    if len(parts) == 2:
        same = [r for r in of if r.alias.lower() == parts[0].lower()]
        return (same[0], parts[1]) if len(same) == 1 else None
    if len(parts) != 1:
        return None
    hits = []
    for r in of:
        names = _relation_names(r, named, known, root)
        if names is None:
            return (r, parts[0]) if len(of) == 1 else None
        hits += [r for n in names if n.lower() == parts[0].lower()]
    return (hits[0], parts[0]) if len(hits) == 1 else None


def relation_columns(r: Relation, root: exp.Expr, schemas: Mapping[str, Schema]) -> tuple[str, ...] | None:
    """The columns of something in FROM, in order; None when they cannot be known without the engine."""
    known = {k.lower(): v for k, v in schemas.items()}
    return _relation_names(r, {id(t.node): t for t in named_tables(root)}, known, root)


def _inner(node: exp.Expr, root: exp.Expr, *, once: bool = True) -> exp.Expr | None:
    """The query behind a subquery, or behind a CTE (that is used only `once`)."""
    from sqlglot import exp

    columns = node.args["alias"].args.get("columns") if node.args.get("alias") else None
    if columns:
        return None
    if isinstance(node, exp.Subquery):
        found: exp.Expr = node.this
        return found
    if not isinstance(node, exp.Table) or node.db or not isinstance(node.this, exp.Identifier):
        return None
    name = node.name.lower()
    ctes = [c for c in root.find_all(exp.CTE) if c.alias.lower() == name]
    uses = [t for t in root.find_all(exp.Table) if not t.db and t.name.lower() == name]
    if len(ctes) != 1 or (once and len(uses) != 1) or ctes[0].args["alias"].args.get("columns"):
        return None
    recursive = ctes[0].parent is not None and ctes[0].parent.args.get("recursive")
    return None if recursive else ctes[0].this


def _relation_names(
    r: Relation, named: Mapping[int, Named], known: Mapping[str, Schema], root: exp.Expr
) -> tuple[str, ...] | None:
    from sqlglot import exp

    table = named.get(id(r.node))
    if table is not None:
        return known[table.key].names if table.key in known and _simple(table) else None
    if isinstance(r.node, exp.Values):
        return _value_names(r.node)
    inner = _inner(r.node, root, once=False)
    return _names_of(inner, named, known, root) if inner is not None else None


def _value_names(values: exp.Expr) -> tuple[str, ...]:
    """The columns of `(VALUES ...) v(a, b)`; those without a name of their own are DuckDB's col0, col1, ..."""
    alias = values.args.get("alias")
    said = tuple(c.name for c in alias.args.get("columns") or ()) if alias is not None else ()
    width = len(values.expressions[0].expressions)
    return said + tuple(f"col{n}" for n in range(len(said), width))


# --- what a query returns ----------------------------------------------------------------------------------


def output_names(sql: str, schemas: Mapping[str, Schema] | None = None) -> tuple[str, ...] | None:
    """The names of the columns that a query returns, in order; None when they cannot be known without the engine.

    >>> output_names("SELECT a, b + 1 AS c FROM t")
    ('a', 'c')
    """
    root = tree(sql)
    known = {k.lower(): v for k, v in (schemas or {}).items()}
    return _names_of(root, {id(t.node): t for t in named_tables(root)}, known, root)


def _names_of(
    query: exp.Expr, named: Mapping[int, Named], known: Mapping[str, Schema], root: exp.Expr
) -> tuple[str, ...] | None:
    from sqlglot import exp

    while isinstance(query, exp.SetOperation) and not query.args.get("by_name"):
        query = query.this
    select = selects_of(query)
    if select is None:
        return None
    of, out = relations(select), list[str]()
    for p in select.expressions:
        if isinstance(p, exp.Star) or (isinstance(p, exp.Column) and isinstance(p.this, exp.Star)):
            names = _star_names(p, of, named, known, root)
            if names is None:
                return None
            out += names
        elif isinstance(p, exp.Alias | exp.Column):
            out.append(p.alias_or_name)
        else:
            return None
    return tuple(out)


def _star_names(
    star: exp.Expr,
    of: list[Relation],
    named: Mapping[int, Named],
    known: Mapping[str, Schema],
    root: exp.Expr,
) -> list[str] | None:
    from sqlglot import exp

    inner = star.this if isinstance(star, exp.Column) else star
    if any(inner.args.get(k) for k in ("rename", "ilike", "like")) or any(
        r.join is not None and (r.join.args.get("using") or r.method == "NATURAL") for r in of
    ):
        return None
    if isinstance(star, exp.Column):
        of = [r for r in of if r.alias.lower() == parts_of(star)[-2].lower()]
    of = [r for r in of if r.kind not in ("SEMI", "ANTI")]
    left_out = {e.name.lower() for e in inner.args.get("except_") or ()}
    out: list[str] = []
    for r in of:
        names = _relation_names(r, named, known, root)
        if names is None:
            return None
        out += [n for n in names if n.lower() not in left_out]
    return out
