"""`JOIN prices AS OF e.t p ON p.id = e.id`: of a dataset the newest row that had happened, and was known, at a time of the other side.

It becomes DuckDB's ASOF JOIN, edited in place. Of a dataset with KNOWN AT, a row can be seen from when it had happened and was
known on; what is seen at a time is the newest by event time, and of one event the one that became known last. As time goes
on that changes only where a row appears that is newer than all that were seen before, so the join is one over those rows,
by the time that they appeared: a late correction takes the place of what it corrects from then on, and what was
known late of an old event never takes the place of a newer one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilth.core.errors import LanguageError, Position, ProjectError, UnsupportedError
from tilth.core.names import in_query
from tilth.sql.language.tokens import Cursor
from tilth.sql.language.trees import Named, conjuncts, named_tables, parts_of, shifted, tree
from tilth.sql.queries import asof
from tilth.sql.queries.asof import AsOf
from tilth.sql.queries.timetravel import time_travel

if TYPE_CHECKING:
    from sqlglot import exp

_WRITE = "Write: FROM events e JOIN prices AS OF e.t p ON p.id = e.id."
_SHIFT = 18_446_744_073_709_551_616  # 2 ** 64: microseconds of the event time before those of the time that it was known


@dataclass(frozen=True, slots=True)
class Timed:
    """By which columns a dataset's rows happened and became known, and which are its key."""

    event_time: str | None = None
    known_at: str | None = None
    key: tuple[str, ...] = ()


Datasets = Callable[[], Mapping[str, Timed]]
"""The datasets that may be joined, by lower name; asked only where there is an AS OF."""


def joined(sql: str, datasets: Datasets, at: Position | None = None) -> str:
    """The query with its AS OF joins as DuckDB has them; itself where there is none. `at`: where it begins in its file.

    >>> joined("FROM e JOIN p AS OF e.t ON p.id = e.id", lambda: {"p": Timed("t", None, ("id", "t"))})
    'FROM e ASOF JOIN p AS p ON e.t >= p.t AND p.id = e.id'
    """
    if not asof.maybe(sql):
        return sql
    c = Cursor(sql)
    if not (uses := asof.found(c)):
        return sql
    known, tables = datasets(), list(named_tables(tree(time_travel(sql)[0])))
    try:
        edits = [e for use in uses for e in _Joined(c, use, tables, known).edits()]
    except (LanguageError, ProjectError, UnsupportedError) as error:
        error.where = shifted(error.where, at)
        raise
    for start, end, text in sorted(edits, reverse=True):
        sql = sql[:start] + text + sql[end:]
    return sql


