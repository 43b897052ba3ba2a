"""Where in a query stands what its engine stumbled over: the engine shows a line with a caret, and people are shown their file's.

The place is found in the text that the engine was given; where that cannot be told, the error keeps the engine's lines.
"""

from __future__ import annotations

import re
from typing import TypeVar
from unicodedata import combining, east_asian_width

from tilth.core.errors import Position, TilthError
from tilth.sql.language.tokens import place
from tilth.sql.language.trees import shifted

_LINE = re.compile(r"(LINE (\d+): )(.*)", re.DOTALL)
_CUT = "..."
Error = TypeVar("Error", bound=TilthError)


def located(error: Error, sql: str, base: Position | None, written: str | None = None) -> Error:
    """The error under the word that it is about, in the file in which the query begins at `base`; else at `base`.

    `written` is what the person wrote, where the engine was given another text of which every sign stands at the same place.
    """
    found = _span(error.detail, sql) if error.where is None else None
    if found is not None:
        error.where = shifted(place(written or sql, *found), base)
        error.detail = error.detail[2:]
    elif base is not None:
        error.at(base)
    return error


def _span(detail: tuple[str, ...], sql: str) -> tuple[int, int] | None:
    """From where to where the caret points, in the text.

    >>> _span(("LINE 1: SELECT a,, b", "                 ^"), "SELECT a,, b")
    (9, 10)
    """
    shown = _LINE.fullmatch(detail[0]) if len(detail) > 1 else None
    rows = sql.split("\n")
    if shown is None or "^" not in detail[1] or int(shown[2]) > len(rows):
        return None
    number, text = int(shown[2]), shown[3]
    row, cut = rows[number - 1], text.startswith(_CUT) and not rows[number - 1].startswith(text)
    inner = text.removeprefix(_CUT) if cut else text
    begin = row.find(inner.removesuffix(_CUT) if not row.endswith(inner) else inner)
    width = detail[1].index("^") - len(shown[1]) - (len(_CUT) if cut else 0)
    if begin < 0 or width < 0:
        return None
    start = begin + _signs(row[begin:], width)
    end = start + max(1, _signs(row[start:], detail[1].count("^")))
    before = sum(len(r) + 1 for r in rows[: number - 1])
    return before + start, before + min(end, max(len(row), start + 1))


def _signs(text: str, width: int) -> int:
    """How many signs of the text take that much width as the engine counts it: a tab takes none, a wide sign two."""
    for n, sign in enumerate(text):
        wide = 0 if sign < " " or combining(sign) else 2 if east_asian_width(sign) in "WF" else 1
        if width < wide or (width == 0 and wide):
            return n
        width -= wide
    return len(text)
