"""Performs a plan: one handler an action, one generation an apply.

Handlers make content (snapshots, versions), which is recorded as it is made and is worth keeping whatever happens next;
pointers move only at the end, all in one transaction. So after a crash, or an error that ends an apply, the
environment is what it was, and the next plan finds what was made and shares it instead of making it again. Where an
apply goes on after an error, `settling` says what may be published.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from tilth.core.errors import ProjectError, TilthError
from tilth.core.figures import figure
from tilth.kinds import KINDS, alone
from tilth.kinds import plan as planned
from tilth.ml.data import windows
from tilth.ml.data.collect import VOLUME, Collected
from tilth.plan.actions import (
    Action,
    CollectDataset,
    DeclareSource,
    DeployEndpoint,
    DropResource,
    Note,
    Plan,
    Redeclare,
    ShareSnapshot,
    ShareVersion,
    TrainModel,
)
from tilth.plan.snapshot import Pointer
from tilth.ports.jobs import Measured
from tilth.ports.snapshots import Manifest
from tilth.ports.source import Source
from tilth.resources.graph import Graph
from tilth.runtime import sources
from tilth.runtime.act import Act
from tilth.runtime.applying import binding, candidates, changes, collecting, gate
from tilth.runtime.applying.notices import of_source
from tilth.runtime.applying.settling import Pointers, settled
from tilth.runtime.moving.publishing import Move, check_name, moved, publish
from tilth.runtime.project import estimators
from tilth.runtime.record import environments, evidence, notices, runs, versions
from tilth.runtime.record.current import current
from tilth.runtime.record.runs import Begun, Ended
from tilth.runtime.record.snapshots import manifest_of
from tilth.runtime.record.versions import Version
from tilth.runtime.unforeseen import known
from tilth.sql.language.statements import (
    CreateDataset,
    CreateEndpoint,
    CreateModel,
    DatasetRef,
    Kind,
    NativeQuery,
    Query,
)

GATES = 1_000  # of a model that are looked at, the newest
MAKING = "the project"  # the lock that all who make content share, and that whoever removes it holds alone
DONE, REFUSED, HELD, FAILED = "done", "refused", "held", "failed"


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
        """Candidates that did not pass their gate, and what waits for one that does."""
        return tuple(d for d in self.did if d.status in (REFUSED, HELD))

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


@dataclass(slots=True)
class _Run:
    """One apply under way."""

    act: Act
    graph: Graph
    sources: Mapping[str, Source]
    pointers: dict[tuple[Kind, str], Pointer]
    gates: bool  # whether a gate holds pointers back here
    jobs: Measured  # those of `work`
    made: dict[str, Manifest] = field(default_factory=dict)
    told: tuple[str, ...] = ()  # of the action under way


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
    plan: Plan | None = None,
    go_on: bool = False,
    bind: bool = True,
    tell: Tell | None = None,
) -> Applied:
    """Plan against what is recorded (or take the given plan) and perform it. Of a Change its resource alone is planned.

    The first failing action ends it and raises, and no pointer moves; with `go_on` the others are done, what stands is
    published, and the error is in the result. `bind`: a name that nothing is called raises before anything is done
    (the reconciler has each action fail by itself). BusyError when another apply of this environment is under way.
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
        if plan is not None and plan.generation != now.generation:
            raise moved(environment, now.generation, plan.generation)
        graph = wanted.graph_of() if isinstance(wanted, Change) else wanted
        if graph is None:
            return Applied(Plan(environment, now.generation, ()), now.generation)
        if isinstance(wanted, Change):
            todo = alone(planned(graph, now, work.clock.now()), wanted.name, graph, now)
        else:
            todo = plan if plan is not None else changes.planned(work, graph, environment)
        if not todo.actions:
            return Applied(todo, now.generation)
        with sources.opened(graph, work.root, _source_names(graph, todo)) as opened:
            jobs = Measured(work.jobs)
            pointers = {(p.kind, p.name): p for p in now.pointers}
            run = _Run(
                replace(act, work=replace(work, jobs=jobs)),
                graph,
                opened,
                pointers,
                environment == work.serving,
                jobs,
            )
            if bind:
                _check_bound(run, todo)
            did, lost = _perform(run, todo, go_on, tell or (lambda _: None))
        before = {(p.kind, p.name): p for p in now.pointers}
        standing, stays = settled(before, run.pointers, graph, lost)
        named = {s.name for s in stays}
        published = tuple(d for d in did if d.status == DONE and d.action.name not in named)
        generation = _publish(run, before, standing, todo, published)
        return Applied(todo, generation, did, stays)


