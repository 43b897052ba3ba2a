"""CREATE ENDPOINT: where a model's version is served, in which stages a new one comes, and where the truth arrives."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

from tilth.core.canonical import plain
from tilth.core.errors import LanguageError, Position, ProjectError, UnsupportedError
from tilth.core.names import literal
from tilth.core.time import Instant
from tilth.kinds import looking_up
from tilth.kinds.needs import need
from tilth.kinds.spec import KindSpec
from tilth.plan.actions import DeployEndpoint
from tilth.plan.deciding import Deciding, Outcome, changed, redeclared
from tilth.plan.snapshot import Current
from tilth.resources.facts import Facts
from tilth.resources.kinds import Resource
from tilth.resources.making import Known, Making, Names, Needs
from tilth.sql.language import clauses, values, writing
from tilth.sql.language.statements import (
    CreateEndpoint,
    CreateModel,
    Declaration,
    Kind,
    LookUp,
    Outcomes,
    RenamedFrom,
    Rollout,
    Watch,
)
from tilth.sql.language.tokens import Cursor

LEAST_EVERY = timedelta(minutes=1)
LEAST_WINDOW, MOST_WINDOW = timedelta(days=2), timedelta(days=366)
"""What answers are compared with knows weeks: of less than two days nothing could be said."""

# --- grammar -----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Endpoint:
    model: str | None = None
    regions: tuple[str, ...] = ()
    replicas: int = 1
    rollout: Rollout = field(default_factory=Rollout)
    outcomes: Outcomes | None = None
    watch: Watch = field(default_factory=Watch)
    renamed_from: RenamedFrom | None = None
    look_up: LookUp | None = None


def _for_model(c: Cursor, e: _Endpoint) -> None:
    e.model = c.name("a model's name", fold=True)


def _regions(c: Cursor, e: _Endpoint) -> None:
    c.expect("(", hint="Write REGIONS ('us-east', 'eu-west').")
    regions = [c.string("a region")]
    while c.take(","):
        regions.append(c.string("a region"))
    c.expect(")")
    e.regions = tuple(regions)


def _replicas(c: Cursor, e: _Endpoint) -> None:
    e.replicas = values.whole(c, "replicas", 1)


def _rollout(c: Cursor, e: _Endpoint) -> None:
    c.expect("(", hint="Write ROLLOUT (shadow = '200 requests', canary = '10% for 500 requests').")
    known = ("shadow", "canary", "max_error_rate", "max_p99", "max_disagreement", "deadline")
    found, seen = Rollout(), set[str]()
    while True:
        at = c.i
        key = values.option_key(c)
        if key not in known:
            raise c.unknown(f"`{key}` is not an option of ROLLOUT.", key, known, "options", at)
        if key in seen:
            c.fail(f"`{key}` is given twice.", "Keep one of them.", at=at)
        seen.add(key)
        c.expect("=", hint=f"Write {key} = value.")
        found = rollout_option(c, key, found)
        if not c.take(","):
            break
    c.expect(")")
    e.rollout = found


def rollout_option(c: Cursor, key: str, found: Rollout) -> Rollout:
    """The rollout with the value of one of its options, which is read."""
    if key == "max_error_rate":
        return replace(found, max_error_rate=fraction(c, "'0.1%'"))
    if key == "max_disagreement":
        return replace(found, max_disagreement=fraction(c, "'5%'"))
    if key == "max_p99":
        return replace(found, max_p99=values.duration(c))
    if key == "deadline":
        return replace(found, deadline=values.duration(c))
    at = c.i
    text = c.string("a stage")
    if key == "shadow":
        count = _requests(text)
        if count is None:
            c.fail(f"{text!r} is not a number of requests.", "Write shadow = '200 requests'.", at=at)
        return replace(found, shadow_requests=count)
    share_text, joined, count_text = text.partition(" for ")
    part, count = values.as_share(share_text), _requests(count_text) if joined else None
    if part is None or count is None or not 0 < part <= 1 or count < 1:
        c.fail(f"{text!r} is not a canary stage.", "Write canary = '10% for 500 requests'.", at=at)
    return replace(found, canary_share=part, canary_requests=count)


def _requests(text: str) -> int | None:
    """'200 requests' or '200' as 200; None when it is neither."""
    count, _, unit = text.strip().partition(" ")
    known = unit.strip().lower() in ("", "request", "requests")
    return int(count) if known and count.isascii() and count.isdigit() else None


def fraction(c: Cursor, example: str) -> float:
    """A share from 0 to 1."""
    at = c.i
    found = values.share(c, example)
    if not 0 <= found <= 1:
        c.fail("A rate lies between 0 and 1.", f"Write for example {example}.", at=at)
    return found


def _outcomes(c: Cursor, e: _Endpoint) -> None:
    c.expect("FROM", hint="Write OUTCOMES FROM dataset (key, column).")
    name = c.name("a dataset's name", fold=True)
    at = c.i
    columns = c.names("a column")
    if len(columns) < 2:
        c.fail(
            "OUTCOMES needs the key and the column that holds the truth.",
            f"Write OUTCOMES FROM {name} (key, {columns[0]}).",
            at=at,
        )
    required = c.take("REQUIRE")
    if required:
        c.expect("KEY", hint=f"Write OUTCOMES FROM {name} ({', '.join(columns)}) REQUIRE KEY.")
    e.outcomes = Outcomes(name, columns[:-1], columns[-1], required)


def _watch(c: Cursor, e: _Endpoint) -> None:
    c.expect("(", hint="Write WATCH (every = '1 day', window = '7 days', log = '100%').")
    seen = set[str]()
    while True:
        at = c.i
        key = values.option_key(c)
        if key not in ("every", "window", "log"):
            raise c.unknown(
                f"`{key}` is not an option of WATCH.", key, ("every", "window", "log"), "options", at
            )
        if key in seen:
            c.fail(f"`{key}` is given twice.", "Keep one of them.", at=at)
        seen.add(key)
        c.expect("=", hint=f"Write {key} = value.")
        if key == "log":
            e.watch = replace(e.watch, log=fraction(c, "'10%'"))
        elif key == "every":
            e.watch = replace(e.watch, every=values.duration(c))
        else:
            e.watch = replace(e.watch, window=values.duration(c))
        if not c.take(","):
            break
    c.expect(")")


def _look_up(c: Cursor, e: _Endpoint) -> None:
    e.look_up = looking_up.parse(c)


_CLAUSES = {
    "FOR MODEL": _for_model,
    "REGIONS": _regions,
    "REPLICAS": _replicas,
    "ROLLOUT": _rollout,
    "OUTCOMES": _outcomes,
    "LOOK UP": _look_up,
    "WATCH": _watch,
    clauses.RENAMED: clauses.renamed,
}


def parse(c: Cursor, or_replace: bool, where: Position) -> CreateEndpoint:
    """`[IF NOT EXISTS] name FOR MODEL model` with its clauses."""
    exists, name = clauses.head(c, "endpoint")
    e = _Endpoint()
    clauses.read(c, _CLAUSES, e, "CREATE ENDPOINT")
    if e.model is None:
        raise LanguageError(
            f"Endpoint `{name}` does not say which model it serves.",
            hint="Add FOR MODEL <model>.",
            where=where,
        )
    return CreateEndpoint(
        name,
        e.model,
        e.regions,
        e.replicas,
        e.rollout,
        e.outcomes,
        e.watch,
        or_replace,
        exists,
        where,
        e.renamed_from,
        e.look_up,
    )


def _show_rollout(r: Rollout) -> str | None:
    if r == Rollout():
        return None
    parts = [
        f"shadow = '{r.shadow_requests} requests'" if r.shadow_requests else "",
        f"canary = '{writing.percent(r.canary_share)} for {r.canary_requests} requests'"
        if r.canary_requests
        else "",
        f"max_error_rate = '{writing.percent(r.max_error_rate)}'"
        if r.max_error_rate != Rollout().max_error_rate
        else "",
        f"max_p99 = {writing.span(r.max_p99)}" if r.max_p99 is not None else "",
        f"max_disagreement = '{writing.percent(r.max_disagreement)}'"
        if r.max_disagreement is not None
        else "",
        f"deadline = {writing.span(r.deadline)}" if r.deadline is not None else "",
    ]
    return f"ROLLOUT ({', '.join(p for p in parts if p)})"


def _show_watch(w: Watch) -> str | None:
    parts = [
        f"every = {writing.span(w.every)}" if w.every != Watch().every else "",
        f"window = {writing.span(w.window)}" if w.window != Watch().window else "",
        f"log = '{writing.percent(w.log)}'" if w.log != Watch().log else "",
    ]
    return f"WATCH ({', '.join(p for p in parts if p)})" if any(parts) else None


def show(s: CreateEndpoint) -> str:
    """The declaration in its canonical form."""
    o = s.outcomes
    return writing.rows(
        f"{writing.create(s)} FOR MODEL {writing.name(s.model)}",
        f"REGIONS ({', '.join(literal(r) for r in s.regions)})" if s.regions else None,
        f"REPLICAS {s.replicas}" if s.replicas != 1 else None,
        _show_rollout(s.rollout),
        f"OUTCOMES FROM {writing.name(o.dataset)} ({writing.columns((*o.key, o.column))}){' REQUIRE KEY' if o.require_key else ''}"
        if o
        else None,
        looking_up.show(s.look_up),
        _show_watch(s.watch),
        writing.renamed(s),
    )


# --- rules, needs and recipe -------------------------------------------------------------------------------


def check(d: CreateEndpoint, _facts: Facts) -> None:
    """Raise for what is not in this version, and for limits that nothing could reach."""
    if len(d.regions) > 1 or d.replicas != 1:
        what = "several regions" if len(d.regions) > 1 else "several replicas"
        raise UnsupportedError(
            f"Endpoint `{d.name}` asks for {what}, which are not in this version.",
            hint="Leave out REGIONS and REPLICAS: one node serves it.",
            where=d.position,
        )
    r = d.rollout
    limits = [k for k in ("max_disagreement", "deadline") if getattr(r, k) is not None]
    if limits and not (r.shadow_requests or r.canary_requests):
        raise ProjectError(
            f"Endpoint `{d.name}` gives its rollout {' and '.join(limits)}, and no stage that it could hold for.",
            hint="Add a stage: ROLLOUT (shadow = '200 requests', canary = '10% for 500 requests', ...).",
            where=d.position,
        )
    _check_watch(d)


def _check_watch(d: CreateEndpoint) -> None:
    """Raise for looks that could not be taken, or would say nothing."""
    w = d.watch
    if w.every < LEAST_EVERY:
        wrong, hint = "is looked at more often than once a minute", "every = '1 hour'"
    elif not LEAST_WINDOW <= w.window <= MOST_WINDOW:
        wrong, hint = "is looked at over less than 2 days or more than 366", "window = '7 days'"
    elif w.log <= 0:
        wrong, hint = "logs none of its answers, so that nothing could be looked at", "log = '10%'"
    else:
        return
    raise ProjectError(
        f"Endpoint `{d.name}` {wrong}.", hint=f"Write for example WATCH ({hint}).", where=d.position
    )


def needs(d: CreateEndpoint, known: Known) -> Needs:
    """The model, and the datasets of the outcomes and of LOOK UP: only by name."""
    need(d.model, Kind.MODEL, known, d)
    _truths(d, known[d.model])
    named = [one.dataset for one in (d.outcomes, d.look_up) if one is not None]
    for dataset in named:
        need(dataset, Kind.DATASET, known, d)
    looking_up.check(d, known)
    return Needs(others=(d.model, *dict.fromkeys(named)))


def _truths(d: CreateEndpoint, model: Declaration) -> None:
    """Raise where the truth of a model of several targets cannot be told from the key: each is called as its target."""
    if d.outcomes is None or not isinstance(model, CreateModel) or len(model.targets) == 1:
        return
    found = d.outcomes.of(model.targets)
    if found and next(iter(found.values())).key:
        return
    listed = ", ".join(t.column for t in model.targets)
    raise ProjectError(
        f"OUTCOMES of endpoint `{d.name}` {'names no key' if found else 'names no target'} of model `{d.model}`.",
        hint=f"Write the key, and the truth by the names of the targets: OUTCOMES FROM {d.outcomes.dataset} (key, {listed}).",
        where=d.position,
    )


def recipe(d: CreateEndpoint, _facts: Facts) -> dict[str, object]:
    """Without the model's recipe: an endpoint follows the model, it is not made anew with it; nor is it when WATCH changes."""
    return {
        "model": d.model,
        "regions": d.regions,
        "replicas": d.replicas,
        "rollout": _declared(d.rollout, "max_disagreement", "deadline"),
        "outcomes": _declared(d.outcomes, "require_key"),
        **({} if d.look_up is None else {"look_up": plain(d.look_up)}),
    }


