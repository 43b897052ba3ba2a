"""What people are told of LOOK UP: which inputs a request may leave out, and a key to give instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tilth.ml.data import keyed
from tilth.ml.model.signature import Input
from tilth.runtime.record import declarations, environments, snapshots
from tilth.runtime.workspace import Workspace
from tilth.sql.language.statements import CreateDataset, Kind, LookUp


def facts(
    work: Workspace, environment: str, one: LookUp | None, inputs: Sequence[Input]
) -> dict[str, Any] | None:
    """The dataset, its snapshot, the key with its types, the inputs that are looked up, and a key that is there."""
    if one is None:
        return None
    _, pointers = environments.pointers_of(work.state, environment)
    found = next((p for p in pointers if p.kind is Kind.DATASET and p.name == one.dataset), None)
    snapshot = None if found is None or found.target is None else snapshots.get(work.state, found.target)
    plain = {"dataset": one.dataset, "key": list(one.key), "else": "gaps" if one.gaps else "refuse"}
    if found is None or snapshot is None:
        return {**plain, "snapshot": None, "columns": [], "sample": {}}
    schema, parts = snapshot.manifest.schema, snapshot.manifest.parts
    declared = declarations.declared(found.text)
    tagged = [t.column for t in declared.tags] if isinstance(declared, CreateDataset) else []
    key = keyed.key_of(one.dataset, one.key, schema)
    return {
        **plain,
        "snapshot": snapshot.id,
        "columns": list(keyed.columns_of(schema, [(i.name, i.type) for i in inputs], key)),
        "sample": keyed.sample(work.blobs.path(parts[0].blob) if parts else None, key, tagged),
    }


def asked(body: Mapping[str, Any], looked: Mapping[str, Any] | None) -> dict[str, Any]:
    """A row with the key in the place of what is looked up by it."""
    if looked is None:
        return dict(body)
    return {**looked["sample"], **{k: v for k, v in body.items() if k not in looked["columns"]}}
