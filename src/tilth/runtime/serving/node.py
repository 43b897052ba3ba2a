"""What one serving process holds: the routes of an environment's current generation, kept up to date.

A thread polls the state. When it moved, the bundles that are needed are verified and loaded there, warmed in the thread
that answers, and one reference is rebound to a new, immutable table; requests in flight finish on the old one. A
generation of which a bundle does not verify is not taken: what is served goes on. How requests are answered is in
`answering`, how far rollouts are is written by `rollouts`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from tilth.core.errors import BusyError, StorageError, TilthError, UnknownNameError
from tilth.core.names import did_you_mean, nearest
from tilth.core.principals import job
from tilth.core.time import show_instant
from tilth.ml.forecasting.predicting import ForecastPredictor
from tilth.ml.forecasting.requests import requested
from tilth.ml.forecasting.signature import ENGINE
from tilth.ml.model.answerer import RowAnswerer, of_rows
from tilth.plan.snapshot import Pointer
from tilth.ports.lookups import Rows
from tilth.runtime.act import Act
from tilth.runtime.loading import any_version_of, newer
from tilth.runtime.record import declarations, endpoints, environments, nodes, snapshots, versions
from tilth.runtime.record.endpoints import Revision
from tilth.runtime.record.nodes import LookedUp
from tilth.runtime.serving import rollouts, stores
from tilth.runtime.serving.answering import Rolling, Route, Side
from tilth.runtime.serving.looking_up import Completing, Store
from tilth.runtime.workspace import Workspace
from tilth.sql.language.statements import CreateEndpoint, Kind, Rollout

POLL = 0.025  # seconds between looks at the state's counter
RETRY = 2.0  # seconds until what did not verify is tried again
WRITE = 1.0  # seconds between writings of a rollout's counts
KEPT = 8  # versions kept in memory beside those that are served, so that going back is quick
PATIENCE = 30.0  # seconds the answering thread may take to warm and swap
BY = job("serve")  # what a server notes of itself
SERVED = "what is served"  # the lock that servers share, and that whoever takes the folder away holds alone

Key = tuple[
    str, int, str, str | None
]  # model, version, digest, and of a forecast the snapshot that it goes on from
Call = Callable[[], None]


class NotServingError(BusyError):
    """Nothing can be answered yet; trying again later can help."""

    http_status = 503


@dataclass(frozen=True, slots=True)
class Table:
    """What is served: a generation's routes by endpoint."""

    generation: int
    routes: Mapping[str, Route]


@dataclass(slots=True)
class Figures:
    """What happened since the start."""

    swaps: int = 0
    swap_seconds: float = 0.0
    last_swap_seconds: float = 0.0
    rejected: int = 0
    moves: int = 0  # of the state


@dataclass(slots=True)
class _Seen:
    """What the last look found: a generation, and for each endpoint its pointer and revision."""

    generation: int
    endpoints: list[tuple[Pointer, Revision]]
    keys: dict[str, tuple[str, ...]] = field(default_factory=dict)  # that outcomes are joined by, by endpoint
    troubles: dict[str, str] = field(default_factory=dict)
    pointers: tuple[Pointer, ...] = ()
    contents: dict[str, str] = field(default_factory=dict)  # of the snapshots that rows are looked up in

    def key(self) -> object:
        rows = [(p.name, p.text, r.revision, r.stage, r.version, r.previous) for p, r in self.endpoints]
        return self.generation, tuple(rows), tuple(sorted(self.contents.items()))


