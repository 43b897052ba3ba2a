"""Which columns of which tables each output column of a query is computed from, through subqueries, WITH and unions.

An output whose origin cannot be told from the text (a pivot, a function of the whole row, a table whose columns are not
known) is not guessed: it comes from nothing here, and who shows it says so. Conditions, groups and joins of its own level make no column;
which rows there are depends on them all the same. What may be filtered in place of an output is in `origins`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from tilth.core.schema import Schema
from tilth.sql.language.trees import Named, Relation, named_tables, parts_of, relations, selects_of, tree
from tilth.sql.queries.outputs import inner_query, relation_names

if TYPE_CHECKING:
    from sqlglot import exp

Column: TypeAlias = "tuple[str | None, str, str]"
DEEP = 40  # queries inside queries that are looked into


def lineage(
    sql: str, outputs: tuple[str, ...], schemas: Mapping[str, Schema]
) -> dict[str, frozenset[Column]]:
    """For each output `(schema, table, column)` of all that it is computed from; empty where that cannot be told.

    `schemas` are those of tables by `schema.table`.
    """
    root = tree(sql)
    known = {k.lower(): v for k, v in schemas.items()}
    within = _Within(root, {id(t.node): t for t in named_tables(root)}, known)
    return {name: within.of(root, name, DEEP) or frozenset() for name in outputs}


@dataclass(frozen=True, slots=True)
class _Within:
    root: exp.Expr
    named: Mapping[int, Named]
    known: Mapping[str, Schema]

    def of(self, query: exp.Expr, output: str, deep: int) -> frozenset[Column] | None:
        """What an output of the query comes from; None when it has none such, or that cannot be told."""
        from sqlglot import exp

        if deep <= 0:
            return None
        if isinstance(query, exp.Subquery):
            return self.of(query.this, output, deep - 1)
        if isinstance(query, exp.SetOperation):
            return self._union(query, output, deep)
        select = selects_of(query)
        if select is None:
            return None
        around = relations(select)
        for p in select.expressions:
            if isinstance(p, exp.Star) or (isinstance(p, exp.Column) and isinstance(p.this, exp.Star)):
                found = self._star(p, output, around, deep)
                if found is not None:
                    return found
            elif p.alias_or_name.lower() == output.lower():
                return self._expression(p, around, deep)
        return None

    def _union(self, query: exp.Expr, output: str, deep: int) -> frozenset[Column] | None:
        """Outputs of the parts at the same place, or of the same name."""
        from tilth.sql.queries.outputs import output_names

        sides = [query.args["this"], query.args["expression"]]
        named = [output_names(s.sql(dialect="duckdb"), self.known) for s in sides]
        first = named[0]
        if first is None or output.lower() not in [n.lower() for n in first]:
            return None
        place = [n.lower() for n in first].index(output.lower())
        out: frozenset[Column] = frozenset()
        for side, names in zip(sides, named, strict=True):
            own = (
                output if names is None or query.args.get("by_name") or place >= len(names) else names[place]
            )
            out |= self.of(side, own, deep - 1) or frozenset()
        return out

    def _star(
        self, star: exp.Expr, output: str, around: list[Relation], deep: int
    ) -> frozenset[Column] | None:
        from sqlglot import exp

        inner = star.this if isinstance(star, exp.Column) else star
        if any(e.name.lower() == output.lower() for e in inner.args.get("except_") or ()):
            return None
        for p in inner.args.get("replace") or ():
            if p.alias_or_name.lower() == output.lower():
                return self._expression(p, around, deep)
        some = around
        if isinstance(star, exp.Column):
            some = [r for r in around if r.alias.lower() == parts_of(star)[-2].lower()]
        for one in some:
            names = relation_names(one, self.named, self.known, self.root)
            if names is not None and output.lower() in [n.lower() for n in names]:
                return self._relation(one, output, deep)
        return None

    def _expression(self, p: exp.Expr, around: list[Relation], deep: int) -> frozenset[Column]:
        from sqlglot import exp

        out: frozenset[Column] = frozenset()
        for column in p.find_all(exp.Column):
            inside = column.find_ancestor(exp.Select)
            near = around if inside is None or inside is p.find_ancestor(exp.Select) else relations(inside)
            out |= self._column(column, [*near, *(r for r in around if r not in near)], deep)
        return out

    def _column(self, column: exp.Expr, around: list[Relation], deep: int) -> frozenset[Column]:
        parts = parts_of(column)
        if len(parts) > 1:
            near = [r for r in around if r.alias.lower() == parts[-2].lower()]
            return self._relation(near[0], parts[-1], deep) if near else frozenset()
        if len(around) == 1:
            return self._relation(around[0], parts[0], deep)
        for one in around:
            names = relation_names(one, self.named, self.known, self.root)
            if names is not None and parts[0].lower() in [n.lower() for n in names]:
                return self._relation(one, parts[0], deep)
        return frozenset()

    def _relation(self, one: Relation, name: str, deep: int) -> frozenset[Column]:
        table = self.named.get(id(one.node))
        if table is not None:
            field = self.known[table.key].find(name) if table.key in self.known else None
            return frozenset({(table.schema, table.name, field.name if field else name)})
        inner = inner_query(one.node, self.root, once=False)
        return (self.of(inner, name, deep - 1) or frozenset()) if inner is not None else frozenset()
