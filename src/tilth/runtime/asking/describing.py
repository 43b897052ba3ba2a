"""DESCRIBE, SHOW and SUMMARIZE: what there is, one thing in full, and the columns of a dataset at a glance."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tilth.core.errors import TilthError, UnknownNameError
from tilth.core.names import did_you_mean, literal, quoted
from tilth.resources.graph import Graph
from tilth.resources.kinds import Resource
from tilth.runtime import sources
from tilth.runtime.asking import catalog, mindsdb
from tilth.runtime.asking import select as asking
from tilth.runtime.asking.missing import no_model
from tilth.runtime.asking.prompt import Prompt, Result
from tilth.runtime.record import environments, versions
from tilth.runtime.showing import described
from tilth.runtime.showing.describing import Place, describe
from tilth.sql.language.acts import Describe, Select, Show, Summarize
from tilth.sql.language.prefix import TABLES
from tilth.sql.language.statements import Kind

_SUMMARIZED = "summarized"


def description(at: Prompt, statement: Describe) -> Result:
    """What is deployed under the name, or what the files declare; a row a thing, and all of it as facts."""
    deployed, files = at.deployed(at.environment), _files(at)
    found, declared = _find(deployed, statement.name), _find(files, statement.name)
    one = declared if found is None else found
    if one is None or (statement.kind is not None and one.kind is not statement.kind):
        kinds = "resources" if statement.kind is None else f"{statement.kind.value}s"
        names = [r.name for g in (deployed, files) for r in g if statement.kind in (None, r.kind)]
        raise UnknownNameError(
            f"There is no {statement.kind.value if statement.kind else 'resource'} `{statement.name}`, "
            f"neither in `{at.environment}` nor in the files.",
            hint=did_you_mean(statement.name, dict.fromkeys(names), kinds),
        )
    if statement.version is not None or statement.part is not None:
        return _of_version(at, one, statement)
    differs = found is not None and declared is not None and found.text != declared.text
    graph = files if found is None else deployed
    place = Place(at.work, at.environment, graph, deployed=found is not None)
    facts = describe(place, one, differs=differs)
    lines = described.head(facts)
    return Result(_rows(described.flat(facts), ("part", "name", "type", "says")), "\n".join(lines), facts)


def _of_version(at: Prompt, one: Resource, statement: Describe) -> Result:
    """One version of a model, or a part of what is told of it, in MindsDB's columns; of the one that serves, where none is named."""
    if one.kind is not Kind.MODEL:
        raise UnknownNameError(
            f"`{one.name}` is a {one.kind}, and versions and parts are told of models.",
            hint=f"DESCRIBE {one.name}",
        )
    models = asking.models_of(at.work, at.environment, at.loaded)
    version = models.pointed.get(one.name) if statement.version is None else statement.version
    if version is None:
        raise no_model(at.work.state, one.name, models.pointed)
    versions.require(at.work.state, one.name, version)
    table, left = (
        ("features", " EXCLUDE (name, version)") if statement.part == "features" else ("models_versions", "")
    )
    query = Select(
        f"SELECT *{left} FROM {mindsdb.NAME}.{table} WHERE name = {literal(one.name)} AND version = {version}"
    )
    told: list[str] = []
    graph = at.deployed(at.environment)
    rows = asking.select(at.work, graph, at.environment, models, query, at.limits, told)
    if statement.part not in (None, "features", "info"):
        told.append(
            f"of `{statement.part}` this is what there is; SELECT * FROM tilth.trainings and tilth.versions hold more"
        )
    return Result(rows, told=told)


def _find(graph: Graph, name: str) -> Resource | None:
    """The resource of that name, or of it in lower case, as a name without quotes is read."""
    return graph.find(name) or graph.find(name.lower())


def _files(at: Prompt) -> Graph:
    """What the files declare; nothing where there are none, or where they cannot be read."""
    try:
        return at.declared()
    except TilthError:
        return Graph(())


