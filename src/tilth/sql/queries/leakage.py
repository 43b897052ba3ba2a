"""Whether a dataset's query can hand a row something that came after its event time, judged from the text alone.

A row is what its own table says of it. What is joined to it, or reckoned over other rows, is proven not to leak where the text
bounds it by the row's event time: AS OF, an ASOF JOIN or a condition `other.time <= row.time`, a window that ends at the row.
All else is unproven: not a leak, but nothing in the text rules one out (`ml.data.untimely` then tries it).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilth.core.schema import TEMPORAL, Schema
from tilth.sql.language.trees import (
    Named,
    Relation,
    conjuncts,
    holds_aggregate,
    named_tables,
    parts_of,
    relations,
    selects_of,
    tree,
)
from tilth.sql.queries.outputs import inner_query, relation_names
from tilth.sql.queries.pointintime import Timed

if TYPE_CHECKING:
    from sqlglot import exp

_OF_ALL = frozenset(
    ["ntile", "percentrank", "cumedist", "percent_rank", "cume_dist", "lead", "last_value", "lastvalue"]
)
"""Window functions that see later rows whatever their frame is; `last_value` is no harm, and seldom what is meant."""


@dataclass(frozen=True, slots=True)
class Bound:
    """One thing that a query joins or reckons: what it is, by what it is bound in time, or why nothing bounds it."""

    what: str
    proven: bool
    why: str
    table: str | None = None  # its key, where it is a table that may be tried


def bounds(
    sql: str, event_time: str | None, schemas: Mapping[str, Schema], datasets: Mapping[str, Timed]
) -> tuple[Bound, ...]:
    """What the query joins and reckons, in the order written; nothing where each row is one of one table.

    `sql` has AS OF as a join; `schemas` are of its tables by `source.table` or a dataset's name, `datasets` their times.

    >>> [b.proven for b in bounds("SELECT e.t, p.x FROM s.e ASOF JOIN s.p ON p.id = e.id AND e.t >= p.t", "t", {}, {})]
    [True]
    """
    root = tree(sql)
    known = {k.lower(): v for k, v in schemas.items()}
    return tuple(_Judge(root, known, datasets).of(root, event_time))


class _Judge:
    """A query being judged; lives only for one call."""

    def __init__(self, root: exp.Expr, known: Mapping[str, Schema], datasets: Mapping[str, Timed]) -> None:
        self.root, self.known, self.datasets = root, known, datasets
        self.named = {id(t.node): t for t in named_tables(root)}

    def of(self, query: exp.Expr, output: str | None) -> Iterator[Bound]:
        """The bounds of a query whose rows happen at its column `output`."""
        from sqlglot import exp

        while isinstance(query, exp.Subquery) and not query.alias:
            query = query.this
        if isinstance(query, exp.SetOperation):
            yield from self.of(query.this, output)
            yield from self.of(query.expression, self._beside(query, output))
            return
        select = selects_of(query)
        if select is None:
            yield Bound("the query", False, "it is none of SELECT")
            return
        base = self._base(select, output) if output is not None else None
        if base is None:
            yield Bound("the query", False, "its EVENT TIME is no plain column of a table" if output else "the dataset has no EVENT TIME")  # fmt: skip
            return
        yield from self._own(base)
        for r in relations(select):
            if r.node is not base[0].node and (found := self._joined(select, r, base)) is not None:
                yield found
        yield from self._reckoned(select, base)

    def _beside(self, query: exp.SetOperation, output: str | None) -> str | None:
        """What the second query of two calls the column that the first calls `output`."""
        first, second = selects_of(query.this), selects_of(query.expression)
        if output is None or first is None or second is None or query.args.get("by_name"):
            return output
        names = [p.alias_or_name.lower() for p in first.expressions]
        if output.lower() not in names or len(names) != len(second.expressions):
            return output
        return str(second.expressions[names.index(output.lower())].alias_or_name)

    # --- the rows themselves ---

    def _base(self, select: exp.Expr, output: str) -> tuple[Relation, str] | None:
        """The relation whose rows the query has, and its column that is the event time."""
        from sqlglot import exp

        of = relations(select)
        found: exp.Expr | None = None
        for p in select.expressions:
            if p.alias_or_name.lower() == output.lower() and isinstance(p.unalias(), exp.Column):
                found = p.unalias()
        if found is not None and not isinstance(found.this, exp.Star):
            parts = parts_of(found)
            hits = [r for r in of if len(parts) > 1 and r.alias.lower() == parts[-2].lower()]
            hits = hits or ([r for r in of if self._has(r, parts[-1])] if len(parts) == 1 else [])
            return (hits[0], parts[-1]) if len(hits) == 1 else None
        if any(isinstance(s, exp.Star) or isinstance(s.this, exp.Star) for s in select.expressions):
            hits = [r for r in of if self._has(r, output)]
            return (hits[0], output) if hits else None
        return None

    def _has(self, r: Relation, name: str) -> bool:
        names = relation_names(r, self.named, self.known, self.root)
        return names is not None and name.lower() in {n.lower() for n in names}

    def _own(self, base: tuple[Relation, str]) -> Iterator[Bound]:
        """What stands between the rows and their table: nothing, another query, or a time at which they became known."""
        r, column = base
        table = self.named.get(id(r.node))
        if table is None:
            inner = inner_query(r.node, self.root, once=False)
            if inner is None:
                yield Bound(r.alias, False, "what it is cannot be told")
            else:
                yield from self.of(inner, column)
            return
        timed = self._timed(table)
        if timed is not None and timed.known_at is not None and timed.known_at.lower() != column.lower():
            yield Bound(
                table.name,
                False,
                f"its rows were known at `{timed.known_at}`, and happen at `{column}`",
                table.key,
            )

    # --- what is joined ---

    def _joined(self, select: exp.Expr, r: Relation, base: tuple[Relation, str]) -> Bound | None:
        from sqlglot import exp

        node = r.node
        if isinstance(node, exp.Unnest | exp.Lateral | exp.Values) and not any(node.find_all(exp.Table)):
            return None  # of the row itself, or the same for all
        table, behind = self.named.get(id(node)), self._as_of(node)
        what = f"{table.schema}.{table.name}" if table is not None and table.schema else (behind or r.alias)
        key = table.key if table is not None else None
        where = select.args.get("where")
        conditions = conjuncts(r.join.args.get("on") if r.join is not None else None)
        conditions += conjuncts(where.this if where is not None else None)
        by = next(filter(None, (self._bounding(c, r, base) for c in conditions)), None)
        if by is None:
            return Bound(what, False, "nothing in its JOIN says when its rows happened", key)
        timed = self.datasets.get((behind or (table.name if table is not None and not table.schema else "")).lower())  # fmt: skip
        if table is None and behind is None:
            return Bound(what, False, f"it is a query of its own, and its rows at `{by}` may be made of later ones")  # fmt: skip
        if timed is not None and timed.known_at is not None and behind is None:
            return Bound(what, False, f"joined by `{by}`, and known only at `{timed.known_at}`: write AS OF", key)  # fmt: skip
        return Bound(what, True, f"as of `{by}`", key)

    def _as_of(self, node: exp.Expr) -> str | None:
        """The dataset behind a subquery that AS OF was made into."""
        from sqlglot import exp

        if not isinstance(node, exp.Subquery):
            return None
        tables = [self.named.get(id(t)) for t in node.find_all(exp.Table)]
        first = tables[0] if len(tables) == 1 else None
        if first is None or self._timed(first) is None:
            return None
        inner = next((s for s in node.find_all(exp.Select) if s.args.get("joins") or s.args.get("group")), None)  # fmt: skip
        starred = all(len(s.expressions) == 1 and isinstance(s.expressions[0], exp.Star) for s in node.find_all(exp.Select))  # fmt: skip
        return first.name if inner is None and starred else None

    def _timed(self, table: Named) -> Timed | None:
        return None if table.schema else self.datasets.get(table.name.lower())

    def _bounding(self, part: exp.Expr, r: Relation, base: tuple[Relation, str]) -> str | None:
        """The row's time in a condition that the other's rows are not later than it."""
        from sqlglot import exp

        if isinstance(part, exp.GTE | exp.GT):
            ours, theirs = part.this, part.expression
        elif isinstance(part, exp.LTE | exp.LT):
            ours, theirs = part.expression, part.this
        elif isinstance(part, exp.EQ):
            ours, theirs = part.this, part.expression
            if not self._is_time(ours, base):
                ours, theirs = theirs, ours
        else:
            return None
        if not self._is_time(ours, base) or not self._is_moment(theirs, r):
            return None
        return str(ours.sql(dialect="duckdb"))

    def _is_time(self, node: exp.Expr, base: tuple[Relation, str]) -> bool:
        """Whether it is the row's event time, or an interval before it."""
        from sqlglot import exp

        while isinstance(node, exp.Paren):
            node = node.this
        if isinstance(node, exp.Sub) and isinstance(node.expression, exp.Interval):
            amount = node.expression.this
            if not isinstance(amount, exp.Literal) or str(amount.this).lstrip().startswith("-"):
                return False
            node = node.this
        if not isinstance(node, exp.Column):
            return False
        parts = parts_of(node)
        r, column = base
        if parts[-1].lower() != column.lower():
            return False
        return parts[-2].lower() == r.alias.lower() if len(parts) > 1 else self._has(r, column)

    def _is_moment(self, node: exp.Expr, r: Relation) -> bool:
        """Whether it is a column of times of the relation, or the later of some."""
        from sqlglot import exp

        if isinstance(node, exp.Greatest):
            return all(self._is_moment(n, r) for n in [node.this, *node.expressions])
        if not isinstance(node, exp.Column):
            return False
        parts = parts_of(node)
        if len(parts) > 1 and parts[-2].lower() != r.alias.lower():
            return False
        table = self.named.get(id(r.node))
        schema = self.known.get(table.key) if table is not None else None
        field = schema.find(parts[-1]) if schema is not None else None
        return field is None and len(parts) > 1 if schema is None else field is not None and field.type in TEMPORAL  # fmt: skip

    # --- what is reckoned over other rows ---

    def _reckoned(self, select: exp.Expr, base: tuple[Relation, str]) -> Iterator[Bound]:
        from sqlglot import exp

        group = select.args.get("group")
        grouped = group is not None or any(holds_aggregate(p) for p in select.expressions)
        if grouped and not any(self._is_time(g, base) for g in (group.expressions if group else ())):
            yield Bound("GROUP BY", False, "rows of a group may be later than its time")
        distinct = select.args.get("distinct")
        if distinct is not None and distinct.args.get("on") is not None:
            yield Bound("DISTINCT ON", False, "which rows are there depends on others")
        for word in ("qualify", "limit", "offset", "sample"):
            if select.args.get(word) is not None:
                yield Bound(word.upper(), False, "which rows are there depends on others")
        seen = set()
        for p in [*select.expressions, select.args.get("where")]:
            if p is None:
                continue
            for w in p.find_all(exp.Window):
                found = self._window(w, base)
                if found not in seen:
                    seen.add(found)
                    yield found
            if p.find(exp.Query):
                yield Bound("a subquery", False, "its rows are not bound by the row's time")
            if p.find(exp.CurrentDate, exp.CurrentTimestamp, exp.CurrentTime):
                yield Bound("the time of the collection", False, "a row is another at each refresh")

    def _window(self, window: exp.Expr, base: tuple[Relation, str]) -> Bound:
        from sqlglot import exp

        text = window.sql(dialect="duckdb")
        what = text if len(text) <= 60 else f"{text[:59]}…"
        order, function = window.args.get("order"), window.this
        while isinstance(function, exp.IgnoreNulls | exp.RespectNulls | exp.Filter):
            function = function.this
        name = function.name if isinstance(function, exp.Anonymous) else type(function).__name__
        step = function.args.get("offset") if isinstance(function, exp.Lag) else None
        if name.lower() in _OF_ALL or (step is not None and not isinstance(step, exp.Literal)):
            return Bound(what, False, "it sees later rows")
        first = order.expressions[0] if order is not None else None
        forward = isinstance(first, exp.Ordered) and not first.args.get("desc")
        if first is None or not forward or not self._is_time(first.this, base):
            return Bound(what, False, "its rows are not in the order of the event time")
        frame = window.args.get("spec")
        end = str(frame.args.get("end") or "").upper() if frame is not None else "CURRENT ROW"
        side = str(frame.args.get("end_side") or "").upper() if frame is not None else ""
        if "FOLLOWING" in (end, side) or "FOLLOWING" in end:
            return Bound(what, False, "its frame reaches behind the row")
        return Bound(what, True, "its frame ends at the row")
