"""Column types and schemas, in words that are the same for every source, engine and door.

Physical types (Arrow, SQLite, PostgreSQL) belong to adapters; this is what they translate to.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from tilth.core.errors import UnknownNameError
from tilth.core.names import did_you_mean


class DataType(StrEnum):
    BOOLEAN = "boolean"
    INTEGER = "integer"
    FLOAT = "float"
    DECIMAL = "decimal"
    STRING = "string"
    DATE = "date"
    TIME = "time"
    TIMESTAMP = "timestamp"
    INTERVAL = "interval"
    BINARY = "binary"
    JSON = "json"
    SHARES = "map(string, float)"  # a number by name: how likely each class is
    UUID = "uuid"
    OTHER = "other"


NUMERIC = frozenset({DataType.BOOLEAN, DataType.INTEGER, DataType.FLOAT, DataType.DECIMAL})
TEMPORAL = frozenset({DataType.DATE, DataType.TIMESTAMP})


@dataclass(frozen=True, slots=True)
class Field:
    """A named, typed column."""

    name: str
    type: DataType
    nullable: bool = True


@dataclass(frozen=True, slots=True)
class Schema:
    """An ordered set of fields; names are unique without regard to case."""

    fields: tuple[Field, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f.name for f in self.fields)

    def __iter__(self) -> Iterator[Field]:
        return iter(self.fields)

    def __len__(self) -> int:
        return len(self.fields)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.find(name) is not None

    def find(self, name: str) -> Field | None:
        """The field of exactly that name, else the first without regard to case."""
        low = name.lower()
        exact = (f for f in self.fields if f.name == name)
        return next(exact, None) or next((f for f in self.fields if f.name.lower() == low), None)

    def field(self, name: str) -> Field:
        """The field of that name; raises UnknownNameError with the nearest."""
        if (found := self.find(name)) is None:
            raise UnknownNameError(
                f"There is no column `{name}`.", hint=did_you_mean(name, self.names, "columns")
            )
        return found

    def plain(self) -> list[dict[str, object]]:
        """The schema as JSON-able values; `from_plain` reads it back."""
        return [{"name": f.name, "type": f.type.value, "nullable": f.nullable} for f in self.fields]

    @classmethod
    def from_plain(cls, rows: list[dict[str, object]]) -> Schema:
        return cls(
            tuple(
                Field(str(r["name"]), DataType(str(r["type"])), bool(r.get("nullable", True))) for r in rows
            )
        )
