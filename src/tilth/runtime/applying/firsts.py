"""What `FROM PREDICT (y FROM d)` is answered by: a model without a name of its own, trained once for each text and its rows.

It is a candidate like any other, sealed and recorded, that no generation points at and no gate judges; `garbage` takes it after a
while. Its name is made of its text, so the same text finds it again. The rows of a query or of a source's table become a dataset, whose
name is made of that; a dataset that is deployed is used as it is. `resolved` reads, `made` acts.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Collection
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tilth.core.errors import BusyError, ProjectError, TilthError, UnknownNameError
from tilth.core.figures import figure
from tilth.core.names import did_you_mean
from tilth.kinds.model.grammar import first as read
from tilth.kinds.model.grammar import show_first
from tilth.ml.model.spec import TrainingSpec
from tilth.plan.actions import CollectDataset, Plan, TrainModel
from tilth.ports.jobs import Measured
from tilth.ports.snapshots import Manifest
from tilth.resources.graph import Graph
from tilth.resources.kinds import Resource
from tilth.runtime import sources
from tilth.runtime.act import Act
from tilth.runtime.applying import binding, candidates, collecting, gate, held_back
from tilth.runtime.applying.executor import MAKING, PROMPT_WAIT
from tilth.runtime.loading import version_of
from tilth.runtime.record import environments, notices, refreshes, runs, versions
from tilth.runtime.record.notices import Told
from tilth.runtime.record.rows import Reader
from tilth.runtime.record.runs import Begun, Ended
from tilth.runtime.record.snapshots import manifest_of
from tilth.runtime.record.versions import REASON, Version
from tilth.runtime.unforeseen import known
from tilth.runtime.workspace import Workspace
from tilth.sql.language.normal import normal
from tilth.sql.language.statements import CreateDataset, CreateModel, DatasetRef, Declaration, Kind, Query
from tilth.sql.language.tokens import Cursor
from tilth.sql.queries.firsts import firsts

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]

PREFIX, ROWS = "predict_", "_rows"
ACTION = "Predict"
REPLICATES, MOST = 200, 20_000  # of the rows that judge: draws for its interval, and rows that are drawn from
WAIT = 0.2  # seconds between two looks whether another session is done with the same


@dataclass(frozen=True, slots=True)
class First:
    """One, as a graph of what is deployed that it needs and of what it brings. `data` is the resource of its rows."""

    said: CreateModel  # as it was written
    model: Resource
    data: Resource
    graph: Graph
    own: bool  # its rows are a dataset of its own

    @property
    def text(self) -> str:
        return show_first(self.said)

    @property
    def line(self) -> str:
        """Its text in one line."""
        return " ".join(self.text.split())


def said_in(text: str) -> CreateModel:
    """The declaration in the text of one, as `First.text` gives it."""
    c = Cursor(f"SELECT * FROM {text}")
    (one,) = firsts(c)
    return named(read(c.within(one.first, one.last), PREFIX, c.position(one.first, one.last)))


def named(said: CreateModel) -> CreateModel:
    """The declaration under the name that its text makes."""
    digest = hashlib.sha256(normal(show_first(replace(said, name=PREFIX))).encode()).hexdigest()
    return replace(said, name=f"{PREFIX}{digest[:12]}")


def declared(said: CreateModel, views: Collection[str]) -> tuple[CreateModel, CreateDataset | None]:
    """The model, and the dataset that it learns from where that is its own: of a query, or of all of a view."""
    source = said.source
    if isinstance(source, DatasetRef) and source.name in views:
        source = Query(f"SELECT * FROM {source.name}", source.position)
    if isinstance(source, DatasetRef):
        return replace(said, told=()), None
    assert isinstance(source, Query)
    rows = f"{said.name}{ROWS}"
    return replace(said, told=(), source=DatasetRef(rows)), CreateDataset(
        rows, source, position=said.position
    )


def resolved(
    said: CreateModel, deployed: Graph, compiled: Callable[[list[Declaration]], Graph], environment: str
) -> First:
    """It over what is deployed; UnknownNameError for a dataset that is not."""
    views = [r.name for r in deployed.of_kind(Kind.VIEW)]
    if isinstance(said.source, DatasetRef) and said.source.name not in views:
        _check_there(said.source, deployed, environment)
    model, data = declared(said, views)
    there = _beside(deployed, {model.name, f"{model.name}{ROWS}"})
    with _plainly(model.name):
        graph = compiled([*there, *([data] if data is not None else []), model])
    resource = graph.get(model.name)
    own = graph.restricted_to([model.name])
    assert isinstance(model.source, DatasetRef)
    return First(said, resource, graph.get(model.source.name), own, data is not None)


def _beside(deployed: Graph, own: Collection[str]) -> list[Declaration]:
    """What it may be made of; not itself, where it was adopted and is remembered so, nor what is made of that."""
    adopted = [r.name for r in deployed if r.remembered in own]
    out = {*adopted, *(r.name for name in adopted for r in deployed.downstream(name))}
    kinds = (Kind.SOURCE, Kind.DATASET, Kind.VIEW, Kind.MODEL)
    return [r.declaration for r in deployed if r.kind in kinds and r.name not in out]


def _check_there(source: DatasetRef, deployed: Graph, environment: str) -> None:
    found = deployed.find(source.name)
    if found is not None and found.kind is Kind.DATASET:
        return
    names = [r.name for r in deployed if r.kind in (Kind.DATASET, Kind.VIEW)]
    hint = f"{did_you_mean(source.name, names, 'datasets')} One that the files declare is there once `tilth apply` collected it."
    if found is not None and found.kind is Kind.SOURCE:
        hint = f"`{source.name}` is a source: write its table too, FROM {source.name}.<table>."
    raise UnknownNameError(
        f"There is no dataset `{source.name}` in `{environment}`, which PREDICT could learn from.",
        hint=hint,
        where=source.position,
    )


@contextmanager
def _plainly(name: str) -> Iterator[None]:
    """Errors say PREDICT where they would say a name that nobody gave."""
    try:
        yield
    except TilthError as error:
        if error.hint:
            error.hint = re.sub(rf"(, )?{name}({ROWS})?(?=[,.])", "", error.hint)  # of names that there are
        for made in (f"`{name}{ROWS}`", f"`{name}`"):
            for before in ("model ", "Model ", "dataset ", "Dataset ", ""):
                error.message = error.message.replace(before + made, "PREDICT")
                error.hint = error.hint.replace(before + made, "PREDICT") if error.hint else error.hint
        raise


# --- what there is -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """What there is of one: the rows that it would learn from now, None before they are collected; a version; since when it is so."""

    manifest: Manifest | None
    version: Version | None
    fresh: bool = True  # whether those are certainly the rows that there are now


def there(work: Workspace, environment: str, one: First) -> Found:
    """What was made of it before, and whether that is what it would be now. Sources are asked whether they changed, at most."""
    if not one.own:
        _, pointers = environments.pointers_of(work.state, environment)
        target = next((p.target for p in pointers if (p.kind, p.name) == (Kind.DATASET, one.data.name)), None)
        if target is None:
            raise ProjectError(
                f"Dataset `{one.data.name}` is not collected yet.",
                hint=f"REFRESH DATASET {one.data.name}, or `tilth apply`, collects it.",
                where=one.said.position,
            )
        manifest = manifest_of(work.state, target)
        return Found(manifest, made_of(work.state, one, manifest))
    last = next((r for r in refreshes.recent(work.state, one.data.recipe, 5) if r.status == refreshes.PUBLISHED), None)  # fmt: skip
    if last is None or last.snapshot is None:
        return Found(None, None)
    try:
        manifest = manifest_of(work.state, last.snapshot)
    except UnknownNameError:
        return Found(None, None)  # gc took it
    return Found(manifest, made_of(work.state, one, manifest), _unchanged(work, one))


def _unchanged(work: Workspace, one: First) -> bool:
    """Whether every table that it reads says that it is what it was."""
    if not one.data.tables or len(one.graph.of_kind(Kind.DATASET)) > 1:
        return False  # rows of other datasets have no tokens
    with sources.opened(one.graph, work.root, {t.source for t in one.data.tables}) as opened:
        now = collecting.change_tokens(one.data, opened, lambda source: one.graph.get(source).remembered)
    before = refreshes.last_tokens(work.state).get(one.data.recipe)
    return len(now) == len({(t.source, t.table) for t in one.data.tables}) and now == before


def made_of(reader: Reader, one: First, manifest: Manifest) -> Version | None:
    """The version of that text and those rows, if there is one."""
    found = versions.unjudged(reader, one.model.name, one.model.recipes, manifest.id)
    judged = versions.judged(reader, one.model.name, one.model.recipes, manifest.id)
    return found or (judged[-1] if judged else None)


def unadopted(reader: Reader) -> tuple[Version, ...]:
    """Those that are there and that no declaration took along, the last one last."""
    kept = (v for v in versions.all_of(reader) if v.reason.startswith(REASON) and v.removed_at is None)
    return tuple(sorted((v for v in kept if v.model == v.origin), key=lambda v: v.created_at))


# --- making ------------------------------------------------------------------------------------------------


def made(act: Act, one: First) -> Version:
    """Collect its rows, if they are its own, and train it, unless that was done for the same rows."""
    with (
        _alone(act, one.model.name),
        act.work.locks.hold(MAKING, PROMPT_WAIT, shared=True),
        _plainly(one.model.name),
    ):
        found = there(act.work, act.environment, one)
        if found.version is not None and found.fresh:
            return found.version
        started = time.monotonic()
        number = runs.start(act, Begun(ACTION, Kind.MODEL, one.model.name, one.line))
        jobs = Measured(act.work.jobs)
        try:
            version = _made(replace(act, work=replace(act.work, jobs=jobs)), one, found)
        except BaseException as error:
            words = known(error).message if isinstance(error, Exception) else type(error).__name__
            runs.finish(act, number, Ended("failed", time.monotonic() - started, words, jobs.peak))
            raise
        runs.finish(act, number, Ended("done", time.monotonic() - started, None, jobs.peak))
        return version


@contextmanager
def _alone(act: Act, name: str) -> Iterator[None]:
    """While no other session makes the same; each look at whether one does is a step, so that who waits can be ended."""
    while True:
        try:
            held = act.work.locks.hold(f"first-{name}")
            held.__enter__()
            break
        except BusyError:
            act.progress.step(f"wait for {name}, which another session trains")
            time.sleep(WAIT)
    try:
        yield
    finally:
        held.__exit__(None, None, None)


def _made(act: Act, one: First, found: Found) -> Version:
    work = act.work
    names, of = [r.name for r in one.graph.of_kind(Kind.SOURCE)], _others(act, one)
    with sources.opened(one.graph, work.root, names) as opened:
        todo = (
            *((CollectDataset(one.data.name, one.data.recipe, ""),) if one.own else ()),
            TrainModel(one.model.name, one.model.recipe, "", None),
        )
        binding.check(Plan(act.environment, 0, todo), one.graph, opened, of, work.engine)
        manifest = found.manifest
        if one.own and not (found.fresh and manifest is not None):
            query = one.data.as_(CreateDataset)
            manifest = collecting.refresh(act, one.data, query, opened, of, None, {}).manifest
        assert manifest is not None, "a dataset that is deployed has one"
    if (version := made_of(work.state, one, manifest)) is not None:
        return version
    data = None if one.own else one.data.as_(CreateDataset)
    version = candidates.train(act, one.model, data, manifest, REASON + one.text)
    act.progress.step(f"judge {one.model.name}")
    _note_score(act, one, data, manifest, version)
    return version


def _others(act: Act, one: First) -> dict[str, Manifest]:
    """The snapshots of the deployed datasets that it reads."""
    _, pointers = environments.pointers_of(act.work.state, act.environment)
    wanted = {r.name for r in one.graph.of_kind(Kind.DATASET)}
    return {
        p.name: manifest_of(act.work.state, p.target)
        for p in pointers
        if p.kind is Kind.DATASET and p.name in wanted and p.target is not None
    }


def warnings(one: First, version: Version) -> tuple[str, ...]:
    """What would hold it before a gate: a leak, or that what answers is not what was judged."""
    declared = one.model.as_(CreateModel)
    found = (w for part in version.parts for w in (held_back.leaks(part, declared), held_back.apart(part)))
    return tuple(w for w in found if w)


# --- the score ---------------------------------------------------------------------------------------------


def _note_score(
    act: Act, one: First, data: CreateDataset | None, manifest: Manifest, version: Version
) -> None:
    """Keep with the version how good it is, of each target."""
    spec = candidates.spec_of(act.work, one.model.as_(CreateModel), data, manifest.schema)
    told = [_score(act.work, part, manifest, version) for part in spec.of_each()]
    with act.change() as change:
        before = notices.of(change, notices.MODEL, version.model, str(version.version))
        notices.put(
            change, notices.MODEL, version.model, str(version.version), [*told, *before], version.created_at
        )
        change.audit("score", version.model, {"version": version.version, "said": [t.text for t in told]})


def _score(work: Workspace, spec: TrainingSpec, manifest: Manifest, version: Version) -> Told:
    """Its metric on rows that it did not learn from, with an interval of 95 % by drawing those rows anew."""
    import numpy as np

    facts = next((p.facts for p in version.parts if p.facts.get("output") == spec.output), version.facts)
    metric = str(facts["metric"])
    models = version_of(work, version.model, version.version).parts
    cut = next((m.threshold for m in models if m.signature.target == spec.target), models[0].threshold)
    _, truth, scores = gate.unseen(work, spec, manifest, version)
    value, random, drawn = _evaluated(metric, truth, scores, cut), np.random.default_rng(0), list[float]()
    for _ in range(REPLICATES if 1 < len(truth) <= MOST else 0):
        rows = random.integers(0, len(truth), len(truth))
        found = _evaluated(metric, truth[rows], scores[rows], cut)
        drawn += [found] if found is not None else []
    ends = ""
    if len(drawn) > REPLICATES / 2:
        low, high = np.quantile(drawn, [0.025, 0.975])
        ends = f" ({figure(float(low))} to {figure(float(high))})"
    of = f" of {spec.output}" if spec.beside else ""
    shown = "is not defined" if value is None else f"{figure(value)}{ends}"
    return Told(notices.SCORE, f"{metric}{of} {shown} on {len(truth):,} rows that it did not learn from")


def _evaluated(metric: str, truth: Array, scores: Array, cut: float) -> float | None:
    """The metric; None where these rows do not define it."""
    import math

    from tilth.ml.model import metrics

    try:
        found = metrics.evaluate(metric, truth, scores, cut)
    except TilthError:
        return None
    return found if math.isfinite(found) else None
