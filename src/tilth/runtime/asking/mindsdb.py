"""The schema `mindsdb`: what there is, in the tables and columns that MindsDB says it with. The same is in `catalog`, in tilth's words.

`ACTIVE` is the version that this environment points at. A model is trained while its statement runs, so that a status is `complete` once that has
answered; `error` is a model none of whose trainings came to an end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tilth.core.errors import UnknownNameError
from tilth.core.names import did_you_mean
from tilth.core.time import naive, show_duration
from tilth.plan.snapshot import Pointer
from tilth.ports import registry
from tilth.ports.learning import engines, version_of
from tilth.resources.graph import Graph
from tilth.resources.kinds import Resource
from tilth.runtime.asking import catalog
from tilth.runtime.asking.made_tables import MadeTables
from tilth.runtime.record import declarations, environments, names, tables, versions
from tilth.runtime.record.versions import Version
from tilth.runtime.showing import scheduled
from tilth.runtime.workspace import Workspace
from tilth.sql.language import printer
from tilth.sql.language.prefix import PROJECT, TABLES
from tilth.sql.language.scheduled import CreateJob, CreateTrigger
from tilth.sql.language.statements import CreateModel, CreateSource, CreateView, DatasetRef, Kind, Secret
from tilth.sql.language.writing import options

if TYPE_CHECKING:
    import pyarrow as pa

NAME = PROJECT
UNNAMED = ("models", "models_versions", "predictors")
"""Tables that are found without the schema's name too, where no resource is called so."""


@dataclass(frozen=True, slots=True)
class MindsDBTables(MadeTables):
    """Tables of what one environment points at, as MindsDB names them."""

    schema = NAME
    work: Workspace
    environment: str
    graph: Graph

    def tables(self) -> tuple[str, ...]:
        return TABLES

    def read(self, table: str) -> pa.Table:
        import pyarrow as pa

        found = _MADE.get(table.lower())
        if found is None:
            raise UnknownNameError(
                f"There is no table `{NAME}.{table}`.", hint=did_you_mean(table, TABLES, f"tables of {NAME}")
            )
        columns, rows = found
        return pa.Table.from_pylist(list(rows(self)), schema=_schema(columns))

    def pointers(self, kind: Kind) -> list[Pointer]:
        """What the environment points at of a kind."""
        return [p for p in environments.pointers_of(self.work.state, self.environment)[1] if p.kind is kind]


def _schema(columns: Mapping[str, str]) -> pa.Schema:
    import pyarrow as pa

    types = {
        "text": pa.string(),
        "int": pa.int64(),
        "float": pa.float64(),
        "time": pa.timestamp("us"),
        "bool": pa.bool_(),
    }
    return pa.schema([(name, types[kind]) for name, kind in columns.items()])


# --- models ------------------------------------------------------------------------------------------------

_MODEL = {
    "NAME": "text", "ENGINE": "text", "PROJECT": "text", "ACTIVE": "int", "VERSION": "int", "STATUS": "text",
    "ACCURACY": "float", "PREDICT": "text", "UPDATE_STATUS": "text", "MINDSDB_VERSION": "text", "ERROR": "text",
    "SELECT_DATA_QUERY": "text", "TRAINING_OPTIONS": "text", "TAG": "text", "CREATED_AT": "time", "TRAINING_TIME": "float",
}  # fmt: skip
_TRAINS = "TrainModel"


def _versions(at: MindsDBTables) -> Iterator[dict[str, Any]]:
    """A row a version whose model is deployed; of a model that has none, its last training."""
    with at.work.state.reading() as reader:
        known = names.origins(reader)
        every = versions.all_of(reader)
        runs = [r for r in tables.rows(at.work.state, "runs", at.work.serving) if _is_training(r, at)]
    seen: set[str] = set()
    for pointer in at.pointers(Kind.MODEL):
        origin = known.origin(Kind.MODEL, pointer.name)
        active = int(pointer.target) if pointer.target else None
        mine = [v for v in every if known.origin(Kind.MODEL, v.model) == origin and v.removed_at is None]
        seen |= {pointer.name, *(v.model for v in mine)}
        resource = at.graph.get(pointer.name)
        for one in sorted(mine, key=lambda v: v.version):
            yield _version(at, resource, one, active=one.version == active)
    lost = {v.model: v for v in sorted(every, key=lambda v: v.version) if v.model not in seen}
    served = {v.model for v in every if v.status == versions.PROMOTED}  # and was dropped since
    for one in (v for v in lost.values() if v.model not in served):
        seen.add(one.model)
        yield _unserved(one)
    last = {str(r["name"]): r for r in sorted(runs, key=lambda r: int(r["id"]))}
    for name, run in last.items():
        if name not in seen and run["status"] in ("running", "failed"):
            status = "training" if run["status"] == "running" else "error"
            yield {"NAME": name, "PROJECT": PROJECT, "ACTIVE": 0, "STATUS": status, "ERROR": run["error"], "TRAINING_TIME": run["seconds"]}  # fmt: skip


