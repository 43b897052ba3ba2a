"""The composition root: a folder becomes a project with its adapters. What `tilth.open` gives.

Which adapters there are is known to the registry alone, and which of them a project has, to its `tilth.toml`; everything
below is handed ports.
"""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Any, Self

from tilth.core.errors import ProjectError, UnsupportedError

if TYPE_CHECKING:
    import weakref
    from collections.abc import Callable, Collection, Sequence

    from tilth.app.disk import Disk
    from tilth.core.principals import Principal
    from tilth.plan.actions import Plan
    from tilth.plan.snapshot import Current
    from tilth.ports.blobs import StoreAdapter
    from tilth.ports.clock import Clock
    from tilth.ports.jobs import JobsAdapter
    from tilth.ports.limits import Limits
    from tilth.ports.progress import Progress
    from tilth.ports.signing import Keys
    from tilth.ports.state import State, StateAdapter
    from tilth.resources.facts import Facts
    from tilth.resources.graph import Graph
    from tilth.resources.naming import Histories
    from tilth.runtime.applying.executor import Applied, Did
    from tilth.runtime.applying.garbage import Freed
    from tilth.runtime.asking.exporting import Exported
    from tilth.runtime.asking.model import Model
    from tilth.runtime.asking.prompt import Result
    from tilth.runtime.asking.select import Loaded
    from tilth.runtime.asking.session import Session
    from tilth.runtime.project.settings import Settings
    from tilth.runtime.record.environments import Generation
    from tilth.runtime.showing.verifying import Checked
    from tilth.runtime.workspace import Workspace
    from tilth.sql.language.acts import Statement
    from tilth.sql.language.parameters import Parameters


