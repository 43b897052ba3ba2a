"""Values over time as SVG: one or two lines, a rule as a line across, and moments that are marked, such as a new version. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape

from tilth.core.figures import figure
from tilth.interfaces.drawing.charts import label, scale, svg

WIDTH, HEIGHT = 440, 170
RIGHT, TOP, BOTTOM = 10, 14, 20
MANY = 80  # points from which on they are drawn small
KINDS = ("line", "said")


@dataclass(frozen=True, slots=True)
class Line:
    """A named line through values at moments; where there is no value it is broken."""

    name: str
    points: Sequence[tuple[datetime, float | None]]


@dataclass(frozen=True, slots=True)
class Rule:
    """A value that is not to be passed: drawn across, and what lies beyond is drawn as over. `op` is `<` or `>`, with `=` or without."""

    op: str
    value: float
    words: str

    def broken(self, value: float) -> bool:
        """Whether the value lies beyond."""
        return value > self.value if self.op.startswith(">") else value < self.value


def timeline(
    what: str,
    lines: Sequence[Line],
    *,
    rule: Rule | None = None,
    marks: Sequence[tuple[datetime, str]] = (),
    ends: tuple[datetime, datetime] | None = None,
    zero: bool = False,
    show: Callable[[float], str] = lambda value: figure(value, 3),
) -> str:
    """The chart; empty where no line has a value. `ends` are the first and last moment of the axis, which charts beside each other share;
    `zero`: the axis of values begins at 0.
    """
    known = [(at, value) for one in lines[: len(KINDS)] for at, value in one.points if value is not None]
    if not known:
        return ""
    first, last = ends or (min(at for at, _ in known), max(at for at, _ in known))
    low, high = _range(
        [*(value for _, value in known), *((rule.value,) if rule else ()), *((0.0,) if zero else ())]
    )
    ticks = (low, (low + high) / 2, high)
    left = 16 + 6.5 * max(len(show(t)) for t in ticks)
    along, up = (
        scale(0.0, (last - first).total_seconds(), left, WIDTH - RIGHT),
        scale(low, high, HEIGHT - BOTTOM, TOP),
    )

    def x(at: datetime) -> float:
        return along((at - first).total_seconds())

    inside = "".join(
        f'<line class="axis" x1="{left:.1f}" x2="{WIDTH - RIGHT}" y1="{up(t):.1f}" y2="{up(t):.1f}"/>{label(left - 6, up(t) + 3, show(t), "end")}'
        for t in ticks
    )
    if rule is not None:
        inside += f'<line class="limit" x1="{left:.1f}" x2="{WIDTH - RIGHT}" y1="{up(rule.value):.1f}" y2="{up(rule.value):.1f}"><title>{escape(rule.words)}</title></line>'
    for at, words in marks:
        if first <= at <= last:
            inside += f'<line class="version" x1="{x(at):.1f}" x2="{x(at):.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>{label(x(at) + 3, TOP + 8, words, "start")}'
    for kind, one in zip(KINDS, lines, strict=False):
        inside += _line(one, kind, x, up, rule, show)
    inside += label(left, HEIGHT - 5, f"{first:%Y-%m-%d %H:%M}", "start") + label(
        WIDTH - RIGHT, HEIGHT - 5, f"{last:%Y-%m-%d %H:%M}", "end"
    )
    if len(lines) > 1:
        inside += label(WIDTH - RIGHT, TOP - 3, f"{lines[0].name}; dashed: {lines[1].name}", "end")
    return svg(what, inside, HEIGHT, WIDTH)


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    if high - low < 1e-12:
        around = abs(low) * 0.05 or 0.05
        return low - around, high + around
    return low, high


def _line(
    one: Line,
    kind: str,
    x: Callable[[datetime], float],
    y: Callable[[float], float],
    rule: Rule | None,
    show: Callable[[float], str],
) -> str:
    pieces: list[list[str]] = [[]]
    dots = []
    size = 1.2 if len(one.points) > MANY else 2.4
    for at, value in one.points:
        if value is None:
            pieces.append([])
            continue
        pieces[-1].append(f"{x(at):.1f} {y(value):.1f}")
        over = " over" if rule is not None and rule.broken(value) else ""
        dots.append(
            f'<circle class="dot{over}" cx="{x(at):.1f}" cy="{y(value):.1f}" r="{size}"><title>{at:%Y-%m-%d %H:%M} {escape(one.name)} {escape(show(value))}</title></circle>'
        )
    return "".join(f'<path class="{kind}" d="M{"L".join(p)}"/>' for p in pieces if len(p) > 1) + "".join(dots)
