"""EXPECT compiled to as few passes over the rows as possible.

Semantics. A ROW check holds for a row when its expression is true, so not when it is NULL. It is a condition on that row,
as in WHERE: what it needs of the others it asks in a subquery. Nothing answers by chance, since it is asked twice. A SET check holds when its expression is true over the rows
that would be published, after quarantine; NULL (say, AVG of nothing) is not true. REFERENCES holds for a row whose
columns are all found together in the other table, or of which one is NULL. FRESH WITHIN compares the newest event
time with the present. KEY and EVENT TIME without a value put the row into quarantine, as does an EVENT TIME that no
calendar holds (`infinity`, or outside the years 1 to 9999).

One pass counts what fails of all row checks; one more answers all set checks at once.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from types import MappingProxyType
from typing import Any

from tilth.core.errors import LanguageError, ProjectError, TilthError, UnknownNameError
from tilth.core.figures import figure
from tilth.core.names import did_you_mean, in_query, is_bare, quoted
from tilth.core.schema import DataType, Schema
from tilth.core.time import Instant, naive, show_duration
from tilth.ml.data import footers, identity, known, margins
from tilth.ml.data.comparison import split_comparison, words_of
from tilth.ml.data.snapshots import Marks
from tilth.ports.engine import QueryEngine, Relation
from tilth.ports.snapshots import CheckResult
from tilth.sql.language.printer import show_check
from tilth.sql.language.statements import CheckKind, CreateDataset, Expectation, OnFail
from tilth.sql.language.trees import holds_aggregate, tree
from tilth.sql.queries import gaps

ROWS = "rows"  # what the rows under test are called in every query made here


@dataclass(frozen=True, slots=True)
class Checks:
    """A dataset's expectations over a known schema. `reference(i)` names the input that item i refers to."""

    items: tuple[Expectation, ...]
    key: tuple[str, ...] = ()
    event_time: str | None = None
    schema: Schema = field(default=Schema(()), compare=False)
    expressions: tuple[str, ...] = field(default=(), compare=False)  # of the items, with NaN as NULL
    sound: tuple[str, ...] = field(default=(), compare=False)  # the same over columns in which NaN is NULL

    @property
    def row_items(self) -> tuple[int, ...]:
        kinds = {CheckKind.ROW, CheckKind.REFERENCES}
        return tuple(i for i, e in enumerate(self.items) if e.kind in kinds)

    @property
    def references(self) -> tuple[int, ...]:
        return tuple(i for i, e in enumerate(self.items) if e.kind is CheckKind.REFERENCES)

    @property
    def needed(self) -> tuple[str, ...]:
        """Columns that may not be NULL."""
        return tuple(dict.fromkeys([*self.key, *([self.event_time] if self.event_time else [])]))

    @property
    def marks(self) -> Marks:
        """What is noted of the dataset's rows while they are written."""
        return Marks(self.event_time, identity.written(self.key, self.event_time, self.schema.names))

    @property
    def order(self) -> tuple[str, ...]:
        """The columns that a snapshot's rows are ordered by: the event time, then the key."""
        return tuple(dict.fromkeys([*([self.event_time] if self.event_time else []), *self.key]))


@dataclass(frozen=True, slots=True)
class RowCounts:
    """What the pass over the rows found: `failed[i]` rows fail item i; `missing[i]` the needs' item i."""

    rows: int
    failed: Mapping[int, int]
    unknown: Mapping[int, int]  # of those, the rows for which the item is NULL: a value is missing
    missing: tuple[int, ...]
    bad: int  # rows that go into quarantine
    ahead: Mapping[int, tuple[object, object]] = field(default_factory=dict, compare=False)
    """What set checks come to over all these rows, as `set_results` takes it: of use where none of them is bad."""


def reference(index: int) -> str:
    """The input name of the table that item `index` refers to."""
    return f"reference_{index}"


def checks_of(spec: CreateDataset, schema: Schema, engine: QueryEngine) -> Checks:
    """The expectations of a dataset, every one of which binds to the schema; errors carry the place of the culprit."""
    key = tuple(_column(schema, name, "KEY").name for name in spec.key)
    event, _ = known.times_of(spec, schema)
    checks = Checks(spec.expect, key, event, schema)
    for item in spec.expect:
        _fits(item, checks)
    _bind(checks, engine)
    return with_gaps(checks, engine)


