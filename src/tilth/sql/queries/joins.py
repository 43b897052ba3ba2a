"""`FROM departures d JOIN late m ...`: the rows, the models applied to them in turn, and the rest of the query.

The rows come from `inner`: the data's relations and the conditions that touch no model, with only the columns that are
needed. The rest reads one flat table, see `flat`; what LIMIT may cut inside is in `limits`. Inputs bind by name to the data's
columns, unless `ON d.x = m.input`, `m.input = value` says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from tilth.core.errors import InputError, TilthError, UnsupportedError
from tilth.core.schema import Schema
from tilth.sql.language.trees import Relation, conjuncts, position_of
from tilth.sql.queries.flat import Flat
from tilth.sql.queries.limits import Cut, limit_inside
from tilth.sql.queries.pushdown import literal
from tilth.sql.queries.scope import Model, Ref, Scope
from tilth.sql.queries.shapes import Binding, JoinPrediction, ModelShape, ModelUse
from tilth.sql.queries.timetravel import Pin
from tilth.sql.queries.withs import drop_unread, seen_by

if TYPE_CHECKING:
    from sqlglot import exp


def split_join(
    text: str,
    root: exp.Expr,
    select: exp.Select,
    of_model: Mapping[int, tuple[tuple[str, ModelShape], int | None]],
    schemas: Mapping[str, Schema],
    pins: tuple[Pin, ...],
) -> JoinPrediction:
    """Split the SELECT, a part of `root`, which is a copy of its own and is used up."""
    split = _Split(text, root, select, of_model, schemas)
    split.bind()
    split.limit = limit_inside(split.scope, split.outer_where)
    split.flat.rest(split.outer_where)
    return split.result(tuple(p for p in pins if p.snapshot is not None))


class _Split:
    """A SELECT being split; lives only for one call."""

    def __init__(
        self,
        text: str,
        root: exp.Expr,
        select: exp.Select,
        of_model: Mapping[int, tuple[tuple[str, ModelShape], int | None]],
        schemas: Mapping[str, Schema],
    ) -> None:
        self.text, self.root, self.select = text, root, select
        self.scope = Scope(text, root, select, of_model, schemas)
        self.of, self.data, self.models = self.scope.of, self.scope.data, self.scope.models
        self.resolve, self.own_columns = self.scope.resolve, self.scope.own_columns
        self.flat = Flat(self.scope)
        self.inner_where: list[exp.Expr] = []
        self.outer_where: list[exp.Expr] = []
        self.limit: Cut | None = None

    # --- inputs ---

    def bind(self) -> None:
        """Sort the conditions, then bind what is left of each model's inputs by name."""
        for m in self.models:
            self._join_conditions(m)
        for d in self.data:
            self._data_join(d.relation)
        where = self.select.args.get("where")
        for part in conjuncts(where.this if where is not None else None):
            self._condition(part, "WHERE")
        for m in self.models:
            self._bind_by_name(m)

    def _join_conditions(self, m: Model) -> None:
        from sqlglot import exp

        join = m.relation.join
        if join is None:
            return
        if m.relation.method in ("ASOF", "POSITIONAL") or m.relation.kind in ("SEMI", "ANTI"):
            raise UnsupportedError(
                f"Model `{m.name}` cannot be joined {m.relation.method or m.relation.kind}.",
                hint=f"Write JOIN {m.name}: each row gets its prediction.",
                where=position_of(self.text, m.relation.node),
            )
        for i in join.args.get("using") or ():
            if m.input(i.name) is None:
                raise self._no_input(m, i, i.name)
        for part in conjuncts(join.args.get("on")):
            if isinstance(part, exp.Boolean) and part.this:
                continue
            self._condition(part, "ON", outer=m.relation.side != "")

    def _data_join(self, r: Relation) -> None:
        """Take from the ON of the data's relation what binds inputs; the first relation's ON becomes a condition."""
        from sqlglot import exp

        after = any(self.of.index(m.relation) < self.of.index(r) for m in self.models)
        if r.join is None or not after:
            return
        first = r is self.data[0].relation
        if r.side in ("RIGHT", "FULL") or (first and (r.side or r.method or r.join.args.get("using"))):
            raise UnsupportedError(
                f"`{r.alias}` cannot be joined to a model like this.",
                hint=f"Write the rows first: FROM {r.alias} ... JOIN {self.models[0].name}.",
                where=position_of(self.text, r.node),
            )
        kept: list[exp.Expr] = []
        for part in conjuncts(r.join.args.get("on")):
            if self._binding(part):
                continue
            if any(self.resolve(c).kind in ("output", "input") for c in self.own_columns(part)):
                raise UnsupportedError(
                    f"`{r.alias}` is joined by what a model says, which is not in this version.",
                    hint="Predict in a subquery, and join around it.",
                    where=position_of(self.text, part),
                )
            kept.append(part)
        if first:
            self.inner_where += kept
        elif r.join.args.get("on") is not None:
            r.join.set("on", exp.and_(*kept, copy=False) if kept else exp.true())

    def _condition(self, part: exp.Expr, clause: str, outer: bool = False) -> None:
        """An input's binding, or a condition of `inner`, or one of `outer`."""
        if self._binding(part):
            return
        refs = [self.resolve(c) for c in self.own_columns(part)]
        given = next((r for r in refs if r.kind == "input"), None)
        if given is not None and isinstance(given.owner, Model):
            raise InputError(
                f"`{part.sql(dialect='duckdb')}` does not give the input `{given.name}` of model `{given.owner.name}`.",
                hint=f"Write {given.owner.relation.alias}.{given.name} = value, or = a column of the rows.",
                where=position_of(self.text, part),
            )
        if outer:
            raise UnsupportedError(
                f"A condition in {clause} of an outer join with a model is not in this version.",
                hint="Write JOIN, and the condition in WHERE.",
                where=position_of(self.text, part),
            )
        data_only = all(r.kind == "data" for r in refs)
        (self.inner_where if data_only else self.outer_where).append(part)

    def _binding(self, part: exp.Expr) -> bool:
        """Whether the condition is `model.input = something`; it is then bound."""
        from sqlglot import exp

        if not isinstance(part, exp.EQ):
            return False
        for side, other in ((part.this, part.expression), (part.expression, part.this)):
            if isinstance(side, exp.Column):
                ref = self.resolve(side)
                if ref.kind == "input" and isinstance(ref.owner, Model):
                    self._bind(ref.owner, ref.name, other, side)
                    return True
        return False

    def _bind(self, m: Model, name: str, value: exp.Expr, at: exp.Expr) -> None:
        found = self._bound_to(m, name, value)
        if m.bound.get(name, found) != found:
            raise InputError(
                f"Input `{name}` of model `{m.name}` is given twice.",
                hint="Keep one of them.",
                where=position_of(self.text, at),
            )
        m.bound[name] = found

    def _bound_to(self, m: Model, name: str, value: exp.Expr) -> Binding:
        from sqlglot import exp

        constant = literal(value)
        if constant is not None or isinstance(value, exp.Null):
            return Binding(name, None, constant)
        refs = [self.resolve(c) for c in self.own_columns(value)]
        if all(r.kind == "data" for r in refs):
            if isinstance(value, exp.Column) and not refs[0].rest:
                return Binding(name, self.flat.data_column(refs[0]))
            flat = self.flat.name(f"{m.relation.alias}__in", name)
            self.flat.items.append(exp.alias_(value.copy(), flat, quoted=True))
            return Binding(name, flat)
        earlier = self.models[: self.models.index(m)]
        ref = refs[0]
        if isinstance(value, exp.Column) and ref.kind == "output" and ref.owner in earlier:
            assert isinstance(ref.owner, Model)
            return Binding(name, self.flat.output_column(ref.owner, ref.name))
        raise InputError(
            f"Input `{name}` of model `{m.name}` cannot be `{value.sql(dialect='duckdb')}`.",
            hint="Give it a value, an expression over the rows, or an output of a model joined before.",
            where=position_of(self.text, value),
        )

    def _bind_by_name(self, m: Model) -> None:
        for name in m.shape.inputs:
            if name in m.bound:
                continue
            if name.lower() in self.scope.merged:
                m.bound[name] = Binding(name, self.flat.data_column(Ref("data", None, name)))
                continue
            hits = [d for d in self.data if d.find(name)]
            if len(hits) > 1:
                first, second = hits[0].relation.alias, hits[1].relation.alias
                raise InputError(
                    f"Input `{name}` of model `{m.name}` can come from `{first}` or from `{second}`.",
                    hint=f"Say which: JOIN {m.name} {m.relation.alias} ON {first}.{name} = {m.relation.alias}.{name}.",
                    where=position_of(self.text, m.relation.node),
                )
            if not hits and len(self.data) == 1 and self.data[0].columns is None:
                hits = self.data
            if hits:
                ref = Ref("data", hits[0], hits[0].find(name) or name)
                m.bound[name] = Binding(name, self.flat.data_column(ref))

    def _carried(self, m: Model) -> Iterator[Binding]:
        """The columns that the model brings along, of those that the rows have once."""
        for name in m.shape.carried:
            hits = [d for d in self.data if d.find(name)]
            if name.lower() in self.scope.merged:
                yield Binding(name, self.flat.data_column(Ref("data", None, name)))
            elif len(hits) == 1:
                yield Binding(name, self.flat.data_column(Ref("data", hits[0], hits[0].find(name) or name)))

    def _no_input(self, m: Model, at: exp.Expr, name: str) -> TilthError:
        return m.shape.no_input(m.name, name, position_of(self.text, at))

    # --- the result ---

    def result(self, pins: tuple[Pin, ...]) -> JoinPrediction:
        models = tuple(
            ModelUse(
                m.name,
                m.version,
                m.relation.alias,
                tuple(m.bound[i] for i in m.shape.inputs if i in m.bound),
                tuple(i for i in m.shape.inputs if i not in m.bound),
                tuple((o, m.wanted[o]) for o in m.shape.outputs if o in m.wanted),
                tuple(self._carried(m)),
            )
            for m in self.models
        )
        inner = self._inner()
        drop_unread(self.root)
        return JoinPrediction(inner.sql(dialect="duckdb"), models, self.root.sql(dialect="duckdb"), pins)

    def _inner(self) -> exp.Select:
        """The rows: the data's relations in their order, with the conditions that touch no model."""
        from sqlglot import exp

        first, *joined = [d.relation for d in self.data]
        inner = exp.Select(
            expressions=self.flat.items or [exp.alias_(exp.Literal.number(1), "__row", quoted=True)]
        )
        inner.set("from_", exp.From(this=first.node))
        inner.set("joins", [r.join for r in joined])
        if self.inner_where:
            inner.set("where", exp.Where(this=exp.and_(*self.inner_where, copy=False)))
        if self.limit is not None:
            limit, offset, order = self.limit
            inner.set("limit", limit)
            inner.set("offset", offset)
            inner.set("order", order)
            self.select.set("offset", None)
        if ctes := seen_by(self.select):
            recursive = any(c.parent is not None and c.parent.args.get("recursive") for c in ctes)
            inner.set("with_", exp.With(expressions=[c.copy() for c in ctes], recursive=recursive))
        return inner
