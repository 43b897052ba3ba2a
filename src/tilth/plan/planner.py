"""From what is to what is wanted: one pure function, and no other place that decides what to do.

It is asked the same way by `tilth plan`, by `tilth apply` and by the reconciler; after a crash it is asked again and
goes on where the state says things are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tilth.core.time import Instant, show_duration
from tilth.plan.actions import (
    Action,
    CollectDataset,
    DeclareSource,
    DeployEndpoint,
    DropResource,
    Estimate,
    Note,
    Plan,
    Redeclare,
    ShareSnapshot,
    ShareVersion,
    TrainModel,
)
from tilth.plan.policy import retrain_reason
from tilth.plan.snapshot import Current, Pointer, SnapshotFacts, VersionFacts
from tilth.resources.kinds import Resource
from tilth.sql.language.statements import (
    CheckKind,
    Condition,
    CreateDataset,
    CreateEndpoint,
    CreateModel,
    DatasetRef,
    Kind,
    Promote,
    PromoteRule,
)
from tilth.sql.queries import gaps

Outcome = tuple[tuple[Action, ...], tuple[Note, ...]]
NOTHING: Outcome = ((), ())
NEWER = "collected since, and not published here"


def plan(desired: Iterable[Resource], current: Current, now: Instant) -> Plan:
    """The actions that lead from what is to what is wanted, in an order that can be executed.

    `desired` comes in dependency order (a Graph does). Resources with equal recipes share their artifacts, whatever
    environment they live in. A model whose data moved but whose definition did not is refitted only when its
    RETRAIN WHEN says so.

    >>> from datetime import UTC, datetime
    >>> plan((), Current.empty(), datetime(2013, 5, 1, tzinfo=UTC)).actions
    ()
    """
    wanted = tuple(desired)
    actions: list[Action] = []
    notes: list[Note] = []
    for resource in wanted:
        did, said = _DECIDE[resource.kind](resource, current, now)
        actions += did
        notes += said
    notes += _silent(wanted)
    kept = {(r.kind, r.name) for r in wanted}
    order = list(Kind)
    gone = sorted(
        (p for p in current.pointers if (p.kind, p.name) not in kept),
        key=lambda p: (-order.index(p.kind), p.name),
    )
    actions += [DropResource(p.kind, p.name, "no longer declared") for p in gone]
    return Plan(current.environment, current.generation, tuple(actions), tuple(notes))


def _estimate(current: Current, action: str, name: str) -> Estimate:
    known = next((c for c in current.costs if c.action == action and c.name == name), None)
    return Estimate(known.seconds, known.memory) if known else Estimate()


def _changed(resource: Resource, pointer: Pointer) -> str:
    """Which lines of the declaration differ, or that something upstream does."""
    before, after = pointer.text.splitlines(), resource.text.splitlines()
    lines = [line.strip().rstrip(";") for line in after if line not in before]
    if pointer.text == resource.text:
        read_anew = isinstance(resource.declaration, CreateDataset) and any(
            e.expression and gaps.changed(e.expression, of_the_set=e.kind is CheckKind.SET)
            for e in resource.declaration.expect
        )
        rule = "in its checks NULL and NaN do not hold any more, or " if read_anew else ""
        return f"{rule}something it is made from changed"
    return f"changed: {lines[0]}" if lines else "a clause was removed"


def _redeclared(resource: Resource, pointer: Pointer) -> Outcome:
    """What a changed text without a changed recipe asks for."""
    if pointer.text == resource.text:
        return NOTHING
    why = _changed(resource, pointer)
    return (Redeclare(resource.kind, resource.name, resource.recipe, why),), ()


def _source(resource: Resource, current: Current, _now: Instant) -> Outcome:
    pointer = current.pointer(Kind.SOURCE, resource.name)
    if pointer is None:
        return (DeclareSource(resource.name, resource.recipe, "new"),), ()
    if pointer.recipe != resource.recipe:
        return (DeclareSource(resource.name, resource.recipe, _changed(resource, pointer)),), ()
    return NOTHING


def _dataset(resource: Resource, current: Current, now: Instant) -> Outcome:
    pointer = current.pointer(Kind.DATASET, resource.name)
    made = current.snapshot_of(resource.recipe)
    estimate = _estimate(current, "CollectDataset", resource.name)
    if pointer is not None and pointer.recipe == resource.recipe:
        if made is not None and _newer(made, pointer, current):
            return (ShareSnapshot(resource.name, resource.recipe, made.snapshot, NEWER),), ()
        reason = _due(resource.as_(CreateDataset), made, now) if made else "its snapshot is missing"
        if reason is None:
            return _redeclared(resource, pointer)
        return (CollectDataset(resource.name, resource.recipe, reason, pointer.target, estimate),), ()
    why = "new" if pointer is None else _changed(resource, pointer)
    if made is not None:
        return (
            ShareSnapshot(resource.name, resource.recipe, made.snapshot, f"{why}; already collected"),
        ), ()
    return (CollectDataset(resource.name, resource.recipe, why, None, estimate),), ()


def _newer(made: SnapshotFacts, pointer: Pointer, current: Current) -> bool:
    """Whether it was collected after this generation began: by another environment, or by an apply that then died.

    What is older was there when somebody chose this generation, perhaps by rolling back.
    """
    return made.snapshot != pointer.target and current.since is not None and made.refreshed_at > current.since


def _due(dataset: CreateDataset, made: SnapshotFacts, now: Instant) -> str | None:
    refresh = dataset.refresh
    if refresh.every is not None and now - made.attempted_at >= refresh.every:
        return f"due: REFRESH EVERY '{show_duration(refresh.every)}'"
    if refresh.on_change and made.source_changed:
        return "its source has changed"
    return None


def _model(resource: Resource, current: Current, now: Instant) -> Outcome:
    pointer = current.pointer(Kind.MODEL, resource.name)
    champion = current.version(resource.name, pointer.target) if pointer else None
    estimate = _estimate(current, "TrainModel", resource.name)
    same = current.versions_of(resource.name, *resource.recipes)
    if pointer is not None and pointer.recipe in resource.recipes and champion is not None:
        last = max((v.trained_at for v in same), default=champion.trained_at)
        lost = sum(v.version > champion.version and v.status in {"refused", "held"} for v in same)
        reason = retrain_reason(
            resource.as_(CreateModel).retrain, current.signals_of(resource.name), last, now, lost
        )
        if reason is None:
            did, said = _redeclared(resource, pointer)
            return did, (*said, *_learns_anew(champion, current))
        return (TrainModel(resource.name, resource.recipe, reason, champion.version, estimate),), ()
    why = "new" if pointer is None else _changed(resource, pointer)
    return _new_recipe(resource, current, same, champion, why, estimate)


def _silent(wanted: tuple[Resource, ...]) -> list[Note]:
    """Conditions of RETRAIN WHEN that cannot fire, since nothing that is declared would ever tell."""
    served: dict[str, list[CreateEndpoint]] = {}
    for resource in wanted:
        if resource.kind is Kind.ENDPOINT:
            declared = resource.as_(CreateEndpoint)
            served.setdefault(declared.model, []).append(declared)
    return [
        Note(
            resource.name,
            f"RETRAIN WHEN {condition.signal} {condition.op} {condition.value} never fires: {why}",
        )
        for resource in wanted
        if resource.kind is Kind.MODEL
        for condition in resource.as_(CreateModel).retrain
        if (why := _untold(condition, resource.as_(CreateModel), served.get(resource.name, [])))
    ]


def _untold(condition: Condition, model: CreateModel, endpoints: list[CreateEndpoint]) -> str | None:
    if condition.signal == "age":
        return None
    if not endpoints:
        return f"only what an endpoint serves is watched; CREATE ENDPOINT {model.name}_api FOR MODEL {model.name}"
    if condition.signal == "quality" and not any(e.outcomes for e in endpoints):
        return f"no endpoint of it says where the truth arrives; add OUTCOMES FROM dataset (key, {model.targets[0].column})"
    if condition.signal == "new_rows" and not isinstance(model.source, DatasetRef):
        return "rows are counted of a dataset, and it reads a query; write FROM <dataset>"
    return None


def _learns_anew(champion: VersionFacts, current: Current) -> tuple[Note, ...]:
    """That the engine has another way of learning by now, which the next training uses; it is no reason for one."""
    number = dict(current.learning).get(champion.engine, champion.learning)
    if number <= champion.learning:
        return ()
    text = f"`{champion.engine}` learns in another way since version {champion.version} was made; the next training uses it"
    return (Note(champion.model, text),)


def _new_recipe(
    resource: Resource,
    current: Current,
    same: tuple[VersionFacts, ...],
    champion: VersionFacts | None,
    why: str,
    estimate: Estimate,
) -> Outcome:
    """A definition that this environment does not serve: share a promoted version of it, or train one, once for its data."""
    promoted = next((v for v in same if v.status == "promoted"), None)
    if promoted is not None:
        return (
            ShareVersion(resource.name, resource.recipe, promoted.version, f"{why}; already trained"),
        ), ()
    data = next((current.pointer(Kind.DATASET, n) for n in resource.depends), None)
    tried = next((v for v in same if v.status in {"refused", "held"}), None)
    if tried is not None and (data is None or tried.snapshot == data.target):
        if current.environment != current.serving:
            reason = f"{why}; already trained, and {tried.status} by its gate"
            return (ShareVersion(resource.name, resource.recipe, tried.version, reason),), ()
        rule = resource.as_(CreateModel).promote
        if rule.rule is not PromoteRule.MANUAL and tried.rule not in ("", rule.text, rule.rule.value):
            reason = f"judged by PROMOTE IF {tried.rule}; now it is {rule.text}"
            return (ShareVersion(resource.name, resource.recipe, tried.version, reason),), ()
        return (), (Note(resource.name, _withheld(tried, rule, current.serving), withheld=True),)
    number = champion.version if champion else None
    return (TrainModel(resource.name, resource.recipe, why, number, estimate),), ()


def _withheld(tried: VersionFacts, rule: Promote, serving: str) -> str:
    """Why a version of what is declared does not serve, and what would change that."""
    if rule.rule is PromoteRule.MANUAL:
        return (
            f"version {tried.version} of this definition waits for a person: `tilth apply --env dev` takes it there, "
            f"`tilth promote dev {serving}` brings it here"
        )
    by = "held by its gate" if tried.status == "held" else "refused by its gate or in its rollout"
    return (
        f"version {tried.version} of this definition was {by}; it is tried again when its data or definition changes, "
        "and judged again when PROMOTE IF does"
    )


def _endpoint(resource: Resource, current: Current, _now: Instant) -> Outcome:
    pointer = current.pointer(Kind.ENDPOINT, resource.name)
    if pointer is not None and pointer.recipe == resource.recipe:
        return NOTHING
    why = "new" if pointer is None else _changed(resource, pointer)
    model = resource.as_(CreateEndpoint).model
    return (DeployEndpoint(resource.name, resource.recipe, model, why),), ()


_DECIDE: dict[Kind, Callable[[Resource, Current, Instant], Outcome]] = {
    Kind.SOURCE: _source,
    Kind.DATASET: _dataset,
    Kind.MODEL: _model,
    Kind.ENDPOINT: _endpoint,
}