def _check_bound(run: _Run, todo: Plan) -> None:
    """Every query and estimator of the plan is there to bind to, before anything is done."""
    trained = [a.name for a in todo.actions if isinstance(a, TrainModel)]
    estimators.require(run.graph, os.path.join(run.act.work.root, estimators.FOLDER), trained)
    binding.tables([a.name for a in todo.actions if isinstance(a, DeclareSource)], run.graph, run.sources)
    shares = (a for a in todo.actions if isinstance(a, ShareSnapshot))
    shared = {a.name: manifest_of(run.act.work.state, a.snapshot) for a in shares}
    binding.check(todo, run.graph, run.sources, _datasets(run) | shared, run.act.work.engine)


def _source_names(graph: Graph, todo: Plan) -> set[str]:
    """The sources that the plan's actions read, directly or through a check."""
    names: set[str] = set()
    for action in todo.actions:
        if isinstance(action, CollectDataset | TrainModel):
            names |= {n for n in graph.get(action.name).depends if graph.get(n).kind is Kind.SOURCE}
        if isinstance(action, DeclareSource):
            names.add(action.name)
    return names


def _perform(run: _Run, todo: Plan, go_on: bool, tell: Tell) -> tuple[tuple[Did, ...], dict[str, str]]:
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
        if one.status == FAILED or waits:
            lost[action.name] = one.text
    return tuple(did), lost


def _waits(run: _Run, action: Action, lost: dict[str, str]) -> str | None:
    """Why the action cannot be done now: what it is made from failed, or is still that of an earlier declaration."""
    resource = run.graph.find(action.name)
    if resource is None or isinstance(action, DropResource):
        return None
    for need in map(run.graph.get, resource.depends):
        if need.name in lost:
            return f"waits for `{need.name}`, which was not made: {lost[need.name]}"
        pointer = run.pointers.get((Kind.DATASET, need.name))
        if need.kind is Kind.DATASET and pointer is not None and pointer.recipe not in need.recipes:
            return f"waits for `{need.name}`, which is not yet collected as it is declared now"
    return None


def _one(run: _Run, action: Action, waits: str | None) -> Did:
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


def _finish(run: _Run, number: int, status: str, seconds: float, error: str | None) -> None:
    runs.finish(run.act, number, Ended(status, seconds, error, run.jobs.peak))


def _publish(run: _Run, before: Pointers, standing: Pointers, todo: Plan, done: tuple[Did, ...]) -> int:
    """The generation that holds what stands now; the old number when nothing moved."""
    order = KINDS.order
    pointers = tuple(sorted(standing.values(), key=lambda p: (order.index(p.kind), p.name)))
    if set(pointers) == set(before.values()):
        return todo.generation
    said = [f"{d.action.name}: {d.action.reason}" for d in done]
    reason = "; ".join(said[:5]) + ("; ..." if len(said) > 5 else "")
    move = Move(run.act.environment, todo.generation, reason, run.act.now())
    return publish(run.act.work.state, move, pointers, run.act.by)


# --- handlers ----------------------------------------------------------------------------------------------

Result = tuple[str, str, str | None]


def _point(run: _Run, kind: Kind, name: str, recipe: str, target: str | None) -> None:
    run.pointers[(kind, name)] = Pointer(kind, name, recipe, target, run.graph.get(name).text)


def _declare(run: _Run, action: Action) -> Result:
    assert isinstance(action, DeclareSource)
    _point(run, Kind.SOURCE, action.name, action.recipe, None)
    tables = len(run.sources[action.name].tables())
    run.told = () if tables else (f"{action.name} has no table that can be read",)
    return DONE, f"declared, {tables:,} table{'' if tables == 1 else 's'} there", None


