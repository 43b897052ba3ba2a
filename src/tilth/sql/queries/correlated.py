"""SELECTs over a model that name columns of the query around them, as joins with the model, where that is exactly the same.

`(SELECT m.y FROM m WHERE m.a = t.a)` asks the model once for each row of `t`, and so does `t JOIN m ON m.a = t.a`. Scalar subqueries,
EXISTS, IN and LATERAL are taken; what they do not give a model stays not given, whatever the rows have. What is no such join is refused with
what to write. Neighbours: `blocks` takes out SELECTs that name nothing around them, `joins` splits what comes of this.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

from tilth.core.errors import InputError, UnsupportedError
from tilth.sql.language.trees import (  # fmt: skip
    Named,
    Relation,
    conjuncts,
    holds_aggregate,
    named_tables,
    parts_of,
    relations,
    tree,
)
from tilth.sql.queries.blocks import mark, unmarked
from tilth.sql.queries.laterals import Lateral, put_in_place, starred
from tilth.sql.queries.timetravel import time_travel

if TYPE_CHECKING:
    from sqlglot import exp

NAME = "tilth_asked_{}"
_PLAIN = ("expressions", "from_", "where", "limit", "order", "distinct")
_GROUPED = ("expressions", "having", "order", "qualify")


@dataclass(frozen=True, slots=True)
class Asked:
    """A model as such a SELECT sees it: inputs that have to be given, those that may be left out, and outputs, in their order."""

    required: tuple[str, ...]
    optional: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def inputs(self) -> tuple[str, ...]:
        return (*self.required, *self.optional)


Shapes = Callable[[str], Asked | None]
"""The model of a name as it was read; None where it has none, which is said when it is asked."""


def joined(sql: str, models: Collection[str], shape_of: Shapes) -> str:
    """The query with joins in the place of such SELECTs, as it was written where there is none. `models` are in lower case."""
    lowered = sql.lower()
    if lowered.count("select") < 2 or not any(name in lowered for name in models):
        return sql
    text, pins = time_travel(sql)
    if not any(_correlated(*one, shape_of) for one in _selects(tree(text), models)):
        return sql
    root = tree(text).copy()
    found = [one for one in _selects(root, models) if _correlated(*one, shape_of)]
    marks = mark(named_tables(root), pins)
    for number, (select, table) in enumerate(reversed(found)):  # what is within another comes first
        shape = shape_of(table.name.lower())
        assert shape is not None
        _One(select, table, shape, NAME.format(number)).join()
    return unmarked(str(root.sql(dialect="duckdb")), marks)


def _selects(root: exp.Expr, models: Collection[str]) -> Iterator[tuple[exp.Select, Named]]:
    """The SELECTs within others that have a model in their FROM, with it."""
    from sqlglot import exp

    seen: list[exp.Expr] = []
    for table in list(named_tables(root)):
        parent = table.node.parent
        select = parent.parent if isinstance(parent, exp.From | exp.Join) else None
        if table.key in models and isinstance(select, exp.Select) and all(s is not select for s in seen):
            seen.append(select)
            if _around(select) is not None:
                yield select, table


def _around(select: exp.Expr) -> exp.Select | None:
    """The SELECT around one that stands in an expression of it, or beside its relations; None for any other."""
    from sqlglot import exp

    inside: exp.Expr = select
    while (at := inside.parent) is not None and not isinstance(at, exp.Select):
        if isinstance(at, exp.CTE | exp.SetOperation | exp.From):
            return None
        inside = at
    return at if isinstance(at, exp.Select) else None


def _correlated(select: exp.Select, table: Named, shape_of: Shapes) -> bool:
    """Whether it names a column of the query around it; refused where it has rows of its own beside the model."""
    alone = len(relations(select)) == 1
    around = _around(select)
    assert around is not None
    shape = shape_of(table.name.lower())
    if shape is None:
        return False
    if alone:
        return any(not _is_own(c, table, shape) for c in _columns(select))
    own = {r.alias.lower() for r in relations(select)}
    outer = {r.alias.lower() for r in relations(around)} - own
    for column in _columns(select):
        parts = parts_of(column)
        if len(parts) > 1 and parts[-2].lower() in outer:
            _refuse(
                table,
                f"names `{'.'.join(parts)}` of the query around it, and has rows of its own",
                f"Predict before: WITH p AS (SELECT ... FROM ... JOIN {table.name} m) ..., and compare columns of p with `{'.'.join(parts)}`.",
            )
    return False


def _columns(select: exp.Select) -> Iterator[exp.Expr]:
    """The columns that the SELECT names itself."""
    from sqlglot import exp

    for column in select.find_all(exp.Column):
        if column.find_ancestor(exp.Query) is select and not isinstance(column.this, exp.Star):
            yield column


def _is_own(column: exp.Expr, table: Named, shape: Asked) -> bool:
    """Whether the column is one of the model's."""
    *qualifiers, name = (p.lower() for p in parts_of(column))
    if qualifiers:
        return qualifiers[-1] in (table.alias.lower(), table.name.lower())
    known = {n.lower() for n in (*shape.inputs, *shape.outputs)}
    return name in known or any(name.startswith(f"{o.lower()}_") for o in shape.outputs)


