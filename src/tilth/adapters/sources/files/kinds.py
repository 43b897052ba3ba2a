"""What a cell looks like, as one number: the SQL that says it, and how the counts of a column are named.

A kind says how the cell is written and whether its value can be had exactly. Which type a column gets from the counts
of its kinds is for `types`. Every pattern is for whole cells; blanks around a number or a date do not count.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from tilth.adapters.sources.files.options import Format
from tilth.core.names import literal


class Kind(IntEnum):
    NULL = 0  # nothing between the separators
    EMPTY = 1  # quotes with nothing between them
    WORD = 2  # a word for a missing value: NA, null, -, ...
    INT = 3  # up to 15 digits, which DOUBLE keeps as well
    WIDE = 4  # up to 64 bits
    BIG = 5  # more
    ZERO = 6  # leading zeros
    PLUS = 7  # a plus sign before more than six digits
    CODE = 8  # digits E digits
    DEC = 9  # a fraction that DOUBLE keeps
    LONG = 10  # a number of more digits than DOUBLE keeps
    EXP = 11  # an exponent with a sign or a point
    OVER = 12  # too large for DOUBLE
    INF = 13
    BOOL = 14
    DATE = 15  # ISO
    STAMP = 16  # ISO, without a zone
    FINE = 17  # the same with more than six digits of a second
    ZONE = 18  # ISO, with a zone
    CLOCK = 19  # a time without a date
    COMMA = 20  # 0,5
    GROUP = 21  # 1,000.50
    EITHER = 22  # 1,000
    BOTH = 23  # a date with day and month in either order
    DMY = 24  # day first alone
    MDY = 25  # month first alone
    NAMED = 26  # another date: with the name of a month, or year first with points
    TEXT = 27


WORDS = (
    "na",
    "n/a",
    "#n/a",
    "#na",
    "<na>",
    "null",
    "(null)",
    "none",
    "nan",
    "-nan",
    "nat",
    "-",
    "--",
    ".",
    "?",
    "\\n",
)
_INF = ("inf", "+inf", "-inf", "infinity", "+infinity", "-infinity")

_BOOL = ("true", "false")
LONGEST_WORD = 20  # with blanks around it

BLANKS = " \u00a0\u2009\u202f"  # between thousands: those that do not break, and thin ones, look like a blank

NUMBERS = (Kind.INT, Kind.WIDE, Kind.DEC, Kind.LONG, Kind.EXP, Kind.INF)
CODES = (Kind.BIG, Kind.ZERO, Kind.PLUS, Kind.CODE)
COMMAS = (Kind.COMMA, Kind.GROUP, Kind.EITHER)
STAMPS = (Kind.DATE, Kind.STAMP, Kind.FINE)


@dataclass(frozen=True, slots=True)
class Layouts:
    """strptime formats of one column's dates that are not ISO."""

    dmy: tuple[str, ...] = ()
    mdy: tuple[str, ...] = ()
    named: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.dmy or self.mdy or self.named)


def number_of(cell: str, form: Format) -> str:
    """SQL for the cell with a point and no thousands; NULL where the format's characters are not used as it says."""
    if form.decimal is None and form.thousands is None:
        return cell
    point, group = re.escape(form.decimal or ("," if form.thousands == "." else ".")), form.thousands
    between = f"[{BLANKS}]" if group == " " else re.escape(group or "")
    whole = f"([0-9]{{1,3}}({between}[0-9]{{3}})+|[0-9]+)" if group else "[0-9]+"
    if group == ",":  # lakhs and crores: 1,00,000
        whole = f"([0-9]{{1,2}}(,[0-9]{{2}})+,[0-9]{{3}}|{whole})"
    pattern = f" *[+-]?({whole}({point}[0-9]*)?|{point}[0-9]+)([eE][+-]?[0-9]+)? *"
    marks = BLANKS if group == " " else group
    plain = cell if marks is None else f"translate({cell}, {literal(marks)}, '')"
    if form.decimal is not None:
        plain = f"replace({plain}, {literal(form.decimal)}, '.')"
    return f"CASE WHEN regexp_full_match({cell}, {literal(pattern)}) THEN {plain} END"


def is_word(cell: str, form: Format) -> str:
    """SQL: whether the cell stands for a missing value. What `nulls` lists is exactly what does."""
    if form.nulls is not None:
        return f"{cell} IN ({', '.join(map(literal, form.nulls))})" if form.nulls else "false"
    return f"lower(trim({cell})) IN ({', '.join(map(literal, WORDS))})"


