"""What a name means in a SELECT over models: a column of the data, a model's output or input, or an alias.

Unqualified names are the data's first, then outputs of models. Used by `joins`, which takes such a SELECT apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tilth.core.errors import LanguageError, UnknownNameError
from tilth.core.names import did_you_mean
from tilth.core.schema import Schema
from tilth.sql.language.trees import Relation, parts_of, position_of, relations
from tilth.sql.queries.outputs import relation_columns
from tilth.sql.queries.shapes import Binding, ModelShape

if TYPE_CHECKING:
    from sqlglot import exp


@dataclass(slots=True)
class Data:
    """A relation of the data; its columns in order, or None when they are not known."""

    relation: Relation
    columns: tuple[str, ...] | None
    names: dict[str, str] = field(default_factory=dict)  # lower case -> as declared

    def find(self, name: str) -> str | None:
        return self.names.get(name.lower())


@dataclass(slots=True)
class Model:
    relation: Relation
    name: str
    shape: ModelShape
    version: int | None
    bound: dict[str, Binding] = field(default_factory=dict)
    wanted: dict[str, str] = field(default_factory=dict)  # output -> flat name

    def input(self, name: str) -> str | None:
        return next((i for i in self.shape.inputs if i.lower() == name.lower()), None)

    def output(self, name: str) -> str | None:
        return next((o for o in self.shape.outputs if o.lower() == name.lower()), None)


@dataclass(frozen=True, slots=True)
class Ref:
    """What a column of the query is: kind data | output | input | alias | unknown."""

    kind: str
    owner: Data | Model | None = None
    name: str = ""
    rest: tuple[str, ...] = ()  # fields of a struct column


class Scope:
    """The names of one SELECT. `of_model` are the models in its FROM and JOIN by node identity, with their version."""

    def __init__(
        self,
        text: str,
        root: exp.Expr,
        select: exp.Select,
        of_model: Mapping[int, tuple[tuple[str, ModelShape], int | None]],
        schemas: Mapping[str, Schema],
    ) -> None:
        self.text, self.select = text, select
        self.of = relations(select)
        self.data: list[Data] = []
        self.models: list[Model] = []
        for r in self.of:
            if (found := of_model.get(id(r.node))) is not None:
                self.models.append(Model(r, found[0][0], found[0][1], found[1]))
            else:
                columns = relation_columns(r, root, schemas)
                self.data.append(Data(r, columns, {c.lower(): c for c in columns or ()}))
        self.merged = self._using()
        self.aliases = {e.alias.lower() for e in select.expressions if e.alias}

    def _using(self) -> dict[str, list[Data]]:
        """Columns that JOIN ... USING merges, with the relations that have them."""
        out: dict[str, list[Data]] = {}
        for d in self.data:
            for i in (d.relation.join.args.get("using") or ()) if d.relation.join is not None else ():
                out[i.name.lower()] = [o for o in self.data if o.find(i.name) or o.columns is None]
        return out

    def resolve(self, column: exp.Expr) -> Ref:
        """What the column is; UnknownNameError or LanguageError when it is nothing, or could be several things."""
        parts = parts_of(column)
        if len(parts) == 1:
            return self._unqualified(column, parts[0])
        for skip in range(len(parts) - 1):  # `schema.table.column` has a qualifier of two
            owner = self.owner(parts[: skip + 1])
            if owner is not None:
                return self._member(column, owner, parts[skip + 1], parts[skip + 2 :])
        first = self._unqualified(column, parts[0], quiet=True)
        if first.kind == "data":
            return Ref("data", first.owner, first.name, parts[1:])
        names = [r.alias for r in self.of]
        raise UnknownNameError(
            f"There is no table `{parts[0]}` in this query.",
            hint=did_you_mean(parts[0], names, "tables"),
            where=position_of(self.text, column),
        )

    def owner(self, qualifier: tuple[str, ...]) -> Data | Model | None:
        """The relation that a qualifier names."""
        from sqlglot import exp

        low = tuple(q.lower() for q in qualifier)
        owners: list[Data | Model] = [*self.data, *self.models]
        for o in owners:
            node = o.relation.node
            if len(low) == 1 and o.relation.alias.lower() == low[0]:
                return o
            named = (
                (node.db.lower(), node.name.lower()) if isinstance(node, exp.Table) and not node.alias else ()
            )
            if low == named:
                return o
        return None

    def _member(self, column: exp.Expr, owner: Data | Model, name: str, rest: tuple[str, ...]) -> Ref:
        if isinstance(owner, Data):
            found = owner.find(name) or (name if owner.columns is None else None)
            if found is not None:
                return Ref("data", owner, found, rest)
            known: tuple[str, ...] = owner.columns or ()
            what = f"`{owner.relation.alias}` has no column `{name}`."
        else:
            if (output := owner.output(name)) is not None:
                return Ref("output", owner, output)
            if (input_ := owner.input(name)) is not None:
                return Ref("input", owner, input_)
            known = (*owner.shape.outputs, *owner.shape.inputs)
            what = f"Model `{owner.name}` has no output or input `{name}`."
        raise UnknownNameError(
            what, hint=did_you_mean(name, known, "names"), where=position_of(self.text, column)
        )

    def _unqualified(self, column: exp.Expr, name: str, quiet: bool = False) -> Ref:
        low = name.lower()
        if low in self.merged:
            return Ref("data", None, name)
        hits = [d for d in self.data if d.find(name)]
        unsure = [d for d in self.data if d.columns is None]
        if len(hits) + len(unsure) == 1 and hits:
            return Ref("data", hits[0], hits[0].find(name) or name)
        if len(hits) > 1:
            raise self._ambiguous(column, name, [d.relation.alias for d in hits])
        outputs = [m for m in self.models if m.output(name)]
        if not hits and len(outputs) == 1:
            return Ref("output", outputs[0], outputs[0].output(name) or name)
        if not hits and len(outputs) > 1:
            raise self._ambiguous(column, name, [m.relation.alias for m in outputs])
        if low in self.aliases and not hits:
            return Ref("alias", None, name)
        inputs = [m for m in self.models if m.input(name)]
        if not hits and not unsure and len(inputs) == 1:
            return Ref("input", inputs[0], inputs[0].input(name) or name)
        if len(unsure) == 1 and not hits:
            return Ref("data", unsure[0], name)
        if hits or unsure:
            raise self._ambiguous(column, name, [d.relation.alias for d in (*hits, *unsure)])
        if quiet:
            return Ref("unknown")
        known = [n for d in self.data for n in d.columns or ()] + [
            o for m in self.models for o in m.shape.outputs
        ]
        raise UnknownNameError(
            f"There is no column `{name}` in this query.",
            hint=did_you_mean(name, known, "columns"),
            where=position_of(self.text, column),
        )

    def _ambiguous(self, column: exp.Expr, name: str, aliases: list[str]) -> LanguageError:
        return LanguageError(
            f"`{name}` can be a column of {' or of '.join(f'`{a}`' for a in aliases)}.",
            hint=f"Say which: {aliases[0]}.{name}.",
            where=position_of(self.text, column),
        )

    def own_columns(self, part: exp.Expr) -> Iterator[exp.Expr]:
        """Columns of this SELECT in the expression; of subqueries only those that name a relation of this SELECT."""
        from sqlglot import exp

        mine = {r.alias.lower() for r in self.of}
        for column in list(part.find_all(exp.Column)):
            if isinstance(column.this, exp.Star):
                continue
            hidden = False
            for query in _queries(column, part):
                if query is self.select:
                    break
                inner = (
                    {r.alias.lower() for r in relations(query)} if isinstance(query, exp.Select) else set()
                )
                head = parts_of(column)[0].lower()
                hidden = hidden or len(parts_of(column)) == 1 or head in inner or head not in mine
            if not hidden:
                yield column


def _queries(node: exp.Expr, part: exp.Expr) -> Iterator[exp.Expr]:
    """The queries around a node, up to the part. No further: a long AND is a deep tree, with each condition at its end."""
    from sqlglot import exp

    at: exp.Expr | None = node
    while at is not None and at is not part:
        at = at.parent
        if isinstance(at, exp.Query):
            yield at
