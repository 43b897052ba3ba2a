"""Keeps an environment as it was applied: refreshes, looks, retrains, again and again, unattended.

A step asks the planner what is due, has it done, and looks at the models that are due, until nothing is left to do; then
it writes the instant into `nodes`, so that a replay can wait for it. What fails is left alone for a while (`backoff`)
and stops nothing else. It decides nothing itself: the plan is `plan.planner`'s, the figures are `watching`'s.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import replace
from datetime import timedelta

from tilth.core.errors import BusyError, ResourceLimitError, StateChangedError, StorageError, TilthError
from tilth.core.principals import reconciler
from tilth.core.time import Instant, show_instant
from tilth.kinds import plan as planned
from tilth.plan.actions import Action, Plan
from tilth.plan.snapshot import Current
from tilth.ports.progress import Progress, Silent
from tilth.resources.graph import Graph
from tilth.runtime.act import Act
from tilth.runtime.applying import changes, executor, garbage
from tilth.runtime.applying.executor import Applied, Did
from tilth.runtime.applying.handlers import DONE, WAITING
from tilth.runtime.keeping.backoff import Backoff
from tilth.runtime.keeping.notifying import Notifier
from tilth.runtime.keeping.pulse import IDLE, POLL, Pulse
from tilth.runtime.keeping.scheduling import Run, Scheduler
from tilth.runtime.keeping.scrubbing import Scrubber
from tilth.runtime.record import environments, nodes, runs
from tilth.runtime.record.current import current
from tilth.runtime.record.runs import Begun, Ended
from tilth.runtime.serving import rollouts
from tilth.runtime.watching import watcher as watching
from tilth.runtime.workspace import Workspace

FAST_POLL = 0.005  # of a replay, in which every day is waited for
BUSY = 0.5  # seconds before a lock that another holds is tried again
HEARTBEAT = timedelta(hours=1)  # how old `reconciled_at` may become while there is nothing to do
DAILY = timedelta(days=1)
MOST_ROUNDS = 20  # of planning in one step

Apply = Callable[..., Applied]
Tell = Callable[[str], None]


class Reconciler:
    """One environment's. `graph_of` gives what was applied; `tell` gets one line for each thing done.

    With `replay` (a clock that somebody moves) every instant at which it comes to rest is written down. `room` raises
    ResourceLimitError while nothing may be made; `run` runs a job or trigger, without it none is.
    """

    def __init__(
        self,
        work: Workspace,
        environment: str,
        graph_of: Callable[[], Graph],
        apply: Apply = executor.apply,
        progress: Progress | None = None,
        tell: Tell | None = None,
        *,
        replay: bool = False,
        room: Callable[[], None] = lambda: None,
        run: Run | None = None,
    ) -> None:
        self._work, self._room = work, room
        self._environment = environment
        self._act = Act(work, environment, reconciler(environment), progress or Silent())
        self._graph_of = graph_of
        self._apply = apply
        self._tell = tell or (lambda _line: None)
        self._replay = replay
        self._backoff, self._looking = Backoff(), Backoff()
        self._complaints: tuple[set[str], set[str]] = set(), set()  # of the step before, and of this one
        self._watcher = watching.Watcher(work, environment)
        self._graph: tuple[tuple[str, ...], Graph] | None = None
        self._rested: Instant | None = None
        self._retired: Instant | None = None
        self._scrubber = Scrubber(work, self._act.by, self._complain)
        self._pulse = Pulse(work, replay=replay)
        self._notifier = Notifier(work, environment, self._tell)
        self._scheduler = (
            None if run is None else Scheduler(work, environment, graph_of, run, self._tell, replay=replay)
        )
        self._apart: threading.Thread | None = None  # where jobs run while this waits for a training

    def run(self, stop: threading.Event) -> None:
        """Make a step whenever something moved, until stopped. A failure is told and tried again later."""
        if self._scheduler is not None and not self._replay:
            self._apart = threading.Thread(
                target=self._scheduler.loop, args=(stop,), name="tilth-jobs", daemon=True
            )
            self._apart.start()
        self._loop(stop)
        if self._apart is not None:
            self._apart.join()

    def _loop(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                if self._pulse.woken():
                    self.step(self._work.clock.now())
                    self._pulse.sleep_until(self._backoff.next_wall(self._work.clock.now()))
                self._notifier.tend(self._work.clock.now())
            except KeyboardInterrupt:
                return
            except BusyError:
                self._pulse.sleep_until(time.monotonic() + BUSY)
            except Exception as error:
                self._complain(f"cannot go on for now: {_words(error)}")
                self._pulse.sleep_until(time.monotonic() + IDLE)
            stop.wait(FAST_POLL if self._replay else POLL)

    def step(self, now: Instant) -> bool:
        """Do what is due until it rests, and write that down; whether anything was done.

        BusyError when another apply of this environment is under way.
        """
        did = False
        self._complaints = self._complaints[1], set()
        for line in rollouts.expire(self._act, now):
            self._tell(line)
            did = True
        graph = self._deployed()
        if graph is not None and self._has_room():
            did = self._settle(graph, now) or did
        if self._scheduler is not None and self._apart is None:
            did = self._scheduler.step(now) or did
        if did or self._rested is None:
            self._compact()
        self._retire(now)
        self._scrubber.step(now)
        self._notifier.step(graph, now)
        self._rest(now, did=did)
        return did

    def _has_room(self) -> bool:
        """Whether something may be made; what is in the way is told, once."""
        try:
            self._room()
        except ResourceLimitError as error:
            self._complain(error.message)
            return False
        return True

    def _settle(self, graph: Graph, now: Instant) -> bool:
        did, seen = False, set[Hashable]()
        changed = changes.look_for(self._work, graph, self._complain)
        for _ in range(MOST_ROUNDS):
            todo = self._due(graph, now, changed, seen)
            if todo.actions:
                self._perform(graph, todo, now)
                seen |= {_key(a) for a in todo.actions}
                did, changed = True, frozenset[str]()
                continue
            if not self._look(graph, now):
                break
            did = True
        return did

    def _look(self, graph: Graph, now: Instant) -> bool:
        """Look at the models that are due; one that cannot be looked at, or all when the log cannot be read, rest a while."""
        wall = time.monotonic()

        def failed(one: watching.Served, error: TilthError) -> None:
            self._looking.failed(one.model, now, wall)
            self._complain(f"{one.model}@{one.version} cannot be looked at: {error.message}")

        try:
            looks = self._watcher.look(now, graph, only=lambda s: self._may_look(s, now, wall), failed=failed)
        except BusyError:
            raise
        except Exception as error:
            self._complain(f"nothing can be looked at for now: {_words(error)}")
            return False
        for one in looks:
            self._looking.worked(one.model)
            self._tell(watching.words(one))
        return bool(looks)

    def _may_look(self, one: watching.Served, now: Instant, wall: float) -> bool:
        """Whether it is not left alone for now; what was told of it stays told meanwhile."""
        if self._looking.ready(one.model, now, wall):
            return True
        own = f"{one.model}@{one.version} "
        self._complaints[1].update(line for line in self._complaints[0] if line.startswith(own))
        return False

    def _complain(self, line: str) -> None:
        """Tell it, unless the step before has told it already."""
        if line not in self._complaints[0] and line not in self._complaints[1]:
            self._tell(line)
        self._complaints[1].add(line)

    def _deployed(self) -> Graph | None:
        """What was applied, compiled when a declaration changes; None before the first apply."""
        number, pointers = environments.pointers_of(self._work.state, self._environment)
        if not number:
            return None
        texts = tuple(p.text for p in pointers)
        if self._graph is None or self._graph[0] != texts:
            self._graph = (texts, self._graph_of())
        return self._graph[1]

    def _due(self, graph: Graph, now: Instant, changed: frozenset[str], seen: set[Hashable]) -> Plan:
        """The plan, without what failed a short while ago and what this step has already done."""
        found = current(self._work.state, self._environment, changed, self._work.serving)
        if self._is_old(found):
            return Plan(self._environment, found.generation, ())
        whole = planned(graph, found, now)
        self._backoff.forget_all_but({_key(a) for a in whole.actions} | seen)
        wall = time.monotonic()
        ready = tuple(
            a for a in whole.actions if _key(a) not in seen and self._backoff.ready(_key(a), now, wall)
        )
        return replace(whole, actions=ready)

    def _is_old(self, found: Current) -> bool:
        """Whether somebody published meanwhile. With our graph it would be undone; the next step takes the new one."""
        return self._graph is None or self._graph[0] != tuple(p.text for p in found.pointers)

    # --- doing ---------------------------------------------------------------------------------------------

    def _perform(self, graph: Graph, todo: Plan, now: Instant) -> None:
        """Have the plan done. When it cannot even begin, its actions are tried one by one."""
        try:
            self._once(graph, todo, now)
        except BusyError:
            raise
        except StateChangedError:
            return  # somebody published meanwhile: the next step takes up what is there then
        except TilthError as error:
            if len(todo.actions) == 1:
                self._refused(todo.actions[0], error, now)
                return
            for action in todo.actions:
                found = current(self._work.state, self._environment, serving=self._work.serving)
                if self._is_old(found):
                    return
                self._perform(graph, replace(todo, generation=found.generation, actions=(action,)), now)

    def _once(self, graph: Graph, todo: Plan, now: Instant) -> None:
        done = self._apply(
            self._act,
            graph,
            plan=todo,
            go_on=True,
            bind=False,
            tell=self._told,
        )
        for one in done.did:
            if one.status == DONE:
                self._backoff.worked(_key(one.action))
            elif one.status == WAITING:
                self._backoff.waits(_key(one.action), now, time.monotonic())
            else:
                self._backoff.failed(_key(one.action), now, time.monotonic())

    def _told(self, did: Did) -> None:
        self._tell(f"{did.action.name}: {did.action.reason}: {did.status}: {did.text}")

    def _refused(self, action: Action, error: TilthError, now: Instant) -> None:
        """An action that could not begin: its row in `runs` is written here."""
        self._backoff.failed(_key(action), now, time.monotonic())
        self._tell(f"{action.name}: {action.reason}: failed: {error.message}")
        with self._act.change(now) as change:
            number = runs.begin(change, self._environment, Begun.of(action), now)
            runs.end(change, number, Ended("failed", 0.0, error.message, 0), now)
            change.audit("finish", action.name, {"run": number, "status": "failed"})

    def _compact(self) -> None:
        try:
            count = self._work.log.compact()
        except StorageError as error:
            self._complain(f"predictions stay in segments: {error.message}")
            return
        if count:
            self._tell(f"{count} closed segments of predictions became Parquet")

    def _retire(self, now: Instant) -> None:
        """Once a day, what `[keep]` says is old goes; while an apply is under way, a step later."""
        if self._retired is not None and now - self._retired < DAILY:
            return
        try:
            freed = garbage.retire(self._work, self._act.by)
        except BusyError:
            return
        except StorageError as error:
            self._complain(f"what is old stays: {error.message}")
        else:
            if freed.bytes or freed.looks or freed.messages:
                self._tell(
                    f"what [keep] says is old went: {freed.bytes / 1e6:.1f} MB, {freed.looks} looks, {freed.messages} messages"
                )
        self._retired = now

    # --- resting -------------------------------------------------------------------------------------------

    def _rest(self, now: Instant, *, did: bool) -> None:
        """Write the instant into the nodes of this environment, when somebody may wait for it or an hour has passed."""
        old = self._rested is None or now - self._rested >= HEARTBEAT
        mine = nodes.of(self._work.state, self._environment)
        stale = [n.name for n in mine if self._wants(n.reconciled_at, now, always=did or old)]
        if not stale and (mine or not (did or old)):
            return
        with self._act.change(now) as change:
            if not mine:
                stale = [f"reconciler-{self._environment}"]
                nodes.begin(change, stale[0], "", self._environment, now)
            for name in stale:
                nodes.rested(change, name, now)
            change.audit("reconcile", self._environment, {"at": show_instant(now)})
        self._rested = now

    def _wants(self, written: Instant | None, now: Instant, *, always: bool) -> bool:
        if written is None:
            return True
        return (always or self._replay) and written != now


def _key(action: Action) -> Hashable:
    return (type(action).__name__, action.name, getattr(action, "recipe", None))


def _words(error: Exception) -> str:
    return error.message if isinstance(error, TilthError) else f"{type(error).__name__}: {error}"
