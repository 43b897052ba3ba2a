"""Performs a plan: one handler an action, one generation an apply.

Handlers make content (snapshots, versions), which is recorded as it is made and is worth keeping whatever happens next;
pointers move only at the end, all in one transaction. So after a crash, or an error that ends an apply, the
environment is what it was, and the next plan finds what was made and shares it instead of making it again. Where an
apply goes on after an error, `settling` says what may be published.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace

from tilth.core.errors import TilthError
from tilth.kinds import KINDS, alone
from tilth.kinds import plan as planned
from tilth.plan.actions import (
    Action,
    CollectDataset,
    DeclareSource,
    DeclareTrigger,
    DeclareView,
    DropResource,
    Note,
    Plan,
    Rename,
    ShareSnapshot,
    TrainModel,
)
from tilth.plan.snapshot import Current, Pointer
from tilth.ports.jobs import Measured
from tilth.resources.graph import Graph
from tilth.resources.kinds import Resource
from tilth.runtime import sources
from tilth.runtime.act import Act
from tilth.runtime.applying import arriving, binding, changes, dropping, renaming, shapes
from tilth.runtime.applying.handlers import (
    DONE,
    FAILED,
    HANDLERS,
    HELD,
    REFUSED,
    WAITING,
    Run,
    datasets,
)
from tilth.runtime.applying.settling import Pointers, settled
from tilth.runtime.moving.publishing import Move, check_name, moved, publish
from tilth.runtime.project import estimators
from tilth.runtime.record import runs
from tilth.runtime.record.current import current
from tilth.runtime.record.runs import Begun, Ended
from tilth.runtime.record.snapshots import manifest_of
from tilth.runtime.unforeseen import known
from tilth.sql.language.scheduled import CreateTrigger
from tilth.sql.language.statements import (
    Kind,
)

ASKED = "asked for by"  # how the reason begins of an action that a statement asks for by name
MAKING = "the project"  # the lock that all who make content share, and that whoever removes it holds alone


@dataclass(frozen=True, slots=True)
class Did:
    """What became of one action: `status` is done | refused | held | failed, `text` says it for people."""

    action: Action
    status: str
    text: str
    seconds: float
    target: str | None = None
    error: TilthError | None = None
    notices: tuple[str, ...] = ()  # what people should know of how it was made


@dataclass(frozen=True, slots=True)
class Applied:
    """A finished apply; `generation` is the environment's now, whether it moved or not."""

    plan: Plan
    generation: int
    did: tuple[Did, ...] = ()
    stays: tuple[Note, ...] = ()  # what was made and is not published, for something with it failed

    @property
    def refusals(self) -> tuple[Did, ...]:
        """Candidates that did not pass their gate, what waits for one that does, and datasets that are not ready."""
        return tuple(d for d in self.did if d.status in (REFUSED, HELD, WAITING))

    @property
    def errors(self) -> tuple[Did, ...]:
        return tuple(d for d in self.did if d.status == FAILED)

    def whole(self) -> Applied:
        """Itself when nothing failed; else raises the first error, which says how far the others came."""
        for did in self.errors:
            assert did.error is not None
            stands = (
                f"What succeeded is published: {self.plan.environment} is at generation {self.generation}."
            )
            did.error.detail = (*did.error.detail, stands if self.moved else "Nothing is published.")
            raise did.error
        return self

    @property
    def moved(self) -> bool:
        """Whether the environment has a new generation."""
        return self.generation != self.plan.generation


@dataclass(frozen=True, slots=True)
class Change:
    """One resource declared or dropped at a prompt. `graph_of` makes what is wanted of what is deployed, None when that
    is so already; it is called while nobody else can publish, so that what another session declares is not undone.
    """

    name: str
    graph_of: Callable[[], Graph | None]


PROMPT_WAIT = 10.0  # seconds that a declaration at a prompt waits for an apply under way
Tell = Callable[[Did], None]


