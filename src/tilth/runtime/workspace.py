"""What the runtime works with: the ports of one opened project, as one frozen value.

`tilth.app.project` makes it from adapters; nothing in the runtime names one. What the state holds is read through `record`,
models come by `loading`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tilth.plan.snapshot import SERVING
from tilth.ports.blobs import Blobs
from tilth.ports.bundles import BundleStore
from tilth.ports.clock import Clock
from tilth.ports.engine import QueryEngine
from tilth.ports.jobs import Jobs
from tilth.ports.locks import Locks
from tilth.ports.lookups import Lookups, MemoryLookups
from tilth.ports.predictions import PredictionLog
from tilth.ports.signing import Keys
from tilth.ports.state import State
from tilth.runtime.project.settings import KEEP, Keep


@dataclass(frozen=True, slots=True)
class Workspace:
    """The ports of a project. `engine`, `keys` and `log` are made when first asked for: not every command needs them."""

    root: str  # the project's folder; relative paths of sources start here
    state: State
    blobs: Blobs
    bundles: BundleStore
    locks: Locks
    jobs: Jobs
    clock: Clock
    engine_of: Callable[[], QueryEngine]
    keys_of: Callable[[], Keys]
    log_of: Callable[[], PredictionLog]
    serving: str = SERVING  # the environment where gates hold
    keep: Keep = KEEP
    writable: frozenset[str] = frozenset()  # environments besides the serving one that may write into sources
    lookups_of: Callable[[], Lookups] = MemoryLookups

    @property
    def engine(self) -> QueryEngine:
        return self.engine_of()

    @property
    def keys(self) -> Keys:
        return self.keys_of()

    @property
    def log(self) -> PredictionLog:
        return self.log_of()

    @property
    def lookups(self) -> Lookups:
        return self.lookups_of()
