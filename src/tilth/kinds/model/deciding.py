"""What a model asks the planner for. When it is due for retraining is `plan.policy`'s."""

from __future__ import annotations

from tilth.core.time import Instant
from tilth.plan.actions import Estimate, Note, ShareVersion, TrainModel
from tilth.plan.deciding import Outcome, changed, estimate, redeclared
from tilth.plan.policy import retrain_reason
from tilth.plan.snapshot import Current, VersionFacts
from tilth.resources.kinds import Resource
from tilth.sql.language.statements import (
    Condition,
    CreateEndpoint,
    CreateModel,
    DatasetRef,
    Kind,
    Promote,
    PromoteRule,
)


def decide(resource: Resource, current: Current, now: Instant) -> Outcome:
    """What is to be done, and where it trains what is known of the leakage of the rows that it learns from."""
    did, said = _decided(resource, current, now)
    if any(isinstance(action, TrainModel) for action in did):
        said = (*said, *_leakage(resource, current))
    return did, said


def _leakage(resource: Resource, current: Current) -> tuple[Note, ...]:
    """That its dataset, as it is now, is not proven to hold nothing that came after its rows."""
    source = resource.as_(CreateModel).source
    found = current.pointer(Kind.DATASET, source.name) if isinstance(source, DatasetRef) else None
    known = None if found is None else dict(current.leakage).get(found.recipe)
    if found is None or known is None:
        return ()
    return (Note(resource.name, f"it learns from `{found.name}`, whose leakage is {known}"),)


def _decided(resource: Resource, current: Current, now: Instant) -> Outcome:
    """Train it when it is new, changed or due by RETRAIN WHEN; share a version of the same recipe.

    A model whose data moved but whose definition did not is refitted only when its RETRAIN WHEN says so.
    """
    pointer = current.pointer(Kind.MODEL, resource.name)
    champion = current.version(resource.name, pointer.target) if pointer else None
    cost = estimate(current, TrainModel, resource.name)
    same = current.versions_of(resource.name, *resource.recipes)
    if pointer is not None and pointer.recipe in resource.recipes and champion is not None:
        last = max((v.trained_at for v in same), default=champion.trained_at)
        lost = sum(v.version > champion.version and v.status in {"refused", "held"} for v in same)
        reason = retrain_reason(
            resource.as_(CreateModel).retrain, current.signals_of(resource.name), last, now, lost
        )
        if reason is None:
            did, said = redeclared(resource, pointer)
            return did, (*said, *_learns_anew(champion, current))
        return (TrainModel(resource.name, resource.recipe, reason, champion.version, cost),), ()
    why = "new" if pointer is None else changed(resource, pointer)
    return _new_recipe(resource, current, same, champion, why, cost)


def silent(wanted: tuple[Resource, ...]) -> list[Note]:
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
    itself = model.horizon is not None  # a forecast is looked at by the rows that it learns from
    if condition.signal == "quality" and not itself and not any(e.outcomes for e in endpoints):
        return f"no endpoint of it says where the truth arrives; add OUTCOMES FROM dataset (key, {', '.join(t.column for t in model.targets)})"
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
    cost: Estimate,
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
    return (TrainModel(resource.name, resource.recipe, why, number, cost),), ()


def _withheld(tried: VersionFacts, rule: Promote, serving: str) -> str:
    """Why a version of what is declared does not serve, and what would change that."""
    taken = f"PROMOTE MODEL {tried.model} VERSION {tried.version}"
    if rule.rule is PromoteRule.MANUAL:
        return (
            f"version {tried.version} of this definition waits for a person: {taken} takes it, or `tilth apply --env dev` takes "
            f"it there and `tilth promote dev {serving}` brings it here"
        )
    by = "held by its gate" if tried.status == "held" else "refused by its gate or in its rollout"
    return (
        f"version {tried.version} of this definition was {by}; it is tried again when its data or definition changes, "
        f"and judged again when PROMOTE IF does; {taken} BECAUSE '...' takes it all the same"
    )
