"""Which times a forecast is asked for, and how the past is forecast: from what was known before, horizon by horizon.

What lies behind the newest time of a series is forecast from all of it. What lies before is forecast as it would have been: the
rows up to a cut are the history, the horizon behind it is said, and the next cut is at its end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from tilth.core.errors import DataError, InputError
from tilth.ml.forecasting import columns
from tilth.ml.forecasting.forecaster import Answer, Forecaster, micros
from tilth.ml.forecasting.spec import Notice
from tilth.ml.forecasting.steps import FIXED

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Ints = npt.NDArray[np.int64]
    Mask = npt.NDArray[np.bool_]

MOST_CUTS = 200  # of the past that is asked for at once


@dataclass(frozen=True, slots=True)
class Times:
    """From when to when. `low` None: from the newest time of each series on; `low_open`: without the end itself."""

    low: date | datetime | None = None
    low_open: bool = True
    high: date | datetime | None = None
    high_open: bool = False
    to_latest: bool = False  # up to the newest time of each series

    @property
    def ahead(self) -> bool:
        """Whether only what lies behind the newest times is asked for."""
        return self.low is None and self.low_open


AHEAD = Times()


def forecast(
    model: Forecaster, history: pa.Table | None, times: Times = AHEAD, groups: pa.Table | None = None, horizon: int | None = None
) -> Answer:  # fmt: skip
    """The forecasts of these times; without a history of the series that training left. InputError for times that cannot be."""
    until = None if times.to_latest else times.high
    history = None if history is None else columns.timed(history, model.spec.time)
    if times.ahead:
        if times.to_latest:
            raise InputError(
                "Nothing lies behind the newest time and up to it.", hint="Ask for > LATEST, or for = LATEST."
            )
        future = history if history is not None and model.spec.known else None
        known = None if history is None else _with_target(model, history)
        if known is not None and future is not None and future.num_rows and not known.num_rows:
            known, groups = None, _only_ahead(model, future, groups)
        found = model.forecast(known, groups, horizon, until, future)
        return Answer(_within(found.table, model, times, None), found.notices)
    if history is None:
        raise InputError(
            "The past is forecast from rows: without them only what lies ahead can be said.",
            hint="Join the data: FROM dataset t JOIN model m WHERE t.time > DATE '...'.",
        )
    return _past(model, _with_target(model, history), history, times, groups, until)


def _only_ahead(model: Forecaster, future: pa.Table, groups: pa.Table | None) -> pa.Table | None:
    """The groups of rows that say what is known ahead and nothing that came: these go on from what training left."""
    names = list(model.spec.groups)
    if groups is not None or not names:
        return groups
    columns.needed(future, names)
    return columns.coded(future, names)[1]


def _with_target(model: Forecaster, history: pa.Table) -> pa.Table:
    """The rows that have a target: others say what is known of the future."""
    import pyarrow as pa
    import pyarrow.compute as pc

    columns.needed(history, (model.spec.time, *model.spec.groups, *model.spec.targets))
    there = pa.array([False] * history.num_rows) if not model.spec.targets else None
    for t in model.spec.targets:
        own = pc.is_valid(history.column(t))
        there = own if there is None else pc.or_(there, own)
    return history.filter(there)


def _past(
    model: Forecaster, history: pa.Table, rows: pa.Table, times: Times, groups: pa.Table | None, until: date | datetime | None
) -> Answer:  # fmt: skip
    """Cut by cut, and what lies behind the newest time of each series from all that is known."""
    import numpy as np
    import pyarrow as pa

    instant, last = _newest(model, history)
    upto = _lasts(model, history, last)
    future = rows if model.spec.known else None
    tables: list[pa.Table] = []
    notices: dict[tuple[str, str], Notice] = {}

    def ask(
        where: Mask,
        keep: Callable[[Ints, Ints], Mask],
        end: date | datetime | None = None,
        *,
        past: bool = True,
    ) -> bool:
        if not where.any():
            return False
        try:
            found = model.forecast(
                history.filter(pa.array(where)),
                groups,
                None,
                end,
                future,
                alone=True,
                upto=upto if past else None,
            )
        except DataError:
            return False
        own = _own_last(found.table, model, upto)
        table = found.table.filter(pa.array(keep(columns.instants(found.table, model.spec.time), own)))
        if table.num_rows:
            tables.append(table)
        notices.update({(n.reason, n.text): n for n in found.notices})
        return bool(table.num_rows)

    if times.low is None:  # from the newest time itself on
        ask(instant < last, lambda at, own: at == own)
    else:
        missing = _roll(
            model, instant, last, times, ask
        )  # a series that has a gap at a cut is answered from before it
        if missing and tables:
            text = f"Nothing is said of {missing} horizons after {times.low}: there were too few rows before them."
            notices["early", text] = Notice("early", text)
    if not times.to_latest:
        ask(np.ones(len(instant), bool), lambda at, own: at > own, until, past=False)
    if not tables:
        raise InputError(
            f"No series of the history has enough rows before {times.low or 'its newest time'} to be forecast.",
            hint="Ask for later times, or give more rows.",
        )
    table = _within(pa.concat_tables(tables), model, times, lambda found: _own_last(found, model, upto))
    order = [(n, "ascending") for n in (*model.spec.groups, model.spec.time)]
    return Answer(table.sort_by(order), tuple(notices.values()))


def _roll(model: Forecaster, instant: Ints, last: Ints, times: Times, ask: Callable[..., bool]) -> int:
    """Forecast from cut to cut, each a horizon behind the one before; of how many nothing could be said."""
    import numpy as np

    assert times.low is not None
    start = micros(times.low, last=times.low_open) if times.low_open else micros(times.low, last=False) - 1
    newest = int(last.max()) if len(last) else start
    newest = newest if times.high is None else min(newest, micros(times.high, last=True))
    first = int(model.step.places(np.array([start]))[0][0])
    cuts, missing, cut = 0, 0, start
    while cut < newest:
        cuts += 1
        if cuts > MOST_CUTS:
            raise InputError(
                f"More than {MOST_CUTS} forecasts of {model.spec.horizon} steps lie between {times.low} and the newest row.",
                hint="Ask for a later or a shorter time: BETWEEN DATE '...' AND DATE '...'.",
            )
        following = _end(model, start, first, cuts * model.spec.horizon)
        end = np.datetime64(min(following, newest), "us").astype(datetime)
        missing += not ask(
            (instant <= cut) & (last > cut),
            lambda at, own, a=cut, b=following: (at > a) & (at <= b) & (at <= own),
            end,
        )
        cut = following
    return missing


def _end(model: Forecaster, start: int, first: int, steps: int) -> int:
    """The last instant of the place that lies so many steps behind the first cut."""
    import numpy as np

    if model.step.kind == FIXED:
        return start + steps * model.step.size
    return int(model.step.instants(np.array([first + steps + 1]))[0]) - 1


def _newest(model: Forecaster, history: pa.Table) -> tuple[Ints, Ints]:
    """Of each row its instant, and the newest one of its group."""
    import numpy as np

    instant = columns.instants(history, model.spec.time)
    code, _ = columns.coded(history, model.spec.groups)
    newest = np.full(int(code.max(initial=0)) + 1, np.iinfo(np.int64).min)
    np.maximum.at(newest, code, instant)
    return instant, newest[code]


def _lasts(model: Forecaster, history: pa.Table, last: Ints) -> dict[tuple[object, ...], int]:
    """The newest known instant of each group."""
    names = list(model.spec.groups)
    if not names:
        return {(): int(last.max())} if len(last) else {}
    return {key: int(v) for key, v in zip(_keys(history, model.schema, names), last.tolist(), strict=True)}


def _own_last(table: pa.Table, model: Forecaster, lasts: Mapping[tuple[object, ...], int]) -> Ints:
    """The newest known instant of each row's group."""
    import numpy as np

    if not model.spec.groups:
        return np.full(table.num_rows, lasts.get((), np.iinfo(np.int64).max))
    return np.array([lasts[k] for k in _keys(table, model.schema, list(model.spec.groups))], np.int64)


def _keys(table: pa.Table, schema: pa.Schema, names: list[str]) -> list[tuple[object, ...]]:
    lists = [table.column(n).cast(schema.field(n).type).to_pylist() for n in names]
    return list(zip(*lists, strict=True))


def _within(
    table: pa.Table, model: Forecaster, times: Times, latest: Callable[[pa.Table], Ints] | None
) -> pa.Table:
    """The rows within the times asked for."""
    import numpy as np
    import pyarrow as pa

    instant = columns.instants(table, model.spec.time)
    keep = np.ones(len(instant), bool)
    if times.high is not None:
        end = micros(times.high, last=True)
        keep &= instant <= end if not times.high_open else instant < micros(times.high, last=False)
    if times.low is not None:
        keep &= (
            instant > micros(times.low, last=True)
            if times.low_open
            else instant >= micros(times.low, last=False)
        )
    if times.to_latest and latest is not None:
        keep &= instant <= latest(table)
    return table.filter(pa.array(keep))
