"""What is done to rows of a dataset by a person: FORGET FROM d WHERE ..., RELEASE QUARANTINE d WHERE ... [SET c = expr] BECAUSE '...', and
HOLD QUARANTINE d WHERE ... BECAUSE '...', which takes it back.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tilth.core.errors import Position
from tilth.core.names import in_query, literal
from tilth.sql.language import writing
from tilth.sql.language.tokens import Cursor


@dataclass(frozen=True, slots=True)
class ForgetFrom:
    """`FORGET FROM customers WHERE id = 7`. `where` is a condition on a row, verbatim."""

    name: str
    where: str
    position: Position | None = field(default=None, compare=False)  # of the condition

    @property
    def without_values(self) -> str:
        """The statement without its condition: what it is to forget is written nowhere."""
        return f"FORGET FROM {in_query(self.name)} WHERE ..."


@dataclass(frozen=True, slots=True)
class ReleaseQuarantine:
    """`RELEASE QUARANTINE orders WHERE id = 7 SET amount = abs(amount) BECAUSE 'sign of the old till'`; texts verbatim."""

    name: str
    where: str
    because: str
    sets: tuple[tuple[str, str], ...] = ()  # column and expression over the row
    position: Position | None = field(default=None, compare=False)  # of the condition


@dataclass(frozen=True, slots=True)
class HoldQuarantine:
    """`HOLD QUARANTINE orders WHERE id = 7 BECAUSE 'the till was right'`; the condition is verbatim."""

    name: str
    where: str
    because: str
    position: Position | None = field(default=None, compare=False)  # of the condition


def release(c: Cursor) -> ReleaseQuarantine:
    """`QUARANTINE d WHERE condition [SET column = expression, ...] BECAUSE '...'`."""
    c.expect("QUARANTINE", hint="Write RELEASE QUARANTINE orders WHERE id = 7 BECAUSE 'why'.")
    name = c.name("a dataset's name", fold=True)
    what = f"RELEASE QUARANTINE {name}"
    where, at = condition(c, what, frozenset({"SET", "BECAUSE", ";"}))
    sets: list[tuple[str, str]] = []
    if c.take("SET"):
        while True:
            column = c.name("a column", reserved=False)
            c.expect("=", hint=f"Write SET {column} = an expression over the row.")
            first = c.i
            c.skip_to(frozenset({",", "BECAUSE", ";"}))
            if c.i == first:
                c.fail(f"Expected an expression here{c.instead()}.", f"Write SET {column} = abs({column}).")
            sets.append((column, c.slice(first, c.i)))
            if not c.take(","):
                break
    return ReleaseQuarantine(name, where, _because(c, f"{what} WHERE {where}"), tuple(sets), at)


def hold(c: Cursor) -> HoldQuarantine:
    """`QUARANTINE d WHERE condition BECAUSE '...'`."""
    c.expect("QUARANTINE", hint="Write HOLD QUARANTINE orders WHERE id = 7 BECAUSE 'why'.")
    name = c.name("a dataset's name", fold=True)
    what = f"HOLD QUARANTINE {name}"
    where, at = condition(c, what, frozenset({"BECAUSE", ";"}))
    return HoldQuarantine(name, where, _because(c, f"{what} WHERE {where}"), at)


def _because(c: Cursor, what: str) -> str:
    """`BECAUSE 'the reason'`."""
    c.expect("BECAUSE", hint=f"Write {what} BECAUSE 'the reason'.")
    spot = c.i
    because = c.string("a reason").strip()
    if not because:
        c.fail("The reason is empty.", "Say in a few words why.", at=spot)
    return because


def show_release(s: ReleaseQuarantine) -> str:
    sets = ", ".join(f"{in_query(column)} = {expression}" for column, expression in s.sets)
    how = f" SET {sets}" if sets else ""
    return f"RELEASE QUARANTINE {writing.name(s.name)} WHERE {s.where}{how} BECAUSE {literal(s.because)}"


def show_hold(s: HoldQuarantine) -> str:
    return f"HOLD QUARANTINE {writing.name(s.name)} WHERE {s.where} BECAUSE {literal(s.because)}"


def forget(c: Cursor) -> ForgetFrom:
    """`FROM d WHERE condition`."""
    c.expect("FROM", hint="Write FORGET FROM customers WHERE id = 7.")
    name = c.name("a dataset's name", fold=True)
    where, at = condition(c, f"FORGET FROM {name}", frozenset({";"}))
    return ForgetFrom(name, where, at)


def condition(c: Cursor, what: str, ends: frozenset[str]) -> tuple[str, Position]:
    """`WHERE condition`, which may not be left out, up to one of these words; its text and place."""
    c.expect("WHERE", hint=f"Write {what} WHERE and a condition on a row: WHERE id = 7.")
    first = c.i
    c.skip_to(ends)
    if c.i == first:
        c.fail("The condition is empty.", f"Write {what} WHERE id = 7.")
    return c.slice(first, c.i), c.position(first)


def show_forget(s: ForgetFrom) -> str:
    return f"FORGET FROM {writing.name(s.name)} WHERE {s.where}"
