"""A model in Python: a typed function over rows or tables, what `Project.model` gives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from tilth.core.errors import InputError
from tilth.ml.model.answerer import Answerer, of_rows
from tilth.ml.model.gaps import Gaps, refusal

if TYPE_CHECKING:
    import pyarrow as pa


class Model:
    """One version of a model. Predictions are appended to what is given; inputs bind by name."""

    def __init__(self, answerer: Answerer) -> None:
        self._answerer = answerer

    @property
    def name(self) -> str:
        return self._answerer.name

    @property
    def version(self) -> int:
        return self._answerer.version

    @property
    def inputs(self) -> dict[str, str]:
        """The inputs by name: the type, with `?` where a value may be missing."""
        return {i.name: i.type.value + ("" if i.required else "?") for i in self._answerer.inputs}

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs; the JSON ones are made only when they are asked for."""
        return tuple(o.name for o in self._answerer.outputs)

    @overload
    def predict(self, rows: Mapping[str, Any]) -> dict[str, Any]: ...
    @overload
    def predict(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]: ...
    @overload
    def predict(self, rows: pa.Table, outputs: Sequence[str] | None = None) -> pa.Table: ...

    def predict(self, rows: Any, outputs: Sequence[str] | None = None) -> Any:
        """The rows with their predictions: for one mapping a mapping, for a list a list, for a table a table.

        A table is an Arrow table, or anything that gives one through `__arrow_c_stream__` (polars, pandas, DuckDB).
        InputError names an input that is not given, unknown (in mappings) or of another type. One that is given as None or
        NaN and never was missing in training is answered as a gap, with a GapWarning; a strict model raises InputError for
        such a mapping, and leaves such a row of a list or table without outputs.
        """
        if isinstance(rows, Mapping):
            return self._one(rows)
        if hasattr(rows, "__arrow_c_stream__"):
            return self._table(rows, outputs)
        if isinstance(rows, Iterable) and not isinstance(rows, str | bytes):
            return self._rows(list(rows))
        raise InputError(
            f"Rows are expected, and this is a {type(rows).__name__}.",
            hint="Give a dict, a list of dicts, or an Arrow table.",
        )

    def explain(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Why: value, confidence, the strongest contributions, and the version and digest that say so."""
        return of_rows(self._answerer).explain(row)

    def _one(self, row: Mapping[str, Any]) -> dict[str, Any]:
        seen = self._seen()
        (answer,) = of_rows(self._answerer).predict_rows([row], seen)
        if seen.refused:
            raise refusal(self.name, tuple(seen.lacking))
        seen.warn()
        return {**row, **answer}

    def _rows(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        seen = self._seen()
        answers = of_rows(self._answerer).predict_rows(rows, seen)
        seen.warn()
        return [{**row, **answer} for row, answer in zip(rows, answers, strict=True)]

    def _seen(self) -> Gaps:
        return Gaps(self.name, self._answerer.strict)

    def _table(self, rows: Any, outputs: Sequence[str] | None) -> pa.Table:
        import pyarrow as pa

        table = rows if isinstance(rows, pa.Table) else pa.table(rows)
        seen = self._seen()
        made = [self._answerer.predict(batch, outputs, seen) for batch in table.to_batches(65_536)]
        if not made:
            made = [self._answerer.predict(table, outputs)]
        seen.warn()
        answers = pa.Table.from_batches(made)
        for name in answers.schema.names:
            table = table.append_column(name, answers.column(name))
        return table
