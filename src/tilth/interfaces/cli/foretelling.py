"""`tilth predict` of a model that forecasts: the next steps of one series, as a table with a line of bars, or as JSON."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from tilth.core.figures import figure
from tilth.interfaces.cli import show

if TYPE_CHECKING:
    from tilth.runtime.asking.model import Model

BARS = "▁▂▃▄▅▆▇█"


def shown(
    model: Model, group: Mapping[str, Any], horizon: int | None, as_json: bool, steps: Sequence[str], *, explain: bool
) -> None:  # fmt: skip
    """Forecast the series of that group, and show it."""
    from tilth.runtime.asking.model import ForecastWarning

    if explain:
        raise click.UsageError(
            f"`{model.name}` forecasts, and --explain is of models that predict row by row: see tilth describe {model.name}."
        )
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", ForecastWarning)
        found = model.forecast(group if model.groups else None, horizon=horizon)
    for words in dict.fromkeys(str(w.message) for w in told):
        show.note(words)
    rows = found.to_pylist()
    facts = {"forecast": rows, "model": model.name, "version": model.version}
    answers = [n for n in model.outputs if n.endswith("_lower")]
    names = [n.removesuffix("_lower") for n in answers]
    time = model.time
    head = [f"model: {model.name}", f"version: {model.version}", *(f"{k}: {v}" for k, v in group.items())]
    body = [line for name in names for line in _table(name, time, rows)]
    show.facts(facts, "\n".join([*head, *body]), as_json, steps)


def _table(name: str, time: str, rows: Sequence[dict[str, Any]]) -> list[str]:
    """A line of bars, and a row for each step with its interval."""
    values = [r[name] for r in rows]
    known = [v for v in values if v is not None]
    if not known:
        return [f"{name}: nothing is forecast of this series"]
    width = max(len(_moment(r[time])) for r in rows)
    lines = [f"{name}: {sparkline(values)}  {figure(min(known))} to {figure(max(known))}"]
    for row in rows:
        low, high = row[f"{name}_lower"], row[f"{name}_upper"]
        ends = "" if low is None else f"  ({figure(low)} to {figure(high)})"
        said = "nothing" if row[name] is None else figure(row[name])
        lines.append(f"  {_moment(row[time]):<{width}}  {said}{ends}")
    return lines


def _moment(value: Any) -> str:
    text = str(value)
    return text.removesuffix(" 00:00:00")


def sparkline(values: Sequence[float | None]) -> str:
    """A bar for each value, from the least to the greatest; a space where there is none.

    >>> sparkline([1.0, 2.0, None, 3.0])
    '▁▅ █'
    """
    known = [v for v in values if v is not None]
    if not known:
        return ""
    low, span = min(known), max(known) - min(known)
    top = len(BARS) - 1
    return "".join(
        " " if v is None else BARS[round((v - low) / span * top) if span else top // 2] for v in values
    )
