"""Iceberg tables as Arrow, by pyiceberg, each read in a process of its own (`child`).

A table is a folder with `metadata/*.metadata.json`, of which the newest is taken; one snapshot is read by all that a piece of work asks. Positional
deletes, deletion vectors and evolved columns are pyiceberg's; equality deletes it refuses, and so do we. A catalog is not asked.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from tilth.adapters.sources.iceberg.newest import METADATA, newest
from tilth.adapters.sources.iceberg.refusing import refused
from tilth.adapters.sources.lakes import Kind, LakeSource, Looked, credentials
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
    key, secret = credentials(given, "iceberg")
    ours = key is None
    known = {
        "s3.access-key-id": key or os.environ.get("AWS_ACCESS_KEY_ID"),
        "s3.secret-access-key": secret or os.environ.get("AWS_SECRET_ACCESS_KEY"),
        "s3.session-token": asked.text(given, "token") or (os.environ.get("AWS_SESSION_TOKEN") if ours else None),
        "s3.region": asked.text(given, "region") or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"),
        "s3.endpoint": asked.text(given, "endpoint"),
        "s3.anonymous": "true" if given.get("anonymous") is True else None,
    }  # fmt: skip
    return {k: v for k, v in known.items() if v}


class IcebergSource(LakeSource):
    """One table, or a folder of them."""

    kind = Kind(
        "iceberg", "Iceberg table", "pyiceberg", "snapshot", "tilth.adapters.sources.iceberg.child", refused, _storage
    )  # fmt: skip

    def change_token(self, table: str) -> str | None:
        if self._version is not None:
            return f"snapshot {self._version}"
        if not self.local:
            found = self._fresh(table)
            return f"{found.id} {found.version}"
        now = self._newest(table)
        if table in self._looked and self._looked[table].id != now:
            del self._looked[table]
        return now

    def _newest(self, table: str) -> str:
        """The newest metadata of the table, told without opening it."""
        folder = os.path.join(self._uri(table), METADATA)
        try:
            name = newest(os.listdir(folder))
            found = os.stat(os.path.join(folder, name)) if name is not None else None
        except OSError as error:
            raise SourceError(
                f"The metadata of Iceberg table `{table}` cannot be read.", hint="Check its folder."
            ) from error
        if found is None:
            raise SourceError(f"Iceberg table `{table}` has no metadata.", hint="Check its folder.")
        return f"{name} {found.st_ino} {found.st_mtime_ns}"

    def _look(self, table: str) -> Looked:
        """As all do; locally it is known by its metadata, so that what moves between two looks is seen."""
        if table in self._looked or not self.local or self._version is not None:
            return super()._look(table)
        now, found = self._newest(table), super()._look(table)
        self._looked[table] = Looked(found.version, now, found.kinds)
        return self._looked[table]

    def _is_table(self, path: str) -> bool:
        folder = os.path.join(path, METADATA)
        return os.path.isdir(folder) and newest(os.listdir(folder)) is not None

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
