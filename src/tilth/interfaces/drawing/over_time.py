"""A figure over time with the line of its rule and where the version changed, and an interval against zero. Pure; all text is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape
from itertools import pairwise

from tilth.core.figures import figure
from tilth.interfaces.drawing.timeline import Line, Rule, timeline


def over_time(
    what: str,
    points: Sequence[tuple[datetime, float | None, int]],
    limit: tuple[str, float] | None = None,
) -> str:
    """Values at moments, each of a version; `limit` is how a rule compares, and with what. Charts of the same points span the same days."""
    known = [(at, value, version) for at, value, version in points if value is not None]
    if len(known) < 2:
        said = f"One look: {figure(known[0][1])}." if known else "No look yet."
        return f'<p class="soft">{said}</p>'
    rule = None if limit is None else Rule(*limit, f"RETRAIN WHEN {limit[0]} {limit[1]:g}")
    marks = [(at, f"v{now}") for (_, _, before), (at, _, now) in pairwise(known) if now != before]
    line = Line(what, [(at, value) for at, value, _ in points])
    return timeline(what, [line], rule=rule, marks=marks, ends=(points[0][0], points[-1][0]))


def interval(
    value: float | None, low: float | None, high: float | None, ends: tuple[float, float], state: str = ""
) -> str:
    """A difference with its interval, and zero as a line; `ends` are those of all that are drawn together."""
    if value is None or low is None or high is None:
        return ""
    least, most = min(ends[0], 0.0), max(ends[1], 0.0)
    wide = most - least or 1.0

    def x(at: float) -> float:
        return 4 + (at - least) / wide * 192

    said = f"{figure(value)} [{figure(low)}, {figure(high)}]"
    return (
        f'<svg viewBox="0 0 200 16" role="img" aria-label="{said}"><title>{said}</title>'
        f'<line class="zero" x1="{x(0):.1f}" x2="{x(0):.1f}" y1="0" y2="16"/>'
        f'<line class="interval {escape(state)}" x1="{x(low):.1f}" x2="{max(x(high), x(low) + 1):.1f}" y1="8" y2="8"/>'
        f'<circle class="{escape(state)}" cx="{x(value):.1f}" cy="8" r="3"/></svg>'
    )
