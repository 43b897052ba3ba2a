"""Has jobs and triggers run when they are due, several at once and none twice: what is due is `plan.calendar`'s, a run is handed in.

Each run has a thread of its own, at most so many at a time. What failed is left alone until the state says; what a dead process left is gone
on with at once. In a replay all that is due at an instant is done before the step ends.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from tilth.core.errors import BusyError, TilthError
from tilth.core.principals import reconciler
from tilth.core.time import Instant, show_instant
from tilth.plan.calendar import Calendar, Due, after, due
from tilth.resources.graph import Graph
from tilth.resources.kinds import Resource
from tilth.runtime.keeping.pulse import IDLE, POLL, Pulse
from tilth.runtime.record import environments, runs, schedules
from tilth.runtime.record.runs import Begun, Ended
from tilth.runtime.record.schedules import SKIPPED, Schedule
from tilth.runtime.workspace import Workspace
from tilth.sql.language.scheduled import CreateJob, CreateTrigger, Missed
from tilth.sql.language.statements import Kind

MOST = 4  # runs at once
SHARE = 10  # times as long as a look took, before the trigger looks again
MOST_ROUNDS = 20  # of what is due, in one step of a replay
ENDING = 20.0  # seconds that runs under way have to stop
BUSY, AWAY = 1.0, 60.0  # seconds that is left alone what another runs, and what cannot be run


class Ran(Protocol):
    """What became of a run."""

    @property
    def text(self) -> str: ...

    @property
    def quiet(self) -> bool: ...


Run = Callable[[Resource, str, Instant | None], Ran]
"""Runs a job or trigger, for a reason, at a time of its calendar."""


@dataclass(frozen=True, slots=True)
class _Ended:
    """A run that is over: what is told of it, and how long it took."""

    key: tuple[Kind, str]
    told: str | None
    alone: float  # seconds that it is left alone, whatever is due
    seconds: float


class Scheduler:
    """The jobs and triggers of the serving environment; in any other it does nothing. For one thread."""

    def __init__(
        self,
        work: Workspace,
        environment: str,
        graph_of: Callable[[], Graph],
        run: Run,
        tell: Callable[[str], None],
        *,
        replay: bool = False,
    ) -> None:
        self._work, self._environment, self._graph_of = work, environment, graph_of
        self._run, self._tell, self._replay = run, tell, replay
        self._graph: tuple[tuple[str, ...], Graph] | None = None
        self._under_way: dict[tuple[Kind, str], threading.Thread] = {}
        self._back: queue.SimpleQueue[_Ended] = queue.SimpleQueue()
        self._looked: dict[
            tuple[Kind, str], tuple[Instant, float]
        ] = {}  # by the clock, and until when on the wall
        self._busy: dict[
            tuple[Kind, str], float
        ] = {}  # what another runs, until when on the wall it is left alone
        self._next: float | None = None
        self._complained: str | None = None

    def loop(self, stop: threading.Event) -> None:
        """Make a step whenever something moved, until stopped; then wait for what is under way to stop."""
        pulse = Pulse(self._work, replay=self._replay)
        while not stop.is_set():
            try:
                if not self._back.empty() or pulse.woken():
                    self.step(self._work.clock.now())
                    pulse.sleep_until(self._next)
            except Exception as error:
                self._complain(f"jobs cannot go on for now: {_words(error)}")
                pulse.sleep_until(time.monotonic() + IDLE)
            stop.wait(POLL)
        until = time.monotonic() + ENDING
        for thread in self._under_way.values():
            thread.join(max(0.0, until - time.monotonic()))
        self._collect()

    def step(self, now: Instant) -> bool:
        """Begin what is due; in a replay also end it. Whether anything was begun."""
        if self._environment != self._work.serving:
            return False
        did = False
        for _ in range(MOST_ROUNDS if self._replay else 1):
            self._collect()
            if not self._begin(now):
                break
            did = True
            if self._replay:
                for thread in tuple(self._under_way.values()):
                    thread.join()
        self._collect()
        return did

    # --- what is due -----------------------------------------------------------------------------------------

    def _begin(self, now: Instant) -> bool:
        self._next = None
        graph = self._deployed()
        if graph is None:
            return False
        standing = {(s.kind, s.name): s for s in schedules.of(self._work.state, self._environment)}
        did = False
        for resource in (*graph.of_kind(Kind.JOB), *graph.of_kind(Kind.TRIGGER)):
            one = standing.get((resource.kind, resource.remembered))
            if one is not None and one.recipe == resource.recipe and self._free(resource):
                try:
                    did = self._consider(resource, one, now) or did
                except Exception as error:  # of one: it stops no other
                    self._busy[_key(resource)] = time.monotonic() + AWAY
                    self._tell(f"{resource.name}: cannot run for now: {_words(error)}")
        return did

    def _free(self, resource: Resource) -> bool:
        key = _key(resource)
        if key in self._under_way:
            return False
        until = self._busy.get(key, 0.0)
        if time.monotonic() < until:
            self._wake(until)
            return False
        return True

    def _consider(self, resource: Resource, one: Schedule, now: Instant) -> bool:
        """Begin it if it is due, or note when it will be."""
        if one.next_try is not None and now < one.next_try:
            self._wake_at(one.next_try, now)
            return False
        if one.turn is not None:
            reason = (
                f"tried again after {one.failures} failure{'s' * (one.failures != 1)}"
                if one.failures
                else "left by a process that ended"
            )
            return self._start(resource, reason, None)
        if resource.kind is Kind.TRIGGER:
            return self._look(resource, now)
        return self._time(resource, one, now)

    def _time(self, resource: Resource, one: Schedule, now: Instant) -> bool:
        declared = resource.as_(CreateJob)
        calendar = Calendar(one.since, declared.start, declared.end, declared.every)
        found = due(calendar, one.last_due, now)
        if found is None:
            coming = after(calendar, one.last_due)
            if coming is not None:
                self._wake_at(coming, now)
            return False
        if declared.missed is Missed.SKIP and (found.late or found.missed):
            self._skipped(resource, one, found, now)
            if found.late:
                return True
        reason = f"due {_shown(found.at)}"
        if found.missed and declared.missed is Missed.RUN_ONCE:
            reason += f", and {found.missed} time{'s' * (found.missed != 1)} before that went by"
        return self._start(resource, reason, found.at)

    def _skipped(self, resource: Resource, one: Schedule, found: Due, now: Instant) -> None:
        """Write down the times that went by."""
        declared = resource.as_(CreateJob)
        count = found.missed + found.late
        step = declared.every or timedelta()
        passed = found.at if found.late else found.at - step
        reason = f"{count} time{'s' * (count != 1)} up to {_shown(passed)} went by: MISSED SKIP"
        by = reconciler(self._environment)
        with self._work.state.change(by, show_instant(now)) as change:
            number = runs.begin(
                change, self._environment, Begun("RunJob", Kind.JOB, resource.name, reason), now
            )
            runs.end(change, number, Ended(SKIPPED, 0.0), now)
            kept = schedules.get(change, self._environment, Kind.JOB, resource.remembered)
            if kept is not None and kept.recipe == one.recipe:
                schedules.put(change, schedules.dealt_with(kept, passed))
            change.audit("skip", resource.name, {"run": number, "times": count})
        self._tell(f"{resource.name}: {reason}")

    def _look(self, resource: Resource, now: Instant) -> bool:
        """Have a trigger look, when its time has come by the clock and it took little of the time on the wall."""
        looked = self._looked.get(_key(resource))
        every = resource.as_(CreateTrigger).every
        if looked is not None:
            at, until = looked
            if now < at + every and now >= at:
                self._wake_at(at + every, now)
                return False
            if not self._replay and time.monotonic() < until:
                self._wake(until)
                return False
        self._looked[_key(resource)] = now, 0.0
        return self._start(resource, "looked", None)

    def _wake_at(self, at: Instant, now: Instant) -> None:
        self._wake(time.monotonic() + max(0.0, (at - now).total_seconds()))

    def _wake(self, wall: float) -> None:
        self._next = wall if self._next is None else min(self._next, wall)

    def _deployed(self) -> Graph | None:
        number, pointers = environments.pointers_of(self._work.state, self._environment)
        if not number:
            return None
        if not any(p.kind in (Kind.JOB, Kind.TRIGGER) for p in pointers):
            return None
        texts = tuple(p.text for p in pointers)
        if self._graph is None or self._graph[0] != texts:
            self._graph = (texts, self._graph_of())
        return self._graph[1]

    # --- running ---------------------------------------------------------------------------------------------

    def _start(self, resource: Resource, reason: str, at: Instant | None) -> bool:
        if len(self._under_way) >= MOST and not self._replay:
            self._wake(time.monotonic() + POLL)
            return False
        key = _key(resource)
        thread = threading.Thread(
            target=self._through, args=(resource, reason, at), name=f"tilth-{resource.name}", daemon=True
        )
        self._under_way[key] = thread
        thread.start()
        return True

    def _through(self, resource: Resource, reason: str, at: Instant | None) -> None:
        began = time.monotonic()
        told: str | None
        alone = 0.0
        try:
            ran = self._run(resource, reason, at)
            told = None if ran.quiet else ran.text
        except BusyError:
            told, alone = None, BUSY
        except (Exception, KeyboardInterrupt) as error:
            told, alone = f"{resource.name}: cannot run for now: {_words(error)}", AWAY
        self._back.put(_Ended(_key(resource), told, alone, time.monotonic() - began))

    def _collect(self) -> None:
        """Take back what is over, and tell it."""
        for one in self._drained():
            self._under_way.pop(one.key, None)
            wall = time.monotonic()
            if one.alone:
                self._busy[one.key] = wall + one.alone
                self._wake(wall + one.alone)
            if one.key in self._looked:
                at, _ = self._looked[one.key]
                self._looked[one.key] = at, wall + SHARE * one.seconds
            if one.told is not None:
                self._tell(one.told)

    def _drained(self) -> Iterator[_Ended]:
        while True:
            try:
                yield self._back.get_nowait()
            except queue.Empty:
                return

    def _complain(self, line: str) -> None:
        if line != self._complained:
            self._tell(line)
        self._complained = line


def _key(resource: Resource) -> tuple[Kind, str]:
    return resource.kind, resource.remembered


def _shown(at: Instant) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S")


def _words(error: BaseException) -> str:
    return error.message if isinstance(error, TilthError) else f"{type(error).__name__}: {error}"