def _collect(run: _Run, action: Action) -> Result:
    assert isinstance(action, CollectDataset)
    resource = run.graph.get(action.name)
    parent = manifest_of(run.act.work.state, action.parent) if action.parent else None
    declared = resource.as_(CreateDataset)
    found = collecting.refresh(run.act, resource, declared, run.sources, _datasets(run), parent)
    run.made[action.name] = found.manifest
    run.told = _lines(found)
    _point(run, Kind.DATASET, action.name, action.recipe, found.manifest.id)
    failed = sum(not r.passed for r in found.results)
    held = f", {found.rows_quarantined:,} in quarantine" if found.rows_quarantined else ""
    checks = f"{len(found.results)} check{'s' * (len(found.results) != 1)}"
    checks += f" ({failed} with a warning or quarantine)" if failed else ""
    odd = "".join(f"; {r.observed}" for r in found.results if r.kind in (windows.FUTURE, VOLUME))
    text = f"{found.rows_read:,} rows read, {found.manifest.rows:,} in the snapshot{held}, {checks}{odd}"
    return DONE, text, found.manifest.id


def _share_snapshot(run: _Run, action: Action) -> Result:
    assert isinstance(action, ShareSnapshot)
    manifest = manifest_of(run.act.work.state, action.snapshot)
    _point(run, Kind.DATASET, action.name, action.recipe, action.snapshot)
    return DONE, f"shares a snapshot of {manifest.rows:,} rows, 0 bytes copied", action.snapshot


def _train(run: _Run, action: Action) -> Result:
    assert isinstance(action, TrainModel)
    resource = run.graph.get(action.name)
    declared = resource.as_(CreateModel)
    data, manifest = _data(run, declared)
    champion = _champion(run, action.name)
    fresh = candidates.train(run.act, resource, data, manifest, champion, action.reason)
    told = notices.of(run.act.work.state, notices.MODEL, action.name, str(fresh.version))
    run.told = (*run.told, *notices.lines(told))
    spec = candidates.spec_of(run.act.work, declared, data, manifest.schema, champion)
    run.act.progress.step(f"judge {action.name}", None)
    verdict = gate.gate(run.act, declared, spec, manifest, fresh, champion)
    seen = (
        f"version {verdict.version} ({fresh.engine}, {fresh.rows:,} rows){_figures(verdict)}: "
        f"{verdict.reason}"
    )
    return _as_judged(run, action, verdict, seen)


def _as_judged(run: _Run, action: TrainModel | ShareVersion, verdict: gate.Verdict, seen: str) -> Result:
    """Point at the version if its gate lets it in, or where gates hold nothing back."""
    number = str(verdict.version)
    if verdict.status == "promoted" or not run.gates:
        _point(run, Kind.MODEL, action.name, action.recipe, number)
        taken = (
            ""
            if verdict.status == "promoted"
            else f" Gates hold in `{run.act.work.serving}`; here it is taken all the same."
        )
        return DONE, seen + taken, number
    return (REFUSED if verdict.status == "refused" else HELD), seen, number


def _figures(verdict: gate.Verdict) -> str:
    """The candidate's metric on the gate's rows, with what it must beat."""
    r = verdict.result
    known = (("champion", r.champion_metric), ("baseline", r.baseline_metric))
    others = ", ".join(f"{name} {figure(value)}" for name, value in known if value is not None)
    if r.candidate_metric is None:
        return ""
    return f" with {verdict.metric} {figure(r.candidate_metric)}" + (f" ({others})" if others else "")


def _champion(run: _Run, model: str) -> Version | None:
    """The version that the candidate must beat: the serving environment's; this one's own where none serves yet."""
    pointer = run.pointers.get((Kind.MODEL, model))
    if run.act.environment != run.act.work.serving:
        _, serving = environments.pointers_of(run.act.work.state, run.act.work.serving)
        pointer = next((p for p in serving if p.kind is Kind.MODEL and p.name == model), pointer)
    if pointer is None or pointer.target is None:
        return None
    return versions.require(run.act.work.state, model, int(pointer.target))


