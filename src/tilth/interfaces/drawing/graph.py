"""The loop as SVG: a column a kind, a box a thing, a line from what it is made from. Of many the first are drawn and the rest is one box."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

WIDTH, HEIGHT, GAP, BETWEEN = 196, 62, 14, 44
MOST = 12  # boxes of a column
LINE = 29  # characters of a line


@dataclass(frozen=True, slots=True)
class Box:
    """One box: its column, what stands in it, and the names of those it is made from."""

    column: str
    name: str
    state: str = ""
    lines: Sequence[str] = ()
    needs: Sequence[str] = ()
    link: str = ""


@dataclass(slots=True)
class _Placed:
    boxes: list[Box] = field(default_factory=list)
    spots: dict[str, tuple[int, int]] = field(default_factory=dict)  # left upper corner by name
    wide: int = 0
    high: int = 0


def graph(boxes: Sequence[Box], columns: Sequence[str], more: Callable[[str, int], Box]) -> str:
    """The picture; `more` makes the box of a column for those that are left out."""
    placed = _placed(boxes, columns, more)
    if not placed.boxes:
        return ""
    lines = "".join(_edge(placed, box) for box in placed.boxes)
    drawn = "".join(_box(box, *placed.spots[_id(box)]) for box in placed.boxes)
    words = f"{len(boxes)} things and what each is made from"
    return (
        f'<svg viewBox="0 0 {placed.wide} {placed.high}" width="{placed.wide}" role="group" aria-label="{words}">'
        f"{lines}{drawn}</svg>"
    )


def _id(box: Box) -> str:
    return f"{box.column}\n{box.name}"


def _placed(boxes: Sequence[Box], columns: Sequence[str], more: Callable[[str, int], Box]) -> _Placed:
    out, left, names = _Placed(), 0, {b.name: b for b in boxes}
    instead: dict[str, str] = {}
    tall = 0
    for column in columns:
        own = [b for b in boxes if b.column == column]
        if not own:
            continue
        own.sort(key=lambda b: (_height(b, out.spots, names, instead), b.name))
        if len(own) > MOST:
            worst = sorted(own, key=lambda b: {"bad": 0, "warn": 1}.get(b.state, 2))[: MOST - 1]
            hidden = [b for b in own if b not in worst]
            rest = more(column, len(hidden))
            needed = tuple(dict.fromkeys(n for b in hidden for n in b.needs))
            rest = Box(rest.column, rest.name, rest.state, rest.lines, needed, rest.link)
            instead |= {b.name: rest.name for b in hidden}
            own = [b for b in own if b in worst] + [rest]
        for row, box in enumerate(own):
            out.boxes.append(box)
            out.spots[_id(box)] = (left, row * (HEIGHT + GAP))
        tall = max(tall, len(own))
        left += WIDTH + BETWEEN
    shown = {b.name: _id(b) for b in out.boxes}
    out.boxes = [
        Box(b.column, b.name, b.state, b.lines, tuple(dict.fromkeys(shown[n] for x in b.needs if (n := instead.get(x, x)) in shown)), b.link)
        for b in out.boxes
    ]  # fmt: skip
    out.wide, out.high = max(1, left - BETWEEN), max(1, tall * (HEIGHT + GAP) - GAP)
    return out


def _height(
    box: Box, spots: Mapping[str, tuple[int, int]], names: Mapping[str, Box], instead: Mapping[str, str]
) -> float:
    """The mean height of what it is made from, so that lines cross seldom."""
    found = []
    for need in box.needs:
        one = names.get(need)
        if one is not None and (at := spots.get(f"{one.column}\n{instead.get(need, need)}")):
            found.append(at[1])
    return sum(found) / len(found) if found else 0.0


def _edge(placed: _Placed, box: Box) -> str:
    x, y = placed.spots[_id(box)]
    out = []
    for need in box.needs:
        a, b = placed.spots[need]
        start, end, up, down = a + WIDTH, x, b + HEIGHT / 2, y + HEIGHT / 2
        middle = (start + end) / 2
        out.append(f'<path class="edge" d="M{start} {up}C{middle} {up} {middle} {down} {end} {down}"/>')
    return "".join(out)


def _box(box: Box, x: int, y: int) -> str:
    told = f"{box.column} {box.name}: {', '.join(line for line in box.lines if line)}"
    mark = (
        f'<rect class="mark {escape(box.state)}" x="{x}" y="{y + 8}" width="4" height="{HEIGHT - 16}"/>'
        if box.state
        else ""
    )
    texts = "".join(
        f'<text x="{x + 14}" y="{y + 38 + 15 * row}">{escape(_cut(line, LINE))}</text>'
        for row, line in enumerate(box.lines[:2])
    )
    inside = (
        f"<title>{escape(told)}</title>"
        f'<rect class="node" x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="8"/>{mark}'
        f'<text class="name" x="{x + 14}" y="{y + 20}">{escape(_cut(box.name, 25))}</text>{texts}'
    )
    return f'<a href="{escape(box.link)}">{inside}</a>' if box.link else f"<g>{inside}</g>"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
