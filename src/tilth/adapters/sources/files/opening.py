"""Opens the files of one table by their kind, wherever they came from. Which files those are is said by `found`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from tilth.adapters.sources.files import duck
from tilth.adapters.sources.files.csv_table import CsvTable
from tilth.adapters.sources.files.found import kind_of
from tilth.adapters.sources.files.json_table import JsonTable
from tilth.adapters.sources.files.options import Format
from tilth.adapters.sources.files.parquet_table import ParquetTable
from tilth.adapters.sources.files.workbook import WorkbookTable
from tilth.core.schema import Field, Schema
from tilth.ports.arrow import from_duckdb
from tilth.ports.source import Notice

if TYPE_CHECKING:
    import pyarrow as pa

_TABLES: dict[str, Any] = {
    "csv": CsvTable,
    "jsonl": JsonTable,
    "parquet": ParquetTable,
    "xlsx": WorkbookTable,
}


class Table(Protocol):
    """Open files: their columns as (name, DuckDB type), what was guessed, and a connection that reads them."""

    columns: list[tuple[str, str]]
    notices: list[Notice]
    connection: Any

    def scan_sql(self, wanted: Sequence[str], where: str) -> str: ...

    def broken(self) -> pa.Table: ...


def open_table(table: str, paths: Sequence[str], shown: Sequence[str], form: Format) -> Table:
    """The files, looked at whole; `shown` are their names in messages, which say their kind. SourceError when they cannot be read.

    A link is of the kind of its own name; where a message names no file, the file's own name says it.
    """
    kind = kind_of(shown[0]) or kind_of(paths[0])
    try:
        made: Table = _TABLES[kind](table, paths, shown, form)
    except duck.failures() as error:
        raise duck.refused(error) from error
    return made


def schema_of(files: Table) -> Schema:
    """The columns in our words."""
    return Schema(tuple(Field(name, from_duckdb(kind)) for name, kind in files.columns))
