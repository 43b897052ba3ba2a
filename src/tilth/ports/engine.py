"""Runs DuckDB SQL over named Arrow streams and Parquet files, with nothing else in reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

from tilth.core.schema import Schema
from tilth.ports.limits import Limits

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as ds

Relation: TypeAlias = "pa.RecordBatchReader | pa.Table | ds.Dataset | Sequence[str]"
"""An input: a stream (scanned once), a table, a dataset of Arrow, or paths of Parquet files (a non-empty sequence)."""
SQL_TYPE = b"tilth.sql"
"""A result's field carries its SQL type under this key where Arrow has no type of its own for it (HUGEINT, BIT, TIMETZ)."""


class QueryEngine(Protocol):
    """Hardened: no file but the given ones, no network, no extension, no Python variable can be reached by the SQL."""

    def stream(
        self,
        sql: str,
        inputs: Mapping[str, Relation],
        parameters: Mapping[str, object] | None = None,
        limits: Limits | None = None,
    ) -> pa.RecordBatchReader:
        """The result as batches of up to 65,536 rows. Input names are table names (`a` or `schema.a`).

        What a person wrote comes with limits, and without parameters: it runs where its end harms nothing else, is
        checked before anything runs, and may be cancelled by its turn (CancelledError). LostError when what it ran in was ended.

        Raises LanguageError or UnknownNameError for SQL that does not bind (with DuckDB's candidates),
        DataError for values that do not convert, ResourceLimitError when memory or disk runs out,
        or the limits do.
        """
        ...

    def warm(self) -> None:
        """Begin to make ready what queries with limits need, without waiting for it; nothing, where nothing is needed."""
        ...

    def describe(self, sql: str, schemas: Mapping[str, Schema], *, placed: bool = False) -> Schema:
        """The columns that the query would return over inputs of those schemas, without reading any row.

        With `placed` an error has the engine's line and caret in `detail`, as that of `check`, where it knows them.
        """
        ...

    def check(self, sql: str) -> None:
        """LanguageError, with the engine's line and caret in `detail`, where the text is not one SELECT of its grammar. No name is bound."""
        ...
