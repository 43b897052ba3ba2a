"""A figure over time with the line of its rule and where the version changed, and an interval against zero. Pure; all text is escaped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from html import escape
from itertools import pairwise

from tilth.core.figures import figure

WIDTH, HEIGHT = 440, 170
RIGHT, TOP, BOTTOM = 10, 14, 20
MANY = 80  # points above which they are small


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
    starts, ends = points[0][0], points[-1][0]
    values = [v for _, v, _ in known] + ([limit[1]] if limit else [])
    low, high = min(values), max(values)
    if high - low < 1e-9:
        room = abs(low) * 0.05 or 0.05
        low, high = low - room, high + room
    ticks = [low, (low + high) / 2, high]
    left = 16 + 6.5 * max(len(figure(t, 3)) for t in ticks)
    span = (ends - starts).total_seconds() or 1.0

    def x(at: datetime) -> float:
        return left + (at - starts).total_seconds() / span * (WIDTH - left - RIGHT)

    def y(value: float) -> float:
        return TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM)

    inside = "".join(_tick(t, left, y(t)) for t in ticks) + _limit(limit, left, y)
    inside += _versions(known, x)
    inside += '<path class="line" d="M' + "L".join(f"{x(a):.1f} {y(v):.1f}" for a, v, _ in known) + '"/>'
    inside += f'<text x="{left:.1f}" y="{HEIGHT - 5}">{starts:%Y-%m-%d}</text><text x="{WIDTH - RIGHT}" y="{HEIGHT - 5}" text-anchor="end">{ends:%Y-%m-%d}</text>'
    inside += "".join(
        f'<circle class="dot{" over" if _over(limit, v) else ""}" cx="{x(a):.1f}" cy="{y(v):.1f}" r="{1.2 if len(known) > MANY else 2.4}">'
        f"<title>{a:%Y-%m-%d %H:%M}  {figure(v)}  version {n}</title></circle>"
        for a, v, n in known
    )
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(what)}"><title>{escape(what)}</title>{inside}</svg>'


def _tick(value: float, left: float, at: float) -> str:
    return (
        f'<line class="axis" x1="{left:.1f}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
        f'<text x="{left - 6:.1f}" y="{at + 3:.1f}" text-anchor="end">{figure(value, 3)}</text>'
    )


def _limit(limit: tuple[str, float] | None, left: float, y: Callable[[float], float]) -> str:
    if limit is None:
        return ""
    at = y(limit[1])
    return f'<line class="limit" x1="{left:.1f}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"><title>RETRAIN WHEN {escape(limit[0])} {limit[1]:g}</title></line>'


def _versions(known: Sequence[tuple[datetime, float, int]], x: Callable[[datetime], float]) -> str:
    """A line where another version began to answer."""
    out = []
    for (_, _, before), (at, _, now) in pairwise(known):
        if now != before:
            place = x(at)
            out.append(
                f'<line class="version" x1="{place:.1f}" x2="{place:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/><text x="{place + 3:.1f}" y="{TOP + 8}">v{now}</text>'
            )
    return "".join(out)


def _over(limit: tuple[str, float] | None, value: float) -> bool:
    """Whether the rule holds for the value."""
    return limit is not None and (value > limit[1] if limit[0].startswith(">") else value < limit[1])


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
