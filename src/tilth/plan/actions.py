"""What a plan is made of. One frozen class an action; the executor has exactly one handler for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias, get_args

from tilth.sql.language.statements import Kind


@dataclass(frozen=True, slots=True)
class Estimate:
    """What an action would take; None where nothing like it was measured yet."""

    seconds: float | None = None
    memory: int | None = None


@dataclass(frozen=True, slots=True)
class DeclareSource:
    """Point the environment at a source's declaration. Reads no data."""

    name: str
    recipe: str
    reason: str
    estimate: Estimate = Estimate(0.0)


@dataclass(frozen=True, slots=True)
class CollectDataset:
    """Collect, vet and publish a snapshot. `parent` is the snapshot that an incremental collection continues."""

    name: str
    recipe: str
    reason: str
    parent: str | None = None
    estimate: Estimate = Estimate()


@dataclass(frozen=True, slots=True)
class ShareSnapshot:
    """Point at a snapshot that another environment has made from the same recipe."""

    name: str
    recipe: str
    snapshot: str
    reason: str
    estimate: Estimate = Estimate(0.0)


@dataclass(frozen=True, slots=True)
class TrainModel:
    """Make a candidate, and let the gate compare it with the champion."""

    name: str
    recipe: str
    reason: str
    champion: int | None = None
    estimate: Estimate = Estimate()


@dataclass(frozen=True, slots=True)
class ShareVersion:
    """Point at a version that another environment has made from the same recipe."""

    name: str
    recipe: str
    version: int
    reason: str
    estimate: Estimate = Estimate(0.0)


@dataclass(frozen=True, slots=True)
class DeployEndpoint:
    """Serve the model's version through the endpoint, in the stages of its ROLLOUT."""

    name: str
    recipe: str
    model: str
    reason: str
    estimate: Estimate = Estimate(0.0)


@dataclass(frozen=True, slots=True)
class Redeclare:
    """Point at a declaration that says when or how, not what (RETRAIN WHEN, REFRESH ...): nothing is made anew."""

    kind: Kind
    name: str
    recipe: str
    reason: str
    estimate: Estimate = Estimate(0.0)


@dataclass(frozen=True, slots=True)
class DropResource:
    """Stop pointing at something that is no longer declared. Data and versions stay until `gc`."""

    kind: Kind
    name: str
    reason: str
    estimate: Estimate = Estimate(0.0)


Action: TypeAlias = (
    DeclareSource
    | CollectDataset
    | ShareSnapshot
    | TrainModel
    | ShareVersion
    | DeployEndpoint
    | Redeclare
    | DropResource
)
ACTION_TYPES: tuple[type, ...] = get_args(Action)


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
