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
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from tilth.adapters.sources.processes import Processes
from tilth.adapters.sources.remote import given as asked
from tilth.core.errors import (
    DataError,
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
BROKE_OFF = "reading the stream registered"  # DuckDB's words, in lower case, where the library that reads had an error
ZONED = "TIMESTAMP WITH TIME ZONE"


@dataclass(frozen=True, slots=True)
class Looked:
    """A version of a table, and DuckDB's types of its columns."""

    version: int | None
    id: str
    kinds: tuple[tuple[str, str], ...]
    metadata: str | None = None  # that it was read by, where a version is not all there is to it

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
    is_table: Callable[[str], bool]  # whether a folder is one
    newest: Callable[[str], str]  # of a table's folder: some text that differs when its newest version does
    storage: Callable[[Mapping[str, object]], Mapping[str, str]]
    """What reaches a bucket, by the library's names."""

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


@dataclass(frozen=True, slots=True)
class Given:
    """What the process that reads is told of where a table lies. A `local` one may read what is below `uri` and nothing else."""

    uri: str
    local: bool
    storage: Mapping[str, str] = field(default_factory=dict)
    metadata: str | None = None  # of the table, where a catalog knows it


class Place(Protocol):
    """Where tables of a source lie."""

    local: bool

    def tables(self) -> tuple[str, ...]:
        """Their names, sorted."""
        ...

    def at(self, table: str) -> Given:
        """Where one lies; UnknownNameError when there is none such."""
        ...

    def token(self, table: str) -> str | None:
        """Some text that differs when the table does, told without opening it; None where it has to be looked at."""
        ...


class Folder:
    """A table on this machine, or a folder of them."""

    local = True

    def __init__(self, path: str, kind: Kind) -> None:
        self._path, self._is_table, self._newest = path, kind.is_table, kind.newest

    def tables(self) -> tuple[str, ...]:
        if not os.path.isdir(self._path):
            raise SourceError(f"There is no folder at {self._path}.", hint="Correct the source's path.")
        if self._is_table(self._path):
            return (os.path.basename(self._path),)
        return tuple(n for n in sorted(os.listdir(self._path)) if self._is_table(os.path.join(self._path, n)))

    def at(self, table: str) -> Given:
        found = named(table, self.tables())
        alone = self._is_table(self._path)
        return Given(self._path if alone else os.path.join(self._path, found), local=True)

    def token(self, table: str) -> str:
        return self._newest(self.at(table).uri)


class Bucket:
    """One table in a bucket."""

    local = False

    def __init__(self, url: str, storage: Mapping[str, str]) -> None:
        self._url, self._storage = url, dict(storage)

    def tables(self) -> tuple[str, ...]:
        return (os.path.basename(self._url),)

    def at(self, table: str) -> Given:
        named(table, self.tables())
        return Given(self._url, local=False, storage=self._storage)

    def token(self, table: str) -> None:
        del table


class LakeSource(ABC):
    """Tables of one kind at one place."""

    speaks = False
    kind: ClassVar[Kind]

    def __init__(self, place: Place, version: int | None) -> None:
        self._place, self._version = place, version
        self.local = place.local
        self._looked: dict[str, tuple[str | None, Looked]] = {}
        self._processes = self.kind.processes()

    @classmethod
    def from_options(cls, given: Mapping[str, object], root: str) -> Self:
        kind = cls.kind
        asked.check(given, ("path", "url", kind.pinned, *STORED), kind.engine)
        kind.there()
        return cls(placed(given, root, kind), pinned(given, kind))

    def tables(self) -> tuple[str, ...]:
        return self._place.tables()

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
            scan.table, "rows", looked.version if looked.metadata is None else self._version, read, early,
            f"SELECT {listed} FROM given WHERE {where}", looked.metadata,
        )  # fmt: skip

    def native(self, sql: str) -> pa.RecordBatchReader:
        raise UnsupportedError(
            f"Tables of the engine {self.kind.engine} have no query language of their own ({len(sql)} characters given).",
            hint="Write the query as DuckDB SQL over the source's tables.",
        )

    def change_token(self, table: str) -> str | None:
        """The version that is newest now. What this piece of work reads is pinned anew where it moved."""
        if self._version is not None:
            return f"{self.kind.pinned} {self._version}"
        now = self._place.token(table)
        if now is None:
            self._looked.pop(table, None)
            found = self._look(table)
            return f"{found.id} {found.version}"
        if table in self._looked and self._looked[table][0] != now:
            del self._looked[table]
        return now

    def stop(self) -> None:
        """End what is being read, from another thread."""
        self._processes.stop()

    def close(self) -> None:  # noqa: B027 - the same of every kind
        """Nothing is kept open between calls."""

    # --- within --------------------------------------------------------------------------------------------

    @abstractmethod
    def _early(self, where: Predicate, name: str, kind: str) -> Any:
        """The predicate as the library skips files and rows by it; None where it may mean something else there. DuckDB tests it again."""

    def _look(self, table: str) -> Looked:
        if table not in self._looked:
            token = self._place.token(table)  # before it is read: what moves in between is seen
            rows = self._asked(table, "look", self._version, None, (), "").read_all()
            told = json.loads(rows["found"][0].as_py())
            kinds = tuple((str(n), str(k)) for n, k in told["kinds"])
            self._looked[table] = token, Looked(told["version"], told["id"], kinds, told["metadata"])
        return self._looked[table][1]

    def _asked(
        self,
        table: str,
        ask: str,
        version: int | None,
        columns: Sequence[str] | None,
        early: Sequence[Any],
        sql: str,
        metadata: str | None = None,
    ) -> pa.RecordBatchReader:
        at = self._place.at(table)
        return self._processes.read(
            {
                "ask": ask, "uri": at.uri, "local": at.local, "storage": dict(at.storage), "metadata": metadata or at.metadata,
                "version": version, "columns": columns, "early": list(early), "sql": sql, "memory": MEMORY, "seconds": SECONDS,
            }
        )  # fmt: skip


