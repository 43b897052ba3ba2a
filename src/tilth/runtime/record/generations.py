"""Environments as sets of pointers: publish, promote and roll back, each one transaction; and reading what is.

A generation's digest covers its pointers, so a state file that was edited by hand is found when the generation is read. It
stands in the audit chain too, where `verifying` finds an edit that made the digest fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tilth.core.canonical import canonical, digest
from tilth.core.errors import GateRefusedError, ProjectError, StateChangedError, UnknownNameError
from tilth.core.names import did_you_mean, is_environment_name
from tilth.core.time import Instant, parse_instant, show_instant
from tilth.plan.snapshot import SERVING, Cost, Current, Pointer, Signals, SnapshotFacts, VersionFacts
from tilth.ports import registry
from tilth.ports.learning import learning_of
from tilth.ports.principals import Principal
from tilth.ports.state import Change, Row, State
from tilth.runtime.record.revisions import deploy
from tilth.sql.language.parser import parse_one
from tilth.sql.language.statements import CreateModel, Kind, Promote, PromoteRule

HISTORY = "1970-01-01T00:00:00.000000Z"


def publish(
    state: State,
    environment: str,
    expected: int,
    pointers: Iterable[Pointer],
    reason: str,
    by: Principal,
    at: Instant,
) -> int:
    """Insert the generation that holds these pointers and make it current; its number.

    Endpoints are given a revision that leads to their model's version (`revisions`). `expected` is the generation that
    the plan was made against; StateChangedError when another was published since.
    """
    when = show_instant(at)
    with state.change(by, when) as change:
        return insert(change, environment, expected, tuple(pointers), reason, when)


def promote(
    state: State, source: str, target: str, by: Principal, at: Instant, serving: str = SERVING
) -> int:
    """Give `target` all pointers of `source` in one transaction; the new generation's number. Nothing is rebuilt."""
    if source == target:
        raise ProjectError(
            f"`{source}` cannot be promoted to itself.", hint="Write PROMOTE ENVIRONMENT dev TO prod."
        )
    when = show_instant(at)
    with state.change(by, when) as change:
        pointers = _pointers(change.read("current_pointers", environment=_known(change, source)))
        current = change.read("environment", name=target)
        expected = _number(current[0], "generation") if current else 0
        if target == serving:
            _may_serve(change, target, pointers)
        return insert(change, target, expected, pointers, f"promoted from {source}", when, "promote")


def rollback(state: State, environment: str, generation: int | None, by: Principal, at: Instant) -> int:
    """Point back at an earlier generation (the parent of the current one by default); the new generation's number.

    A rollback is a generation of its own that repeats the pointers of the earlier one, so it can be undone as well.
    """
    when = show_instant(at)
    with state.change(by, when) as change:
        current = _number(change.read("environment", name=_known(change, environment))[0], "generation")
        goal = generation if generation is not None else _parent(change, environment, current)
        pointers = _pointers(change.read("pointers", environment=environment, generation=goal))
        if goal == current or not pointers:
            have = [str(g["number"]) for g in change.read("generations", environment=environment, limit=20)]
            what = f"no generation {goal}" if generation is not None else "no earlier generation"
            raise UnknownNameError(
                f"`{environment}` has {what} to go back to.",
                hint=f"Its generations: {', '.join(have)}; current is {current}.",
            )
        reason = f"rolled back to generation {goal}"
        return insert(change, environment, current, pointers, reason, when, "rollback")


def pointers_of(state: State, environment: str) -> tuple[int, tuple[Pointer, ...]]:
    """The current generation's number and pointers, checked against its digest; (0, ()) for an unknown environment."""
    found = state.read("environment", name=environment)
    if not found:
        return 0, ()
    number = _number(found[0], "generation")
    pointers = _pointers(state.read("pointers", environment=environment, generation=number))
    row = state.read("generation", environment=environment, number=number)
    if not row or row[0]["digest"] != _digest(pointers):
        raise StateChangedError(
            f"Generation {number} of `{environment}` is not what was published: the state file was edited.",
            hint=f"Run ROLLBACK ENVIRONMENT {environment}, or restore .tilth/state.db from a backup.",
        )
    return number, pointers


