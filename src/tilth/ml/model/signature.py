"""The signature of a model: its named, typed inputs and outputs, as kept in `signature.json`.

Inputs bind by name at every door. `required` says whether a value must be given: columns that had gaps in training
may be missing. Carried columns (the key, the event time) are accepted and returned to whoever logs, and not learned from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tilth.core.schema import DataType
from tilth.ml.model.outputs import OUTPUTS, OutputSpec


@dataclass(frozen=True, slots=True)
class Input:
    name: str
    type: DataType
    required: bool = True


@dataclass(frozen=True, slots=True)
class Output:
    name: str
    type: DataType


@dataclass(frozen=True, slots=True)
class Signature:
    """`kind`: regression | binary | multiclass. `classes` ascending, the last of two is the positive one."""

    model: str
    target: str
    output: str
    kind: str
    target_type: DataType
    inputs: tuple[Input, ...]
    carried: tuple[Input, ...] = ()
    classes: tuple[Any, ...] = ()
    key: tuple[str, ...] = ()
    event_time: str | None = None
    strict: bool = False  # a row without an input that never was missing in training is refused

    @property
    def outputs(self) -> tuple[Output, ...]:
        """The columns that a prediction can have, the answer first.

        A model of before there was `_probability` may have an input of that name, which then is the only one.
        """
        made = outputs(self.output, self.kind, self.target_type)
        later = f"{self.output}_probability"
        taken = any(i.name.lower() == later.lower() for i in (*self.inputs, *self.carried))
        return tuple(o for o in made if not (taken and o.name == later))

    @property
    def specs(self) -> dict[str, OutputSpec]:
        """How each output is made, by its name."""
        names = {o.name for o in self.outputs}
        found = {f"{self.output}{spec.suffix}": spec for spec in OUTPUTS[self.kind]}
        return {name: spec for name, spec in found.items() if name in names}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(i.name for i in self.inputs)

    @property
    def parts(self) -> tuple[Signature, ...]:
        """The signature of each target."""
        return (self,)

    @property
    def logged(self) -> int:
        """How many numbers of an answer are logged."""
        return len(self.classes) if self.kind == "multiclass" else 1

    def plain(self) -> dict[str, object]:
        """JSON-able values; `from_plain` reads them back."""

        def rows(inputs: tuple[Input, ...]) -> list[dict[str, object]]:
            return [{"name": i.name, "type": i.type.value, "required": i.required} for i in inputs]

        return {
            "format": 1,
            "model": self.model,
            "target": self.target,
            "output": self.output,
            "task": self.kind,
            "target_type": self.target_type.value,
            "classes": list(self.classes),
            "key": list(self.key),
            "event_time": self.event_time,
            "strict": self.strict,
            "inputs": rows(self.inputs),
            "carried": rows(self.carried),
            "outputs": [{"name": o.name, "type": o.type.value} for o in self.outputs],
        }

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Signature:
        def read(rows: list[dict[str, Any]]) -> tuple[Input, ...]:
            return tuple(Input(r["name"], DataType(r["type"]), r["required"]) for r in rows)

        return cls(
            model=values["model"],
            target=values["target"],
            output=values["output"],
            kind=values["task"],
            target_type=DataType(values["target_type"]),
            inputs=read(values["inputs"]),
            carried=read(values["carried"]),
            classes=tuple(values["classes"]),
            key=tuple(values["key"]),
            event_time=values["event_time"],
            strict=bool(values.get("strict", False)),
        )


@dataclass(frozen=True, slots=True)
class Joint:
    """The signature of a model of several targets: one of each, and all that one of them takes. Made by `of`.

    An input must be given when it never was missing in the training of one of them.
    """

    model: str
    parts: tuple[Signature, ...]
    inputs: tuple[Input, ...]
    carried: tuple[Input, ...]

    @classmethod
    def of(cls, signatures: Sequence[Signature]) -> Joint:
        found: dict[str, Input] = {}
        for one in (i for s in signatures for i in s.inputs):
            known = found.get(one.name, one)
            found[one.name] = replace(known, required=known.required or one.required)
        carried = {i.name: i for s in signatures for i in s.carried if i.name not in found}
        parts = tuple(replace(s, inputs=tuple(found[n] for n in s.names)) for s in signatures)
        return cls(signatures[0].model, parts, tuple(found.values()), tuple(carried.values()))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(i.name for i in self.inputs)

    @property
    def outputs(self) -> tuple[Output, ...]:
        """The columns that a prediction can have, those of the first target first."""
        return tuple(o for s in self.parts for o in s.outputs)

    @property
    def key(self) -> tuple[str, ...]:
        return self.parts[0].key

    @property
    def event_time(self) -> str | None:
        return self.parts[0].event_time

    @property
    def strict(self) -> bool:
        return self.parts[0].strict

    def plain(self) -> dict[str, object]:
        """JSON-able values, for people; each target's own signature is what is read."""
        plain = replace(self.parts[0], inputs=self.inputs, carried=self.carried).plain()
        shared = ("model", "key", "event_time", "strict", "inputs", "carried")
        outputs = [{"name": o.name, "type": o.type.value} for o in self.outputs]
        return {"format": 2, **{k: plain[k] for k in shared}, "outputs": outputs}


def outputs(name: str, kind: str, target_type: DataType) -> tuple[Output, ...]:
    """The outputs for target `name`, as `ml.model.outputs` has them for that kind of task."""
    answer = DataType.FLOAT if target_type is DataType.DECIMAL else target_type
    return tuple(Output(f"{name}{spec.suffix}", spec.type or answer) for spec in OUTPUTS[kind])
