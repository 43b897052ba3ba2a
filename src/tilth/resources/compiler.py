"""Declarations to a graph: names resolved, rules checked, recipes computed. Reads no data and asks no source.

A recipe changes exactly when what would be made changes: not with white space or comments, not with how often a
dataset is refreshed or when a model is retrained, not when a source moves to another host, and not with a new name:
recipes are computed of the declarations as if everything were called what it is remembered under. What each kind's
recipe holds, and which rules and needs it has, its module in `tilth.kinds` says; here is what all have in common.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

from tilth.core.canonical import fingerprint
from tilth.core.errors import ProjectError, TilthError
from tilth.resources import naming, rules
from tilth.resources.facts import Facts
from tilth.resources.graph import Graph
from tilth.resources.kinds import Resource
from tilth.resources.making import Making, Needs
from tilth.sql.language import printer
from tilth.sql.language.acts import Statement
from tilth.sql.language.printer import Show
from tilth.sql.language.statements import Declaration


def compile(  # noqa: A001 - the word of the field
    statements: Sequence[Statement], facts: Facts, kinds: Mapping[type, Making], shows: Mapping[type, Show]
) -> Graph:
    """The graph of a project; ProjectError, UnknownNameError or CycleError with file, line and caret.

    `kinds` and `shows` say by the class of a declaration what is to be known of its kind, and how it is written.
    """
    known = _by_name(statements, kinds)
    first = _first_names(known, naming.origins(known, facts.histories), kinds)
    needs = {}
    for name, d in known.items():
        rules.check_name(d)
        kinds[type(d)].rules(d, facts)
        needs[name] = kinds[type(d)].needs(d, known)
    ordered = Graph.of(*(_resource(d, needs[name]) for name, d in known.items()))
    recipes: dict[str, str] = {}
    queries: dict[str, str] = {}  # that stand for a name in others
    made = []
    for d in (r.declaration for r in ordered):
        own, making = needs[d.name], kinds[type(d)]
        then = first.known[first.names[d.name]]
        asked = own if then is d else making.needs(then, first.known)
        said = {**making.recipe(then, facts), **_around(then, asked, recipes)}
        recipe = recipes[then.name] = fingerprint(said, making.number)
        earlier = (fingerprint({**said, **making.before(then, facts)}),) if making.before is not None else ()
        over = making.over(d, queries, known) if making.over is not None else d
        if making.stands_for is not None:
            queries[d.name] = making.stands_for(over)
        resource = _resource(d, own, recipe, shown(d, shows), earlier, then.name)
        made.append(resource if over is d else replace(resource, made=over))
    return Graph(tuple(made))


def shown(d: Declaration, shows: Mapping[type, Show]) -> str:
    """The declaration as it is kept: what it was called before is no part of what it is."""
    return printer.show(d if d.renamed_from is None else replace(cast("Any", d), renamed_from=None), shows)


@dataclass(frozen=True, slots=True)
class _First:
    """The declarations under the names that they are remembered under, and which name leads to which."""

    known: Mapping[str, Declaration]
    names: Mapping[str, str]


def _first_names(
    known: Mapping[str, Declaration], origins: Mapping[str, str], kinds: Mapping[type, Making]
) -> _First:
    moved = {name: origin for name, origin in origins.items() if name != origin}
    if not moved:
        return _First(known, origins)
    return _First({origins[n]: kinds[type(d)].renamed(d, moved) for n, d in known.items()}, origins)


def look(
    statements: Sequence[Statement], facts: Facts, kinds: Mapping[type, Making], shows: Mapping[type, Show]
) -> tuple[Graph, tuple[TilthError, ...]]:
    """All that is wrong with a project, and the graph of what is not: of each declaration the first rule that it breaks and the
    first name that it misses, each name that is declared twice, and a circle.
    """
    problems: list[TilthError] = []
    known: dict[str, Declaration] = {}
    for s in statements:
        with _noted(problems):
            _add(known, s, kinds)
    good = dict(known)
    for name, d in known.items():
        for asked in (
            rules.check_name,
            lambda d: kinds[type(d)].rules(d, facts),
            lambda d: kinds[type(d)].needs(d, known),
        ):
            with _noted(problems, good, name):
                asked(d)
    while True:
        missed = [n for n, d in good.items() if _fails(lambda d: kinds[type(d)].needs(d, good), d)]
        if not missed:
            break
        for name in missed:
            del good[name]
    with _noted(problems):
        return compile(tuple(good.values()), facts, kinds, shows), tuple(problems)
    return Graph(), tuple(problems)


@contextmanager
def _noted(
    problems: list[TilthError], good: dict[str, Declaration] | None = None, name: str = ""
) -> Iterator[None]:
    """What is raised in the block is one of the problems, and the declaration of that name is not good."""
    try:
        yield
    except TilthError as error:
        problems.append(error)
        if good is not None:
            good.pop(name, None)


def _fails(ask: Callable[[Declaration], object], d: Declaration) -> bool:
    try:
        ask(d)
    except TilthError:
        return True
    return False


def _by_name(statements: Iterable[Statement], kinds: Mapping[type, Making]) -> dict[str, Declaration]:
    known: dict[str, Declaration] = {}
    for s in statements:
        _add(known, s, kinds)
    return known


def _add(known: dict[str, Declaration], s: Statement, kinds: Mapping[type, Making]) -> None:
    """One more declaration; ProjectError for what is none, and for a name that is taken."""
    if type(s) not in kinds:
        raise ProjectError(
            f"A project only declares, and this is a {type(s).__name__}.",
            hint="Keep CREATE statements in files. To drop a resource, delete its CREATE statement.",
            where=getattr(s, "position", None),
        )
    declared = cast("Declaration", s)
    if (first := known.get(declared.name)) is not None:
        article = "an" if first.kind[0] in "aeiou" else "a"
        raise ProjectError(
            f"`{declared.name}` is declared twice: as {article} {first.kind} at {first.position}, and here.",
            hint="Each name has one kind and one declaration: rename or remove one.",
            where=declared.position,
        )
    known[declared.name] = declared


def _resource(
    d: Declaration,
    needs: Needs,
    recipe: str = "",
    text: str = "",
    earlier: tuple[str, ...] = (),
    remembered: str = "",
) -> Resource:
    origin = "" if remembered == d.name else remembered
    return Resource(d.kind, d.name, d, needs.depends, recipe, text, needs.tables, earlier, origin)


def _around(d: Declaration, needs: Needs, recipes: Mapping[str, str]) -> dict[str, object]:
    """What the recipe of any kind holds: the kind, and what it is made from."""
    return {
        "kind": d.kind,
        "upstream": [recipes[n] for n in needs.upstream],
        "sources": list(needs.sources),
    }
