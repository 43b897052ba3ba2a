"""What the numbers of a column of times count: decided by their size over the whole column, or by what is declared.

Only numbers between 1980 and 2100 tell: of one unit they cannot be mistaken for those of another. Where they tell two
units or none, the column is refused until its unit is declared.
"""

from __future__ import annotations

from collections.abc import Mapping

from tilth.adapters.sources.table_options import UNITS, option
from tilth.core.errors import DataError
from tilth.core.names import quoted
from tilth.ports.source import Notice

_BANDS: Mapping[str, tuple[float, float]] = {
    "days": (3_652, 47_482),
    "julian": (2_444_239.5, 2_488_069.5),
    "seconds": (315_532_800, 4_102_444_800),
    "milliseconds": (315_532_800e3, 4_102_444_800e3),
    "microseconds": (315_532_800e6, 4_102_444_800e6),
    "nanoseconds": (315_532_800e9, 4_102_444_800e9),
}
_SHOWN = {"julian": "Julian days", "days": "days since 1970"}

INDEXED = (  # columns of a table that lead an index over all of its rows
    "SELECT i.name FROM pragma_index_list({}) l JOIN pragma_index_info(l.name) i WHERE i.seqno = 0 AND NOT l.partial"
)
_YEARS = 4_000  # steps after which a column is left as it is


def undated(table: str, column: str) -> str:
    """SQL for a row when an indexed column holds anything but NULL and texts that begin with a year and a dash.

    It jumps through the index from year to year, and reads nothing in between.
    """
    x, t = quoted(column), quoted(table)
    year = "typeof(v) = 'text' AND v GLOB '[0-9][0-9][0-9][0-9]-*'"
    later = f"SELECT min({x}) FROM {t} WHERE {x} > substr(v, 1, 5) || char(1114111)"
    return (
        f"WITH RECURSIVE years(n, v) AS (SELECT 0, min({x}) FROM {t} UNION ALL"
        f" SELECT n + 1, ({later}) FROM years WHERE {year} AND n < {_YEARS})"
        f" SELECT 1 FROM years WHERE n = {_YEARS} OR NOT ({year} OR v IS NULL) LIMIT 1"
    )


def counts(column: str) -> list[str]:
    """SQL for what `unit` needs to know: how many numbers there are, how many of them not 0, and how many in each band."""
    x = quoted(column)
    size = f"CASE WHEN typeof({x}) IN ('integer', 'real') THEN abs(CAST({x} AS REAL)) END"
    bands = [f"coalesce(sum({size} BETWEEN {low!r} AND {high!r}), 0)" for low, high in _BANDS.values()]
    return [f"count({size})", f"coalesce(sum({size} > 0), 0)", *bands]


def width() -> int:
    """How many values `counts` gives."""
    return 2 + len(_BANDS)


def unit(table: str, column: str, found: list[int]) -> tuple[str | None, Notice | None]:
    """The unit of the column's numbers and what is to be said of it; DataError when they do not tell."""
    numbers, others, *bands = found
    if not numbers:
        return None, None
    told = [name for name, count in zip(_BANDS, bands, strict=True) if count]
    if others and len(told) != 1:
        seen = [f"{c:,} could be {_SHOWN.get(n, n)}" for n, c in zip(_BANDS, bands, strict=True) if c]
        raise DataError(
            f"Column `{column}` of table `{table}` is declared a time and holds {numbers:,} numbers, of which"
            f" {', '.join(seen) if seen else 'none tells by its size what it counts'}.",
            hint=f"Say what they count: WITH (..., {option(table, 'times', column, 'seconds')})   (or"
            f" {', '.join(u for u in UNITS if u != 'seconds')}); to keep them as numbers: types, 'BIGINT'.",
        )
    name = told[0] if told else "seconds"
    text = (
        f"{sum(bands):,} of {numbers:,} numbers in `{column}` are times from 1980 to 2100 as {_SHOWN.get(name, name)},"
        f" and all are read so"
    )
    if not others:
        text = f"all {numbers:,} numbers in `{column}` are 0, read as the beginning of 1970"
    return name, Notice("guessed", table, text, column, option(table, "times", column, name))
