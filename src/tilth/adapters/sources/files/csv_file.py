"""One CSV file of a table, as it was looked at. Many are one table in `csv_table`; lines that cannot be read are found by `csv_lines`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO

from tilth.adapters.sources.files.head import Head


@dataclass(slots=True)
class File:
    """One file: where DuckDB reads it, what it is called, and how its cells are told apart."""

    path: str
    read_at: str
    shown: str
    head: Head
    names: tuple[str, ...]
    compression: str | None = None
    copy: IO[bytes] | None = None
