"""CREATE JOB: statements that are performed at a time, and again and again. When is `plan.calendar`'s, how `runtime.asking.running`'s."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

from tilth.core.errors import LanguageError, Position, ProjectError
from tilth.core.names import literal
from tilth.core.time import Instant, parse_instant, show_duration, show_instant
from tilth.kinds import statements
from tilth.kinds.spec import KindSpec
from tilth.plan.actions import DeclareJob, Note
from tilth.plan.deciding import Deciding, Outcome, changed, redeclared
from tilth.plan.snapshot import Current
from tilth.resources.facts import Facts
from tilth.resources.kinds import Resource
from tilth.resources.making import Known, Making, Names, Needs
from tilth.sql.language import clauses, values, writing
from tilth.sql.language.acts import Statement
from tilth.sql.language.normal import normal
from tilth.sql.language.prefix import TEMPLATES
from tilth.sql.language.scheduled import DELTA, SOON, CreateJob, Missed
from tilth.sql.language.statements import Kind, Query, RenamedFrom
from tilth.sql.language.tokens import Cursor
from tilth.sql.queries import last, reach, renaming
from tilth.sql.queries.timetravel import time_travel

LONGEST = timedelta(days=3650)
EARLIEST, LATEST = 1900, 9000  # years that a calendar counts with

# --- grammar -----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Job:
    done: tuple[Statement, ...] = ()
    start: Instant | None = None
    end: Instant | None = None
    every: timedelta | None = None
    condition: Query | None = None
    missed: Missed = Missed.RUN_ONCE
    renamed_from: RenamedFrom | None = None


def _as(c: Cursor, j: _Job) -> None:
    _statements(c, j)


def _bare(c: Cursor, j: _Job) -> None:
    c.i -= 1
    _statements(c, j)


def _statements(c: Cursor, j: _Job) -> None:
    if j.done:
        c.fail("The statements are given twice.", "Write them in one pair of parentheses, with `;` between.")
    j.done = statements.read(c, "job")


def instant(c: Cursor, word: str) -> Instant | None:
    """An instant as a string; None for NOW."""
    at = c.i
    if c.take("NOW"):
        return None
    text = c.string(f"an instant after {word}, such as '2026-01-01 06:00'")
    try:
        return parse_instant(text)
    except LanguageError as problem:
        raise problem.at(c.position(at)) from None


def _start(c: Cursor, j: _Job) -> None:
    j.start = instant(c, "START")


def _end(c: Cursor, j: _Job) -> None:
    at = c.i
    j.end = instant(c, "END")
    if j.end is None:
        c.fail("A job does not end now.", "DROP JOB ends it, or its CREATE is deleted.", at=at)


def every(c: Cursor) -> timedelta:
    """`'1 hour'`, or MindsDB's `1 hour` and `hour` without quotes."""
    at = c.i
    if c.at_string or c.at_quoted:
        return values.duration(c)
    number = c.text_token() if c.at_number else "1"
    return values.as_duration(c, f"{number} {c.name('a unit of time, such as hour')}", at)


def _every(c: Cursor, j: _Job) -> None:
    j.every = every(c)


def _if(c: Cursor, j: _Job) -> None:
    first, end = c.balanced("a query")
    if c.keys[first] not in clauses.QUERY_WORDS:
        c.fail(
            "Expected a query in the parentheses of IF.",
            "Write IF (SELECT ...): it runs when there is a row.",
            at=first,
        )
    j.condition = clauses.query(c, first, end)


def _missed(c: Cursor, j: _Job) -> None:
    if c.take("RUN"):
        c.expect("ONCE", hint="Write MISSED RUN ONCE, or MISSED SKIP.")
        return
    c.expect("SKIP", hint="Write MISSED RUN ONCE, or MISSED SKIP.")
    j.missed = Missed.SKIP


_CLAUSES = {
    "START": _start,
    "END": _end,
    "EVERY": _every,
    "IF": _if,
    "MISSED": _missed,
    clauses.RENAMED: clauses.renamed,
    "AS": _as,
    "(": _bare,
}


def parse(c: Cursor, or_replace: bool, where: Position) -> CreateJob:
    """`[IF NOT EXISTS] name` with its clauses in any order; the statements stand in parentheses."""
    exists, name = clauses.head(c, "job")
    j, first = _Job(), c.i
    clauses.read(c, _CLAUSES, j, "CREATE JOB")
    said = c.text[c.tokens[first - 1].start : c.tokens[c.i - 1].end]
    told = tuple(f"{{{{{k}}}}} is read as {v}" for k, v in TEMPLATES.items() if f"{{{{{k}}}}}" in said)
    if not j.done:
        raise LanguageError(f"Job `{name}` does nothing.", hint="Add AS (statement; statement).", where=where)
    return CreateJob(
        name,
        j.done,
        j.start,
        j.end,
        j.every,
        j.condition,
        j.missed,
        or_replace,
        exists,
        where,
        j.renamed_from,
        (*told, *(t for s in j.done for t in getattr(s, "told", ()))),
    )