def current(
    state: State, environment: str, changed_sources: frozenset[str] = frozenset(), serving: str = SERVING
) -> Current:
    """What is, for the planner. `changed_sources` are recipes of datasets whose change tokens differ."""
    number, pointers = pointers_of(state, environment)
    attempts = {str(r["recipe"]): parse_instant(str(r["at"])) for r in state.read("last_outcomes")}
    snapshots = tuple(_snapshot(r, attempts, changed_sources) for r in state.read("latest_snapshots"))
    rules = {(str(r["model"]), r["candidate"]): str(r["rule"]) for r in state.read("last_rules")}
    versions = tuple(
        _version(r, rules.get((str(r["model"]), r["version"]), "")) for r in state.read("versions")
    )
    costs = tuple(
        Cost(str(r["action"]), str(r["name"]), float(r["seconds"] or 0), int(r["memory"] or 0))
        for r in state.read("run_costs")
    )
    signals = _signals(state, environment)
    return Current(
        environment,
        number,
        pointers,
        snapshots,
        versions,
        signals,
        costs,
        _since(state, environment, number),
        serving,
        _learning(pointers, versions),
    )


def _learning(
    pointers: tuple[Pointer, ...], versions: tuple[VersionFacts, ...]
) -> tuple[tuple[str, int], ...]:
    """The number of the way of learning that each engine has now, of those that what is pointed at was made by."""
    used = {(p.name, p.target) for p in pointers if p.kind is Kind.MODEL}
    engines = {v.engine for v in versions if (v.model, str(v.version)) in used}
    known = engines & set(registry.names("tilth.learners"))
    return tuple((name, learning_of(registry.load("tilth.learners", name))) for name in sorted(known))


def _since(state: State, environment: str, number: int) -> Instant | None:
    """When the generation was published."""
    found = state.read("generation", environment=environment, number=number)
    return parse_instant(str(found[0]["created_at"])) if found else None


def insert(
    change: Change,
    environment: str,
    expected: int,
    pointers: tuple[Pointer, ...],
    reason: str,
    when: str,
    verb: str = "publish",
) -> int:
    """`publish` within a transaction that does more; the new generation's number."""
    check_name(environment)
    found = change.read("environment", name=environment)
    have = _number(found[0], "generation") if found else 0
    if have != expected:
        raise moved(environment, have, expected)
    before = _pointers(change.read("current_pointers", environment=environment))
    pointers = deploy(change, environment, pointers, before, when, reason, at_once=verb == "rollback")
    last = change.read("last_generation", environment=environment)[0]["number"]
    number = int(last or 0) + 1
    mark = _digest(pointers)
    change.write(
        "add_generation",
        environment=environment,
        number=number,
        parent=expected or None,
        reason=reason,
        actor=change.by.text,
        digest=mark,
        at=when,
    )
    for p in pointers:
        definition = digest(p.text.encode())
        change.write("add_definition", digest=definition, text=p.text)
        change.write(
            "add_pointer",
            environment=environment,
            generation=number,
            kind=p.kind.value,
            name=p.name,
            recipe=p.recipe,
            definition=definition,
            target=p.target,
        )
    change.write("set_environment", name=environment, generation=number, at=when)
    change.audit(verb, environment, {"generation": number, "digest": mark, "reason": reason})
    return number


def moved(environment: str, have: int, expected: int) -> StateChangedError:
    """The environment is at another generation than what was planned against."""
    return StateChangedError(
        f"`{environment}` moved to generation {have} while this was under way (it began at {expected}).",
        hint="Run the command again: it plans against what is there now.",
    )


def check_name(environment: str) -> None:
    """ProjectError for a name that no environment may have."""
    if not is_environment_name(environment):
        raise ProjectError(
            f"`{environment}` cannot be the name of an environment.",
            hint="Names are lower-case letters, digits, underscores and hyphens: for example dev or pr-12.",
        )


def _may_serve(change: Change, target: str, pointers: tuple[Pointer, ...]) -> None:
    """Refuse a promotion to where models serve when a version did not win against the one there, unless its rule is `manual`."""
    served = {p.name: p.target for p in _pointers(change.read("current_pointers", environment=target))
              if p.kind is Kind.MODEL}  # fmt: skip
    for p in pointers:
        if p.kind is Kind.MODEL and p.target is not None and p.target != served.get(p.name):
            _check_won(change, target, p, served.get(p.name))


