"""Statements that a client keeps, and answers that it reads piece by piece."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tilth.interfaces.pgwire import rows, types
from tilth.interfaces.pgwire.commands import Command
from tilth.interfaces.pgwire.said import Column

if TYPE_CHECKING:
    import pyarrow as pa

    from tilth.runtime.asking.prompt import Result

PIECE = 16_384  # rows that are written at once: what a client waits for, and what is held


@dataclass(slots=True)
class Rows:
    """The rows of an answer under way. `result` has what is told at their end."""

    result: Result
    reader: pa.RecordBatchReader
    kinds: tuple[types.Type, ...]
    taken: int = 0
    _left: pa.RecordBatch | None = None  # of the batch that was begun
    _ended: bool = False

    @classmethod
    def of(cls, result: Result) -> Rows:
        assert result.reader is not None
        return cls(result, result.reader, tuple(types.type_of(f.type) for f in result.reader.schema))

    @property
    def columns(self) -> tuple[Column, ...]:
        """What the client is told of them."""
        return tuple(
            Column(f.name, k.oid, k.size) for f, k in zip(self.reader.schema, self.kinds, strict=True)
        )

    def batches(self, most: int | None = None) -> Iterator[pa.RecordBatch]:
        """At most so many rows, in pieces; all that are left where it is None."""
        left = most
        while left is None or left > 0:
            batch = self._left if self._left is not None else self._next()
            if batch is None:
                return
            count = min(PIECE, batch.num_rows, PIECE if left is None else left)
            self._left = batch.slice(count) if count < batch.num_rows else None
            self.taken += count
            left = None if left is None else left - count
            yield batch.slice(0, count)

    @property
    def more(self) -> bool:
        """Whether a row is left; one is looked for where that is not known."""
        if self._left is None:
            self._left = self._next()
        return self._left is not None

    def _next(self) -> pa.RecordBatch | None:
        while not self._ended:
            batch = next(self.reader, None)
            if batch is None:
                self._ended = True
            elif batch.num_rows:
                return batch
        return None

    def written(self, formats: Sequence[int], most: int | None = None) -> Iterator[bytes]:
        """The messages of at most so many rows."""
        for batch in self.batches(most):
            yield rows.rows(batch, self.kinds, formats)

    def close(self) -> None:
        """Let go of what answers; a second time does nothing."""
        self._ended, self._left = True, None
        self.reader.close()


@dataclass(slots=True)
class Prepared:
    """A statement that is kept under a name, with the OIDs of its parameters: those given, else those found out."""

    text: str
    command: Command | None  # None: an empty text
    oids: tuple[int, ...]
    columns: tuple[Column, ...] | None = None  # those that the client was told of


@dataclass(slots=True)
class Portal:
    """A statement with its values; the rows once they are begun. Of a cursor that was declared, `held` outlives its transaction."""

    prepared: Prepared
    values: tuple[Any, ...] = ()
    formats: tuple[int, ...] = ()
    rows: Rows | None = None
    done: str | None = None  # the tag of an answer that is over
    held: bool = False
    declared: bool = False

    def close(self) -> None:
        if self.rows is not None:
            self.rows.close()
            self.rows = None


@dataclass(slots=True)
class Kept:
    """All that a connection keeps."""

    statements: dict[str, Prepared] = field(default_factory=dict)
    portals: dict[str, Portal] = field(default_factory=dict)

    def put(self, name: str, portal: Portal) -> None:
        self.drop(name)
        self.portals[name] = portal

    def drop(self, name: str) -> None:
        """Close a portal, if it is there."""
        if (found := self.portals.pop(name, None)) is not None:
            found.close()

    def end(self, *, everything: bool = False) -> None:
        """The transaction is over: its portals are, except cursors WITH HOLD."""
        for name in [n for n, p in self.portals.items() if everything or not p.held]:
            self.drop(name)
