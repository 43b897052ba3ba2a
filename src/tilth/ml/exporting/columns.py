"""What an input becomes in the matrix, as operations of ONNX: the same as `ml.model.columns` does with Arrow.

A number or a truth value is a double (NaN where it is missing), a text is a string (any text that is no level counts as
missing), a date or an instant is int64 microseconds since 1970 in UTC (`MISSING` where it is missing, as numpy's NaT is).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tilth.core.errors import UnsupportedError
from tilth.ml.exporting.graph import Graph
from tilth.ml.model.columns import DAY_US, HOUR_US, MINUTE_US, Column, floats, micros_of
from tilth.ml.model.preparation import Preparation

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

MISSING = -(2**63)
TENSORS = {"number": "DOUBLE", "boolean": "DOUBLE", "category": "STRING", "instant": "INT64"}
HOW = {
    "number": "double, NaN where it is missing",
    "boolean": "double: 1, 0, or NaN where it is missing",
    "category": "string, any text that is no level where it is missing",
    "instant": f"int64: microseconds since 1970-01-01 in UTC, {MISSING} where it is missing",
}
NAN = float("nan")


def matrix(graph: Graph, preparation: Preparation) -> str:
    """The rows as [rows, features] doubles; UnsupportedError for a column of another kind."""
    for column in preparation.columns:
        if column.kind not in TENSORS:
            raise UnsupportedError(
                f"The input `{column.name}` is prepared as `{column.kind}`, which an ONNX file does not say here.",
                hint="Export it as --format mlflow, or leave the input out of FEATURES.",
            )
    given = {c.name: graph.input(c.name, TENSORS[c.kind]) for c in preparation.columns}
    event = next((given[c.name] for c in preparation.columns if c.name == preparation.event_time), None)
    made = [one for c in preparation.columns for one in _features(graph, c, given[c.name], event)]
    return graph.do("Concat", *made, axis=1)


def _features(graph: Graph, column: Column, value: str, event: str | None) -> list[str]:
    if column.kind == "category":
        return [_codes(graph, column, value)]
    if column.kind == "instant":
        return _instant(graph, column, value, event)
    known = graph.do("Where", graph.do("IsInf", graph.double(value)), NAN, value)
    return [graph.do("Where", graph.do("IsNaN", known), column.fills[0], known) if column.fills else known]


def _codes(graph: Graph, column: Column, value: str) -> str:
    return graph.do(
        "LabelEncoder",
        value,
        domain="ai.onnx.ml",
        keys_tensor=graph.tensor(list(column.levels), "object"),
        values_tensor=graph.tensor(list(range(len(column.levels))), "float64"),
        default_tensor=graph.tensor([NAN], "float64"),
    )


def _instant(graph: Graph, column: Column, value: str, event: str | None) -> list[str]:
    known = graph.do("Not", graph.do("Equal", value, graph.constant(MISSING, "int64")))
    micros = graph.do("Where", known, value, graph.constant(0, "int64"))
    calendar = _Calendar(graph, micros)
    out = []
    for part, fill in zip(column.parts, column.fills or (NAN,) * len(column.parts), strict=True):
        if part == "since_event":
            found = _since(graph, micros, event)
        elif part in PARTS:
            found = PARTS[part](calendar)
        else:
            raise UnsupportedError(
                f"The part `{part}` of the input `{column.name}` is not one that an ONNX file says here.",
                hint="Export it as --format mlflow, or leave the input out of FEATURES.",
            )
        out.append(graph.do("Where", known, found, fill))
    return out


def _since(graph: Graph, micros: str, event: str | None) -> str:
    """Hours since the event; NaN for a row without one."""
    if event is None:
        return graph.do("Mul", graph.double(micros), NAN)
    lacking = graph.do("Equal", event, graph.constant(MISSING, "int64"))
    at = graph.do("Where", lacking, NAN, graph.double(event))
    return graph.do("Div", graph.do("Sub", graph.double(micros), at), float(HOUR_US))


class _Calendar:
    """The parts of an instant by whole numbers alone (Hinnant, "chrono-compatible low-level date algorithms")."""

    def __init__(self, graph: Graph, micros: str) -> None:
        self._graph = graph
        self._in_day = graph.whole("Mod", micros, DAY_US)
        self.days = graph.whole("Div", graph.do("Sub", micros, self._in_day), DAY_US)
        self._split: tuple[str, str, str] | None = None

    def _do(self, operation: str, value: str, number: int) -> str:
        return self._graph.whole(operation, value, number)

    def _civil(self) -> tuple[str, str, str]:
        """The year that begins in March, the day of that year from 0, and its month from 0."""
        if self._split is None:
            g, do = self._graph, self._do
            shifted = do("Add", self.days, 719_468)
            of_era = do("Mod", shifted, 146_097)
            era = do("Div", g.do("Sub", shifted, of_era), 146_097)
            leaps = g.do("Sub", do("Div", of_era, 36_524), do("Div", of_era, 1_460))
            counted = g.do("Sub", g.do("Add", of_era, leaps), do("Div", of_era, 146_096))
            of_years = do("Div", counted, 365)
            whole = g.do("Sub", do("Div", of_years, 4), do("Div", of_years, 100))
            begun = g.do("Add", do("Mul", of_years, 365), whole)
            day = g.do("Sub", of_era, begun)
            year = g.do("Add", do("Mul", era, 400), of_years)
            self._split = year, day, do("Div", do("Add", do("Mul", day, 5), 2), 153)
        return self._split

    def day(self) -> str:
        """The day of the month, from 1."""
        _, day, month = self._civil()
        begun = self._do("Div", self._do("Add", self._do("Mul", month, 153), 2), 5)
        return self._graph.double(self._do("Add", self._graph.do("Sub", day, begun), 1))

    def month(self) -> str:
        """From 1."""
        _, _, month = self._civil()
        return self._graph.double(self._do("Add", self._do("Mod", self._do("Add", month, 2), 12), 1))

    def doy(self) -> str:
        """The day of the year, from 1: a year that begins in March ends with January and February of the next."""
        g, do = self._graph, self._do
        year, day, _ = self._civil()

        def divides(number: int) -> str:
            return g.do("Equal", do("Mod", year, number), g.constant(0, "int64"))

        leap = g.do("Or", g.do("And", divides(4), g.do("Not", divides(100))), divides(400))
        since_march = g.do("Where", leap, do("Add", day, 61), do("Add", day, 60))
        early = g.do("Less", day, g.constant(306, "int64"))
        return g.double(g.do("Where", early, since_march, do("Sub", day, 305)))

    def dow(self) -> str:
        """From 0, a Monday."""
        return self._graph.double(self._do("Mod", self._do("Add", self.days, 3), 7))

    def hour(self) -> str:
        """From 0 to 24, to the minute."""
        minutes = self._do("Div", self._in_day, MINUTE_US)
        over = self._graph.do("Div", self._graph.double(self._do("Mod", minutes, 60)), 60.0)
        return self._graph.do("Add", self._graph.double(self._do("Div", minutes, 60)), over)

    def epoch(self) -> str:
        """In days."""
        return self._graph.double(self.days)


PARTS: Mapping[str, Callable[[_Calendar], str]] = {
    "day": _Calendar.day,
    "month": _Calendar.month,
    "doy": _Calendar.doy,
    "dow": _Calendar.dow,
    "hour": _Calendar.hour,
    "epoch": _Calendar.epoch,
}


# --- what it is fed ------------------------------------------------------------------------------------------


def fed(preparation: Preparation, table: pa.Table) -> dict[str, Any]:
    """A table's columns as the graph takes them."""
    return {c.name: _tensor(c, table.column(c.name))[:, None] for c in preparation.columns}


def _tensor(column: Column, values: pa.ChunkedArray) -> npt.NDArray[Any]:
    import numpy as np
    import pyarrow.compute as pc

    if column.kind == "category":
        absent = _absent(column.levels)
        return np.array([absent if v is None else v for v in values.to_pylist()], dtype=object)
    if column.kind == "instant":
        micros, known = micros_of(values)
        return np.where(known, micros, MISSING)
    numbers: npt.NDArray[Any] = floats(pc.cast(values, "float64") if column.kind == "boolean" else values)
    return numbers


def _absent(levels: tuple[str, ...]) -> str:
    """A text that is no level."""
    text = ""
    while text in levels:
        text += "?"
    return text
