"""One pass over rows: how many fail each row check and, where it may be of use, what set checks come to over all of them.

What footers prove, and what can be asked of a column's values, is not asked of rows. NaN becomes NULL once, below all checks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tilth.core.errors import TilthError
from tilth.core.names import quoted
from tilth.core.schema import DataType
from tilth.core.time import Instant, naive
from tilth.ml.data import checks as checking
from tilth.ml.data import footers, grouped
from tilth.ml.data.checks import ROWS, Checks, RowCounts
from tilth.ml.data.footers import Footers
from tilth.ports.engine import QueryEngine, Relation
from tilth.sql.language.statements import CheckKind, OnFail


def count_rows(
    checks: Checks,
    rows: Relation,
    engine: QueryEngine,
    references: Mapping[str, Relation],
    now: Instant | None = None,
) -> RowCounts:
    """How many rows fail each row check, and how many go into quarantine. Each is tested once for a row.

    With `now` set checks are answered too, as far as that takes no other pass: for the case that all rows are published.
    """
    told = footers.read(rows, checks.schema)
    known = _proven(checks, told) if told is not None else {}
    known |= _of_values(checks, [i for i in checks.row_items if i not in known], rows, engine)
    ahead = {} if now is None else _ahead(checks, told, now)
    try:
        return _counted(checks, rows, engine, references, known, told, ahead)
    except TilthError:
        if not ahead:
            raise
    # What a bad row makes an error is asked of the good ones.
    return _counted(checks, rows, engine, references, known, told, {})


def _counted(
    checks: Checks, rows: Relation, engine: QueryEngine, references: Mapping[str, Relation],
    known: Mapping[int, tuple[int, int]], told: Footers | None, ahead: Mapping[int, tuple[str, str]],
) -> RowCounts:  # fmt: skip
    needs = checking.needs(checks)
    asked = [n for n, need in enumerate(needs) if told is None or not _never(need[0], checks, told)]
    items = tuple(i for i in checks.row_items if i not in known)
    sound = replace(checks, expressions=checks.sound)
    tests = {f"tilth_need_{n}": needs[n][0] for n in asked}
    tests |= {f"tilth_item_{i}": checking.holds(sound, i) for i in items}
    good_if = [f"NOT tilth_need_{n}" for n in asked]
    good_if += [f"tilth_item_{i}" for i in items if checks.items[i].on_fail is OnFail.QUARANTINE]
    # What is not true is counted as the rest: that is cheaper than to ask for it.
    listed = ["count(*)", _count(" AND ".join(good_if) or "true")]
    listed += [_count(f"tilth_need_{n}") for n in asked]
    listed += [_count(f"tilth_item_{i}") for i in items]
    listed += [f"count(tilth_item_{i})" for i in items]
    listed += [sql for pair in ahead.values() for sql in pair]
    tested = ", ".join([*(["*"] if ahead else []), *(f"{test} AS {name}" for name, test in tests.items())])
    sql = f"SELECT {', '.join(listed)} FROM (SELECT {tested or '1'} FROM {_without_nan(checks)}) AS {ROWS}"
    rows_there, good, *found = checking.one_row(engine, sql, {ROWS: rows, **references})
    lacking, held, valued = (found[a:b] for a, b in _cuts(len(asked), len(items), len(items)))
    set_there = found[len(asked) + 2 * len(items) :]
    missing = dict(zip(asked, lacking, strict=True))
    counted = {
        i: (rows_there - n, rows_there - v) for i, n, v in zip(items, held, valued, strict=True)
    } | dict(known)
    return RowCounts(
        rows_there,
        {i: failed for i, (failed, _) in counted.items()},
        {i: unknown for i, (_, unknown) in counted.items()},
        tuple(missing.get(n, 0) for n in range(len(needs))),
        rows_there - good,
        {i: (set_there[2 * n], set_there[2 * n + 1]) for n, i in enumerate(ahead)},
    )


def _cuts(*lengths: int) -> list[tuple[int, int]]:
    """Where pieces of these lengths begin and end, one after the other."""
    ends = [sum(lengths[: n + 1]) for n in range(len(lengths))]
    return [(end - length, end) for end, length in zip(ends, lengths, strict=True)]


def _count(test: str) -> str:
    """SQL for how many rows pass the test."""
    return f"count(*) FILTER (WHERE {test})"


def _without_nan(checks: Checks) -> str:
    """SQL for the rows, with NULL in the place of NaN."""
    floats = [quoted(f.name) for f in checks.schema if f.type is DataType.FLOAT]
    if not floats:
        return ROWS
    listed = ", ".join(f"NULLIF({c}, CAST('NaN' AS DOUBLE)) AS {c}" for c in floats)
    return f"(SELECT * REPLACE ({listed}) FROM {ROWS}) AS {ROWS}"


# --- what need not be asked of rows ------------------------------------------------------------------------


def _proven(checks: Checks, told: Footers) -> dict[int, tuple[int, int]]:
    """Row checks that hold for every row by the footers."""
    items = [i for i in checks.row_items if checks.items[i].kind is CheckKind.ROW]
    return {i: (0, 0) for i in items if footers.proven(checks.expressions[i], told)}


def _never(need: str, checks: Checks, told: Footers) -> bool:
    """Whether no row lacks what KEY and EVENT TIME need: a value, or one that a calendar holds."""
    if checks.event_time and need == checking.in_no_year(checks):
        return told.newest(checks.event_time) is not None
    return any(
        need == f"{quoted(c)} IS NULL" and c in told.columns and told.columns[c].nulls == 0
        for c in checks.needed
    )


def _of_values(
    checks: Checks, items: Sequence[int], rows: Relation, engine: QueryEngine
) -> dict[int, tuple[int, int]]:
    """What row checks say that were asked of a column's values; those that send rows into quarantine only where none fails."""
    asked = {i: checks.expressions[i] for i in items if checks.items[i].kind is CheckKind.ROW}
    found = grouped.count(asked, checks.schema, rows, engine)
    return {
        i: said
        for i, said in found.items()
        if not said[0] or checks.items[i].on_fail is not OnFail.QUARANTINE
    }


def _ahead(checks: Checks, told: Footers | None, now: Instant) -> dict[int, tuple[str, str]]:
    """Set checks that are cheap to ask beside others, by their places: sums and counts, and no distinct values."""
    asked = checking.set_asked(checks, checks.sound, now)
    if told is not None:
        newest = told.newest(checks.event_time) if checks.event_time else None
        for i, (a, b) in asked.items():
            if checks.items[i].kind is CheckKind.FRESH and newest is not None and newest <= naive(now):
                asked[i] = (a, f"TIMESTAMP '{newest}'")
            else:
                asked[i] = (footers.filled(a, told), footers.filled(b, told))
    return {i: pair for i, pair in asked.items() if all(map(footers.cheap, pair))}
