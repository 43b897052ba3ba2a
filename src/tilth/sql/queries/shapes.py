"""What a SELECT over models is split into. Values only: `predictions` and `joins` make them, the session runs them.

In a RowPrediction `outer` reads the table `__prediction`: one row with every input of the model (NULL where none
is given) and the `wanted` outputs, under their own names. In a JoinPrediction `inner` is run first; its columns are named
`alias__column` (for a column that JOIN ... USING merges: `using__column`), so that equal names never clash. Each
model in turn adds its outputs under the flat names given; `outer` reads all that as the table `__predicted`.
"""

from __future__ import annotations

from dataclasses import dataclass

from tilth.core.errors import InputError, Position
from tilth.core.names import did_you_mean
from tilth.core.scan import Literal
from tilth.sql.queries.timetravel import Pin

PREDICTION = "__prediction"
PREDICTED = "__predicted"


@dataclass(frozen=True, slots=True)
class SeriesShape:
    """What a query must know of a model that forecasts, beside its inputs and outputs."""

    time: str
    groups: tuple[str, ...]
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ModelShape:
    """A model as a query sees it: names of its inputs, and of its outputs in the order of `model.*`.

    `maps` are the outputs that hold a number a class; `carried` are no inputs.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    maps: tuple[str, ...] = ()
    carried: tuple[str, ...] = ()  # columns to bring along where the rows have them
    series: SeriesShape | None = None  # of one that forecasts
    # columns of the rows it learned from that are no inputs, and why
    unused: tuple[tuple[str, str], ...] = ()

    def no_input(self, model: str, name: str, where: Position | None) -> InputError:
        """The error for what is no input: why, where the model had such a column and learned nothing from it."""
        listed = did_you_mean("", self.inputs, "inputs")
        for column, why in self.unused:
            if column.lower() == name.lower():
                return InputError(
                    f"`{name}` is no input of model `{model}`, which does not learn from it: {why}.",
                    hint=f"Leave it out. {listed}",
                    where=where,
                )
        return InputError(
            f"Model `{model}` has no input `{name}`.",
            hint=did_you_mean(name, self.inputs, "inputs"),
            where=where,
        )


@dataclass(frozen=True, slots=True)
class Marker:
    """The place of a value that is given later, `$number`."""

    number: int


@dataclass(frozen=True, slots=True)
class Several:
    """The values of an input that IN lists: a row for each, and for each combination of several such inputs."""

    values: tuple[Literal, ...]


@dataclass(frozen=True, slots=True)
class RowPrediction:
    """Predictions whose inputs the WHERE gives: one, or with IN a row for each combination."""

    model: str
    version: int | None
    inputs: tuple[
        tuple[str, Literal | Marker | Several], ...
    ]  # in the model's order; markers where they were asked for
    wanted: tuple[str, ...]  # outputs that `outer` reads
    outer: str

    @property
    def several(self) -> bool:
        """Whether it may be more rows than one."""
        return any(isinstance(value, Several) for _, value in self.inputs)


@dataclass(frozen=True, slots=True)
class Binding:
    """An input of a model: a column of the rows so far, or (`column` None) one value for all rows."""

    input: str
    column: str | None = None
    value: Literal = None


@dataclass(frozen=True, slots=True)
class ModelUse:
    """A model applied to the rows: `inputs` that are bound, those that are not, and `(output, flat name)` pairs."""

    name: str
    version: int | None
    alias: str
    inputs: tuple[Binding, ...]
    missing: tuple[str, ...]
    outputs: tuple[tuple[str, str], ...]
    carried: tuple[Binding, ...] = ()


@dataclass(frozen=True, slots=True)
class JoinPrediction:
    """Predictions for the rows of `inner`, by the models in turn; `pins` hold the data's tables to snapshots."""

    inner: str
    models: tuple[ModelUse, ...]
    outer: str
    pins: tuple[Pin, ...] = ()


LATEST = "latest"
"""Stands for the newest time that a series has, where a bound of a forecast is not a moment."""
ACTUAL = "__actual__"
"""What stands before a target's name in the column of what came, where a forecast is of the past."""


@dataclass(frozen=True, slots=True)
class Bound:
    """One end of the times that are asked for: a moment, a day, or LATEST; `open`: the end itself is not meant."""

    value: Literal
    open: bool

    @property
    def latest(self) -> bool:
        return self.value == LATEST


@dataclass(frozen=True, slots=True)
class ForecastPrediction:
    """A forecast: of the rows of `inner` (the history, by the names of the model's inputs), or with `inner` None of the series that
    training left. `only`: the groups that are asked for by name. `outer` reads the forecasts as the table `__predicted`, whose columns
    are the model's outputs and, with `actual`, what came under `__actual__target`.
    """

    model: str
    version: int | None
    inner: str | None
    only: tuple[tuple[str, tuple[Literal, ...]], ...]
    low: Bound
    high: Bound | None
    actual: bool
    outer: str
