"""What people should know of how something was made: recorded with it, and told by plan, apply, status and `tilth.notices`.

Of a dataset it is what its sources guessed or left out at the last refresh of its recipe; of a model what the training of a
version left out or found odd. Nothing is decided by it. What is found beforehand is `applying.notices`'.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tilth.core.time import Instant, show_instant
from tilth.runtime.record.rows import Change, Reader, Row, text, text_or_none

DATASET, MODEL = "dataset", "model"
SCORE = "score"
"""The kind of a notice that says how good a version is: told where it is asked by PREDICT, and nowhere as something to know."""


@dataclass(frozen=True, slots=True)
class Told:
    """One thing to know. `place` is source.table; `option` what to write to settle it, or a sentence of advice."""

    kind: str
    text: str
    place: str | None = None
    column: str | None = None
    option: str | None = None

    @property
    def words(self) -> str:
        """It as a line for people."""
        at = ".".join(p for p in (self.place, self.column) if p) if self.place else ""
        text = self.text if self.text.endswith(".") else f"{self.text}."
        advice = self.option or ""
        todo = "" if not advice else f" {advice}" if advice.endswith(".") else f" Write {advice}."
        return f"{at}: {text}{todo}" if at else f"{text}{todo}"


def of(reader: Reader, resource: str, name: str, made: str) -> tuple[Told, ...]:
    """What stands of the dataset's recipe, or of the model's version."""
    return tuple(map(_told, reader.read("notices_of", resource=resource, name=name, made=made)))


def current(reader: Reader, environment: str) -> Mapping[tuple[str, str], tuple[Told, ...]]:
    """What stands of all that the environment points at, by resource and name."""
    found: defaultdict[tuple[str, str], tuple[Told, ...]] = defaultdict(tuple)
    for r in reader.read("current_notices", environment=environment):
        if text(r, "kind") == SCORE:
            continue
        found[text(r, "resource"), text(r, "name")] += (_told(r),)
    return found


def put(change: Change, resource: str, name: str, made: str, told: Iterable[Told], at: Instant) -> None:
    """Put these in place of what stood; what was said before keeps its time."""
    known = change.read("notices_of", resource=resource, name=name, made=made)
    since = {_told(r): text(r, "at") for r in known}
    fresh, now = tuple(dict.fromkeys(told)), show_instant(at)
    if tuple(since) == fresh:
        return
    change.write("forget_notices", resource=resource, name=name, made=made)
    for one in fresh:
        change.write(
            "add_notice", resource=resource, name=name, made=made, kind=one.kind, place=one.place,
            column_name=one.column, text=one.text, option=one.option, at=since.get(one, now),
        )  # fmt: skip


def lines(told: Sequence[Told]) -> tuple[str, ...]:
    """Each as a line for people."""
    return tuple(t.words for t in told if t.kind != SCORE)


def _told(row: Row) -> Told:
    return Told(
        text(row, "kind"),
        text(row, "text"),
        text_or_none(row, "place"),
        text_or_none(row, "column_name"),
        text_or_none(row, "option"),
    )