def alike(kind: str, name: str) -> DataError:
    """What is told of columns whose names differ by case alone."""
    return DataError(
        f"The {kind} has two columns that are called `{name}` but for upper and lower case, which queries do not tell apart.",
        hint="Rename one of them where the table is written.",
    )


def named(table: str, names: Sequence[str]) -> str:
    """The table as it is called there; UnknownNameError when there is none such."""
    found = next((n for n in names if n.lower() == table.lower()), None)
    if found is None:
        raise UnknownNameError(f"There is no table `{table}`.", hint=did_you_mean(table, names, "tables"))
    return found


def _plain(kind: str) -> str:
    return "TIMESTAMP" if kind == ZONED else kind


def _value(name: str, kind: str) -> str:
    """SQL of DuckDB's for a column: a moment with a zone as naive UTC."""
    return f"({quoted(name)} AT TIME ZONE 'UTC')" if kind == ZONED else quoted(name)


def placed(given: Mapping[str, object], root: str, kind: Kind) -> Folder | Bucket:
    """Where `path` or `url` says that tables are; ProjectError for neither and for both."""
    path, url = asked.text(given, "path"), asked.text(given, "url")
    if (path is None) == (url is None) or path == "":
        raise ProjectError(
            f"A source of the engine {kind.engine} needs a path, or a url.",
            hint="Write WITH (path = 'lake'), a table or a folder of tables; or WITH (url = 's3://bucket/table').",
        )
    if path is not None:
        return Folder(os.path.realpath(os.path.join(root, path)), kind)
    assert url is not None
    if not url.startswith("s3://") or len(url.strip("/").split("/")) < 4:
        raise ProjectError(f"{url[:80]!r} is no table in a bucket.", hint="Write url = 's3://bucket/table'.")
    return Bucket(url.rstrip("/"), kind.storage(given))


def pinned(given: Mapping[str, object], kind: Kind) -> int | None:
    """The version that the option names."""
    said = given.get(kind.pinned)
    if said is None or (isinstance(said, int) and not isinstance(said, bool) and said >= 0):
        return said
    raise ProjectError(
        f"`{kind.pinned}` is a whole number.", hint=f"Write {kind.pinned} = 12, or leave it out."
    )


def credentials(given: Mapping[str, object], engine: str) -> tuple[str | None, str | None]:
    """The key and its secret; ProjectError for one without the other."""
    key, secret = asked.text(given, "key"), asked.text(given, "secret")
    if (key is None) != (secret is None):
        raise ProjectError(
            f"A source of the engine {engine} in a bucket needs `key` and `secret` together, or neither.",
            hint="Write key = SECRET 'env:AWS_ACCESS_KEY_ID', secret = SECRET 'env:AWS_SECRET_ACCESS_KEY'.",
        )
    return key, secret
