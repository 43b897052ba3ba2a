"""What statements do: plan, apply, move, refresh, retrain, rehearse, and declare at a prompt (`declaring`).

Imported when the first of them is performed: a question needs none of it. What is asked is in `session`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from tilth.core.errors import ProjectError, TilthError, UnknownNameError
from tilth.core.names import did_you_mean
from tilth.core.time import parse_instant
from tilth.ml.forecasting.signature import ENGINE, LEARNING
from tilth.plan.actions import CollectDataset, Plan, TrainModel
from tilth.plan.explain import facts, words
from tilth.plan.snapshot import Pointer
from tilth.ports import registry
from tilth.ports.learning import learning_of
from tilth.resources.graph import Graph
from tilth.resources.kinds import Resource
from tilth.resources.rules import duration_of
from tilth.runtime import writers
from tilth.runtime.applying import changes, executor, notices, shapes
from tilth.runtime.asking import backfilling, declaring, mending, running, tokens, writing
from tilth.runtime.asking.declaring import applied
from tilth.runtime.asking.prompt import Prompt, Result
from tilth.runtime.drills.drill import drill as rehearse
from tilth.runtime.loading import any_version_of
from tilth.runtime.moving import promotion, publishing
from tilth.runtime.moving.approval import Wish, approve
from tilth.runtime.record import declarations, environments, versions
from tilth.runtime.record.snapshots import manifest_of
from tilth.runtime.record.versions import Version
from tilth.runtime.showing import column_value, lineage
from tilth.sql.language.acts import (
    Alter,
    ApplyStatement,
    CancelRun,
    CreateTable,
    CreateToken,
    Drill,
    DropToken,
    InsertInto,
    PlanStatement,
    PromoteEnvironment,
    PromoteModel,
    RefreshDataset,
    RetrainModel,
    RollbackEnvironment,
    RunJob,
)
from tilth.sql.language.mending import ForgetFrom, HoldQuarantine, ReleaseQuarantine
from tilth.sql.language.statements import (
    CreateModel,
    DatasetRef,
    Drop,
    Kind,
    Options,
    Promote,
    PromoteRule,
)


def plan(at: Prompt, statement: PlanStatement) -> Result:
    """What would change, and why."""
    name = statement.environment or at.environment
    graph = at.declared()
    found = notices.foreseen(changes.planned(at.work, graph, name), graph, at.work.root)
    found = shapes.foreseen(found, graph, at.work)
    found = column_value.named(writers.named(found, graph, at.work.state), graph, at.work.state)
    found = lineage.named(found, at.work)
    return Result(None, words(found), facts(found))


def apply(at: Prompt, statement: ApplyStatement) -> Result:
    """Make the environment as the files declare it; what succeeds is published, and the first error raised at the end."""
    at.room()
    name = statement.environment or at.environment
    return applied(
        executor.apply(at.act(name), at.declared(), go_on=True, allow_drop=at.may_drop, tell=at.tell).whole()
    )


def promote(at: Prompt, statement: PromoteEnvironment) -> Result:
    """Give an environment all pointers of another."""
    number = promotion.promote(
        at.work.state,
        statement.source,
        statement.target,
        at.principal,
        at.work.clock.now(),
        at.work.serving,
    )
    return _moved(statement.target, number, f"holds all pointers of {statement.source}")


def promote_model(at: Prompt, statement: PromoteModel) -> Result:
    """Have a person take a version; of what the files declare, or of what is deployed when those declare it otherwise."""
    wish = Wish(statement.name, statement.version, statement.because)
    graph, again = _graph_of(at, wish)
    number = approve(at.act(), graph, wish)
    made = environments.generation(at.work.state, at.environment, number)
    assert made is not None
    done = _moved(at.environment, number, made.reason)
    if again:
        done.told.append(f"`{wish.model}` is declared again as it was when version {wish.version} was made")
    return done


def _graph_of(at: Prompt, wish: Wish) -> tuple[Graph, bool]:
    """The graph that declares the model as its version was made: the deployed one, one with a declaration that was deployed once (true), or that of the files."""
    deployed = at.deployed(at.environment)
    version = versions.get(at.work.state, wish.model, wish.version)
    found = deployed.find(wish.model)
    if found is not None and version is not None and version.recipe not in found.recipes:
        text = environments.definition_of(at.work.state, Kind.MODEL, wish.model, version.recipe)
        was = None if text is None else declarations.declared(text)
        if isinstance(was, CreateModel):
            others = [r.declaration for r in deployed if r.name != wish.model]
            return at.compiled([*others, replace(was, name=wish.model)]), True
    return _graph_there(at, deployed, found, version), False


def _graph_there(at: Prompt, deployed: Graph, found: Resource | None, version: Version | None) -> Graph:
    if found is not None and version is not None and version.recipe in found.recipes:
        return deployed
    try:
        return at.declared()
    except ProjectError:
        if found is None:
            raise
        return deployed


def rollback(at: Prompt, statement: RollbackEnvironment) -> Result:
    """Point back at an earlier generation."""
    number = publishing.rollback(
        at.work.state,
        statement.environment,
        statement.generation,
        at.principal,
        at.work.clock.now(),
    )
    made = environments.generation(at.work.state, statement.environment, number)
    assert made is not None
    return _moved(statement.environment, number, made.reason)


def refresh(at: Prompt, statement: RefreshDataset) -> Result:
    """Collect a deployed dataset now."""
    pointer = pointer_of(at, Kind.DATASET, statement.name)
    graph = at.deployed(at.environment)
    recipe = graph.get(statement.name).recipe
    todo = CollectDataset(statement.name, recipe, "asked for by REFRESH", pointer.target)
    if statement.first is not None and statement.last is not None:
        backfilling.fits(graph.get(statement.name), statement)
        todo = replace(todo, first=str(statement.first), last=str(statement.last))
    return only(at, todo, graph)


def retrain(at: Prompt, statement: RetrainModel) -> Result:
    """Make a candidate of a deployed model now, with other options if they are given; nothing when that would make a
    version that there is.
    """
    pointer = pointer_of(at, Kind.MODEL, statement.name)
    graph = at.deployed(at.environment)
    declared = replace(graph.get(statement.name).as_(CreateModel), told=())
    wanted = _as_asked(declared, statement)
    if wanted != declared:
        graph = at.compiled([wanted if r.name == statement.name else r.declaration for r in graph])
    champion = int(pointer.target) if pointer.target else None
    recipe = graph.get(statement.name).recipe
    if (same := _same(at, graph.get(statement.name), champion)) is not None:
        return _unchanged(at, same, champion)
    done = only(at, TrainModel(statement.name, recipe, "asked for by RETRAIN", champion), graph)
    if statement.active and done.refused:
        done = _taken(at, graph, statement, done)
    if statement.source is not None:
        done.told.append(
            f"this version was not taken, and `{statement.name}` still learns from its own rows; USING active = 1 takes it all the same"
            if done.refused
            else f"`{statement.name}` learns from these rows from now on; files that declare it still say what they said"
        )
    return done


def _taken(at: Prompt, graph: Graph, statement: RetrainModel, done: Result) -> Result:
    """What `active = 1` asks for: that the new version serves, whatever its gate said."""
    newest = versions.made(at.work.state, statement.name)[-1].number
    approve(at.act(), graph, Wish(statement.name, newest, "USING active = 1"))
    done.told.append(f"version {newest} serves whatever its gate said, as active = 1 asks for")
    return replace(done, refused=False)


def _same(at: Prompt, resource: Resource, champion: int | None) -> Version | None:
    """The version that a training now would make again: of this definition, these rows and this way of learning."""
    declared = resource.as_(CreateModel)
    if not isinstance(declared.source, DatasetRef):
        return None  # its rows are asked of the sources each time
    snapshot = pointer_of(at, Kind.DATASET, declared.source.name).target or ""
    found = versions.judged(at.work.state, resource.name, resource.recipes, snapshot)
    made = [v for v in found if v.learning >= _learning(v.engine)]
    delay = duration_of(dict(declared.objective.items).get("label_delay"))
    if not made or (delay and _due_later(at, made[-1], snapshot, delay)):
        return None
    one = next((v for v in made if v.version == champion), made[-1])
    return one if _answers(at, one) else None


def _learning(engine: str) -> int:
    """The number of the way of learning that an engine has now."""
    return LEARNING if engine == ENGINE else learning_of(registry.load("tilth.learners", engine))


def _answers(at: Prompt, one: Version) -> bool:
    """Whether the version can be loaded; one whose bundle was lost or changed is made again."""
    try:
        any_version_of(at.work, one.model, one.version)
    except TilthError:
        return False
    return True


def _due_later(at: Prompt, one: Version, snapshot: str, delay: timedelta) -> bool:
    """Whether labels of these rows were not yet due when the version was made."""
    newest = manifest_of(at.work.state, snapshot).watermark
    return newest is None or one.created_at < parse_instant(newest) + delay


def _unchanged(at: Prompt, same: Version, champion: int | None) -> Result:
    """That nothing was made, which version is of these rows, and what there is to do."""
    name = f"version {same.version} of `{same.model}`"
    text = f"Nothing is made: {name} already is of these rows and this definition"
    if same.version == champion:
        text += f", and it is what {at.environment} points at."
    elif same.status in versions.LOST:
        text += f"; its gate has spoken ({same.status})."
    else:
        text += f"; {at.environment} points at version {champion}."
    hint = f"REFRESH DATASET brings new rows; RETRAIN MODEL {same.model} USING (seed = 8) learns otherwise"
    if same.version != champion:
        hint += f"; PROMOTE MODEL {same.model} VERSION {same.version} BECAUSE '...' takes it"
    facts = {
        "environment": at.environment,
        "model": same.model,
        "version": same.version,
        "status": same.status,
    }
    return Result(None, f"{text}\n{hint}.", {**facts, "made": False})


def drill(at: Prompt, statement: Drill) -> Result:
    """Rehearse what can go wrong with a model."""
    graph = at.deployed(at.environment)
    done = rehearse(at.act(), graph, statement.model, statement.drill)
    return Result(None, done.text, done.facts, refused=not done.ok)


def only(at: Prompt, action: CollectDataset | TrainModel, graph: Graph) -> Result:
    """Do this one action, and publish what comes of it."""
    at.room()
    number, _ = environments.pointers_of(at.work.state, at.environment)
    todo = Plan(at.environment, number, (action,))
    bind = isinstance(action, TrainModel)  # a refresh fails by itself, so that it is written down
    return applied(executor.apply(at.act(), graph, plan=todo, bind=bind, tell=at.tell))


def pointer_of(at: Prompt, kind: Kind, name: str) -> Pointer:
    """What the environment points at; UnknownNameError with what there is."""
    _, pointers = environments.pointers_of(at.work.state, at.environment)
    known = {p.name: p for p in pointers if p.kind is kind}
    if name not in known:
        raise UnknownNameError(
            f"There is no {kind.value} `{name}` in `{at.environment}`.",
            hint=did_you_mean(name, known, f"{kind.value}s"),
        )
    return known[name]


def _as_asked(declared: CreateModel, statement: RetrainModel) -> CreateModel:
    """The model with these options, these rows, and this way to be taken, in place of its own."""
    new = dict(declared.using.items) | dict(statement.using.items)
    return replace(
        declared,
        using=Options(tuple(new.items())),
        source=declared.source if statement.source is None else statement.source,
        promote=Promote(PromoteRule.MANUAL) if statement.active is False else declared.promote,
    )


def _moved(environment: str, number: int, how: str) -> Result:
    text = f"{environment} is at generation {number}: {how}."
    return Result(None, text, {"environment": environment, "generation": number, "reason": how})


ACTS: Mapping[type, Callable[[Prompt, Any], Result]] = {
    PlanStatement: plan,
    ApplyStatement: apply,
    PromoteEnvironment: promote,
    PromoteModel: promote_model,
    RollbackEnvironment: rollback,
    RefreshDataset: refresh,
    RetrainModel: retrain,
    Drill: drill,
    ForgetFrom: mending.forget,
    ReleaseQuarantine: mending.release,
    HoldQuarantine: mending.hold,
    Drop: declaring.drop,
    Alter: declaring.alter,
    CreateToken: tokens.create,
    CreateTable: writing.create,
    InsertInto: writing.insert,
    DropToken: tokens.drop,
    RunJob: running.run_job,
    CancelRun: running.cancel,
}
"""One function for each statement that acts; those that declare are `create`."""
OF_WHAT_IS_THERE = frozenset(
    {
        PlanStatement,
        PromoteEnvironment,
        PromoteModel,
        RollbackEnvironment,
        RefreshDataset,
        RetrainModel,
        ForgetFrom,
        ReleaseQuarantine,
        HoldQuarantine,
        Drill,
        Drop,
        Alter,
        CreateTable,
        InsertInto,
        DropToken,
        RunJob,
        CancelRun,
    }
)
"""Statements that do nothing in a project that was never applied, and so begin none."""
