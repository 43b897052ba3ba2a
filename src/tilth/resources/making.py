"""What a kind says to the compiler: its rules, what its declarations need, and what their recipes hold.

The rows are in `tilth.kinds`; `compiler` knows no kind but from them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from tilth.core.canonical import RECIPE
from tilth.resources.facts import Facts
from tilth.resources.kinds import TableRef
from tilth.sql.language.statements import Declaration

Known: TypeAlias = Mapping[str, Declaration]
"""All declarations of a project by name."""
Names: TypeAlias = Mapping[str, str]
"""Names of resources by those that they take the place of."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a declaration needs of others, each of which is declared."""

    upstream: tuple[str, ...] = ()  # their recipes go into this one's
    sources: tuple[
        tuple[object, ...], ...
    ] = ()  # name, engine and how it reads, which go into it as they are
    others: tuple[str, ...] = ()  # needed, but only by name
    tables: tuple[TableRef, ...] = ()  # of those sources

    @property
    def depends(self) -> tuple[str, ...]:
        """The names of all, sorted."""
        return tuple(sorted({*self.upstream, *(str(s[0]) for s in self.sources), *self.others}))


@dataclass(frozen=True, slots=True)
class Making:
    """One kind for the compiler. `recipe` is what goes into a fingerprint under the number `number`."""

    rules: Callable[[Any, Facts], None]  # raises for the first rule that the declaration breaks alone
    needs: Callable[[Any, Known], Needs]  # UnknownNameError for what is not declared
    recipe: Callable[[Any, Facts], Mapping[str, object]]
    renamed: Callable[[Any, Names], Any]  # the same declaration where resources have other names
    number: int = RECIPE
    before: Callable[[Any, Facts], Mapping[str, object]] | None = None  # what recipe 1 held otherwise
    stands_for: Callable[[Any], str] | None = None  # the query that takes the place of its name in others
    over: Callable[[Any, Mapping[str, str], Known], Any] | None = (
        None  # the same, with those queries in it by name, and AS OF as a join
    )
