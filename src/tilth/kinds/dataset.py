"""CREATE DATASET: rows that are collected by a query, vetted by EXPECT, and published as snapshots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from tilth.core.errors import LanguageError, Position, ProjectError
from tilth.core.names import literal
from tilth.core.time import Instant, show_duration
from tilth.kinds.needs import need, of_query
from tilth.kinds.source import as_read
from tilth.kinds.spec import KindSpec
from tilth.kinds.view import query_over
from tilth.plan.actions import CollectDataset, ShareSnapshot
from tilth.plan.deciding import Deciding, Outcome, changed, estimate, pointed_at, redeclared
from tilth.plan.snapshot import Current, Pointer, SnapshotFacts
from tilth.resources.facts import Facts
from tilth.resources.kinds import Resource
from tilth.resources.making import Known, Making, Names, Needs
from tilth.sql.language import clauses, values, writing
from tilth.sql.language.expectations import expectations
from tilth.sql.language.normal import normal
from tilth.sql.language.printer import show_check
from tilth.sql.language.statements import (
    CheckKind,
    CreateDataset,
    Expectation,
    Kind,
    OnFail,
    Query,
    Ready,
    Refresh,
    RenamedFrom,
    Tag,
)
from tilth.sql.language.tokens import Cursor
from tilth.sql.queries import gaps, renaming
from tilth.sql.queries.reads import parsed

LONGEST_HEAL = timedelta(days=3650)
NEWER = "collected since, and not published here"

# --- grammar -----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Dataset:
    key: tuple[str, ...] = ()
    event_time: str | None = None
    known_at: str | None = None
    refresh: Refresh = field(default_factory=Refresh)
    ready: Ready | None = None
    expect: tuple[Expectation, ...] = ()
    tags: tuple[Tag, ...] = ()
    query: Query | None = None
    renamed_from: RenamedFrom | None = None


def _key(c: Cursor, d: _Dataset) -> None:
    d.key = c.names("a key column")


def _event_time(c: Cursor, d: _Dataset) -> None:
    d.event_time = c.name("the event time column", reserved=False)


def _known_at(c: Cursor, d: _Dataset) -> None:
    d.known_at = c.name("the column of the time that a row was known", reserved=False)


_REFRESH = ("EVERY", "ON CHANGE", "INCREMENTAL")


def _incremental(c: Cursor, found: Refresh) -> Refresh:
    """`LOOKBACK` and `HEAL` in any order, each once."""
    spans: dict[str, timedelta] = {}
    while (word := c.key) in ("LOOKBACK", "HEAL") and word not in spans:
        c.i += 1
        spans[word] = values.duration(c)
    return replace(found, incremental=True, lookback=spans.get("LOOKBACK"), heal=spans.get("HEAL"))


def _refresh(c: Cursor, d: _Dataset) -> None:
    start, found = c.i, Refresh()
    while True:
        if c.take("EVERY"):
            found = replace(found, every=values.duration(c))
        elif c.take("ON"):
            c.expect("CHANGE", hint="Write REFRESH ON CHANGE.")
            found = replace(found, on_change=True)
        elif c.take("INCREMENTAL"):
            found = _incremental(c, found)
        elif c.i == start:
            raise c.unknown(
                f"Expected EVERY, ON CHANGE or INCREMENTAL here{c.instead()}.", c.key, _REFRESH, "choices"
            )
        else:
            break
    d.refresh = found


def _ready(c: Cursor, d: _Dataset) -> None:
    first, end = c.balanced("a query")
    if c.keys[first] not in clauses.QUERY_WORDS:
        c.fail(
            "Expected a query in the parentheses of READY WHEN.",
            "Write READY WHEN (SELECT count(*) > 0 FROM ops.loads WHERE day = current_date AND done).",
            at=first,
        )
    within: timedelta | None = values.duration(c) if c.take("WITHIN") else None
    d.ready = Ready(clauses.query(c, first, end), within)


def _expect(c: Cursor, d: _Dataset) -> None:
    d.expect = expectations(c)


def _tag(c: Cursor, d: _Dataset) -> None:
    c.expect("(", hint="Write TAG (column = 'label').")
    tags: list[Tag] = []
    while True:
        column = c.name("a column", reserved=False)
        c.expect("=", hint=f"Write TAG ({column} = 'label').")
        tags.append(Tag(column, c.string("a label")))
        if not c.take(","):
            break
    c.expect(")")
    d.tags = tuple(tags)


def _as(c: Cursor, d: _Dataset) -> None:
    start = c.i
    if c.key not in clauses.QUERY_WORDS:
        c.fail(f"Expected a query after AS{c.instead()}.", "Write AS SELECT ... ; it runs to the semicolon.")
    d.query = clauses.rest(c, start)


_CLAUSES = {
    "KEY": _key,
    "EVENT TIME": _event_time,
    "KNOWN AT": _known_at,
    "REFRESH": _refresh,
    "READY WHEN": _ready,
    "EXPECT": _expect,
    "TAG": _tag,
    clauses.RENAMED: clauses.renamed,
    "AS": _as,
}
_INNER = {
    "EVERY": "REFRESH EVERY '1 hour'",
    "INCREMENTAL": "REFRESH INCREMENTAL",
    "LOOKBACK": "REFRESH INCREMENTAL LOOKBACK '2 hours'",
    "HEAL": "REFRESH INCREMENTAL HEAL '30 days'",
    "WITHIN": "READY WHEN (query) WITHIN '2 hours'",
    "USUAL": "EXPECT (USUAL (volume))",
    "FRESH": "EXPECT (FRESH WITHIN '2 days')",
}
"""Words that belong into a clause, with where."""


def parse(c: Cursor, or_replace: bool, where: Position) -> CreateDataset:
    """`[IF NOT EXISTS] name` with its clauses; what follows AS is the query, to the semicolon."""
    exists, name = clauses.head(c, "dataset")
    d = _Dataset()
    clauses.read(c, _CLAUSES, d, "CREATE DATASET", _INNER)
    if d.query is None:
        raise LanguageError(
            f"Dataset `{name}` has no query.", hint="Add AS SELECT ... as the last clause.", where=where
        )
    return CreateDataset(
        name,
        d.query,
        d.key,
        d.event_time,
        d.refresh,
        d.expect,
        d.tags,
        or_replace,
        exists,
        where,
        d.renamed_from,
        d.known_at,
        d.ready,
    )


def show_refresh(r: Refresh) -> str | None:
    """REFRESH with its options; None where it is on demand."""
    words = [
        f"EVERY {writing.span(r.every)}" if r.every is not None else "",
        "ON CHANGE" if r.on_change else "",
        "INCREMENTAL" if r.incremental else "",
        f"LOOKBACK {writing.span(r.lookback)}" if r.lookback is not None else "",
        f"HEAL {writing.span(r.heal)}" if r.heal is not None else "",
    ]
    return " ".join(["REFRESH", *(w for w in words if w)]) if any(words) else None


def _show_ready(r: Ready | None) -> str | None:
    if r is None:
        return None
    within = f" WITHIN {writing.span(r.within)}" if r.within is not None else ""
    return f"READY WHEN ({r.query.sql}){within}"


def _show_expect(items: tuple[Expectation, ...]) -> str | None:
    if not items:
        return None
    rows = ",\n    ".join(f"{show_check(e)} ON FAIL {e.on_fail.name}" for e in items)
    return f"EXPECT (\n    {rows}\n  )"


def show(s: CreateDataset) -> str:
    """The declaration in its canonical form."""
    tags = ", ".join(f"{writing.column(t.column)} = {literal(t.label)}" for t in s.tags)
    declared = writing.rows(
        writing.create(s),
        f"KEY ({writing.columns(s.key)})" if s.key else None,
        f"EVENT TIME {writing.column(s.event_time)}" if s.event_time else None,
        f"KNOWN AT {writing.column(s.known_at)}" if s.known_at else None,
        show_refresh(s.refresh),
        _show_ready(s.ready),
        _show_expect(s.expect),
        f"TAG ({tags})" if tags else None,
        writing.renamed(s),
    )
    return f"{declared}\nAS {s.query.sql}"


# --- rules, needs and recipe -------------------------------------------------------------------------------


def check(d: CreateDataset, _facts: Facts) -> None:
    """Raise for the first clause that cannot stand as it does."""
    if d.refresh.incremental and d.event_time is None:
        raise ProjectError(
            f"Dataset `{d.name}` is INCREMENTAL but has no EVENT TIME.",
            hint="Add EVENT TIME <column>: new rows are found by it.",
            where=d.position,
        )
    if d.refresh.heal is not None and not timedelta(days=1) <= d.refresh.heal <= LONGEST_HEAL:
        raise ProjectError(
            f"Dataset `{d.name}` is to HEAL {show_duration(d.refresh.heal)}, and whole days are compared: from 1 to 3,650.",
            hint="Write HEAL '30 days'.",
            where=d.position,
        )
    if d.ready is not None:
        parsed(d.ready.query.sql, d.ready.query.position)
    if d.known_at is not None and d.event_time is None:
        raise ProjectError(
            f"Dataset `{d.name}` has KNOWN AT and no EVENT TIME.",
            hint="Add EVENT TIME <column>: when it happened. KNOWN AT is when that could be known.",
            where=d.position,
        )
    for e in d.expect:
        _check_item(d, e)
    _check_usual(d, d.expect)


def _check_item(d: CreateDataset, e: Expectation) -> None:
    if e.expression:
        parsed(e.expression, e.position)
    if e.on_fail is OnFail.QUARANTINE and e.kind in (CheckKind.SET, CheckKind.FRESH, CheckKind.USUAL):
        raise ProjectError(
            "Only rows can be quarantined, and this is a check of the whole set.",
            hint="Write ON FAIL STOP or ON FAIL WARN.",
            where=e.position or d.position,
        )
    if e.kind is CheckKind.FRESH and d.event_time is None:
        raise ProjectError(
            f"FRESH needs to know when rows happened, but dataset `{d.name}` has no EVENT TIME.",
            hint="Add EVENT TIME <column>.",
            where=e.position or d.position,
        )


def _check_usual(d: CreateDataset, items: tuple[Expectation, ...]) -> None:
    """What is usual is asked once, and of rows with a time where it is one of times."""
    seen: set[str] = set()
    for e in items:
        if e.usual is None:
            continue
        if "freshness" in e.usual.aspects and d.event_time is None:
            raise ProjectError(
                f"How fresh rows usually are needs to know when they happened, but dataset `{d.name}` has no EVENT TIME.",
                hint="Add EVENT TIME <column>, or leave freshness out of USUAL.",
                where=e.position or d.position,
            )
        if twice := [a for a in e.usual.aspects if a in seen]:
            raise ProjectError(
                f"Dataset `{d.name}` expects twice that {twice[0]} is as usual.",
                hint="One USUAL (...) spends one number of false alarms over all that it names.",
                where=e.position or d.position,
            )
        seen.update(e.usual.aspects)


def needs(d: CreateDataset, known: Known) -> Needs:
    """What its query reads, and the sources that its checks refer to."""
    reads = of_query(d, d.query, known)
    checked = [need(e.table[0], Kind.SOURCE, known, d, e.position) for e in d.expect if e.table is not None]
    names = {*(str(s[0]) for s in reads.sources), *checked}
    direct = tuple(t for t in reads.tables if any(t.source == s[0] for s in reads.sources))
    found = replace(reads, sources=as_read(names, known, direct))
    if d.ready is None:
        return found
    # What says when it is read is no part of what is made of it.
    asked = of_query(d, d.ready.query, known)
    others = {*asked.upstream, *asked.others, *(str(s[0]) for s in asked.sources)}
    made = {*found.upstream, *(str(s[0]) for s in found.sources), d.name}
    return replace(found, others=tuple(sorted({*found.others, *(others - made)})))


def recipe(d: CreateDataset, _facts: Facts) -> dict[str, object]:
    """The query and the checks, and how rows are told apart; not when they are collected."""
    known = {} if d.known_at is None else {"known_at": d.known_at}
    return {
        "query": normal(d.query.sql),
        "key": d.key,
        "event_time": d.event_time,
        "incremental": d.refresh.incremental,
        "expect": [_expectation(e) for e in d.expect],
        **known,
    }


def _expectation(e: Expectation) -> list[object]:
    """What the check says, and which rule of truth it is read by where that makes a difference: 2, NULL and NaN do not hold."""
    expression = normal(e.expression) if e.expression else ""
    said: list[object] = [e.kind, e.on_fail, expression, e.table, e.columns, e.within]
    if e.expression and gaps.changed(e.expression, of_the_set=e.kind is CheckKind.SET):
        said.append(2)
    if e.usual is not None:
        said.append([e.usual.aspects, e.usual.alarms, e.usual.per, e.usual.holidays])
    return said


def renamed(d: CreateDataset, names: Names) -> CreateDataset:
    """The same declaration where resources have other names."""
    return replace(
        d,
        name=names.get(d.name, d.name),
        query=replace(d.query, sql=renaming.renamed(d.query.sql, names)),
        expect=tuple(_renamed(e, names) for e in d.expect),
        ready=None
        if d.ready is None
        else replace(d.ready, query=replace(d.ready.query, sql=renaming.renamed(d.ready.query.sql, names))),
    )


def over(d: CreateDataset, queries: Mapping[str, str], known: Known) -> CreateDataset:
    """The same declaration with the queries of views in the place of their names, and AS OF as a join."""
    found = query_over(d.query, queries, known)
    ready = None if d.ready is None else replace(d.ready, query=query_over(d.ready.query, queries, known))
    return d if found is d.query and ready == d.ready else replace(d, query=found, ready=ready)


def _renamed(e: Expectation, names: Names) -> Expectation:
    if e.table is None:
        return e
    source, table = e.table
    return replace(e, table=(names.get(source, source), table))


# --- planning ----------------------------------------------------------------------------------------------


def decide(resource: Resource, current: Current, now: Instant) -> Outcome:
    """Collect it when it is new, changed or due; share what was collected for the same recipe."""
    pointer = current.pointer(Kind.DATASET, resource.name)
    made = current.snapshot_of(resource.recipe)
    cost = estimate(current, CollectDataset, resource.name)
    if pointer is not None and pointer.recipe == resource.recipe:
        if made is not None and _newer(made, pointer, current):
            return (ShareSnapshot(resource.name, resource.recipe, made.snapshot, NEWER),), ()
        reason = _due(resource.as_(CreateDataset), made, now) if made else "its snapshot is missing"
        if reason is None:
            return redeclared(resource, pointer)
        return (CollectDataset(resource.name, resource.recipe, reason, pointer.target, cost),), ()
    why = "new" if pointer is None else _changed(resource, pointer)
    if made is not None:
        return (
            ShareSnapshot(resource.name, resource.recipe, made.snapshot, f"{why}; already collected"),
        ), ()
    return (CollectDataset(resource.name, resource.recipe, why, None, cost),), ()


def _newer(made: SnapshotFacts, pointer: Pointer, current: Current) -> bool:
    """Whether it was collected after this generation began: by another environment, or by an apply that then died.

    What is older was there when somebody chose this generation, perhaps by rolling back.
    """
    return made.snapshot != pointer.target and current.since is not None and made.refreshed_at > current.since


def _due(dataset: CreateDataset, made: SnapshotFacts, now: Instant) -> str | None:
    refresh = dataset.refresh
    if refresh.every is not None and now - made.attempted_at >= refresh.every:
        return f"due: REFRESH EVERY '{show_duration(refresh.every)}'"
    if refresh.on_change and made.source_changed:
        return "its source has changed"
    return None


def _changed(resource: Resource, pointer: Pointer) -> str:
    """Why the recipe is another, which can be that checks are read by another rule of truth."""
    if pointer.text == resource.text and any(
        e.expression and gaps.changed(e.expression, of_the_set=e.kind is CheckKind.SET)
        for e in resource.as_(CreateDataset).expect
    ):
        return f"in its checks NULL and NaN do not hold any more, or {changed(resource, pointer)}"
    return changed(resource, pointer)


def _is_there(resource: Resource, current: Current) -> bool:
    return pointed_at(resource, current) and current.snapshot_of(resource.recipe) is not None


DATASET = KindSpec(
    Kind.DATASET, CreateDataset, parse, show, Making(check, needs, recipe, renamed, over=over),
    Deciding(decide, (CollectDataset, ShareSnapshot), is_there=_is_there),
)  # fmt: skip