class _Joined:
    """One AS OF join being read; lives only for one call."""

    def __init__(self, c: Cursor, use: AsOf, tables: Sequence[Named], datasets: Mapping[str, Timed]) -> None:
        self.c, self.use = c, use
        self.table = self._table(tables)
        self.timed = self._timed(datasets)
        node = self.table.node
        self.alias = node.alias or node.name
        self.shown = in_query(self.alias)
        self.start = min(int(i.meta["start"]) for i in self.table.identifiers)

    def edits(self) -> Iterator[tuple[int, int, str]]:
        """(from, to, what stands there then): the join's word, the table, and its condition."""
        c = self.c
        first = self._join()
        begin, end = self._condition()
        equal, own = self._parts(begin, end)
        seen, relation = self._relation([right for right, _ in equal], own)
        words = [f"{self.use.time} >= {seen}", *(text for _, text in equal)]
        yield c.tokens[first].start, c.tokens[first].start, "ASOF "
        yield self.start, c.tokens[begin - 2].end + 1, f"{relation} AS {self.shown}"
        yield c.tokens[begin].start, c.tokens[end - 1].end + 1, " AND ".join(words)

    # --- what is joined ---

    def _table(self, tables: Sequence[Named]) -> Named:
        c, first = self.c, self.c.tokens[self.use.first].start
        text = time_travel(c.text)[0]
        for table in tables:
            end = int(table.node.this.meta["end"]) + 1
            if end <= first and not text[end:first].strip():
                return table
        raise LanguageError(
            "AS OF stands behind the name of a dataset in a JOIN, and this is none.",
            hint=_WRITE,
            where=self._place(),
        )

    def _timed(self, datasets: Mapping[str, Timed]) -> Timed:
        name, schema = self.table.name, self.table.schema
        said = f"{schema}.{name}" if schema else name
        found = None if schema else datasets.get(name.lower())
        if found is None:
            timed = sorted(n for n, t in datasets.items() if t.event_time)
            there = f"Datasets with an EVENT TIME: {', '.join(timed)}." if timed else ""
            declare = f"Declare one: CREATE DATASET {name} KEY (...) EVENT TIME ... AS SELECT * FROM {said}."
            raise UnsupportedError(
                f"AS OF joins a dataset, whose times are declared, and there is none that is called `{said}`.",
                hint=f"{declare if schema else ''} {there or declare}".strip(),
                where=self._place(),
            )
        if found.event_time is None:
            raise ProjectError(
                f"AS OF asks when rows of `{said}` happened, and the dataset has no EVENT TIME.",
                hint="Add EVENT TIME <column> to it.",
                where=self._place(),
            )
        return found

    def _join(self) -> int:
        """The token at which its JOIN begins."""
        from sqlglot import exp

        join = self.table.node.parent
        if not isinstance(join, exp.Join):
            raise LanguageError("AS OF stands in a JOIN.", hint=_WRITE, where=self._place())
        side, kind, method = (str(join.args.get(k) or "").upper() for k in ("side", "kind", "method"))
        if side not in ("", "LEFT") or kind not in ("", "INNER", "OUTER") or method:
            raise UnsupportedError(
                f"AS OF gives each row of the left side one of `{self.table.name}`, and this join is {side or kind or method}.",
                hint="Write JOIN or LEFT JOIN.",
                where=self._place(),
            )
        c = self.c
        i = next(n for n, t in enumerate(c.tokens) if t.start == self.start) - 1
        while i and c.keys[i - 1] in ("LEFT", "INNER", "OUTER"):
            i -= 1
        if c.keys[i] == ",":
            raise LanguageError("AS OF stands in a JOIN.", hint=_WRITE, where=self._place())
        return i

    # --- its condition ---

    def _condition(self) -> tuple[int, int]:
        """From which token to which (exclusive) the condition behind ON goes."""
        c = self.c
        c.i = self.use.last
        if c.take("AS") or (c.at_name and c.key not in asof.AFTER):
            c.i += 1
        i = c.i
        if c.key != "ON" or i + 1 >= len(c.keys):
            raise LanguageError(
                "An AS OF join says by ON which rows belong together.",
                hint=f"{_WRITE} Without a key: ON TRUE.",
                where=self._place(),
            )
        end = i + 1
        while end < len(c.keys) and not self._over(end):
            end = asof.closing(c, end) + 1 if c.keys[end] and c.keys[end] in "([{" else end + 1
        return i + 1, end

    def _over(self, i: int) -> bool:
        """Whether token `i` is behind the condition. LEFT and RIGHT are functions, too."""
        key = self.c.keys[i]
        if key in (",", ")", ";"):
            return True
        called = i + 1 < len(self.c.keys) and self.c.keys[i + 1] == "("
        return key in asof.AFTER - {"FROM"} and not (called and key in ("LEFT", "RIGHT"))

    def _parts(self, begin: int, end: int) -> tuple[list[tuple[exp.Expr, str]], list[str]]:
        """The equalities, each with the dataset's side of it, and the conditions on the dataset alone."""
        from sqlglot import exp

        c = self.c
        text = c.text[c.tokens[begin].start : c.tokens[end - 1].end + 1]
        self._check_time()
        equal, own = [], []
        for part in conjuncts(tree(f"SELECT {text}").expressions[0]):
            shown = part.sql(dialect="duckdb")
            if isinstance(part, exp.Boolean) and part.this:
                continue
            both = [part.this, part.expression] if isinstance(part, exp.EQ) else [part]
            sides = [self._side(p) for p in both]
            if sorted(sides) == ["left", "right"]:
                equal.append((both[sides.index("right")], shown))
            elif set(sides) <= {"right", "none"} and "right" in sides:
                own.append(f"({shown})")
            else:
                raise UnsupportedError(
                    f"An AS OF join is by equalities of both sides, and by conditions on `{self.alias}` alone: `{shown}` is neither.",
                    hint="Put conditions on other tables into WHERE.",
                    where=self._place(),
                )
        return equal, own

    def _side(self, part: exp.Expr) -> str:
        """Whose columns an expression has: left, right, both or none."""
        from sqlglot import exp

        if part.find(exp.Query):
            raise UnsupportedError("A subquery in the ON of an AS OF join is not in this version.", hint="Join what it asks, and put the condition into WHERE.", where=self._place())  # fmt: skip
        heads = set()
        for column in part.find_all(exp.Column):
            names = parts_of(column)
            if len(names) == 1:
                raise LanguageError(
                    f"`{names[0]}` may be a column of either side of an AS OF join.",
                    hint=f"Write {self.shown}.{names[0]}, or the other table's name before it.",
                    where=self._place(),
                )
            heads.add(names[0].lower() == self.alias.lower())
        return {0: "none", 2: "both"}.get(len(heads), "right" if True in heads else "left")

    def _check_time(self) -> None:
        if self._side(tree(f"SELECT {self.use.time}").expressions[0]) != "left":
            raise LanguageError(
                f"The time behind AS OF is one of the rows that `{self.alias}` is joined to, and `{self.use.time}` is not.",
                hint=_WRITE,
                where=self._place(),
            )

    # --- what is seen ---

    def _relation(self, sides: Sequence[exp.Expr], own: Sequence[str]) -> tuple[str, str]:
        """From when on a row can be seen, and the dataset with only the rows that are seen at some time."""
        c, timed = self.c, self.timed
        assert timed.event_time is not None
        said = c.text[self.start : c.tokens[self.use.first].start].rstrip()
        event, known = (None if n is None else f"{self.shown}.{in_query(n)}" for n in (timed.event_time, timed.known_at))  # fmt: skip
        assert event is not None
        equal, alone = [s.sql(dialect="duckdb") for s in sides], self._alone(sides)
        if alone and known is None and not own:
            return event, said
        needed = [f"{m} IS NOT NULL" for m in (event, known) if m is not None]
        rows = f"SELECT * FROM {said} AS {self.shown} WHERE {' AND '.join([*needed, *own])}"
        if not alone:
            by = ", ".join([*equal, event, *([known] if known else [])])
            last = ", ".join(f"{self.shown}.{in_query(k)} DESC" for k in timed.key) or f"{self.shown} DESC"
            rows += f" QUALIFY row_number() OVER (PARTITION BY {by} ORDER BY {last}) = 1"
        if known is None:
            return event, f"({rows})"
        seen = f"greatest({event}, {known})"
        newest = f"(epoch_us({event}::TIMESTAMP)::HUGEINT * {_SHIFT} + epoch_us({known}::TIMESTAMP))"
        among = f"PARTITION BY {', '.join(equal)} " if equal else ""
        rows = f"SELECT * FROM ({rows}) AS {self.shown}" if not alone else rows
        return seen, f"({rows} QUALIFY {newest} = max({newest}) OVER ({among}ORDER BY {seen}))"

    def _alone(self, sides: Sequence[exp.Expr]) -> bool:
        """Whether what the rows are joined by tells them apart: their key is among it and their times."""
        from sqlglot import exp

        names = [parts_of(s)[1] for s in sides if isinstance(s, exp.Column) and len(parts_of(s)) == 2]
        tells = {n.lower() for n in (*names, self.timed.event_time, self.timed.known_at) if n}
        return bool(self.timed.key) and {k.lower() for k in self.timed.key} <= tells

    def _place(self) -> Position:
        return self.c.position(self.use.first, self.use.last)
