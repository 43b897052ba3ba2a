"""EXPECT ( ... ): the items of a dataset's list of assumptions, and whether an expression is of rows or of the set."""

from __future__ import annotations

from tilth.core.errors import LanguageError
from tilth.core.names import nearest
from tilth.sql.language.clauses import choice
from tilth.sql.language.statements import CheckKind, Expectation, OnFail
from tilth.sql.language.tokens import Cursor
from tilth.sql.language.trees import holds_aggregate, tree
from tilth.sql.language.usual import ASPECTS, usual
from tilth.sql.language.values import duration

_ON_FAIL = {w.name: w for w in OnFail}
_STOP = frozenset({",", ")", "ON"})


def expectations(c: Cursor) -> tuple[Expectation, ...]:
    """`( item, item, ... )`."""
    opened = c.i
    c.expect("(", hint="Write EXPECT (expression ON FAIL STOP, ...).")
    if c.at(")"):
        c.fail("EXPECT has no items.", "Write for example EXPECT (carrier IS NOT NULL ON FAIL STOP).")
    out = [_item(c, opened)]
    while c.take(","):
        out.append(_item(c, opened))
    if c.ended:
        c.fail("This `(` is never closed.", "Close it with `)`.", at=opened)
    c.expect(")", hint="Separate the items with commas.")
    return tuple(out)


def _item(c: Cursor, opened: int) -> Expectation:
    start = c.i
    if c.at("REFERENCES"):
        return _references(c)
    if c.at("FRESH", "WITHIN"):
        return _fresh(c)
    if c.at("USUAL", "(") or (c.at("USUAL") and c.following in map(str.upper, ASPECTS)):
        return _usual(c)
    if c.following == "WITHIN" and nearest(c.key, ["FRESH"]):
        c.fail(f"Expected `FRESH WITHIN` here{c.instead()}.", "Did you mean `FRESH WITHIN '2 days'`?")
    c.skip_to(_STOP, opened=opened)
    if c.i == start:
        c.fail(
            f"Expected an expression here{c.instead()}.",
            "Write for example carrier IS NOT NULL ON FAIL STOP.",
        )
    _misspelt(c, start)
    text = c.slice(start, c.i)
    where = c.position(start, c.i)
    return Expectation(_kind(c, start, c.i, text), _on_fail(c), text, position=where)


def _misspelt(c: Cursor, start: int) -> None:
    """`REFERENCE a.b (c)` is no expression of a row: say what was meant."""
    if c.i - start >= 6 and c.keys[start + 2] == "." and c.keys[start + 4] == "(" and c.key != "REFERENCES":
        c.i, end = start, c.i
        if nearest(c.key, ["REFERENCES"]):
            c.fail(
                f"Expected `REFERENCES` here{c.instead()}.",
                "Did you mean `REFERENCES source.table (column)`?",
            )
        c.i = end


def _on_fail(c: Cursor) -> OnFail:
    if not c.take("ON"):
        return OnFail.STOP
    c.expect("FAIL", hint="Write ON FAIL STOP, ON FAIL QUARANTINE or ON FAIL WARN.")
    return choice(c, _ON_FAIL, "choice", "ON FAIL")


def _references(c: Cursor) -> Expectation:
    start = c.i
    c.expect("REFERENCES")
    source = c.name("a source's name", fold=True)
    c.expect(".", hint="Write REFERENCES source.table (column).")
    table = c.name("a table's name", reserved=False)
    columns = c.names("a column")
    where = c.position(start, c.i)
    return Expectation(
        CheckKind.REFERENCES, _on_fail(c), table=(source, table), columns=columns, position=where
    )


def _fresh(c: Cursor) -> Expectation:
    start = c.i
    c.expect("FRESH", "WITHIN")
    within = duration(c)
    where = c.position(start, c.i)
    return Expectation(CheckKind.FRESH, _on_fail(c), within=within, position=where)


def _usual(c: Cursor) -> Expectation:
    start = c.i
    found = usual(c)
    where = c.position(start, c.i)
    return Expectation(CheckKind.USUAL, _on_fail(c), usual=found, position=where)


def _kind(c: Cursor, first: int, last: int, text: str) -> CheckKind:
    """Only an expression that calls a function can hold an aggregate; only then is it parsed."""
    calls = [c.keys[i] for i in range(first, last - 1) if c.keys[i + 1] == "("]
    if not any(k and k[0].isalpha() and k not in ("IN", "AND", "OR", "NOT", "BETWEEN") for k in calls):
        return CheckKind.ROW
    return CheckKind.SET if aggregates(text) else CheckKind.ROW


def aggregates(expression: str) -> bool:
    """Whether the expression aggregates over the rows: an aggregate function outside windows and subqueries."""
    try:
        return holds_aggregate(tree(expression))
    except LanguageError:
        return False  # the compiler says what is wrong with it
