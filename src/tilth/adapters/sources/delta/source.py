"""Delta tables as Arrow, by deltalake, each read in a process of its own (`child`).

One version is read by all that a piece of work asks of a table. Deletion vectors and column mapping are deltalake's; a `timestamp` of Delta,
which is a moment, becomes naive UTC, a `timestamp_ntz` stays what it is.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, date, datetime

from tilth.adapters.sources.delta.refusing import refused
from tilth.adapters.sources.lakes import ZONED, Kind, LakeSource, credentials
from tilth.adapters.sources.remote import given as asked
from tilth.core.errors import SourceError
from tilth.core.names import literal, quoted
from tilth.core.scan import Predicate

LOG = "_delta_log"
_WHOLE = frozenset({"TINYINT", "SMALLINT", "INTEGER", "BIGINT"})


def _early(where: Predicate, name: str, kind: str) -> str | None:
    """The predicate as DataFusion skips files and rows by it, where it surely means the same there; DuckDB tests it again."""
    column = quoted(name)
    if where.op in ("is_null", "is_not_null"):
        return f"{column} IS {'NOT ' if where.op == 'is_not_null' else ''}NULL"
    values = where.value if isinstance(where.value, tuple) else (where.value,)
    written = [_literal(v, kind) for v in values if v is not None]
    if not written or any(w is None for w in written):
        return None
    if where.op == "in":
        return f"{column} IN ({', '.join(w for w in written if w)})"
    return f"{column} {where.op} {written[0]}" if where.op in ("=", "<", "<=", ">", ">=") else None


def _literal(value: object, kind: str) -> str | None:
    if isinstance(value, bool):
        return str(value) if kind == "BOOLEAN" else None
    if isinstance(value, int):
        return str(value) if kind in _WHOLE and abs(value) < 1 << 62 else None
    if isinstance(value, str):
        return literal(value) if kind == "VARCHAR" else None
    if isinstance(value, datetime):
        plain = value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
        zone = ', Some("UTC")' if kind == ZONED else ", None"
        form = f"arrow_cast('{plain.isoformat()}', 'Timestamp(Microsecond{zone})')"
        return form if kind.startswith("TIMESTAMP") else None
    return f"DATE '{value.isoformat()}'" if isinstance(value, date) and kind == "DATE" else None


def _storage(given: Mapping[str, object]) -> dict[str, str]:
    """What reaches the bucket, by the names that deltalake has for it."""
    key, secret = credentials(given, "delta")
    endpoint = asked.text(given, "endpoint")
    names = (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
    )
    theirs = (
        {n: os.environ.get(n) for n in names} if key is None else {}
    )  # the process that reads has none of ours
    known = {
        "AWS_REGION": asked.text(given, "region"), "AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": asked.text(given, "token"),
        "AWS_ALLOW_HTTP": "true" if endpoint and endpoint.startswith("http://") else None,
        "AWS_SKIP_SIGNATURE": "true" if given.get("anonymous") is True else None,
    }  # fmt: skip
    return {k: v for k, v in {**theirs, **{k: v for k, v in known.items() if v is not None}}.items() if v}


def _is_table(folder: str) -> bool:
    return os.path.isdir(os.path.join(folder, LOG))


def _newest(folder: str) -> str:
    """The newest entry of a table's log, told without opening it."""
    log = os.path.join(folder, LOG)
    try:
        last = max(n for n in os.listdir(log) if n.endswith(".json") and n[:20].isdecimal())
        found = os.stat(os.path.join(log, last))
    except (ValueError, OSError) as error:
        raise SourceError(
            f"The log of Delta table `{os.path.basename(folder)}` cannot be read.", hint="Check its folder."
        ) from error
    return f"{last} {found.st_ino} {found.st_mtime_ns}"


class DeltaSource(LakeSource):
    """One table, or a folder of them."""

    kind = Kind(
        "delta", "Delta table", "deltalake", "version", "tilth.adapters.sources.delta.child", refused, _is_table, _newest,
        _storage
    )  # fmt: skip

    def _early(self, where: Predicate, name: str, kind: str) -> str | None:
        return _early(where, name, kind)