def _rows(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> Any:
    import pyarrow as pa

    kinds = {"deployed": pa.bool_(), "generation": pa.int64()}
    schema = pa.schema([(n, kinds.get(n, pa.string())) for n in columns])
    return pa.Table.from_pylist(rows, schema).to_reader()


# --- SHOW --------------------------------------------------------------------------------------------------


def listing(at: Prompt, statement: Show) -> Result:
    """The names of a kind, deployed and declared; or what a query can name."""
    told: list[str] = []
    columns, rows = (
        _LISTS[statement.what](at, statement.what, told)
        if statement.source is None
        else _of_source(at, statement.source)
    )
    if statement.like is not None:
        wanted = at.work.engine.stream(
            "SELECT name FROM named WHERE name ILIKE $like",
            {"named": _names(rows)},
            {"like": statement.like},
        )
        kept = set(wanted.read_all().column("name").to_pylist())
        rows = [r for r in rows if r["name"] in kept]
    return Result(_rows(rows, columns), told=told)


def _names(rows: list[dict[str, Any]]) -> Any:
    import pyarrow as pa

    return pa.table({"name": pa.array([r["name"] for r in rows], pa.string())})


Listed = tuple[tuple[str, ...], list[dict[str, Any]]]


def _resources(at: Prompt, what: str, told: list[str]) -> Listed:
    del told
    kind = Kind(what.removesuffix("s"))
    deployed, files = at.deployed(at.environment), _files(at)
    graphs = {r.name: (g, r) for g in (files, deployed) for r in g.of_kind(kind)}
    rows = [
        {
            "name": name,
            "deployed": name in deployed,
            "made_from": ", ".join(r.depends),
            "used_by": ", ".join(u.name for u in graph.downstream(name)),
        }
        for name, (graph, r) in sorted(graphs.items())
    ]
    return ("name", "deployed", "made_from", "used_by"), rows


def _tables(at: Prompt, what: str, told: list[str]) -> Listed:
    """What a query can name after FROM, with its kind. A source that does not answer is told."""
    del what
    graph = at.deployed(at.environment)
    rows = [
        {"name": r.name, "kind": k.value}
        for k in (Kind.DATASET, Kind.MODEL, Kind.VIEW)
        for r in graph.of_kind(k)
    ]
    for source in graph.of_kind(Kind.SOURCE):
        try:
            with sources.opened(graph, at.work.root, [source.name]) as opened:
                rows += [
                    {"name": f"{source.name}.{t}", "kind": "table"} for t in opened[source.name].tables()
                ]
        except TilthError as error:
            told.append(f"Source `{source.name}` does not answer: {error.message}")
    system = catalog.SystemTables(at.work).tables()
    rows += [{"name": f"{catalog.NAME}.{t}", "kind": "table of tilth"} for t in system]
    return ("name", "kind"), rows


def _of_source(at: Prompt, name: str) -> Listed:
    """The tables of one source, under the names that they have there."""
    graph = at.deployed(at.environment)
    if name == catalog.NAME:
        return ("name", "kind"), [
            {"name": t, "kind": "table of tilth"} for t in catalog.SystemTables(at.work).tables()
        ]
    if name == mindsdb.NAME:
        made = [
            {"name": r.name, "kind": k.value}
            for k in (Kind.DATASET, Kind.MODEL, Kind.VIEW)
            for r in graph.of_kind(k)
        ]
        return ("name", "kind"), [*made, *({"name": t, "kind": f"table of {name}"} for t in TABLES)]
    found = graph.find(name)
    if found is None or found.kind is not Kind.SOURCE:
        names = [r.name for r in graph.of_kind(Kind.SOURCE)]
        raise UnknownNameError(
            f"There is no source `{name}` in `{at.environment}`.", hint=did_you_mean(name, names, "sources")
        )
    with sources.opened(graph, at.work.root, [name]) as opened:
        return ("name", "kind"), [{"name": t, "kind": "table"} for t in opened[name].tables()]


def _environments(at: Prompt, what: str, told: list[str]) -> Listed:
    del what, told
    return ("name", "generation", "reason", "at"), list(every_environment(at))


def every_environment(at: Prompt) -> Iterator[dict[str, Any]]:
    """Each environment with the generation that it is at."""
    for name in environments.names(at.work.state):
        for one in environments.generations(at.work.state, name, 1):
            moment = one.created_at.strftime("%Y-%m-%d %H:%M:%S")
            yield {"name": name, "generation": one.number, "reason": one.reason, "at": moment}


_LISTS: Mapping[str, Callable[[Prompt, str, list[str]], Listed]] = {
    **dict.fromkeys(
        ("sources", "datasets", "models", "endpoints", "channels", "views", "jobs", "triggers"), _resources
    ),
    "tables": _tables,
    "environments": _environments,
}


# --- SUMMARIZE ---------------------------------------------------------------------------------------------


def summary(at: Prompt, statement: Summarize) -> Result:
    """A row a column, as DuckDB's SUMMARIZE gives them."""
    graph = at.deployed(at.environment)
    found = graph.find(statement.name)
    if found is None or found.kind not in (Kind.DATASET, Kind.VIEW):
        names = [r.name for k in (Kind.DATASET, Kind.VIEW) for r in graph.of_kind(k)]
        raise UnknownNameError(
            f"There is no dataset `{statement.name}`, and no view in `{at.environment}`.",
            hint=did_you_mean(statement.name, names, "datasets")
            if names
            else "Run `tilth apply` to collect one.",
        )
    models = asking.models_of(at.work, at.environment, at.loaded)
    query = Select(f"SELECT * FROM {quoted(statement.name)}")
    told: list[str] = []
    rows = asking.select(at.work, graph, at.environment, models, query, at.limits, told)
    made = at.work.engine.stream(
        f"SELECT * FROM (SUMMARIZE {_SUMMARIZED})", {_SUMMARIZED: rows}, limits=at.limits
    )
    return Result(made, told=told)
