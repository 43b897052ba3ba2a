"""What the CREATE parsers share: clauses that may stand in any order, each once, the head of a statement, and its query."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol, TypeVar

from tilth.core.errors import LanguageError
from tilth.core.names import nearest
from tilth.sql.language import prefix
from tilth.sql.language.statements import NativeQuery, Options, Query, RenamedFrom
from tilth.sql.language.tokens import Cursor

T = TypeVar("T")
RENAMED = "RENAMED FROM"
QUERY_WORDS = frozenset({"SELECT", "WITH", "FROM", "VALUES", "("})


def head(c: Cursor, what: str) -> tuple[bool, str]:
    """`[IF NOT EXISTS] name` of a resource: whether it may exist already, and its name."""
    exists = c.take("IF", "NOT", "EXISTS")
    return exists, prefix.resource(c, f"the {what}'s name")


class Renames(Protocol):
    """The parts of a declaration under way, where RENAMED FROM puts what it says."""

    renamed_from: RenamedFrom | None


NOTHING: Mapping[str, str] = MappingProxyType({})


def renamed(c: Cursor, parts: Renames) -> None:
    """`RENAMED FROM name`, which a declaration of any kind may say."""
    where = c.position()
    parts.renamed_from = RenamedFrom(c.name("its earlier name", fold=True), where)


def read(
    c: Cursor,
    table: Mapping[str, Callable[[Cursor, T], None]],
    parts: T,
    what: str,
    inner: Mapping[str, str] = NOTHING,
) -> None:
    """Read clauses into `parts` to the end of the statement, whatever their order; each may stand once.

    `inner` are words that belong into a clause, with how it is written: for who writes one beside it.
    """
    seen: set[str] = set()
    while not c.at_end:
        at = c.i
        if c.key in inner:
            raise c.problem(
                f"`{c.word}` is no clause of its own.", f"Write {inner[c.key]}, where it belongs, once."
            )
        clause = _next(c, table, what)
        if clause in seen:
            c.fail(f"{clause} is given twice.", "Keep one of them.", at=at)
        seen.add(clause)
        c.clauses.append((at, c.i))
        table[clause](c, parts)


def _next(c: Cursor, table: Mapping[str, object], what: str) -> str:
    for clause in table:
        words = clause.split()
        if c.at(*words):
            c.i += len(words)
            return clause
    begun = next((k for k in table if k.split()[0] == c.key), None)
    if begun:
        c.i += 1
        c.expect(*begun.split()[1:], hint=f"The clause is `{begun}`.")
    raise _unknown(c, table, what)


def _unknown(c: Cursor, table: Mapping[str, object], what: str) -> LanguageError:
    listed = f"Clauses: {', '.join(table)}."
    if not c.at_word:
        return c.problem(f"Expected a clause of {what} here{c.instead()}.", listed)
    firsts = {k.split()[0]: k for k in table}
    near = nearest(f"{c.key} {c.following}", [k for k in table if " " in k])
    if near is None and (first := nearest(c.key, firsts)):
        near = firsts[first]
    guess = f"Did you mean `{near}`? " if near else ""
    return c.problem(f"`{c.word}` is not a clause of {what}.", guess + listed)


def choice(c: Cursor, known: Mapping[str, T], what: str, where: str) -> T:
    """Take one of the known words and give what it stands for; `where` says after what it was expected."""
    if c.key in known:
        c.i += 1
        return known[c.keys[c.i - 1]]
    if c.at_word:
        raise c.unknown(f"`{c.word}` is not a {what} of {where}.", c.word, known, f"{what}s")
    raise c.problem(
        f"Expected a {what} of {where} here{c.instead()}.", f"{what.capitalize()}s: {', '.join(known)}."
    )


def rows_from(c: Cursor) -> Query | NativeQuery:
    """`(query)`, or `db [WITH] (query) [AS x]` with a query in the source's own language; after FROM. The project's own is `mindsdb`."""
    name = None if c.at("(") else prefix.resource(c, "a source's name")
    c.take("WITH")
    first, last = c.balanced("a query")
    found: Query | NativeQuery = query(c, first, last)
    if name not in (None, prefix.PROJECT):
        assert name is not None
        found = NativeQuery(name, c.slice(first, last), c.position(first))
    if c.take("AS"):
        c.name("a name of the rows", reserved=False)
    return found


def active(c: Cursor, using: Options) -> tuple[bool | None, Options]:
    """What MindsDB's `active` among the options says, and the options without it."""
    if "active" not in using:
        return None, using
    said = using.get("active")
    if said not in (0, 1):
        c.fail(
            "`active` is 1 or 0.",
            "Write USING active = 1 to have it serve whatever its gate says.",
            at=c.i - 1,
        )
    return bool(said), Options(tuple((k, v) for k, v in using.items if k != "active"))


def rest(c: Cursor, start: int) -> Query:
    """The query from token `start` to the end of the statement, verbatim."""
    c.i = start
    c.skip_to(frozenset({";"}))
    return query(c, start, c.i)


def query(c: Cursor, first: int, last: int) -> Query:
    """The query from token `first` to before `last`, verbatim but for `mindsdb.` before names."""
    return Query(prefix.plain(c, first, last), c.position(first))
