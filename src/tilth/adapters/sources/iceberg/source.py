"""Iceberg tables as Arrow, by pyiceberg, each read in a process of its own (`child`).

A table is a folder with `metadata/*.metadata.json`, of which the newest is taken; one snapshot is read by all that a piece of work asks. Positional
deletes, deletion vectors and evolved columns are pyiceberg's; equality deletes it refuses, and so do we. With the option `catalog` a catalog says
where a table's metadata lies (`registered`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any, Self

from tilth.adapters.sources.iceberg import registered, storage
from tilth.adapters.sources.iceberg.newest import METADATA, newest
from tilth.adapters.sources.iceberg.refusing import refused
from tilth.adapters.sources.lakes import Kind, LakeSource, pinned
from tilth.adapters.sources.remote import given as asked
from tilth.core.errors import SourceError
from tilth.core.scan import Predicate

_WHOLE = frozenset({"INTEGER", "BIGINT"})


def _literal(value: object, kind: str) -> object:
    """As pyiceberg takes it; None where it may compare otherwise."""
    if isinstance(value, bool):
        return value if kind == "BOOLEAN" else None
    if isinstance(value, int):
        return value if kind in _WHOLE and abs(value) < 1 << (31 if kind == "INTEGER" else 62) else None
    if isinstance(value, str):
        return value if kind == "VARCHAR" else None
    if isinstance(value, datetime):
        plain = value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
        zoned = kind == "TIMESTAMP WITH TIME ZONE"
        return plain.isoformat() + ("+00:00" if zoned else "") if kind.startswith("TIMESTAMP") else None
    return value.isoformat() if isinstance(value, date) and kind == "DATE" else None


def _storage(given: Mapping[str, object]) -> dict[str, str]:
    """What reaches the bucket, by the names that pyiceberg has for it."""
    return {**storage.ambient(given), **storage.declared(given, "token")}


def _is_table(folder: str) -> bool:
    inner = os.path.join(folder, METADATA)
    return os.path.isdir(inner) and newest(os.listdir(inner)) is not None


def _newest(folder: str) -> str:
    """The newest metadata of a table, told without opening it."""
    inner = os.path.join(folder, METADATA)
    try:
        name = newest(os.listdir(inner)) or ""
        found = os.stat(os.path.join(inner, name))
    except OSError as error:
        raise SourceError(
            f"The metadata of Iceberg table `{os.path.basename(folder)}` cannot be read.", hint="Check its folder."
        ) from error  # fmt: skip
    return f"{name} {found.st_ino} {found.st_mtime_ns}"


class IcebergSource(LakeSource):
    """One table, a folder of them, or those of a namespace of a catalog."""

    kind = Kind(
        "iceberg", "Iceberg table", "pyiceberg", "snapshot", "tilth.adapters.sources.iceberg.child", refused, _is_table,
        _newest, _storage,
    )  # fmt: skip

    @classmethod
    def from_options(cls, given: Mapping[str, object], root: str) -> Self:
        if given.get("catalog") is None:
            return super().from_options(given, root)
        asked.check(given, registered.OPTIONS, "iceberg")
        cls.kind.there()
        return cls(registered.placed(given, root), pinned(given, cls.kind))

    def _early(self, where: Predicate, name: str, kind: str) -> list[Any] | None:
        """(operator, column, values) for pyiceberg, where it surely means the same there."""
        if where.op in ("is_null", "is_not_null"):
            return [where.op, name, []]
        values = where.value if isinstance(where.value, tuple) else (where.value,)
        written = [_literal(v, kind) for v in values if v is not None]
        if not written or any(w is None for w in written):
            return None
        if where.op == "in" or (where.op in ("=", "<", "<=", ">", ">=") and len(written) == 1):
            return [where.op, name, written]
        return None
