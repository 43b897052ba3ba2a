"""Rows of a table become series on a regular grid, by stated rules; what was filled, cut and left out is returned as notices.

One group's trouble harms no other: a group with another step, too few values or too many gaps is left out and told. What
all groups share (duplicates, no step that fits) is refused. Grids are in `steps`, columns in `columns`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilth.core.errors import DataError
from tilth.core.names import quoted
from tilth.ml.forecasting import columns, steps
from tilth.ml.forecasting.panel import Panel
from tilth.ml.forecasting.spec import EXAMPLES, FEWEST, Notice, Spec
from tilth.ml.forecasting.steps import BUSINESS, DAY, FIXED, HOUR, Step

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Ints = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]

LEAST = 3  # values that a series needs to be answered
MOST_GAPS = 0.5  # of a series' places


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows in order of group and place, one a place: `code` is the group, `targets` their values, `origin` the row of the table."""

    groups: pa.Table
    step: Step
    shifts: Ints
    code: Ints
    place: Ints
    targets: dict[str, Floats]
    origin: Ints
    notices: tuple[Notice, ...]


def read(
    table: pa.Table, spec: Spec, step: Step | None = None, shifts: Callable[[pa.Table], Ints] | None = None
) -> Rows:
    """The rows on their grid; `step` None: that of the option, or the commonest difference. DataError where no grid fits.

    `shifts` says of a table of groups what their instants lie behind the grid, -1 for what is seen here.
    """
    import numpy as np

    columns.needed(table, (spec.time, *spec.targets, *spec.groups, *spec.known, *spec.static))
    if not table.num_rows:
        raise DataError("There is no row to forecast from.", hint="Check the WHERE of the query.")
    instant = columns.instants(table, spec.time)
    targets = {name: columns.numbers(table, name) for name in spec.targets}
    code, groups = columns.coded(table, spec.groups)
    order = np.lexsort((np.arange(len(code)), instant, code))
    notices = []
    if zone := columns.zone(table, spec.time):
        text = f"The hours of `{spec.time}` are taken in UTC, not in {zone}: a day in which clocks change has 24 of them."
        notices.append(Notice("zone", text))
    given = np.full(groups.num_rows or 1, -1, np.int64) if shifts is None else shifts(groups)
    rows = Rows(groups, Step(FIXED, 1), given, code[order], instant[order],
                {k: v[order] for k, v in targets.items()}, order, ())  # fmt: skip
    rows, told = _gridded(rows, spec, step)
    return _with(rows, (*notices, *told))


def _with(rows: Rows, notices: Sequence[Notice]) -> Rows:
    from dataclasses import replace

    return replace(rows, notices=(*rows.notices, *notices))


def _gridded(rows: Rows, spec: Spec, step: Step | None) -> tuple[Rows, list[Notice]]:
    """Instants become places; duplicates and rows of one step become one row."""
    import numpy as np

    same = rows.code[1:] == rows.code[:-1]
    apart = np.diff(rows.place)
    twice = same & (apart == 0)
    options = spec.options
    if twice.any() and options.duplicates == "refuse" and not options.resample:
        raise _duplicates(rows, twice, spec)
    between = apart[same & (apart > 0)]
    if step is None and options.step is not None:
        step = steps.parse(options.step)
    if step is None:
        if not len(between):
            raise DataError(
                "No group has two rows at different times: there is no step to see.",
                hint="Check GROUP BY, or collect more rows.",
            )
        step = steps.infer(rows.place, between)
    resampled = options.resample is not None and options.step is not None
    rows, told = _resampled(rows, step, between) if resampled else _placed(rows, step, between, spec)
    how = options.resample if resampled else options.duplicates
    return _merged(rows, how or "last", told)


def _duplicates(rows: Rows, twice: Mask, spec: Spec) -> DataError:
    import numpy as np

    owners = np.unique(rows.code[1:][twice])
    shown = tuple(
        f"{columns.example(rows.groups, int(g))}: {int((twice & (rows.code[1:] == g)).sum()):,}"
        for g in owners[:EXAMPLES]
    )
    return DataError(
        f"{int(twice.sum()):,} rows have a `{spec.time}` that another row of their group has, in {len(owners):,} of "
        f"{max(1, rows.groups.num_rows):,} groups.",
        hint="Add what tells them apart to GROUP BY, or write duplicates = 'mean', 'sum' or 'last'. Hours of a zone whose "
        "clocks change repeat one hour a year: give the time in UTC.",
        detail=shown if spec.groups else (),
    )


