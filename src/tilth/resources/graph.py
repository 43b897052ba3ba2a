"""The graph of a project: resources with what they depend on, in an order in which each comes after what it needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tilth.core.errors import CycleError, UnknownNameError
from tilth.core.names import did_you_mean
from tilth.resources.kinds import Resource
from tilth.sql.statements import Kind


@dataclass(frozen=True, slots=True)
class Graph:
    """Made by `Graph.of`; iterates in topological order, ties by name, so equal projects give equal graphs."""

    resources: tuple[Resource, ...] = ()

    @classmethod
    def of(cls, *resources: Resource) -> Graph:
        """The graph of these resources; CycleError with the path when they depend on each other."""
        by_name = {r.name: r for r in sorted(resources, key=lambda r: r.name)}
        order: dict[str, Resource] = {}
        for name in by_name:
            _visit(name, by_name, order, ())
        return cls(tuple(order.values()))

    def __iter__(self) -> Iterator[Resource]:
        return iter(self.resources)

    def __len__(self) -> int:
        return len(self.resources)

    def find(self, name: str) -> Resource | None:
        return next((r for r in self.resources if r.name == name), None)

    def get(self, name: str) -> Resource:
        """The resource of that name; UnknownNameError with the nearest."""
        if (found := self.find(name)) is None:
            names = [r.name for r in self.resources]
            raise UnknownNameError(
                f"There is no `{name}` in this project.", hint=did_you_mean(name, names, "declared")
            )
        return found

    def of_kind(self, kind: Kind) -> tuple[Resource, ...]:
        return tuple(r for r in self.resources if r.kind is kind)

    def upstream(self, name: str) -> tuple[Resource, ...]:
        """All that it is made from, in order."""
        needed = _closure(self.get(name).depends, {r.name: r.depends for r in self.resources})
        return tuple(r for r in self.resources if r.name in needed)

    def downstream(self, name: str) -> tuple[Resource, ...]:
        """All that is made from it, in order."""
        users = {r.name: tuple(u.name for u in self.resources if r.name in u.depends) for r in self.resources}
        needed = _closure(users[self.get(name).name], users)
        return tuple(r for r in self.resources if r.name in needed)


def _visit(name: str, known: dict[str, Resource], order: dict[str, Resource], path: tuple[str, ...]) -> None:
    if name in path:
        shown = " -> ".join((*path[path.index(name) :], name))
        raise CycleError(
            f"These depend on each other: {shown}.",
            hint="Break the circle: one of them must not read the next.",
        )
    if name in order or name not in known:
        return
    for needed in sorted(known[name].depends):
        _visit(needed, known, order, (*path, name))
    order[name] = known[name]


def _closure(start: Iterable[str], edges: dict[str, tuple[str, ...]]) -> set[str]:
    found: set[str] = set()
    left = list(start)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += edges.get(name, ())
    return found
