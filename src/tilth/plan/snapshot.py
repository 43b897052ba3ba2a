"""What is: the recorded state of one environment, as frozen values. The runtime reads it from the state database.

Nothing here decides; `planner` does, from this and the graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tilth.core.time import Instant
from tilth.resources.naming import Histories
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
    metric: str = ""  # that quality is measured by


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
    histories: Histories = field(default_factory=Histories)  # under which names things are remembered
    leakage: tuple[
        tuple[str, str], ...
    ] = ()  # of recipes of datasets that are pointed at and not proven, what is known of their leakage

    _index: _Index = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_index", _Index.of(self))

    @classmethod
    def empty(cls, environment: str = "prod") -> Current:
        return cls(environment)

    def pointer(self, kind: Kind, name: str) -> Pointer | None:
        return self._index.pointers.get((kind, name))

    def snapshot_of(self, recipe: str) -> SnapshotFacts | None:
        return self._index.snapshots.get(recipe)

    def version(self, model: str, number: str | None) -> VersionFacts | None:
        return next((v for v in self._index.versions.get(model, ()) if str(v.version) == number), None)

    def versions_of(self, model: str, *recipes: str) -> tuple[VersionFacts, ...]:
        """Versions of that recipe, whatever it is or was called, newest first."""
        found = (v for v in self._index.versions.get(model, ()) if v.recipe in recipes)
        return tuple(sorted(found, key=lambda v: -v.version))

    def cost(self, action: str, name: str) -> Cost | None:
        return self._index.costs.get((action, name))

    def signals_of(self, model: str) -> tuple[Signals, ...]:
        return self._index.signals.get(model, ())


@dataclass(frozen=True, slots=True)
class _Index:
    """What is asked for by name, of all that is recorded; where there are several, the first one."""

    pointers: Mapping[tuple[Kind, str], Pointer]
    snapshots: Mapping[str, SnapshotFacts]
    versions: Mapping[str, Sequence[VersionFacts]]
    signals: Mapping[str, tuple[Signals, ...]]
    costs: Mapping[tuple[str, str], Cost]

    @classmethod
    def of(cls, current: Current) -> _Index:
        versions: dict[str, list[VersionFacts]] = {}
        for v in current.versions:
            versions.setdefault(v.model, []).append(v)
        return cls(
            {(p.kind, p.name): p for p in reversed(current.pointers)},
            {s.recipe: s for s in reversed(current.snapshots)},
            versions,
            dict(reversed(current.signals)),
            {(c.action, c.name): c for c in reversed(current.costs)},
        )