def with_gaps(checks: Checks, engine: QueryEngine) -> Checks:
    """The checks with the expressions that are asked of rows: NaN is NULL in them, whether it is stored or computed."""
    floats = tuple(f.name for f in checks.schema if f.type is DataType.FLOAT)
    parts = [gaps.unsure(item.expression) if item.expression else () for item in checks.items]
    asked = {part: holds_aggregate(tree(part)) for own in parts for part in own}
    unsure = {
        part
        for kind in (True, False)
        for part in _floats([p for p, whole in asked.items() if whole is kind], checks.schema, engine)
    }
    made = [
        gaps.without_nan(item.expression, floats, [p for p in own if p in unsure]) if item.expression else ""
        for item, own in zip(checks.items, parts, strict=True)
    ]
    sound = [
        gaps.without_nan(item.expression, (), [p for p in own if p in unsure]) if _of_rows(item) else text
        for item, own, text in zip(checks.items, parts, made, strict=True)
    ]
    return replace(checks, expressions=tuple(made), sound=tuple(sound))


def _of_rows(item: Expectation) -> bool:
    """Whether the expression asks nothing but the row, or rows, that it is asked of."""
    from sqlglot import exp

    return bool(item.expression) and tree(item.expression).find(exp.Query) is None


def _floats(parts: Iterable[str], schema: Schema, engine: QueryEngine) -> list[str]:
    """Those of the parts of expressions that can be NaN; one that is nothing outside of its expression (of a lambda, say)
    cannot be asked, and then each is asked by itself.
    """
    asked = sorted(parts)
    if not asked:
        return []
    try:
        listed = ", ".join(f"{part} AS c{i}" for i, part in enumerate(asked))
        found = engine.describe(f"SELECT {listed} FROM {ROWS}", {ROWS: schema}).fields
    except TilthError:
        return [p for part in asked for p in _floats([part], schema, engine)] if len(asked) > 1 else []
    return [part for part, field in zip(asked, found, strict=True) if field.type is DataType.FLOAT]


def _column(schema: Schema, name: str, clause: str) -> Any:
    if (found := schema.find(name)) is None:
        raise UnknownNameError(
            f"{clause} names `{name}`, which the query does not return.",
            hint=did_you_mean(name, schema.names, "columns"),
        )
    return found


def _fits(item: Expectation, checks: Checks) -> None:
    if item.kind is CheckKind.FRESH and checks.event_time is None:
        error: TilthError = ProjectError("FRESH WITHIN needs an EVENT TIME.", hint="Add EVENT TIME <column>.")
        raise error.at(item.position) if item.position else error
    if item.kind is CheckKind.REFERENCES:
        for name in item.columns:
            try:
                checks.schema.field(name)
            except TilthError as error:
                raise error.at(item.position) if item.position else error from None


def _bind(checks: Checks, engine: QueryEngine) -> None:
    """Let the engine read all expressions at once; on an error, one by one to find whose it is."""
    written = [e for e in checks.items if e.kind in {CheckKind.ROW, CheckKind.SET}]
    if not written:
        return
    schemas = {ROWS: checks.schema}
    try:
        for kind in (CheckKind.ROW, CheckKind.SET):
            if own := [e for e in written if e.kind is kind]:
                _bind_all(own, engine, schemas)
    except TilthError:
        for item in written:
            _bind_one(item, engine, schemas)
        raise


def _bind_all(items: Sequence[Expectation], engine: QueryEngine, schemas: Mapping[str, Schema]) -> None:
    """Items of one kind: each is one value, and one of a row is a condition on it, as in WHERE."""
    for item in items:
        _answers_alike(item)
    tests = [f"({item.expression})::BOOLEAN" for item in items]
    found = engine.describe(f"SELECT {', '.join(tests)} FROM {ROWS}", schemas)
    if len(found.fields) != len(items):
        raise ProjectError(
            "An expectation is one condition, and `COLUMNS(...)` makes several of it.",
            hint="Write a condition for each column, each with its own ON FAIL.",
        )
    if items[0].kind is CheckKind.ROW:
        engine.describe(f"SELECT 1 FROM {ROWS} WHERE {' AND '.join(tests)}", schemas)


