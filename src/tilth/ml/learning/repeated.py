"""Members that serve as the mean of several fits on all rows, which differ in their random numbers alone: with preset = 'best'.

A single fit has luck of its own, and a mean has less: what an answer loses by it is time and size. What was judged is one
fit each, so that what serves is no worse than it seems.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from tilth.ml.learning.clock import Clock
from tilth.ml.learning.crossing import Crossed
from tilth.ml.learning.made import Member, Tools
from tilth.ml.learning.teaching import Taught
from tilth.ports.learning import Fitted, tried

FITS = 3
STEP = 1_000  # between the seeds of one member's fits
Over = Callable[[Sequence[Fitted]], tuple[float, float]]


def members(
    parts: Sequence[tuple[Crossed, Fitted, Any]],
    weights: Sequence[float],
    rows: slice,
    tools: Tools,
    clock: Clock,
    over: Over,
) -> tuple[tuple[Member, ...], list[str]]:
    """The members with as many fits of each as time and size allow, and what the limits have left out, in words.

    `over` tells by how much fits are above the limits of a row's time and of the bundle's size; one more is taken to be as
    large as the first.
    """
    found = [
        [Member(one.candidate.name, one.candidate.engine, fit, scorer, weight)]
        for (one, fit, scorer), weight in zip(parts, weights, strict=True)
    ]
    cut: list[str] = []
    for (one, _, _), own in sorted(zip(parts, found, strict=True), key=lambda p: -p[1][0].weight):
        if isinstance(one, Taught) or not any(e.seeded for e in tried(one.candidate.engine)):
            continue
        for number in range(1, FITS):
            held = [m.fitted for other in found for m in other]
            if (late := clock.left() < 2 * one.seconds) or max(over([*held, own[0].fitted])) > 0:
                why = "for want of time" if late else "since more are above max_row_time or max_bundle"
                cut.append(f"`{one.candidate.name}` serves as {number} of {FITS} fits {why}")
                break
            tools.report(f"{one.candidate.name}: fit {number + 1} of {FITS} on all rows", 0.85)
            again = replace(tools.quiet, seed=tools.seed + STEP * number)
            fit, scorer = one.refit(rows, again, clock, 1.0)
            name = f"{one.candidate.name}.{number + 1}"
            own.append(Member(name, one.candidate.engine, fit, scorer, own[0].weight))
    return tuple(replace(m, weight=m.weight / len(own)) for own in found for m in own), cut
