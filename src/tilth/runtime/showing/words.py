"""The names that a query of an environment can use, with their columns: for editors that complete what is typed. Asks no source."""

from __future__ import annotations

import json

from tilth.core.schema import Schema
from tilth.runtime.record import declarations, environments, tables, versions
from tilth.runtime.record.snapshots import manifest_of
from tilth.runtime.workspace import Workspace
from tilth.sql.language.statements import CreateModel, Kind

SYSTEM = "tilth"


def words(work: Workspace, environment: str) -> dict[str, list[str]]:
    """Columns by name: of datasets those of the snapshot, of models what they predict and were given, of tables of sources what datasets
    read of them, and of the system's tables. Views have none.
    """
    found: dict[str, list[str]] = {}
    with work.state.reading() as reader:
        for pointer in environments.pointers_now(reader, environment):
            if pointer.kind is Kind.DATASET and pointer.target is not None:
                found[pointer.name] = [f.name for f in manifest_of(reader, pointer.target).schema]
            elif pointer.kind is Kind.MODEL:
                declared = declarations.declared(pointer.text)
                assert isinstance(declared, CreateModel)
                version = versions.get(reader, pointer.name, int(pointer.target)) if pointer.target else None
                given = (
                    [str(c["name"]) for c in version.facts.get("columns", ()) if c["used"]] if version else []
                )
                found[pointer.name] = list(dict.fromkeys([*(t.column for t in declared.targets), *given]))
            elif pointer.kind is Kind.VIEW:
                found[pointer.name] = []
    for row in tables.rows(work.state, "source_schemas", environment):
        name = f"{row['source']}.{row['table_name']}"
        found[name] = sorted({*found.get(name, ()), *_names(row["columns"])})
    for table in tables.names(work.state):
        found[f"{SYSTEM}.{table}"] = list(tables.columns(work.state, table))
    return found


def _names(columns: str) -> list[str]:
    return [f.name for f in Schema.from_plain(json.loads(columns))]
