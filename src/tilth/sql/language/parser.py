"""Text to statements. The grammar is composed: our own cursor over tokens, queries kept verbatim.

`parse` reads a file or a prompt's input. How a CREATE is read is said by its kind, and the statements that act are in
`actions`. Queries are not looked into here: the room `queries` does that. The inverse is `printer`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from tilth.core.errors import LanguageError, Position, TilthError, UnsupportedError
from tilth.sql.language import actions, altering, clauses, mending, sessions, tables
from tilth.sql.language.acts import Select, Statement
from tilth.sql.language.mindsdb import forms
from tilth.sql.language.statements import Declaration
from tilth.sql.language.tokens import Cursor

Parse: TypeAlias = Callable[[Cursor, bool, Position], Declaration]
"""Reads a CREATE after the word of its kind: the cursor, whether OR REPLACE stood before it, and where it begins."""

_ACTIONS: dict[str, Callable[[Cursor], Statement]] = {
    "PLAN": actions.plan,
    "APPLY": actions.apply,
    "PROMOTE": actions.promote,
    "ROLLBACK": actions.rollback,
    "REFRESH": actions.refresh,
    "RETRAIN": actions.retrain,
    "LOOK": actions.look,
    "DESCRIBE": actions.describe,
    "SHOW": sessions.show,
    "SET": sessions.set_to,
    "RESET": sessions.reset,
    "USE": sessions.use,
    "SUMMARIZE": actions.summarize,
    "DRILL": actions.drill,
    "FORGET": mending.forget,
    "RELEASE": mending.release,
    "HOLD": mending.hold,
    "RUN": actions.run,
    "CANCEL": sessions.cancel,
}
VERBS = ("CREATE", "ALTER", "DROP", "INSERT", "EXPLAIN", *_ACTIONS, "SELECT", "WITH", "FROM", "VALUES")
_LATER = frozenset(
    [
        "GRANT",
        "REVOKE",
        "DELETE",
        "BEGIN",
        "COMMIT",
        "MERGE",
        "COPY",
        "ATTACH",
        "PRAGMA",
        "CALL",
        "TRUNCATE",
    ]
)


def parse(text: str, kinds: Mapping[str, Parse], file: str | None = None) -> tuple[Statement, ...]:
    """The statements of a text, in order; LanguageError or UnsupportedError with the place of the first problem.

    `kinds` read the CREATE statements, by the word after CREATE. A byte order mark, which some editors write at the beginning of a file, is passed over.
    """
    c = Cursor(text.removeprefix("\ufeff"), file)
    return tuple(found.statement for found in each(c, kinds))


@dataclass(frozen=True, slots=True)
class Stands:
    """A statement, and the tokens that it stands in."""

    statement: Statement
    first: int
    last: int


def each(c: Cursor, kinds: Mapping[str, Parse]) -> Iterator[Stands]:
    """The statements one by one, each with its place."""
    while not c.ended:
        if not c.take(";"):
            first = c.i
            yield Stands(_whole(c, kinds), first, c.i)


@dataclass(frozen=True, slots=True)
class Looked:
    """What could be read of a text, with where each statement begins; what is wrong with the rest, and words of the rest:
    names that may be declared there.
    """

    statements: tuple[tuple[Statement, Position], ...] = ()
    problems: tuple[TilthError, ...] = ()
    lost: frozenset[str] = frozenset()


def look(text: str, kinds: Mapping[str, Parse], file: str | None = None) -> Looked:
    """Read on after a statement that cannot be read: behind its `;`."""
    try:
        c = Cursor(text.removeprefix("\ufeff"), file)
    except TilthError as error:
        return Looked(problems=(error,), lost=frozenset(re.findall(r"\w+", text.lower())))
    out: list[tuple[Statement, Position]] = []
    problems: list[TilthError] = []
    lost: set[str] = set()
    while not c.ended:
        if c.take(";"):
            continue
        first = c.i
        try:
            found = _whole(c, kinds)
            out.append((found, c.position(first)))
        except TilthError as error:
            problems.append(error)
            c.i = first
            while not c.at_end:
                lost.add(c.text_token().lower())
    return Looked(tuple(out), tuple(problems), frozenset(lost))


def _whole(c: Cursor, kinds: Mapping[str, Parse]) -> Statement:
    """A statement that ends where it should."""
    try:
        found = _statement(c, kinds)
    except RecursionError:
        raise LanguageError("This statement is nested too deeply.", hint="Split it.") from None
    if not c.at_end:
        c.fail(
            f"The statement is complete before this{c.instead()}.",
            "Remove it, or end the statement with `;`.",
        )
    return found


def parse_one(text: str, kinds: Mapping[str, Parse], file: str | None = None) -> Statement:
    """The one statement of a text; LanguageError when there are none or several."""
    found = parse(text, kinds, file)
    if len(found) != 1:
        raise LanguageError(
            "There is no statement in this text."
            if not found
            else f"Expected one statement, found {len(found)}.",
            hint="Write one statement." if not found else "Run them one after the other.",
            where=Position(1, 1, 1, file, (text.splitlines() or [""])[0]),
        )
    return found[0]


def _statement(c: Cursor, kinds: Mapping[str, Parse]) -> Statement:
    verb, start = c.key, c.i
    if verb in clauses.QUERY_WORDS:
        query = clauses.rest(c, start)
        return Select(query.sql, query.position)
    where = c.position()
    if (theirs := forms.read(c, kinds)) is not None:
        return theirs
    if verb == "CREATE":
        return _create(c, kinds)
    if verb in _ACTIONS:
        c.i += 1
        return _ACTIONS[verb](c)
    if verb == "DROP":
        c.i += 1
        return actions.drop(c, where, kinds)
    if verb == "ALTER":
        c.i += 1
        return altering.alter(c, where, kinds)
    if verb == "INSERT":
        c.i += 1
        c.expect("INTO", hint="Write INSERT INTO ops.scores SELECT ...")
        return tables.insert_into(c, where)
    if verb == "EXPLAIN":
        c.i += 1
        return actions.explain(c, where)
    if verb in _LATER:
        raise UnsupportedError(
            f"{verb} is not in this version.", hint=f"Statements: {', '.join(VERBS)}.", where=where
        )
    if not c.at_word:
        c.fail(f"Expected a statement here{c.instead()}.", f"Statements: {', '.join(VERBS)}.")
    raise c.unknown(f"`{c.word}` does not begin a statement.", verb, VERBS, "statements")


def _create(c: Cursor, kinds: Mapping[str, Parse]) -> Statement:
    start = c.i
    c.i += 1
    or_replace = c.take("OR", "REPLACE")
    if c.take("TOKEN"):
        return actions.create_token(c, c.position(start, c.i), or_replace=or_replace)
    if c.take("TABLE"):
        return tables.create_table(c, c.position(start, c.i), or_replace=or_replace)
    if c.key not in kinds:
        actions.kind_fails(c, "CREATE", (*kinds, *actions.BESIDE, "TABLE"))
    kind = c.key
    c.i += 1
    where = c.position(start, min(c.i + 1, len(c.tokens)))
    return kinds[kind](c, or_replace, where)