def _unserved(one: Version) -> dict[str, Any]:
    """The last version of a model none of whose versions ever served: what it was declared as is kept nowhere but in its bundle."""
    why = "waits for its gate" if one.status == versions.CANDIDATE else f"its gate has {one.status} it"
    return {
        "NAME": one.model, "ENGINE": one.engine, "PROJECT": PROJECT, "ACTIVE": 0, "VERSION": one.version, "STATUS": "error",
        "ACCURACY": _accuracy(one), "ERROR": f"{why}: SELECT reason FROM tilth.gates", "CREATED_AT": naive(one.created_at),
        "TRAINING_TIME": one.seconds,
    }  # fmt: skip


def _is_training(run: Mapping[str, Any], at: MindsDBTables) -> bool:
    return bool(run["environment"] == at.environment and run["action"] == _TRAINS)


def _version(at: MindsDBTables, resource: Resource, one: Version, *, active: bool) -> dict[str, Any]:
    declared, same = resource.as_(CreateModel), one.recipe in resource.recipes
    if not same:
        text = environments.definition_of(at.work.state, Kind.MODEL, resource.name, one.recipe)
        was = None if text is None else declarations.declared(text)
        declared, same = (was, True) if isinstance(was, CreateModel) else (declared, False)
    source = declared.source
    query = f"SELECT * FROM {source.name}" if isinstance(source, DatasetRef) else source.sql
    behind = isinstance(source, DatasetRef) and _target(at, source.name) not in (None, one.snapshot)
    return {
        "NAME": resource.name,
        "ENGINE": one.engine,
        "PROJECT": PROJECT,
        "ACTIVE": int(active),
        "VERSION": one.version,
        "STATUS": "complete",
        "ACCURACY": _accuracy(one),
        "PREDICT": ", ".join(t.output for t in declared.targets),
        "UPDATE_STATUS": "available" if behind else "up_to_date",
        "ERROR": None if one.status not in versions.LOST else f"its gate has {one.status} it",
        "SELECT_DATA_QUERY": query
        if same
        else None,  # of a declaration that was never deployed nothing is kept
        "TRAINING_OPTIONS": options(declared.using) if same else None,
        "CREATED_AT": naive(one.created_at),
        "TRAINING_TIME": one.seconds,
    }


def _target(at: MindsDBTables, dataset: str) -> str | None:
    return next((p.target for p in at.pointers(Kind.DATASET) if p.name == dataset), None)


def _accuracy(one: Version) -> float | None:
    """Of classes the share that was told rightly, of numbers r2, on rows that judged it; of several targets the mean."""
    found = [part.facts.get("metrics") or {} for part in one.parts]
    each = [m.get("accuracy", m.get("r2")) for m in found]
    known = [float(e) for e in each if e is not None]
    return sum(known) / len(known) if len(known) == len(each) else None


def _models(at: MindsDBTables) -> Iterator[dict[str, Any]]:
    return (row for row in _versions(at) if row["ACTIVE"] or row["STATUS"] != "complete")


def _features(at: MindsDBTables) -> Iterator[dict[str, Any]]:
    """The columns of every version: its targets, and what it was offered."""
    for row in _versions(at):
        if row["STATUS"] != "complete":
            continue
        one = versions.require(at.work.state, row["NAME"], row["VERSION"])
        said = {"NAME": row["NAME"], "VERSION": row["VERSION"]}
        for target in at.graph.get(row["NAME"]).as_(CreateModel).targets:
            yield {**said, "COLUMN": target.column, "ROLE": "target"}
        for c in catalog.learned_of(one):
            role = "feature" if c["used"] else "not used"
            yield {**said, "COLUMN": c["column_name"], "TYPE": c["type"], "ENCODER": c["kind"], "ROLE": role, "IMPORTANCE": c["importance"]}  # fmt: skip


# --- the others --------------------------------------------------------------------------------------------


