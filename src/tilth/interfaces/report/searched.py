"""The section of a report about a search of options: how the least loss fell, and every trial. Pure; all text is escaped."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from tilth.interfaces.drawing import charts
from tilth.interfaces.drawing.tables import table
from tilth.runtime.showing import searched

Facts = Mapping[str, Any]


def trials(found: Facts | None) -> str:
    """The learning curve of each engine, and its trials; nothing of a version without a search."""
    if not found:
        return ""
    drawn = "".join(
        f"<figure><h3>{escape(engine)}</h3>{_curve(engine, points)}</figure>"
        for engine, points in searched.curves(found).items()
        if len(points) > 1
    )
    rows = [tuple(escape(str(cell)) for cell in row) for row in searched.rows(found)]
    charted = f'<div class="charts">{drawn}</div>' if drawn else ""
    return f'<p class="soft">{escape(searched.words(found))}</p>{charted}{table(searched.TRIALS, rows)}'


def _curve(engine: str, points: list[tuple[int, float]]) -> str:
    x, y = [float(n) for n, _ in points], [loss for _, loss in points]
    return charts.line(f"search of {engine}", x, y, ("trial", "least loss so far"), dots=True)
