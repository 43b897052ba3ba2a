"""From where a column comes and who uses it: `tilth.lineage` and `tilth.column_usage`, and who is touched by what a plan changes.

An edge goes from a column to what is made of it: of a source's table to a dataset, of that to a model's input or target, from
the model to its endpoint, and from those to who asks: jobs, triggers, tables that predictions are written into, and
principals by the log of statements. Edges of columns that cannot be told from the text have none; `how` says so.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tilth.core.errors import TilthError
from tilth.core.time import show_instant
from tilth.kinds import compile as compiled
from tilth.plan.actions import DropResource, Note, Plan
from tilth.resources.graph import Graph
from tilth.runtime.project.known import facts
from tilth.runtime.record import declarations, environments, names, schemas, tables, versions, writes
from tilth.runtime.record.snapshots import manifest_of
from tilth.sql.language.statements import CreateDataset, CreateEndpoint, CreateModel, DatasetRef, Kind
from tilth.sql.queries.lineage import lineage

if TYPE_CHECKING:
    from tilth.resources.kinds import Resource
    from tilth.runtime.workspace import Workspace

DAYS = 30  # of logs that are looked at
STATEMENTS = 20_000  # the newest ones
SHOWN = 6
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
COLUMNS: Mapping[str, str] = dict.fromkeys(
    ("environment", "from_kind", "from_name", "from_column", "to_kind", "to_name", "to_column", "how"), "text"
)
USAGE: Mapping[str, str] = {
    **dict.fromkeys(("environment", "dataset", "column_name", "models", "endpoints"), "text"),
    **dict.fromkeys(("statements", "principals", "requests"), "int"),
    "last_asked_at": "time",
}


def table(work: Workspace, environment: str) -> list[dict[str, Any]]:
    """The rows of `tilth.lineage`: an edge each, from sources to who asks."""
    graph, targets = _deployed(work, environment)
    found = [
        *(e for r in graph.of_kind(Kind.DATASET) for e in _of_dataset(work, graph, r, targets)),
        *(e for r in graph.of_kind(Kind.MODEL) for e in _of_model(work, environment, r)),
        *_of_consumers(work, environment, graph),
    ]
    columns = list(COLUMNS)[1:]
    return [{"environment": environment, **dict(zip(columns, e, strict=True))} for e in found]


Edge = tuple[str, str, str | None, str, str, str | None, str]


def _deployed(work: Workspace, environment: str) -> tuple[Graph, dict[str, str | None]]:
    """What the environment points at as a graph, and the targets of its datasets."""
    pointers = environments.pointers_of(work.state, environment)[1]
    known = replace(facts(work.root), histories=names.origins(work.state))
    graph = compiled([declarations.declared(p.text) for p in pointers], known)
    return graph, {p.name: p.target for p in pointers if p.kind is Kind.DATASET}


def _of_dataset(
    work: Workspace, graph: Graph, one: Resource, targets: Mapping[str, str | None]
) -> Iterator[Edge]:
    declared, snapshot = one.as_(CreateDataset), targets.get(one.name)
    if snapshot is None:
        return
    columns = manifest_of(work.state, snapshot).schema.names
    seen = schemas.seen(work.state, one.remembered)
    known = {f"{t.source}.{t.table}": seen[at] for t in one.tables if (at := _place(graph, t)) in seen}
    for need in one.depends:
        if (made := targets.get(need)) is not None:
            known[need] = manifest_of(work.state, made).schema
    try:
        origins = lineage(declared.query.sql, columns, known)
    except TilthError:
        origins = {}
    for column in columns:
        came = sorted(origins.get(column, ()), key=str)
        for schema, name, field in came:
            kind, place = ("table", f"{schema}.{name}") if schema else ("dataset", name)
            yield kind, place, field, "dataset", one.name, column, "computed from"
        if not came:
            for t in one.tables:
                yield (
                    "table",
                    f"{t.source}.{t.table}",
                    None,
                    "dataset",
                    one.name,
                    column,
                    "not told by the text: of its rows",
                )


def _place(graph: Graph, at: Any) -> tuple[str, str]:
    found = graph.find(at.source)
    return (at.source if found is None else found.remembered), at.table


def _of_model(work: Workspace, environment: str, one: Resource) -> Iterator[Edge]:
    declared = one.as_(CreateModel)
    version = versions.current(work.state, environment).get(one.name)
    source = declared.source.name if isinstance(declared.source, DatasetRef) else None
    frm = ("dataset", source) if source else ("query", one.name)
    used = {
        c["name"]: c["used"]
        for part in (version.parts if version else ())
        for c in part.facts.get("columns", ())
    }
    for name, taken in used.items():
        how = "learned from" if taken else "offered and not used"
        yield *frm, name, "model", one.name, name, how
    for target in declared.targets:
        yield *frm, target.column, "model", one.name, target.output, "target"


def _of_consumers(work: Workspace, environment: str, graph: Graph) -> Iterator[Edge]:
    for one in graph.of_kind(Kind.ENDPOINT):
        declared = one.as_(CreateEndpoint)
        yield "model", declared.model, None, "endpoint", one.name, None, "serves"
        if declared.outcomes is not None:
            yield (
                "dataset",
                declared.outcomes.dataset,
                declared.outcomes.column,
                "endpoint",
                one.name,
                None,
                "truth",
            )
    for kind in (Kind.JOB, Kind.TRIGGER, Kind.VIEW):
        for one in graph.of_kind(kind):
            for need in one.depends:
                other = graph.find(need)
                if other is not None and other.kind is not Kind.SOURCE:
                    yield other.kind.value, need, None, kind.value, one.name, None, "reads"
    for last in writes.last(work.state):
        if last.environment == environment:
            for model in last.models:
                name = model.rpartition("@")[0]
                yield "model", name, None, "table", last.place, None, "predictions written to"
    for (kind_, name), who in _asked(work, environment, graph).items():
        for principal, count in sorted(who.items()):
            yield (
                kind_,
                name,
                None,
                "principal",
                principal,
                None,
                f"asked {count} time{'s' * (count != 1)} in {DAYS} days",
            )


def _asked(work: Workspace, environment: str, graph: Graph) -> dict[tuple[str, str], dict[str, int]]:
    """How often each principal named a dataset, model or view in a statement."""
    kinds = (Kind.DATASET, Kind.MODEL, Kind.VIEW)
    called = {r.name.lower(): (r.kind.value, r.name) for k in kinds for r in graph.of_kind(k)}
    out: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for said in _statements(work, environment):
        for word in said["words"] & called.keys():
            out[called[word]][str(said["principal"])] += 1
    return out


def _statements(work: Workspace, environment: str) -> Iterator[dict[str, Any]]:
    """The newest statements that asked, with the words of their texts in lower case."""
    since = show_instant(work.clock.now() - timedelta(days=DAYS))
    for row in tables.rows(work.state, "statements", work.serving)[-STATEMENTS:]:
        text = str(row["text"])
        if row["environment"] == environment and str(row["began_at"]) >= since and _asks(text):
            yield {**row, "words": {w.lower() for w in _WORD.findall(text)}}


def _asks(text: str) -> bool:
    return (
        text.lstrip("( \n\t")
        .upper()
        .startswith(("SELECT", "WITH", "FROM", "INSERT", "CREATE TABLE", "UPDATE", "EXPLAIN"))
    )


# --- usage -----------------------------------------------------------------------------------------------------


def usage(work: Workspace, environment: str) -> list[dict[str, Any]]:
    """The rows of `tilth.column_usage`: a column of a dataset each, and who used it in 30 days."""
    graph, targets = _deployed(work, environment)
    said, given = list(_statements(work, environment)), _given(work, environment)
    current = versions.current(work.state, environment)
    out = []
    for one in graph.of_kind(Kind.DATASET):
        if targets.get(one.name) is None:
            continue
        below = graph.downstream(one.name)
        models = [m for m in below if m.kind is Kind.MODEL and m.name in current]
        near = {one.name.lower(), *(r.name.lower() for r in below)}
        asked = [s for s in said if s["words"] & near]
        learned = {m.name: _learned(m, current[m.name]) for m in models}
        for column in manifest_of(work.state, str(targets[one.name])).schema.names:
            mine = [s for s in asked if column.lower() in s["words"]]
            users = sorted(name for name, used in learned.items() if column.lower() in used)
            served = sorted(
                r.name for r in below if r.kind is Kind.ENDPOINT and r.as_(CreateEndpoint).model in users
            )
            out.append(
                {
                    "environment": environment, "dataset": one.name, "column_name": column,
                    "models": ", ".join(users), "endpoints": ", ".join(served), "statements": len(mine),
                    "principals": len({s["principal"] for s in mine}),
                    "requests": sum(given.get((m, column.lower()), 0) for m in users),
                    "last_asked_at": max((str(s["began_at"]) for s in mine), default=None),
                }
            )  # fmt: skip
    return out


def _learned(model: Resource, version: versions.Version) -> set[str]:
    used = {c["name"].lower() for part in version.parts for c in part.facts.get("columns", ()) if c["used"]}
    return used | {t.column.lower() for t in model.as_(CreateModel).targets}


def _given(work: Workspace, environment: str) -> Mapping[tuple[str, str], int]:
    """In how many logged requests of endpoints each input of each model had a value."""
    import json

    since = show_instant(work.clock.now() - timedelta(days=DAYS))
    log = work.log.table(since=since)[0].select(["model", "environment", "role", "inputs"])
    out: dict[tuple[str, str], int] = defaultdict(int)
    for row in log.slice(max(0, log.num_rows - STATEMENTS)).to_pylist():
        if row["environment"] == environment and row["role"] in ("champion", "canary"):
            for name, value in json.loads(row["inputs"]).items():
                out[row["model"], name.lower()] += value is not None
    return out


# --- plans -------------------------------------------------------------------------------------------------------


def named(plan: Plan, work: Workspace) -> Plan:
    """The plan with a note for each resource that it changes or drops and that something else is made from or asks."""
    pointers = environments.pointers_of(work.state, plan.environment)[1]
    if not pointers or not plan.actions:
        return plan
    graph, _ = _deployed(work, plan.environment)
    touched = [
        a.name for a in plan.actions if a.name in graph and (isinstance(a, DropResource) or _changes(a))
    ]
    asked = _asked(work, plan.environment, graph) if touched else {}
    notes = []
    for name in dict.fromkeys(touched):
        below = [r for r in graph.downstream(name) if r.name not in touched]
        people = _people(asked, [graph.get(name), *graph.downstream(name)])
        if below or people:
            notes.append(Note(name, _words(below, people)))
    return replace(plan, notes=(*plan.notes, *notes))


def _changes(action: Any) -> bool:
    """Whether the definition changed, and not only the data or what is due."""
    return str(action.reason).startswith(("changed: ", "a clause was removed"))


def _people(asked: Mapping[tuple[str, str], Mapping[str, int]], ones: Iterable[Resource]) -> list[str]:
    found: dict[str, int] = defaultdict(int)
    for one in ones:
        for who, count in asked.get((one.kind.value, one.name), {}).items():
            found[who] += count
    return [f"{who} ({count})" for who, count in sorted(found.items(), key=lambda item: (-item[1], item[0]))]


def _words(below: list[Resource], people: list[str]) -> str:
    made = [f"{r.kind.value} {r.name}" for r in below]
    said = f"downstream: {_few(made)}" if made else "nothing is made from it"
    return f"{said}; asked in {DAYS} days by {_few(people)}" if people else said


def _few(listed: list[str]) -> str:
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return ", ".join(listed[:SHOWN]) + more
