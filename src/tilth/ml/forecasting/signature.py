"""The signature of a forecast: what it takes and gives, as kept in `signature.json` of its bundle.

Inputs are the columns of a history: the time, what tells series apart, the targets, what is known ahead and what is said of
a group. Outputs are a time, a group's columns, and for each target its value with the ends of its interval.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tilth.core.schema import DataType
from tilth.ml.model.signature import Input, Output

FORMAT = 3
KIND = "forecast"
ENGINE = KIND  # what versions that forecast say made them
LEARNING = 1  # raised when the same rows teach a forecast something else
ENDS = ("", "_confidence", "_lower", "_upper")
"""What each target gives, as suffixes of its output's name."""
EXPLAIN = "_explain"  # given where it is asked for


@dataclass(frozen=True, slots=True)
class Signature:
    """`targets` are columns of the history, `names` what their forecasts are called. `types` by column."""

    model: str
    time: str
    groups: tuple[str, ...]
    targets: tuple[str, ...]
    names: tuple[str, ...]
    known: tuple[str, ...]
    static: tuple[str, ...]
    horizon: int
    types: Mapping[str, DataType]

    kind = KIND
    strict = False
    classes: tuple[Any, ...] = ()

    @property
    def parts(self) -> tuple[Signature, ...]:
        """Itself: all targets are forecast together."""
        return (self,)

    @property
    def output(self) -> str:
        """What the forecasts are called."""
        return ", ".join(self.names)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The columns of a history; a value may be missing, a time and a group may not."""
        columns = (self.time, *self.groups, *self.targets, *self.known, *self.static)
        marks = (self.time, *self.groups)
        return tuple(Input(c, self.types[c], required=c in marks) for c in columns)

    @property
    def carried(self) -> tuple[Input, ...]:
        return ()

    @property
    def outputs(self) -> tuple[Output, ...]:
        """The answers first, then the time and the group that they are of."""
        answers = tuple(
            Output(f"{name}{end}", DataType.JSON if end == EXPLAIN else DataType.FLOAT)
            for name in self.names
            for end in (*ENDS, EXPLAIN)
        )
        return (*answers, *(Output(c, self.types[c]) for c in (self.time, *self.groups)))

    def plain(self) -> dict[str, object]:
        """JSON-able values; `from_plain` reads them back."""
        return {
            "format": FORMAT, "task": KIND, "model": self.model, "time": self.time, "groups": list(self.groups),
            "targets": list(self.targets), "names": list(self.names), "known": list(self.known), "static": list(self.static),
            "horizon": self.horizon, "types": {c: t.value for c, t in self.types.items()},
            "inputs": [{"name": i.name, "type": i.type.value, "required": i.required} for i in self.inputs],
            "outputs": [{"name": o.name, "type": o.type.value} for o in self.outputs],
        }  # fmt: skip

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Signature:
        return cls(
            model=str(values["model"]), time=str(values["time"]), groups=tuple(values["groups"]),
            targets=tuple(values["targets"]), names=tuple(values["names"]), known=tuple(values["known"]),
            static=tuple(values["static"]), horizon=int(values["horizon"]),
            types={c: DataType(t) for c, t in values["types"].items()},
        )  # fmt: skip


def is_one(values: Mapping[str, Any]) -> bool:
    """Whether a signature's plain values are those of a forecast."""
    return values.get("task") == KIND
