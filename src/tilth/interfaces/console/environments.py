"""The pages of environments and generations: what they point at, how they differ, and what the files would change."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from tilth.core.errors import TilthError, UnknownNameError
from tilth.interfaces.console import places
from tilth.interfaces.console.looking import Looking, Page
from tilth.plan import explain
from tilth.runtime.record import environments as record
from tilth.runtime.record.environments import Generation
from tilth.runtime.showing.apart import Apart, apart, standings

AT_ONCE = 50
MOST = 200  # differences that are shown
_DUE = re.compile(r"[^;]*: due: REFRESH [^;]*(; [^;]*: due: REFRESH [^;]*)*\Z")


def listed(at: Looking) -> Page:
    """The page at `/environments`; with `?plan=1` also what applying the files would do."""
    before = at.whole("before", 2**53)
    serving = at.project.settings.serving
    with at.work.state.reading() as reader:
        standing = standings(reader, serving)
        number = record.current_number(reader, at.environment)
        known = [g for g in record.generations(reader, at.environment) if g.number < before]
    values = {
        "standing": standing, "serving_now": serving, "generations": _grouped(known[:AT_ONCE]), "current": number, "others": [s.name for s in standing if s.name != at.environment],
        "older": at.url("environments", before=known[AT_ONCE - 1].number) if len(known) > AT_ONCE else "", "newer": before != 2**53, "differences": lambda rows: _shown(at, rows),
        "plan": _plan(at) if at.query.get("plan") == "1" else None, "plan_at": at.url("environments", plan=1), "of": lambda name: places.url("environments", environment=None if name == serving else name),
    }  # fmt: skip
    return Page(
        "Environments",
        "environments.html",
        values,
        "SELECT * FROM tilth.environments",
        (("Overview", at.url()),),
    )


def generation(at: Looking) -> Page:
    """The page at `/generations/<number>`, of the environment that is looked at; `?against=` another one than the one before."""
    number = at.whole("number")
    with at.work.state.reading() as reader:
        found = record.generation(reader, at.environment, number)
        if found is None:
            raise UnknownNameError(
                f"`{at.environment}` has no generation {number}, or it was freed.",
                hint="Those there are stand in Environments.",
            )
        against = at.whole("against", found.parent or 0)
        pointers = record.published(reader, at.environment, number)
        was = record.published(reader, at.environment, against) if against else ()
        current = record.current_number(reader, at.environment)
    if against and not was:
        raise UnknownNameError(
            f"`{at.environment}` has no generation {against}, or it was freed.", hint="Compare with another."
        )
    values = {
        "g": found, "against": against, "current": current, "differences": _shown(at, apart(was, pointers)), "most": MOST,
        "rows": [(p.kind.value, p.name, _link(at, p.kind.value, p.name), p.target) for p in pointers], "back_to": at.url("generations", number, against=current),
    }  # fmt: skip
    query = f"SELECT * FROM tilth.generations WHERE environment = '{at.environment}' AND number = {number}"
    return Page(
        f"Generation {number}",
        "generation.html",
        values,
        query,
        (("Overview", at.url()), ("Environments", at.url("environments"))),
    )


def changes(at: Looking, act: str, given: dict[str, str]) -> tuple[dict[str, Any], ...] | None:
    """What an act on a whole environment would change; None for other acts, and where it cannot be told."""
    try:
        with at.work.state.reading() as reader:
            number, now = record.checked(reader, at.environment)
            if act == "promote_environment" and given.get("source"):
                then = record.checked(reader, record.require(reader, given["source"]))[1]
            elif act == "roll_back":
                known = record.generation(reader, at.environment, number)
                asked = given.get("generation") or str((known.parent if known else None) or 0)
                then = record.published(reader, at.environment, int(asked)) if asked.isdecimal() else ()
            else:
                return None
    except TilthError:
        return None
    return _shown(at, apart(now, then)) if then else None


def _shown(at: Looking, rows: Sequence[Apart]) -> tuple[dict[str, Any], ...]:
    """Differences as a page shows them."""
    return tuple(
        {"kind": r.kind, "name": r.name, "what": r.what, "was": _short(r.was), "now": _short(r.now), "lines": r.lines, "link": _link(at, r.kind, r.name)}
        for r in rows[:MOST]
    )  # fmt: skip


def _grouped(known: Sequence[Generation]) -> list[list[Generation]]:
    """Generations that only published refreshes that were due, one after the other, together; every other one alone."""
    out: list[list[Generation]] = []
    for one in known:
        if out and _DUE.match(one.reason) and _DUE.match(out[-1][-1].reason):
            out[-1].append(one)
        else:
            out.append([one])
    return out


def _short(target: str | None) -> str:
    """A version or revision whole, a snapshot's id by its first twelve characters."""
    return "–" if target is None else target[:12]


def _link(at: Looking, kind: str, name: str) -> str:
    place = places.of(kind)
    return at.url(place, name) if place and at.graph.find(name) is not None else ""


def _plan(at: Looking) -> dict[str, Any]:
    """What the files would change in the environment; where they cannot be read, why."""
    try:
        found = at.project.plan(at.environment)
    except TilthError as error:
        return {"error": error, "rows": (), "notes": (), "words": ""}
    return {
        "error": None, "rows": [(a.sign, a.kind.value, a.name, explain.sentence(a)) for a in found.actions],
        "notes": [(n.name, n.text) for n in found.notes], "words": "" if found.actions else explain.words(found),
    }  # fmt: skip