def _refuse(table: Named, why: str, hint: str) -> NoReturn:
    raise UnsupportedError(f"A SELECT over the model `{table.name}` {why}: that is no join.", hint=hint)


@dataclass(slots=True)
class _One:
    """One such SELECT being made a join; lives only for one call."""

    select: exp.Select
    table: Named
    shape: Asked
    alias: str
    bound: dict[str, exp.Expr] = field(default_factory=dict)  # by input in lower case
    conditions: list[exp.Expr] = field(default_factory=list)

    def join(self) -> None:
        """Put the model beside the relations of the SELECT around it, and what it gives in its place."""
        around = _around(self.select)
        assert around is not None
        self._check()
        self._sort()
        self._check_names(around)
        self._missing()
        place = self._place(around)
        if isinstance(place, Relation):
            self._lateral(around, place)
        else:
            self._check_grouped(around, place)
            starred(around, {})
            _called(around, place)
            place.replace(self._value(place).copy())
            around.append("joins", self._join())

    # --- what it asks ---

    def _check(self) -> None:
        from sqlglot import exp

        odd = next((k for k, v in self.select.args.items() if v and k not in _PLAIN and k != "kind"), None)
        limit = self.select.args.get("limit")
        cut = limit is not None and not (
            isinstance(limit, exp.Limit)
            and isinstance(limit.expression, exp.Literal)
            and str(limit.expression.this) not in ("0", "")
        )
        counts = any(holds_aggregate(e) or e.find(exp.Window) for e in self.select.expressions)
        nested = any(q is not self.select for q in self.select.find_all(exp.Query))
        if odd or cut or counts or nested:
            self._no("has more in it than inputs, conditions on outputs, and what is asked of its one row")

    def _no(self, why: str) -> NoReturn:
        name = self.table.name
        _refuse(
            self.table,
            f"names columns of the query around it and {why}",
            f"Join it: FROM t JOIN {name} m ON m.input = t.column ..., and write the rest over that.",
        )

    def _own(self, column: exp.Expr) -> str | None:
        """The name of the model's column in lower case; None for one of the query around it."""
        return parts_of(column)[-1].lower() if _is_own(column, self.table, self.shape) else None

    def _sort(self) -> None:
        """What gives an input, and what is a condition on the answer."""
        where = self.select.args.get("where")
        inputs = {i.lower() for i in self.shape.inputs}
        for part in conjuncts(where.this if where is not None else None):
            name, value = self._binding(part)
            if name is None:
                self.conditions.append(part)
            elif name in self.bound and self.bound[name] != value:
                raise InputError(
                    f"Input `{name}` of model `{self.table.name}` is given twice.", hint="Keep one of them."
                )
            else:
                assert value is not None
                self.bound[name] = value
        for part in self.conditions:
            for column in _within(part):
                if self._own(column) in inputs - set(self.bound):
                    raise InputError(
                        f"`{part.sql(dialect='duckdb')}` does not give an input of model `{self.table.name}`.",
                        hint="Write input = value, or = a column of the query around it.",
                    )

    def _binding(self, part: exp.Expr) -> tuple[str | None, exp.Expr | None]:
        """The input that a condition gives, and what it gives it."""
        from sqlglot import exp

        inputs = {i.lower() for i in self.shape.inputs}
        if (
            isinstance(part, exp.Is)
            and isinstance(part.expression, exp.Null)
            and isinstance(part.this, exp.Column)
        ):
            name = self._own(part.this)
            return (name, exp.Null()) if name in inputs else (None, None)
        if not isinstance(part, exp.EQ):
            return None, None
        for side, other in ((part.this, part.expression), (part.expression, part.this)):
            name = self._own(side) if isinstance(side, exp.Column) else None
            if name in inputs and all(self._own(c) is None for c in _within(other)):
                return name, other
        return None, None

    def _check_names(self, around: exp.Select) -> None:
        """Every column of others is one of the query right around it."""
        known = {r.alias.lower() for r in relations(around)} | {t.name.lower() for t in named_tables(around)}
        for column in _columns(self.select):
            parts = parts_of(column)
            if self._own(column) is None and len(parts) > 1 and parts[-2].lower() not in known:
                self._no(f"names `{'.'.join(parts)}`, which is not of the query right around it")

    def _missing(self) -> None:
        from sqlglot import exp

        lacking = [i for i in self.shape.required if i.lower() not in self.bound]
        if lacking:
            listed = ", ".join(f"`{i}`" for i in lacking)
            raise InputError(
                f"Model `{self.table.name}` is not given {listed} in the SELECT over it.",
                hint=f"Write {self.table.alias}.{lacking[0]} = a value, or = a column of the query around it. Inputs: {', '.join(self.shape.inputs)}.",
            )
        for name in self.shape.optional:
            self.bound.setdefault(name.lower(), exp.Null())

    # --- what stands in its place ---

    def _place(self, around: exp.Select) -> exp.Expr | Relation:
        """What of the SELECT around it goes: an expression, or one of its relations."""
        from sqlglot import exp

        at: exp.Expr = self.select
        while at.parent is not None and isinstance(at.parent, exp.Subquery | exp.Lateral | exp.Paren):
            at = at.parent
        for one in relations(around):
            if one.node is at:
                return one
        if isinstance(at.parent, exp.Exists | exp.In):
            return at.parent
        if isinstance(at, exp.Exists):
            return at
        if not isinstance(at, exp.Subquery) or isinstance(at.parent, exp.Any | exp.All | exp.Tuple):
            self._no("stands where one value does not")
        return at

    def _value(self, place: exp.Expr) -> exp.Expr:
        """What the row gives there."""
        from sqlglot import exp

        met = exp.and_(*(self._over(c) for c in self.conditions), copy=False) if self.conditions else None
        if isinstance(place, exp.Exists):
            return exp.true() if met is None else exp.Coalesce(this=met, expressions=[exp.false()])
        if len(self.select.expressions) != 1 or isinstance(self.select.expressions[0], exp.Star):
            self._no("gives more than one column where one is asked for")
        item = self._over(self.select.expressions[0].unalias())
        if isinstance(place, exp.In):
            same: exp.Expr = exp.EQ(this=place.this.copy(), expression=exp.Paren(this=item))
            return exp.Paren(this=same) if met is None else _case(met, same, exp.false())
        return exp.Paren(this=item) if met is None else _case(met, item, None)

    def _over(self, node: exp.Expr) -> exp.Expr:
        """An expression of it, where the model has its new name and an input is what it is given."""
        from sqlglot import exp

        made = exp.Paren(this=node.copy())
        for column in list(made.find_all(exp.Column)):
            name = self._own(column)
            if name is None:
                continue
            if name in self.bound:
                column.replace(exp.Paren(this=self.bound[name].copy()))
            else:
                column.set("table", exp.to_identifier(self.alias, quoted=True))
        return made.this.pop() if made.this is not None else made

    def _join(self) -> exp.Join:
        from sqlglot import exp

        return exp.Join(this=self._model(), on=self._on())

    def _model(self) -> exp.Expr:
        from sqlglot import exp

        made = self.table.node.copy()
        made.set("alias", exp.TableAlias(this=exp.to_identifier(self.alias, quoted=True)))
        return made

    def _on(self) -> exp.Expr:
        from sqlglot import exp

        spelled = {i.lower(): i for i in self.shape.inputs}
        each = [
            exp.EQ(this=exp.column(spelled[name], table=self.alias, quoted=True), expression=value.copy())
            for name, value in self.bound.items()
        ]
        return exp.and_(*each, copy=False) if each else exp.true()

    def _check_grouped(self, around: exp.Select, place: exp.Expr) -> None:
        """Refuse a value of a row where only values of groups stand."""
        from sqlglot import exp

        grouped = around.args.get("group") or any(holds_aggregate(e) for e in around.expressions)
        if not grouped and not around.args.get("having"):
            return
        at: exp.Expr = place
        while at.parent is not around:
            if isinstance(at, exp.AggFunc):
                return
            assert at.parent is not None
            at = at.parent
        if at.arg_key in _GROUPED and not _is_key(around, at):
            self._no("stands in a query of groups, outside of an aggregate")

    # --- LATERAL ---

    def _lateral(self, around: exp.Select, place: Relation) -> None:
        """The relation becomes the model, and its columns what they were made of."""
        from sqlglot import exp

        join = place.join
        if (
            join is None
            or place.side not in ("", "LEFT")
            or place.kind in ("SEMI", "ANTI")
            or join.args.get("using")
        ):
            self._no("is joined as nothing but rows of its own can be")
        on = [c for c in conjuncts(join.args.get("on")) if not (isinstance(c, exp.Boolean) and c.this)]
        left = place.side == "LEFT"
        if left and on:
            self._no("is joined LEFT by a condition of its own")
        met = [self._over(c) for c in self.conditions]
        items = [
            (n, _case(exp.and_(*(m.copy() for m in met)), e, None) if left and met else e)
            for n, e in self._items()
        ]
        told = place.node.args.get("alias")
        names = [c.name for c in told.args.get("columns") or ()] if told is not None else []
        items = [(names[i] if i < len(names) else n, e) for i, (n, e) in enumerate(items)]
        made = Lateral(place.alias, tuple(items))
        join.set("this", self._model())
        join.set("on", self._on())
        join.set("side", None)
        join.set("kind", None)
        starred(around, {self.alias: made})
        put_in_place(around, made)
        more = [*([] if left else met), *(made.within(c) for c in on)]
        if more:
            around.where(*more, copy=False)

    def _items(self) -> list[tuple[str, exp.Expr]]:
        """The columns that it gives, by name."""
        from sqlglot import exp

        out: list[tuple[str, exp.Expr]] = []
        for item in self.select.expressions:
            star = item.this if isinstance(item, exp.Column) else item
            if isinstance(star, exp.Star):
                if any(star.args.values()):
                    self._no("has something behind its `*`")
                names = (*self.shape.outputs, *self.shape.inputs)
                out += [(n, self._over(exp.column(n, table=self.table.alias, quoted=True))) for n in names]
            else:
                out.append((item.alias_or_name or item.sql(dialect="duckdb"), self._over(item.unalias())))
        return out


