"""The pages of what was done: runs, the audit chain, jobs and triggers, and what people should know."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tilth.core.errors import InputError, UnknownNameError
from tilth.interfaces.console import places
from tilth.interfaces.console.looking import Looking, Page
from tilth.runtime.record import audit, notices
from tilth.runtime.record import runs as record
from tilth.runtime.record.runs import Run
from tilth.runtime.showing import scheduled

AT_ONCE = 50  # rows of a page
LINKS = 200  # rows of the audit chain that a run may show
STATUSES = ("running", "done", "failed", "refused", "held", "waiting", "gone")
LONGEST = 200  # characters of a word that is searched


def _word(at: Looking) -> str:
    """What is searched."""
    found = at.query.get("q", "").strip()
    if len(found) > LONGEST:
        raise InputError(f"The word has over {LONGEST} characters.", hint="Search for a part of it.")
    return found


def _older(at: Looking, place: str, rows: Any, number: Any, **query: str) -> str:
    """The URL of the rows before these; empty where there are none."""
    return "" if len(rows) <= AT_ONCE else at.url(place, before=number(rows[AT_ONCE - 1]), **query)


def runs(at: Looking) -> Page:
    """The page at `/runs`."""
    word, status, before = _word(at), at.query.get("status", ""), at.whole("before", audit.LAST)
    if status and status not in STATUSES:
        raise InputError(
            f"{status[:40]!r} is no status of a run.", hint=f"Choose one of {', '.join(STATUSES)}."
        )
    with at.work.state.reading() as reader:
        rows = record.before(reader, at.environment, before, AT_ONCE + 1, word=word, status=status)
    values = {
        "rows": rows[:AT_ONCE], "word": word, "status": status, "newer": before != audit.LAST, "words": _words, "link": lambda r: _thing(at, r),
        "older": _older(at, "runs", rows, lambda r: r.number, q=word, status=status),
        "statuses": [(s, at.url("runs", q=word, status=s)) for s in STATUSES], "all": at.url("runs", q=word), "seconds": lambda r: _seconds(at, r),
    }  # fmt: skip
    query = (
        f"SELECT * FROM tilth.runs WHERE environment = '{at.environment}' ORDER BY id DESC LIMIT {AT_ONCE}"
    )
    return Page("Runs", "runs.html", values, query, (("Overview", at.url()),))


def run(at: Looking) -> Page:
    """The page at `/runs/<run>`: the run, and what the audit chain says of its time."""
    number = at.whole("run")
    with at.work.state.reading() as reader:
        found = record.get(reader, number)
        if found is None:
            raise UnknownNameError(f"There is no run {number}.", hint="All of them stand in Runs.")
        links = audit.between(reader, found.started_at, found.finished_at or at.now, LINKS)
        told = notices.current(reader, found.environment).get((found.kind, found.name), ())
    values = {
        "run": found, "links": links, "most": LINKS, "told": notices.lines(told), "words": _words(found), "link": _thing(at, found), "seconds": _seconds(at, found),
    }  # fmt: skip
    return Page(
        f"Run {number}", "run.html", values, f"SELECT * FROM tilth.runs WHERE id = {number}",
        (("Overview", at.url()), ("Runs", at.url("runs"))),
    )  # fmt: skip


def _words(one: Run) -> str:
    """`CollectDataset` of `flights` as "collect dataset flights"."""
    spaced = "".join(f" {c.lower()}" if c.isupper() else c for c in one.action).strip()
    return f"{spaced} {one.name}"


def _thing(at: Looking, one: Run) -> str:
    place = places.of(one.kind)
    return at.url(place, one.name) if place and at.graph.find(one.name) is not None else ""


def _seconds(at: Looking, one: Run) -> float | None:
    """How long it took, or has taken until now."""
    if one.seconds is not None:
        return one.seconds
    return (at.now - one.started_at).total_seconds() if one.status == "running" else None


def audited(at: Looking) -> Page:
    """The page at `/audit`."""
    word, before = _word(at), at.whole("before", audit.LAST)
    rows = audit.before(at.work.state, before, AT_ONCE + 1, word)
    values = {
        "rows": rows[:AT_ONCE],
        "word": word,
        "newer": before != audit.LAST,
        "older": _older(at, "audit", rows, lambda r: r.sequence, q=word),
    }
    return Page(
        "Audit",
        "audit.html",
        values,
        f"SELECT * FROM tilth.audit ORDER BY sequence DESC LIMIT {AT_ONCE}",
        (("Overview", at.url()),),
    )


def jobs(at: Looking) -> Page:
    """The page at `/jobs`: jobs and triggers."""
    values = {
        "jobs": [_aware(r) for r in scheduled.jobs(at.work, at.environment)], "triggers": [_aware(r) for r in scheduled.triggers(at.work, at.environment)],
        "run": lambda number: at.url("runs", number),
    }  # fmt: skip
    return Page(
        "Jobs",
        "jobs.html",
        values,
        f"SELECT * FROM tilth.jobs WHERE environment = '{at.environment}'",
        (("Overview", at.url()),),
    )


def _aware(row: dict[str, Any]) -> dict[str, Any]:
    """With its moments in UTC, as the state has them."""
    empty = dict.fromkeys(
        (
            "declared_by",
            "since",
            "last_done",
            "last_run",
            "failures",
            "next_try",
            "under_way",
            "error",
            "said",
            "next_due",
        )
    )
    return {k: v.replace(tzinfo=UTC) if isinstance(v, datetime) else v for k, v in {**empty, **row}.items()}


def told(at: Looking) -> Page:
    """The page at `/notices`: what people should know of what stands."""
    word = _word(at).lower()
    rows = [
        (kind, name, told)
        for (kind, name), many in sorted(notices.current(at.work.state, at.environment).items())
        for told in many
        if word in f"{kind} {name} {told.words}".lower()
    ]
    values = {
        "rows": rows,
        "word": word,
        "link": lambda kind, name: at.url(places.of(kind), name) if places.of(kind) else "",
    }
    return Page(
        "Notices",
        "notices.html",
        values,
        f"SELECT * FROM tilth.notices ORDER BY recorded_at DESC LIMIT {AT_ONCE}",
        (("Overview", at.url()),),
    )
