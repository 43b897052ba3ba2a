"""What is: the recorded state of one environment, as frozen values. The runtime reads it from the state database.

Nothing here decides; `planner` does, from this and the graph.
"""

from __future__ import annotations

from dataclasses import dataclass

from tilth.core.time import Instant
from tilth.sql.language.statements import Kind

SERVING = "prod"  # where models serve if nobody says otherwise


@dataclass(frozen=True, slots=True)
class Pointer:
    """What an environment's generation points at: a snapshot id, a version or a revision number, or nothing (a source)."""

    kind: Kind
    name: str
    recipe: str
    target: str | None = None
    text: str = ""  # the declaration in canonical form, to say what changed


@dataclass(frozen=True, slots=True)
class SnapshotFacts:
    """The newest published snapshot of a dataset recipe, in whatever environment it was made."""

    recipe: str
    snapshot: str
    refreshed_at: Instant
    attempted_at: Instant
    rows: int
    source_changed: bool = False  # a change token of a source table differs from the one at the last refresh


@dataclass(frozen=True, slots=True)
class VersionFacts:
    """A trained version. `status`: candidate | promoted | refused | held."""

    model: str
    version: int
    recipe: str
    snapshot: str
    status: str
    trained_at: Instant
    rows: int = 0
    engine: str = ""
    learning: int = 1  # the number of the engine's way of learning
    rule: str = (
        ""  # what PROMOTE IF asked when it was judged last; a margin that was not recorded is left out
    )


@dataclass(frozen=True, slots=True)
class Signals:
    """One look at a model in use. None means that there was too little data to tell."""

    at: Instant
    drift: float | None = None
    prediction_drift: float | None = None
    quality: float | None = None
    new_rows: float | None = None


@dataclass(frozen=True, slots=True)
class Cost:
    """What an action took the last times: seconds and bytes."""

    action: str
    name: str
    seconds: float
    memory: int = 0


@dataclass(frozen=True, slots=True)
class Current:
    """One environment as it is, and what any environment has made that could be shared."""

    environment: str
    generation: int = 0
    pointers: tuple[Pointer, ...] = ()
    snapshots: tuple[SnapshotFacts, ...] = ()
    versions: tuple[VersionFacts, ...] = ()
    signals: tuple[tuple[str, tuple[Signals, ...]], ...] = ()  # by model, oldest first
    costs: tuple[Cost, ...] = ()
    since: Instant | None = None  # when its generation was published
    serving: str = (
        SERVING  # where models must pass their gates; elsewhere a gate is recorded and holds nothing back
    )
    learning: tuple[
        tuple[str, int], ...
    ] = ()  # engines that are installed, with the number of their way of learning

    @classmethod
    def empty(cls, environment: str = "prod") -> Current:
        return cls(environment)

    def pointer(self, kind: Kind, name: str) -> Pointer | None:
        return next((p for p in self.pointers if p.kind is kind and p.name == name), None)

    def snapshot_of(self, recipe: str) -> SnapshotFacts | None:
        return next((s for s in self.snapshots if s.recipe == recipe), None)

    def version(self, model: str, number: str | None) -> VersionFacts | None:
        return next((v for v in self.versions if v.model == model and str(v.version) == number), None)

    def versions_of(self, model: str, *recipes: str) -> tuple[VersionFacts, ...]:
        """Versions of that recipe, whatever it is or was called, newest first."""
        found = (v for v in self.versions if v.model == model and v.recipe in recipes)
        return tuple(sorted(found, key=lambda v: -v.version))

    def cost(self, action: str, name: str) -> Cost | None:
        return next((c for c in self.costs if c.action == action and c.name == name), None)

    def signals_of(self, model: str) -> tuple[Signals, ...]:
        return next((s for name, s in self.signals if name == model), ())