def _declared(value: object, *later: str) -> object:
    """The value in its plain form, without those fields that say nothing: a recipe from before they were there holds."""
    made = plain(value)
    if not isinstance(made, dict):
        return made
    return {k: v for k, v in made.items() if k not in later or v not in (None, False)}


def renamed(d: CreateEndpoint, names: Names) -> CreateEndpoint:
    """The same declaration where resources have other names."""
    truth = d.outcomes
    if truth is not None:
        truth = replace(truth, dataset=names.get(truth.dataset, truth.dataset))
    rows = d.look_up
    if rows is not None:
        rows = replace(rows, dataset=names.get(rows.dataset, rows.dataset))
    return replace(
        d, name=names.get(d.name, d.name), model=names.get(d.model, d.model), outcomes=truth, look_up=rows
    )


# --- planning ----------------------------------------------------------------------------------------------


def decide(resource: Resource, current: Current, _now: Instant) -> Outcome:
    """Serve through it when it is new or declared otherwise."""
    pointer = current.pointer(Kind.ENDPOINT, resource.name)
    if pointer is not None and pointer.recipe == resource.recipe:
        return redeclared(resource, pointer)
    why = "new" if pointer is None else changed(resource, pointer)
    model = resource.as_(CreateEndpoint).model
    return (DeployEndpoint(resource.name, resource.recipe, model, why),), ()


ENDPOINT = KindSpec(
    Kind.ENDPOINT,
    CreateEndpoint,
    parse,
    show,
    Making(check, needs, recipe, renamed),
    Deciding(decide, (DeployEndpoint,)),
)
