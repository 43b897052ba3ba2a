"""A dataset as a contract of the Open Data Contract Standard 3.1, which reads back to the same declaration."""

from __future__ import annotations

from typing import Any

from tilth.app.contracts.reading import EVENT, KNOWN, QUERY, REFRESH, VERSION
from tilth.app.contracts.rules import rule
from tilth.core.errors import MissingExtraError
from tilth.core.schema import DataType, Schema
from tilth.sql.language.statements import CreateDataset

LOGICAL = {
    DataType.BOOLEAN: "boolean", DataType.INTEGER: "integer", DataType.FLOAT: "number", DataType.DECIMAL: "number",
    DataType.DATE: "date", DataType.TIME: "time", DataType.TIMESTAMP: "timestamp", DataType.JSON: "string",
}  # fmt: skip


def written(declared: CreateDataset, schema: Schema) -> str:
    """The contract as YAML."""
    try:
        import yaml  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingExtraError(
            "The library `pyyaml` is not installed.", hint="Run `pip install 'tilth[odcs]'`."
        ) from error
    text: str = yaml.safe_dump(contract(declared, schema), sort_keys=False, allow_unicode=True, width=120)
    return text


def contract(declared: CreateDataset, schema: Schema) -> dict[str, Any]:
    """The same as plain values."""
    from tilth.kinds.dataset import show_refresh

    tags = {t.column.lower(): t.label for t in declared.tags}
    keys = {k.lower(): n for n, k in enumerate(declared.key, 1)}
    own = [{"property": QUERY, "value": declared.query.sql}]
    own += [{"property": EVENT, "value": declared.event_time}] if declared.event_time else []
    own += [{"property": KNOWN, "value": declared.known_at}] if declared.known_at else []
    own += [{"property": REFRESH, "value": refresh}] if (refresh := show_refresh(declared.refresh)) else []
    properties = []
    for f in schema:
        one: dict[str, Any] = {
            "name": f.name,
            "logicalType": LOGICAL.get(f.type, "string"),
            "physicalType": f.type.value,
        }
        if f.name.lower() in keys:
            one |= {"primaryKey": True, "primaryKeyPosition": keys[f.name.lower()], "required": True}
        one |= {"tags": [tags[f.name.lower()]]} if f.name.lower() in tags else {}
        properties.append(one)
    return {
        "version": "1.0.0", "kind": "DataContract", "apiVersion": VERSION, "id": declared.name, "name": declared.name, "status": "active",
        "schema": [
            {
                "name": declared.name, "logicalType": "object", "physicalType": "table", "properties": properties,
                **({"quality": [rule(e) for e in declared.expect]} if declared.expect else {}),
                "customProperties": own,
            }
        ],
    }  # fmt: skip