def _check_won(change: Change, target: str, model: Pointer, champion: str | None) -> None:
    """The rule that counts is the one declared now, with what is promoted; the version may have been judged by another."""
    declared, version = parse_one(model.text), int(model.target or 0)
    assert isinstance(declared, CreateModel)
    gates = change.read("gates_of", model=model.name, limit=1_000_000)
    own = [g for g in gates if g["candidate"] == version]
    if not own or declared.promote.rule is PromoteRule.MANUAL:
        return
    if own[0]["outcome"] != "pass":
        raise GateRefusedError(
            f"Version {version} of `{model.name}` did not pass its gate ({own[0]['outcome']!s}): {own[0]['reason']!s}",
            hint="Train a better one, or decide by hand: write PROMOTE IF manual, apply it to the environment that you "
            "promote, and promote that.",
        )
    if champion is not None and not has_won(gates, version, int(champion), declared.promote):
        raise GateRefusedError(
            f"Version {version} of `{model.name}` was never shown to pass PROMOTE IF {declared.promote.text} against version "
            f"{champion}, which {target} serves now.",
            hint=f"RETRAIN MODEL {model.name} in the environment that you promote, and promote it if it wins.",
        )


def has_won(gates: Sequence[Row], version: int, champion: int, rule: Promote) -> bool:
    """Whether the version was compared with this champion and passed what the rule asks, whatever was asked then; a gate
    names a champion only where it compared.
    """
    return any(
        g["candidate"] == version
        and g["outcome"] == "pass"
        and g["champion"] == champion
        and _passes(g, rule)
        for g in gates
    )


def _passes(gate: Row, rule: Promote) -> bool:
    """Whether a comparison that passed also passes this rule. Bounds of 0 are of two that answer every row alike."""
    if rule.rule is PromoteRule.MANUAL:
        return False
    low, high = gate["lower"], gate["upper"]
    if low is None or high is None:
        return gate["rule"] == rule.text
    return float(low) > -rule.margin or float(low) == float(high) == 0


def _digest(pointers: tuple[Pointer, ...]) -> str:
    rows = sorted((p.kind.value, p.name, p.recipe, p.target or "", digest(p.text.encode())) for p in pointers)
    return digest(canonical(rows))


def _known(change: Change, environment: str) -> str:
    if not change.read("environment", name=environment):
        names = [str(r["name"]) for r in change.read("environments")]
        raise UnknownNameError(
            f"There is no environment `{environment}`.", hint=did_you_mean(environment, names, "environments")
        )
    return environment


def _parent(change: Change, environment: str, number: int) -> int:
    row = change.read("generation", environment=environment, number=number)[0]
    return int(row["parent"] or 0)


def _number(row: Row, key: str) -> int:
    value = row[key]
    assert isinstance(value, int)
    return value


def _pointers(rows: tuple[Row, ...]) -> tuple[Pointer, ...]:
    return tuple(
        Pointer(
            Kind(str(r["kind"])),
            str(r["name"]),
            str(r["recipe"]),
            None if r["target"] is None else str(r["target"]),
            str(r["text"]),
        )
        for r in rows
    )


def _snapshot(row: Row, attempts: Mapping[str, Instant], changed: frozenset[str]) -> SnapshotFacts:
    recipe, refreshed = str(row["recipe"]), parse_instant(str(row["refreshed_at"]))
    return SnapshotFacts(
        recipe,
        str(row["snapshot"]),
        refreshed,
        attempts.get(recipe, refreshed),
        _number(row, "rows"),
        recipe in changed,
    )


def _version(row: Row, rule: str) -> VersionFacts:
    return VersionFacts(
        str(row["model"]),
        _number(row, "version"),
        str(row["recipe"]),
        str(row["snapshot"]),
        str(row["status"]),
        parse_instant(str(row["created_at"])),
        _number(row, "rows"),
        str(row["engine"]),
        int(row["learning"] or 1),
        rule,
    )


def _signals(state: State, environment: str) -> tuple[tuple[str, tuple[Signals, ...]], ...]:
    looks: dict[str, list[Signals]] = {}
    for r in state.read("recent_quality", environment=environment, since=HISTORY):
        drift, shift, quality, new = (
            None if r[k] is None else float(r[k] or 0)
            for k in ("drift", "prediction_drift", "value", "new_rows")
        )
        look = Signals(parse_instant(str(r["at"])), drift, shift, quality, new)
        looks.setdefault(str(r["model"]), []).append(look)
    return tuple((model, tuple(found[-50:])) for model, found in sorted(looks.items()))
