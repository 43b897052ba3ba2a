"""How what two generations, or two environments, point at differs: what is new, what is gone, and what points elsewhere or says something else."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from tilth.plan.snapshot import Pointer
from tilth.runtime.record import environments
from tilth.runtime.record.environments import Generation
from tilth.runtime.record.rows import Reader

NEW, GONE, OTHER, POINTS = "new", "gone", "declared otherwise", "points elsewhere"


@dataclass(frozen=True, slots=True)
class Apart:
    """One difference. `was` and `now` are what was and is pointed at; `lines` how the declarations differ, as a unified diff."""

    kind: str
    name: str
    what: str  # new | gone | declared otherwise | points elsewhere
    was: str | None
    now: str | None
    lines: tuple[str, ...] = ()


def apart(was: Iterable[Pointer], now: Iterable[Pointer]) -> tuple[Apart, ...]:
    """The differences by kind and name, in the order in which kinds are made."""
    old = {(p.kind, p.name): p for p in was}
    new = {(p.kind, p.name): p for p in now}
    order = {kind: place for place, kind in enumerate(dict.fromkeys(k for k, _ in (*old, *new)))}
    found = []
    for kind, name in sorted({*old, *new}, key=lambda key: (order[key[0]], key[1])):
        before, after = old.get((kind, name)), new.get((kind, name))
        if before is None or after is None:
            found.append(
                Apart(kind.value, name, NEW if before is None else GONE, _target(before), _target(after))
            )
        elif before.text != after.text:
            lines = difflib.unified_diff(before.text.splitlines(), after.text.splitlines(), lineterm="", n=1)
            found.append(Apart(kind.value, name, OTHER, before.target, after.target, tuple(lines)[2:]))
        elif (before.recipe, before.target) != (after.recipe, after.target):
            found.append(Apart(kind.value, name, POINTS, before.target, after.target))
    return tuple(found)


def _target(one: Pointer | None) -> str | None:
    return None if one is None else one.target


@dataclass(frozen=True, slots=True)
class Standing:
    """An environment with its current generation, and how it differs from the one that serves."""

    name: str
    generation: Generation | None
    pointers: int
    apart: tuple[Apart, ...]


def standings(reader: Reader, serving: str) -> tuple[Standing, ...]:
    """Every environment, the serving one first."""
    known = environments.names(reader)
    serves = environments.checked(reader, serving)[1] if serving in known else ()
    out = []
    for name in sorted(known, key=lambda n: (n != serving, n)):
        number, pointers = environments.checked(reader, name)
        differs = () if name == serving else apart(serves, pointers)
        out.append(Standing(name, environments.generation(reader, name, number), len(pointers), differs))
    return tuple(out)
