"""What was asked and done: the table `statements`. Noted beside the audit chain, since nothing is decided by it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from tilth.core.time import Instant, show_instant
from tilth.runtime.record.rows import Reader, State, real_or_none, text, text_or_none, whole, whole_or_none

MOST = 100_000  # statements that are kept, the newest
ERASED = "(forgotten)"  # in the place of a text


@dataclass(frozen=True, slots=True)
class Noted:
    """One statement that is over."""

    id: str
    began_at: str
    principal: str
    door: str
    environment: str
    status: str  # done | failed | cancelled
    text: str
    seconds: float
    rows: int | None
    code: str | None


def note(state: State, statements: Sequence[Noted]) -> None:
    """Note them."""
    state.note("add_statement", [asdict(s) for s in statements])


def newest(reader: Reader, principal: str, limit: int) -> tuple[Noted, ...]:
    """The newest statements of somebody that came by HTTP, newest first."""
    return tuple(
        Noted(
            text(r, "id"), text(r, "began_at"), text(r, "principal"), text(r, "door"), text(r, "environment"), text(r, "status"), text(r, "text"),
            real_or_none(r, "seconds") or 0.0, whole_or_none(r, "rows"), text_or_none(r, "code"),
        )
        for r in reader.read("statements_of", principal=principal, door="http", limit=limit)
    )  # fmt: skip


def forget(state: State, before: Instant, most: int = MOST) -> None:
    """Forget those that began before, and all but the newest."""
    state.note("forget_statements", [{"before": show_instant(before), "most": most}])


def erase(state: State, told: Callable[[str], bool]) -> int:
    """Take the texts away of which that is so; who asked, when and how it ended stays. How many."""
    found = [whole(r, "number") for r in state.read("statement_texts") if told(text(r, "text"))]
    state.note("erase_statement", [{"number": n, "text": ERASED} for n in found])
    return len(found)
