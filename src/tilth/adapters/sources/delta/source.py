"""Delta tables as Arrow, by deltalake, each read in a process of its own (`child`).

One version is read by all that a piece of work asks of a table. Deletion vectors and column mapping are deltalake's; a `timestamp` of Delta,
which is a moment, becomes naive UTC, a `timestamp_ntz` stays what it is.
"""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from tilth.adapters.sources.delta.refusing import refused
from tilth.adapters.sources.processes import Processes
from tilth.adapters.sources.remote import given as asked
from tilth.core.errors import (
    MissingExtraError,
    ProjectError,
    SourceError,
    UnknownNameError,
    UnsupportedError,
)
from tilth.core.names import did_you_mean, literal, quoted
from tilth.core.scan import Predicate, Scan
from tilth.core.schema import Field, Schema
from tilth.ports.arrow import from_duckdb
from tilth.ports.predicates import condition

if TYPE_CHECKING:
    import pyarrow as pa

OPTIONS = ("path", "url", "version", "region", "endpoint", "key", "secret", "token", "anonymous")
MEMORY, SECONDS = 2_000_000_000, 86_400
LOG = "_delta_log"


@dataclass(frozen=True, slots=True)
class _Looked:
    """A version of a table, and DuckDB's types of its columns."""

    version: int
    id: str
    kinds: tuple[tuple[str, str], ...]

    @property
    def schema(self) -> Schema:
        return Schema(tuple(Field(n, from_duckdb(_plain(k))) for n, k in self.kinds))