def _placed(rows: Rows, step: Step, between: Ints, spec: Spec) -> tuple[Rows, list[Notice]]:
    """Rows at their places; groups that have another step or lie off the grid are left out, unless they are most."""
    from dataclasses import replace

    import numpy as np

    shifts = np.maximum(rows.shifts, 0)
    instant = rows.place
    if step.kind == FIXED:
        group, first = np.unique(rows.code, return_index=True)
        seen = np.remainder(instant[first] - step.anchor, step.size)
        shifts[group] = np.where(rows.shifts[group] < 0, seen, rows.shifts[group])
        instant = instant - shifts[rows.code]
    place, on = step.places(instant)
    told = []
    if step.kind == FIXED and step.size >= DAY:
        off = np.remainder(instant - step.anchor + HOUR, step.size) - HOUR
        near = ~on & (np.abs(off) <= HOUR)
        if near.any():
            place = np.where(near & (off < 0), place + 1, place)
            on = on | near
            told.append(
                Notice(
                    "snapped",
                    f"{int(near.sum()):,} instants lie up to an hour off the step of {step.words} and were taken for it (clocks that change).",
                    count=int(near.sum()),
                )
            )
    bad = _strange(rows.code, place, on, len(shifts))
    if not bad.any():
        return replace(rows, step=step, shifts=shifts, place=place), told
    present = len(np.unique(rows.code))
    if 2 * int(bad.sum()) > present or bad.sum() == present:
        raise _beside(rows, step, between, spec) or _irregular(step, between, spec)
    told.append(
        notice(
            "step", f"have another step than {step.words}", rows.groups, np.flatnonzero(bad), left_out=True
        )
    )
    keep = ~bad[rows.code]
    return _some(replace(rows, step=step, shifts=shifts, place=place), keep), told