class Node:
    """Serves one environment. `hand_over` has a function called in the thread that answers."""

    def __init__(
        self,
        work: Workspace,
        environment: str,
        hand_over: Callable[[Call], object] = lambda call: call(),
        tell: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self.environment = environment
        self.table: Table | None = None
        self.troubles: Mapping[str, str] = {}
        self.figures = Figures()
        self._work, self._hand_over, self._tell = work, hand_over, tell
        self._act = Act(work, environment, BY)
        self._name = ""
        self._cache: dict[Key, RowAnswerer] = {}
        self._stores: dict[str, Rows] = {}
        self._key: object = None
        self._counter = -1
        self._again = 0.0  # when what is not served is tried again
        self._rest = 0.0  # until when nothing is tried, since the last look failed
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    # --- for the thread that answers -----------------------------------------------------------------------

    def route(self, endpoint: str) -> Route:
        """Where the endpoint's requests go; UnknownNameError, or NotServingError while there is nothing to serve."""
        table = self.table
        found = None if table is None else table.routes.get(endpoint)
        if found is not None:
            return found
        raise self._no_route(endpoint)

    def _no_route(self, endpoint: str) -> TilthError:
        table, why = self.table, self.troubles.get(endpoint) or self.troubles.get("")
        if table is None or why:
            return NotServingError(
                f"`{endpoint}` is not served yet: {why or f'nothing was applied to `{self.environment}`'}",
                hint="`GET /healthz` says what is wrong."
                if why
                else "Run `tilth apply` in the project's folder.",
            )
        near = nearest(endpoint, table.routes)
        known = did_you_mean(endpoint, table.routes, "endpoints")
        return UnknownNameError(
            f"There is no endpoint `{endpoint}` in `{self.environment}`.",
            hint=known
            if table.routes or near
            else "Declare one: CREATE ENDPOINT name FOR MODEL model; then apply.",
        )

    def health(self) -> dict[str, object]:
        """The status (starting, ok or degraded) with the reasons, and which version answers each endpoint."""
        table = self.table
        status = "starting" if table is None else "degraded" if self.troubles else "ok"
        routes = {} if table is None else table.routes
        return {
            "status": status,
            "environment": self.environment,
            "generation": 0 if table is None else table.generation,
            "endpoints": {
                name: {"stage": r.live_stage, "versions": [s.version for s in r.sides()]}
                for name, r in routes.items()
            },
            "reasons": [f"{name}: {why}" if name else why for name, why in self.troubles.items()],
        }

    # --- beginning and ending ------------------------------------------------------------------------------

    def start(self, name: str, url: str) -> None:
        """Write this node down under its name, look once, and go on looking in a thread until `stop`."""
        self._name = name
        now = self._act.now()
        with self._act.change(now, keyless=True) as change:
            nodes.begin(change, name, url, self.environment, now)
            change.audit("start", name, {"url": url, "environment": self.environment})
        self._turn()
        self._thread = threading.Thread(target=self._run, name="tilth-node", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and write down how far rollouts are."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(PATIENCE)
        self._write_progress(at_once=True)

    def _run(self) -> None:
        self._counter = -1  # counters of two threads' connections cannot be compared
        while not self._stop.wait(POLL):
            self._turn()

    def _turn(self) -> None:
        """One look, and what follows from it. Whatever goes wrong is told, and tried again after a while."""
        now = time.monotonic()
        if now < self._rest:
            return
        try:
            if any(c.damaged for c in _completing(self.table)):
                self._key, self._counter = None, -1  # its store is made again
            counter = self._work.state.version_counter()
            if counter != self._counter or (self.troubles and now >= self._again):
                self.figures.moves += counter != self._counter
                self._counter, self._again = counter, now + RETRY
                self.refresh()
            if self._write_progress():
                self.refresh()
        except Exception as error:
            self._rest = self._again = time.monotonic() + RETRY
            said = error.message if isinstance(error, TilthError) else f"{type(error).__name__}: {error}"
            self._trouble({"": said})

    # --- looking -------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Serve the current generation, if it is another one and all of it verifies."""
        began = time.perf_counter()
        seen = self._look()
        if seen is None or (seen.key() == self._key and not self.troubles):
            return
        routes = self._routes(seen)
        if seen.troubles and self.table is not None:
            self._trouble(seen.troubles)
            return
        self._swap(Table(seen.generation, routes), seen, began)

    def _look(self) -> _Seen | None:
        with self._work.state.reading() as reader:
            number, pointers = environments.checked(reader, self.environment)
            current = endpoints.current(reader, self.environment)
        if not number:
            return None
        out, keys = [], {}
        for p in pointers:
            if p.kind is not Kind.ENDPOINT or p.target is None:
                continue
            keys[p.name] = declarations.key_of(declarations.truths(pointers, declarations.endpoint(p)))
            found = current.get(p.name)
            if found is None:
                raise StorageError(
                    f"Revision {p.target} of `{p.name}` is missing.", hint="Run `tilth verify`."
                )
            out.append((p, found))
        return _Seen(number, out, keys, pointers=tuple(pointers), contents=self._contents(pointers))

    def _contents(self, pointers: Sequence[Pointer]) -> dict[str, str]:
        """The contents of the snapshots that rows are looked up in, which change when rows are forgotten."""
        declared = [declarations.endpoint(p) for p in pointers if p.kind is Kind.ENDPOINT]
        wanted = {d.look_up.dataset for d in declared if d.look_up is not None}
        found = {
            p.name: snapshots.get(self._work.state, p.target)
            for p in pointers
            if _is_of(p, wanted) and p.target
        }
        return {name: one.manifest.content for name, one in found.items() if one is not None}

    def _routes(self, seen: _Seen) -> dict[str, Route]:
        """The routes that can be served; what cannot is noted in `seen.troubles`."""
        out = {}
        for pointer, row in seen.endpoints:
            try:
                out[pointer.name] = self._route_of(pointer, row, seen)
            except TilthError as error:
                seen.troubles[pointer.name] = "; ".join((error.message, *error.detail))
            except Exception as error:
                seen.troubles[pointer.name] = f"does not load: {type(error).__name__}: {error}"
        return out

    def _route_of(self, pointer: Pointer, at: Revision, seen: _Seen) -> Route:
        stage, number, serving = at.stage, at.revision, at.answering
        if serving is None:
            raise StorageError("no version answers it", hint=f"RETRAIN MODEL {at.model}.")
        declared = declarations.endpoint(pointer)
        keys = seen.keys.get(pointer.name, ())
        required, share = declared.outcomes is not None and declared.outcomes.require_key, declared.watch.log
        champion = self._side(declared, serving, keys, seen)
        if not at.under_way:
            return Route(pointer.name, number, stage, champion, require_key=required, log=share)
        candidate = self._side(declared, at.version, keys, seen)
        rolling = self._rolling(pointer.name, at, declared.rollout)
        return Route(pointer.name, number, stage, champion, candidate, rolling, required, share)

    def _side(self, declared: CreateEndpoint, version: int, keys: tuple[str, ...], seen: _Seen) -> Side:
        model = declared.model
        row = versions.require(self._work.state, model, version)
        snapshot = declarations.snapshot_of(seen.pointers, model) if row.engine == ENGINE else None
        key = (model, version, row.digest, snapshot)
        found = self._cache.pop(key, None) or self._answering(model, version, snapshot)
        self._cache[key] = found  # the last used is last
        looked_up = stores.completing(self._work, declared, seen.pointers, found, self._rows_of)
        return Side(found, declared.name, self.environment, keys, looked_up)

    def _rows_of(self, store: Store) -> Rows:
        """The rows to look up, open already or made now; one store for all that look up the same."""
        found = self._stores.get(store.name)
        if found is not None and found.damaged:
            self._work.lookups.keep(self._stores.keys() - {store.name})
            found = None
        if found is None:
            found = self._stores[store.name] = stores.opened(self._work, store, self._tell)
        return found

    def _answering(self, model: str, version: int, snapshot: str | None) -> RowAnswerer:
        """The version as requests ask it; one that forecasts goes on from what came since its training."""
        found = any_version_of(self._work, model, version, threads=1)
        if isinstance(found, ForecastPredictor):
            return requested(found, newer(self._work, found, snapshot))
        return of_rows(found)

    def _rolling(self, endpoint: str, at: Revision, rollout: Rollout) -> Rolling:
        """What this process has counted already, unless the record is further."""
        kept = at.progress
        old = None if self.table is None else self.table.routes.get(endpoint)
        if old is not None and old.rolling is not None and old.revision == at.revision:
            mine = old.rolling
            if mine.progress.stage is kept.stage or mine.written.stage is kept.stage:
                mine.rollout = rollout  # the declaration may have changed meanwhile
                return mine
        return Rolling(rollout, kept, kept)

    # --- swapping ------------------------------------------------------------------------------------------

    def _swap(self, table: Table, seen: _Seen, began: float) -> None:
        """Warm the versions in the thread that answers, rebind the table there, and write down that it is served."""
        done, failed = threading.Event(), []

        def take() -> None:
            try:
                for route in table.routes.values():
                    for side in route.sides():
                        side.model.warm()
                self.table = table
            except Exception as error:
                failed.append(error)
            done.set()

        self._hand_over(take)
        if not done.wait(PATIENCE):
            raise StorageError(
                "The server did not take the new generation in time.", hint="It is tried again."
            )
        if failed:
            self._trouble({"": f"generation {table.generation} does not run: {failed[0]}"})
            return
        self.figures.swaps += 1
        self.figures.last_swap_seconds = time.perf_counter() - began
        self.figures.swap_seconds += self.figures.last_swap_seconds
        self._key = seen.key()
        self._trouble(seen.troubles)
        self._forget(table)
        self._served(table)

    def _served(self, table: Table) -> None:
        for route in table.routes.values():
            versions = " and ".join(str(s.version) for s in route.sides())
            self._tell(
                f"generation {table.generation}: {route.endpoint} serves version {versions} ({route.stage})"
            )
        if not self._name or self.troubles:
            return
        now = self._act.now()
        with self._act.change(now, keyless=True) as change:
            nodes.serves(change, self._name, table.generation, now, _looked_up(table))
            change.audit("serve", self._name, {"generation": table.generation})

    def _forget(self, table: Table) -> None:
        """Keep what is served and the versions used last."""
        needed = {id(s.model) for r in table.routes.values() for s in r.sides()}
        spare = [key for key, predictor in self._cache.items() if id(predictor) not in needed]
        for key in spare[:-KEPT]:
            del self._cache[key]
        self._stores = {c.store.name: self._stores[c.store.name] for c in _completing(table)}
        self._work.lookups.keep(self._stores)

    def _trouble(self, troubles: Mapping[str, str]) -> None:
        """What keeps the current generation from being served; told once."""
        for name, why in troubles.items():
            if self.troubles.get(name) != why:
                self.figures.rejected += 1
                self._tell(f"{name or 'the state'}: {why}; what is served goes on")
        if self.troubles and not troubles:
            self._tell("all is well again")
        self.troubles = dict(troubles)

    # --- rollouts ------------------------------------------------------------------------------------------

    def _write_progress(self, *, at_once: bool = False) -> bool:
        """Record what rollouts have seen: a new stage at once, counts about every second. Whether a stage moved."""
        moved, now = False, time.monotonic()
        for route in _rolling(self.table):
            rolling = route.rolling
            assert rolling is not None
            progress = rolling.progress
            new = progress.stage is not rolling.written.stage
            if progress == rolling.written or not (new or at_once or now - rolling.written_at >= WRITE):
                continue
            recorded = rollouts.decide(self._act, route.endpoint, route.revision, progress, self._act.now())
            rolling.written, rolling.written_at = progress, now
            moved = moved or new or not recorded
            if new and recorded:
                self._tell(f"{route.endpoint}: {progress.stage.value}: {progress.reason}")
        return moved


def _is_of(pointer: Pointer, datasets: Collection[str]) -> bool:
    return pointer.kind is Kind.DATASET and pointer.name in datasets


def _completing(table: Table | None) -> list[Completing]:
    """What completes requests, of every version that may answer."""
    routes = () if table is None else table.routes.values()
    return [s.completing for r in routes for s in r.sides() if s.completing is not None]


def _looked_up(table: Table) -> list[LookedUp]:
    """The snapshots that rows are looked up in, by endpoint."""
    out = {}
    for route in table.routes.values():
        for side in route.sides():
            if (one := side.completing) is not None:
                at, store = show_instant(one.store.made_at), one.store
                out[route.endpoint] = LookedUp(route.endpoint, store.dataset, store.snapshot, len(one), at)
    return list(out.values())


def _rolling(table: Table | None) -> Sequence[Route]:
    return [] if table is None else [r for r in table.routes.values() if r.rolling is not None]
