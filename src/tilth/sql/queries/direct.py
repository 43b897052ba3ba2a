"""What a query over one prediction answers, where that is outputs, inputs and constants alone: it needs no engine then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilth.sql.language.trees import tree

if TYPE_CHECKING:
    from sqlglot import exp

BEYOND = frozenset({"expressions", "from_", "kind"})
"""Parts of a SELECT that a plain one has; any other part needs the engine."""
MOST = 2**31


@dataclass(frozen=True, slots=True)
class Taken:
    """A column of the answer: what it is called, and the column that it is, or else its constant."""

    name: str
    column: str | None
    value: str | int | bool | None = None
    renamed: bool = True  # else it is called as its table calls it, whatever the case of letters here


def direct(outer: str) -> tuple[Taken, ...] | None:
    """The columns of the answer; None where the engine is needed for them."""
    from sqlglot import exp

    root = tree(outer)
    if not isinstance(root, exp.Select) or any(v for k, v in root.args.items() if k not in BEYOND):
        return None
    found = [_taken(e) for e in root.expressions]
    known = [t for t in found if t is not None]
    same = len({t.name.lower() for t in known}) == len(known) == len(found)
    return tuple(known) if same else None


def _taken(node: exp.Expr) -> Taken | None:
    from sqlglot import exp

    inside = node.this if isinstance(node, exp.Alias) else node
    name = node.alias if isinstance(node, exp.Alias) else node.name
    if isinstance(inside, exp.Column) and not isinstance(inside.this, exp.Star):
        return Taken(name, inside.name, renamed=node is not inside)
    if not isinstance(node, exp.Alias):
        return None
    if isinstance(inside, exp.Boolean):
        return Taken(name, None, bool(inside.this))
    if isinstance(inside, exp.Literal) and inside.is_string:
        return Taken(name, None, str(inside.this))
    if isinstance(inside, exp.Literal) and inside.name.isdigit() and int(inside.name) < MOST:
        return Taken(name, None, int(inside.name))
    return None
