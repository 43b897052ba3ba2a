"""What the SELECTs around a subquery say of a table in it, where the subquery hands the table's columns on as they are.

So a filter on a view reaches the source as if the view's query were written out. A subquery that counts, numbers, cuts or merges rows hands
nothing on: leaving out rows below it would change what it gives. As everywhere in `pushdown`, what is not certain is not pushed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tilth.core.scan import Predicate
from tilth.core.schema import Field, Schema
from tilth.sql.language.trees import Relation, conjuncts, holds_aggregate, parts_of, relations
from tilth.sql.queries.pushdown import comparisons, converted, is_preserved

if TYPE_CHECKING:
    from sqlglot import exp

Fields = Mapping[str, Field]
_CUTS = (
    "group",
    "having",
    "qualify",
    "distinct",
    "limit",
    "offset",
    "sample",
    "with_",
    "laterals",
    "pivots",
    "windows",
)


def through(
    select: exp.Expr, table: exp.Expr, schema: Schema, known: Mapping[int, Schema]
) -> tuple[Predicate, ...]:
    """The predicates on the table that the SELECTs around `select`, which has the table in its FROM, amount to."""
    from sqlglot import exp

    out: list[Predicate] = []
    fields: Fields = {f.name.lower(): f for f in schema}
    node = table
    while True:
        of = relations(select)
        found = next((r for r in of if r.node is node), None)
        if found is None or not is_preserved(found, of) or not _hands_on(select):
            return tuple(dict.fromkeys(out))
        fields = _outputs(select, found, of, fields, known)
        around = select.parent
        if not fields or not isinstance(around, exp.Subquery) or not _plain(around):
            return tuple(dict.fromkeys(out))
        outer = around.find_ancestor(exp.Select)
        if outer is None:
            return tuple(dict.fromkeys(out))
        select, node = outer, around
        out += _filters(select, node, fields, known)


def _plain(around: exp.Expr) -> bool:
    """Whether a subquery is in FROM under at most another name."""
    alias = around.args.get("alias")
    renamed = alias is not None and alias.args.get("columns")
    return not renamed and not any(v for k, v in around.args.items() if k not in ("this", "alias"))


def _hands_on(select: exp.Expr) -> bool:
    """Whether each row of its FROM that its WHERE takes is a row of it, whatever rows are beside it."""
    from sqlglot import exp

    if not isinstance(select, exp.Select) or any(select.args.get(k) for k in _CUTS):
        return False
    return not any(holds_aggregate(e) or e.find(exp.Window, exp.Columns) for e in select.expressions)


def _outputs(
    select: exp.Expr, found: Relation, of: list[Relation], fields: Fields, known: Mapping[int, Schema]
) -> Fields:
    """The columns of its result that are certainly those of the relation, by name."""
    from sqlglot import exp

    out: dict[str, Field] = {}
    names: Counter[str] = Counter()
    for e in select.expressions:
        star = e.this if isinstance(e, exp.Column) else e
        if isinstance(star, exp.Star):
            own = len(of) == 1 or (
                isinstance(e, exp.Column) and parts_of(e)[-2].lower() == found.alias.lower()
            )
            if not own or any(v for k, v in star.args.items() if k != "except_"):
                return {}
            left_out = {x.name.lower() for x in star.args.get("except_") or ()}
            kept = {n: f for n, f in fields.items() if n not in left_out}
            out |= kept
            names.update(list(kept))
            continue
        name = e.alias_or_name.lower()
        names[name] += 1
        column = e.this if isinstance(e, exp.Alias) else e
        if isinstance(column, exp.Column) and (field := _field(column, found, of, fields, known)) is not None:
            out[name] = field
    return {n: f for n, f in out.items() if names[n] == 1}


def _field(
    column: exp.Expr, found: Relation, of: list[Relation], fields: Fields, known: Mapping[int, Schema]
) -> Field | None:
    """The field that a column of the SELECT certainly is."""
    parts = [p.lower() for p in parts_of(column)]
    if len(parts) > 2 or parts[-1] not in fields:
        return None
    if len(parts) == 2:
        same = [r for r in of if r.alias.lower() == parts[0]]
        return fields[parts[-1]] if len(same) == 1 and same[0] is found else None
    others = [r for r in of if r is not found]
    if any(id(r.node) not in known or parts[0] in known[id(r.node)] for r in others):
        return None
    return fields[parts[0]]


def _filters(
    select: exp.Expr, node: exp.Expr, fields: Fields, known: Mapping[int, Schema]
) -> list[Predicate]:
    """What the WHERE of the SELECT says of the subquery's columns."""
    of = relations(select)
    found = next((r for r in of if r.node is node), None)
    where = select.args.get("where")
    if found is None or where is None or select.args.get("sample") or not is_preserved(found, of):
        return []
    own = {e.alias.lower() for e in select.expressions if e.alias}
    out: list[Predicate] = []
    for part in conjuncts(where.this):
        for column, op, value in comparisons(part):
            if len(parts_of(column)) == 1 and column.name.lower() in own:
                continue
            field = _field(column, found, of, fields, known)
            if field is not None and (made := converted(field, op, value)) is not None:
                out.append(made)
    return out
