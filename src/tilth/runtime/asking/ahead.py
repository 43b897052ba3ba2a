"""A forecast that a query asks for: the history's rows, the times that are meant, and the forecasts as the table that the rest reads."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from tilth.core.errors import InputError, TilthError
from tilth.ml.forecasting import columns
from tilth.ml.forecasting.forecaster import Answer, micros
from tilth.ml.forecasting.predicting import ForecastPredictor
from tilth.ml.forecasting.signature import EXPLAIN
from tilth.ml.forecasting.spec import Notice
from tilth.ml.forecasting.times import Times
from tilth.sql.queries.shapes import ACTUAL, Bound, ForecastPrediction

if TYPE_CHECKING:
    import pyarrow as pa


def forecasts(
    model: ForecastPredictor, split: ForecastPrediction, history: pa.Table | None, told: list[str]
) -> pa.Table:
    """The forecasts, with what came where that is asked for; `told` gets what is to be said of them."""
    groups = None
    stored = split.inner is None  # the series that training left, and what came since
    if split.only and not stored:
        assert history is not None
        history = _of(history, split.only)
        if not history.num_rows:
            raise InputError(
                "No row of the history is of the groups that are asked for.",
                hint=f"Groups of model `{model.name}` are told apart by {', '.join(model.signature.groups)}.",
            )
    elif split.only:
        groups = _of(model.forecaster.groups, split.only)
        if not groups.num_rows:
            raise InputError(
                f"Model `{model.name}` knows no such group.",
                hint="Join its data to see which there are, or ask without the condition.",
            )
    times = _times(split)
    if stored and not times.ahead:
        raise InputError(
            "The past is forecast from rows: without them only what lies ahead can be said.",
            hint=f"Join the data: FROM dataset t JOIN {model.name} m WHERE t.{model.signature.time} > DATE '...'.",
        )
    found = (
        ahead(model, history, groups, _times(split))
        if stored
        else model.forecast(history, _times(split), groups)
    )
    told.extend(map(said, found.notices))
    table = found.table
    if EXPLAIN in split.outer.lower():
        table = model.explained(table)
    if split.actual:
        table = _with_actual(model, table, history)
    return table


def ahead(
    model: ForecastPredictor, newer: pa.Table | None, groups: pa.Table | None, times: Times, horizon: int | None = None
) -> Answer:  # fmt: skip
    """What lies ahead of all series (or of `groups`), from the end of training or of what came `newer`."""
    if newer is None:
        return model.forecast(None, times, groups, horizon)
    base = groups if groups is not None or not model.signature.groups else model.forecaster.groups
    fresh = model.forecast(newer, times, None, horizon)
    if base is None:
        return fresh
    names = list(model.signature.groups)
    seen = set(_rows(newer.select(names)))
    wanted = _rows(base)
    rest = base.filter([key not in seen for key in wanted])
    keep = set(wanted) if groups is not None else None
    table = (
        fresh.table
        if keep is None
        else fresh.table.filter([k in keep for k in _rows(fresh.table.select(names))])
    )
    if not rest.num_rows:
        return Answer(table, fresh.notices)
    import pyarrow as pa

    old = model.forecast(None, times, rest, horizon)
    both = pa.concat_tables([table, old.table.cast(table.schema)])
    order = [(n, "ascending") for n in (*names, model.signature.time)]
    return Answer(both.sort_by(order), (*fresh.notices, *old.notices))


def _rows(table: pa.Table) -> list[tuple[Any, ...]]:
    return list(zip(*(c.to_pylist() for c in table.columns), strict=True))


def _times(split: ForecastPrediction) -> Times:
    low, high = split.low, split.high
    to_latest = high is not None and high.latest
    if high is not None and high.latest and high.open:
        raise InputError(
            "Times before LATEST end at no moment that can be told.", hint="Write <= LATEST, or a moment."
        )
    start: Any = None if low.latest else low.value
    end: Any = None if high is None or high.latest else high.value
    if isinstance(start, date) and isinstance(end, date) and _none_between(start, end, low.open, high):
        raise InputError(
            f"No time is from {start} to {end}.",
            hint="Write the earlier one first; a day without an hour is the whole of it, so > DATE '...' begins with the next day.",
        )
    return Times(start, low.open, end, high is not None and high.open, to_latest)


def _none_between(start: date, end: date, low_open: bool, high: Bound | None) -> bool:
    """Whether the end of what is asked for lies before its beginning."""
    until = micros(end, last=high is None or not high.open)
    return until < micros(start, last=low_open)


def _of(table: pa.Table, only: Sequence[tuple[str, Sequence[Any]]]) -> pa.Table:
    """The rows of these groups."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for name, values in only:
        column = table.column(name)
        try:
            wanted = pa.array(list(values), column.type)
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            shown = ", ".join(map(repr, values))
            raise InputError(
                f"`{name}` is {column.type}, and is compared with {shown}.", hint="Write values of that type."
            ) from error
        table = table.filter(pc.is_in(column, wanted))
    return table


def _with_actual(model: ForecastPredictor, table: pa.Table, history: pa.Table | None) -> pa.Table:
    """The forecasts with what came beside them; NULL where nothing has come yet."""
    own = model.signature
    marks = (*own.groups, own.time)
    came: dict[tuple[Any, ...], int] = {}
    if history is not None:
        history = columns.timed(history, own.time)
        lists = [history.column(n).cast(table.schema.field(n).type).to_pylist() for n in marks]
        came = {key: i for i, key in enumerate(zip(*lists, strict=True))}
    keys = zip(*(table.column(n).to_pylist() for n in marks), strict=True)
    places = [came.get(key) for key in keys]
    for target in own.targets:
        table = table.append_column(f"{ACTUAL}{target}", _taken(history, target, places, table.num_rows))
    return table


def _taken(history: pa.Table | None, target: str, places: list[int | None], rows: int) -> Any:
    import pyarrow as pa

    if history is None:
        return pa.nulls(rows, pa.float64())
    return history.column(target).take(pa.array(places, pa.int64()))


def said(notice: Notice) -> str:
    """What is told of some groups, with examples of them."""
    shown = ", ".join("/".join(map(str, e)) for e in notice.examples)
    more = ", …" if notice.groups > len(notice.examples) else ""
    return f"{notice.text} ({shown}{more})" if shown else notice.text


def of_model(model: Any) -> ForecastPredictor:
    """The model, known to forecast."""
    if not isinstance(model, ForecastPredictor):
        raise TilthError(f"The model `{model.name}` does not forecast.", hint="Ask it row by row.")
    return model
