"""A SELECT over one prediction, read once and answered many times: its inputs are constants or `$1`, and no engine is needed.

It holds for the generation that it was prepared in; whoever keeps it asks `holds` before it is used, and prepares it anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from tilth.core.errors import InputError, TilthError
from tilth.core.schema import DataType
from tilth.ml.model.answerer import RowAnswerer, input_names, of_rows
from tilth.plan.rights import allowed
from tilth.runtime.asking.prompt import Prompt, Result
from tilth.runtime.asking.select import models_of
from tilth.runtime.asking.single import answered, picked
from tilth.runtime.record import environments
from tilth.sql.language.acts import Select
from tilth.sql.queries import reads
from tilth.sql.queries.direct import Taken, direct
from tilth.sql.queries.predictions import predictions
from tilth.sql.queries.shapes import Marker, ModelShape, RowPrediction, Several

if TYPE_CHECKING:
    from tilth.core.scan import Literal


@dataclass(frozen=True, slots=True)
class PreparedPrediction:
    """One model's answer to inputs that are partly given later."""

    at: Prompt
    environment: str
    generation: int
    model: RowAnswerer
    split: RowPrediction
    columns: tuple[Taken, ...]

    def types(self) -> dict[int, DataType]:
        """The type of each `$1` that is an input."""
        known = {i.name: i.type for i in self.model.inputs}
        return {m.number: known[n] for n, m in self.split.inputs if isinstance(m, Marker)}

    def holds(self) -> bool:
        """Whether the prompt is still where it was prepared."""
        same = self.at.environment == self.environment
        return same and environments.pointers_of(self.at.work.state, self.environment)[0] == self.generation

    def run(self, values: Sequence[Any]) -> Result:
        """The one row, for the values of `$1`, `$2` ...; InputError for those that the model does not take."""
        given = {n: _value(v, values) for n, v in self.split.inputs}
        told: list[str] = []
        arrays = answered(self.model, self.split, given, told)
        return Result(picked(self.columns, arrays).to_reader(), told=told)


def prepared(at: Prompt, text: str) -> PreparedPrediction | None:
    """The query, read; None where it is another one, or is wrong: it is performed as any other then."""
    allowed(at.principal, Select(text), declares=False)
    try:
        uses = reads.tables(text)
        if len(uses) != 1 or uses[0].schema is not None:
            return None
        generation, _ = environments.pointers_of(at.work.state, at.environment)
        models = models_of(at.work, at.environment, at.loaded)
        name = uses[0].name.lower()
        if name not in models.pointed:
            return None
        found = of_rows(models.get(name))
        known, lowered = [o.name for o in found.outputs], text.lower()
        outputs = tuple(n for n in known if n in found.usual or n.lower() in lowered)
        split = predictions(text, {name: ModelShape(input_names(found), outputs)}, marked=True)
    except TilthError:
        return None
    if not isinstance(split, RowPrediction) or split.version is not None or split.several:
        return None
    columns = direct(split.outer)
    if columns is None:
        return None
    return PreparedPrediction(at, at.environment, generation, found, split, columns)


def _value(said: Literal | Marker | Several, values: Sequence[Any]) -> Any:
    """The value of an input, as its literal in a text would be."""
    if not isinstance(said, Marker):
        return said
    if said.number > len(values):
        raise InputError(f"`${said.number}` has no value.", hint=f"{len(values)} are given.")
    value = values[said.number - 1]
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() and value.as_tuple().exponent == 0 else float(value)  # fmt: skip
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).replace(tzinfo=None)
    return str(value) if isinstance(value, UUID) else value
