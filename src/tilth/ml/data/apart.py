"""The engine for what people wrote: a dataset's query and its checks run in a process of their own, whose end harms nothing else.

What tilth itself makes (merging, ordering, times), and a text that reads rows one by one (`sql.queries.harmless`), stays with the engine as it
is: a process costs a small collection a third more, and its rows travel twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tilth.core.schema import Schema
from tilth.ports.engine import QueryEngine, Relation
from tilth.ports.limits import Limits

if TYPE_CHECKING:
    import pyarrow as pa

COLLECTING = Limits(seconds=24 * 3600.0, memory=2_000_000_000, disk=200_000_000_000)
"""Of one query of a collection: as much time as a table takes, and the memory that a statement has."""


class Apart:
    """Implements `ports.engine.QueryEngine` by another one, each of whose queries gets limits."""

    def __init__(self, engine: QueryEngine, limits: Limits = COLLECTING) -> None:
        self._engine, self._limits = engine, limits

    def stream(
        self,
        sql: str,
        inputs: Mapping[str, Relation],
        parameters: Mapping[str, object] | None = None,
        limits: Limits | None = None,
    ) -> pa.RecordBatchReader:
        assert not parameters, "people's values stand in the text"
        return self._engine.stream(sql, inputs, limits=limits or self._limits)

    def warm(self) -> None:
        self._engine.warm()

    def describe(self, sql: str, schemas: Mapping[str, Schema], *, placed: bool = False) -> Schema:
        return self._engine.describe(sql, schemas, placed=placed)

    def check(self, sql: str) -> None:
        self._engine.check(sql)
