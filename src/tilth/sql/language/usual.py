"""USUAL (...) HOLIDAYS '...' FALSE ALARMS '...': the item of EXPECT that learns from the dataset's own history."""

from __future__ import annotations

import re
from datetime import timedelta

from tilth.core.names import literal
from tilth.sql.language.statements import Usual
from tilth.sql.language.tokens import Cursor

ASPECTS = ("volume", "freshness", "nulls", "distribution")
ALARMS = "1 per quarter"
SPANS = {
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
    "month": timedelta(days=365.25 / 12),
    "quarter": timedelta(days=365.25 / 4),
    "year": timedelta(days=365.25),
}
_ALARMS = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s+per\s+([A-Za-z]+)\s*", re.IGNORECASE)


def usual(c: Cursor) -> Usual:
    """Read the item up to its ON FAIL."""
    c.expect("USUAL")
    aspects = _aspects(c)
    place, alarms = None, ALARMS
    seen: set[str] = set()
    while c.at("HOLIDAYS") or c.at("FALSE"):
        at, word = c.i, c.key
        if word in seen:
            c.fail(
                f"{'FALSE ALARMS' if word == 'FALSE' else word} is given twice.", "Keep one of them.", at=at
            )
        seen.add(word)
        c.i += 1
        if word == "HOLIDAYS":
            place = c.string("a country, as 'DE' or 'US-NY'")
            continue
        c.expect("ALARMS", hint="Write FALSE ALARMS '1 per quarter'.")
        where = c.i
        alarms = c.string("how many, as '1 per quarter'")
        _read(alarms, c, where)
    count, per = _read(alarms, c, c.i)
    return Usual(aspects, count, per, " ".join(alarms.split()).lower(), place)


def _aspects(c: Cursor) -> tuple[str, ...]:
    c.expect("(", hint=f"Write USUAL ({', '.join(ASPECTS)}).")
    found: list[str] = []
    while True:
        at = c.i
        word = c.word.lower() if c.at_word else ""
        if word not in ASPECTS:
            raise c.unknown(
                f"Expected {', '.join(ASPECTS[:-1])} or {ASPECTS[-1]} here{c.instead()}.",
                c.key,
                ASPECTS,
                "choices",
            )
        if word in found:
            c.fail(f"`{word}` is given twice.", "Keep one of them.", at=at)
        found.append(word)
        c.i += 1
        if not c.take(","):
            break
    c.expect(")", hint="Separate what is usual with commas.")
    return tuple(a for a in ASPECTS if a in found)


def _read(text: str, c: Cursor, where: int) -> tuple[float, timedelta]:
    part = _ALARMS.fullmatch(text)
    word = part[2].lower() if part else ""
    span = SPANS.get(word) or SPANS.get(word.removesuffix("s"))
    if part is None or span is None:
        c.fail(
            f"{text!r} does not say how many false alarms there may be.",
            f"Write for example '1 per quarter'; spans of time are {', '.join(SPANS)}.",
            at=where,
        )
    count = float(part[1])
    if not 0 < count <= span / timedelta(days=1):
        c.fail(
            f"{text!r} is no number of false alarms to live with.",
            "Write more than none, and at most one a day.",
            at=where,
        )
    return count, span


def show(u: Usual) -> str:
    """The item in its canonical form, without ON FAIL."""
    place = "" if u.holidays is None else f" HOLIDAYS {literal(u.holidays)}"
    return f"USUAL ({', '.join(u.aspects)}){place} FALSE ALARMS {literal(u.written)}"
