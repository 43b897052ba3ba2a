"""One function an action of a plan: what it does, and what is to be said of it.

A handler makes content and changes the run's pointers; nothing of it is published until the whole is settled. The order, the
rows in `runs` and the publication are `executor`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date

from tilth.core.errors import ProjectError
from tilth.core.figures import figure
from tilth.kinds.view import times
from tilth.ml.data import windows
from tilth.ml.data.collect import USUAL, Collected
from tilth.ml.data.healing import Span
from tilth.ml.data.telling import VOLUME
from tilth.plan.actions import (
    Action,
    CollectDataset,
    DeclareChannel,
    DeclareJob,
    DeclareSource,
    DeclareTrigger,
    DeclareView,
    DeployEndpoint,
    DropResource,
    Redeclare,
    Rename,
    ShareSnapshot,
    ShareVersion,
    TrainModel,
)
from tilth.plan.snapshot import Pointer
from tilth.ports.jobs import Measured
from tilth.ports.snapshots import Manifest
from tilth.ports.source import Source
from tilth.resources.graph import Graph
from tilth.resources.kinds import Resource
from tilth.runtime import secrets
from tilth.runtime.act import Act
from tilth.runtime.applying import arriving, candidates, collecting, gate
from tilth.runtime.applying.recording import Verdict
from tilth.runtime.record import environments, evidence, names, notices, versions
from tilth.runtime.record.snapshots import manifest_of
from tilth.runtime.record.versions import Version
from tilth.sql.language.statements import (
    CreateChannel,
    CreateDataset,
    CreateEndpoint,
    CreateModel,
    DatasetRef,
    Kind,
    NativeQuery,
    Query,
)

GATES = 1_000  # of a model that are looked at, the newest
DONE, REFUSED, HELD, FAILED, WAITING = "done", "refused", "held", "failed", "waiting"


@dataclass(slots=True)
class Run:
    """One apply under way."""

    act: Act
    graph: Graph
    sources: Mapping[str, Source]
    pointers: dict[tuple[Kind, str], Pointer]
    gates: bool  # whether a gate holds pointers back here
    jobs: Measured  # those of `work`
    made: dict[str, Manifest] = field(default_factory=dict)
    told: tuple[str, ...] = ()  # of the action under way


Result = tuple[str, str, str | None]


def _point(run: Run, kind: Kind, name: str, recipe: str, target: str | None) -> None:
    run.pointers[(kind, name)] = Pointer(kind, name, recipe, target, run.graph.get(name).text)


def _declare(run: Run, action: Action) -> Result:
    assert isinstance(action, DeclareSource)
    _point(run, Kind.SOURCE, action.name, action.recipe, None)
    tables = len(run.sources[action.name].tables())
    run.told = () if tables else (f"{action.name} has no table that can be read",)
    return DONE, f"declared, {tables:,} table{'' if tables == 1 else 's'} there", None


def _collect(run: Run, action: Action) -> Result:
    assert isinstance(action, CollectDataset)
    resource = run.graph.get(action.name)
    declared = resource.as_(CreateDataset)
    if (wait := arriving.waiting(run.act, resource, run.sources, datasets(run))) is not None:
        return WAITING, wait.words(run.act.now()), None
    parent = manifest_of(run.act.work.state, action.parent) if action.parent else None
    again = (
        Span(date.fromisoformat(action.first), date.fromisoformat(action.last))
        if action.first and action.last
        else None
    )
    known = times(r.declaration for r in run.graph)
    found = collecting.refresh(
        run.act, resource, declared, run.sources, datasets(run), parent, known, run.graph, again
    )
    run.made[action.name] = found.manifest
    run.told = _lines(run, declared, found, action.recipe)
    _point(run, Kind.DATASET, action.name, action.recipe, found.manifest.id)
    failed = sum(not r.passed for r in found.results)
    held = f", {found.rows_quarantined:,} in quarantine" if found.rows_quarantined else ""
    checks = f"{len(found.results)} check{'s' * (len(found.results) != 1)}"
    checks += f" ({failed} with a warning or quarantine)" if failed else ""
    odd = "".join(
        f"; {r.observed}" for r in found.results if r.kind in (windows.FUTURE, VOLUME, USUAL) and not r.passed
    )
    words = found.healed.words if found.healed is not None else ""
    healed = f"; {words}" if words else ""
    text = (
        f"{found.rows_read:,} rows read, {found.manifest.rows:,} in the snapshot{held}, {checks}{healed}{odd}"
    )
    return DONE, text, found.manifest.id


def _share_snapshot(run: Run, action: Action) -> Result:
    assert isinstance(action, ShareSnapshot)
    manifest = manifest_of(run.act.work.state, action.snapshot)
    _point(run, Kind.DATASET, action.name, action.recipe, action.snapshot)
    return DONE, f"shares a snapshot of {manifest.rows:,} rows, 0 bytes copied", action.snapshot


def _train(run: Run, action: Action) -> Result:
    assert isinstance(action, TrainModel)
    resource = run.graph.get(action.name)
    declared = resource.as_(CreateModel)
    data, manifest = _data(run, declared)
    run.told = (*run.told, *_not_waited_for(run, resource))
    champion = _champion(run, action.name)
    fresh = candidates.train(run.act, resource, data, manifest, action.reason, champion)
    told = notices.of(run.act.work.state, notices.MODEL, action.name, str(fresh.version))
    run.told = (*run.told, *notices.lines(told))
    spec = candidates.spec_of(run.act.work, declared, data, manifest.schema)
    run.act.progress.step(f"judge {action.name}", None)
    verdict = gate.gate(run.act, declared, spec, manifest, fresh, champion)
    of = f"{fresh.rows:,} rows" if fresh.rows else fresh.reason
    seen = f"version {verdict.version} ({fresh.engine}, {of}){_figures(verdict)}: {verdict.reason}"
    return _as_judged(run, action, verdict, seen)


def _not_waited_for(run: Run, resource: Resource) -> Iterator[str]:
    """Of each dataset whose newest rows wait for their READY WHEN, that the training did not wait for them."""
    for need in map(run.graph.get, resource.depends):
        wait = arriving.known(run.act, need) if need.kind is Kind.DATASET else None
        if wait is not None:
            yield f"the training did not wait for the newest rows of {need.name}, which is {wait.words(run.act.now())}"


def _as_judged(run: Run, action: TrainModel | ShareVersion, verdict: Verdict, seen: str) -> Result:
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


def _figures(verdict: Verdict) -> str:
    """The candidate's metric on the gate's rows, with what it must beat."""
    r = verdict.result
    known = (("champion", r.champion_metric), ("baseline", r.baseline_metric))
    others = ", ".join(f"{name} {figure(value)}" for name, value in known if value is not None)
    if r.candidate_metric is None:
        return ""
    return f" with {verdict.metric} {figure(r.candidate_metric)}" + (f" ({others})" if others else "")


def _champion(run: Run, model: str) -> Version | None:
    """The version that the candidate must beat: the serving environment's; this one's own where none serves yet."""
    pointer = run.pointers.get((Kind.MODEL, model))
    if run.act.environment != run.act.work.serving:
        _, serving = environments.pointers_of(run.act.work.state, run.act.work.serving)
        known, origin = names.origins(run.act.work.state), run.graph.get(model).remembered
        there = (p for p in serving if p.kind is Kind.MODEL and known.origin(p.kind, p.name) == origin)
        pointer = next(there, pointer)
    if pointer is None or pointer.target is None:
        return None
    return versions.require(run.act.work.state, model, int(pointer.target))


def _data(run: Run, declared: CreateModel) -> tuple[CreateDataset | None, Manifest]:
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
    found = collecting.refresh(run.act, resource, query, opened, datasets(run), None, {})
    run.told = _lines(run, query, found, resource.recipe)
    return None, found.manifest


def _lines(run: Run, declared: CreateDataset, found: Collected, recipe: str) -> tuple[str, ...]:
    return notices.lines(collecting.told_of(run.act.work.state, declared, found, recipe))


def _manifest(run: Run, name: str) -> Manifest:
    found = datasets(run).get(name)
    if found is None:
        raise ProjectError(
            f"Dataset `{name}` has no snapshot yet.",
            hint=f"REFRESH DATASET {name} first; its error says why.",
        )
    return found


def datasets(run: Run) -> dict[str, Manifest]:
    """The manifest of every dataset that the environment points at by now."""
    for (kind, name), pointer in run.pointers.items():
        if kind is Kind.DATASET and pointer.target is not None:
            known = run.made.get(name)
            if known is None or known.id != pointer.target:
                run.made[name] = manifest_of(run.act.work.state, pointer.target)
    return run.made


def _share_version(run: Run, action: Action) -> Result:
    assert isinstance(action, ShareVersion)
    version = versions.require(run.act.work.state, action.name, action.version)
    champion = _champion(run, action.name)
    if run.gates and not _has_won(run, version, champion):
        return _judged_anew(run, action, version, champion)
    _point(run, Kind.MODEL, action.name, action.recipe, str(action.version))
    return DONE, f"shares version {action.version}", str(action.version)


def _has_won(run: Run, version: Version, champion: Version | None) -> bool:
    """Whether the version is the champion, or passed what is declared now: against this champion, or with none to beat."""
    if champion is not None and version.version == champion.version:
        return True
    if version.status != versions.PROMOTED or champion is None:
        return version.status == versions.PROMOTED
    rule = run.graph.get(version.model).as_(CreateModel).promote
    found = evidence.gates_of(run.act.work.state, version.model, GATES)
    return evidence.has_won(found, version.version, champion.version, rule)


def _judged_anew(run: Run, action: ShareVersion, version: Version, champion: Version | None) -> Result:
    """The version passed another gate, or by another rule: here it must pass what is declared, against the one that serves."""
    declared = run.graph.get(action.name).as_(CreateModel)
    data, manifest = _data(run, declared)
    spec = candidates.spec_of(run.act.work, declared, data, manifest.schema)
    verdict = gate.gate(run.act, declared, spec, manifest, version, champion)
    seen = f"version {action.version}, judged anew{_figures(verdict)}: {verdict.reason}"
    return _as_judged(run, action, verdict, seen)


def _deploy(run: Run, action: Action) -> Result:
    """Point at the endpoint; its revision is made with the generation (`moving.deploying`)."""
    assert isinstance(action, DeployEndpoint)
    model = run.graph.get(action.name).as_(CreateEndpoint).model
    version = run.pointers.get((Kind.MODEL, model))
    if version is None:
        return HELD, f"waits for a version of `{model}` that passes its gate", None
    _point(run, Kind.ENDPOINT, action.name, action.recipe, None)
    return DONE, f"serves version {version.target} of {model}", version.target


def _channel(run: Run, action: Action) -> Result:
    """Point at the channel, once its secrets are where it says; nothing is sent."""
    assert isinstance(action, DeclareChannel)
    declared = run.graph.get(action.name).as_(CreateChannel)
    secrets.options(declared.options, f"Channel `{declared.name}`", run.act.work.root, declared.position)
    _point(run, Kind.CHANNEL, action.name, action.recipe, None)
    about = f" of {declared.model}" if declared.model else ""
    return DONE, f"told when something{about} is {', '.join(declared.events)}", None


def _missing(run: Run, action: Action) -> str | None:
    """What it names and is not there: a model whose first version has not passed its gate, and what waits for that."""
    for name in run.graph.get(action.name).depends:
        need = run.graph.get(name)
        if (need.kind, name) not in run.pointers:
            what = "a version that passes its gate" if need.kind is Kind.MODEL else "what it needs itself"
            return f"waits for the {need.kind} `{name}`, which waits for {what}"
    return None


def _view(run: Run, action: Action) -> Result:
    assert isinstance(action, DeclareView)
    if (missing := _missing(run, action)) is not None:
        return HELD, missing, None
    _point(run, Kind.VIEW, action.name, action.recipe, None)
    above = ", ".join(run.graph.get(action.name).depends)
    return DONE, f"reads {above}" if above else "reads nothing", None


def _scheduled(run: Run, action: Action) -> Result:
    """Point at the job or trigger; its schedule begins with the generation (`moving.scheduling`)."""
    assert isinstance(action, DeclareJob | DeclareTrigger)
    if (missing := _missing(run, action)) is not None:
        return HELD, missing, None
    _point(run, action.kind, action.name, action.recipe, None)
    here = "runs from now on" if run.gates else f"declared; it runs in `{run.act.work.serving}` alone"
    return DONE, here, None


def _redeclare(run: Run, action: Action) -> Result:
    assert isinstance(action, Redeclare)
    target = run.pointers[(action.kind, action.name)].target
    _point(run, action.kind, action.name, action.recipe, target)
    return DONE, "takes the changed declaration; nothing is made anew", target


def _rename(run: Run, action: Action) -> Result:
    """Nothing is left to do: the run began with pointers that have the names that are wanted."""
    assert isinstance(action, Rename)
    target = run.pointers[(action.kind, action.name)].target
    return DONE, f"was {action.was}; nothing is made anew", target


def _drop(run: Run, action: Action) -> Result:
    assert isinstance(action, DropResource)
    run.pointers.pop((action.kind, action.name), None)
    return DONE, "dropped; its data and versions stay until `tilth gc`", None


HANDLERS: Mapping[type, Callable[[Run, Action], Result]] = {
    DeclareSource: _declare,
    CollectDataset: _collect,
    ShareSnapshot: _share_snapshot,
    TrainModel: _train,
    ShareVersion: _share_version,
    DeployEndpoint: _deploy,
    DeclareChannel: _channel,
    DeclareView: _view,
    DeclareJob: _scheduled,
    DeclareTrigger: _scheduled,
    Redeclare: _redeclare,
    Rename: _rename,
    DropResource: _drop,
}