def _databases(at: MindsDBTables) -> Iterator[dict[str, Any]]:
    yield {"NAME": "information_schema", "TYPE": "system"}
    yield {"NAME": catalog.NAME, "TYPE": "system"}
    yield {"NAME": PROJECT, "TYPE": "project"}
    for resource in at.graph.of_kind(Kind.SOURCE):
        declared = resource.as_(CreateSource)
        told = [(k, v) for k, v in declared.options.items if not isinstance(v, Secret)]
        said = options(type(declared.options)(tuple(told)))
        yield {"NAME": resource.name, "TYPE": "data", "ENGINE": declared.engine, "CONNECTION_DATA": said}


def _projects(at: MindsDBTables) -> Iterator[dict[str, Any]]:
    del at
    yield {"NAME": PROJECT}


def _engines(at: MindsDBTables) -> Iterator[dict[str, Any]]:
    del at
    yield {"NAME": "auto", "HANDLER": "auto"}
    yield from ({"NAME": e.name, "HANDLER": e.name} for e in engines())


def _handlers(at: MindsDBTables) -> Iterator[dict[str, Any]]:
    del at
    yield from (
        {"NAME": n, "TYPE": "data", "TITLE": n, "IMPORT_SUCCESS": True}
        for n in registry.names("tilth.sources")
    )
    for e in engines():
        yield {"NAME": e.name, "TYPE": "ml", "TITLE": e.package, "VERSION": version_of(e.package), "IMPORT_SUCCESS": not e.fault, "IMPORT_ERROR": e.fault or None}  # fmt: skip


def _jobs(at: MindsDBTables) -> Iterator[dict[str, Any]]:
    standing = {r["name"]: r for r in scheduled.jobs(at.work, at.environment)}
    for resource in at.graph.of_kind(Kind.JOB):
        d, one = resource.as_(CreateJob), standing.get(resource.name, {})
        yield {
            "NAME": d.name, "PROJECT": PROJECT, "RUN_START": one.get("start_at"), "RUN_END": one.get("end_at"),
            "NEXT_RUN_AT": one.get("next_due"), "SCHEDULE_STR": None if d.every is None else f"every {show_duration(d.every)}",
            "QUERY": _written(d.statements), "IF_QUERY": None if d.condition is None else d.condition.sql,
        }  # fmt: skip


def _triggers(at: MindsDBTables) -> Iterator[dict[str, Any]]:
    standing = {r["name"]: r for r in scheduled.triggers(at.work, at.environment)}
    for resource in at.graph.of_kind(Kind.TRIGGER):
        d, one = resource.as_(CreateTrigger), standing.get(resource.name, {})
        yield {
            "NAME": d.name, "PROJECT": PROJECT, "DATABASE": d.source, "TABLE": d.table, "QUERY": _written(d.statements),
            "LAST_ERROR": one.get("error"),
        }  # fmt: skip


def _written(statements: Any) -> str:
    return " ".join(printer.show(s, {}) for s in statements)


def _views(at: MindsDBTables) -> Iterator[dict[str, Any]]:
    for resource in at.graph.of_kind(Kind.VIEW):
        yield {"NAME": resource.name, "PROJECT": PROJECT, "QUERY": resource.as_(CreateView).query.sql}


def _texts(*columns: str) -> dict[str, str]:
    return dict.fromkeys(columns, "text")


_MADE: Mapping[str, tuple[Mapping[str, str], Callable[[MindsDBTables], Iterator[dict[str, Any]]]]] = {
    "models": (_MODEL, _models),
    "predictors": (_MODEL, _models),
    "models_versions": (_MODEL, _versions),
    "features": ({**_texts("NAME"), "VERSION": "int", **_texts("COLUMN", "TYPE", "ENCODER", "ROLE"), "IMPORTANCE": "float"}, _features),
    "databases": (_texts("NAME", "TYPE", "ENGINE", "CONNECTION_DATA"), _databases),
    "projects": (_texts("NAME"), _projects),
    "ml_engines": (_texts("NAME", "HANDLER", "CONNECTION_DATA"), _engines),
    "handlers": (
        {**_texts("NAME", "TYPE", "TITLE", "DESCRIPTION", "VERSION"), "IMPORT_SUCCESS": "bool", "IMPORT_ERROR": "text"},
        _handlers,
    ),
    "jobs": (
        {**_texts("NAME", "PROJECT"), **dict.fromkeys(("RUN_START", "RUN_END", "NEXT_RUN_AT"), "time"), **_texts("SCHEDULE_STR", "QUERY", "IF_QUERY")},
        _jobs,
    ),
    "triggers": (_texts("NAME", "PROJECT", "DATABASE", "TABLE", "QUERY", "LAST_ERROR"), _triggers),
    "views": (_texts("NAME", "PROJECT", "QUERY"), _views),
}  # fmt: skip