def apply(
    act: Act,
    wanted: Graph | Change,
    *,
    plan: Plan | Callable[[], Plan] | None = None,
    go_on: bool = False,
    bind: bool = True,
    allow_drop: bool | Collection[str] = True,
    tell: Tell | None = None,
) -> Applied:
    """Plan against what is recorded (or take the given plan, or what gives one and is called under the lock) and perform it.
    Of a Change its resource alone is planned.

    The first failing action ends it and raises, and no pointer moves; with `go_on` the others are done, what stands is
    published, and the error is in the result. `bind`: a name that nothing is called raises before anything is done
    (the reconciler has each action fail by itself). `allow_drop`: which names may be dropped though they serve, all or
    none; ServedDropError before anything is done. BusyError when another apply of this environment is under way.
    """
    work, environment = act.work, act.environment
    check_name(environment)
    wait = PROMPT_WAIT if isinstance(wanted, Change) else 0.0
    with (
        work.locks.hold(MAKING, wait, shared=True),
        work.locks.hold(f"apply-{environment}", wait),
    ):
        runs.forget_abandoned(act)
        now = current(work.state, environment, serving=work.serving)
        whole = plan is None or callable(plan)
        if callable(plan):
            plan = plan()
        if plan is not None and plan.generation != now.generation:
            raise moved(environment, now.generation, plan.generation)
        graph = wanted.graph_of() if isinstance(wanted, Change) else wanted
        if isinstance(wanted, Graph) and whole:
            runs.forget_undeclared(act, {r.remembered for r in wanted})
        if graph is None:
            return Applied(Plan(environment, now.generation, ()), now.generation)
        if isinstance(wanted, Change):
            todo = alone(planned(graph, now, work.clock.now()), wanted.name, graph, now)
        else:
            todo = plan if plan is not None else changes.planned(work, graph, environment)
        dropping.check(todo, now, allow_drop)
        if not todo.actions:
            return Applied(todo, now.generation)
        with renaming.taken(act, graph):
            return _done(act, graph, todo, now, go_on=go_on, bind=bind, tell=tell or (lambda _: None))


def _done(
    act: Act, graph: Graph, todo: Plan, now: Current, *, go_on: bool, bind: bool, tell: Tell
) -> Applied:
    """The plan performed against what is, and what stands of it published."""
    work, environment, here = act.work, act.environment, KINDS.called(graph, now)
    with sources.opened(graph, work.root, _source_names(graph, todo)) as opened:
        jobs = Measured(work.jobs)
        pointers = {(p.kind, p.name): p for p in here.pointers}
        run = Run(
            replace(act, work=replace(work, jobs=jobs)),
            graph,
            opened,
            pointers,
            environment == work.serving,
            jobs,
        )
        if bind:
            _check_bound(run, todo)
        did, lost = _perform(run, todo, go_on, tell)
    before = {(p.kind, p.name): p for p in here.pointers}
    standing, stays = settled(before, run.pointers, graph, lost)
    named = {s.name for s in stays}
    published = tuple(d for d in did if d.status == DONE and d.action.name not in named)
    generation = _publish(run, now.pointers, standing, todo, published)
    return Applied(todo, generation, did, stays)


def _check_bound(run: Run, todo: Plan) -> None:
    """Every query and estimator of the plan is there to bind to, before anything is done."""
    trained = [a.name for a in todo.actions if isinstance(a, TrainModel)]
    estimators.require(run.graph, os.path.join(run.act.work.root, estimators.FOLDER), trained)
    binding.tables([a.name for a in todo.actions if isinstance(a, DeclareSource)], run.graph, run.sources)
    shares = (a for a in todo.actions if isinstance(a, ShareSnapshot))
    shared = {a.name: manifest_of(run.act.work.state, a.snapshot) for a in shares}
    try:
        binding.check(todo, run.graph, run.sources, datasets(run) | shared, run.act.work.engine)
    except TilthError as error:
        raise shapes.explained(error, todo, run.graph, run.act.work, run.sources) from error.__cause__


def _source_names(graph: Graph, todo: Plan) -> set[str]:
    """The sources that the plan's actions read, directly or through a check."""
    names: set[str] = set()
    for action in todo.actions:
        if isinstance(action, CollectDataset | DeclareView | TrainModel):
            names |= {n for n in graph.get(action.name).depends if graph.get(n).kind is Kind.SOURCE}
        if isinstance(action, DeclareSource):
            names.add(action.name)
        if isinstance(action, DeclareTrigger):
            names.add(graph.get(action.name).as_(CreateTrigger).source)
    return names


