"""Sections of a report about what training found out: costs, importance with intervals, weak slices, simpler models. Pure; all text is escaped."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from tilth.core.figures import figure
from tilth.interfaces.drawing import charts
from tilth.interfaces.drawing.tables import table
from tilth.runtime.showing import understood

Facts = Mapping[str, Any]


def money(facts: Facts) -> str:
    """What decisions cost, beside those of others; nothing without costs."""
    found = facts.get("money")
    if not found:
        return ""
    words = (
        f"What {found['per']:,} decisions cost, on {found['rows']:,} judged rows: a missed positive {figure(found['cost_false_negative'])}, a false alarm "
        f"{figure(found['cost_false_positive'])}; yes above a probability of {figure(found['threshold'])}. Intervals at {found['confidence']:.0%}."
    )
    rows = [("<b>this version</b>", f"<b>{_between(found)}</b>", "")]
    rows += [(escape(n), figure(o["value"]), _between(o["saved"])) for n, o in found["against"].items()]
    return f'<p class="soft">{escape(words)}</p>' + table(("decisions", "cost", "this version saves"), rows)


def _between(one: Facts) -> str:
    ends = "" if one["low"] is None else f" ({figure(one['low'])} to {figure(one['high'])})"
    return "" if one["value"] is None else figure(one["value"]) + ends


def importance(found: Facts | None) -> str:
    """Bars of how much the loss rises without each input, with intervals."""
    known = [(n, v) for n, v in (found or {}).get("inputs", {}).items() if v["value"] is not None]
    if not found or not known:
        return ""
    known.sort(key=lambda item: -item[1]["value"])
    ends = [
        (v["value"] if v["low"] is None else v["low"], v["value"] if v["high"] is None else v["high"])
        for _, v in known
    ]
    values = [v["value"] for _, v in known]
    chart = charts.bars(
        "importance of inputs", [n for n, _ in known], values, [figure(v, 3) for v in values], ends
    )
    words = (
        f"How much {found['loss']} rises when an input's values are dealt to other rows: the mean of {found['deals']} deals of {found['rows']:,} rows"
        f"{', which this version has learned from' if found['learned_from'] else ''}; intervals at {found['confidence']:.0%}."
    )
    left = (
        f" {found['not_measured']} inputs weigh less and were not measured." if found["not_measured"] else ""
    )
    return f'<figure class="narrow">{chart}<figcaption>{escape(words + left)}</figcaption></figure>'


def weak(found: Facts | None) -> str:
    """Slices on which the model is surely weaker; a sentence where there are none."""
    if not found:
        return ""
    tested = f"{found['tested']} slices of one column or two were looked at, on {found['rows']:,} judged rows"
    if not found["slices"]:
        return f"<p>{escape(tested)}: in none is the model shown to be weaker than elsewhere.</p>"
    words = (
        f"{tested}. In these its {found['loss']} is shown to be higher than elsewhere; the chance of naming any that is not weak is "
        f"{found['error']:.0%} (Holm)."
    )
    rows = [
        tuple("" if cell is None else escape(_cell(cell)) for cell in row)
        for row in understood.weak_rows(found)
    ]
    return f'<p class="soft">{escape(words)}</p>' + table(understood.WEAK, rows)


def simpler(facts: Facts) -> str:
    """Simpler models beside this one."""
    rows = understood.simpler_rows(facts)
    if not rows:
        return ""
    near = (facts.get("simpler") or {}).get("nearest")
    cells = [
        tuple(
            f"<b>{escape(_cell(c))}</b>"
            if place == 0 and row[0] == near
            else ""
            if c is None
            else escape(_cell(c))
            for place, c in enumerate(row)
        )
        for row in rows
    ]
    said = understood.nearest(facts.get("simpler"), str(facts["metric"]))
    words = f"{said} All were fitted as this one was and judged on the same rows; intervals at 95%."
    return f'<p class="soft">{escape(words)}</p>' + table(understood.SIMPLER, cells)


def _cell(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