def _answers_alike(item: Expectation) -> None:
    """An expectation is asked twice: how many rows fail, and which. One that may answer otherwise then is refused."""
    words = [w for _, w in words_of(item.expression)]
    if found := next((w for w, after in pairwise(words) if w in _BY_CHANCE and after == "("), None):
        raise ProjectError(
            f"`{found.lower()}` answers otherwise each time it is asked, so nothing can be expected of it.",
            hint="Sample rows by what they hold: hash(id) % 100 < 5.",
        )


_BY_CHANCE = frozenset([
    "RANDOM", "UUID", "UUIDV4", "UUIDV7", "GEN_RANDOM_UUID", "NEXTVAL", "CURRVAL", "SETVAL", "SETSEED", "SLEEP_MS", "WRITE_LOG",
])  # fmt: skip


def _bind_one(item: Expectation, engine: QueryEngine, schemas: Mapping[str, Schema]) -> None:
    try:
        _bind_all([item], engine, schemas)
    except TilthError as error:
        known = schemas[ROWS].names
        if isinstance(error, LanguageError) and any(w in error.message for w in _NOT_OF_A_ROW):
            error.hint = (
                "Ask of all rows in a subquery: v = (SELECT max(v) FROM rows), 3 IN (SELECT unnest(list))."
            )
        if isinstance(error, UnknownNameError):
            error = _no_column(error, known)
        if not error.hint and (words := [n for n in known if in_query(n) == quoted(n) and is_bare(n)]):
            error.hint = (
                f"A column that is called as a word of SQL stands in quotes: {', '.join(map(quoted, words))}."
            )
        raise error.at(item.position) if item.position else error from None


def _no_column(error: UnknownNameError, known: Sequence[str]) -> UnknownNameError:
    """The error about a name in an expectation, with the columns that there are; that of a column says it in our words."""
    if (found := re.match(r'Referenced column "(.+?)" not found', error.message)) is None:
        error.hint = error.hint or did_you_mean("", known, "columns")
        return error
    words, hint = f"The query gives no column `{found[1]}`.", did_you_mean(found[1], known, "columns")
    return UnknownNameError(words, hint=hint)


# --- rows --------------------------------------------------------------------------------------------------


_NOT_OF_A_ROW = ("window function", "UNNEST")


def fails(checks: Checks, index: int) -> str:
    """SQL that is true for a row of ROWS that fails item `index`: one for which it is false, or NULL."""
    return _not(holds(checks, index))


def _not(test: str) -> str:
    return f"NOT coalesce({test}, false)"


def holds(checks: Checks, index: int) -> str:
    """SQL that is true for a row of ROWS for which item `index` holds, NULL where a value is missing; a reference with a gap
    holds, as a foreign key does.
    """
    item = checks.items[index]
    if item.kind is not CheckKind.REFERENCES:
        return f"({checks.expressions[index]})::BOOLEAN"
    found = " AND ".join(f"f.{quoted(c)} = {ROWS}.{quoted(c)}" for c in item.columns)
    gap = " OR ".join(f"{ROWS}.{quoted(c)} IS NULL" for c in item.columns)
    return f"({gap} OR EXISTS (SELECT 1 FROM {reference(index)} f WHERE {found}))"


def bad(checks: Checks) -> str:
    """SQL that is true for a row of ROWS that goes into quarantine."""
    terms = [test for test, _, _ in needs(checks)]
    terms += [fails(checks, i) for i in checks.row_items if checks.items[i].on_fail is OnFail.QUARANTINE]
    return " OR ".join(terms) or "false"


def reasons(checks: Checks) -> str:
    """SQL for the list of reasons why a row of ROWS goes into quarantine."""
    parts = [(test, reason) for test, reason, _ in needs(checks)]
    held = [i for i in checks.row_items if checks.items[i].on_fail is OnFail.QUARANTINE]
    parts += [(fails(checks, i), label(checks.items[i])) for i in held]
    listed = ", ".join(f"CASE WHEN {test} THEN {_text(words)} END" for test, words in parts) or "NULL"
    return f"list_filter([{listed}]::VARCHAR[], lambda r: r IS NOT NULL)"


