"""The pages of datasets: the list, and one of them with its profile, checks, snapshots, quarantine and lineage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from tilth.core.errors import TilthError, UnknownNameError
from tilth.core.names import did_you_mean
from tilth.interfaces.console import places
from tilth.interfaces.console.looking import Looking, Page
from tilth.interfaces.public import public
from tilth.interfaces.report import dataset as report
from tilth.ports.snapshots import CheckResult
from tilth.resources.kinds import Resource
from tilth.runtime.asking.profiling import COLUMNS, profiled
from tilth.runtime.record import refreshes
from tilth.runtime.showing.collected import collected
from tilth.runtime.showing.describing import Place
from tilth.runtime.showing.standing import standing
from tilth.sql.language.statements import Kind

FOLDED = frozenset(
    {"Distributions", "Declaration", "Lineage", "Missing values"}
)  # panels that open at a click
OWN = frozenset({"Freshness"})  # that are shown otherwise


def listed(at: Looking) -> Page:
    """The page at `/datasets`."""
    found = standing(at.work, at.environment)
    known = {d["name"] for d in found["datasets"]}
    failed = {
        f["name"]: f for f in found["failures"] if f["action"] == "CollectDataset" and f["name"] not in known
    }
    values = {
        "datasets": found["datasets"],
        "failed": failed,
        "waiting": {w["name"]: w for w in found["waiting"]},
    }
    return Page(
        "Datasets", "datasets.html", values, "SELECT * FROM tilth.datasets", (("Overview", at.url()),)
    )


def one(at: Looking) -> Page:
    """The page at `/datasets/<name>`."""
    found = resource(at, Kind.DATASET, "datasets")
    place = Place(at.work, at.environment, at.graph, True)
    why, facts = "", dict[str, Any]()
    try:
        facts = profiled(
            place, found.name, COLUMNS, lambda key, make: at.kept.get(("columns", at.environment, key), make)
        )
    except TilthError as error:
        known = public(error, at.project.root)
        why = f"{known.message} {known.hint or ''}"
    panels = [
        (title, title.lower().replace(" ", "-"), Markup(inside), title in FOLDED)  # noqa: S704  # the report escapes what is in it
        for title, inside in (report.panels(facts) if facts else ()) if inside and title not in OWN
    ]  # fmt: skip
    values = {
        "name": found.name, "facts": facts, "why": why, "panels": panels, "text": found.text, "up": _linked(at, at.graph.upstream(found.name)),
        "beside": _beside(at, found, facts), "down": _linked(at, at.graph.downstream(found.name)), **collected(at.work, at.environment, found.name),
    }  # fmt: skip
    query = f"SELECT * FROM tilth.refreshes WHERE dataset = '{found.name}' ORDER BY id DESC LIMIT 60"
    return Page(
        found.name, "dataset.html", values, query, (("Overview", at.url()), ("Datasets", at.url("datasets")))
    )


def _beside(at: Looking, found: Resource, facts: Mapping[str, Any]) -> list[CheckResult]:
    """What the last refresh checked that EXPECT does not name: its KEY, its times, its columns."""
    named = {c["expectation"] for c in facts.get("checks", ())}
    with at.work.state.reading() as reader:
        return [r for r in refreshes.check_results(reader, found.recipe) if r.judged and r.check not in named]


def resource(at: Looking, kind: Kind, words: str) -> Resource:
    """What the path names, if it is of that kind and deployed; UnknownNameError with the nearest."""
    found = at.graph.find(at.parameters["name"])
    if found is None or found.kind is not kind:
        names = [r.name for r in at.graph.of_kind(kind)]
        raise UnknownNameError(
            f"There is no {kind.value} {at.parameters['name'][:80]!r} in `{at.environment}`.",
            hint=did_you_mean(at.parameters["name"], names, words)
            if names
            else "Run `tilth apply` to make one.",
        )
    return found


def _linked(at: Looking, found: tuple[Resource, ...]) -> list[tuple[str, str, str]]:
    """Kind, name and URL of each."""
    out = []
    for r in found:
        place = places.of(r.kind.value)
        out.append((r.kind.value, r.name, at.url(place, r.name) if place else ""))
    return out