def show(s: CreateJob) -> str:
    """The declaration in its canonical form."""
    return writing.rows(
        writing.create(s),
        f"START {literal(show_instant(s.start))}" if s.start is not None else None,
        f"END {literal(show_instant(s.end))}" if s.end is not None else None,
        f"EVERY {writing.span(s.every)}" if s.every is not None else None,
        f"IF ({s.condition.sql})" if s.condition is not None else None,
        f"MISSED {s.missed.upper()}" if s.missed is not Missed.RUN_ONCE else None,
        writing.renamed(s),
        statements.written(s.statements),
    )


# --- rules, needs and recipe -------------------------------------------------------------------------------


def check(d: CreateJob, _facts: Facts) -> None:
    """Raise for a time that cannot be, and for what its queries cannot say."""
    if d.every is not None and d.every < SOON:
        raise ProjectError(
            f"Job `{d.name}` would run every {show_duration(d.every)}, and once a second is the most.",
            hint="Write EVERY '1 second', or more.",
            where=d.position,
        )
    if d.every is not None and d.every > LONGEST:
        raise ProjectError(
            f"Job `{d.name}` would run every {d.every.days:,} days, and {LONGEST.days:,} are the most.",
            hint="Leave EVERY out for a job that runs once.",
            where=d.position,
        )
    for word, at in (("START", d.start), ("END", d.end)):
        if at is not None and not EARLIEST <= at.year < LATEST:
            raise ProjectError(
                f"{word} of job `{d.name}` lies beyond the years {EARLIEST} to {LATEST}.",
                hint=f"Leave {word} out, or write a time that comes.",
                where=d.position,
            )
    if d.start is not None and d.end is not None and d.end < d.start:
        raise ProjectError(
            f"Job `{d.name}` ends before it starts.", hint="Write END after START.", where=d.position
        )
    if d.every is not None:
        statements.check_repeated(d, d.statements)
    for query in asked(d):
        reach.check(time_travel(query.sql)[0], query.position)
        last.marks(query.sql, query.position)
        if last.names(query.sql, DELTA):
            raise ProjectError(
                "A job has no TABLE_DELTA: it does not look for rows that change.",
                hint="Write WHERE column > LAST, or CREATE TRIGGER.",
                where=query.position or d.position,
            )


def asked(d: CreateJob) -> tuple[Query, ...]:
    """All its queries: that of IF, and those of its statements."""
    return (*((d.condition,) if d.condition is not None else ()), *statements.queries(d.statements))


def needs(d: CreateJob, known: Known) -> Needs:
    """All that its statements and its condition name."""
    return statements.needs(d, d.statements, known, () if d.condition is None else (d.condition,))


def recipe(d: CreateJob, _facts: Facts) -> dict[str, object]:
    """Nothing is made of it, so all that it says is its recipe."""
    return {
        "statements": statements.recipe(d.statements),
        "start": None if d.start is None else show_instant(d.start),
        "end": None if d.end is None else show_instant(d.end),
        "every": d.every,
        "condition": None if d.condition is None else normal(d.condition.sql),
        "missed": d.missed,
    }


def renamed(d: CreateJob, names: Names) -> CreateJob:
    """The same declaration where resources have other names."""
    condition = d.condition
    if condition is not None:
        condition = replace(condition, sql=renaming.renamed(condition.sql, names))
    done = statements.renamed(d.statements, names)
    return replace(d, name=names.get(d.name, d.name), statements=done, condition=condition)


# --- planning ----------------------------------------------------------------------------------------------


def decide(resource: Resource, current: Current, _now: Instant) -> Outcome:
    """Declare it when it is new or says something else."""
    pointer = current.pointer(Kind.JOB, resource.name)
    if pointer is not None and pointer.recipe == resource.recipe:
        return redeclared(resource, pointer)
    why = "new" if pointer is None else changed(resource, pointer)
    declared = resource.as_(CreateJob)
    said = (*elsewhere(resource, current), *statements.notes(resource, declared.statements))
    return (DeclareJob(resource.name, resource.recipe, why),), said


def elsewhere(resource: Resource, current: Current) -> Iterable[Note]:
    """That it does not run here, where that is so."""
    if current.environment != current.serving:
        yield Note(resource.name, f"it runs in `{current.serving}` alone; here it is only declared")


JOB = KindSpec(
    Kind.JOB,
    CreateJob,
    parse,
    show,
    Making(check, needs, recipe, renamed),
    Deciding(decide, (DeclareJob,)),
)
