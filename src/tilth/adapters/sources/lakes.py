"""What sources of versioned tables have in common: tables in a folder or one in a bucket, each read at one version in a process of its own.

Delta and Iceberg differ in what a folder is a table by, in which version is the newest, and in the library that reads it (`child`). A column that is a
moment becomes naive UTC.
"""

from __future__ import annotations

import importlib.util
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from tilth.adapters.sources.processes import Processes
from tilth.adapters.sources.remote import given as asked
from tilth.core.errors import (
    MissingExtraError,
    ProjectError,
    SourceError,
    TilthError,
    UnknownNameError,
    UnsupportedError,
)
from tilth.core.names import did_you_mean, quoted
from tilth.core.scan import Predicate, Scan
from tilth.core.schema import Field, Schema
from tilth.ports.arrow import from_duckdb
from tilth.ports.predicates import condition

if TYPE_CHECKING:
    import pyarrow as pa

STORED = ("region", "endpoint", "key", "secret", "token", "anonymous")  # options of a table in a bucket
MEMORY, SECONDS = 2_000_000_000, 86_400
ZONED = "TIMESTAMP WITH TIME ZONE"


@dataclass(frozen=True, slots=True)
class Looked:
    """A version of a table, and DuckDB's types of its columns."""

    version: int | None
    id: str
    kinds: tuple[tuple[str, str], ...]

    @property
    def schema(self) -> Schema:
        return Schema(tuple(Field(n, from_duckdb(_plain(k))) for n, k in self.kinds))


@dataclass(frozen=True, slots=True)
class Kind:
    """What one kind of tables is called, read by, and how errors of what reads it are told."""

    engine: str
    table: str  # in messages, such as `Delta table`
    package: str
    pinned: str  # the option that names a version
    child: str  # the module that reads
    refused: Callable[[Mapping[str, str]], TilthError]
    storage: Callable[
        [Mapping[str, object]], Mapping[str, str]
    ]  # what reaches a bucket, by the library's names

    def there(self) -> None:
        """MissingExtraError where the library is not."""
        if importlib.util.find_spec(self.package) is None:
            raise MissingExtraError(
                f"Sources of the engine {self.engine} need the package {self.package}, which is not installed.",
                hint=f"pip install 'tilth[{self.engine}]'",
            )

    def processes(self) -> Processes:
        """What reads for one source."""
        broken = "The table may be damaged, or need more memory than 2 GB to be read."
        return Processes(self.child, self.refused, self.table, broken)


class LakeSource(ABC):
    """One table, or a folder of them."""

    speaks = False
    kind: ClassVar[Kind]

    def __init__(self, place: str, version: int | None, storage: Mapping[str, str]) -> None:
        self._place, self._version, self._storage = place, version, dict(storage)
        self.local = "://" not in place
        self._looked: dict[str, Looked] = {}
        self._processes = self.kind.processes()

    @classmethod
    def from_options(cls, given: Mapping[str, object], root: str) -> Self:
        kind = cls.kind
        asked.check(given, ("path", "url", kind.pinned, *STORED), kind.engine)
        kind.there()
        place, version = placed(given, root, kind.engine, kind.pinned)
        return cls(place, version, kind.storage(given) if "://" in place else {})

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
        early = [p for w, n in tested if (p := self._early(w, n, kinds[n])) is not None]
        read = list(values) or [schema.names[0]]
        return self._asked(
            scan.table, "rows", looked.version, read, early,
            f"SELECT {listed} FROM given WHERE {where}",
        )  # fmt: skip

    def native(self, sql: str) -> pa.RecordBatchReader:
        raise UnsupportedError(
            f"Tables of the engine {self.kind.engine} have no query language of their own ({len(sql)} characters given).",
            hint="Write the query as DuckDB SQL over the source's tables.",
        )

    def stop(self) -> None:
        """End what is being read, from another thread."""
        self._processes.stop()

    def close(self) -> None:  # noqa: B027 - the same of every kind
        """Nothing is kept open between calls."""

    @abstractmethod
    def change_token(self, table: str) -> str | None:
        """The version that is newest now. What this piece of work reads is pinned anew where it moved."""

    # --- within --------------------------------------------------------------------------------------------

    def _fresh(self, table: str) -> Looked:
        self._looked.pop(table, None)
        return self._look(table)

    def _look(self, table: str) -> Looked:
        found = self._looked.get(table)
        if found is None:
            rows = self._asked(table, "look", self._version, None, (), "").read_all()
            told = json.loads(rows["found"][0].as_py())
            kinds = tuple((str(n), str(k)) for n, k in told["kinds"])
            found = self._looked[table] = Looked(told["version"], told["id"], kinds)
        return found

    @abstractmethod
    def _is_table(self, path: str) -> bool:
        """Whether the folder is a table."""

    @abstractmethod
    def _early(self, where: Predicate, name: str, kind: str) -> Any:
        """The predicate as the library skips files and rows by it; None where it may mean something else there. DuckDB tests it again."""

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
        early: Sequence[Any],
        sql: str,
    ) -> pa.RecordBatchReader:
        return self._processes.read(
            {
                "ask": ask, "uri": self._uri(table), "local": self.local, "version": version, "storage": self._storage,
                "columns": columns, "early": list(early), "sql": sql, "memory": MEMORY, "seconds": SECONDS,
            }
        )  # fmt: skip


def _plain(kind: str) -> str:
    return "TIMESTAMP" if kind == ZONED else kind


def _value(name: str, kind: str) -> str:
    """SQL of DuckDB's for a column: a moment with a zone as naive UTC."""
    return f"({quoted(name)} AT TIME ZONE 'UTC')" if kind == ZONED else quoted(name)


def placed(given: Mapping[str, object], root: str, engine: str, version: str) -> tuple[str, int | None]:
    """Where the table is, and the version that the option `version` names; ProjectError for what is neither."""
    path, url = asked.text(given, "path"), asked.text(given, "url")
    if (path is None) == (url is None) or path == "":
        raise ProjectError(
            f"A source of the engine {engine} needs a path, or a url.",
            hint="Write WITH (path = 'lake'), a table or a folder of tables; or WITH (url = 's3://bucket/table').",
        )
    said = given.get(version)
    if said is not None and (not isinstance(said, int) or isinstance(said, bool) or said < 0):
        raise ProjectError(f"`{version}` is a whole number.", hint=f"Write {version} = 12, or leave it out.")
    if path is not None:
        return os.path.realpath(os.path.join(root, path)), said
    assert url is not None
    if not url.startswith("s3://") or len(url.strip("/").split("/")) < 4:
        raise ProjectError(f"{url[:80]!r} is no table in a bucket.", hint="Write url = 's3://bucket/table'.")
    return url.rstrip("/"), said


def credentials(given: Mapping[str, object], engine: str) -> tuple[str | None, str | None]:
    """The key and its secret; ProjectError for one without the other."""
    key, secret = asked.text(given, "key"), asked.text(given, "secret")
    if (key is None) != (secret is None):
        raise ProjectError(
            f"A source of the engine {engine} in a bucket needs `key` and `secret` together, or neither.",
            hint="Write key = SECRET 'env:AWS_ACCESS_KEY_ID', secret = SECRET 'env:AWS_SECRET_ACCESS_KEY'.",
        )
    return key, secret
