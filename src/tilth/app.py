"""The composition root: a folder becomes a project with its adapters. What `tilth.open` gives.

The one module that names adapters; everything below is handed ports.
"""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

from tilth.core.errors import StorageError

if TYPE_CHECKING:
    from tilth.adapters.sqlite_state.state import SqliteState
    from tilth.plan.actions import Plan
    from tilth.plan.snapshot import Current
    from tilth.ports.clock import Clock
    from tilth.ports.engine import QueryEngine
    from tilth.ports.predictions import PredictionLog
    from tilth.ports.state import Row
    from tilth.resources.compiler import Facts
    from tilth.resources.graph import Graph
    from tilth.runtime.loader import Settings
    from tilth.runtime.workspace import Keys, Workspace


class Project:
    """A project folder, opened. Nothing is written until something is changed."""

    def __init__(self, root: str, clock: Clock | None = None) -> None:
        from tilth.adapters.clocks import SystemClock
        from tilth.runtime.loader import settings

        self.root = os.path.abspath(root)
        self.settings: Settings = settings(self.root)
        self.clock: Clock = clock or SystemClock()
        self._state: SqliteState | None = None
        self._work: Workspace | None = None

    @property
    def home(self) -> str:
        """The folder `.tilth`, where state, blobs, bundles and keys are kept."""
        return os.path.join(self.root, ".tilth")

    def graph(self) -> Graph:
        """What the project's files declare."""
        from tilth.resources.compiler import compile as compiled
        from tilth.runtime.loader import declarations

        return compiled(declarations(self.root), _facts())

    def current(self, environment: str) -> Current:
        """What is recorded of an environment; empty when the project was never applied."""
        from tilth.plan.snapshot import Current
        from tilth.runtime.generations import current

        if not os.path.exists(os.path.join(self.home, "state.db")):
            return Current.empty(environment)
        return current(self.state(), environment)

    def plan(self, environment: str | None = None) -> Plan:
        """What would change in the environment, and why. Reads files and state, asks no source, changes nothing."""
        from tilth.plan.planner import plan

        return plan(self.graph(), self.current(environment or self.settings.environment), self.clock.now())

    def verify(self) -> int:
        """Check the audit chain and every environment's generation; the length of the chain."""
        from tilth.runtime.generations import pointers_of

        length = self.state().verify_audit()
        for row in self.state().read("environments"):
            pointers_of(self.state(), str(row["name"]))
        return length

    def generations(self, environment: str | None = None, limit: int = 20) -> tuple[Row, ...]:
        """The newest generations of an environment, newest first."""
        return self.state().read(
            "generations", environment=environment or self.settings.environment, limit=limit
        )

    def state(self) -> SqliteState:
        """The project's state; made at first use."""
        if self._state is None:
            from tilth.adapters.sqlite_state.state import open_state

            try:
                os.makedirs(self.home, mode=0o700, exist_ok=True)
            except OSError as error:
                raise StorageError(
                    f"{self.home} cannot be made ({error.strerror}).",
                    hint="Give this user write access to the project's folder.",
                ) from error
            self._state = open_state(self.settings.state, self.root)
        return self._state

    def work(self) -> Workspace:
        """The ports that the runtime works with; folders are made, the heavy parts wait until they are asked for."""
        if self._work is None:
            from tilth.adapters.file_blobs import FileBlobs
            from tilth.adapters.file_bundles import FileBundles
            from tilth.adapters.file_locks import FileLocks
            from tilth.runtime.workers import LocalJobs
            from tilth.runtime.workspace import Workspace

            self._work = Workspace(
                self.root,
                self.state(),
                FileBlobs(os.path.join(self.home, "blobs")),
                FileBundles(os.path.join(self.home, "bundles")),
                FileLocks(self.home),
                LocalJobs(),
                self.clock,
                cache(self._engine),
                cache(self._keys),
                cache(self._log),
            )
        return self._work

    def _engine(self) -> QueryEngine:
        from tilth.adapters.duckdb_engine import DuckDBEngine

        temp = os.path.join(self.home, "temp")
        os.makedirs(temp, exist_ok=True)
        return DuckDBEngine([self.home], temp=temp)

    def _keys(self) -> Keys:
        from tilth.adapters.local_keys import LocalKeys

        return LocalKeys(os.path.join(self.home, "keys"))

    def _log(self) -> PredictionLog:
        from tilth.adapters.file_predictions import FilePredictions

        return FilePredictions(os.path.join(self.home, "predictions"))

    def close(self) -> None:
        if self._state is not None:
            self._state.close()
            self._state = None
        self._work = None


def _facts() -> Facts:
    """Versions of the engines and names of the sources that are installed, for recipes; read without importing them."""
    from importlib.metadata import entry_points, version

    from tilth.resources.compiler import Facts

    engines = {
        "auto": version("lightgbm"),
        "lightgbm": version("lightgbm"),
        "linear": version("tilth"),
        "sklearn": version("scikit-learn"),
    }
    sources = tuple(sorted(e.name for e in entry_points(group="tilth.sources")))
    return Facts(engines=engines, code={}, sources=sources)