def needs(checks: Checks) -> tuple[tuple[str, str, str], ...]:
    """What KEY and EVENT TIME need of a row: SQL that is true when it lacks that, the reason, and the check's name."""
    clauses = [(_missing(checks, c), _clause(checks, c)) for c in checks.needed]
    needs = [(test, f"{words} IS NULL", f"{words} IS NOT NULL") for test, words in clauses]
    event = checks.schema.find(checks.event_time) if checks.event_time else None
    if event is not None and event.type in _CALENDAR:
        words = f"EVENT TIME {event.name}"
        needs.append(
            (
                in_no_year(checks),
                f"{words} IS IN NO YEAR FROM 1 TO 9999",
                f"{words} IS IN A YEAR FROM 1 TO 9999",
            )
        )
    return tuple(needs)


def in_no_year(checks: Checks) -> str:
    """SQL that is true for a row of ROWS whose EVENT TIME, a date or a time, is in no calendar."""
    event = checks.schema.field(checks.event_time or "")
    first, last = _CALENDAR[event.type]
    return f"coalesce({quoted(event.name)} NOT BETWEEN {first} AND {last}, false)"


_CALENDAR = {
    DataType.DATE: ("DATE '0001-01-01'", "DATE '9999-12-31'"),
    DataType.TIMESTAMP: ("TIMESTAMP '0001-01-01 00:00:00'", "TIMESTAMP '9999-12-31 23:59:59.999999'"),
}


def _missing(checks: Checks, column: str) -> str:
    """SQL that is true for a row of ROWS without a value in the column; NaN is none."""
    name = quoted(column)
    floats = checks.schema.field(column).type is DataType.FLOAT
    return f"({name} IS NULL OR isnan({name}))" if floats else f"{name} IS NULL"


def _clause(checks: Checks, column: str) -> str:
    return f"KEY {column}" if column in checks.key else f"EVENT TIME {column}"


def row_results(checks: Checks, counts: RowCounts) -> dict[int, CheckResult]:
    """The result of each row check, by the place of its item."""
    out = {}
    for i in checks.row_items:
        failed, unknown = counts.failed[i], counts.unknown[i]
        observed = (
            f"{failed:,} of {counts.rows:,} rows fail" if failed else f"all of {counts.rows:,} rows hold"
        )
        if unknown:
            lack = "all" if unknown == failed else f"{unknown:,}"
            observed += f", {lack} of them since a value is missing"
        out[i] = _result(
            checks.items[i], passed=failed == 0, failed=failed, rows=counts.rows, observed=observed
        )
    return out


def needed_results(checks: Checks, counts: RowCounts) -> tuple[CheckResult, ...]:
    """Results for columns of KEY and EVENT TIME, only where values are missing or no calendar holds them."""
    return tuple(
        CheckResult(
            name, "row", OnFail.QUARANTINE.value, False, missing, counts.rows,
            f"{missing:,} of {counts.rows:,} rows have none",
        )
        for (_, _, name), missing in zip(needs(checks), counts.missing, strict=True)
        if missing
    )  # fmt: skip


# --- the set -----------------------------------------------------------------------------------------------


def set_results(
    checks: Checks,
    rows: Relation,
    engine: QueryEngine,
    now: Instant,
    total: int,
    known: Mapping[int, tuple[object, object]] = MappingProxyType({}),
) -> dict[int, CheckResult]:
    """The results of set checks and freshness over the rows to be published, in one pass; `known` are answered already."""
    said = dict(known)
    asked = set_asked(checks, checks.expressions, now, known)
    listed = [sql for pair in asked.values() for sql in pair]
    if (told := footers.read(rows, checks.schema) if asked else None) is not None:
        filled = [footers.filled(sql, told) for sql in listed]
        kinds = [footers.counts(sql) for sql in filled]
        if not any(k is not False for k in kinds):
            said |= _in_pairs(asked, one_row(engine, f"SELECT {', '.join(filled)}", {}))
            asked = {}
        elif True in kinds:  # so that it is one row still
            listed = filled
    if asked:
        said |= _in_pairs(asked, one_row(engine, f"SELECT {', '.join(listed)} FROM {ROWS}", {ROWS: rows}))
    return {i: _of_the_set(checks.items[i], *pair, now, total) for i, pair in said.items()}