class DeltaSource:
    """One table, or a folder of them."""

    speaks = False

    def __init__(self, place: str, version: int | None, storage: Mapping[str, str]) -> None:
        self._place, self._version, self._storage = place, version, dict(storage)
        self.local = "://" not in place
        self._looked: dict[str, _Looked] = {}
        self._processes = Processes(
            "tilth.adapters.sources.delta.child", refused, "Delta table",
            "The table may be damaged, or need more memory than 2 GB to be read.",
        )  # fmt: skip

    @classmethod
    def from_options(cls, given: Mapping[str, object], root: str) -> DeltaSource:
        asked.check(given, OPTIONS, "delta")
        if importlib.util.find_spec("deltalake") is None:
            raise MissingExtraError(
                "Sources of the engine delta need the package deltalake, which is not installed.",
                hint="pip install 'tilth[delta]'",
            )
        path, url = asked.text(given, "path"), asked.text(given, "url")
        if (path is None) == (url is None) or path == "":
            raise ProjectError(
                "A delta source needs a path, or a url.",
                hint="Write WITH (path = 'lake'), a table or a folder of tables; or WITH (url = 's3://bucket/table').",
            )
        version = given.get("version")
        if version is not None and (not isinstance(version, int) or isinstance(version, bool) or version < 0):
            raise ProjectError("`version` is a whole number.", hint="Write version = 12, or leave it out.")
        if path is not None:
            return cls(os.path.realpath(os.path.join(root, path)), version, {})
        assert url is not None
        if not url.startswith("s3://") or len(url.strip("/").split("/")) < 4:
            raise ProjectError(
                f"{url[:80]!r} is no table in a bucket.", hint="Write url = 's3://bucket/table'."
            )
        return cls(url.rstrip("/"), version, _storage(given))

    def tables(self) -> tuple[str, ...]:
        if not self.local:
            return (os.path.basename(self._place),)
        if not os.path.isdir(self._place):
            raise SourceError(f"There is no folder at {self._place}.", hint="Correct the source's path.")
        if self._is_table(self._place):
            return (os.path.basename(self._place),)
        return tuple(
            sorted(n for n in os.listdir(self._place) if self._is_table(os.path.join(self._place, n)))
        )

    def describe(self, table: str) -> Schema:
        return self._look(table).schema

    def scan(self, scan: Scan) -> pa.RecordBatchReader:
        looked = self._look(scan.table)
        schema, kinds = looked.schema, dict(looked.kinds)
        names = [schema.field(c).name for c in (schema.names if scan.columns is None else scan.columns)]
        tested = [(w, schema.field(w.column).name) for w in scan.where]
        values = {n: _value(n, kinds[n]) for n in dict.fromkeys((*names, *(n for _, n in tested)))}
        listed = ", ".join(f"{values[n]} AS {quoted(n)}" for n in names) or "NULL AS none"
        where = " AND ".join(condition(w, values[n]) for w, n in tested) or "true"
        early = [p for w, n in tested if (p := _early(w, n, kinds[n])) is not None]
        read = list(values) or [schema.names[0]]
        return self._asked(
            scan.table, "rows", looked.version, read, " AND ".join(early) or None,
            f"SELECT {listed} FROM given WHERE {where}",
        )  # fmt: skip

    def native(self, sql: str) -> pa.RecordBatchReader:
        raise UnsupportedError(
            f"A Delta table has no query language of its own ({len(sql)} characters given).",
            hint="Write the query as DuckDB SQL over the source's tables.",
        )

    def change_token(self, table: str) -> str | None:
        """The version that is newest now. What this piece of work reads is pinned anew where it moved."""
        if self._version is not None:
            return f"version {self._version}"
        now = self._newest(table) if self.local else self._fresh(table)
        return f"{now.id} {now.version}" if isinstance(now, _Looked) else now

    def stop(self) -> None:
        """End what is being read, from another thread."""
        self._processes.stop()

    def close(self) -> None:
        """Nothing is kept open between calls."""

    # --- within --------------------------------------------------------------------------------------------

    def _newest(self, table: str) -> str:
        """The newest entry of the table's log, told without opening it."""
        folder = os.path.join(self._uri(table), LOG)
        try:
            last = max(n for n in os.listdir(folder) if n.endswith(".json") and n[:20].isdecimal())
            found = os.stat(os.path.join(folder, last))
        except (ValueError, OSError) as error:
            raise SourceError(
                f"The log of Delta table `{table}` cannot be read.", hint="Check its folder."
            ) from error
        if table in self._looked and self._looked[table].version != int(last[:20]):
            del self._looked[table]
        return f"{last} {found.st_ino} {found.st_mtime_ns}"

    def _fresh(self, table: str) -> _Looked:
        self._looked.pop(table, None)
        return self._look(table)

    def _look(self, table: str) -> _Looked:
        found = self._looked.get(table)
        if found is None:
            rows = self._asked(table, "look", self._version, None, None, "").read_all()
            told = json.loads(rows["found"][0].as_py())
            kinds = tuple((str(n), str(k)) for n, k in told["kinds"])
            found = self._looked[table] = _Looked(told["version"], told["id"], kinds)
        return found

    def _is_table(self, path: str) -> bool:
        return os.path.isdir(os.path.join(path, LOG))

    def _uri(self, table: str) -> str:
        names = self.tables()
        found = next((n for n in names if n.lower() == table.lower()), None)
        if found is None:
            raise UnknownNameError(f"There is no table `{table}`.", hint=did_you_mean(table, names, "tables"))
        alone = not self.local or self._is_table(self._place)
        return self._place if alone else os.path.join(self._place, found)

    def _asked(
        self,
        table: str,
        ask: str,
        version: int | None,
        columns: Sequence[str] | None,
        early: str | None,
        sql: str,
    ) -> pa.RecordBatchReader:
        return self._processes.read(
            {
                "ask": ask, "uri": self._uri(table), "local": self.local, "version": version, "storage": self._storage,
                "columns": columns, "prefilter": early, "sql": sql, "memory": MEMORY, "seconds": SECONDS,
            }
        )  # fmt: skip


def _plain(kind: str) -> str:
    return "TIMESTAMP" if kind == "TIMESTAMP WITH TIME ZONE" else kind


def _value(name: str, kind: str) -> str:
    """SQL of DuckDB's for a column: a moment with a zone as naive UTC."""
    return f"({quoted(name)} AT TIME ZONE 'UTC')" if kind == "TIMESTAMP WITH TIME ZONE" else quoted(name)


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
        zone = ', Some("UTC")' if kind == "TIMESTAMP WITH TIME ZONE" else ", None"
        form = f"arrow_cast('{plain.isoformat()}', 'Timestamp(Microsecond{zone})')"
        return form if kind.startswith("TIMESTAMP") else None
    return f"DATE '{value.isoformat()}'" if isinstance(value, date) and kind == "DATE" else None


def _storage(given: Mapping[str, object]) -> dict[str, str]:
    """What reaches the bucket, by the names that deltalake has for it."""
    key, secret, endpoint = (asked.text(given, n) for n in ("key", "secret", "endpoint"))
    if (key is None) != (secret is None):
        raise ProjectError(
            "A delta source in a bucket needs `key` and `secret` together, or neither.",
            hint="Write key = SECRET 'env:AWS_ACCESS_KEY_ID', secret = SECRET 'env:AWS_SECRET_ACCESS_KEY'.",
        )
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
