"""`FROM PREDICT (y FROM d)` in a query: its model is found, or made, and stands in the query like one that serves.

Who may have things done may have it made; everybody else, and who asks inside a transaction, is answered by what was made before. What
is made, and where it is kept, is said by `applying.firsts`, which is imported when a query first has one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tilth.core.errors import InputError, TilthError, UnsupportedError
from tilth.core.time import show_instant
from tilth.plan.rights import Right, may, require
from tilth.runtime.asking.prompt import Prompt
from tilth.runtime.asking.select import Models
from tilth.sql.language.acts import Select
from tilth.sql.language.parameters import FRAMES
from tilth.sql.language.statements import Query
from tilth.sql.language.tokens import Cursor
from tilth.sql.language.trees import shifted
from tilth.sql.queries import reads
from tilth.sql.queries.firsts import First as Place
from tilth.sql.queries.firsts import firsts, maybe, unfed, without

if TYPE_CHECKING:
    from tilth.resources.graph import Graph
    from tilth.runtime.applying.firsts import First, Found
    from tilth.runtime.record.versions import Version


@dataclass(frozen=True, slots=True)
class Standing:
    """A query in which models have names, and the models that it may name."""

    query: Select
    models: Models


def standing(at: Prompt, query: Select, graph: Graph, models: Models, told: list[str]) -> Standing:
    """The query with the model of each of its PREDICT, which are made where they are not there; `told` gets what to know of them."""
    if not maybe(query.sql):
        return Standing(query, models)
    c = Cursor(query.sql)
    found = firsts(c)
    if not found:
        return Standing(query, models)
    versions: dict[str, int] = {}
    try:
        read = [_read(at, c, one, graph) for one in found]
        names = [first.model.name for first in read]
        text = without(query.sql, found, names)
        _check_fed(text, c, found, names)
        for first in read:
            if first.model.name not in versions:
                versions[first.model.name] = _answering(at, first, told).version
    except TilthError as error:
        error.where = shifted(error.where, query.position)
        raise
    return Standing(Select(text), replace(models, work=at.work, pointed={**models.pointed, **versions}))


def _check_fed(text: str, c: Cursor, found: tuple[Place, ...], names: list[str]) -> None:
    """InputError, before anything is trained, for a PREDICT that nothing gives inputs to."""
    name = unfed(text, set(names))
    if name is not None:
        one = found[names.index(name)]
        raise InputError(
            "This PREDICT has no rows to answer for: nothing was trained.",
            hint="Join it to rows, FROM <table> t JOIN PREDICT (...) p, or give its inputs: FROM PREDICT (...) p WHERE <input> = <value> AND ...",
            where=c.position(one.first - 2, one.last + 1),
        )


def would(at: Prompt, query: Select, graph: Graph, models: Models) -> tuple[Standing | None, tuple[str, ...]]:
    """The same of a query that is only explained: None where a model is not there, and what making each would take."""
    c = Cursor(query.sql)
    found = firsts(c) if maybe(query.sql) else ()
    versions: dict[str, int] = {}
    names, steps = [], []
    for one in found:
        first = _read(at, c, one, graph)
        from tilth.runtime.applying import firsts as making

        names.append(first.model.name)
        there = making.there(at.work, at.environment, first)
        if there.version is not None:
            versions[first.model.name] = there.version.version
        if there.version is None or not there.fresh:
            steps.append(_cost(first, there))
    if len(versions) < len(set(names)):
        return None, tuple(steps)
    query = Select(without(query.sql, found, names)) if found else query
    return Standing(query, replace(models, pointed={**models.pointed, **versions})), tuple(steps)


def _read(at: Prompt, c: Cursor, one: Place, graph: Graph) -> First:
    from tilth.kinds.model.grammar import first as read
    from tilth.runtime.applying import firsts as making

    where = c.position(one.first - 2, one.last + 1)
    said = making.named(read(c.within(one.first, one.last), making.PREFIX, where))
    asked = said.source.sql if isinstance(said.source, Query) else ""
    if f'"{FRAMES}".' in asked and any(u.schema == FRAMES for u in reads.tables(asked)):
        raise UnsupportedError(
            "PREDICT does not learn from a table of the program that asks: what was learned could not be found again.",
            hint="Write it into a source, CREATE TABLE source.t AS SELECT * FROM $frame, and learn from that.",
            where=where,
        )
    return making.resolved(said, graph, at.compiled, at.environment)


def _answering(at: Prompt, first: First, told: list[str]) -> Version:
    """The version that answers."""
    from tilth.runtime.applying import firsts as making

    found = making.there(at.work, at.environment, first)
    version = found.version
    allowed = may(at.principal, Right.OPERATE) and not at.in_transaction
    if version is None or (not found.fresh and allowed):
        _check_allowed(at)
        if at.begin is not None:
            at.work = at.begin()
        at.room()
        version = making.made(at.act(), first)
    elif not found.fresh:
        told.append(
            f"{first.line} learned from rows as they were at {show_instant(version.created_at)[:19]}Z"
        )
    told.extend(_words(at, first, version))
    return version


def _check_allowed(at: Prompt) -> None:
    require(at.principal, Right.OPERATE, "A first prediction, which trains a model,")
    if at.in_transaction:
        raise UnsupportedError(
            "PREDICT (...) would train a model, which is not done inside a transaction block: ROLLBACK could not undo it.",
            hint="Ask it once without BEGIN; from then on the same text is answered inside one as well.",
        )


def _words(at: Prompt, first: First, version: Version) -> list[str]:
    """How good it is, and what was found odd."""
    from tilth.runtime.applying.firsts import warnings
    from tilth.runtime.record import notices

    noted = notices.of(at.work.state, notices.MODEL, version.model, str(version.version))
    rows = "" if not version.rows else f", {version.rows:,} rows"
    head = f"{first.line} is {version.model}@{version.version} ({version.engine}{rows})"
    score = "; ".join(n.words.rstrip(".") for n in noted if n.kind == notices.SCORE)
    others = [n.words for n in noted if n.kind != notices.SCORE]
    return [f"{head}: {score}." if score else f"{head}.", *warnings(first, version), *others]


def _cost(first: First, there: Found) -> str:
    """What making it would take, at most."""
    from tilth.kinds.model.rules import USING_DEFAULTS
    from tilth.runtime.applying.candidates import MEMORY
    from tilth.sql.language.statements import CreateModel

    using: Mapping[str, object] = dict(USING_DEFAULTS) | dict(first.model.as_(CreateModel).using.items)
    rows = "rows not counted yet" if there.manifest is None else f"{there.manifest.rows:,} rows"
    collect = "collect its rows, then " if first.own else ""
    again = (
        ""
        if there.version is None
        else f", unless they are those that version {there.version.version} learned from"
    )
    return (
        f"{collect}train {first.line}{again}: {rows}, at most {using['time_limit']} and {using.get('memory', MEMORY)} to learn; "
        "kept, and not made again for the same text and rows"
    )