def parsed(cell: str, formats: Sequence[str]) -> str:
    """SQL for the moment in the first of the formats that fits; years of four digits are from 1000 on."""
    tried = []
    for form in formats:
        moment = f"try_strptime({cell}, {literal(form)})::TIMESTAMP"
        tried.append(
            f"CASE WHEN {moment} >= TIMESTAMP '1000-01-01' THEN {moment} END" if "%Y" in form else moment
        )
    return f"coalesce({', '.join(tried)})" if len(tried) > 1 else tried[0]


def kind_sql(cell: str, form: Format, layouts: Layouts) -> str:
    """SQL for the cell's `Kind`: the first character and the length decide which patterns are tried at all."""
    number = number_of(cell, form)
    dates, iso = " ".join(_dates(cell, layouts)), " ".join(_iso(cell))
    words = f"WHEN strlen({cell}) <= {LONGEST_WORD} AND {_is_any_word(cell, form)} THEN {_word_kind(cell)}"
    letters = f"CASE {words} {dates} ELSE {Kind.TEXT:d} END"
    whole, *numbers = _numbers(number)
    rest = f"{' '.join((*numbers, *_commas(cell)))} {dates} {words} ELSE {Kind.TEXT:d}"
    listed = f"WHEN {is_word(cell, form)} THEN {Kind.WORD:d} " if form.nulls else ""
    given = f"{dates} " if form.dateformat or form.timestampformat else ""
    return (
        f"CASE WHEN {cell} IS NULL THEN {Kind.NULL:d} WHEN {cell} = '' THEN {Kind.EMPTY:d} {listed}{given}"
        f"WHEN {cell} >= ':' THEN {letters} {whole}"
        f" WHEN {cell}[5] IN ('-', '/') OR {cell}[2:3] LIKE '%:%' OR {cell} < '!' THEN CASE {iso} {rest} END"
        f" ELSE CASE {rest} END END"
    )


def _is_any_word(cell: str, form: Format) -> str:
    words = "|".join(map(re.escape, (*_BOOL, *_INF, *(WORDS if form.nulls is None else ()))))
    return f"regexp_full_match({cell}, {literal(f' *({words}) *')}, 'i')"


def _word_kind(cell: str) -> str:
    def among(words: Sequence[str]) -> str:
        return f"lower(trim({cell})) IN ({', '.join(map(literal, words))})"

    return f"CASE WHEN {among(_BOOL)} THEN {Kind.BOOL:d} WHEN {among(_INF)} THEN {Kind.INF:d} ELSE {Kind.WORD:d} END"


def json_kind_sql(cell: str, mark: str, form: Format, layouts: Layouts) -> str:
    """The same for a JSON value as text, whose first character in the file was `mark`: what is in quotes is no number."""
    texts = (f"WHEN {is_word(cell, form)} THEN {Kind.WORD:d}", *_iso(cell), *_dates(cell, layouts))
    number = f"CASE {' '.join(_numbers(cell))} ELSE {Kind.TEXT:d} END"
    nan = Kind.WORD if form.nulls is None else Kind.INF
    endless = f" WHEN {cell} = 'NaN' THEN {nan:d} WHEN {cell} IN ('Infinity', '-Infinity') THEN {Kind.INF:d}"
    return (
        f"CASE WHEN {cell} IS NULL THEN {Kind.NULL:d} WHEN {mark} = '\"' THEN"
        f" CASE WHEN {cell} = '' THEN {Kind.EMPTY:d} {' '.join(texts)} ELSE {Kind.TEXT:d} END"
        f" WHEN {mark} IN ('t', 'f') THEN {Kind.BOOL:d}{endless} WHEN {mark} IN ('{{', '[') THEN {Kind.TEXT:d}"
        f" ELSE CASE {number} WHEN {Kind.CODE:d} THEN {Kind.EXP:d} ELSE {number} END END"
    )


