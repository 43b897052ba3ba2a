"""`tilth status` and `tilth diff`: where an environment stands, and how two versions of a model differ."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from tilth.app.disk import FREES, WHAT
from tilth.app.disk import shown as size
from tilth.core.errors import UnknownNameError
from tilth.core.figures import figure
from tilth.interfaces.cli import completing, show
from tilth.interfaces.cli.options import CLOCK, ENV, JSON, PROJECT, opened, there, version_number
from tilth.runtime.showing.next_steps import after, next_steps, ways
from tilth.runtime.showing.understood import money
from tilth.sql.language.statements import CreateEndpoint


@click.command()
@PROJECT
@ENV
@click.option(
    "--exit-code", is_flag=True, help="Exit status 9 when a promise does not hold, with the reasons."
)
@JSON
@CLOCK
def status(project: str, environment: str | None, exit_code: bool, as_json: bool, clock: str | None) -> None:
    """Where the environment stands: generation, data, models with their gates and quality, endpoints, servers, failures.

    \b
    Promises: refreshes succeed, data is as fresh as FRESH WITHIN or twice REFRESH EVERY, quality is above its minimum and
    RETRAIN rule, each endpoint has a version, nothing is damaged.
    Example: tilth status --env dev
             tilth status --exit-code || mail -s "tilth" ops
    """
    project_ = opened(project, clock)
    found = project_.status(environment)
    said, disk = project_.settings, project_.disk()
    found["disk"] = {**disk.kinds, "total": disk.total, "limit": disk.limit, "near": disk.near}
    found["next"] = next_steps(found, said.serving, said.environment)
    if not exit_code:
        show.facts(found, words(found), as_json)
        return
    promised = project_.promises(environment)
    show.facts({**found, "promises": promised["promises"]}, words(found), as_json)
    for one in promised["promises"]:
        if not one["holds"]:
            click.echo(show.clean(f"not so: {one['name']}: {one['reason']}"), err=True)
    if not promised["holds"]:
        raise SystemExit(BROKEN)


def words(found: dict[str, Any]) -> str:
    """The status for people: a line of where it is, then a table for each kind of thing there is something to say of."""
    rows = [f"{found['environment']} is at generation {found['generation']} ({found['reason']})."]
    if not found["generation"]:
        rows = [f"Nothing is published in {found['environment']} yet."]
    found = {**found, "endpoints": [{**one, "counts": _counts(one["counts"])} for one in found["endpoints"]]}
    found = {**found, "servers": [{**one, "looks_up": _looks_up(one)} for one in found["servers"]]}
    for title, columns in SECTIONS.items():
        shown = [row for row in found[title] if row.get("alive", True)]
        if shown:
            lines = ([_moment(row.get(c)) for c in columns] for row in shown)
            heads = [HEADS.get(c, c.replace("_", " ")) for c in columns]
            rows += ["", title.upper(), show.table(heads, lines)]
    if targets := [
        (m["name"], *(_moment(t[k]) for k in TARGETS)) for m in found["models"] for t in m["targets"]
    ]:
        rows += ["", "TARGETS", show.table(["model", *TARGETS], targets)]
    if found["damage"]:
        rows += ["", "DAMAGE", *(f"{_moment(r['at'])}  {r['damage']}" for r in found["damage"])]
    told = [f"{r['name']}: {_against(c)}" for r in found["datasets"] for c in r.get("contradicted", ())]
    told += [
        f"{r['name']}: {words}" for r in (*found["datasets"], *found["models"]) for words in r["notices"]
    ]
    if told:
        rows += ["", "TO KNOW", *told]
    priced = [one for m in found["models"] for one in (m, *({**t, "name": m["name"]} for t in m["targets"]))]
    if costs := [f"{one['name']}: {said}" for one in priced if (said := money(one["money"]))]:
        rows += ["", "COSTS", *costs]
    if unseen := [line for model in found["models"] for line in _unseen(model)]:
        rows += ["", "LEFT OUT", *unseen]
    if disk := found.get("disk"):
        shown = [(k, size(disk[k]), what) for k, what in WHAT.items() if disk[k] >= LEAST_SHOWN]
        rows += ["", "DISK", show.table(["kind", "size", "what"], shown)] if shown else []
        rows += [f"{disk['near']}. {FREES}"] if disk["near"] else []
    if steps := found.get("next"):
        rows += ["", ways(steps)]
    return "\n".join(rows)


def _against(check: dict[str, Any]) -> str:
    """A check that does not hold, in a line."""
    times = "" if check["refreshes"] == 1 else f", at {check['refreshes']:,} refreshes"
    return (
        f"{check['expectation']} does not hold since {_moment(check['since'])}{times}: {check['observed']}."
    )


def _looks_up(server: Mapping[str, Any]) -> str | None:
    """The snapshots whose rows complete requests, in words."""
    listed = [f"{u['endpoint']}: {u['dataset']} {u['snapshot'][:12]}" for u in server.get("looks_up", ())]
    return ", ".join(listed) or None


def _counts(kept: str | None) -> str | None:
    """What a rollout has counted, in words; what it has not seen is left out."""
    if kept is None:
        return None
    counted = json.loads(kept)
    return ", ".join(f"{counted[what]:,} {words}" for what, words in COUNTED.items() if counted.get(what))


COUNTED = {"requests": "requests", "errors": "errors", "slow": "too slow", "disagreed": "disagreed"}


def _unseen(model: dict[str, Any]) -> list[str]:
    """What the last look at a model could not take into account."""
    told = {
        "left_out": "logged rows are not what the version takes, and count for nothing",
        "without_key": "answers came without the key of OUTCOMES: nothing will tell whether they were right",
        "gaps": "answers lacked an input that never was missing in training: it counted as a gap",
        "outside": "answers had an input far out of what training had",
    }
    return [f"{model['name']}: {model[what]:,} {words}" for what, words in told.items() if model.get(what)]


def _moment(value: Any) -> Any:
    """An instant as the state keeps it, down to the second; a number as a figure."""
    if isinstance(value, float):
        return figure(value)
    is_time = isinstance(value, str) and len(value) > 19 and value[10:11] == "T" and value[4:5] == "-"
    return value[:19].replace("T", " ") if is_time else value


BROKEN = 9  # the exit status when a promise does not hold
HEADS = {"counts": "its rollout counted"}
LEAST_SHOWN = 100_000  # bytes of a kind, below which it is not worth a line
TARGETS = ("output", "metric", "value", "quality")
SECTIONS: dict[str, tuple[str, ...]] = {
    "datasets": (
        "name",
        "rows",
        "newest",
        "refreshed_at",
        "last_refresh",
        "checks_failed",
        "quarantined",
        "days_healed",
    ),
    "models": ("name", "version", "engine", "metric", "value", "trained_at", "drift", "quality", "last_gate"),
    "endpoints": ("name", "model", "version", "stage", "previous", "counts"),
    "jobs": ("kind", "name", "next_due", "last_done", "failures", "said"),
    "servers": ("url", "pid", "generation", "seen_at", "looks_up"),
    "failures": ("at", "action", "name", "error"),
    "held": ("at", "name", "status", "error"),
    "waiting": ("name", "status", "since", "text"),
    "undelivered": ("channel", "messages", "error"),
}


@click.command()
@click.argument("first", metavar="MODEL@N", shell_complete=completing.VERSIONS)
@click.argument("second", metavar="MODEL@M", shell_complete=completing.VERSIONS)
@PROJECT
@JSON
def diff(first: str, second: str, project: str, as_json: bool) -> None:
    """How two versions of a model differ: what they were made from, what they take, how well they did.

    Example: tilth diff late@3 late@4
    """
    found = opened(project).diff(_version(first), _version(second))
    show.facts(found, _difference(found), as_json, after("diff", found))


def _version(text: str) -> tuple[str, int]:
    name, _, number = text.partition("@")
    found = version_number(number)
    if found is None:
        raise UnknownNameError(f"{text!r} is not a version of a model.", hint=f"Write {name or 'late'}@3.")
    return name, found


def _figure(value: float | None) -> str | None:
    return None if value is None else figure(value)


def _difference(found: dict[str, Any]) -> str:
    rows = [(what, a, b) for what, (a, b) in found["facts"].items()]
    out = [show.table(("", found["first"], found["second"]), rows)]
    if found["metrics"]:
        lines = [
            (m, _figure(a), _figure(b), None if a is None or b is None else figure(b - a, signed=True))
            for m, (a, b) in found["metrics"].items()
        ]
        out += ["", show.table(("metric (own judge rows)", found["first"], found["second"], "change"), lines)]
    for title in ("inputs_added", "inputs_removed"):
        if found[title]:
            out += ["", f"{title.replace('_', ' ')}: {', '.join(found[title])}"]
    if found["definition"]:
        out += ["", *found["definition"]]
    out += ["", found["gate"]] if found["gate"] else []
    return "\n".join(out)


COLUMNS = 10  # that moved most, shown of each model


@click.command()
@click.argument("name", required=False, shell_complete=completing.SERVED)
@PROJECT
@ENV
@JSON
@CLOCK
def watch(name: str | None, project: str, environment: str | None, as_json: bool, clock: str | None) -> None:
    """Drift and quality of what is served, now. A look on demand decides nothing, and is not written down.

    \b
    NAME is a model or an endpoint; without it all models that are served are looked at.
    Example: tilth watch late
    """
    from tilth.sql.language.acts import LookAt
    from tilth.sql.language.statements import Kind

    place = opened(project, clock)
    session = place.session(environment)
    graph = session.deployed(session.environment)
    if name is None:
        found = dict.fromkeys(r.as_(CreateEndpoint).model for r in graph.of_kind(Kind.ENDPOINT))
        asked = [LookAt(Kind.MODEL, one) for one in found]
    else:
        resource = graph.find(name.lower())
        kind = Kind.ENDPOINT if resource is not None and resource.kind is Kind.ENDPOINT else Kind.MODEL
        asked = [LookAt(kind, name.lower())]
    done = [session.perform(one) for one in asked]
    looks = [
        {**look, "columns": [r for r in one.rows() if r["model"] == look["model"]]}
        for one in done
        for look in one.facts["looks"]
    ]
    facts = {"environment": session.environment, "looks": looks}
    nothing = (
        f"Nothing is served in {session.environment}. CREATE ENDPOINT ... FOR MODEL ..., then `tilth apply`."
    )
    show.facts(
        facts,
        "\n\n".join(_watched(o.text, look) for o, look in zip(done, looks, strict=True)) or nothing,
        as_json,
        after("watch", facts, there(place, environment)),
    )


def _watched(words: str, look: dict[str, Any]) -> str:
    """A look for people: its line, and the columns that moved most."""
    names = ("column", "score", "psi", "rows", "share_null_reference", "share_null_current")
    lines = [[_moment(c[n]) for n in names] for c in look["columns"][:COLUMNS]]
    heads = ("column", "drift", "psi", "rows", "null before", "null now")
    left = len(look["columns"]) - len(lines)
    more = [f"(and {left} more that moved less; --json has all)"] if left > 0 else []
    return "\n".join([words, *([show.table(heads, lines)] if lines else []), *more])
