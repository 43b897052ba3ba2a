"""What a kind says to the planner: what a resource asks for, given what is; and what deciders of kinds have in common.

The rows are in `tilth.kinds`; `planner` and `alone` know no kind but from them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import takewhile
from typing import TypeAlias

from tilth.core.time import Instant
from tilth.plan.actions import Action, Estimate, Note, Redeclare
from tilth.plan.snapshot import Current, Pointer
from tilth.resources.kinds import Resource

Outcome: TypeAlias = tuple[tuple[Action, ...], tuple[Note, ...]]
NOTHING: Outcome = ((), ())
LONG, ROUND = 120, 20  # characters of a line that are shown, and of it before what differs


def _no_notes(_wanted: tuple[Resource, ...]) -> Iterable[Note]:
    return ()


def pointed_at(resource: Resource, current: Current) -> bool:
    """Whether the environment points at something of that name."""
    return current.pointer(resource.kind, resource.name) is not None


@dataclass(frozen=True, slots=True)
class Deciding:
    """One kind for the planner."""

    decide: Callable[[Resource, Current, Instant], Outcome]
    actions: tuple[type, ...]  # that it decides on and other kinds do not
    notes: Callable[[tuple[Resource, ...]], Iterable[Note]] = (
        _no_notes  # of all that is wanted, taken together
    )
    is_there: Callable[[Resource, Current], bool] = pointed_at  # whether others can be made from it


def estimate(current: Current, action: type, name: str) -> Estimate:
    """What an action of that class took for that name the last times."""
    known = current.cost(action.__name__, name)
    return Estimate(known.seconds, known.memory) if known else Estimate()


def changed(resource: Resource, pointer: Pointer) -> str:
    """Which lines of the declaration differ, or that something upstream does."""
    if pointer.text == resource.text:
        return "something it is made from changed"
    before, after = pointer.text.splitlines(), resource.text.splitlines()
    known = {line.rstrip(",;") for line in before}
    new = [number for number, line in enumerate(after) if line.rstrip(",;") not in known]
    return f"changed: {_around(_line(after, new[0]), before)}" if new else "a clause was removed"


def _around(line: str, before: list[str]) -> str:
    """A long line, such as that of a query: its first word, and what stands where it begins to differ.

    >>> _around("AS SELECT " + "a, " * 40 + "b FROM s.t WHERE c > 0", ["AS SELECT " + "a, " * 40 + "b FROM s.t"])
    'AS ... a, a, a, a, b FROM s.t WHERE c > 0'
    """
    if len(line) <= LONG:
        return line
    same = max((_alike(line, old.strip()) for old in before), default=0)
    head = line.split(maxsplit=1)[0]
    start = max(line.rfind(" ", 0, max(same - ROUND, 0)), len(head)) + 1
    seen = line[start : start + LONG].rstrip()
    return f"{head} {'... ' * (start > len(head) + 1)}{seen}{' ...' * (start + LONG < len(line))}"


def _alike(one: str, other: str) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _line(lines: list[str], number: int) -> str:
    """The line as it may stand alone: a list that begins there is closed after its first item.

    >>> _line(["CREATE DATASET d", "  EXPECT (", "    a > 0 ON FAIL STOP,", "    b > 0 ON FAIL STOP", "  )"], 1)
    'EXPECT (a > 0 ON FAIL STOP, ...)'
    """
    line = lines[number].strip().rstrip(",;")
    if not line.endswith("(") or number + 1 >= len(lines):
        return line
    first = lines[number + 1].strip()
    return f"{line}{first.rstrip(',')}{', ...' * first.endswith(',')})"


def redeclared(resource: Resource, pointer: Pointer) -> Outcome:
    """What a changed text without a changed recipe asks for."""
    if pointer.text == resource.text:
        return NOTHING
    why = changed(resource, pointer)
    return (Redeclare(resource.kind, resource.name, resource.recipe, why),), ()
