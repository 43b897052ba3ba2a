"""The pages of models: the list, one of them over its life, one version, two versions side by side, and a row that is answered."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from markupsafe import Markup

from tilth.core.errors import TilthError, UnknownNameError
from tilth.core.figures import figure
from tilth.interfaces.console.datasets import resource
from tilth.interfaces.console.looking import Looking, Page
from tilth.interfaces.drawing.over_time import interval, over_time
from tilth.interfaces.public import public
from tilth.interfaces.report import page as report
from tilth.resources.graph import Graph
from tilth.resources.kinds import Resource
from tilth.runtime.asking.reporting import report as reported
from tilth.runtime.record import environments, evidence, versions
from tilth.runtime.showing import forecasts
from tilth.runtime.showing.comparing import compare
from tilth.runtime.showing.describing import Place
from tilth.runtime.showing.standing import standing
from tilth.runtime.showing.trained import columns_of, trained
from tilth.sql.language.statements import CreateModel, Kind

OUTCOMES = {"pass": "good", "fail": "bad"}
FOLDED = (
    "Inputs",
    "Declaration",
    "Search of options",
    "Simpler models",
    "Slices",
    "Seasons",
)  # how titles of panels begin
GATES = 12  # that are shown unfolded
DRAWN = (
    ("drift", "Drift of inputs, by importance"), ("value", "Realised {metric}"), ("prediction_drift", "Drift of predictions"),
)  # fmt: skip
SIGNALS = {"value": "quality"}


def listed(at: Looking) -> Page:
    """The page at `/models`."""
    found = standing(at.work, at.environment)
    known = {m["name"] for m in found["models"]}
    held = {h["name"]: h for h in found["held"]}
    failed = {f["name"]: f for f in found["failures"]}
    there = [r.name for r in at.graph.of_kind(Kind.MODEL)] + [
        h["name"] for h in found["held"] if h["action"] == "TrainModel"
    ]
    more = [name for name in dict.fromkeys(there) if name not in known]
    values = {"models": found["models"], "more": more, "held": held, "failed": failed}
    return Page("Models", "models.html", values, "SELECT * FROM tilth.models", (("Overview", at.url()),))


def one(at: Looking) -> Page:
    """The page at `/models/<name>`."""
    (found, _), name = _found(at), at.parameters["name"]
    facts = trained(at.work, at.environment, name, None if found is None else found.as_(CreateModel))
    seen = facts["looks"]
    metric = seen[-1].metric if seen else "quality"
    charts = [
        (title.format(metric=metric), _markup(over_time(title.format(metric=metric), [(s.at, getattr(s, of), s.version) for s in seen], facts["limits"].get(SIGNALS.get(of, of)))))
        for of, title in DRAWN
    ] if seen else []  # fmt: skip
    values = {
        **facts,
        "charts": charts,
        "gates": _gates(facts["gates"]),
        "text": "" if found is None else found.text,
        "shown": GATES,
        "metric": metric,
    }
    query = f"SELECT * FROM tilth.versions WHERE model = '{name}' ORDER BY version DESC"
    return Page(name, "model.html", values, query, _trail(at))


def version(at: Looking) -> Page:
    """The page at `/models/<name>/versions/<version>`."""
    (found, graph), name, number = _found(at), at.parameters["name"], at.whole("version")
    row = versions.require(at.work.state, name, number)
    why, facts = "", dict[str, Any]()
    try:
        if found is None:
            raise UnknownNameError(
                "Its declaration is in no file, and deployed nowhere.", hint="What is known is below."
            )
        facts = at.kept.get(
            ("version", at.environment, name, number, *_moves(at, row)),
            lambda: reported(Place(at.work, at.environment, graph, True, number), name),
        )
    except TilthError as error:
        known = public(error, at.project.root)
        why = f"{known.message} {known.hint or ''}"
    panels = [
        (title, f"panel-{place}", _markup(inside), title.startswith(FOLDED))
        for place, (title, inside) in enumerate(report.panels(facts) if facts else ()) if inside
    ]  # fmt: skip
    serves = versions.current(at.work.state, at.environment).get(name)
    numbers = [m.number for m in versions.made(at.work.state, name)]
    values = {
        "name": name, "row": row, "facts": facts, "why": why, "panels": panels, "columns": columns_of(row), "figures": row.facts,
        "serves": serves is not None and serves.version == number, "other": None if serves is None else serves.version, "numbers": numbers,
        "several": len(row.parts) > 1,
    }  # fmt: skip
    query = f"SELECT * FROM tilth.versions WHERE model = '{name}' AND version = {number}"
    return Page(
        f"version {number}",
        "version.html",
        values,
        query,
        (*_trail(at), (name, at.url("models", name))),
    )


def _moves(at: Looking, row: versions.Version) -> tuple[object, ...]:
    """What of a version's report may change: its status, its newest gate, and the rows that a forecast goes on from."""
    gate = evidence.last(at.work.state, row.model, row.version)
    number = environments.current_number(at.work.state, at.environment) if forecasts.is_one(row) else 0
    return row.digest, row.status, row.removed_at, None if gate is None else gate.at, number


