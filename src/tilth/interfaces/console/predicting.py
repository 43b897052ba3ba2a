"""The page that has a row answered by the version that serves, and explained: a form of its inputs, with usual values in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from tilth.core.errors import TilthError, UnsupportedError
from tilth.core.figures import figure
from tilth.core.principals import token
from tilth.interfaces.console.datasets import resource
from tilth.interfaces.console.looking import Looking, Page
from tilth.interfaces.drawing import charts
from tilth.plan.rights import Right
from tilth.runtime.showing.describing import Place, describe
from tilth.sql.language.acts import ExplainPredict
from tilth.sql.language.statements import Kind, Options

FIELD = "in."  # before the name of an input
LONGEST = 10_000  # characters of a value
SHOWN = 20  # contributions
NUMBERS = frozenset({"integer", "float", "decimal"})


def predict(at: Looking) -> Page:
    """The page at `/models/<name>/predict`; the row is in the query, and nothing of it is logged."""
    found = resource(at, Kind.MODEL, "models")
    facts = describe(Place(at.work, at.environment, at.graph, True), found, differs=False)
    inputs = [] if facts["version"] is None or "forecast" in facts else facts["inputs"]
    asked = any(name.startswith(FIELD) for name in at.query)
    given = {
        i["name"]: at.query.get(FIELD + i["name"], "" if asked else _shown(i["example"])) for i in inputs
    }
    answers: list[dict[str, Any]] = []
    error: TilthError | None = None
    if asked and at.may(Right.PREDICT):
        try:
            answers = _answered(at, found.name, inputs, given)
        except TilthError as said:
            error = said
    values = {
        "name": found.name, "version": facts["version"], "inputs": inputs, "given": given, "answers": answers, "error": error, "field": FIELD,
        "allowed": at.may(Right.PREDICT), "forecast": "forecast" in facts, "example": (facts.get("example") or {}).get("sql", ""),
    }  # fmt: skip
    trail = (("Overview", at.url()), ("Models", at.url("models")), (found.name, at.url("models", found.name)))
    return Page(
        "a row", "predict.html", values, f"SELECT * FROM tilth.versions WHERE model = '{found.name}'", trail
    )


def _shown(value: Any) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _answered(
    at: Looking, name: str, inputs: list[dict[str, Any]], given: Mapping[str, str]
) -> list[dict[str, Any]]:
    """What each output says of the row, and why."""
    row = {i["name"]: _value(i, given[i["name"]]) for i in inputs if given[i["name"]] != "" or i["required"]}
    session = at.project.session(at.environment, by=token("console", at.role), door="")
    result = session.perform(ExplainPredict(name, Options(tuple(row.items()))))
    rows = result.arrow().to_pylist()
    each = result.facts if rows and "output" in rows[0] else {"": result.facts}
    return [
        {"output": output, "facts": _facts(said), "why": _why([r for r in rows if r.get("output", "") == output], said)}
        for output, said in each.items() if isinstance(said, Mapping)
    ]  # fmt: skip


def _value(one: Mapping[str, Any], text: str) -> Any:
    """The text as a value of the input's type; a gap where it is empty."""
    if len(text) > LONGEST:
        raise UnsupportedError(
            f"`{one['name']}` has over {LONGEST:,} characters.", hint="POST /predict takes such rows."
        )
    if text == "":
        return None
    if one["type"] in NUMBERS:
        try:
            return float(text) if one["type"] != "integer" or "." in text else int(text)
        except ValueError:
            return text  # the error of the row names the input
    if one["type"] == "boolean" and text.lower() in {"true", "false"}:
        return text.lower() == "true"
    return text


def _facts(said: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The answer in a few figures."""
    out = [("value", _shown(said.get("value")))]
    figures = ("confidence", "probability", "lower", "upper")
    out += [(key, figure(said[key])) for key in figures if isinstance(said.get(key), int | float)]
    shares = said.get("probabilities")
    if isinstance(shares, Mapping) and len(shares) > 2:
        out += [
            (f"probability of {k}", figure(v)) for k, v in sorted(shares.items(), key=lambda kv: -kv[1])[:5]
        ]
    return out


def _why(rows: list[dict[str, Any]], said: Mapping[str, Any]) -> Markup:
    """What each input contributed, drawn."""
    some = rows[:SHOWN]
    if not some:
        return Markup()
    names = [f"{r['input']} = {'none' if r['given'] is None else r['given']}" for r in some]
    drawn = charts.bars(
        "contributions",
        names,
        [r["contribution"] for r in some],
        [figure(r["contribution"], 3, signed=True) for r in some],
    )
    words = ""
    if "base" in said:
        words = f"From a base of {figure(said['base'])} all contributions add up to {figure(said['total'])}, the {said['of']}."
    chart = Markup(drawn)  # noqa: S704  # it escapes what is in it
    return Markup('<figure class="narrow">{}<figcaption>{}</figcaption></figure>').format(chart, words)
