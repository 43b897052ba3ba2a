"""DuckDB as the query engine: locked down, in memory, with the inputs of a query and nothing else in its reach.

Only the Parquet files named as inputs can be read, and only SELECT runs. A query over files has a database of its own,
since the files it may read are settled once and then locked. Making one takes 15 ms, so queries without files
share one, which can read no file at all: each has its own cursor, temporary views, and, for names with a schema,
its own attached database, gone with its last batch. A query with limits is watched (`duckdb_watch`): what runs too
long is interrupted. DuckDB hears that between two batches, and some functions make a gigabyte of one value in
between; a query that calls any function but those that are known not to runs in a process of its own
(`duckdb_process`), which can be ended at any moment.
"""

from __future__ import annotations

import itertools
import os
import re
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tilth.adapters.engines import duckdb_process
from tilth.adapters.engines.duckdb_watch import Watch
from tilth.adapters.files import durable, own
from tilth.core.errors import (
    DataError,
    InputError,
    LanguageError,
    ResourceLimitError,
    SourceError,
    StorageError,
    TilthError,
    UnknownNameError,
    UnsupportedError,
)
from tilth.core.names import literal, quoted
from tilth.core.schema import Field, Schema
from tilth.ports.arrow import duckdb_name, from_duckdb
from tilth.ports.engine import SQL_TYPE, Relation
from tilth.ports.limits import Limits
from tilth.ports.streams import closing

if TYPE_CHECKING:
    import pyarrow as pa

BATCH = 65_536
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
        self._shared: dict[str, Any] = {}  # databases that read no files, by their memory
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
        if limits is not None and not parameters and duckdb_process.needs_one(sql):
            given: dict[str, Relation] = {name: files.get(name, value) for name, value in inputs.items()}
            return duckdb_process.stream(sql, given, limits, self._threads, self._temp, translated)
        memory = self._memory if limits is None else f"{limits.memory}B"
        task = self._task([p for paths in files.values() for p in paths], memory)
        watch, said = Watch(task.connection, limits), _Said()
        try:
            for name, value in inputs.items():
                task.view(name, files.get(name), said.heard(value))
            with watch:
                relation = _only_select(task.connection, sql, parameters or {})
                kinds = [str(kind) for kind in relation.types]
                reader = relation.to_arrow_reader(BATCH)
        except BaseException as error:
            task.close()
            raise watch.told(unquoted(said.told(error), sql, _columns(inputs))) from error
        return _guarded(task, watch, said, reader, kinds)

    def describe(self, sql: str, schemas: Mapping[str, Schema]) -> Schema:
        asked = (sql, tuple(schemas.items()))
        if (found := self._described.get(asked)) is None:
            found = self._describe(sql, schemas)
            with self._lock:
                self._described[asked] = found
                if len(self._described) > DESCRIBED:
                    del self._described[next(iter(self._described))]
        return found

    def _describe(self, sql: str, schemas: Mapping[str, Schema]) -> Schema:
        task = self._task([], self._memory)
        try:
            for name, schema in schemas.items():
                task.table(name, schema)
            relation = _only_select(task.connection, sql, None)
            pairs = zip(relation.columns, relation.types, strict=True)
            return Schema(tuple(Field(name, from_duckdb(str(kind))) for name, kind in pairs))
        except Exception as error:
            raise unquoted(translated(error), sql, {n for s in schemas.values() for n in s.names}) from error
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

    def _task(self, paths: Sequence[str], memory: str) -> _Task:
        if paths:
            return _Task(self._connect(paths, memory))
        with self._lock:
            if self._pid != os.getpid():
                _outlived.extend(self._shared.values())
                self._shared, self._pid = {}, os.getpid()
            if memory not in self._shared:
                self._shared[memory] = self._connect([], memory)
            return _Task(self._shared[memory].cursor())

    def _drop_shared(self) -> None:
        for shared in self._shared.values() if self._pid == os.getpid() else ():
            shared.close()
        self._shared = {}

    def _connect(self, paths: Sequence[str], memory: str) -> Any:
        import duckdb

        spill = os.path.join(self._temp, f"tilth-spill-{os.getpid()}-{next(_count)}")
        connection = duckdb.connect(":memory:", config={"temp_directory": spill, "threads": self._threads})
        for setting in (
            f"allowed_paths = [{', '.join(literal(p) for p in paths)}]",
            "enable_external_access = false",
            "autoinstall_known_extensions = false",
            "autoload_known_extensions = false",
            "allow_community_extensions = false",
            "python_enable_replacements = false",
            f"memory_limit = {literal(memory)}",
            "max_temp_directory_size = '20GB'",
            "TimeZone = 'UTC'",
            "lock_configuration = true",
        ):
            connection.execute(f"SET {setting}")
        return connection


