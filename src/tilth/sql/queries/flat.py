"""The flat table that the rest of a query over models reads: its columns, and the query written over them.

The rows' columns and the models' outputs stand in it side by side, under names that cannot clash. Which conditions and
inputs concern the rows is decided in `joins`; see `shapes` for how the columns are called.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from tilth.core.errors import UnknownNameError, UnsupportedError
from tilth.core.names import did_you_mean
from tilth.sql.language.trees import parts_of, position_of
from tilth.sql.queries.scope import Data, Model, Ref, Scope
from tilth.sql.queries.shapes import PREDICTED

if TYPE_CHECKING:
    from sqlglot import exp


class Flat:
    """The flat table of one SELECT; lives only while that is being split."""

    def __init__(self, scope: Scope) -> None:
        self.scope, self.text, self.select = scope, scope.text, scope.select
        self.of, self.data, self.models = scope.of, scope.data, scope.models
        self.resolve, self.own_columns = scope.resolve, scope.own_columns
        self.flat: dict[tuple[str, str], str] = {}
        self._taken: set[str] = set()  # its names in lower case
        self.items: list[exp.Expr] = []  # of the inner SELECT

    # --- its columns ---

    def name(self, owner: str, name: str) -> str:
        """The flat name of what is called so at its owner, the same each time."""
        key = (owner.lower(), name.lower())
        if key not in self.flat:
            base = f"{owner}__{name}"
            tries = itertools.chain((base,), (f"{base}_{n}" for n in itertools.count(2)))
            self.flat[key] = next(t for t in tries if t.lower() not in self._taken)
            self._taken.add(self.flat[key].lower())
        return self.flat[key]

    def data_column(self, ref: Ref) -> str:
        """The flat name of a column of the data, which `inner` then selects."""
        from sqlglot import exp

        owner = ref.owner.relation.alias if isinstance(ref.owner, Data) else "using"
        if (owner.lower(), ref.name.lower()) not in self.flat:
            qualifier = exp.to_identifier(owner, quoted=True) if isinstance(ref.owner, Data) else None
            column = exp.Column(this=exp.to_identifier(ref.name, quoted=True), table=qualifier)
            self.items.append(exp.alias_(column, self.name(owner, ref.name), quoted=True))
        return self.name(owner, ref.name)

    def output_column(self, model: Model, output: str) -> str:
        """The flat name of a model's output, which the model then gives."""
        if output not in model.wanted:
            model.wanted[output] = self.name(model.relation.alias, output)
        return model.wanted[output]

    # --- the rest of the query ---

    def rest(self, where: list[exp.Expr]) -> None:
        """Write everything but FROM, JOIN and WHERE over the flat table, with these conditions."""
        from sqlglot import exp

        self._items()
        self.select.set("joins", None)
        self.select.set("from_", None)
        self.select.set("where", None)
        for key, value in self.select.args.items():
            if key in ("expressions", "with_", "order"):
                continue
            for node in value if isinstance(value, list) else [value]:
                if isinstance(node, exp.Expr):
                    self.flatten(node)
        order = self.select.args.get("order")
        for term in order.expressions if order is not None else ():
            if not self._is_alias(term.this):
                self.flatten(term)
        condition = [self.flatten(p) for p in where]
        if condition:
            self.select.set("where", exp.Where(this=exp.and_(*condition, copy=False)))
        self.select.set("from_", exp.From(this=exp.Table(this=exp.to_identifier(PREDICTED))))

    def _is_alias(self, node: exp.Expr) -> bool:
        """Whether ORDER BY means an output of the SELECT by its name."""
        from sqlglot import exp

        names = {e.alias_or_name.lower() for e in self.select.expressions}
        return isinstance(node, exp.Column) and len(parts_of(node)) == 1 and node.name.lower() in names

    def flatten(self, part: exp.Expr) -> exp.Expr:
        """The expression with its columns replaced, in place, by those of the flat table."""
        for column in self.own_columns(part):
            new = self._flat(column)
            column.replace(new)
            if column is part:
                return new
        return part

    def _flat(self, column: exp.Expr) -> exp.Expr:
        from sqlglot import exp

        ref = self.resolve(column)
        if ref.kind == "data":
            found: exp.Expr = _column(self.data_column(ref))
            for name in ref.rest:
                found = exp.Dot(this=found, expression=exp.to_identifier(name, quoted=True))
            return found
        if ref.kind == "output" and isinstance(ref.owner, Model):
            return _column(self.output_column(ref.owner, ref.name))
        if ref.kind == "input" and isinstance(ref.owner, Model):
            bound = ref.owner.bound.get(ref.name)
            if bound is not None and bound.column is not None:
                return _column(bound.column)
            return exp.convert(bound.value) if bound is not None else exp.Null()
        return column

    def _items(self) -> None:
        from sqlglot import exp

        out: list[exp.Expr] = []
        for item in list(self.select.expressions):
            star = item.this if isinstance(item, exp.Column) else item
            if isinstance(star, exp.Star):
                out += self._star(item, star)
            elif isinstance(item, exp.Column):
                name = item.name
                out.append(exp.alias_(self.flatten(item), name, quoted=True))
            else:
                if item.find(exp.Columns):
                    raise UnsupportedError(
                        "COLUMNS(...) over models is not in this version.", hint="List the columns."
                    )
                named = isinstance(item, exp.Alias) or not any(True for _ in self.own_columns(item))
                name = item.sql(dialect="duckdb")
                done = self.flatten(item)
                out.append(done if named else exp.alias_(done, name, quoted=True))
        self.select.set("expressions", out)

    def _star(self, item: exp.Expr, star: exp.Expr) -> list[exp.Expr]:
        from sqlglot import exp

        if any(star.args.get(k) for k in ("replace", "rename", "ilike", "like")):
            raise UnsupportedError(
                "Of what can stand after `*`, this version has only EXCLUDE over models.",
                hint="List the columns.",
            )
        left_out = {e.name.lower() for e in star.args.get("except_") or ()}
        owners: list[Data | Model] = sorted(
            [*self.data, *self.models], key=lambda o: self.of.index(o.relation)
        )
        merged: set[str] | None = set()
        if isinstance(item, exp.Column):
            owner = self.scope.owner(parts_of(item)[:-1])
            if owner is None:
                names = [r.alias for r in self.of]
                said = parts_of(item)[0]
                raise UnknownNameError(
                    f"There is no table `{said}` in this query.",
                    hint=did_you_mean(said, names, "tables"),
                    where=position_of(self.text, item),
                )
            owners, merged = [owner], None
        out: list[exp.Expr] = []
        for o in owners:
            out += self._star_of(o, left_out, merged)
        return out

    def _star_of(self, o: Data | Model, left_out: set[str], merged: set[str] | None) -> list[exp.Expr]:
        """The columns that `*` stands for; `merged` are those of USING that were given already (None: `alias.*`)."""
        from sqlglot import exp

        out: list[exp.Expr] = []
        if isinstance(o, Model):
            names = [n for n in o.shape.outputs if n.lower() not in left_out]
            return [exp.alias_(_column(self.output_column(o, n)), n, quoted=True) for n in names]
        if o.relation.kind in ("SEMI", "ANTI"):
            return []
        if o.columns is None:
            raise UnsupportedError(
                f"The columns of `{o.relation.alias}` cannot be told here, so `*` cannot stand for them.",
                hint="List the columns.",
                where=position_of(self.text, o.relation.node),
            )
        for name in o.columns:
            low = name.lower()
            if low in left_out or (merged is not None and low in merged):
                continue
            ref = Ref("data", o, name)
            if merged is not None and low in self.scope.merged:
                merged.add(low)
                ref = Ref("data", None, name)
            out.append(exp.alias_(_column(self.data_column(ref)), name, quoted=True))
        return out


def _column(name: str) -> exp.Expr:
    from sqlglot import exp

    return exp.Column(this=exp.to_identifier(name, quoted=True))