def _numbers(cell: str) -> tuple[str, ...]:
    """Number kinds. A text of at most 16 characters with a point has at most 15 digits, which DOUBLE keeps."""

    def full(pattern: str) -> str:
        return f"regexp_full_match({cell}, {literal(f' *{pattern} *')})"

    double = f"TRY_CAST({cell} AS DOUBLE)"
    fits, plus = f"TRY_CAST({cell} AS BIGINT) IS NOT NULL", full("[+].*")
    long_plus, exponent = full("[+][0-9]{7,}"), "([0-9]+[.]?[0-9]*|[.][0-9]+)[eE][+-]?[0-9]+"
    fine = f"isfinite({double}) AND ({double} <> 0 OR {full('[+-]?[0.]+[eE].*')})"
    tests = {
        full("[+-]?(0|[1-9][0-9]{0,14})"): f"CASE WHEN {long_plus} THEN {Kind.PLUS:d} ELSE {Kind.INT:d} END",
        (
            f"{full('[+-]?([1-9][0-9]{0,13}|0)?([.][0-9]*)?')} AND strlen({cell}) BETWEEN 2 AND 16"
            f" AND {double} IS NOT NULL"
        ): f"{Kind.DEC:d}",
        full("[+-]?[1-9][0-9]*"): (
            f"CASE WHEN {plus} THEN {Kind.PLUS:d} WHEN {fits} THEN {Kind.WIDE:d} ELSE {Kind.BIG:d} END"
        ),
        full("[+-]?0[0-9]+([.][0-9]*)?"): f"{Kind.ZERO:d}",
        f"{full('[+-]?[0-9]*[.][0-9]*')} AND {double} IS NOT NULL": (
            f"CASE WHEN {_kept(cell, double)} THEN {Kind.DEC:d} ELSE {Kind.LONG:d} END"
        ),
        full("[0-9]+[eE][0-9]+"): f"CASE WHEN isfinite({double}) THEN {Kind.CODE:d} ELSE {Kind.OVER:d} END",
        full(f"[+-]?{exponent}"): f"CASE WHEN {fine} THEN {Kind.EXP:d} ELSE {Kind.OVER:d} END",
    }
    return tuple(f"WHEN {test} THEN {kind}" for test, kind in tests.items())


def _kept(cell: str, double: str) -> str:
    """SQL: whether the number is the one that DOUBLE writes, or has at most 15 digits in all."""
    digits = f"trim(translate({cell}, '+-. ', ''), '0')"
    return (
        f"{double}::VARCHAR = {cell} OR strlen({digits}) <= 15"
        f" OR TRY_CAST({double}::VARCHAR AS DECIMAL(38,19)) = TRY_CAST({cell} AS DECIMAL(38,19))"
        f" AND strlen({cell}) <= 19"
    )


def _iso(cell: str) -> tuple[str, ...]:
    day, clock = "[0-9]{4}[-/][0-9]{1,2}[-/][0-9]{1,2}", "[0-9]{1,2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,6}0*)?)?"
    fine = "[0-9]{1,2}:[0-9]{2}:[0-9]{2}[.][0-9]{7,}"
    zone = " ?(Z|UTC|GMT|[+-][0-9]{2}(:?[0-9]{2})?)"

    def of(pattern: str, kind: Kind, kept: str) -> str:
        return f"WHEN regexp_full_match({cell}, {literal(f' *{pattern} *')}) AND {kept} IS NOT NULL THEN {kind:d}"

    stamp = f"TRY_CAST(trim({cell}) AS TIMESTAMP)"
    return (
        of(day, Kind.DATE, f"TRY_CAST({cell} AS DATE)"),
        of(f"{day}[T ]{clock}", Kind.STAMP, stamp),
        of(f"{day}[T ]{fine}", Kind.FINE, stamp),
        of(f"{day}[T ]{clock}{zone}", Kind.ZONE, f"TRY_CAST({zoned(cell)} AS TIMESTAMPTZ)"),
        of(clock, Kind.CLOCK, f"nullif(TRY_CAST(trim({cell}) AS TIME), TIME '24:00:00')"),
    )


def zoned(cell: str) -> str:
    """SQL for an ISO time with a zone as DuckDB reads it."""
    return f"regexp_replace(trim({cell}), ' ?(Z|UTC|GMT)$', '+00:00')"


def _commas(cell: str) -> tuple[str, ...]:
    def of(pattern: str, kind: Kind) -> str:
        return f"WHEN regexp_full_match({cell}, {literal(f' *[+-]?{pattern} *')}) THEN {kind:d}"

    return (
        of("[1-9][0-9]{0,2},[0-9]{3}", Kind.EITHER),
        of("([1-9][0-9]{0,2}(,[0-9]{3})+|[1-9][0-9]?(,[0-9]{2})+,[0-9]{3})([.][0-9]*)?", Kind.GROUP),
        of("([0-9]+|[1-9][0-9]{0,2}([.][0-9]{3})+),[0-9]+", Kind.COMMA),
    )


def _dates(cell: str, layouts: Layouts) -> tuple[str, ...]:
    out = []
    if layouts.dmy:
        day, month = parsed(cell, layouts.dmy), parsed(cell, layouts.mdy)
        out += [
            f"WHEN {day} IS NOT NULL THEN CASE WHEN {month} IS NULL THEN {Kind.DMY:d} ELSE {Kind.BOTH:d} END",
            f"WHEN {month} IS NOT NULL THEN {Kind.MDY:d}",
        ]
    if layouts.named:
        out.append(f"WHEN {parsed(cell, layouts.named)} IS NOT NULL THEN {Kind.NAMED:d}")
    return tuple(out)
