"""Charts of a report as SVG: lines, bars and tables of shares, each with its axes' ends and a title for those who do not look. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from tilth.core.figures import figure

WIDTH, HEIGHT = 320, 210
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 8, 34


def svg(what: str, inside: str, height: int = HEIGHT, width: int = WIDTH) -> str:
    """A picture with its title."""
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(what)}"><title>{escape(what)}</title>{inside}</svg>'


def scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """From values to places: `low` lies at `start`, `high` at `end`."""
    wide = high - low or 1.0
    return lambda value: start + (value - low) / wide * (end - start)


def label(x: float, y: float, words: str, anchor: str = "middle") -> str:
    """Words at a place, escaped."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _axes(x: tuple[float, float], y: tuple[float, float], names: tuple[str, str]) -> str:
    bottom = HEIGHT - BOTTOM
    return "".join(
        [
            f'<path class="axis" fill="none" d="M{LEFT} {TOP}V{bottom}H{WIDTH - RIGHT}"/>',
            label(LEFT - 4, TOP + 8, figure(y[1], 3), "end"),
            label(LEFT - 4, bottom, figure(y[0], 3), "end"),
            label(LEFT, bottom + 14, figure(x[0], 3), "start"),
            label(WIDTH - RIGHT, bottom + 14, figure(x[1], 3), "end"),
            label((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, names[0]),
            f'<text transform="translate(11 {(TOP + bottom) / 2:.0f}) rotate(-90)" text-anchor="middle">{escape(names[1])}</text>',
        ]
    )


def line(
    what: str,
    x: Sequence[float],
    y: Sequence[float],
    names: tuple[str, str],
    *,
    unit: bool = False,
    diagonal: bool = False,
    spread: Sequence[tuple[float, float]] = (),
    dots: bool = False,
    rows: Sequence[int] = (),
) -> str:
    """A line through points; `unit`: both axes from 0 to 1; `spread`: from where to where each point may lie; `rows`: how
    many there are in equal steps along x, as bars at the foot.
    """
    ends = [v for pair in spread for v in pair]
    xs = (0.0, 1.0) if unit else (min(x), max(x))
    ys = (0.0, 1.0) if unit else (min([*y, *ends]), max([*y, *ends]))
    to_x, to_y = scale(*xs, LEFT, WIDTH - RIGHT), scale(*ys, HEIGHT - BOTTOM, TOP)
    points = [(to_x(a), to_y(b)) for a, b in zip(x, y, strict=True)]
    inside = _axes(xs, ys, names) + _foot(rows)
    if diagonal:
        low, high = max(xs[0], ys[0]), min(xs[1], ys[1])
        inside += (
            f'<path class="version" d="M{to_x(low):.1f} {to_y(low):.1f}L{to_x(high):.1f} {to_y(high):.1f}"/>'
        )
    for (a, _), (low, high) in zip(points, spread, strict=False):
        inside += f'<path class="spread" d="M{a:.1f} {to_y(low):.1f}V{to_y(high):.1f}"/>'
    inside += '<path class="line" d="M' + "L".join(f"{a:.1f} {b:.1f}" for a, b in points) + '"/>'
    if dots:
        inside += "".join(f'<circle class="dot" cx="{a:.1f}" cy="{b:.1f}" r="2.6"/>' for a, b in points)
    return svg(what, inside)


def fan(
    what: str,
    history: Sequence[float | None],
    said: Sequence[float | None],
    ahead: Sequence[tuple[float, float, float]],
    ends: tuple[str, str],
    level: Sequence[float] = (),
) -> str:
    """A series that goes on: its points, its level, what was said of them, and behind its end what is said, with the interval around it.

    `history`, `level` and `said` have a place for each step, `ahead` goes on after the last; `ends` are the first and last moment.
    """
    known = [v for v in (*history, *said, *(v for row in ahead for v in row)) if v is not None]
    ys = (min(known), max(known))
    count = len(history) + len(ahead)
    to_x, to_y = scale(0.0, max(1.0, count - 1.0), LEFT, WIDTH - RIGHT), scale(*ys, HEIGHT - BOTTOM, TOP)
    bottom = HEIGHT - BOTTOM
    inside = (
        f'<path class="axis" fill="none" d="M{LEFT} {TOP}V{bottom}H{WIDTH - RIGHT}"/>'
        + label(LEFT - 4, TOP + 8, figure(ys[1], 3), "end")
        + label(LEFT - 4, bottom, figure(ys[0], 3), "end")
        + label(LEFT, bottom + 14, ends[0], "start")
        + label(WIDTH - RIGHT, bottom + 14, ends[1], "end")
    )
    steps = [(to_x(len(history) + i), *map(to_y, row)) for i, row in enumerate(ahead)]
    if steps:
        upper = "L".join(f"{x:.1f} {high:.1f}" for x, _, _, high in steps)
        lower = "L".join(f"{x:.1f} {low:.1f}" for x, _, low, _ in reversed(steps))
        inside += f'<path class="fan" d="M{upper}L{lower}Z"/>'
    inside += _pieces(level, to_x, to_y, "level")
    inside += _pieces(said, to_x, to_y, "said") + _pieces(history, to_x, to_y, "series")
    last = next((i for i in range(len(history) - 1, -1, -1) if history[i] is not None), None)
    if steps:
        begin = "" if last is None else f"{to_x(last):.1f} {to_y(history[last] or 0.0):.1f}L"
        inside += (
            f'<path class="line" d="M{begin}' + "L".join(f"{x:.1f} {y:.1f}" for x, y, _, _ in steps) + '"/>'
        )
    return svg(what, inside)


def _pieces(
    values: Sequence[float | None], to_x: Callable[[float], float], to_y: Callable[[float], float], kind: str
) -> str:
    """Lines through what there is, broken where there is nothing."""
    pieces: list[list[str]] = [[]]
    for place, value in enumerate(values):
        if value is None:
            pieces.append([])
        else:
            pieces[-1].append(f"{to_x(place):.1f} {to_y(value):.1f}")
    return "".join(f'<path class="{kind}" d="M{"L".join(p)}"/>' for p in pieces if p)


def _foot(rows: Sequence[int]) -> str:
    if not rows:
        return ""
    most, wide, bottom = max([*rows, 1]), (WIDTH - RIGHT - LEFT) / len(rows), HEIGHT - BOTTOM
    out = []
    for place, count in enumerate(rows):
        tall = 40.0 * count / most
        out.append(
            f'<rect class="foot" x="{LEFT + place * wide + 0.5:.1f}" y="{bottom - tall:.1f}" width="{max(0.5, wide - 1):.1f}" height="{tall:.1f}"/>'
        )
    return "".join(out)


def bars(
    what: str,
    names: Sequence[str],
    values: Sequence[float],
    shown: Sequence[str],
    spread: Sequence[tuple[float, float]] = (),
) -> str:
    """Bars from the left, one a row, each with its name above its beginning and its value behind its end.

    `spread` is from where to where each value may lie; below the left end it is cut.
    """
    row, most = 30, max([*map(abs, values), *(high for _, high in spread), 1e-300])
    inside = []
    for place, (name, value, text) in enumerate(zip(names, values, shown, strict=True)):
        top, long = (
            place * row,
            max(1.0, (abs(value) if not spread else max(0.0, value)) / most * (WIDTH - 70)),
        )
        inside.append(label(0, top + 11, _short(name), "start"))
        kind = "bar minus" if value < 0 and not spread else "bar"
        inside.append(f'<rect class="{kind}" x="0" y="{top + 15}" width="{long:.1f}" height="9" rx="2"/>')
        end = long
        if place < len(spread):
            low, end = (max(0.0, v) / most * (WIDTH - 70) for v in spread[place])
            inside.append(
                f'<path class="spread" d="M{low:.1f} {top + 19.5}H{max(end, low + 1):.1f}M{low:.1f} {top + 16}v7M{max(end, low + 1):.1f} {top + 16}v7"/>'
            )
        inside.append(label(max(long, end) + 5, top + 23, text, "start"))
    return svg(what, "".join(inside), row * len(names) + 4)


def columns(what: str, edges: Sequence[float], counts: Sequence[int], name: str) -> str:
    """A histogram."""
    most = max([*counts, 1])
    to_x, to_y = scale(edges[0], edges[-1], LEFT, WIDTH - RIGHT), scale(0, most, HEIGHT - BOTTOM, TOP)
    inside = _axes((edges[0], edges[-1]), (0, most), (name, "rows"))
    for start, end, count in zip(edges[:-1], edges[1:], counts, strict=True):
        x, y = to_x(start), to_y(count)
        inside += f'<rect class="bar" x="{x + 0.5:.1f}" y="{y:.1f}" width="{max(0.5, to_x(end) - x - 1):.1f}" height="{HEIGHT - BOTTOM - y:.1f}"/>'
    return svg(what, inside)


def _short(text: str) -> str:
    return text if len(text) <= 44 else f"{text[:43]}…"


def heat(classes: Sequence[str], rows: Sequence[Sequence[int]]) -> str:
    """A table of what each class was taken for, darker where more of the class's rows are; read by its numbers."""
    head = "".join(f"<th>{escape(_short(c))}</th>" for c in classes)
    body = []
    for name, counts in zip(classes, rows, strict=True):
        whole = sum(counts) or 1
        cells = "".join(
            f'<td class="number s{round(10 * c / whole)}" title="{c / whole:.1%}">{c:,}</td>' for c in counts
        )
        body.append(f"<tr><th>{escape(_short(name))}</th>{cells}</tr>")
    return f'<div class="wide"><table class="heat"><thead><tr><th>is \\ said</th>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'
