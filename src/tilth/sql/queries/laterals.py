"""A relation that is gone from a SELECT, and the expressions that stand where its columns were named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilth.core.errors import UnsupportedError
from tilth.sql.language.trees import parts_of, relations

if TYPE_CHECKING:
    from sqlglot import exp

_LATE = ("order", "group", "having", "qualify")


@dataclass(frozen=True, slots=True)
class Lateral:
    """What it was called, and what each of its columns is."""

    alias: str
    items: tuple[tuple[str, exp.Expr], ...]

    def find(self, name: str) -> exp.Expr | None:
        return next((e for n, e in self.items if n.lower() == name.lower()), None)

    def named(self) -> list[exp.Expr]:
        """Its columns as items of a SELECT."""
        from sqlglot import exp

        return [exp.alias_(e.copy(), n, quoted=True) for n, e in self.items]

    def within(self, node: exp.Expr) -> exp.Expr:
        """An expression in which its columns are what they stand for."""
        from sqlglot import exp

        made = exp.Paren(this=node.copy())
        for column in list(made.find_all(exp.Column)):
            parts = parts_of(column)
            if len(parts) == 1 or parts[-2].lower() == self.alias.lower():
                found = self.find(parts[-1])
                if found is not None:
                    column.replace(exp.Paren(this=found.copy()))
        return made


def starred(select: exp.Select, gone: Mapping[str, Lateral]) -> None:
    """Write `*` out relation by relation, so that one more joined adds nothing to it; of those that are gone their columns.

    `gone` is by what they are called now.
    """
    from sqlglot import exp

    if any(select.find_all(exp.Columns)):
        raise UnsupportedError(
            "COLUMNS(...) does not stand beside a SELECT that is made a join.", hint="List the columns."
        )
    items: list[exp.Expr] = []
    for item in select.expressions:
        if not isinstance(item, exp.Star):
            items.append(item)
            continue
        of = relations(select)
        merged = any(r.join is not None and (r.join.args.get("using") or r.method == "NATURAL") for r in of)
        if merged or (len(of) > 1 and any(item.args.values())):
            raise UnsupportedError(
                "`*` over tables that USING merges, or with something behind it, does not stand beside a SELECT that is made a join.",
                hint="List the columns.",
            )
        for r in of:
            if r.alias in gone:
                items += gone[r.alias].named()
            elif not r.alias.startswith("tilth_asked_"):
                star = exp.Star(**{k: v for k, v in item.args.items() if v})
                items.append(exp.Column(this=star, table=exp.to_identifier(r.alias, quoted=True)))
    select.set("expressions", items)


def put_in_place(select: exp.Select, made: Lateral) -> None:
    """Put expressions where the SELECT names columns of the relation that is gone."""
    from sqlglot import exp

    aliases = {e.alias.lower() for e in select.expressions if e.alias}
    items: list[exp.Expr] = []
    for item in select.expressions:
        if (
            isinstance(item, exp.Column)
            and isinstance(item.this, exp.Star)
            and item.table.lower() == made.alias.lower()
        ):
            items += made.named()
        elif isinstance(item, exp.Column) and (found := _meant(item, made, select, set())) is not None:
            items.append(exp.alias_(found.copy(), item.name, quoted=True))
        else:
            items.append(item)
    select.set("expressions", items)
    for column in list(select.find_all(exp.Column)):
        found = _meant(column, made, select, aliases)
        if found is not None:
            column.replace(exp.Paren(this=found.copy()))


def _meant(column: exp.Expr, made: Lateral, select: exp.Select, aliases: set[str]) -> exp.Expr | None:
    """What the column stands for; None where it is another's."""
    from sqlglot import exp

    parts = parts_of(column)
    if isinstance(column.this, exp.Star):
        return None
    if len(parts) > 1:
        return made.find(parts[-1]) if parts[-2].lower() == made.alias.lower() else None
    if column.find_ancestor(exp.Query) is not select:
        return None
    at: exp.Expr = column
    while at.parent is not None and at.parent is not select:
        at = at.parent
    if at.arg_key in _LATE and parts[0].lower() in aliases:
        return None
    return made.find(parts[0])