def compared(at: Looking) -> Page:
    """The page at `/models/<name>/compare`: `first` and `second` are numbers of versions."""
    name = at.parameters["name"]
    _found(at)  # it is there
    numbers = [m.number for m in versions.made(at.work.state, name)]
    if not numbers:
        raise UnknownNameError(f"`{name}` has no version yet.", hint="Run `tilth apply` to train one.")
    second = at.whole("second", numbers[-1])
    serves = versions.current(at.work.state, at.environment).get(name)
    other = max((n for n in numbers if n < second), default=second)
    first = at.whole("first", other if serves is None or serves.version == second else serves.version)
    facts = compare(at.work, (name, first), (name, second))
    values = {
        "name": name,
        "numbers": numbers,
        "first": first,
        "second": second,
        "facts": facts,
        "lines": _lines(facts["definition"]),
    }
    query = f"SELECT * FROM tilth.versions WHERE model = '{name}' AND version IN ({first}, {second})"
    return Page(
        f"{first} and {second}",
        "compare.html",
        values,
        query,
        (*_trail(at), (name, at.url("models", name))),
    )


def _found(at: Looking) -> tuple[Resource | None, Graph]:
    """The model of the path, with a graph that has it. One whose first version is held back is deployed nowhere yet: the files
    declare it; where they do not, its versions are told without a declaration (None).
    """
    name = at.parameters["name"]
    if at.graph.find(name) is None and versions.made(at.work.state, name):
        try:
            declared = at.project.graph()
        except TilthError:  # the files are being edited
            return None, at.graph
        found = declared.find(name)
        return (found, declared) if found is not None and found.kind is Kind.MODEL else (None, at.graph)
    return resource(at, Kind.MODEL, "models"), at.graph


def _trail(at: Looking) -> tuple[tuple[str, str], ...]:
    return ("Overview", at.url()), ("Models", at.url("models"))


def _markup(drawn: str) -> Markup:
    return Markup(drawn)  # noqa: S704  # drawings and reports escape what is in them


def _lines(diff: Iterable[str]) -> list[tuple[str, str]]:
    """Lines of a difference with the element that each is: added, gone, or as it was."""
    kinds = {"+": "ins", "-": "del"}
    return [
        (kinds.get(line[:1], "span"), line[1:]) for line in diff if not line.startswith(("+++", "---", "@@"))
    ]


def _gates(gates: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Gates with their interval drawn, all of a metric on one scale."""
    ends: dict[str, tuple[float, float]] = {}
    for g in gates:
        if g["lower"] is not None and g["upper"] is not None:
            low, high = ends.get(g["metric"], (0.0, 0.0))
            ends[g["metric"]] = (min(low, g["lower"]), max(high, g["upper"]))
    out = []
    for g in gates:
        drawn = interval(
            g["delta"],
            g["lower"],
            g["upper"],
            ends.get(g["metric"], (0.0, 0.0)),
            OUTCOMES.get(g["outcome"], "warn"),
        )
        said = (
            ""
            if g["delta"] is None or g["lower"] is None
            else f"{figure(g['delta'], signed=True)} [{figure(g['lower'])}, {figure(g['upper'])}]"
        )
        out.append({**g, "drawn": _markup(drawn), "gain": said})
    return out