def _strange(code: Ints, place: Ints, on: Mask, groups: int) -> Mask:
    """Groups with a row off the grid, or whose usual distance is not one step."""
    import numpy as np

    bad = np.zeros(groups, bool)
    bad[code[~on]] = True
    same = code[1:] == code[:-1]
    owner, apart = code[1:][same], np.diff(place)[same]
    wide = np.bincount(owner, weights=apart > 1, minlength=groups)
    several = np.bincount(owner, minlength=groups)
    order = np.lexsort((apart, owner))
    owner, apart = owner[order], apart[order]
    first = np.searchsorted(owner, np.arange(groups))
    middle = np.where(several > 0, first + several // 2, 0)
    usual = np.where(several > 0, apart[np.minimum(middle, max(0, len(apart) - 1))] if len(apart) else 1, 1)
    return bad | ((usual > 1) & (wide >= 2))


def _beside(rows: Rows, step: Step, between: Ints, spec: Spec) -> DataError | None:
    """Where rows keep to the step, and lie beside the times that known groups had at training; None for other trouble."""
    import numpy as np

    known = rows.shifts[np.unique(rows.code)] >= 0
    if step.kind != FIXED or not known.any() or np.remainder(between, step.size).any():
        return None
    return DataError(
        f"The rows keep to {step.words} in `{spec.time}`, and lie beside the times of the training.",
        hint=f"Give the time as it was at training, or SELECT date_trunc('hour', {quoted(spec.time)}) AS {quoted(spec.time)} (or 'day') in the query.",
    )


def _irregular(step: Step, between: Ints, spec: Spec) -> DataError:
    import numpy as np

    sizes, counts = np.unique(between, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:3]
    seen = tuple(
        f"{_length(int(sizes[i]))}: {100 * counts[i] / counts.sum():.0f} % of {counts.sum():,}" for i in order
    )
    return DataError(
        f"The rows have no regular step in `{spec.time}`: most groups do not keep to {step.words}.",
        detail=seen,
        hint=f"Write step = '1 day' (or another) with resample = 'sum', 'mean' or 'last', or aggregate in the query: "
        f"SELECT date_trunc('day', {quoted(spec.time)}), sum(...) ... GROUP BY ALL.",
    )


def _length(size: int) -> str:
    for name, unit in (("days", DAY), ("hours", HOUR), ("minutes", steps.MINUTE)):
        if size >= unit:
            return f"{size / unit:g} {name[:-1] if size == unit else name} apart"
    return f"{size / steps.SECOND:g} seconds apart"


def _resampled(rows: Rows, step: Step, between: Ints) -> tuple[Rows, list[Notice]]:
    """Rows in the step they fall into; a first or last step that the rows do not fill is left out and told."""
    from dataclasses import replace

    import numpy as np

    place, _ = step.places(rows.place)
    rows = replace(rows, shifts=np.maximum(rows.shifts, 0) * 0)
    told = []
    usual = int(np.median(between)) if len(between) else 0
    least, most = int(place.min()), int(place.max())
    edges = step.instants(np.array([least, most + 1]))
    early = step.kind != BUSINESS and rows.place.min() - edges[0] > usual
    late = step.kind != BUSINESS and edges[1] - rows.place.max() > usual
    keep = ~((early & (place == least)) | (late & (place == most)))
    if not keep.all() and keep.any():
        which = " and ".join(w for w, so in (("first", early), ("last", late)) if so)
        told.append(
            Notice(
                "unfinished",
                f"The {which} {step.words} is not full of rows and was left out.",
                count=int((~keep).sum()),
            )
        )
        return _some(replace(rows, step=step, place=place), keep), told
    return replace(rows, step=step, place=place), told


def _some(rows: Rows, keep: Mask) -> Rows:
    from dataclasses import replace

    return replace(
        rows, code=rows.code[keep], place=rows.place[keep], origin=rows.origin[keep],
        targets={k: v[keep] for k, v in rows.targets.items()},
    )  # fmt: skip


def _merged(rows: Rows, how: str, told: list[Notice]) -> tuple[Rows, list[Notice]]:
    """One row a place: rows of one place are added, averaged, or the last one counts."""
    from dataclasses import replace

    import numpy as np

    new = np.ones(len(rows.code), bool)
    new[1:] = (np.diff(rows.code) != 0) | (np.diff(rows.place) != 0)
    if new.all():
        return rows, told
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(new)) - 1
    targets = {name: _reduced(values, first, last, how) for name, values in rows.targets.items()}
    text = f"{int((~new).sum()):,} rows share a step with another row of their group; together they are its {how}."
    told = [*told, Notice("merged", text, count=int((~new).sum()))]
    return replace(
        rows, code=rows.code[last], place=rows.place[last], origin=rows.origin[last], targets=targets
    ), told


def _reduced(values: Floats, first: Ints, last: Ints, how: str) -> Floats:
    import numpy as np

    if how == "last":
        return values[last]
    there = ~np.isnan(values)
    count = np.add.reduceat(there.astype(np.int64), first)
    total = np.add.reduceat(np.where(there, values, 0.0), first)
    out = total / np.maximum(count, 1) if how == "mean" else total
    return np.where(count > 0, out, np.nan)


