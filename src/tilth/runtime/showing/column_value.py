"""What each column is worth to a model, as its training measured it (`ml.learning.valuing`): rows, and words for a plan.

`tilth.column_value` and EXPLAIN DATASET show the rows; `named` puts what is worth nothing into plans, in a line a model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tilth.core.figures import figure
from tilth.core.names import in_query
from tilth.plan.actions import Note, Plan
from tilth.resources.graph import Graph
from tilth.runtime.record import declarations, environments, versions
from tilth.runtime.record.rows import State
from tilth.sql.language.statements import CreateDataset, CreateModel, DatasetRef, Kind

if TYPE_CHECKING:
    from tilth.runtime.record.versions import Version
    from tilth.runtime.workspace import Workspace

SHOWN = 8  # columns that a plan names
FIGURES = ("relevance", "low", "high", "shuffled", "redundancy", "stability", "missing", "bytes", "row_us")
COLUMNS: Mapping[str, str] = {
    **dict.fromkeys(("environment", "model"), "text"),
    "version": "int",
    **dict.fromkeys(("output", "column_name", "verdict"), "text"),
    "proposed": "bool",
    "loss": "text",
    **dict.fromkeys(FIGURES[:5], "float"),
    "redundant_with": "text",
    **dict.fromkeys(FIGURES[5:], "float"),
    **dict.fromkeys(("tags", "reason"), "text"),
    "measured_rows": "int",
    **dict.fromkeys(("cpu_seconds", "cpu_share"), "float"),
}


def table(work: Workspace, environment: str) -> list[dict[str, Any]]:
    """The rows of `tilth.column_value`: a row a column of each model that the environment points at, and of each target."""
    current = versions.current(work.state, environment)
    pointers = environments.pointers_of(work.state, environment)[1]
    declared = {
        p.name: declarations.declared(p.text) for p in pointers if p.kind in (Kind.DATASET, Kind.MODEL)
    }
    out: list[dict[str, Any]] = []
    for name, one in current.items():
        model = declared.get(name)
        source = model.source if isinstance(model, CreateModel) else None
        dataset = declared.get(source.name) if isinstance(source, DatasetRef) else None
        tags = tags_of(dataset if isinstance(dataset, CreateDataset) else None)
        out += ({"environment": environment, **row} for row in rows(one, tags))
    return out


def tags_of(dataset: CreateDataset | None) -> Mapping[str, str]:
    """The data classes of columns, by name in lower case."""
    out: dict[str, list[str]] = {}
    for tag in dataset.tags if dataset else ():
        out.setdefault(tag.column.lower(), []).append(tag.label)
    return {name: ", ".join(labels) for name, labels in out.items()}


def rows(version: Version, tags: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """A row a column and target, those that are worth most first; none of a version of before, or of a forecast."""
    for part in version.parts:
        found = part.facts.get("column_value") or {}
        missing = {c["name"]: c["missing"] for c in part.facts.get("columns", ())}
        said = {
            "model": version.model, "version": version.version, "output": part.facts.get("output"),
            "loss": found.get("loss"), "measured_rows": found.get("rows"),
            "cpu_seconds": found.get("cpu_seconds"), "cpu_share": found.get("cpu_share"),
        }  # fmt: skip
        columns = sorted(found.get("columns", ()), key=lambda c: (-(c.get("relevance") or 0.0), c["name"]))
        for c in columns:
            yield {
                **said, **{k: c.get(k) for k in FIGURES}, "column_name": c["name"], "verdict": c["verdict"],
                "proposed": bool(c["drop"]), "shuffled": c.get("null"), "missing": missing.get(c["name"]),
                "redundant_with": c.get("redundant_with"), "reason": c.get("why"),
                "tags": tags.get(c["name"].lower()),
            }  # fmt: skip


def proposed(version: Version) -> tuple[str, ...]:
    """The columns that the model could do without and that it uses; of several targets those that none needs."""
    each = [(part.facts.get("column_value") or {}).get("columns", ()) for part in version.parts]
    drop = [{c["name"] for c in one if c["drop"] and c["verdict"] != "unused"} for one in each]
    kept = {c["name"] for one in each for c in one if not c["drop"]}
    return tuple(sorted(set().union(*drop) - kept))


def saves(version: Version, names: Iterable[str]) -> str:
    """What leaving these columns out would save and lose, in words."""
    wanted = set(names)
    part = version.parts[0]
    found = part.facts.get("column_value") or {}
    columns = [c for c in found.get("columns", ()) if c["name"] in wanted]
    size = sum(c.get("bytes") or 0.0 for c in columns)
    lost = found.get("loses")
    words = f"it saves {figure(size)} bytes of a row in memory"
    took = sum(c.get("row_us") or 0.0 for c in columns)
    words += f" and {figure(took, 2)} us of its preparation" if took else ""
    if lost is None or lost["low"] is None:
        return f"{words}; what it loses was not measured"
    return (
        f"{words}; a probe without them lost {figure(lost['value'], 3)} of {found['loss']} "
        f"({figure(lost['low'], 3)} to {figure(lost['high'], 3)})"
    )


def named(plan: Plan, graph: Graph, state: State) -> Plan:
    """The plan with a note for each model that it does something about and that could do without columns."""
    touched = {a.name for a in plan.actions}
    near = {r.name for r in graph.of_kind(Kind.MODEL) if touched & {r.name, *r.depends}}
    current = versions.current(state, plan.environment) if near else {}
    notes = []
    for name in sorted(near & current.keys()):
        declared = graph.get(name).as_(CreateModel)
        out = {c.lower() for c in declared.features.exclude}
        only = {c.lower() for c in declared.features.include}
        found = [
            c for c in proposed(current[name])
            if c.lower() not in out and (not only or c.lower() in only)
        ]  # fmt: skip
        if found:
            notes.append(Note(name, _words(declared, found, current[name])))
    return replace(plan, notes=(*plan.notes, *notes))


def _words(declared: CreateModel, found: list[str], version: Version) -> str:
    listed = ", ".join(in_query(c) for c in found[:SHOWN]) + (
        f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    )
    one = len(found) == 1
    asked = (
        f"EXPLAIN DATASET {declared.source.name} FOR MODEL {declared.name}"
        if isinstance(declared.source, DatasetRef)
        else (f"SELECT * FROM tilth.column_value WHERE model = '{declared.name}'")
    )
    return (
        f"version {version.version} could do without {listed}: {'it is' if one else 'each is'} worth next to nothing on held-out rows, "
        f"or said by another column; {asked} shows what {'it' if one else 'they'} would save and lose"
    )
