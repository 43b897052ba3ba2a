"""DuckDB as the query engine: locked down, in memory, with the inputs of a query and nothing else in its reach.

Only the Parquet files named as inputs can be read, and only SELECT runs. A query with limits, as every text of a person has, runs in
a process of its own (`duckdb_process`). What tilth itself makes runs in this one: a query over files has a database of
its own, since the files it may read are settled once and then locked. Making one takes 15 ms, so queries without files
share one, which can read no file at all: each has its own cursor, temporary views, and, for names with a schema,
its own attached database, gone with its last batch.
"""

from __future__ import annotations

import itertools
import os
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tilth.adapters.engines.duckdb_errors import columns_of, translated, unquoted
from tilth.adapters.engines.duckdb_task import (
    BATCH,
    Bounds,
    Task,
    lock_down,
    one_select,
    only_select,
    told_types,
)
from tilth.adapters.files import durable, own
from tilth.core.errors import TilthError, UnsupportedError
from tilth.core.schema import Field, Schema
from tilth.ports.arrow import from_duckdb
from tilth.ports.engine import Relation
from tilth.ports.limits import Limits
from tilth.ports.streams import closing

if TYPE_CHECKING:
    import pyarrow as pa

DESCRIBED = 256  # answers of `describe` that are kept: a refresh asks what the last one asked
_count = itertools.count()
_outlived: list[Any] = []  # databases of the process that this one was forked from: not ours to close


class DuckDBEngine:
    """Implements `ports.engine.QueryEngine`. Safe to use from several threads; `temp` is where large queries spill."""

    def __init__(
        self, directories: Sequence[str] = (), memory: str = "1GB", threads: int = 2, temp: str | None = None
    ) -> None:
        self._directories = tuple(os.path.realpath(d) for d in directories)
        self._memory = memory
        self._threads = threads
        self._temp = temp or tempfile.gettempdir()
        self._shared: Any = None  # the database that reads no files
        self._described: dict[tuple[str, tuple[tuple[str, Schema], ...]], Schema] = {}  # the latest answers
        self._pid = 0
        self._lock = threading.Lock()

    @staticmethod
    def opened(home: str) -> DuckDBEngine:
        """The engine of a project, which may read what lies in `home` when a query's input names it, and spills there."""
        temp = os.path.join(home, "temp")
        own.check(temp, folder=True)
        try:
            durable.make_folder(temp)
        except OSError as error:
            raise durable.refused(f"{temp} cannot be made", home, error) from error
        return DuckDBEngine([home], temp=temp)

    def stream(
        self,
        sql: str,
        inputs: Mapping[str, Relation],
        parameters: Mapping[str, object] | None = None,
        limits: Limits | None = None,
    ) -> pa.RecordBatchReader:
        files = {
            name: tuple(self._allowed(p) for p in value) for name, value in inputs.items() if _is_paths(value)
        }
        if limits is not None:
            assert not parameters, "people's values stand in the text"
            from tilth.adapters.engines import duckdb_process

            given: dict[str, Relation] = {name: files.get(name, value) for name, value in inputs.items()}
            return duckdb_process.stream(sql, given, limits, self._threads, self._temp)
        task, said = self._task([p for paths in files.values() for p in paths]), _Said()
        try:
            for name, value in inputs.items():
                task.view(name, files.get(name), said.heard(value))
            relation = only_select(task.connection, sql, parameters or {})
            kinds = [str(kind) for kind in relation.types]
            reader = relation.to_arrow_reader(BATCH)
        except BaseException as error:
            task.close()
            raise unquoted(said.told(error), sql, columns_of(inputs)) from error
        return _guarded(task, said, reader, kinds)

    def warm(self) -> None:
        """Have the processes of queries be at hand when they are needed; nothing waits for it."""
        from tilth.adapters.engines.nursery import NURSERY

        NURSERY.warm()

    def describe(self, sql: str, schemas: Mapping[str, Schema], *, placed: bool = False) -> Schema:
        asked = (sql, tuple(schemas.items()))
        if (found := self._described.get(asked)) is None:
            found = self._describe(sql, schemas, placed=placed)
            with self._lock:
                self._described[asked] = found
                if len(self._described) > DESCRIBED:
                    del self._described[next(iter(self._described))]
        return found

    def check(self, sql: str) -> None:
        task = self._task([])
        try:
            one_select(task.connection, sql)
        except Exception as error:
            raise unquoted(translated(error), sql, set()) from error
        finally:
            task.close()

    def _describe(self, sql: str, schemas: Mapping[str, Schema], *, placed: bool) -> Schema:
        task = self._task([])
        try:
            for name, schema in schemas.items():
                task.table(name, schema)
            relation = only_select(task.connection, sql, None)
            pairs = zip(relation.columns, relation.types, strict=True)
            return Schema(tuple(Field(name, from_duckdb(str(kind))) for name, kind in pairs))
        except Exception as error:
            said = task.placed(sql, error) if placed else error
            raise unquoted(translated(said), sql, {n for s in schemas.values() for n in s.names}) from error
        finally:
            task.close()

    def close(self) -> None:
        """Let the shared database go; the engine opens another when it is used again."""
        with self._lock:
            self._drop_shared()

    def _allowed(self, path: str) -> str:
        real = os.path.realpath(path)
        if not any(os.path.commonpath((real, d)) == d for d in self._directories):
            raise UnsupportedError(
                f"{path} lies outside the folders this engine may read.",
                hint="Put the file below the project or its .tilth folder.",
            )
        return real

    def _task(self, paths: Sequence[str]) -> Task:
        if paths:
            return Task(self._connect(paths))
        with self._lock:
            if self._pid != os.getpid():
                _outlived.append(self._shared)
                self._shared, self._pid = None, os.getpid()
            if self._shared is None:
                self._shared = self._connect([])
            return Task(self._shared.cursor())

    def _drop_shared(self) -> None:
        if self._pid == os.getpid() and self._shared is not None:
            self._shared.close()
        self._shared = None

    def _connect(self, paths: Sequence[str]) -> Any:
        import duckdb

        spill = os.path.join(self._temp, f"tilth-spill-{os.getpid()}-{next(_count)}")
        connection = duckdb.connect(":memory:", config={"threads": self._threads})
        lock_down(connection, paths, Bounds(self._memory, self._threads, spill))
        return connection


class _Said:
    """What an input said when it broke off: DuckDB hands on its first line only."""

    def __init__(self) -> None:
        self._error: TilthError | None = None

    def heard(self, value: Relation) -> Relation:
        """The input, listened to if it is a stream."""
        import pyarrow as pa

        if not isinstance(value, pa.RecordBatchReader):
            return value

        def batches() -> Iterator[pa.RecordBatch]:
            try:
                yield from value
            except TilthError as error:
                self._error = error
                raise

        return pa.RecordBatchReader.from_batches(value.schema, batches())

    def told(self, error: BaseException) -> BaseException:
        """The input's own error if it had one, else ours for DuckDB's."""
        if self._error is not None and isinstance(error, Exception):
            return self._error
        return translated(error)


def _is_paths(value: Relation) -> bool:
    return isinstance(value, Sequence)


def _guarded(task: Task, said: _Said, reader: Any, kinds: Sequence[str]) -> pa.RecordBatchReader:
    """The same batches with our errors, keeping the connection alive until the last; `kinds` are DuckDB's types."""
    import pyarrow as pa

    def close() -> None:
        reader.close()
        task.close()

    answer = pa.RecordBatchReader.from_batches(told_types(reader.schema, kinds), reader)
    return closing(answer, close, said.told)
