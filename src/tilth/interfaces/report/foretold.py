"""Panels of a report of a forecast: series with their fans, errors by step, members, series by error. Pure; all text is escaped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from tilth.core.figures import figure
from tilth.interfaces.drawing import charts
from tilth.interfaces.drawing.tables import table
from tilth.runtime.showing import forecasts

Facts = Mapping[str, Any]


def panels(facts: Facts) -> Iterator[tuple[str, str]]:
    """Title and inside of each panel."""
    drawn = facts["foretold"]
    words = "".join(f"<p>{escape(s)}</p>" for s in forecasts.sentences(facts))
    yield "What is forecast", f'{words}<div class="charts">{"".join(map(_series, drawn["drawn"]))}</div>'
    yield "Seasons", _seasons(drawn)
    for one in facts["forecast"]["targets"]:
        of = f": {one['target']}" if len(facts["forecast"]["targets"]) > 1 else ""
        yield f"By step{of}", _steps(one, facts["forecast"]["confidence"])
        yield f"Members{of}", _members(one)
    yield "Series, the worst first", _worst(drawn)


def _series(one: Facts) -> str:
    """One series: the newest points, what was said of them at inner windows, and what comes."""
    history, ahead = one["history"], [r for r in one["ahead"] if r[1] is not None]
    said = {t[:19]: v for t, v in one["windows"]}
    told = [said.get(t[:19]) for t, _ in history]
    fan = [(y, low, high) for _, y, low, high in ahead]
    first, last = history[0][0][:10], (ahead[-1][0] if ahead else history[-1][0])[:10]
    points = [v for _, v in history]
    chart = charts.fan(f"{one['name']}: {one['target']}", points, told, fan, (first, last), one["trend"])
    mase = (
        "not measured"
        if one["mase"] is None
        else f"MASE {_number(one['mase'])}, a seasonal naive {_number(one['naive'])}"
    )
    caption = f"{escape(one['target'])}; {mase}. Dashed: what was said of the newest inner windows, before they came; dotted: its level without seasons"
    return f"<figure><h3>{escape(one['name'])}</h3>{chart}<figcaption>{caption}.</figcaption></figure>"


def _seasons(drawn: Facts) -> str:
    """What each season adds to the level, of the series that are drawn."""
    found = [(one["name"], s["season"], s["values"]) for one in drawn["drawn"] for s in one["seasons"]]
    figures = [
        f"<figure><h3>{escape(name)}, {season} steps</h3>"
        + charts.line(
            f"season of {name}",
            [float(i + 1) for i in range(len(values))],
            values,
            ("step after the last", "adds"),
        )
        + "</figure>"
        for name, season, values in found
    ]
    return f'<div class="charts">{"".join(figures)}</div>' if figures else ""


def _steps(one: Facts, confidence: float) -> str:
    steps = [s for s in one["steps"] if s["mase"] is not None]
    if not steps:
        return "<p>There is no inner window to tell from.</p>"
    xs = [float(s["step"]) for s in steps]
    error = charts.line(
        "error by step", xs, [s["mase"] for s in steps], ("step ahead", "MASE"), dots=len(xs) < 40
    )
    held = [s["coverage"] for s in steps]
    cover = charts.line("coverage by step", xs, held, ("step ahead", "held"), dots=len(xs) < 40)
    return (
        '<div class="charts">'
        f"<figure><h3>Error</h3>{error}<figcaption>In units of how far a series moves from season to season.</figcaption></figure>"
        f"<figure><h3>Intervals</h3>{cover}<figcaption>The share that they held; {confidence:.0%} is meant.</figcaption></figure>"
        "</div>"
    )


def _members(one: Facts) -> str:
    rows = [
        (escape(name), _number(weight), _number(ratio), escape(why or ""))
        for name, weight, ratio, why in forecasts.members(one)
    ]
    way = f'<p class="soft">{escape(str(one["way"]))}.</p>'
    return way + table(("member", "weight", "error, of the naive's", "why it has none"), rows)


def _worst(drawn: Facts) -> str:
    keys = ("points", "windows", "mase", "naive_mase", "bias", "coverage")
    rows = [
        (
            escape(g["name"]),
            escape(str(g["target"])),
            *(_number(g[k]) for k in keys),
            escape(str(g["last"])[:16]),
        )
        for g in drawn["worst"]
    ]
    more = drawn["series"] - len(rows)
    words = f'<p class="soft">And {more:,} more.</p>' if more > 0 else ""
    return (
        table(("series", "target", "points", "windows", "MASE", "naive", "bias", "held", "last"), rows)
        + words
    )


def _number(value: Any) -> str:
    return "unknown" if value is None else figure(value, 4)
