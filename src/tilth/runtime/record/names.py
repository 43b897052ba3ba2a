"""Names that lead to the history of another: what RENAMED FROM took along, and which names anything is remembered of.

Rows of versions, gates, looks, refreshes, revisions, notices and messages lie under the first name that a resource had, its
origin; the queries find them by each later name too, and say the name that was asked for or that an environment uses now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tilth.core.time import Instant, show_instant
from tilth.plan.snapshot import Pointer
from tilth.resources.naming import Called, Histories
from tilth.runtime.record.rows import Change, Reader, Row, text
from tilth.sql.language.statements import Kind


def histories(reader: Reader) -> Histories:
    """Which names are remembered, and which lead to the history of another."""
    return Histories(_taken(reader), frozenset(_called(r) for r in reader.read("names_kept")))


def origins(reader: Reader) -> Histories:
    """Only which names lead to the history of another: `kept` is empty."""
    return Histories(_taken(reader))


@dataclass(frozen=True, slots=True)
class Now:
    """What environments call now what has, or had, another name somewhere, by environment, kind and first name."""

    names: Mapping[tuple[str, Kind, str], str]

    def of(self, kind: Kind, origin: str, *environments: str) -> str:
        """What the first of these environments that has it calls it; else what any other does."""
        for environment in environments:
            if (found := self.names.get((environment, kind, origin))) is not None:
                return found
        others = (name for (_, k, first), name in self.names.items() if (k, first) == (kind, origin))
        return next(others, origin)


def now(reader: Reader) -> Now:
    """What environments call things."""
    rows = [(text(r, "environment"), *_called(r), text(r, "origin")) for r in reader.read("names_now")]
    return Now({(environment, kind, origin): name for environment, kind, name, origin in rows})


def add(change: Change, taken: Iterable[tuple[Called, str]], at: Instant) -> None:
    """Names, each with the origin that it leads to from now on."""
    for (kind, name), origin in taken:
        change.write("add_name", kind=kind.value, name=name, origin=origin, at=show_instant(at))


def forget(change: Change, names: Iterable[Called]) -> None:
    """Names lead nowhere any more."""
    for kind, name in names:
        change.write("forget_name", kind=kind.value, name=name)


def unused(reader: Reader) -> tuple[Called, ...]:
    """Names that lead to a history and that no generation holds."""
    return tuple(_called(r) for r in reader.read("unused_names"))


def as_called(pointers: Iterable[Pointer], known: Histories) -> Mapping[str, str]:
    """Names that what is pointed at had, or has elsewhere, with the one that it has here."""
    return {n: p.name for p in pointers for n in known.names(p.kind, p.name) if n != p.name}


def _taken(reader: Reader) -> tuple[tuple[Called, str], ...]:
    return tuple((_called(r), text(r, "origin")) for r in reader.read("names"))


def _called(row: Row) -> Called:
    return Kind(text(row, "kind")), text(row, "name")