def panel(rows: Rows, target: str, spec: Spec, least: int = LEAST) -> tuple[Panel, tuple[Notice, ...]]:
    """The series of one target without gaps, and what was filled, cut and left out."""
    import numpy as np

    there = ~np.isnan(rows.targets[target])
    code, place, value = rows.code[there], rows.place[there], rows.targets[target][there]
    groups = len(rows.shifts)
    points = min(spec.limits.points, max(spec.limits.total // max(1, groups), FEWEST, 4 * spec.horizon))
    cut = _newest(code, place, groups, points)
    told = [_cut_notice(rows, code, cut, points)] if not cut.all() else []
    code, place, value = code[cut], place[cut], value[cut]
    counts = np.bincount(code, minlength=groups)
    first = np.searchsorted(code, np.arange(groups))
    begins = np.where(counts > 0, place[np.minimum(first, max(0, len(place) - 1))] if len(place) else 0, 0)
    ends = np.where(counts > 0, place[np.maximum(first + counts - 1, 0)] + 1 if len(place) else 0, 0)
    lengths = ends - begins
    seen = np.bincount(rows.code, minlength=groups) > 0
    short = seen & (counts < least)
    sparse = seen & ~short & (lengths - counts > MOST_GAPS * lengths) & (spec.options.gaps != "zero")
    for mask, reason, text in (
        (short, "short", f"have fewer than {least} values of `{target}`"),
        (sparse, "sparse", f"have more gaps than values of `{target}` (gaps = 'zero' takes them for 0)"),
    ):
        if mask.any():
            told.append(notice(reason, text, rows.groups, np.flatnonzero(mask), left_out=True))
    kept = np.flatnonzero(seen & ~short & ~sparse)
    out = _filled(rows, kept, begins, lengths, (code, place, value), spec.options.gaps)
    return out, (*told, *_told(rows, out, target, spec, counts))


def _newest(code: Ints, place: Ints, groups: int, points: int) -> Mask:
    """Whether a row is among the newest points of its series, counted from its last value."""
    import numpy as np

    last = np.zeros(groups, np.int64)
    last[code] = place  # rows are in order: the last one stays
    return place > last[code] - points


def _cut_notice(rows: Rows, code: Ints, kept: Mask, points: int) -> Notice:
    import numpy as np

    text = f"are longer than {points:,} steps; the newest are learned from"
    return notice("long", text, rows.groups, np.unique(code[~kept]), count=int((~kept).sum()))


def _filled(
    rows: Rows, kept: Ints, begins: Ints, lengths: Ints, cells: tuple[Ints, Ints, Floats], gaps: str
) -> Panel:
    """Values at their places, with gaps filled by the rule."""
    import numpy as np

    code, place, value = cells
    sizes = lengths[kept]
    starts = np.cumsum(sizes) - sizes
    at = np.full(len(lengths), -1, np.int64)
    at[kept] = starts
    inside = at[code] >= 0
    flat = np.full(int(sizes.sum()), np.nan)
    flat[at[code[inside]] + place[inside] - begins[code[inside]]] = value[inside]
    empty = np.isnan(flat)
    if empty.any():
        where = np.arange(len(flat))
        if gaps == "zero":
            flat[empty] = 0.0
        elif gaps == "last":
            flat = flat[np.maximum.accumulate(np.where(empty, 0, where))]
        else:
            flat[empty] = np.interp(where[empty], where[~empty], flat[~empty])
    return Panel.of(rows.step, kept, begins[kept], rows.shifts[kept], sizes, flat)


def _told(rows: Rows, panel: Panel, target: str, spec: Spec, counts: Ints) -> list[Notice]:
    """What is said of series that are answered."""
    import numpy as np

    if not len(panel):
        return []
    gaps = panel.lengths - counts[panel.members]
    highest = np.maximum.reduceat(panel.values, panel.starts)
    lowest = np.minimum.reduceat(panel.values, panel.starts)
    zero = (highest == 0) & (lowest == 0)
    flat = (highest == lowest) & ~zero
    early = panel.ends < panel.ends.max() - spec.horizon
    how = {"interpolate": "a line between their neighbours", "zero": "0", "last": "the value before"}
    rules = (
        (
            gaps > 0,
            "gaps",
            f"have {int(gaps.sum()):,} gaps in `{target}`, filled by {how[spec.options.gaps]}",
            int(gaps.sum()),
        ),
        (zero, "zeros", f"have only zeros in `{target}`: 0 is forecast", 0),
        (flat, "constant", f"have one value of `{target}` all the time: it is forecast", 0),
        (
            early,
            "early",
            f"end more than the horizon before the newest row; their `{target}` is forecast from their own end",
            0,
        ),
    )
    return [
        notice(reason, text, rows.groups, panel.members[mask], count=count)
        for mask, reason, text, count in rules
        if mask.any()
    ]


def notice(
    reason: str, text: str, groups: pa.Table, which: Ints, *, count: int = 0, left_out: bool = False
) -> Notice:
    """A notice of some groups; without group columns it speaks of the series."""
    shown = tuple(columns.example(groups, int(g)) for g in which[:EXAMPLES]) if groups.num_columns else ()
    who = (
        f"{len(which):,} of {groups.num_rows:,} groups {text}" if groups.num_columns else f"The series {text}"
    )
    tail = ", and are left out." if left_out and groups.num_columns else "."
    return Notice(reason, who + tail, len(which), shown, count, left_out)
