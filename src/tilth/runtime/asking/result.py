"""What a statement answered, for Python: rows that can be read again, and the forms that they are wanted in.

Rows come as they are asked for and are kept up to `MOST_KEPT`, so that a cell of a notebook can run twice. What is larger
is read once. A door that only passes rows on takes `reader`, of which nothing is kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

from tilth.core.errors import MissingExtraError, ResourceLimitError, UnsupportedError

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

MOST_KEPT = 1_000_000_000  # bytes of rows that can be read again
SHOWN = 20  # rows that a notebook shows


@dataclass(slots=True)
class Kept:
    """Batches that were taken from the reader, while they are small enough together."""

    batches: list[pa.RecordBatch] = field(default_factory=list)
    size: int = 0
    taken: int = 0  # batches
    rows: int = 0
    ended: bool = False
    failed: Exception | None = None

    @property
    def gone(self) -> bool:
        """Whether they were too many to keep."""
        return self.taken > len(self.batches)


@dataclass(slots=True, repr=False, eq=False)
class Result:
    """What a statement answered: rows for a question, words and facts for an act (which read as rows too)."""

    reader: pa.RecordBatchReader | None = None  # the rows once, for whoever passes them on
    text: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    refused: bool = False  # a candidate did not pass its gate
    told: list[str] = field(default_factory=list)  # what to know of the rows, once they are read
    _kept: Kept = field(default_factory=Kept)

    def arrow(self) -> pa.Table:
        """The rows as an Arrow table."""
        import pyarrow as pa

        return pa.Table.from_batches(list(self._batches()), self.schema)

    @property
    def schema(self) -> pa.Schema:
        """Names and Arrow types of the columns."""
        return self._facts().schema if self.reader is None else self.reader.schema

    def stream(self) -> pa.RecordBatchReader:
        """The rows as a stream of batches."""
        import pyarrow as pa

        return pa.RecordBatchReader.from_batches(self.schema, self._batches())

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """What pyarrow, polars, pandas and DuckDB read a table by."""
        return self.stream().__arrow_c_stream__(requested_schema)

    def rows(self) -> list[dict[str, Any]]:
        """The rows as mappings."""
        return list(iter(self))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in self._batches():
            yield from batch.to_pylist(maps_as_pydicts="lossy")

    def __len__(self) -> int:
        """How many rows; they are read to their end for it."""
        if self.reader is None:
            return int(self._facts().num_rows)
        if not self._kept.ended:
            for _ in self._batches():
                pass
        return self._kept.rows

    def __bool__(self) -> bool:
        """A result is one, also without rows; `len` counts them."""
        return True

    def df(self) -> pd.DataFrame:
        """The rows as a pandas frame; whole numbers and booleans with gaps keep their type (Int64, boolean)."""
        pandas = _library("pandas")
        table = self.arrow()
        frame = table.to_pandas(maps_as_pydicts="lossy")
        for i, column in enumerate(table.columns):
            if column.null_count and (kind := _nullable(pandas, column.type)) is not None:
                frame.isetitem(i, column.to_pandas(types_mapper=lambda _t, k=kind: k))
        return frame

    def pl(self) -> pl.DataFrame:
        """The rows as a polars frame."""
        found: pl.DataFrame = _library("polars").from_arrow(self.arrow())
        return found

    def _facts(self) -> pa.Table:
        import pyarrow as pa

        flat = {
            k: v if isinstance(v, str | int | float | None) else json.dumps(v) for k, v in self.facts.items()
        }
        return pa.Table.from_pylist([flat] if flat else [])

    def _batches(self) -> Iterator[pa.RecordBatch]:
        """All batches: those that are kept, then those still to come."""
        if self.reader is None:
            yield from self._facts().to_batches()
            return
        kept, at = self._kept, 0
        while True:
            if at < kept.taken:
                if kept.gone:
                    raise _once()
                yield kept.batches[at]
            elif kept.ended or (batch := self._next()) is None:
                return
            else:
                yield batch
            at += 1

    def _next(self) -> pa.RecordBatch | None:
        kept = self._kept
        if kept.failed is not None:
            raise kept.failed
        try:
            batch = next(self.reader, None) if self.reader is not None else None
        except Exception as error:
            kept.failed = error  # rows that end in an error are no shorter answer the second time
            raise
        if batch is None:
            kept.ended = True
            return None
        whole = not kept.gone
        kept.taken, kept.rows, kept.size = (
            kept.taken + 1,
            kept.rows + batch.num_rows,
            kept.size + batch.nbytes,
        )
        if whole and kept.size <= MOST_KEPT:
            kept.batches.append(batch)
        else:
            kept.batches.clear()
        return batch

    # --- how it looks ---

    def __repr__(self) -> str:
        if self.reader is None:
            return f"<Result: {self.text or 'nothing to say'}>"
        columns = ", ".join(f"{f.name} {f.type}" for f in self.schema)
        kept = self._kept
        rows = f"{kept.rows:,} row{'' if kept.rows == 1 else 's'}" if kept.ended else "rows not read yet"
        return f"<Result: {rows}; {columns}; read with .df() .pl() .arrow() .rows() or a loop>"

    def _repr_html_(self) -> str:
        """The first rows as a table; no more than those are read."""
        if self.reader is None:
            return f"<pre>{escape(self.text)}</pre>"
        found, more = self._first()
        head = "".join(
            f"<th>{escape(f.name)}<br><small>{escape(str(f.type))}</small></th>" for f in self.schema
        )
        body = "".join(f"<tr>{''.join(f'<td>{escape(_cell(v))}</td>' for _, v in row)}</tr>" for row in found)
        last = f"the first {SHOWN} rows" if more else f"{len(found)} row{'' if len(found) == 1 else 's'}"
        told = "".join(f"<br>{escape(words)}" for words in self.told)
        return (
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><small>{last}{told}</small>"
        )

    def _first(self) -> tuple[list[list[tuple[int, Any]]], bool]:
        """The first rows, cell by cell, and whether there are more."""
        out: list[list[tuple[int, Any]]] = []
        for batch in self._batches():
            columns = [c.slice(0, SHOWN + 1).to_pylist() for c in batch.columns]
            out += [list(enumerate(row)) for row in zip(*columns, strict=True)]
            if len(out) > SHOWN:
                return out[:SHOWN], True
        return out, False

    def __reduce__(self) -> str | tuple[Any, ...]:
        raise UnsupportedError(
            "A result is not pickled: its rows may still come from the engine.",
            hint="Pickle `.arrow()` or `.rows()`.",
        )


def _cell(value: Any) -> str:
    text = "NULL" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 200 else text[:199] + "…"


def _once() -> ResourceLimitError:
    return ResourceLimitError(
        f"These rows were read already, and they are more than the {MOST_KEPT / 1e9:g} GB that are kept to be read again.",
        hint="Read them once, `table = result.arrow()`, and use the table; or ask again.",
    )


def _library(name: str) -> Any:
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as error:
        raise MissingExtraError(f"{name} is not installed.", hint=f"Run `pip install {name}`.") from error


def _nullable(pandas: Any, kind: pa.DataType) -> Any:
    """The type of pandas that holds whole numbers or booleans, and gaps; None for other columns."""
    import pyarrow.types as t

    if t.is_boolean(kind):
        return pandas.BooleanDtype()
    if not t.is_integer(kind):
        return None
    return getattr(pandas, f"{'UInt' if t.is_unsigned_integer(kind) else 'Int'}{kind.bit_width}Dtype")()
