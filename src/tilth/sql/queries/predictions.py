"""SELECTs over models: what is asked of which model, and the rest of the query over its answer.

A model is a function of named inputs. `FROM late WHERE origin = 'JFK' AND ...` gives them for one row; here that is
split off. `FROM departures d JOIN late m` takes them from rows; that is in `joins`. The order of predicates and
of columns never matters: names bind.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tilth.core.errors import InputError, LanguageError, UnknownNameError, UnsupportedError
from tilth.core.names import did_you_mean
from tilth.core.scan import Literal
from tilth.core.schema import Schema
from tilth.sql.language.tokens import place
from tilth.sql.language.trees import Named, conjuncts, named_tables, parts_of, position_of, relations, tree
from tilth.sql.queries import theirs
from tilth.sql.queries.elements import elements
from tilth.sql.queries.forecasts import split_forecast
from tilth.sql.queries.joins import split_join
from tilth.sql.queries.pushdown import has_offset, literal
from tilth.sql.queries.shapes import (
    PREDICTION,
    Binding,
    ForecastPrediction,
    JoinPrediction,
    Marker,
    ModelShape,
    ModelUse,
    RowPrediction,
    Several,
)
from tilth.sql.queries.timetravel import Pin, ends_of, time_travel

if TYPE_CHECKING:
    from sqlglot import exp

__all__ = ["Binding", "JoinPrediction", "ModelShape", "ModelUse", "RowPrediction", "predictions"]


def predictions(
    sql: str,
    models: Mapping[str, ModelShape],
    schemas: Mapping[str, Schema] | None = None,
    *,
    marked: bool = False,
) -> RowPrediction | JoinPrediction | ForecastPrediction | None:
    """The query split at its models; None when it has none.

    `schemas` holds the columns of the data's tables by `schema.table` or `table`: without them inputs of a table that
    is alone are taken to be there, and `*` cannot be expanded. With `marked` an input of one row may be `$1`. InputError for inputs that do not fit.
    """
    text, pins = time_travel(sql)
    known = {k.lower(): (k, v) for k, v in models.items()}
    root = tree(text).copy()
    named = list(named_tables(root))
    used = [t for t in named if t.key in known]
    _check_pins(text, used, pins)
    if not used:
        return None
    _check_offsets(root)
    select = _select_of(used, text)
    elements(root, used, {o.lower() for t in used for o in known[t.key][1].maps})
    theirs.renamed(select, [(t, known[t.key][1]) for t in used])
    of_model = {id(t.node): (known[t.key], _version(t, pins)) for t in used}
    data = [r for r in relations(select) if id(r.node) not in of_model]
    ahead = next((t for t in used if known[t.key][1].series is not None), None)
    if ahead is not None:
        (name, shape), version = of_model[id(ahead.node)]
        return split_forecast(text, root, select, (ahead, name, shape, version), used, schemas or {})
    if data:
        return split_join(text, root, select, of_model, schemas or {}, pins)
    if len(used) > 1:
        raise LanguageError(
            "Models are joined here without rows to predict for.",
            hint="Add the rows: FROM <dataset> d JOIN <model> m JOIN <other model> o.",
            where=position_of(text, used[1].node.this),
        )
    (name, shape), version = of_model[id(used[0].node)]
    return _Row(text, root, select, used[0], name, shape, marked).split(version)


def _check_offsets(root: exp.Expr) -> None:
    """A moment with an offset is the same everywhere, or refused: it would be UTC over HTTP, and local time here."""
    from sqlglot import exp

    for node in root.find_all(exp.Cast):
        if has_offset(node):
            raise InputError(
                f"TIMESTAMP '{node.this.this}' has an offset, and TIMESTAMP has none: it would be dropped.",
                hint=f"Write TIMESTAMPTZ '{node.this.this}', which is read in UTC.",
            )


def _select_of(used: list[Named], text: str) -> exp.Select:
    """The one SELECT that has all the models directly in its FROM and JOIN."""
    from sqlglot import exp

    found: list[exp.Select] = []
    for table in used:
        parent = table.node.parent
        select = parent.parent if isinstance(parent, exp.From | exp.Join) else None
        if not isinstance(select, exp.Select):
            raise UnsupportedError(
                f"Model `{table.name}` stands where this version cannot use it.",
                hint="Use models directly in FROM or JOIN of a SELECT.",
                where=position_of(text, table.node.this),
            )
        if all(select is not s for s in found):
            found.append(select)
    if len(found) > 1:
        raise UnsupportedError(
            "This version uses models in one SELECT of a query, not in several.",
            hint="Join the models to the same rows, or run the parts as queries of their own.",
            where=position_of(text, used[-1].node.this),
        )
    return found[0]


def _check_pins(text: str, used: list[Named], pins: tuple[Pin, ...]) -> None:
    """A version is a model's, a snapshot is a dataset's."""
    ends = {end for t in used for end in ends_of(t)}
    for pin in pins:
        if (pin.end in ends) is (pin.version is not None):
            continue
        is_model = pin.end in ends
        raise LanguageError(
            f"`{pin.name}` is {'a model' if is_model else 'not a model'}, so it has no "
            f"{'snapshots' if is_model else 'versions'}.",
            hint="Write FOR VERSION n after a model."
            if is_model
            else "Write FOR SNAPSHOT 'id' after a dataset.",
            where=place(text, max(0, pin.end - len(pin.name)), pin.end),
        )


def _version(table: Named, pins: tuple[Pin, ...]) -> int | None:
    return next((p.version for p in pins if p.end in ends_of(table)), None)


class _Row:
    """One prediction being split off; lives only for one call."""

    def __init__(
        self,
        text: str,
        root: exp.Expr,
        select: exp.Select,
        table: Named,
        name: str,
        shape: ModelShape,
        marked: bool = False,
    ) -> None:
        self.text, self.root, self.select, self.table = text, root, select, table
        self.name, self.shape, self.marked = name, shape, marked
        self.inputs = {i.lower(): i for i in shape.inputs}
        self.outputs = {o.lower(): o for o in shape.outputs}
        self.given: dict[str, Literal | Marker | Several] = {}
        self.wanted: set[str] = set()

    def split(self, version: int | None) -> RowPrediction:
        where = self.select.args.get("where")
        for part in conjuncts(where.this if where is not None else None):
            self._take(part)
        self.select.set("where", None)
        self._expand_stars()
        self._read_columns()
        self._over_prediction()
        inputs = tuple((i, self.given[i]) for i in self.shape.inputs if i in self.given)
        wanted = tuple(o for o in self.shape.outputs if o in self.wanted)
        return RowPrediction(self.name, version, inputs, wanted, self.root.sql(dialect="duckdb"))

    def _take(self, part: exp.Expr) -> None:
        """An input given by `input = literal` or `input IN (literals)`; anything else is refused."""
        from sqlglot import exp

        column, value = _equality(part)
        if column is None:
            raise InputError(
                f"`{part.sql(dialect='duckdb')}` does not give an input of model `{self.name}`.",
                hint="Write input = value or input IN (values), joined by AND. To predict for many rows, join them: FROM <dataset> d JOIN "
                f"{self.name} m. To filter what comes out, put this SELECT in parentheses and filter around it.",
                where=position_of(self.text, part),
            )
        key = self._own(column)
        if key not in self.inputs:
            raise self._no_input(column, key)
        found: Literal | Marker | Several = None if value is None else self._value(value)
        if found is None and not isinstance(value, exp.Null | None):
            raise InputError(
                f"Input `{self.inputs[key]}` of model `{self.name}` needs a plain value.",
                hint="Write a number, a 'string', TRUE, FALSE, NULL, DATE '...', TIMESTAMP '...' or TIMESTAMPTZ '...'.",
                where=position_of(self.text, column),
            )
        name = self.inputs[key]
        if name in self.given and (self.given[name] != found or type(self.given[name]) is not type(found)):
            raise InputError(
                f"Input `{name}` of model `{self.name}` is given twice, with different values.",
                hint="Keep one of them.",
                where=position_of(self.text, column),
            )
        self.given[name] = found

    def _value(self, value: exp.Expr) -> Literal | Marker | Several:
        """What is given: a literal, the place of one, or those of a list without the same twice; None for anything else."""
        from sqlglot import exp

        if isinstance(value, exp.Tuple):
            found = [literal(v) for v in value.expressions]
            plain = found and all(v is not None for v in found)
            return Several(tuple(dict.fromkeys(found))) if plain else None
        return self._marker(value) or literal(value)

    def _marker(self, value: exp.Expr) -> Marker | None:
        from sqlglot import exp

        bare = value.unnest()
        named = isinstance(bare, exp.Placeholder) and str(bare.this).isdigit()
        return Marker(int(bare.this)) if self.marked and named else None

    def _no_input(self, column: exp.Expr, key: str) -> InputError:
        said = parts_of(column)[-1]
        where = position_of(self.text, column)
        if key in self.outputs:
            return InputError(
                f"`{said}` is an output of model `{self.name}`, not an input.",
                hint="Put this SELECT in parentheses and filter around it. "
                + did_you_mean(said, self.shape.inputs, "inputs"),
                where=where,
            )
        return self.shape.no_input(self.name, said, where)

    def _own(self, column: exp.Expr) -> str:
        """The column's name in lower case, once its qualifier is seen to be the model."""
        *qualifiers, name = parts_of(column)
        if qualifiers and qualifiers[-1].lower() not in (self.table.alias.lower(), self.table.name.lower()):
            raise UnknownNameError(
                f"There is no table `{'.'.join(qualifiers)}` in this query.",
                hint=f"The model is called `{self.table.alias}` here.",
                where=position_of(self.text, column),
            )
        return name.lower()

    def _expand_stars(self) -> None:
        """`*` and `model.*` are the outputs, then the inputs."""
        from sqlglot import exp

        items: list[exp.Expr] = []
        for item in self.select.expressions:
            star = item.this if isinstance(item, exp.Column) else item
            if not isinstance(star, exp.Star):
                items.append(item)
                continue
            if any(star.args.get(k) for k in ("replace", "rename", "ilike", "like")):
                raise UnsupportedError(
                    "Of what can stand after `*`, this version has only EXCLUDE over models.",
                    hint="List the columns.",
                )
            left_out = {e.name.lower() for e in star.args.get("except_") or ()}
            names = (*self.shape.outputs, *self.shape.inputs)
            items += [_column(n) for n in names if n.lower() not in left_out]
        self.select.set("expressions", items)

    def _read_columns(self) -> None:
        """Note the outputs that the query reads; refuse names that the model does not have."""
        from sqlglot import exp

        aliases = {e.alias.lower() for e in self.select.expressions if e.alias}
        for column in list(self.select.find_all(exp.Column)):
            if column.find_ancestor(exp.Query) is not self.select:
                continue
            key = self._own(column)
            if key in self.outputs:
                self.wanted.add(self.outputs[key])
            elif key not in self.inputs and (key not in aliases or len(parts_of(column)) > 1):
                names = (*self.shape.outputs, *self.shape.inputs)
                raise UnknownNameError(
                    f"Model `{self.name}` has no output `{column.name}`.",
                    hint=did_you_mean(column.name, names, "outputs and inputs"),
                    where=position_of(self.text, column),
                )

    def _over_prediction(self) -> None:
        from sqlglot import exp

        alias = exp.TableAlias(this=exp.to_identifier(self.table.alias, quoted=True))
        source = exp.Table(this=exp.to_identifier(PREDICTION), alias=alias)
        self.select.set("from_", exp.From(this=source))


def _equality(part: exp.Expr) -> tuple[exp.Expr | None, exp.Expr | None]:
    """`(column, value)` of `column = value`, `value = column`, `column IN (...)` (a tuple) or `column IS NULL` (value None); else nothing."""
    from sqlglot import exp

    if isinstance(part, exp.EQ):
        if isinstance(part.this, exp.Column):
            return part.this, part.expression
        if isinstance(part.expression, exp.Column):
            return part.expression, part.this
    if (
        isinstance(part, exp.Is)
        and isinstance(part.expression, exp.Null)
        and isinstance(part.this, exp.Column)
    ):
        return part.this, None
    if isinstance(part, exp.In) and isinstance(part.this, exp.Column) and part.expressions:
        return part.this, exp.Tuple(expressions=[e.copy() for e in part.expressions])
    return None, None


def _column(name: str) -> exp.Expr:
    from sqlglot import exp

    return exp.Column(this=exp.to_identifier(name, quoted=True))
