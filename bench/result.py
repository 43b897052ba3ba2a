"""What one measurement says, and the few ways of measuring that every bench uses.

The machine may be shared: what is compared takes turns, and medians are kept.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Result:
    """One row of RESULTS.md. `ratio` is what the goal is about; `holds` is None where there is no goal."""

    what: str
    measured: str
    against: str
    ratio: str
    goal: str
    holds: bool | None
    note: str = ""


def at_most(what: str, value: float, limit: float, unit: str, note: str = "", against: str = "-") -> Result:
    """A figure that must not be above its limit."""
    shown = f"{value:.3g} {unit}"
    return Result(what, shown, against, shown, f"<= {limit:g} {unit}", value <= limit, note)


def at_least(what: str, value: float, limit: float, unit: str, note: str = "") -> Result:
    """A figure that must not be below its limit."""
    shown = f"{value:.3g} {unit}"
    return Result(what, shown, "-", shown, f">= {limit:g} {unit}", value >= limit, note)


def compared(
    what: str,
    measured: str,
    against: str,
    ratio: float,
    *,
    most: float | None = None,
    least: float | None = None,
    note: str = "",
) -> Result:
    """A ratio with its limit above or below."""
    limit = least if most is None else most
    assert limit is not None
    goal = f"<= {limit:g}" if most is not None else f">= {limit:g}"
    holds = ratio <= limit if most is not None else ratio >= limit
    return Result(what, measured, against, f"{ratio:.2f}", goal, holds, note)


def cpu_of(command: Sequence[str], turns: int = 15, cwd: str | None = None) -> float:
    """CPU seconds of a command with its children: the median of several runs, after one that warms the file cache."""
    took = []
    for turn in range(turns + 1):
        before = _children()
        subprocess.run(command, check=True, capture_output=True, cwd=cwd, env=dict(os.environ), timeout=120)
        if turn:
            took.append(_children() - before)
    return statistics.median(took)


def taking_turns(
    ours: Callable[[], float], theirs: Callable[[], float], turns: int
) -> tuple[float, float, float]:
    """Medians of what both return, and of the ratios theirs/ours of each round."""
    pairs = []
    for turn in range(turns):
        if turn % 2:
            second = theirs()
            pairs.append((ours(), second))
        else:
            pairs.append((ours(), theirs()))
    mine, other = zip(*pairs, strict=True)
    ratios = [b / a for a, b in pairs]
    return statistics.median(mine), statistics.median(other), statistics.median(ratios)


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
