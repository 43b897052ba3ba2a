"""`FROM sales t JOIN house_prices m WHERE t.saledate > LATEST`: the history, the times that are asked for, and the rest of the query.

The rows of a forecast are none of the data's: they come after it, or stand in place of it. So conditions on the time say which
times are forecast, conditions on other columns of the data say which rows are the history, and the rest of the query reads the
forecasts: their time and group, what is forecast, and of the past what came. LATEST is the newest time of a series.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from tilth.core.errors import InputError, LanguageError, UnknownNameError, UnsupportedError
from tilth.core.names import did_you_mean
from tilth.core.scan import Literal
from tilth.core.schema import Schema
from tilth.sql.language.trees import Named, conjuncts, parts_of, position_of, relations
from tilth.sql.queries.outputs import relation_columns
from tilth.sql.queries.pushdown import literal
from tilth.sql.queries.shapes import (
    ACTUAL,
    LATEST,
    PREDICTED,
    Bound,
    ForecastPrediction,
    ModelShape,
    SeriesShape,
)
from tilth.sql.queries.withs import drop_unread, seen_by

if TYPE_CHECKING:
    from sqlglot import exp

HOW = "Write t.time > LATEST, = LATEST, > DATE '...', or BETWEEN."
_TURNED = {"GT": "LT", "GTE": "LTE", "LT": "GT", "LTE": "GTE", "EQ": "EQ"}


def split_forecast(
    text: str,
    root: exp.Expr,
    select: exp.Select,
    model: tuple[Named, str, ModelShape, int | None],
    used: Sequence[Named],
    schemas: Mapping[str, Schema],
) -> ForecastPrediction:
    """Split the SELECT, a part of `root`, which is a copy of its own and is used up."""
    table, name, shape, version = model
    if len(used) > 1:
        other = next(t for t in used if t.node is not table.node)
        raise UnsupportedError(
            f"Model `{name}` forecasts, and is asked here together with model `{other.name}`.",
            hint="Put the forecast into a subquery, and join around it.",
            where=position_of(text, other.node.this),
        )
    return _Split(text, root, select, table, name, shape, schemas).result(version)


@dataclass(slots=True)
class _Times:
    """The times that are asked for, as conditions tell them."""

    low: Bound | None = None
    high: Bound | None = None


class _Split:
    """A SELECT with a forecast being split; lives only for one call."""

    def __init__(
        self, text: str, root: exp.Expr, select: exp.Select, table: Named, name: str, shape: ModelShape, schemas: Mapping[str, Schema]
    ) -> None:  # fmt: skip
        assert shape.series is not None
        self.text, self.root, self.select, self.name, self.shape = text, root, select, name, shape
        self.series: SeriesShape = shape.series
        self.alias = table.alias
        of = relations(select)
        self.own = next(r for r in of if r.node is table.node)
        self.data = [r for r in of if r.node is not table.node]
        self.columns = {r.alias.lower(): relation_columns(r, root, schemas) for r in self.data}
        self.inputs = {c.lower(): c for c in shape.inputs}
        self.outputs = {c.lower(): c for c in shape.outputs}
        self.bound: dict[str, exp.Expr] = {}  # inputs that ON binds to a column of another name
        self.times = _Times()
        self.only: dict[str, tuple[Literal, ...]] = {}
        self.history: list[exp.Expr] = []
        self.rest: list[exp.Expr] = []
        self.actual = False

    def result(self, version: int | None) -> ForecastPrediction:
        self._check()
        self._alone()
        for part in self._joined():
            self._on(part)
        where = self.select.args.get("where")
        for part in conjuncts(where.this if where is not None else None):
            self._condition(part)
        inner = self._inner() if self.data else None
        self._outer()
        drop_unread(self.root)
        low = self.times.low or Bound(LATEST, open=True)
        only = tuple(self.only.items())
        return ForecastPrediction(
            self.name,
            version,
            inner,
            only,
            low,
            self.times.high,
            self.actual,
            self.root.sql(dialect="duckdb"),
        )

    def _check(self) -> None:
        if (self.times.low is None and self.own.side in ("RIGHT", "FULL")) or self.own.method:
            raise UnsupportedError(
                f"Model `{self.name}` cannot be joined {self.own.method or self.own.side}.",
                hint=f"Write JOIN {self.name}.",
                where=position_of(self.text, self.own.node),
            )

    def _alone(self) -> None:
        """Raise where a table of the data is called as the model is."""
        twin = next((r for r in self.data if r.alias.lower() == self.alias.lower()), None)
        if twin is not None:
            raise LanguageError(
                f"Two tables of this query are called `{twin.alias}`.",
                hint=f"Give one another name: JOIN {self.name} m.",
                where=position_of(self.text, self.own.node),
            )

    # --- conditions ---

    def _joined(self) -> list[exp.Expr]:
        """The conditions of ON that stand at the model's join, or at the first relation of the data where the model comes first."""
        from sqlglot import exp

        joins = [self.own.join]
        if self.own.join is None and self.data:
            joins.append(self.data[0].join)
        found: list[exp.Expr] = []
        for join in joins:
            if join is None:
                continue
            for using in join.args.get("using") or ():
                if using.name.lower() not in self.inputs:
                    raise self._no_input(using, using.name)
            parts = [p for p in conjuncts(join.args.get("on")) if not isinstance(p, exp.Boolean)]
            found += parts
        return found

    def _on(self, part: exp.Expr) -> None:
        """`t.x = m.input` binds by another name; all else is a condition as in WHERE."""
        from sqlglot import exp

        if (
            isinstance(part, exp.EQ)
            and isinstance(part.this, exp.Column)
            and isinstance(part.expression, exp.Column)
        ):
            for mine, other in ((part.this, part.expression), (part.expression, part.this)):
                if self._of_model(mine) and not self._of_model(other):
                    name = self.inputs.get(mine.name.lower())
                    if name is None:
                        raise self._no_input(mine, mine.name)
                    self.bound[name.lower()] = other.copy()
                    return
        self._condition(part)

    def _condition(self, part: exp.Expr) -> None:
        if self._time(part) or self._group(part):
            return
        own = list(self._columns_of(part))
        stray = next((c for c in own if self._is_latest(c)), None)
        if stray is not None and not any(self._is_time(c) for c in own):
            raise UnsupportedError(
                f"LATEST is a time, and `{part.sql(dialect='duckdb')}` compares something else with it.",
                hint=f"Compare the time `{self.series.time}` with it. {HOW}",
                where=position_of(self.text, part),
            )
        if any(self._is_time(c) for c in own):
            raise UnsupportedError(
                f"`{part.sql(dialect='duckdb')}` does not say which times are forecast.",
                hint=f"{HOW} Conditions on the time are joined by AND, and compare it with one moment.",
                where=position_of(self.text, part),
            )
        mine = [c for c in own if self._answers(c)]
        if mine and len(mine) < len(own):
            raise UnsupportedError(
                f"`{part.sql(dialect='duckdb')}` compares the history with the forecast.",
                hint="Put this SELECT into parentheses, and filter around it.",
                where=position_of(self.text, part),
            )
        (self.rest if mine else self.history).append(part)

    def _time(self, part: exp.Expr) -> bool:
        """Whether the condition says which times are asked for; it is then noted."""
        from sqlglot import exp

        if isinstance(part, exp.Between) and isinstance(part.this, exp.Column) and self._is_time(part.this):
            self._bound(part, Bound(self._moment(part.args["low"]), open=False), low=True)
            self._bound(part, Bound(self._moment(part.args["high"]), open=False), low=False)
            return True
        if not isinstance(part, exp.GT | exp.GTE | exp.LT | exp.LTE | exp.EQ):
            return False
        way, column, value = type(part).__name__, part.this, part.expression
        if not (isinstance(column, exp.Column) and self._is_time(column)):
            way, column, value = _TURNED[way], value, column
        if not (isinstance(column, exp.Column) and self._is_time(column)) or self._both(value):
            return False
        moment = self._moment(value)
        if way in ("GT", "GTE", "EQ"):
            self._bound(part, Bound(moment, open=way == "GT"), low=True)
        if way in ("LT", "LTE", "EQ"):
            self._bound(part, Bound(moment, open=way == "LT"), low=False)
        return True

    def _both(self, node: exp.Expr) -> bool:
        """Whether the other side is the time as well, and no LATEST."""
        from sqlglot import exp

        return isinstance(node, exp.Column) and self._is_time(node) and node.name.lower() != LATEST

    def _bound(self, part: exp.Expr, found: Bound, *, low: bool) -> None:
        there = self.times.low if low else self.times.high
        if there is not None and there != found:
            raise LanguageError(
                f"It is said twice {'from' if low else 'up to'} when `{self.name}` forecasts.",
                hint="Keep one of the conditions.",
                where=position_of(self.text, part),
            )
        if low:
            self.times.low = found
        else:
            self.times.high = found

    def _moment(self, node: exp.Expr) -> Literal:
        """What the time is compared with: LATEST, a day or a moment; a text is read as one."""
        from sqlglot import exp

        while isinstance(node, exp.Paren):
            node = node.this
        if isinstance(node, exp.Column) and self._is_latest(node):
            return LATEST
        value = literal(node)
        if isinstance(value, str):
            value = _read(value)
        if isinstance(value, date):
            return value
        raise InputError(
            f"`{node.sql(dialect='duckdb')}` is no moment that the time of model `{self.name}` can be compared with.",
            hint=HOW,
            where=position_of(self.text, node),
        )

    def _group(self, part: exp.Expr) -> bool:
        """Whether the condition names groups by columns of the model: `m.type = 'house'`, `m.type IN (...)`."""
        from sqlglot import exp

        listed: Sequence[exp.Expr]
        if isinstance(part, exp.EQ):
            sides = ((part.this, part.expression), (part.expression, part.this))
            found = next(
                ((c, v) for c, v in sides if isinstance(c, exp.Column) and literal(v) is not None), None
            )
            if found is None:
                return False
            column, listed = found[0], [found[1]]
        elif isinstance(part, exp.In) and isinstance(part.this, exp.Column) and part.expressions:
            column, listed = part.this, part.expressions
        else:
            return False
        groups = {g.lower(): g for g in self.series.groups}
        group = groups.get(column.name.lower())
        if group is None or (self.data and not self._of_model(column)):
            return False
        values = [literal(v) for v in listed]
        if any(v is None for v in values):
            return False
        before = self.only.get(group)
        self.only[group] = tuple(v for v in dict.fromkeys(values) if before is None or v in before)
        return True

    # --- names ---

    def _of_model(self, column: exp.Column) -> bool:
        """Whether the column is the model's, as it is written."""
        qualifiers = parts_of(column)[:-1]
        if qualifiers:
            return qualifiers[-1].lower() in {self.alias.lower(), self.name.lower()} and not any(
                r.alias.lower() == qualifiers[-1].lower() for r in self.data
            )
        if not self.data:
            return True
        known = [c for c in self.columns.values() if c is not None]
        return not any(column.name.lower() in {n.lower() for n in c} for c in known) and (
            column.name.lower() in self.outputs
        )

    def _is_time(self, column: exp.Expr) -> bool:
        """Whether it is the time of the forecast, of the model or of the data."""
        low = column.name.lower()
        if self._of_model(column):  # type: ignore[arg-type]
            return low == self.series.time.lower()
        mapped = self.bound.get(self.series.time.lower())
        return low == (mapped.name.lower() if mapped is not None else self.series.time.lower())

    def _is_latest(self, column: exp.Column) -> bool:
        """Whether it is the word LATEST, and no column in quotes or of a table."""
        parts = parts_of(column)
        return len(parts) == 1 and parts[0].lower() == LATEST and not column.this.args.get("quoted")

    def _answers(self, column: exp.Column) -> bool:
        """Whether it is something that the forecast gives, and the history has not: of the model, and no group."""
        return self._of_model(column)

    def _columns_of(self, part: exp.Expr) -> list[exp.Column]:
        from sqlglot import exp

        return [c for c in part.find_all(exp.Column) if c.find_ancestor(exp.Query) is self.select]

    def _no_input(self, at: exp.Expr, name: str) -> InputError:
        return InputError(
            f"Model `{self.name}` has no input `{name}`.",
            hint=did_you_mean(name, self.shape.inputs, "inputs"),
            where=position_of(self.text, at),
        )

    # --- the history ---

    def _inner(self) -> str:
        """The rows of the history, by the names of the model's inputs."""
        from sqlglot import exp

        items = []
        for name in self.shape.inputs:
            bound = self.bound.get(name.lower())
            known = [c for c in self.columns.values() if c is not None]
            there = len(known) < len(self.data) or any(name.lower() in {n.lower() for n in c} for c in known)
            if bound is None and not there:
                if name in self.series.targets or name in (self.series.time, *self.series.groups):
                    raise InputError(
                        f"The rows have no column `{name}`, which model `{self.name}` forecasts from.",
                        hint=f"Join rows that have it, or say which: ON t.other = {self.alias}.{name}.",
                        where=position_of(self.text, self.own.node),
                    )
                continue
            node = bound if bound is not None else exp.Column(this=exp.to_identifier(name, quoted=True))
            items.append(exp.alias_(node.copy(), name, quoted=True))
        first, *joined = self.data
        inner = exp.Select(expressions=items)
        inner.set("from_", exp.From(this=first.node.copy()))
        inner.set("joins", [r.join.copy() for r in joined if r.join is not None])
        if ctes := seen_by(self.select):
            recursive = any(c.parent is not None and c.parent.args.get("recursive") for c in ctes)
            inner.set("with_", exp.With(expressions=[c.copy() for c in ctes], recursive=recursive))
        history = [*self.history]
        if history:
            inner.set("where", exp.Where(this=exp.and_(*(h.copy() for h in history), copy=False)))
        return str(inner.sql(dialect="duckdb"))

    # --- the rest ---

    def _outer(self) -> None:
        """Write the rest of the query over the forecasts."""
        from sqlglot import exp

        self.select.set("expressions", [made for e in self.select.expressions for made in self._item(e)])
        self.select.set("joins", None)
        self.select.set("from_", None)
        self.select.set("where", None)
        aliases = {e.alias_or_name.lower() for e in self.select.expressions}
        for key, value in self.select.args.items():
            if key == "expressions":
                continue
            for node in value if isinstance(value, list) else [value]:
                if isinstance(node, exp.Expr):
                    for column in self._columns_of(node):
                        if len(parts_of(column)) > 1 or column.name.lower() not in aliases:
                            column.replace(self._read(column))
        rest = [self._rewritten(p) for p in self.rest]
        if rest:
            self.select.set("where", exp.Where(this=exp.and_(*rest, copy=False)))
        self.select.set("from_", exp.From(this=exp.Table(this=exp.to_identifier(PREDICTED))))

    def _item(self, item: exp.Expr) -> list[exp.Expr]:
        """An item of the SELECT over the forecasts; `*` is what the forecast gives."""
        from sqlglot import exp

        star = item.this if isinstance(item, exp.Column) else item
        if isinstance(star, exp.Star):
            if any(star.args.get(k) for k in ("replace", "rename", "ilike", "like")):
                raise UnsupportedError(
                    "Of what can stand after `*`, this version has only EXCLUDE over models.",
                    hint="List the columns.",
                )
            left_out = {e.name.lower() for e in star.args.get("except_") or ()}
            mine = not isinstance(item, exp.Column) or self._alias_of(item)
            return [e for n, e in self._all(mine=mine) if n.lower() not in left_out]
        name = item.alias_or_name or item.sql(dialect="duckdb")
        return [
            exp.alias_(self._rewritten(item.this if isinstance(item, exp.Alias) else item), name, quoted=True)
        ]

    def _alias_of(self, star: exp.Column) -> bool:
        said = parts_of(star)[-2].lower()
        if said in {self.alias.lower(), self.name.lower()}:
            return True
        if any(said == r.alias.lower() for r in self.data):
            return False
        raise UnknownNameError(
            f"There is no table `{said}` in this query.",
            hint=did_you_mean(said, [self.alias, *(r.alias for r in self.data)], "tables"),
            where=position_of(self.text, star),
        )

    def _all(self, *, mine: bool) -> list[tuple[str, exp.Expr]]:
        """What `*` stands for: time and group, and the model's answers, or of the data what came."""
        from sqlglot import exp

        marks = (self.series.time, *self.series.groups)
        names = [*marks, *(o for o in self.shape.outputs if o not in marks)]
        if mine:
            return [(n, exp.alias_(_column(n), n, quoted=True)) for n in names]
        self.actual = True
        return [
            *((n, exp.alias_(_column(n), n, quoted=True)) for n in marks),
            *((t, exp.alias_(_column(f"{ACTUAL}{t}"), t, quoted=True)) for t in self.series.targets),
        ]

    def _rewritten(self, part: exp.Expr) -> exp.Expr:
        for column in self._columns_of(part):
            new = self._read(column)
            if column is part:
                return new
            column.replace(new)
        return part

    def _read(self, column: exp.Column) -> exp.Expr:
        """The column of the forecasts that a name means."""
        low = column.name.lower()
        marks = {c.lower(): c for c in (self.series.time, *self.series.groups)}
        if self._of_model(column):
            if low in self.outputs:
                return _column(self.outputs[low])
            raise UnknownNameError(
                f"Model `{self.name}` has no output `{column.name}`.",
                hint=did_you_mean(column.name, self.shape.outputs, "outputs"),
                where=position_of(self.text, column),
            )
        back = {b.name.lower(): n for n, b in self.bound.items()}
        low = back.get(low, low)
        if low in marks:
            return _column(marks[low])
        targets = {t.lower(): t for t in self.series.targets}
        if low in targets:
            self.actual = True
            return _column(f"{ACTUAL}{targets[low]}")
        raise InputError(
            f"`{column.sql(dialect='duckdb')}` has no value in the rows that are forecast: they are none of the history's.",
            hint=f"Of the rows there are {', '.join([*marks.values(), *targets.values()])}; of the forecast {', '.join(self.shape.outputs)}.",
            where=position_of(self.text, column),
        )


def _read(text: str) -> Literal:
    """A text as a day or a moment; itself where it is none."""
    plain = text.strip()
    try:
        return date.fromisoformat(plain) if len(plain) == 10 else datetime.fromisoformat(plain)
    except ValueError:
        return text


def _column(name: str) -> exp.Expr:
    from sqlglot import exp

    return exp.Column(this=exp.to_identifier(name, quoted=True))
