"""Inputs far out of what a version was trained on: a number far beyond its ends, a level or a text that training never had.

They are answered all the same, and told: once a statement, beside a row, and in its explanation. What is far is in the
preparation (`Column.ends`): numbers a whole span beyond all but a thousandth of those learned from, instants ten years at
least, since time goes on; levels where training had nearly no others; texts without a word of training; lists that are none of
numbers, or of another length than all of training. What a model does
with a gap is in `ml.model.gaps`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias

from tilth.core.figures import figure
from tilth.ml.model import nested
from tilth.ml.model.columns import Column, fill, micros_of, taken
from tilth.ml.model.values import Misfit, naive

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from tilth.ml.model.gaps import Gaps

    Mask = npt.NDArray[np.bool_]
    Matrix = npt.NDArray[np.float64]
    Table: TypeAlias = pa.Table | pa.RecordBatch

EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - naive, in UTC
SHOWN = 5  # levels that are told
BLANK = " \t\r\n[]{}"  # of which an empty text, list or object is made
FAR_OUT = "is far out of what training had"


@dataclass(frozen=True, slots=True)
class Outside:
    """An input of a row that is far out: what was given, and what training had: both ends, some levels, or no such word."""

    input: str
    given: Any
    trained: tuple[Any, ...]
    words: str

    def plain(self) -> dict[str, Any]:
        """As it stands in an explanation."""
        given = self.given if isinstance(self.given, str | int | float | bool) else str(self.given)
        return {"input": self.input, "given": given, "trained": list(self.trained)}


@dataclass(frozen=True, slots=True)
class Limit:
    """What of one input is far out. `trained` is told of it, `had` in words, and `how` a value is out; `far` says it of one
    value that is no gap.
    """

    name: str
    trained: tuple[Any, ...]
    had: str
    how: str
    far: Callable[[Any], bool]

    def said(self, value: Any) -> Outside:
        """What is to be told of a value that is far out."""
        return Outside(
            self.name, value, self.trained, f"`{self.name}` is {_said(value)}, and training had {self.had}"
        )


class Reach:
    """What is far out of what one preparation learned from. Immutable."""

    def __init__(self, columns: tuple[Column, ...]) -> None:
        self._columns = columns
        self.limits = {c.name: limit for c in columns if (limit := _limit(c)) is not None}

    def of(self, values: Mapping[str, Any]) -> tuple[Outside, ...]:
        """What is far out in the values of one row, in the order of the inputs."""
        given = ((limit, values.get(name)) for name, limit in self.limits.items())
        return tuple(limit.said(value) for limit, value in given if value is not None and limit.far(value))

    def masks(self, x: Matrix, table: Table) -> dict[str, Mask]:
        """For each input that is far out in some rows, which ones; `x` is the matrix of `table`."""
        return dict(self._masks(x, table)) if len(x) else {}

    def count(self, seen: Gaps, x: Matrix, table: Table) -> None:
        """Count the rows in which an input is far out."""
        for name, mask in self.masks(x, table).items():
            seen.see_far(name, int(mask.sum()), self.limits[name].how)

    def count_rows(self, seen: Gaps, rows: Iterable[tuple[Outside, ...]]) -> None:
        """The same of rows one by one."""
        for one in chain.from_iterable(rows):
            seen.see_far(one.input, 1, self.limits[one.input].how)

    def rows_far(self, table: Table) -> int:
        """How many of the rows have a number or a level far out; columns that are not there say nothing."""
        import numpy as np

        far = np.zeros(table.num_rows, dtype=np.bool_)
        for column in self._columns:
            if column.name in self.limits and column.name in table.schema.names and len(far):
                values = table.column(column.name)
                if column.kind in {"number", "category"} and values.null_count < len(values):
                    x = np.empty((len(far), 1))
                    fill(x, x[:, :0], column, values, {})
                    far |= _FAR[column.kind](column, x, values)
        return int(far.sum())

    def _masks(self, x: Matrix, table: Table) -> Iterator[tuple[str, Mask]]:
        known, at = {name: index for index, name in enumerate(table.schema.names)}, 0
        for column in self._columns:
            part = x[:, at : at + len(column.features)]
            at += len(column.features)
            if column.name in self.limits and column.name in known:
                values = table.column(known[column.name])
                mask = _FAR[column.kind](column, part, values)
                if mask.any():
                    yield column.name, mask


def _said(value: Any) -> str:
    if isinstance(value, str):
        return repr(value if len(value) <= 40 else value[:39] + "…")
    return figure(value, 8) if isinstance(value, int | float) else str(value)


def far_in(reach: Reach, values: Mapping[str, Any]) -> dict[str, Any]:
    """What an explanation adds where an input of the row is far out; empty where none is."""
    found = [one.plain() for one in reach.of(values)]
    return {"outside": found} if found else {}


# --- one value ---------------------------------------------------------------------------------------------


def _limit(column: Column) -> Limit | None:
    """None for an input of which nothing is far out."""
    made = _LIMITS.get(column.kind)
    told = column.ends or column.text is not None or column.kind == "list"
    return made(column) if made is not None and told else None


def _numbers(column: Column) -> Limit:
    low, high, least, most = column.ends
    had = f"{figure(least, 8)} to {figure(most, 8)}"
    return Limit(column.name, (least, most), had, f"{FAR_OUT} ({had})", lambda v: v < low or v > high)


def _instants(column: Column) -> Limit:
    low, high, least, most = map(moment, column.ends)
    trained = (least.isoformat(), most.isoformat())

    def far(value: date) -> bool:
        try:
            return not low <= naive(value) <= high
        except Misfit:
            return True

    had = " to ".join(trained)
    return Limit(column.name, trained, had, f"{FAR_OUT} ({had})", far)


def moment(micros: float) -> datetime:
    """So many microseconds after 1970; the first or last there is, beyond it.

    >>> moment(0.0), moment(float("inf")).year
    (datetime.datetime(1970, 1, 1, 0, 0), 9999)
    """
    try:
        return EPOCH + timedelta(microseconds=int(micros))
    except OverflowError:
        return datetime.min if micros < 0 else datetime.max  # noqa: DTZ901 - naive, in UTC


def _levels(column: Column) -> Limit:
    more = f" and {len(column.levels) - SHOWN} more" if len(column.levels) > SHOWN else ""
    shown, known = column.levels[:SHOWN], frozenset(column.levels)
    had = f"{', '.join(map(repr, shown))}{more}"
    return Limit(column.name, shown, had, f"is none of those of training ({had})", lambda v: v not in known)


def _texts(column: Column) -> Limit:
    space = column.text
    assert space is not None, "a text column has a space"

    def far(value: str) -> bool:
        return bool(value.strip(BLANK)) and not space.entries(value)[0]

    return Limit(column.name, (), "no word of it", "has no word of training", far)


def _lists(column: Column) -> Limit:
    had = nested.wanted(column.parts)

    def far(value: str) -> bool:
        return not nested.fits(nested.read(value), column.parts)

    return Limit(column.name, (), had, f"is none of the {had} of training", far)


_LIMITS: Mapping[str, Callable[[Column], Limit]] = {
    "number": _numbers,
    "instant": _instants,
    "category": _levels,
    "text": _texts,
    "list": _lists,
}


# --- many rows ---------------------------------------------------------------------------------------------


def _far_numbers(column: Column, x: Matrix, values: Any) -> Mask:
    del values
    low, high = column.ends[:2]
    mask: Mask = (x[:, 0] < low) | (x[:, 0] > high)
    return mask


def _far_instants(column: Column, x: Matrix, values: Any) -> Mask:
    del x
    micros, known = micros_of(values)
    low, high = column.ends[:2]
    mask: Mask = known & ((micros < low) | (micros > high))
    return mask


def _far_levels(column: Column, x: Matrix, values: Any) -> Mask:
    import numpy as np

    del column
    mask: Mask = np.isnan(x[:, 0])
    return mask & _given(values) if np.count_nonzero(mask) > values.null_count else np.zeros_like(mask)


def _far_texts(column: Column, x: Matrix, values: Any) -> Mask:
    import numpy as np

    assert column.text is not None, "a text column has a space"
    directions = x[:, column.coded :]
    nothing = column.text.nothing[: directions.shape[1]]  # scores are in the rows' tail
    mask: Mask = directions[:, 0] == nothing[0]
    if mask.any():
        mask &= (directions == nothing).all(axis=1) & _given(values)
    for at in np.flatnonzero(mask):
        mask[at] = bool(str(values[int(at)].as_py()).strip(BLANK))
    return mask


def _far_lists(column: Column, x: Matrix, values: Any) -> Mask:
    import numpy as np

    odd: Mask = np.isnan(x).all(axis=1) & _given(values)
    if odd.any():
        limit, texts = _lists(column), taken(column, values)
        for at in np.flatnonzero(odd):
            odd[at] = limit.far(texts[int(at)].as_py())
    return odd


def _given(values: Any) -> Mask:
    import numpy as np
    import pyarrow.compute as pc

    from tilth.ml.model.columns import numpy_of

    return np.asarray(numpy_of(pc.is_valid(values)), dtype=np.bool_)


_FAR: Mapping[str, Callable[[Column, Matrix, Any], Mask]] = {
    "number": _far_numbers,
    "instant": _far_instants,
    "category": _far_levels,
    "text": _far_texts,
    "list": _far_lists,
}