def _in_pairs(asked: Iterable[int], found: Sequence[object]) -> dict[int, tuple[object, object]]:
    return {i: (found[2 * n], found[2 * n + 1]) for n, i in enumerate(asked)}


def set_asked(
    checks: Checks, expressions: Sequence[str], now: Instant, known: Collection[int] = ()
) -> dict[int, tuple[str, str]]:
    """By the place of each set check and freshness that is not `known`, SQL of whether it holds, and of what stands left of its comparison."""
    asked = {}
    for i, item in enumerate(checks.items):
        if i in known:
            continue
        if item.kind is CheckKind.SET:
            left, _ = split_comparison(expressions[i])
            asked[i] = (f"({expressions[i]})::BOOLEAN", f"({left})")
        elif item.kind is CheckKind.FRESH and checks.event_time:
            # A row from the future says nothing of how fresh the others are.
            column = quoted(checks.event_time)
            past = f"max({column}) FILTER (WHERE {column} <= TIMESTAMP '{naive(now)}')"
            asked[i] = ("true", f"coalesce({past}, max({column}))::TIMESTAMP")
    return asked


def newest(checks: Checks, mark: str | None) -> dict[int, tuple[object, object]]:
    """What freshness is asked of, where the newest event time that is not later than now is known."""
    if mark is None:
        return {}
    value = datetime.fromisoformat(mark)
    return {i: (True, value) for i, item in enumerate(checks.items) if item.kind is CheckKind.FRESH}


def _of_the_set(item: Expectation, passed: object, value: Any, now: Instant, total: int) -> CheckResult:
    fresh = item.kind is CheckKind.FRESH
    return _fresh(item, value, now, total) if fresh else _set(item, passed, value, total)


def _set(item: Expectation, passed: object, value: object, total: int) -> CheckResult:
    holds = passed is True
    left, compared = split_comparison(item.expression)
    observed = f"{' '.join(left.split())} = {show(value)}" if compared else show(value)
    said = _result(item, passed=holds, failed=0 if holds else 1, rows=total, observed=observed)
    return margins.of_value(said, item, value) if compared else said


def _fresh(item: Expectation, newest: datetime | None, now: Instant, total: int) -> CheckResult:
    within = item.within or timedelta()
    if newest is None:
        return _result(item, passed=False, failed=1, rows=total, observed="no event time")
    age = naive(now) - newest
    holds = age <= within
    seconds = timedelta(seconds=int(age.total_seconds()))
    words = show_duration(seconds) + " old" if seconds > timedelta() else "not older than now"
    said = _result(
        item, passed=holds, failed=0 if holds else 1, rows=total, observed=f"newest row is {words}"
    )
    hour = timedelta(hours=1)
    return replace(said, value=max(age, timedelta()) / hour, high=within / hour)


# --- words -------------------------------------------------------------------------------------------------


def label(item: Expectation) -> str:
    """The expectation as people wrote it, on one line and without ON FAIL."""
    return " ".join(show_check(item).split())


def show(value: object) -> str:
    """A value as a result shows it."""
    if value is None:
        return "null"
    if isinstance(value, float):
        return figure(value, 6)
    if isinstance(value, Decimal) and value == value.to_integral_value():
        value = int(value)
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _result(item: Expectation, *, passed: bool, failed: int, rows: int, observed: str) -> CheckResult:
    return CheckResult(label(item), item.kind.value, item.on_fail.value, passed, failed, rows, observed)


def _text(words: str) -> str:
    return "'" + words.replace("'", "''") + "'"


def one_row(engine: QueryEngine, sql: str, inputs: Mapping[str, Relation]) -> Sequence[Any]:
    """The only row of a query's result, by position."""
    table = engine.stream(sql, inputs).read_all()
    return [column[0].as_py() for column in table.columns]
