"""The graph of a project: resources with what they depend on, in an order in which each comes after what it needs."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from tilth.core.errors import CycleError, UnknownNameError
from tilth.core.names import did_you_mean
from tilth.resources.kinds import Resource
from tilth.sql.language.statements import Kind


@dataclass(frozen=True, slots=True)
class Graph:
    """Made by `Graph.of`; iterates in topological order, ties by name, so equal projects give equal graphs."""

    resources: tuple[Resource, ...] = ()
    _index: Mapping[str, Resource] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_index", {r.name: r for r in self.resources})

    @classmethod
    def of(cls, *resources: Resource) -> Graph:
        """The graph of these resources; CycleError with the path when they depend on each other.

        A dependency that is not among the resources is left open: `compiler` sees to it that a project has none.
        """
        return cls(_ordered({r.name: r for r in resources}))

    def __iter__(self) -> Iterator[Resource]:
        return iter(self.resources)

    def __len__(self) -> int:
        return len(self.resources)

    def __contains__(self, name: object) -> bool:
        return name in self._index

    def find(self, name: str) -> Resource | None:
        """The resource of that name, or None."""
        return self._index.get(name)

    def get(self, name: str) -> Resource:
        """The resource of that name; UnknownNameError with the nearest."""
        if (found := self._index.get(name)) is None:
            raise UnknownNameError(
                f"There is no `{name}` in this project.", hint=did_you_mean(name, self._index, "declared")
            )
        return found

    def of_kind(self, kind: Kind) -> tuple[Resource, ...]:
        """The resources of a kind, in order."""
        return tuple(r for r in self.resources if r.kind is kind)

    def upstream(self, name: str) -> tuple[Resource, ...]:
        """All that it is made from, in order."""
        return self._picked(_closure(self.get(name).depends, {r.name: r.depends for r in self.resources}))

    def downstream(self, name: str) -> tuple[Resource, ...]:
        """All that is made from it, in order."""
        users = _users(self.resources)
        return self._picked(_closure(users.get(self.get(name).name, ()), users))

    def with_(self, resource: Resource) -> Graph:
        """The graph with this resource added, or put in the place of the one of its name."""
        return Graph.of(*(r for r in self.resources if r.name != resource.name), resource)

    def without(self, name: str) -> Graph:
        """The graph without this resource; UnknownNameError when it has none such."""
        gone = self.get(name)
        return Graph.of(*(r for r in self.resources if r is not gone))

    def restricted_to(self, names: Iterable[str]) -> Graph:
        """The graph of these resources and all that they are made from."""
        wanted = [self.get(n).name for n in names]
        return Graph(self._picked(_closure(wanted, {r.name: r.depends for r in self.resources})))

    def _picked(self, names: set[str]) -> tuple[Resource, ...]:
        return tuple(r for r in self.resources if r.name in names)


def _users(resources: Iterable[Resource]) -> dict[str, list[str]]:
    users: dict[str, list[str]] = {}
    for r in resources:
        for needed in r.depends:
            users.setdefault(needed, []).append(r.name)
    return users


def _ordered(by_name: Mapping[str, Resource]) -> tuple[Resource, ...]:
    """Whatever is ready comes next, the smallest name first."""
    users = _users(by_name.values())
    waits = {n: sum(d in by_name for d in set(r.depends)) for n, r in by_name.items()}
    ready = [n for n, left in waits.items() if not left]
    heapq.heapify(ready)
    out: list[Resource] = []
    while ready:
        name = heapq.heappop(ready)
        out.append(by_name[name])
        for user in set(users.get(name, ())):
            waits[user] -= 1
            if not waits[user]:
                heapq.heappush(ready, user)
    if len(out) < len(by_name):
        raise _cycle(by_name, {n for n, left in waits.items() if left})
    return tuple(out)


def _cycle(by_name: Mapping[str, Resource], stuck: set[str]) -> CycleError:
    name, path = min(stuck), list[str]()
    while name not in path:
        path.append(name)
        name = min(d for d in by_name[name].depends if d in stuck)
    circle = path[path.index(name) :]
    first = circle.index(min(circle))
    shown = [*circle[first:], *circle[:first], circle[first]]
    return CycleError(
        f"These depend on each other: {' -> '.join(shown)}.",
        hint="Break the circle: one of them must not read the next.",
        where=by_name[shown[0]].declaration.position,
    )


def _closure(start: Iterable[str], edges: Mapping[str, Iterable[str]]) -> set[str]:
    found: set[str] = set()
    left = list(start)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += edges.get(name, ())
    return found