class _Task:
    """One query's connection, and what is declared on it: temporary, or in a database that is detached at the end."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self._attached: str | None = None

    def view(self, name: str, paths: tuple[str, ...] | None, value: Relation) -> None:
        """Declare an input."""
        kind, target = self._target(name)
        if paths is None:
            internal = f"tilth_input_{next(_count)}"
            self.connection.register(internal, value)
            origin = f"temp.main.{internal}"
        else:
            origin = f"read_parquet([{', '.join(literal(p) for p in paths)}])"
        self.connection.execute(f"CREATE {kind} VIEW {target} AS SELECT * FROM {origin}")

    def table(self, name: str, schema: Schema) -> None:
        """Declare a table without rows."""
        kind, target = self._target(name)
        columns = ", ".join(f"{quoted(f.name)} {duckdb_name(f.type)}" for f in schema)
        self.connection.execute(f"CREATE {kind} TABLE {target} ({columns})")

    def _target(self, name: str) -> tuple[str, str]:
        schema, dot, table = name.partition(".")
        if not dot:
            return "TEMP", quoted(name)
        if self._attached is None:
            self._attached = f"tilth_task_{next(_count)}"
            self.connection.execute(f"ATTACH ':memory:' AS {self._attached}")
            self.connection.execute(f"USE {self._attached}")
        self.connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}")
        return "", f"{quoted(schema)}.{quoted(table)}"

    def close(self) -> None:
        import duckdb

        try:
            if self._attached is not None:
                self.connection.execute("USE memory")
                self.connection.execute(f"DETACH {self._attached}")
        except duckdb.Error:
            pass  # the query failed in a way that holds on to it: empty, and gone with the engine's database
        finally:
            self.connection.close()


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


def _only_select(connection: Any, sql: str, parameters: Mapping[str, object] | None) -> Any:
    """The lazy result of one SELECT; without parameters given, each stands for NULL."""
    statements = connection.extract_statements(sql)
    if len(statements) != 1 or statements[0].type.name != "SELECT":
        raise LanguageError(
            "A query is one SELECT statement.", hint="Remove the other statements; WITH ... SELECT is fine."
        )
    wanted = statements[0].named_parameters
    if parameters is None:
        parameters = dict.fromkeys(wanted)
    if missing := sorted(set(wanted) - set(parameters)):
        raise InputError(
            f"The query needs a value for ${missing[0]}.", hint=f"Parameters: {', '.join(sorted(wanted))}."
        )
    given = {name: parameters[name] for name in wanted}
    return connection.sql(statements[0], params=given) if given else connection.sql(statements[0])


_UNTOLD = frozenset({"HUGEINT", "UHUGEINT", "BIGNUM", "BIT", "TIME WITH TIME ZONE"})  # by their Arrow types


def _guarded(
    task: _Task, watch: Watch, said: _Said, reader: Any, kinds: Sequence[str]
) -> pa.RecordBatchReader:
    """The same batches with our errors, keeping the connection alive until the last; `kinds` are DuckDB's types."""
    import pyarrow as pa

    def close() -> None:
        reader.close()
        task.close()

    def told(error: Exception) -> BaseException:
        return watch.told(said.told(error))

    fields = [
        f.with_metadata({SQL_TYPE: kind}) if kind in _UNTOLD else f
        for f, kind in zip(reader.schema, kinds, strict=True)
    ]
    watched = pa.RecordBatchReader.from_batches(pa.schema(fields), watch.each(reader))
    return closing(watched, close, told)


_CANDIDATES = re.compile(
    r"(?:Candidate bindings|Candidate functions|Did you mean)\s*:?\s*(.+?)(?:\n\n|\Z)", re.DOTALL
)
_KIND = re.compile(r"\b([A-Z][A-Za-z]*(?: [A-Za-z]+){0,2}) Error: (.*)", re.DOTALL)
_OURS = re.compile(r"error: ([^\n]+?)  \[(E-[A-Z]+)\]")
_VALUES = re.compile(r"'[^']*'|\"[^\"]*\"|(?<![\w.])-?\d+(?:\.\d+)?(?![\w.])")


