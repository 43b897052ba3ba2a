"""What a MySQL table holds by day, in one grouped scan.

A row's checksum is of all its values as the server writes them, NULL apart from all texts; a FLOAT, which it writes with six digits, is made a
DOUBLE first, and a long value counts by its own MD5, so that no row grows past what the server can hold. A row does not name its transaction
here, so nothing is said of rows that came late before the days that are counted.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from datetime import date
from typing import TYPE_CHECKING

from tilth.adapters.sources.mysql.types import Column
from tilth.core.names import literal, quoted
from tilth.core.schema import DataType
from tilth.ports.source import AskedDays, Days

if TYPE_CHECKING:
    import pyarrow as pa

_PLAIN = frozenset(
    {1, 2, 3, 5, 7, 8, 9, 10, 11, 12, 13, 14, 0, 246}
)  # the server writes them short and whole
_FLOAT, _BIT, _GEOMETRY = 4, 16, 255


def by_day(
    asked: AskedDays, columns: Sequence[Column], table: str, ask: Callable[[str], pa.Table]
) -> Days | None:
    """The rows by day; None where the column is none of times, a predicate is not the server's to decide, or nothing is to be counted."""
    known = {c.name.lower(): c for c in columns}
    event = known.get(asked.column.lower())
    names = asked.scan.columns if asked.scan.columns is not None else tuple(known)
    tests = [known[w.column.lower()].test(w) for w in asked.scan.where]
    if not asked.counted or event is None or event.declared is not None or None in tests:
        return None
    if event.type not in (DataType.DATE, DataType.TIMESTAMP):
        return None
    time = quoted(event.name)
    if asked.since is not None:
        tests.append(f"{time} >= {literal(str(asked.since))}")
    values = ", ".join(_value(known[n.lower()]) for n in names)
    row = f"CAST(CONV(LEFT(MD5(CONCAT_WS(',', {values})), 16), 16, 10) AS UNSIGNED)"
    sql = (
        f"SELECT CAST(DATE({time}) AS CHAR) AS day, CAST(COUNT(*) AS CHAR) AS n, CAST(SUM({row}) AS CHAR) AS content"
        f" FROM {quoted(table)} WHERE {' AND '.join(t for t in [f'{time} IS NOT NULL', *tests] if t)} GROUP BY 1"
    )
    counts: dict[date, tuple[int, str]] = {}
    for found in ask(sql).to_pylist():
        with contextlib.suppress(
            ValueError, TypeError
        ):  # a date that is none, such as 0000-00-00: read as NULL
            counts[date.fromisoformat(found["day"])] = int(found["n"]), found["content"]
    return Days(counts)


def _value(column: Column) -> str:
    """The expression of a value's text, without a comma where it may be long."""
    name, kind = quoted(column.name), column.sent.kind
    if kind in _PLAIN:
        text = name
    elif kind == _FLOAT:
        text = f"{name} + 0e0"
    elif kind == _BIT:
        text = f"HEX({name})"
    else:
        text = f"MD5({'ST_AsWKB(' + name + ')' if kind == _GEOMETRY else name})"
    return f"IFNULL({text}, '-')"
