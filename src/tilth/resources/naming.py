"""What a resource is remembered under: its history stays where it began, whatever it is called later.

A name that was taken by RENAMED FROM leads to the history of the name before, for good: recipes are computed as if the
resource were still called so, and the state keeps its rows there. That a name is remembered is the state's to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from tilth.core.errors import ProjectError
from tilth.sql.language.statements import Declaration, Kind, RenamedFrom

Called: TypeAlias = tuple[Kind, str]


@dataclass(frozen=True, slots=True)
class Histories:
    """`taken`: names that lead to the history of another one, each with that. `kept`: names that anything is remembered of."""

    taken: tuple[tuple[Called, str], ...] = ()
    kept: frozenset[Called] = frozenset()
    _origins: Mapping[Called, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_origins", dict(self.taken))

    def origin(self, kind: Kind, name: str) -> str:
        """The name under which it is remembered: the first that it had."""
        return self._origins.get((kind, name), name)

    def names(self, kind: Kind, name: str) -> tuple[str, ...]:
        """Every name that its history had, the first one first."""
        origin = self.origin(kind, name)
        return (origin, *sorted(n for (k, n), o in self.taken if k is kind and o == origin))


def origins(known: Mapping[str, Declaration], histories: Histories) -> dict[str, str]:
    """By name, what each declaration is remembered under; ProjectError where RENAMED FROM cannot mean anything."""
    found: dict[str, str] = {}
    owners: dict[str, Declaration] = {}
    taken: dict[str, Declaration] = {}
    for d in known.values():
        if d.renamed_from is not None:
            _may_say(d, d.renamed_from, known, taken)
            taken[d.renamed_from.name] = d
    for d in known.values():
        origin = _origin(d, histories)
        if (other := owners.get(origin)) is not None:
            raise _same_history(d, other, origin)
        owners[origin], found[d.name] = d, origin
    return found


def _may_say(
    d: Declaration, said: RenamedFrom, known: Mapping[str, Declaration], taken: Mapping[str, Declaration]
) -> None:
    """Raise for a clause that is wrong whatever the state remembers."""
    if said.name == d.name:
        raise ProjectError(
            f"`{d.name}` is renamed from itself.",
            hint="Write the name that it had before, or leave RENAMED FROM out.",
            where=said.position or d.position,
        )
    if (still := known.get(said.name)) is not None:
        raise ProjectError(
            f"`{d.name}` is renamed from `{said.name}`, which is still declared at {still.position}.",
            hint=f"Take the declaration of `{said.name}` out; or leave RENAMED FROM out, where both are meant.",
            where=said.position or d.position,
        )
    if (other := taken.get(said.name)) is not None:
        raise ProjectError(
            f"`{d.name}` and `{other.name}` are both renamed from `{said.name}`: a history has one owner.",
            hint="Take RENAMED FROM out of one of them; that one is new.",
            where=said.position or d.position,
        )


def _origin(d: Declaration, histories: Histories) -> str:
    known = histories.origin(d.kind, d.name)
    if d.renamed_from is None or known != d.name:
        return known
    old = d.renamed_from.name
    before = histories.origin(d.kind, old)
    if (d.kind, old) not in histories.kept and before == old:
        _check_kind(d, d.renamed_from, histories)
        return d.name
    if (d.kind, d.name) in histories.kept and before != d.name:
        raise ProjectError(
            f"`{d.name}` has a history of its own and cannot take that of `{old}` along.",
            hint=f"Give it a name that was never used, or take RENAMED FROM out: `{old}` is then dropped. Names that no "
            f"generation holds any more are free after `tilth gc`, if nothing was made under them.",
            where=d.renamed_from.position or d.position,
        )
    return before


def _check_kind(d: Declaration, said: RenamedFrom, histories: Histories) -> None:
    """Raise when only something of another kind was ever called so."""
    kinds = sorted(kind.value for kind, name in histories.kept if name == said.name)
    if kinds and (d.kind, d.name) not in histories.kept:
        raise ProjectError(
            f"`{said.name}` was of another kind ({', '.join(kinds)}) than the {d.kind.value} `{d.name}`: a history stays with its kind.",
            hint="Take RENAMED FROM out: it is new.",
            where=said.position or d.position,
        )


def _same_history(d: Declaration, other: Declaration, origin: str) -> ProjectError:
    new, owner = (d, other) if d.name == origin else (other, d)
    return ProjectError(
        f"`{new.name}` was the name of the {owner.kind.value} that is `{owner.name}` now, and its history is kept under it.",
        hint=f"Give the new {new.kind.value} another name.",
        where=new.position,
    )