def _is_key(around: exp.Select, item: exp.Expr) -> bool:
    """Whether rows are grouped by an item of the SELECT: by its name, its place, or ALL."""
    from sqlglot import exp

    group = around.args.get("group")
    if group is None or item.arg_key != "expressions":
        return False
    place = str(next(i for i, e in enumerate(around.expressions, 1) if e is item))
    keys = [k for k in group.expressions if isinstance(k, exp.Column | exp.Literal)]
    named = {k.name.lower() for k in keys if isinstance(k, exp.Column) and len(parts_of(k)) == 1}
    return bool(group.args.get("all")) or item.alias.lower() in named or any(
        isinstance(k, exp.Literal) and str(k.this) == place for k in keys
    )  # fmt: skip


def _called(around: exp.Select, place: exp.Expr) -> None:
    """Have the item that the place is part of keep its name."""
    from sqlglot import exp

    items = []
    for item in around.expressions:
        named = isinstance(item, exp.Alias | exp.Column) or all(n is not place for n in item.walk())
        said = exp.to_identifier(item.sql(dialect="duckdb"), quoted=True)
        items.append(
            item if named else exp.Alias(this=item, alias=said)
        )  # alias_ would name the subquery within
    around.set("expressions", items)


def _within(node: exp.Expr) -> Iterator[exp.Expr]:
    from sqlglot import exp

    yield from node.find_all(exp.Column)


def _case(condition: exp.Expr, then: exp.Expr, otherwise: exp.Expr | None) -> exp.Expr:
    from sqlglot import exp

    return exp.Case(ifs=[exp.If(this=condition, true=then)], default=otherwise)
