"""What a plan is made of. One frozen class an action; the executor has exactly one handler for each.

An action says itself which kind it is of, by which sign it is listed, and what it does in words: `explain` only joins them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from tilth.sql.language.statements import Kind


@dataclass(frozen=True, slots=True)
class Estimate:
    """What an action would take; None where nothing like it was measured yet."""

    seconds: float | None = None
    memory: int | None = None


class Action(Protocol):
    """What every action says of itself."""

    @property
    def kind(self) -> Kind:
        """Of which kind the resource is."""
        ...

    @property
    def sign(self) -> str:
        """`+` begins to stand there, `~` is made anew, `=` points elsewhere, `-` goes."""
        ...

    @property
    def name(self) -> str: ...

    @property
    def does(self) -> str:
        """What it does, in words."""
        ...

    @property
    def reason(self) -> str: ...

    @property
    def estimate(self) -> Estimate: ...


@dataclass(frozen=True, slots=True)
class DeclareSource:
    """Point the environment at a source's declaration. Reads no data."""

    kind: ClassVar[Kind] = Kind.SOURCE
    sign: ClassVar[str] = "+"
    name: str
    recipe: str
    reason: str
    estimate: Estimate = Estimate(0.0)

    @property
    def does(self) -> str:
        return "declare"


@dataclass(frozen=True, slots=True)
class CollectDataset:
    """Collect, vet and publish a snapshot. `parent` is the snapshot that an incremental collection continues; with days, these are read again."""

    kind: ClassVar[Kind] = Kind.DATASET
    sign: ClassVar[str] = "~"
    name: str
    recipe: str
    reason: str
    parent: str | None = None
    estimate: Estimate = Estimate()
    first: str | None = None  # day from which on rows are read again, to
    last: str | None = None  # this one

    @property
    def does(self) -> str:
        if self.first is not None:
            return f"read again and vet the rows of {self.first} to {self.last}"
        return "collect and vet the new rows" if self.parent else "collect and vet"


@dataclass(frozen=True, slots=True)
class ShareSnapshot:
    """Point at a snapshot that another environment has made from the same recipe."""

    kind: ClassVar[Kind] = Kind.DATASET
    sign: ClassVar[str] = "="
    name: str
    recipe: str
    snapshot: str
    reason: str
    estimate: Estimate = Estimate(0.0)

    @property
    def does(self) -> str:
        return f"share snapshot {self.snapshot[:12]}"


@dataclass(frozen=True, slots=True)
class TrainModel:
    """Make a candidate, and let the gate compare it with the champion."""

    kind: ClassVar[Kind] = Kind.MODEL
    sign: ClassVar[str] = "~"
    name: str
    recipe: str
    reason: str
    champion: int | None = None
    estimate: Estimate = Estimate()

    @property
    def does(self) -> str:
        return f"train a candidate against version {self.champion}" if self.champion else "train"


@dataclass(frozen=True, slots=True)
class ShareVersion:
    """Point at a version that another environment has made from the same recipe."""

    kind: ClassVar[Kind] = Kind.MODEL
    sign: ClassVar[str] = "="
    name: str
    recipe: str
    version: int
    reason: str
    estimate: Estimate = Estimate(0.0)

    @property
    def does(self) -> str:
        return f"share version {self.version}"


@dataclass(frozen=True, slots=True)
class DeployEndpoint:
    """Serve the model's version through the endpoint, in the stages of its ROLLOUT."""

    kind: ClassVar[Kind] = Kind.ENDPOINT
    sign: ClassVar[str] = "+"
    name: str
    recipe: str
    model: str
    reason: str
    estimate: Estimate = Estimate(0.0)

    @property
    def does(self) -> str:
        return f"serve model {self.model}"


@dataclass(frozen=True, slots=True)
class DeclareChannel:
    """Tell people through a channel from now on; what happened before is not told."""

    kind: ClassVar[Kind] = Kind.CHANNEL
    sign: ClassVar[str] = "+"
    name: str
    recipe: str
    reason: str
    estimate: Estimate = Estimate(0.0)

    @property
    def does(self) -> str:
        return "notify through it"


@dataclass(frozen=True, slots=True)
class DeclareView:
    """Answer queries over the view by its query from now on. Reads no data."""

    kind: ClassVar[Kind] = Kind.VIEW
    sign: ClassVar[str] = "+"
    name: str
    recipe: str
    reason: str
    estimate: Estimate = Estimate(0.0)

    @property
    def does(self) -> str:
        return "declare"


@dataclass(frozen=True, slots=True)
class DeclareJob:
    """Run the job at its times from now on, where jobs run. Runs nothing itself."""

    kind: ClassVar[Kind] = Kind.JOB
    sign: ClassVar[str] = "+"
    name: str
    recipe: str
    reason: str
    estimate: Estimate = Estimate(0.0)

    @property
    def does(self) -> str:
        return "declare"


@dataclass(frozen=True, slots=True)
class DeclareTrigger:
    """Look for rows that come or change from now on, where jobs run; rows that are there are not new."""

    kind: ClassVar[Kind] = Kind.TRIGGER
    sign: ClassVar[str] = "+"
    name: str
    recipe: str
    reason: str
    estimate: Estimate = Estimate(0.0)

    @property
    def does(self) -> str:
        return "declare"


@dataclass(frozen=True, slots=True)
class Redeclare:
    """Point at a declaration that says when or how, not what (RETRAIN WHEN, REFRESH ...): nothing is made anew."""

    sign: ClassVar[str] = "="
    kind: Kind
    name: str
    recipe: str
    reason: str
    estimate: Estimate = Estimate(0.0)

    @property
    def does(self) -> str:
        return "take the changed declaration"


@dataclass(frozen=True, slots=True)
class Rename:
    """Call a resource otherwise: what is remembered of it goes along, and nothing is made anew."""

    sign: ClassVar[str] = "~"
    kind: Kind
    name: str
    recipe: str
    was: str
    reason: str
    estimate: Estimate = Estimate(0.0)

    @property
    def does(self) -> str:
        return f"renamed from {self.was}"


@dataclass(frozen=True, slots=True)
class DropResource:
    """Stop pointing at something that is no longer declared. Data and versions stay until `gc`."""

    sign: ClassVar[str] = "-"
    kind: Kind
    name: str
    reason: str
    estimate: Estimate = Estimate(0.0)

    @property
    def does(self) -> str:
        return "drop"


COMMON: tuple[type, ...] = (Redeclare, Rename, DropResource)
"""Actions of resources of any kind; those of one kind stand in its row of `tilth.kinds`."""


@dataclass(frozen=True, slots=True)
class Note:
    """Something that a reader of the plan should know and that needs no action. `withheld`: it is not as it is declared."""

    name: str
    text: str
    withheld: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """The actions from what is to what is wanted, in an order that can be executed."""

    environment: str
    generation: int  # the one it was made against
    actions: tuple[Action, ...] = ()
    notes: tuple[Note, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.actions)

    def of(self, *classes: type) -> tuple[Action, ...]:
        return tuple(a for a in self.actions if isinstance(a, classes))
