"""A model that was asked by PREDICT as declarations: of itself under a name, and of its rows where they are a query's.

Which are there `applying.firsts` says; where the text is written `adopting`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tilth.core.errors import InputError, ProjectError, UnknownNameError
from tilth.core.names import did_you_mean
from tilth.kinds import show
from tilth.resources.graph import Graph
from tilth.sql.language.statements import CreateDataset, CreateModel, DatasetRef, Kind, RenamedFrom

if TYPE_CHECKING:
    from tilth.app.project import Project
    from tilth.runtime.record.versions import Version


@dataclass(frozen=True, slots=True)
class Chosen:
    """One of them, and the name that it is given."""

    version: Version
    name: str


@dataclass(frozen=True, slots=True)
class Made:
    """The texts that declare it, what they declare, and the deployed names that they need."""

    texts: tuple[str, ...]
    names: tuple[str, ...]
    needs: frozenset[str]


def chosen(project: Project, names: Sequence[str], asked: str | None, environment: str) -> Chosen | None:
    """The one that is meant; None where there is none, and nothing says that there is.

    UnknownNameError with those there are; InputError without exactly one name to give it.
    """
    from tilth.runtime.applying.firsts import unadopted

    there = {v.model: v for v in unadopted(project.looked().state)}
    if asked is None and not there:
        return None
    if len(names) != 1:
        raise InputError(
            "What was asked by PREDICT is adopted under one name.",
            hint=f"Write tilth adopt NAME --asked {asked}.",
        )
    if asked is not None and asked not in there:
        raise UnknownNameError(
            f"Nothing that was asked by PREDICT is called `{asked}`.",
            hint=did_you_mean(asked, list(there), "those there are")
            if there
            else "They stand in tilth.versions.",
        )
    if asked is None and len(there) > 1:
        last = list(there)[-1]
        raise UnknownNameError(
            f"There is no `{names[0]}` deployed in `{environment}`, and {len(there)} models were asked by PREDICT: {', '.join(there)}.",
            hint=f"Say which: tilth adopt {names[0]} --asked {last}. Their texts: SELECT model, reason FROM tilth.versions",
        )
    return Chosen(there[asked or next(iter(there))], names[0].lower())


def declarations(one: Chosen, deployed: Graph, known: Collection[str]) -> Made:
    """Its declarations under the name; ProjectError for a name that is taken."""
    from tilth.kinds.needs import of_query
    from tilth.runtime.applying import firsts
    from tilth.runtime.record.versions import REASON

    views = [r.name for r in deployed.of_kind(Kind.VIEW)]
    said = firsts.said_in(one.version.reason.removeprefix(REASON))
    model, data = firsts.declared(said, views)
    rows = f"{one.name}{firsts.ROWS}"
    for name in (one.name, *([rows] if data is not None else [])):
        if name in known:
            raise ProjectError(f"`{name}` is declared already.", hint="Adopt it under another name.")
    was = one.version.origin
    made: list[CreateModel | CreateDataset] = [replace(model, name=one.name, renamed_from=RenamedFrom(was))]
    assert isinstance(model.source, DatasetRef)
    direct = {model.source.name}
    if data is not None:
        made = [
            replace(data, name=rows, renamed_from=RenamedFrom(data.name)),
            replace(model, name=one.name, source=DatasetRef(rows), renamed_from=RenamedFrom(was)),
        ]
        direct = set(of_query(data, data.query, {r.name: r.declaration for r in deployed}).depends)
    needs = direct | {r.name for name in direct for r in deployed.upstream(name)}
    return Made(tuple(show(d) for d in made), tuple(d.name for d in made), frozenset(needs))
