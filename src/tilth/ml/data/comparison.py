"""An expression of EXPECT as what stands left of its comparison, so that a result can show what was found."""

from __future__ import annotations

from collections.abc import Iterable

_COMPARISONS = ("BETWEEN", "NOT", "IN", "IS", "LIKE", ">=", "<=", "<>", "!=", "=", "<", ">")
_JOINERS = frozenset({"AND", "OR", "NOT", "CASE"})


def split_comparison(expression: str) -> tuple[str, bool]:
    """What stands left of the one comparison of the expression, and True; otherwise all of it, and False.

    >>> split_comparison("AVG(a) BETWEEN 1 AND 2")
    ('AVG(a)', True)
    >>> split_comparison("COUNT(*) > 3 AND MAX(a) < 4")
    ('COUNT(*) > 3 AND MAX(a) < 4', False)
    """
    words = list(_top_level(expression))
    at = next((n for n, (_, w) in enumerate(words) if w in _COMPARISONS), None)
    if at is None or at == 0 or any(w in _JOINERS for _, w in words[:at]):
        return expression, False
    joins = sum(w in {"AND", "OR"} for _, w in words[at:]) - (words[at][1] == "BETWEEN")
    joins -= words[at][1] == "NOT" and at + 1 < len(words) and words[at + 1][1] == "BETWEEN"
    return (expression, False) if joins > 0 else (expression[: words[at][0]].strip(), True)


def _top_level(expression: str) -> Iterable[tuple[int, str]]:
    """Words and signs outside brackets and quotes, upper-cased, with their places."""
    depth = 0
    for start, text in words_of(expression):
        if text in {"(", "[", "{"}:
            depth += 1
        elif text in {")", "]", "}"}:
            depth -= 1
        elif depth == 0:
            yield start, text


def words_of(expression: str) -> Iterable[tuple[int, str]]:
    """Words and signs, upper-cased and quoted as they are, with their places."""
    from tilth.sql.language.tokens import tokens_of

    return ((t.start, expression[t.start : t.end + 1].upper()) for t in tokens_of(expression))
