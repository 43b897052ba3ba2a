"""A resource: a declaration together with what it depends on and its recipe fingerprint."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from tilth.sql.language.statements import Declaration, Kind

D = TypeVar("D", bound=Declaration)


@dataclass(frozen=True, slots=True)
class TableRef:
    """A table of a source that a query reads: `source.table`."""

    source: str
    table: str


@dataclass(frozen=True, slots=True)
class Resource:
    """One declared thing. `recipe` changes exactly when what would be made changes.

    `depends` are names of other resources; `tables` the source tables that a dataset's (or model's own) query reads;
    `text` is the canonical printed form of the declaration. `earlier` are its recipes under older numbers: what was made
    by one of them is what it would be made to now. `origin` is the name that its history is kept under, where that is another.
    `made` is what it is made by, where that is another declaration: with the queries of views in the place of their names.
    """

    kind: Kind
    name: str
    declaration: Declaration
    depends: tuple[str, ...]
    recipe: str
    text: str = field(default="", compare=False)
    tables: tuple[TableRef, ...] = ()
    earlier: tuple[str, ...] = ()
    origin: str = ""
    made: Declaration | None = field(default=None, compare=False)

    @property
    def remembered(self) -> str:
        """The name that its history is kept under."""
        return self.origin or self.name

    @property
    def recipes(self) -> tuple[str, ...]:
        """All that its recipe is, or was, called."""
        return (self.recipe, *self.earlier)

    def as_(self, cls: type[D]) -> D:
        """What it is made by, known to be a declaration of that class."""
        found = self.declaration if self.made is None else self.made
        if not isinstance(found, cls):
            raise TypeError(f"{self.name} is a {self.kind}, not a {cls.__name__}")
        return found