def translated(error: BaseException) -> BaseException:
    """One of our errors for one of DuckDB's, without values of the data; others pass unchanged.

    Errors met while batches are read arrive as Arrow errors, so the text decides and not the class.
    """
    if isinstance(error, TilthError) or not isinstance(error, Exception):
        return error
    if str(error) == "Query interrupted":  # Ctrl-C while DuckDB was at work
        return KeyboardInterrupt()
    found = _KIND.search(str(error))
    if found is None:
        return error
    kind, rest = found.groups()
    said = rest.partition("\n")[0].strip()
    if said.startswith("reading the stream"):
        return _unread(rest)
    if kind in {"Binder", "Catalog"}:
        return _unbound(said, rest)
    if kind in ("Parser", "Syntax"):
        return LanguageError(f"{said[:1].upper()}{said[1:]}.", detail=_line(rest))
    if kind in ("INTERRUPT", "Interrupt"):
        return KeyboardInterrupt()
    if kind == "Out of Memory":
        return ResourceLimitError(
            "The query needs more memory or disk than it may use.",
            hint="Raise the memory limit, or have the query return fewer rows or columns.",
        )
    if kind == "Permission":
        return UnsupportedError(
            "A query may read only its inputs.", hint="Declare the file as a SOURCE of kind files."
        )
    if kind in ("IO", "HTTP"):
        return StorageError(
            "A file of the query's inputs could not be read.", hint="Check that it exists and is Parquet."
        )
    if kind in ("Conversion", "Out of Range", "Invalid Input", "Mismatch Type", "Invalid Type", "Constraint"):
        return DataError(f"{_VALUES.sub('...', said)}.", hint=_helps(said))
    return LanguageError(f"{said}.", detail=_line(rest))


def _helps(said: str) -> str:
    """What helps against a value that a query stumbles over."""
    if said.startswith("Overflow"):
        return "CAST the numbers to DECIMAL(38,0) or DOUBLE before they grow too large."
    if "format specifier" in said:
        return "Use try_strptime, which gives NULL where a text has another form."
    return "Use TRY_CAST where values may not convert, and filter NULLs."


_WORD_AT = re.compile(r"([A-Za-z_]\w*)(?:\W*)\Z")


def unquoted(error: BaseException, sql: str, columns: set[str]) -> BaseException:
    """The error, with a hint where SQL took the name of a column for a word of its own."""
    if not isinstance(error, LanguageError) or error.hint or len(error.detail) < 2:
        return error
    line, at = error.detail[0], error.detail[1].find("^")
    number, colon, _ = line.partition(": ")
    start = len(number) + len(colon)
    earlier = sql.split("\n")[: int(number.removeprefix("LINE ")) - 1] if number.startswith("LINE ") else []
    before = _WORD_AT.search("\n".join([*earlier, line[start:at]]))
    here = re.match(r"\w+", line[at:])
    known = {c.lower() for c in columns} | {"at"}  # `at` is a word of DuckDB's alone
    for found in (here and here[0], before and before[1]):
        if at >= 0 and found and found.lower() in known:
            error.hint = (
                f'`{found}` is a word of SQL: write "{found}" in double quotes where the column is meant.'
            )
            break
    return error


def _columns(inputs: Mapping[str, Relation]) -> set[str]:
    """The columns of the inputs that are no files."""
    return {n for v in inputs.values() if not isinstance(v, Sequence) for n in v.schema.names}


def _unread(rest: str) -> TilthError:
    """An input's stream broke off: our own errors keep their words, strangers' could show data."""
    ours = _OURS.search(rest)
    cls = SourceError if ours is None or ours[2] != DataError.code else DataError
    return cls(
        ours[1] if ours else "An input of the query broke off while it was read.",
        hint="Correct the values in the source, or try again if it went away.",
    )


def _unbound(said: str, rest: str) -> TilthError:
    found = _CANDIDATES.search(rest)
    hint = None if found is None else "Did you mean: " + " ".join(found[1].replace("?", "").split()) + "?"
    if said.startswith("No function matches") and "VARCHAR" in said:
        hint = (
            "An argument is text (VARCHAR). Why a file's column was read as text says"
            " SELECT * FROM tilth.notices; TRY_CAST(x AS DOUBLE) makes numbers of it."
        )
    unknown = "not found" in said or "does not exist" in said
    cls = UnknownNameError if unknown else LanguageError
    return cls(f"{said.rstrip('!.')}.", hint=hint, detail=_line(rest))


def _line(rest: str) -> tuple[str, ...]:
    place = rest.find("\n\nLINE ")
    return tuple(rest[place + 2 :].split("\n")) if place >= 0 else ()
