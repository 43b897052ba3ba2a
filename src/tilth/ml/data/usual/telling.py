"""What USUAL found, in words: what came, what is usual of such a period, and the smallest loss that would be seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tilth.core.figures import figure
from tilth.core.time import show_duration
from tilth.ml.data.usual import calendar
from tilth.ml.data.usual.calendar import DAY, Known
from tilth.ml.data.usual.counted import GAPPED, SPREAD, Watched
from tilth.ml.data.usual.families import SHARE, THIN, Judged, plain
from tilth.ports.snapshots import CheckResult
from tilth.ports.source import Notice
from tilth.sql.language.statements import Expectation, Usual

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

KIND = "usual"
LISTED = 3  # periods that a result names
TOO_OFTEN = 3.0  # times what is declared, and
SOME = 5  # alarms, from which on it is said that the history does not fit


@dataclass(slots=True)
class Saying:
    """The results of one USUAL item, as they are found."""

    item: Expectation
    usual: Usual
    rows: int
    notices: list[Notice] = field(default_factory=list)
    _found: dict[str, CheckResult] = field(default_factory=dict)

    def results(self) -> list[CheckResult]:
        """In the order that the aspects are declared in."""
        return [self._found[a] for a in self.usual.aspects if a in self._found]

    def unjudged(self, aspects: Sequence[str], why: str) -> None:
        """Nothing can be said of these yet."""
        for aspect in aspects:
            self._add(aspect, f"not judged yet: {why}", judged=False)
        self._tell(f"USUAL ({', '.join(aspects)}) is not judged yet: {why}", "too_few")

    def judged(self, done: Judged, steps: Any, known: Known) -> None:
        """What a family says of the steps that are to be judged."""
        aspect = done.family.aspect
        over = range(steps.first, len(steps.moments))
        if not over:
            self._add(aspect, f"no {steps.grain.name} was completed since the last refresh", judged=False)
            return
        fresh = [t for t in over if done.known(t)]
        if not fresh:
            self.unjudged((aspect,), _unknown(done, steps))
            return
        off = [t for t in fresh if done.off(t)]
        shown = off[:LISTED] or [fresh[-1]]
        words = "; ".join(self._words(done, t, steps, known) for t in shown)
        more = f"; and {len(off) - LISTED} more" if len(off) > LISTED else ""
        seen = self._smallest(done, fresh[-1]) if aspect == "volume" else ""
        self._add(aspect, f"{words}{more}{seen}", passed=not off, failed=len(off), at=(done, shown[0]))
        self._replayed(done, steps.first, steps.span)

    def freshness(self, done: Judged, moments: Sequence[datetime], hours: Floats) -> None:
        """What is said of this refresh."""
        last = len(hours) - 1
        high = plain(done.family.scale, done.bounds(last, 0)[1])
        _, kind = calendar.words(moments[last], DAY)
        words = f"the newest row is {_hours(hours[last])} old; usual {kind} is at most {_hours(high)}"
        off = done.off(last)
        self._add("freshness", words, passed=not off, failed=int(off), at=(done, last))

    def left_out(self, watched: Watched, aspects: Sequence[str]) -> None:
        """Say which columns are not watched."""
        if len(watched.columns) >= GAPPED and watched.left_out:
            self._tell(f"USUAL watches the first {GAPPED} columns alone", "left_out")
        if "distribution" not in aspects or not watched.left_out:
            return
        names = watched.left_out
        some = ", ".join(names[:LISTED]) + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")
        why = f"they have too many values, a tag, or come after the first {SPREAD} columns"
        self._tell(f"USUAL distribution does not watch {some}: {why}", "left_out")

    # --- parts ---

    def _words(self, done: Judged, at: int, steps: Any, known: Known) -> str:
        period, kind = calendar.words(steps.moments[at], steps.grain, holiday=bool(known.holiday[at]))
        if steps.of_refreshes:
            period = "now"
        series = done.worst(at)
        low, high = (plain(done.family.scale, b) for b in done.bounds(at, series))
        if done.family.scale != SHARE:
            rows = int(steps.table[at, 0])
            came = f"{rows:,} rows are there" if steps.of_refreshes else f"{rows:,} rows came on {period}"
            return f"{came}; usual {kind} is {_between(low, high)}"
        share = float(done.family.plain[at, series])
        name, _, what = done.family.names[series].partition(": ")
        missing = done.family.aspect == "nulls"
        value = f"{figure(100 * share, 3)} % of {name} {'is missing' if missing else 'is ' + what}"
        return f"{value} {'' if steps.of_refreshes else 'on '}{period}; usual is {_percents(low, high)}"

    def _smallest(self, done: Judged, at: int) -> str:
        return f"; a loss of {figure(100 * min(done.smallest(at), 1.0), 2)} % or more would be seen"

    def _replayed(self, done: Judged, first: int, span: timedelta) -> None:
        """Say when the history went off far more often than was declared, though it was corrected for."""
        import numpy as np

        begun = int(np.isfinite(done.followed.spread).any(1).argmax())
        off = sum(done.off(t) for t in range(begun, first))
        due = (first - begun) * sum(done.spent)
        if off >= SOME and off > TOO_OFTEN * due:
            self._tell(
                f"USUAL {done.family.aspect} would have gone off {off} times in the {show_duration(span * (first - begun))} "
                f"before, where {figure(due, 2)} are declared: this history is not one of usual periods",
                "does_not_fit",
            )

    def _add(
        self, aspect: str, observed: str, *, passed: bool = True, failed: int = 0, judged: bool = True,
        at: tuple[Judged, int] | None = None,
    ) -> None:  # fmt: skip
        value = low = high = None
        if at is not None:
            done, period = at
            series = done.worst(period)
            scale = done.family.scale
            value = float(done.family.plain[period, series])
            low, high = (plain(scale, float(b)) for b in done.bounds(period, series))
        self._found[aspect] = CheckResult(
            f"USUAL {aspect}",
            KIND,
            self.item.on_fail.value,
            passed,
            failed,
            self.rows,
            observed,
            judged,
            value,
            low,
            high,
        )

    def _tell(self, text: str, kind: str) -> None:
        self.notices.append(Notice(kind, "", text))


def _unknown(done: Judged, steps: Any) -> str:
    """Why nothing was judged though there were periods to judge."""
    of = "refresh" if steps.of_refreshes else steps.grain.name
    if done.family.scale == SHARE:
        return f"shares are told of {THIN} rows or more, and a {of} has fewer here"
    return f"the {of}s before do not say what is usual"


def _between(low: float, high: float) -> str:
    return f"{round(low):,}-{round(high):,}"


def _percents(low: float, high: float) -> str:
    if low <= 1e-9:
        return f"at most {figure(100 * high, 2)} %"
    return f"{figure(100 * low, 3)}-{figure(100 * high, 3)} %"


def _hours(hours: float) -> str:
    return show_duration(timedelta(seconds=int(hours * 3600))) if hours > 0 else "0 seconds"
