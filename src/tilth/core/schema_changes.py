"""What became of a table's columns between two looks: added, dropped, retyped, or, as it seems, renamed."""

from __future__ import annotations

from dataclasses import dataclass

from tilth.core.schema import Field, Schema

ADDED, DROPPED, RETYPED, RENAMED = "added", "dropped", "retyped", "renamed"


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """One column that is not as it was. `was` and `now` are types in capitals; of a rename `now` is the new name."""

    change: str
    column: str
    was: str | None = None
    now: str | None = None

    def words(self, place: str | None = None) -> str:
        """It as a sentence without its end; `place` is source.table, where it is not said beside."""
        column = f"column `{self.column}`" + (f" of {place}" if place else "")
        if self.change == RETYPED:
            return f"{column} was retyped from {self.was} to {self.now}"
        if self.change == RENAMED:
            return f"{column} is gone, and `{self.now}` of the same type stands in its place: it may have been renamed"
        return f"{column} is new" if self.change == ADDED else f"{column} was dropped"


def differences(was: Schema, now: Schema) -> tuple[SchemaChange, ...]:
    """What differs, by name without regard to case, in the order of what was. Columns that only moved do not count.

    A column that is gone counts as renamed when a new one of its type stands at its place, and all else is where it was.

    >>> from tilth.core.schema import DataType
    >>> differences(Schema((Field("a", DataType.INTEGER),)), Schema((Field("a", DataType.STRING),)))[0].words("ops.t")
    'column `a` of ops.t was retyped from INTEGER to STRING'
    """
    before, after = ({f.name.lower(): f for f in s} for s in (was, now))
    out = []
    taken: set[str] = set()
    for place, field in enumerate(was):
        found = after.get(field.name.lower())
        if found is None:
            twin = _twin(field, place, was, now, set(before))
            if twin is not None:
                taken.add(twin.lower())
                out.append(SchemaChange(RENAMED, field.name, field.type.value.upper(), twin))
            else:
                out.append(SchemaChange(DROPPED, field.name, field.type.value.upper()))
        elif found.type is not field.type:
            out.append(SchemaChange(RETYPED, field.name, field.type.value.upper(), found.type.value.upper()))
    new = [f for f in now if f.name.lower() not in before and f.name.lower() not in taken]
    return (*out, *(SchemaChange(ADDED, f.name, None, f.type.value.upper()) for f in new))


def _twin(field: Field, place: int, was: Schema, now: Schema, before: set[str]) -> str | None:
    """The name of the new column in the place of one that is gone."""
    if len(was) != len(now):
        return None
    other = now.fields[place]
    return other.name if other.name.lower() not in before and other.type is field.type else None
