"""What of an apply is published when something in it failed: each connected part that succeeded, as one generation.

What failed and was there before goes on as it was, and so do the datasets and models that it is made from, in the
declaration that it knows: a served model never stands beside rows of another recipe. What was made from those stays
away as well. What is made already is kept; the next apply shares it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import cast

from tilth.kinds import KINDS
from tilth.plan.actions import Note
from tilth.plan.snapshot import Pointer
from tilth.resources.graph import Graph
from tilth.runtime.record.declarations import declared
from tilth.sql.language.statements import Declaration, Kind

Pointers = Mapping[tuple[Kind, str], Pointer]


def settled(
    before: Pointers, after: Pointers, graph: Graph, lost: Iterable[str]
) -> tuple[Pointers, tuple[Note, ...]]:
    """The pointers to publish, and what stays as it was; `lost` are the names that were not made."""
    was = {p.name: p for p in before.values()}
    stay: dict[str, str] = {}
    left = [(name, "") for name in lost if name in was]
    seen: set[str] = set()
    while left:
        name, why = left.pop()
        if name in seen:
            continue
        seen.add(name)
        if why and _moved(name, was, after):
            stay[name] = why
        reason = f"`{name}` was not made anew" if not why else f"`{name}` stays"
        left += [(n, f"stays as it was: {reason} and needs it so") for n in _needs(name, was, after)]
        if why:
            left += [
                (n, f"is not published: {reason}, and it is made from it")
                for n in _users(name, graph, was, after)
            ]
    kept = {k: p for k, p in after.items() if p.name not in stay}
    kept |= {(p.kind, p.name): p for p in before.values() if p.name in stay}
    return kept, tuple(Note(n, stay[n], withheld=True) for n in sorted(stay))


def _moved(name: str, was: Mapping[str, Pointer], after: Pointers) -> bool:
    return was.get(name) != _now(name, after)


def _now(name: str, after: Pointers) -> Pointer | None:
    return next((p for p in after.values() if p.name == name), None)


def _needs(name: str, was: Mapping[str, Pointer], after: Pointers) -> Iterator[str]:
    """What the resource, as it was, is made from, and what has another recipe now, or is gone."""
    known = {n: cast("Declaration", declared(p.text)) for n, p in was.items()}
    making = {row.statement: row.making for row in KINDS}
    if name not in known:
        return
    for need in making[type(known[name])].needs(known[name], known).depends:
        now = _now(need, after)
        if need in was and (
            now is None or (was[need].kind is not Kind.SOURCE and now.recipe != was[need].recipe)
        ):
            yield need


def _users(name: str, graph: Graph, was: Mapping[str, Pointer], after: Pointers) -> Iterator[str]:
    """What is made from it as it is declared now, and was made."""
    found: AbstractSet[str] = {r.name for r in graph.downstream(name)} if name in graph else set()
    yield from (n for n in sorted(found) if _moved(n, was, after))