def _perform(run: Run, todo: Plan, go_on: bool, tell: Tell) -> tuple[tuple[Did, ...], dict[str, str]]:
    """What became of each action, and the names that were not made, with why."""
    did: list[Did] = []
    lost: dict[str, str] = {}  # what was not made, and why
    for action in todo.actions:
        waits = _waits(run, action, lost)
        one = _one(run, action, waits)
        did.append(one)
        tell(one)
        if one.error is not None and not go_on:
            raise one.error
        if one.status == FAILED or waits or (one.status == WAITING and not _is_there(run, action.name)):
            lost[action.name] = one.text
    return tuple(did), lost


def _waits(run: Run, action: Action, lost: dict[str, str]) -> str | None:
    """Why the action cannot be done now: what it is made from failed, or is still that of an earlier declaration."""
    resource = run.graph.find(action.name)
    if resource is None or isinstance(action, DropResource | Rename):
        return None
    for need in map(run.graph.get, resource.depends):
        if need.name in lost:
            return f"waits for `{need.name}`, which was not made: {lost[need.name]}"
        if (wait := _not_ready(run, action, need)) is not None:
            return wait
        pointer = run.pointers.get((Kind.DATASET, need.name))
        if need.kind is Kind.DATASET and pointer is not None and pointer.recipe not in need.recipes:
            return f"waits for `{need.name}`, which is not yet collected as it is declared now"
    return None


def _is_there(run: Run, dataset: str) -> bool:
    """Whether the dataset has a snapshot of before, which others can go on with."""
    pointer = run.pointers.get((Kind.DATASET, dataset))
    return pointer is not None and pointer.recipe in run.graph.get(dataset).recipes


def _not_ready(run: Run, action: Action, need: Resource) -> str | None:
    """Why something is not made of a dataset that waits for its READY WHEN; None once that is late, or where a person asked for it."""
    if need.kind is not Kind.DATASET or not isinstance(action, TrainModel | CollectDataset):
        return None
    wait = arriving.known(run.act, need)
    if wait is None or wait.late(run.act.now()) or action.reason.startswith(ASKED):
        return None
    return f"waits for `{need.name}`, which {wait.words(run.act.now())}"


def _one(run: Run, action: Action, waits: str | None) -> Did:
    """Run one action with its row in `runs`; an error becomes part of the result."""
    started = time.monotonic()
    number = runs.start(run.act, Begun.of(action))
    run.jobs.restart()
    run.told = ()
    try:
        status, text, target = (HELD, waits, None) if waits else HANDLERS[type(action)](run, action)
    except Exception as error:
        seconds, failure = time.monotonic() - started, known(error)
        _finish(run, number, FAILED, seconds, failure.message)
        return Did(action, FAILED, failure.message, seconds, None, failure)
    except BaseException as error:
        _finish(run, number, FAILED, time.monotonic() - started, type(error).__name__)
        raise
    seconds = time.monotonic() - started
    _finish(run, number, status, seconds, None if status == DONE else text)
    return Did(action, status, text, seconds, target, notices=run.told)


def _finish(run: Run, number: int, status: str, seconds: float, error: str | None) -> None:
    runs.finish(run.act, number, Ended(status, seconds, error, run.jobs.peak))


def _publish(
    run: Run, before: Iterable[Pointer], standing: Pointers, todo: Plan, done: tuple[Did, ...]
) -> int:
    """The generation that holds what stands now; the old number when nothing moved."""
    order = KINDS.order
    pointers = tuple(sorted(standing.values(), key=lambda p: (order.index(p.kind), p.name)))
    if set(pointers) == set(before):
        return todo.generation
    said = [f"{d.action.name}: {d.action.reason}" for d in done]
    reason = "; ".join(said[:5]) + ("; ..." if len(said) > 5 else "")
    move = Move(run.act.environment, todo.generation, reason, run.act.now())
    return publish(run.act.work.state, move, pointers, run.act.by)