class Project:
    """A project folder, opened. Nothing is written until something is changed."""

    def __init__(
        self, root: str, clock: Clock | None = None, *, home: str | None = None, looks: bool = False
    ) -> None:
        """`home` is where its state is, when that is not (yet) the folder's `.tilth`. `looks`: it has no key to sign with, so
        nothing that is remembered can be changed.
        """
        from tilth.ports import registry
        from tilth.ports.turns import Turns
        from tilth.runtime.project.loader import find_project
        from tilth.runtime.project.settings import settings

        if not root:
            raise ProjectError("No folder is named.", hint="Name the project's folder; `.` is this one.")
        self.root = os.path.abspath(root)
        if home is None:
            find_project(self.root)
        self.home = home or os.path.join(self.root, ".tilth")  # where state, blobs, bundles and keys are kept
        self.settings: Settings = settings(self.root)
        self.clock: Clock = clock or registry.load(registry.PARTS, "clock")()
        self._state: State | None = None
        self._work: Workspace | None = None
        self._empty: tuple[weakref.finalize[..., Project], Workspace] | None = None  # see `looked`
        self._loaded: Loaded = {}
        self._turns = Turns(self.settings.limits.queries or 2 * (os.cpu_count() or 1))
        self._keys_once = cache(lambda: self._part("public_keys" if looks else "keys", self.home))
        self._deployed: tuple[Facts, tuple[str, ...], Graph] | None = None  # the last one asked for

    @property
    def by(self) -> Principal:
        """Who acts through this object: the user of this process."""
        from tilth.app.person import person_here

        return person_here()

    @property
    def applied(self) -> bool:
        """Whether the project has a state at all; StateChangedError when it had one that is gone."""
        begun: bool = self._state_kind().begun(self.settings.state, self.home)
        return begun

    def graph(self) -> Graph:
        """What the project's files declare, with estimators that are there."""
        from tilth.runtime.project import estimators
        from tilth.runtime.project.loader import declarations

        graph = self._compiled(declarations(self.root))
        estimators.require(graph, os.path.join(self.root, estimators.FOLDER))
        return graph

    def _compiled(self, statements: Sequence[Statement]) -> Graph:
        from tilth.kinds import compile as compiled

        renames = any(getattr(s, "renamed_from", None) is not None for s in statements)
        return compiled(statements, self._facts(renames=renames))

    def current(self, environment: str) -> Current:
        """What is recorded of an environment; empty when the project was never applied."""
        from tilth.plan.snapshot import Current
        from tilth.runtime.record.current import current

        if not self.applied:
            return Current(environment, serving=self.settings.serving)
        return current(self.state(), environment, serving=self.settings.serving)

    def plan(self, environment: str | None = None) -> Plan:
        """What would change in the environment, and why. Reads files and state, and changes nothing.

        Of the sources those of ON CHANGE datasets are asked whether they changed, and files and SQLite databases that are
        to be collected from what they guess; one that cannot be asked is a note.
        """
        return self.planned(self.graph(), environment)

    def planned(self, graph: Graph, environment: str | None = None) -> Plan:
        """The same of a graph that is at hand."""
        from tilth.kinds import plan
        from tilth.runtime import writers
        from tilth.runtime.applying import changes, notices, shapes
        from tilth.runtime.project import queries
        from tilth.runtime.showing import column_value, lineage

        name = environment or self.settings.environment
        if self.applied:
            found = changes.planned(self.work(), graph, name)
        else:
            found = plan(graph, self.current(name), self.clock.now())
        queries.require(graph.get(a.name) for a in found.actions if graph.find(a.name))
        found = notices.foreseen(found, graph, self.root)
        if not self.applied:
            return found
        found = writers.named(shapes.foreseen(found, graph, self.work()), graph, self.state())
        return lineage.named(column_value.named(found, graph, self.state()), self.work())

    def session(
        self,
        environment: str | None = None,
        progress: Progress | None = None,
        tell: Callable[[Did], None] | None = None,
        by: Principal | None = None,
        door: str = "python",
    ) -> Session:
        """Performs statements in an environment; see `runtime.asking.session`. `by` is whom the `door` has let in."""
        from tilth.ports.progress import Silent
        from tilth.runtime.asking.session import Session

        name, applied = environment or self.settings.environment, self._work is not None or self.applied
        return Session(
            self.looked(),
            name,
            by or self.by,
            self.graph,
            self.deployed,
            self._compiled,
            progress or Silent(),
            tell,
            self._loaded,
            limits=self._limits(),
            turns=self._turns,
            room=self.room,
            begin=self.work,
            door=door if applied else "",  # what is not there holds no log
        )

    def _limits(self) -> Limits:
        """What a statement may use: `statement_timeout` and `statement_memory` under [limits] of tilth.toml."""
        from tilth.ports.limits import Limits

        said = self.settings.limits
        return Limits(said.statement_timeout.total_seconds(), said.statement_memory, said.statement_disk)

    def apply(
        self,
        environment: str | None = None,
        progress: Progress | None = None,
        tell: Callable[[Did], None] | None = None,
        *,
        all_or_nothing: bool = False,
        allow_drop: bool | Collection[str] = False,
        strict: bool = True,
    ) -> Applied:
        """Make the environment as the files declare it; see `runtime.applying.executor.apply`.

        What succeeds is published, and then the first error is raised; without `strict` it is in the result. With
        `all_or_nothing` the first error ends it, and nothing is published. What serves is dropped only where `allow_drop` says so,
        for these names or for all; otherwise ServedDropError.
        """
        from tilth.ports.progress import Silent
        from tilth.runtime.act import Act
        from tilth.runtime.applying.executor import apply

        name = environment or self.settings.environment
        self.room()
        act = Act(self.work(), name, self.by, progress or Silent())
        done = apply(act, self.graph(), go_on=not all_or_nothing, allow_drop=allow_drop, tell=tell)
        return done.whole() if strict else done

    def sql(
        self,
        text: str,
        parameters: Parameters | None = None,
        *,
        environment: str | None = None,
        **frames: Any,
    ) -> Result:
        """Perform statements of the tilth language; the last one's result (`.df()`, `.arrow()`, `.rows()`, `.text`).

        `parameters` are values for `$x` (a mapping) or `?` (a sequence); other keywords are frames for `FROM $name`. A
        statement that a gate refuses does not raise: `.refused` says so.
        """
        session = self.session(environment)
        session.frames = frames
        return session.run(text, parameters)

    def model(self, name: str, version: int | None = None, environment: str | None = None) -> Model:
        """A model as a function: the version that the environment serves, or the one asked for."""
        from tilth.runtime.asking.model import Model
        from tilth.runtime.asking.select import models_of
        from tilth.runtime.record.versions import require

        models = models_of(self.looked(), environment or self.settings.environment, self._loaded)
        found = models.get(name, version)
        facts = require(self.looked().state, name, found.version).facts
        return Model(found, facts, lambda: models.newer(name, found))

    def export(
        self,
        name: str,
        form: str,
        version: int | None = None,
        environment: str | None = None,
        owner: str | None = None,
    ) -> Exported:
        """A version of a model, by default the one that serves, as files of another format: mlflow | onnx.

        Of dbt: an exposure that says which of a dbt project's relations it is made from; `owner` is who answers for it.
        """
        from tilth.runtime.asking.exporting import exported

        number = self.model(name, version, environment).version
        if form == "dbt":
            from tilth.runtime.asking.exposing import exposed

            graph = self.deployed(environment)
            return exposed(self.looked(), graph, name, number, owner or self.settings.name)
        return exported(self.looked(), name, number, form)

    def bring(
        self, name: str, folder: str, environment: str | None = None, progress: Progress | None = None,
        tell: Callable[[Did], None] | None = None,
    ) -> Result:  # fmt: skip
        """Import a folder of MLflow's as a version of a deployed model, and have it judged; `refused` when it does not pass."""
        from tilth.runtime.asking.bringing import bring

        return bring(self.session(environment, progress, tell), name, folder)

    def promote(self, source: str, target: str | None = None) -> int:
        """Give `target` (by default where models serve) all pointers of `source` in one transaction; the new generation's number."""
        from tilth.runtime.moving.promotion import promote

        serving = self.settings.serving
        return promote(
            self.looked().state,
            source,
            serving if target is None else target,
            self.by,
            self.clock.now(),
            serving,
        )

    def rollback(self, environment: str | None = None, generation: int | None = None) -> int:
        """Point back at an earlier generation (by default the one before, where models serve); the new generation's number."""
        from tilth.runtime.moving.publishing import rollback

        name = self.settings.serving if environment is None else environment
        return rollback(self.looked().state, name, generation, self.by, self.clock.now())

    def gc(self, keep: int = 10) -> Freed:
        """Free what no environment's newest `keep` generations need; see `runtime.applying.garbage`."""
        from tilth.runtime.applying.garbage import collect

        return collect(self.looked(), keep, self.by)

    def deployed(self, environment: str | None = None) -> Graph:
        """What was applied: the graph of the declarations that the environment's pointers hold."""
        from tilth.runtime.record.declarations import declared
        from tilth.runtime.record.environments import pointers_of

        name = environment or self.settings.environment
        _, pointers = pointers_of(self.state(), name) if self.applied else (0, ())
        facts, texts = self._facts(), tuple(p.text for p in pointers)
        if self._deployed is None or self._deployed[:2] != (facts, texts):
            self._deployed = (facts, texts, self._compiled([declared(t) for t in texts]))
        return self._deployed[2]

    def verify(self, progress: Progress | None = None, *, quick: bool = False) -> Checked:
        """Check the state, its audit chain and signed head, and every file that it names; see `runtime.showing.verifying`."""
        from tilth.runtime.showing.verifying import Checked, check

        if not self.applied:
            return Checked()
        self.state(trusted=True)  # what is wrong with its head is told with all the rest
        return check(self.work(), progress, quick=quick)

    def status(self, environment: str | None = None) -> dict[str, Any]:
        """Where the environment stands, as plain facts; see `runtime.showing.standing`."""
        from tilth.runtime.showing.standing import NEVER, standing

        name = environment or self.settings.environment
        return standing(self.work(), name) if self.applied else {**NEVER, "environment": name}

    def report(self, name: str, environment: str | None = None) -> dict[str, Any]:
        """A report of the version of a model that serves, as plain facts; see `runtime.asking.reporting`."""
        from tilth.runtime.asking.reporting import report
        from tilth.runtime.showing.describing import Place

        where = environment or self.settings.environment
        return report(Place(self.looked(), where, self.deployed(where), True), name)

    def profile(self, name: str, environment: str | None = None) -> dict[str, Any]:
        """What the published rows of a dataset look like, as plain facts; see `runtime.asking.profiling`."""
        from tilth.runtime.asking.profiling import profiled
        from tilth.runtime.showing.describing import Place

        where = environment or self.settings.environment
        return profiled(Place(self.looked(), where, self.deployed(where), True), name)

    def promises(self, environment: str | None = None) -> dict[str, Any]:
        """Whether what is promised holds, as plain facts; see `runtime.showing.promises`."""
        from tilth.runtime.showing.promises import facts, promises

        name = environment or self.settings.environment
        return facts(name, promises(self.work(), name) if self.applied else ())

    def diff(self, first: tuple[str, int], second: tuple[str, int]) -> dict[str, Any]:
        """How two versions, each (model, number), differ; see `runtime.showing.comparing`."""
        from tilth.runtime.showing.comparing import compare

        return compare(self.looked(), first, second)

    def keys(self) -> Keys:
        """The key that the project signs with; made when something is first signed."""
        found: Keys = self._keys_once()
        return found

    def room(self) -> None:
        """ResourceLimitError when a limit is set and all that `.tilth` may hold is held."""
        if self.settings.limits.disk is not None:
            self.disk().require()

    def disk(self) -> Disk:
        """What `.tilth` holds by kind, and what it may; see `app.disk`."""
        from tilth.app.disk import held

        return held(self.home, self.settings.limits.disk)

    def generations(self, environment: str | None = None, limit: int = 20) -> tuple[Generation, ...]:
        """The newest generations of an environment, newest first."""
        from tilth.runtime.record.environments import generations

        return generations(self.looked().state, environment or self.settings.environment, limit)

    def state(self, *, trusted: bool = False) -> State:
        """The project's state; made at first use. `trusted`: it is opened whatever its signed head says."""
        if self._state is None:
            kind = self._state_kind()
            self._state = kind.opened(self.settings.state, self.home, self._keys_once, trusted=trusted)
        return self._state

    def _state_kind(self) -> StateAdapter:
        from tilth.ports import registry

        found: StateAdapter = registry.chosen("tilth.state", "state", self.settings.state)
        return found

    def work(self) -> Workspace:
        """The ports that the runtime works with; folders are made, the heavy parts wait until they are asked for."""
        if self._work is None:
            said = self.settings
            self._work = self._workspace(self._state_kind(), self.state(), self.home, said.state, said.blobs)
        return self._work

    def looked(self) -> Workspace:
        """The same for what only looks: of a project that was never applied an empty one elsewhere, which is gone when this is
        closed, so that looking makes no `.tilth`.
        """
        import weakref
        from shutil import rmtree
        from tempfile import mkdtemp

        from tilth.ports import registry

        if self._work is not None or self.applied:
            return self.work()
        if self._empty is None:
            folder = mkdtemp(prefix="tilth-")
            gone = weakref.finalize(self, rmtree, folder, ignore_errors=True)
            home, kind = os.path.join(folder, ".tilth"), registry.load("tilth.state", "sqlite")
            state = kind.opened("sqlite", home, lambda: self._part("keys", home))
            self._empty = gone, self._workspace(kind, state, home, "sqlite", "file")
        return self._empty[1]

    @property
    def elsewhere(self) -> bool:
        """Whether something stands elsewhere on the disk that `close` removes."""
        return self._empty is not None

    def _workspace(self, kind: StateAdapter, state: State, home: str, at: str, blobs_at: str) -> Workspace:
        from tilth.ports import registry
        from tilth.runtime.workspace import Workspace

        said = self.settings
        store: StoreAdapter = registry.chosen("tilth.blobs", "blobs", blobs_at)
        runner: JobsAdapter = registry.chosen("tilth.jobs", "jobs", said.jobs)
        blobs, bundles = store.opened(blobs_at, home)
        return Workspace(
            self.root,
            state,
            blobs,
            bundles,
            kind.locks(at, home),
            runner.opened(said.jobs, blobs, os.path.join(home, "bundles")),
            self.clock,
            cache(lambda: self._part("engine", home)),
            self._keys_once if home == self.home else cache(lambda: self._part("keys", home)),
            cache(lambda: self._part("predictions", home)),
            said.serving,
            said.keep,
            said.writable,
            cache(lambda: self._part("lookups", home)),
        )

    def _facts(self, *, renames: bool = False) -> Facts:
        """What the compiler is told; with what is remembered under another name than it has, and where something `renames`,
        with all that is remembered.
        """
        from dataclasses import replace

        from tilth.runtime.project.known import facts

        return replace(facts(self.root), histories=self._histories(whole=renames))

    def _histories(self, *, whole: bool) -> Histories:
        from tilth.resources.naming import Histories
        from tilth.runtime.record import names

        if not self.applied:
            return Histories()
        return names.histories(self.state()) if whole else names.origins(self.state())

    def _part(self, name: str, home: str) -> Any:
        """What there is one of, for this project."""
        from tilth.ports import registry

        return registry.load(registry.PARTS, name).opened(home)

    def __repr__(self) -> str:
        return f"<Project {self.root}, environment {self.settings.environment}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> str | tuple[Any, ...]:
        raise UnsupportedError(
            "A project is not pickled: it holds its state open.",
            hint=f"Open it in the other process: tilth.open({self.root!r}).",
        )

    def close(self) -> None:
        """Let go of the state; what is asked later opens it again."""
        if self._state is not None:
            from tilth.runtime.asking import statements

            statements.write(self._state)
            self._state.close()
            self._state = None
        if self._work is not None and (close := getattr(self._work.jobs, "close", None)) is not None:
            close()
        self._work = None
        if self._empty is not None:
            gone, work = self._empty
            work.state.close()
            gone()
            self._empty = None
