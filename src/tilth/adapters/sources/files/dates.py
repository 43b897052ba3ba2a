"""Dates that are not ISO: which strptime formats a column's cells are written in, and whether day or month comes first.

Where every value fits both orders, evidence decides: what other columns of the table say, how even the steps between
the values are in each order, the separator. It is a guess then, and `types` says so.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from tilth.adapters.sources.files.kinds import Layouts

_CLOCK = r"(?:(?P<gap>[T ]|, )(?P<hour>\d{1,2}):\d{2}(?P<second>:\d{2}(?P<part>\.\d{1,6})?)?(?P<half> ?[AaPp][Mm])?)?"
_NUMERIC = re.compile(
    rf"\s*(?P<a>\d{{1,2}})(?P<s>[-/. ])\d{{1,2}}(?P=s)(?P<year>\d{{4}}|\d{{2}}){_CLOCK}\s*\Z"
)
_YEAR_FIRST = re.compile(rf"\s*\d{{4}}(?P<s>[-/.])\d{{1,2}}(?P=s)\d{{1,2}}{_CLOCK}\s*\Z")
_DAY_NAME = re.compile(
    rf"\s*\d{{1,2}}(?P<s>[-/. ])(?P<month>[A-Za-z]{{3,9}})(?P=s)(?P<year>\d{{4}}|\d{{2}}){_CLOCK}\s*\Z"
)
_NAME_DAY = re.compile(rf"\s*(?P<month>[A-Za-z]{{3,9}}) \d{{1,2}}(?P<s>,? )\d{{4}}{_CLOCK}\s*\Z")
_PERHAPS = re.compile(r"\s*(?:\d{1,4}[-/. ]\s*(?:\d{1,2}|[A-Za-z]{3,9})[-/. ]|[A-Za-z]{3,9} \d)")
MOST = 12  # formats of one column
EVEN = (
    2.0  # steps count as even when the widest is less than so many times the narrowest: days, weeks, months
)


@dataclass(frozen=True, slots=True)
class Order:
    """Whether the day comes first, and by what that was seen."""

    day_first: bool
    why: str


def layouts_of(cells: Iterable[str], known: Layouts | None = None) -> Layouts:
    """The formats that these cells are written in, beside those known already."""
    dmy = dict.fromkeys(known.dmy if known else ())
    mdy = dict.fromkeys(known.mdy if known else ())
    named = dict.fromkeys(known.named if known else ())
    for cell in filter(_PERHAPS.match, cells):
        if match := _NUMERIC.match(cell):
            year, mark, clock = "%Y" if len(match["year"]) == 4 else "%y", match["s"], _clock(match)
            dmy[f"%d{mark}%m{mark}{year}{clock}"] = None
            mdy[f"%m{mark}%d{mark}{year}{clock}"] = None
        elif form := _other(cell):
            named[form] = None
    return Layouts(tuple(dmy)[:MOST], tuple(mdy)[:MOST], tuple(named)[:MOST])


def has_clock(formats: Sequence[str]) -> bool:
    """Whether one of the formats has a time of day."""
    return any(f"%{letter}" in form for form in formats for letter in "HIMSfTXcsn")


def short_years(formats: Sequence[str]) -> bool:
    """Whether one of the formats has years of two digits."""
    return any("%y" in form for form in formats)


def order_of(pairs: Sequence[tuple[int, int, int]], mark: str, others: bool | None) -> Order:
    """The more plausible order of dates that fit both; `pairs` are (first, second, year), distinct and sorted."""
    if others is not None:
        return Order(others, "since another column of the table is written so")
    firsts, seconds = {a for a, _, _ in pairs}, {b for _, b, _ in pairs}
    day_first, month_first = (_unevenness(pairs, first) for first in (True, False))
    if min(day_first, month_first) < EVEN and max(day_first, month_first) > 2 * EVEN:
        return Order(day_first < month_first, "since the steps between them are more even so")
    if len(firsts) == 1 < len(seconds):
        return Order(True, "since the first number never changes")
    if len(seconds) == 1 < len(firsts):
        return Order(False, "since the second number never changes")
    if mark == ".":
        return Order(True, "as is usual with points")
    return Order(False, "as is usual with this separator")


def _unevenness(pairs: Sequence[tuple[int, int, int]], day_first: bool) -> float:
    """The widest gap between neighbours as a multiple of the narrowest; 1 when they are too few to tell."""
    days = sorted({date(y, b, a) if day_first else date(y, a, b) for a, b, y in pairs})
    gaps = [(late - early).days for early, late in itertools.pairwise(days)]
    return max(gaps) / min(gaps) if len(gaps) > 2 else 1.0


def _clock(match: re.Match[str]) -> str:
    if match["hour"] is None:
        return ""
    half = match["half"]
    hour = "%I" if half else "%H"
    part = ".%f" if match["part"] else ""
    second = f":%S{part}" if match["second"] else ""
    return (
        f"{match['gap']}{hour}:%M{second}{' ' if half and half.startswith(' ') else ''}{'%p' if half else ''}"
    )


def _other(cell: str) -> str | None:
    if match := _YEAR_FIRST.match(cell):
        mark = match["s"]
        return f"%Y{mark}%m{mark}%d{_clock(match)}"
    if match := _DAY_NAME.match(cell):
        mark, year = match["s"], "%Y" if len(match["year"]) == 4 else "%y"
        return f"%d{mark}{_month(match)}{mark}{year}{_clock(match)}"
    if match := _NAME_DAY.match(cell):
        return f"{_month(match)} %d{match['s']}%Y{_clock(match)}"
    return None


def _month(match: re.Match[str]) -> str:
    return "%b" if len(match["month"]) == 3 else "%B"
