"""A small reader of dbt's `manifest.json`: which relations its models, seeds, snapshots and sources are, what is said and tested of them.

Written for version 12; another one is read by the same keys, and that is told. Nothing of dbt is imported, and no SQL of it is run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tilth.core.errors import ProjectError
from tilth.core.sizes import show_size
from tilth.ports import places

KNOWN = 12
LARGEST = 512 << 20
READ = ("model", "seed", "snapshot")
_VERSION = re.compile(r"/manifest/v(\d+)(?:\.json)?\Z")


@dataclass(frozen=True, slots=True)
class Relation:
    """One node or source of dbt's, and the relation in the warehouse that it is."""

    table: str  # what it is called here
    id: str
    schema: str | None
    identifier: str
    kind: str
    description: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)  # what is said of each
    loaded_at: str | None = None
    freshness: Mapping[str, Any] = field(default_factory=dict)
    tests: tuple[Mapping[str, Any], ...] = ()
    reference: str = ""  # what dbt's own files call it


@dataclass(frozen=True, slots=True)
class Manifest:
    """What was read. `left` are nodes that are no relations, with why; `told` what people should know."""

    version: int | None
    relations: Mapping[str, Relation]
    left: tuple[str, ...]
    told: tuple[str, ...]
    warehouse: str | None  # dbt's name of the adapter

    def by_id(self, unique: str) -> Relation | None:
        return next((r for r in self.relations.values() if r.id == unique), None)


def read(path: str, within: str) -> Manifest:
    """The manifest at that path; ProjectError when it is none."""
    data = places.read_bytes(path, within, LARGEST)
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ProjectError(
            f"{path} is not JSON ({show_size(len(data))}).", hint="Write it anew: dbt parse, or dbt compile."
        ) from error
    if not isinstance(found, dict) or not isinstance(found.get("nodes"), dict):
        raise ProjectError(
            f"{path} is no manifest of dbt's.", hint="Name target/manifest.json of a dbt project."
        )
    return _manifest(found)


def _manifest(found: Mapping[str, Any]) -> Manifest:
    head = _dict(found.get("metadata"))
    match = _VERSION.search(str(head.get("dbt_schema_version", "")))
    version = int(match[1]) if match else None
    told = []
    if version != KNOWN:
        said = f"of version {version}" if version else "of no version that is said"
        told.append(f"The manifest is {said}, and was read as one of version {KNOWN} is.")
    nodes = [_dict(n) for n in found["nodes"].values()]
    origins = [_dict(n) for n in _dict(found.get("sources")).values()]
    tests = _tests(nodes)
    relations: dict[str, Relation] = {}
    left = []
    for node in (*nodes, *origins):
        made = _relation(node, tests)
        if isinstance(made, str):
            left.append(made)
        elif made is not None and made.table.lower() in {r.lower() for r in relations}:
            left.append(f"{made.id} (a table `{made.table}` is there already)")
        elif made is not None:
            relations[made.table] = made
    strange = sorted({str(n.get("resource_type")) for n in nodes} - _NODES)
    if strange:
        told.append(f"Its nodes of the kinds {', '.join(strange[:5])} are not known, and were passed over.")
    return Manifest(version, relations, tuple(left), tuple(told), _text(head.get("adapter_type")))


_NODES = frozenset({*READ, "test", "analysis", "operation", "sql_operation", "rpc", "unit_test", "function"})


def _relation(node: Mapping[str, Any], tests: Mapping[str, list[Mapping[str, Any]]]) -> Relation | str | None:
    """The relation of a node; a text that says why it is none; None for what nobody takes for a table."""
    kind, unique = str(node.get("resource_type")), str(node.get("unique_id"))
    config = _dict(node.get("config"))
    if kind not in (*READ, "source"):
        return None
    if config.get("enabled") is False:
        return f"{unique} (it is not enabled)"
    if kind == "model" and config.get("materialized") == "ephemeral":
        return f"{unique} (it is ephemeral: no relation holds its rows)"
    name = _text(node.get("name"))
    if not name:
        return f"{unique} (it has no name)"
    version = node.get("version")
    if version is not None and version != node.get("latest_version"):
        name = f"{name}_v{version}"
    if kind == "source":
        name = f"{node.get('source_name')}__{name}"
    identifier = _text(node.get("identifier")) or _text(node.get("alias")) or name
    columns = {
        str(c.get("name", key)): _text(c.get("description")) or ""
        for key, c in ((k, _dict(v)) for k, v in _dict(node.get("columns")).items())
    }
    return Relation(
        name, unique, _text(node.get("schema")), identifier, kind, _text(node.get("description")) or "", columns,
        _text(node.get("loaded_at_field")) or _text(config.get("loaded_at_field")),
        _dict(node.get("freshness")) or _dict(config.get("freshness")), tuple(tests.get(unique, ())),
        _reference(node, kind),
    )  # fmt: skip


def _reference(node: Mapping[str, Any], kind: str) -> str:
    name = node.get("name")
    if kind == "source":
        return f"source('{node.get('source_name')}', '{name}')"
    version = node.get("version")
    return f"ref('{name}')" if version is None else f"ref('{name}', v={version})"


def _tests(nodes: list[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """The tests by the node that they are of."""
    out: dict[str, list[Mapping[str, Any]]] = {}
    for node in nodes:
        if node.get("resource_type") == "test" and _dict(node.get("config")).get("enabled") is not False:
            for whose in _attached(node):
                out.setdefault(whose, []).append(node)
    return out


def _attached(node: Mapping[str, Any]) -> Iterator[str]:
    if isinstance(node.get("attached_node"), str):
        yield node["attached_node"]
        return
    needed = [n for n in _dict(node.get("depends_on")).get("nodes", ()) if isinstance(n, str)]
    kind = _dict(node.get("test_metadata")).get("name")
    if needed:  # of a relationship the last is whose it is
        yield needed[-1] if kind == "relationships" else needed[0]


def _dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
