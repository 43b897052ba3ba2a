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

    @property
    def remembered(self) -> str:
        """The name that its history is kept under."""
        return self.origin or self.name

    @property
    def recipes(self) -> tuple[str, ...]:
        """All that its recipe is, or was, called."""
        return (self.recipe, *self.earlier)

    def as_(self, cls: type[D]) -> D:
        """The declaration, known to be of that class."""
        if not isinstance(self.declaration, cls):
            raise TypeError(f"{self.name} is a {self.kind}, not a {cls.__name__}")
        return self.declaration
