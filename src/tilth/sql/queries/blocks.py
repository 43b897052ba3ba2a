"""Models in several SELECTs of one query: each of them becomes a query of its own, whose rows the rest reads as a frame.

Subqueries, the queries of WITH and the branches of UNION are taken out as they stand, the outermost first, with the WITH that they
see; what is within one is split again when it is asked. The SELECT of the whole query, if it has models itself, stays.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilth.core.names import quoted
from tilth.sql.language.parameters import FRAMES
from tilth.sql.language.trees import Named, named_tables, tree
from tilth.sql.queries.timetravel import Pin, ends_of, time_travel

if TYPE_CHECKING:
    from sqlglot import exp

NAME = "tilth_select_{}"
_PINNED = "tilth_pinned_{}"


@dataclass(frozen=True, slots=True)
class Block:
    """A SELECT that is asked by itself. `again`: the rest may read its rows more than once."""

    frame: str
    sql: str
    again: bool


@dataclass(frozen=True, slots=True)
class Blocks:
    """The rest of a query, and the SELECTs whose rows it reads."""

    outer: str
    blocks: tuple[Block, ...]


def blocks(sql: str, models: Collection[str]) -> Blocks | None:
    """The query in parts; None where at most one SELECT has models in its FROM. `models` are names in lower case."""
    lowered = sql.lower()
    if sum(lowered.count(name) for name in models) < 2:
        return None
    text, pins = time_travel(sql)
    root = tree(text).copy()
    used = [t for t in named_tables(root) if t.key in models]
    selects = _selects(used)
    if selects is None or len(selects) < 2:
        return None
    marks = mark(named_tables(root), pins)
    taken = [s for s in selects if s is not root and not any(_within(s, o) for o in selects if o not in (s, root))]  # fmt: skip
    found = []
    for number, select in enumerate(taken):
        frame = NAME.format(number)
        found.append(Block(frame, unmarked(_whole(select), marks), _again(select)))
    for block, select in zip(found, taken, strict=True):
        select.replace(_frame(block.frame))
    return Blocks(unmarked(root.sql(dialect="duckdb"), marks), tuple(found))


def _selects(used: list[Named]) -> list[exp.Expr] | None:
    """The SELECTs that have models in their FROM; None where a model stands elsewhere."""
    from sqlglot import exp

    out: list[exp.Expr] = []
    for table in used:
        parent = table.node.parent
        select = parent.parent if isinstance(parent, exp.From | exp.Join) else None
        if not isinstance(select, exp.Select):
            return None
        if all(select is not s for s in out):
            out.append(select)
    return out


def _within(node: exp.Expr, other: exp.Expr) -> bool:
    """Whether the node lies in the other."""
    at = node.parent
    while at is not None:
        if at is other:
            return True
        at = at.parent
    return False


def _frame(name: str) -> exp.Expr:
    from sqlglot import exp

    table = exp.Table(this=exp.to_identifier(name, quoted=True), db=exp.to_identifier(FRAMES, quoted=True))
    return exp.Select(expressions=[exp.Star()], from_=exp.From(this=table))


def _whole(select: exp.Expr) -> str:
    """The SELECT as a query of its own, with the queries of WITH around it that it may name."""
    from sqlglot import exp

    own = select.args.get("with_")
    seen = {c.alias.lower() for c in own.expressions} if own is not None else set()
    around: list[exp.Expr] = []
    recursive = bool(own is not None and own.args.get("recursive"))
    for with_, before in _around(select):
        fresh = [c for c in before if c.alias.lower() not in seen]
        seen |= {c.alias.lower() for c in fresh}
        around = [c.copy() for c in fresh] + around
        recursive = recursive or bool(with_.args.get("recursive"))
    if not around:
        return str(select.sql(dialect="duckdb"))
    made = select.copy()
    mine = [c.copy() for c in own.expressions] if own is not None else []
    made.set("with_", exp.With(expressions=[*around, *mine], recursive=recursive))
    return str(made.sql(dialect="duckdb"))


def _around(node: exp.Expr) -> Iterator[tuple[exp.Expr, list[exp.Expr]]]:
    """Each WITH that the node sees, the nearest first, with those of its queries that stand before the node."""
    from sqlglot import exp

    inside, at = node, node.parent
    while at is not None:
        if isinstance(at, exp.With):
            place = next(i for i, c in enumerate(at.expressions) if c is inside)
            yield at, list(at.expressions[:place])
        elif (with_ := at.args.get("with_")) is not None and with_ is not inside:
            yield with_, list(with_.expressions)
        inside, at = at, at.parent


def _again(select: exp.Expr) -> bool:
    """Whether it is part of a query of WITH, which may be named more than once, or of one that runs for each row."""
    from sqlglot import exp

    at = select.parent
    while at is not None:
        if isinstance(at, exp.CTE | exp.In | exp.Exists | exp.Lateral):
            return True
        at = at.parent
    return False


def mark(tables: Iterator[Named], pins: tuple[Pin, ...]) -> dict[str, str]:
    """Give each table that is held to a version or snapshot a name of its own; what it stands for, by that name."""
    from sqlglot import exp

    marks: dict[str, str] = {}
    by_end = {pin.end: pin for pin in pins}
    for table in list(tables):
        pin = next((by_end[e] for e in ends_of(table) if e in by_end), None)
        if pin is None:
            continue
        mark = _PINNED.format(len(marks))
        name = ".".join(quoted(i.name) for i in table.identifiers)
        held = f"VERSION {pin.version}" if pin.version is not None else f"SNAPSHOT '{pin.snapshot}'"
        marks[mark] = f"{name} FOR {held}"
        if not table.node.alias:
            table.node.set("alias", exp.TableAlias(this=exp.to_identifier(table.name, quoted=True)))
        table.node.set("this", exp.to_identifier(mark))
        table.node.set("db", None)
        table.node.set("catalog", None)
    return marks


def unmarked(sql: str, marks: dict[str, str]) -> str:
    """The text with what `mark` named in the place of those names."""
    for mark in sorted(marks, key=len, reverse=True):
        sql = sql.replace(mark, marks[mark])
    return sql
