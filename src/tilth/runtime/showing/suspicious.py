"""Labels that are probably wrong (`ml.learning.labels`), with the KEY of their rows, looked up in the snapshot that was learned from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tilth.ml.learning import task
from tilth.ml.learning.dealing import Files
from tilth.runtime.record import declarations, environments, versions
from tilth.runtime.record.snapshots import manifest_of
from tilth.runtime.record.versions import Version
from tilth.runtime.workspace import Workspace
from tilth.sql.language.statements import CreateDataset, Kind

COLUMNS: Mapping[str, str] = {
    **dict.fromkeys(("environment", "model"), "text"),
    "version": "int",
    **dict.fromkeys(("output", "row_key", "given", "likely"), "text"),
    "confidence": "float",
    **dict.fromkeys(("asked_rows", "suspicious_rows"), "int"),
}


def table(work: Workspace, environment: str) -> list[dict[str, Any]]:
    """The rows of `tilth.suspicious_labels`, at most 200 of a version and target; rows that are gone since have no key."""
    pointers = environments.pointers_of(work.state, environment)[1]
    keys = {
        p.name: d.key
        for p in pointers
        if p.kind is Kind.DATASET and isinstance(d := declarations.declared(p.text), CreateDataset)
    }
    return [
        {"environment": environment, **row}
        for one in versions.current(work.state, environment).values()
        for row in _of(work, one, keys)
    ]


def _of(work: Workspace, version: Version, keys: Mapping[str, tuple[str, ...]]) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    for part in version.parts:
        found = part.facts.get("labels") or {}
        rows = found.get("rows", ())
        said = {
            "model": version.model, "version": version.version, "output": part.facts.get("output"),
            "asked_rows": found.get("asked"), "suspicious_rows": found.get("suspicious"),
        }  # fmt: skip
        named = _keys(work, version, found, keys) if rows else {}
        out += (
            {**said, **{k: r[k] for k in ("given", "likely", "confidence")}, "row_key": named.get(r["id"])}
            for r in rows
        )
    return out


def _keys(
    work: Workspace, version: Version, found: Mapping[str, Any], keys: Mapping[str, tuple[str, ...]]
) -> dict[str, str]:
    """The KEY of each listed row as JSON; nothing of a dataset without one."""
    import numpy as np

    manifest = manifest_of(work.state, version.snapshot)
    key = [
        f.name
        for f in manifest.schema
        if f.name.lower() in {k.lower() for k in keys.get(manifest.dataset, ())}
    ]
    if not key:
        return {}
    places = task.inputs(manifest.parts, {})
    files = _files(work, places)
    ids = files.ids_of(found["columns"])
    wanted = np.array([int(r["id"], 16) for r in found["rows"]], np.uint64)
    there = np.flatnonzero(np.isin(ids, wanted))
    named = files.read(key, there).to_pylist()
    return {f"{int(ids[p]):016x}": json.dumps(row, default=str) for p, row in zip(there, named, strict=True)}


def _files(work: Workspace, places: Mapping[str, str]) -> Files:
    found: Files = task.rows_in({name: work.blobs.path(digest) for name, digest in places.items()})
    return found
