"""A query's DuckDB: locked down, in memory, with its inputs declared and nothing else in its reach.

Shared by the engine, for queries that tilth itself makes, and by `duckdb_child`, for those that people write.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tilth.core.errors import InputError, LanguageError
from tilth.core.names import literal, quoted
from tilth.core.schema import Schema
from tilth.ports.arrow import duckdb_name
from tilth.ports.engine import SQL_TYPE, Relation

if TYPE_CHECKING:
    import pyarrow as pa

BATCH = 32_768
_count = itertools.count()
_UNTOLD = frozenset({"HUGEINT", "UHUGEINT", "BIGNUM", "BIT", "TIME WITH TIME ZONE"})  # by their Arrow types


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one database may use: `memory` as DuckDB writes it, `disk` bytes of files in the folder `spill`."""

    memory: str
    threads: int
    spill: str
    disk: int = 20_000_000_000


def new_database() -> Any:
    """A database in memory that has not yet begun any thread, and so may be shared by a fork."""
    import duckdb

    return duckdb.connect(":memory:", config={"threads": 1, "async_threads": 0})


def lock_down(connection: Any, paths: Sequence[str], bounds: Bounds) -> None:
    """Settle for good what the database may read and use."""
    for setting in (
        f"threads = {bounds.threads}",
        f"temp_directory = {literal(bounds.spill)}",
        f"allowed_paths = [{', '.join(literal(p) for p in paths)}]",
        "enable_external_access = false",
        "autoinstall_known_extensions = false",
        "autoload_known_extensions = false",
        "allow_community_extensions = false",
        "python_enable_replacements = false",
        f"memory_limit = {literal(bounds.memory)}",
        f"max_temp_directory_size = '{bounds.disk}B'",
        "TimeZone = 'UTC'",
        "lock_configuration = true",
    ):
        connection.execute(f"SET {setting}")


class Task:
    """One query's connection, and what is declared on it: temporary, or in a database that is detached at the end."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self._attached: str | None = None

    def view(self, name: str, paths: Sequence[str] | None, value: Relation) -> None:
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

    def placed(self, sql: str, error: Exception) -> Exception:
        """The same error with DuckDB's line and caret, which its relations do not tell: making a view binds, too, and runs nothing."""
        import duckdb

        try:
            self.connection.execute(f"CREATE TEMP VIEW tilth_placed AS {sql}")
        except duckdb.Error as found:
            same = str(found).partition("\n")[0] == str(error).partition("\n")[0]
            return _without(found, "CREATE TEMP VIEW tilth_placed AS ") if same else error
        self.connection.execute("DROP VIEW tilth_placed")
        return error

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


def _without(error: Exception, before: str) -> Exception:
    """The error as of a text that does not begin with `before`; the caret moves with it."""
    text, first, rest = str(error).partition(f"LINE 1: {before}")
    if not first:
        return error
    shown, _, caret = rest.partition("\n")
    moved = caret[len(before) :] if caret[: len(before)].isspace() else caret
    return type(error)(f"{text}LINE 1: {shown}\n{moved}")


def only_select(connection: Any, sql: str, parameters: Mapping[str, object] | None) -> Any:
    """The lazy result of one SELECT; without parameters given, each stands for NULL."""
    statement = one_select(connection, sql)
    wanted = statement.named_parameters
    if parameters is None:
        parameters = dict.fromkeys(wanted)
    if missing := sorted(set(wanted) - set(parameters)):
        raise InputError(
            f"The query needs a value for ${missing[0]}.", hint=f"Parameters: {', '.join(sorted(wanted))}."
        )
    given = {name: parameters[name] for name in wanted}
    return connection.sql(statement, params=given) if given else connection.sql(statement)


def one_select(connection: Any, sql: str) -> Any:
    """The statement, parsed; LanguageError where it is another, or several."""
    statements = connection.extract_statements(sql)
    if len(statements) != 1 or statements[0].type.name != "SELECT":
        raise LanguageError(
            "A query is one SELECT statement.", hint="Remove the other statements; WITH ... SELECT is fine."
        )
    return statements[0]


def told_types(schema: pa.Schema, kinds: Sequence[str]) -> pa.Schema:
    """The schema, with the SQL type of each column that Arrow has no type of its own for; `kinds` are DuckDB's types."""
    import pyarrow as pa

    return pa.schema(
        [
            f.with_metadata({SQL_TYPE: kind}) if kind in _UNTOLD else f
            for f, kind in zip(schema, kinds, strict=True)
        ]
    )
