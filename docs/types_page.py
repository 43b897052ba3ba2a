"""Writes docs/types.md from the tables in tests/fixtures/types, which the tests walk: what is on the page was tried."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

HEAD = """# Types

A value means the same everywhere: in SQL, in checks, in training, in one row and in many, over HTTP and in Python. It is exact,
or it is refused by name with its column and its row, or its row is held back with the reason; it is never changed in silence.
This page is made by `make docs` from the tables that the tests walk.

| in tilth | is | in SQL | over HTTP | learned as |
|---|---|---|---|---|
| boolean | true or false | `BOOLEAN` | `true` | 0 or 1 |
| integer | a whole number within 64 bits | `BIGINT` | `7` | a number, as a DOUBLE |
| float | a DOUBLE; NaN and infinities can be in it | `DOUBLE` | `1.5` | a number; NaN and infinities are gaps |
| decimal | up to 38 digits, exact | `DECIMAL(p, s)` | `1.5` | a number, as a DOUBLE |
| string | text; the empty text is a value | `VARCHAR` | `"JFK"` | one of its levels |
| date | a day of the years 1 to 9999 | `DATE` | `"2013-07-04"` | day, weekday, month, ... |
| timestamp | a moment to the microsecond, naive and in UTC | `TIMESTAMP` | `"2013-07-04T18:30:00Z"` | the same, and the hour |
| time, interval, binary | kept and shown | `TIME`, `INTERVAL`, `BLOB` | | not used, which is told |

## What is missing

NULL is missing everywhere. NaN is a value of a DOUBLE in a snapshot and in SQL (where DuckDB takes it as greater than all others); to checks, to
training and to a model it is missing, as infinities are to training and to a model.

### In checks

A row check holds when it is true; NULL and NaN do not hold. To a set check NaN is as missing as NULL.
"""

INPUTS = """
## Inputs of a model

One rule at every door (HTTP, `/v2`, Python, `tilth predict`, one row in SQL, a join). An input that never was missing in training must
be given. Given as NULL or NaN it is answered as a gap: a number counts as the median of training, a text as one never seen, and
that is told beside the answer (`notices`), counted by `tilth status`, and refused by `OBJECTIVE (strict = true)`, that row alone. An input that had gaps in
training may be left out.

What is far out of training is answered all the same and told in the same places (in Python with a `tilth.OutsideWarning`), once a statement: a number that is further beyond all
but a thousandth of those learned from than these reach, a moment more than ten years away from them, a level where training had nearly no others, a text without a word of training. An
explanation has `outside`: `[{"input": "distance", "given": 99999, "trained": [17.0, 4983.0]}]`, the ends or some levels. `tilth status` and `LOOK AT` count answers with numbers and
levels far out. `tilth predict`, asked by a person, tells of every number beyond the ends.
"""

SOURCES = """
## Sources

The names of types are those of `tilth.columns` in capitals, or DuckDB's where a table of files is meant.
"""

MYSQL = """
Dates that are none become NULL, which a notice counts. A `TINYINT(1)` is MySQL's BOOLEAN. Texts are compared byte by byte, whatever the column's collation. `-0.0` is
written as `0.0`, NaN as NULL, which is counted; an infinity is refused.
"""
DUCKDB = """
### DuckDB files

A column of a DuckDB file becomes what [the same type of a query's result](#what-a-query-returns) becomes, but for these: a `HUGEINT` is a DECIMAL of 38 digits, and
refused beyond them; `UHUGEINT`, `BIGNUM`, `BIT` and `TIMETZ` are refused by name, when they are read.
"""


def page() -> str:
    """The whole page."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from fixtures.types import (
        checks,
        csv,
        delta,
        duckdb,
        excel,
        iceberg,
        inputs,
        json,
        mysql,
        parquet,
        postgres,
        sqlite,
    )

    parts = [HEAD, _checks(checks), INPUTS, _inputs(inputs), SOURCES]
    parts.append(_typed("PostgreSQL", postgres))
    parts += [_typed("MySQL and MariaDB", mysql), MYSQL]
    parts.append(_typed("SQLite", sqlite))
    parts.append(DUCKDB)
    parts.append(_typed("What a query returns", duckdb))
    parts.append(_cells("CSV", csv, "the cells of a column"))
    parts.append(_cells("JSON Lines", json, "the values of a key"))
    parts.append(_cells("Parquet", parquet, "the column"))
    parts.append(_cells("Excel", excel, "the cells of a column"))
    parts.append(_cells("Delta", delta, "the column"))
    parts.append(_cells("Iceberg", iceberg, "the column"))
    return "\n".join(part.strip("\n") + "\n" for part in parts)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    lines += [
        "| " + " | ".join(c.replace("|", "\\|").replace("\n", "\\n") for c in row) + " |" for row in rows
    ]
    return "\n".join(lines)


def _code(text: str, most: int = 70) -> str:
    """As code, cut when long; a text with a back quote between two of them."""
    short = text if len(text) <= most else f"{text[: most - 1]}…"
    return f"`` {short} ``" if "`" in short else f"`{short}`"


def _shown(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, date):
        return value.isoformat()
    return repr(value)


def _checks(module: Any) -> str:
    rows = [(str(n + 1), *map(_shown, row)) for n, row in enumerate(module.ROWS)]
    every = len(rows)
    held = [
        (_code(check), "all" if len(places) == every else ", ".join(str(p + 1) for p in places) or "none")
        for check, places in module.HOLDS
    ]
    return f"{_table(('row', 'x', 'n', 's'), rows)}\n\n{_table(('check', 'holds for the rows'), held)}"


def _inputs(module: Any) -> str:
    words = {module.GAP: "a gap", module.REFUSED: "refused"}
    rows = []
    for name, given, counts in module.ROWS:
        said = words.get(counts) if isinstance(counts, str) and counts in words else None
        same = type(given) is type(counts) and given == counts
        rows.append(
            (
                f"`{module.TYPES[name]}`",
                _code(_shown(given)),
                said or ("itself" if same else _code(_shown(counts))),
            )
        )
    return _table(("input", "given", "counts as"), rows)


def _typed(title: str, module: Any) -> str:
    rows = []
    for row in module.ROWS:
        becomes = row["becomes"]
        said = becomes if isinstance(becomes, str) else f"{becomes[0]} {_code(_shown(becomes[1]))}"
        option = f" with {_code(_shown(row['option']))}" if row.get("option") else ""
        rows.append((_code(row["type"]), row["edge"] + option, _code(row["given"]), said))
    return f"### {title}\n\n" + _table(("type", "edge", "given", "becomes"), rows)


def _cells(title: str, module: Any, what: str) -> str:
    rows = []
    for row in module.ROWS:
        option = f" with {_code(_shown(row['options']))}" if row.get("options") else ""
        said = f"; said: {row['said']}" if row.get("said") else ""
        rows.append((row["edge"] + option, _code(_given(row["given"])), _code(row["becomes"]) + said))
    return f"### {title}\n\n" + _table(("edge", what, "becomes"), rows)


def _given(given: Sequence[Any] | Callable[[], Any]) -> str:
    if callable(given):
        array = given()
        return f"{array.type}: {', '.join(_shown(v) for v in array.to_pylist())}"
    if any(not isinstance(c, str | tuple) for c in given):
        return ", ".join("(empty)" if c is None else _shown(c) for c in given)
    return ", ".join(f"{c[0]} (x{c[1]:,})" if isinstance(c, tuple) else c or "(empty)" for c in given)