def _data(run: _Run, declared: CreateModel) -> tuple[CreateDataset | None, Manifest]:
    """The rows of a model: its dataset's snapshot, or its own query, collected now."""
    if isinstance(declared.source, DatasetRef):
        data = run.graph.get(declared.source.name).as_(CreateDataset)
        return data, _manifest(run, declared.source.name)
    resource = run.graph.get(declared.name)
    sql, opened = declared.source, run.sources
    if isinstance(sql, NativeQuery):
        opened, sql = collecting.native(sql, run.sources)
    assert isinstance(sql, Query)
    query = CreateDataset(declared.name, sql, position=declared.position)
    found = collecting.refresh(run.act, resource, query, opened, _datasets(run), None)
    run.told = _lines(found)
    return None, found.manifest


def _lines(found: Collected) -> tuple[str, ...]:
    return notices.lines([of_source(name, notice) for name, notice in found.notices])


def _manifest(run: _Run, name: str) -> Manifest:
    found = _datasets(run).get(name)
    if found is None:
        raise ProjectError(
            f"Dataset `{name}` has no snapshot yet.",
            hint=f"REFRESH DATASET {name} first; its error says why.",
        )
    return found


def _datasets(run: _Run) -> dict[str, Manifest]:
    """The manifest of every dataset that the environment points at by now."""
    for (kind, name), pointer in run.pointers.items():
        if kind is Kind.DATASET and pointer.target is not None:
            known = run.made.get(name)
            if known is None or known.id != pointer.target:
                run.made[name] = manifest_of(run.act.work.state, pointer.target)
    return run.made


def _share_version(run: _Run, action: Action) -> Result:
    assert isinstance(action, ShareVersion)
    version = versions.require(run.act.work.state, action.name, action.version)
    champion = _champion(run, action.name)
    if run.gates and not _has_won(run, version, champion):
        return _judged_anew(run, action, version, champion)
    _point(run, Kind.MODEL, action.name, action.recipe, str(action.version))
    return DONE, f"shares version {action.version}", str(action.version)


def _has_won(run: _Run, version: Version, champion: Version | None) -> bool:
    """Whether the version is the champion, or passed what is declared now: against this champion, or with none to beat."""
    if champion is not None and version.version == champion.version:
        return True
    if version.status != versions.PROMOTED or champion is None:
        return version.status == versions.PROMOTED
    rule = run.graph.get(version.model).as_(CreateModel).promote
    found = evidence.gates_of(run.act.work.state, version.model, GATES)
    return evidence.has_won(found, version.version, champion.version, rule)


def _judged_anew(run: _Run, action: ShareVersion, version: Version, champion: Version | None) -> Result:
    """The version passed another gate, or by another rule: here it must pass what is declared, against the one that serves."""
    declared = run.graph.get(action.name).as_(CreateModel)
    data, manifest = _data(run, declared)
    spec = candidates.spec_of(run.act.work, declared, data, manifest.schema, champion)
    verdict = gate.gate(run.act, declared, spec, manifest, version, champion)
    seen = f"version {action.version}, judged anew{_figures(verdict)}: {verdict.reason}"
    return _as_judged(run, action, verdict, seen)


def _deploy(run: _Run, action: Action) -> Result:
    """Point at the endpoint; its revision is made with the generation (`moving.deploying`)."""
    assert isinstance(action, DeployEndpoint)
    model = run.graph.get(action.name).as_(CreateEndpoint).model
    version = run.pointers.get((Kind.MODEL, model))
    if version is None:
        return HELD, f"waits for a version of `{model}` that passes its gate", None
    _point(run, Kind.ENDPOINT, action.name, action.recipe, None)
    return DONE, f"serves version {version.target} of {model}", version.target


def _redeclare(run: _Run, action: Action) -> Result:
    assert isinstance(action, Redeclare)
    target = run.pointers[(action.kind, action.name)].target
    _point(run, action.kind, action.name, action.recipe, target)
    return DONE, "takes the changed declaration; nothing is made anew", target


def _drop(run: _Run, action: Action) -> Result:
    assert isinstance(action, DropResource)
    run.pointers.pop((action.kind, action.name), None)
    return DONE, "dropped; its data and versions stay until `tilth gc`", None


HANDLERS: Mapping[type, Callable[[_Run, Action], Result]] = {
    DeclareSource: _declare,
    CollectDataset: _collect,
    ShareSnapshot: _share_snapshot,
    TrainModel: _train,
    ShareVersion: _share_version,
    DeployEndpoint: _deploy,
    Redeclare: _redeclare,
    DropResource: _drop,
}
