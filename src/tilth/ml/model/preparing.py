"""Learns how columns become numbers, on the fit rows alone and without the target: what each is, or why it is not used.

What comes out are plain values that `ml.model.preparation` applies, which adds what a gap counts as. How texts are learned is in
`ml.model.wording`.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, Any, TypeAlias

from tilth.core.schema import DataType
from tilth.ml.model import nested, wording
from tilth.ml.model.columns import DAY_US, SINCE, Column, floats, micros_of, part_of, plain_strings
from tilth.ports.arrow import data_type

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Matrix = npt.NDArray[np.float64]
    Table: TypeAlias = pa.Table | pa.RecordBatch

MOST_LEVELS = 1_000
ID_LIKE = 0.5  # a text column with more distinct values a row than this does not class rows: it names or describes them
MEDIAN_ROWS = 100_000  # of which medians, ends and spans are taken
YEAR = 366  # days of history below which the day of the year is a clock and not a season
NAMED = 50  # different values up to which a text is never taken for a name of rows
SORTED = 100_000  # different texts that are sorted before a sample is taken of them
MOST_SPANS = 12  # between two instants
COMPARED = 40  # instants, each with each
FAR = 0.001  # the share of rows on each side that do not say how far numbers reach
TEN_YEARS = 3653.0 * DAY_US
ALL_LEVELS = 0.01  # the share of rows below which those of other levels are so few that another is news


def learned(
    table: Table, names: tuple[str, ...], event_time: str | None
) -> tuple[tuple[Column, ...], tuple[tuple[str, str], ...]]:
    """The named columns, without their medians, and those that are not used, with why; `event_time` may be among them."""
    columns, dropped = [], []
    span = _span_days(table, event_time) if event_time in table.schema.names else None
    texts: dict[str, _Texts] = {}
    has_event = event_time in names
    for name in names:
        found = _learn(table, name, event_time, span, has_event, texts)
        if isinstance(found, Column):
            columns.append(found)
        else:
            dropped.append((name, found))
    kept, lost = _described(columns, texts)
    spanned = _with_spans(kept, sampled(table, MEDIAN_ROWS), event_time)
    return tuple(replace(c, ends=_ends(c, table)) for c in spanned), (*dropped, *lost)


def _learn(
    table: Table, name: str, event_time: str | None, span: float | None, has_event: bool,
    texts: dict[str, _Texts],
) -> Column | str:  # fmt: skip
    """The column's preparation, or why it is not used; what a text column holds goes to `texts`."""
    values = table.column(name)
    kind = data_type(values.type)
    if values.null_count == len(values):
        return "every value is missing"
    if kind in (DataType.INTEGER, DataType.FLOAT, DataType.DECIMAL, DataType.BOOLEAN):
        if kind is DataType.FLOAT and not _any_finite(values):
            return "no value is a finite number"
        if _constant(values):
            return "it has one value only"
        return Column(name, kind, "boolean" if kind is DataType.BOOLEAN else "number")
    if kind is DataType.STRING:
        return _listed(name, found := _Texts(values)) or _worded(name, found, texts)
    if kind in (DataType.DATE, DataType.TIMESTAMP):
        parts = _parts(name, kind, values, event_time, span, has_event)
        return Column(name, kind, "instant", parts=parts) if parts else "it has one value only"
    return f"values of type {kind.value} are not used for learning"


def _any_finite(values: Any) -> bool:
    import pyarrow.compute as pc

    return bool(pc.any(pc.is_finite(values)).as_py())


def _constant(values: Any) -> bool:
    import pyarrow.compute as pc

    ends = pc.min_max(values)
    return bool(values.null_count == 0 and ends["min"].as_py() == ends["max"].as_py())


# --- texts -------------------------------------------------------------------------------------------------


class _Texts:
    """The different values of a text column with how often each occurs, as Arrow arrays in the order of the rows."""

    def __init__(self, values: Any) -> None:
        import numpy as np
        import pyarrow.compute as pc

        counted = pc.value_counts(plain_strings(values))
        counted = counted.filter(counted.field("values").is_valid())
        self._values, self._counts = counted.field("values"), np.asarray(counted.field("counts"))
        self.different, self.rows, self.all = len(counted), int(self._counts.sum()), len(values)

    def levels(self) -> tuple[tuple[str, ...], tuple[float, ...]]:
        """Those of a category, by falling frequency, then by name, and its `ends`: zeros where they are nearly all that occur.

        Each occurs at least twice in a table of more than 500 rows.
        """
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        least = 2 if self.all > 500 else 1
        if self.different > MOST_LEVELS:
            least = max(least, int(np.partition(self._counts, -MOST_LEVELS)[-MOST_LEVELS]))
        often = pa.array(self._counts >= least)
        found = pa.table({"level": self._values.filter(often), "count": pa.array(self._counts).filter(often)})
        order = pc.sort_indices(found, [("count", "descending"), ("level", "ascending")])
        kept = found.take(order[:MOST_LEVELS])
        others = self.rows - (pc.sum(kept["count"]).as_py() or 0)
        return tuple(kept["level"].to_pylist()), (0.0,) * 4 if others <= ALL_LEVELS * self.rows else ()

    @cached_property
    def nested(self) -> bool:
        """Whether each of those that are learned from is a JSON list or object."""
        first = self._values[0].as_py() if len(self._values) else ""
        return nested.read(first) is not None and all(nested.read(t) is not None for t in self.sample())

    def sample(self) -> list[str]:
        """So many different texts as are learned from, evenly spaced, in the order of their letters."""
        import pyarrow.compute as pc

        if self.different > SORTED:
            return sorted(wording.sampled(self._values))
        return wording.sampled(self._values.take(pc.sort_indices(self._values)))


def _listed(name: str, found: _Texts) -> Column | None:
    """The column of lists of numbers; None where there are others, or texts."""
    parts = nested.parts_of([nested.read(t) for t in found.sample()]) if found.nested else None
    return Column(name, DataType.JSON, "list", parts=parts) if parts else None


def _worded(name: str, found: _Texts, texts: dict[str, _Texts]) -> Column | str:
    """A category, a text, or both; else why neither.

    Values that repeat class rows. Values that are worded describe them: they have words, or parts of words, in common.
    What does neither, and hardly repeats, names rows. Codes of one word that repeat somewhat share their first characters.
    """
    different, kind = found.different, DataType.JSON if found.nested else DataType.STRING
    if different == 1 and found.rows == found.all:
        return "it has one value only"
    unlike = different > ID_LIKE * found.rows and different > NAMED
    levels, ends = ((), ()) if unlike else found.levels()
    if different > wording.FEW_LEVELS:
        worded = wording.wording(found.sample())
        codes = unlike and different <= wording.ONCE * found.rows and worded.wordy < wording.MOST
        if (worded.describes and (unlike or worded.wordy >= wording.MOST)) or codes:
            texts[name] = found
            return Column(name, kind, "text", levels=levels)
    if unlike:
        return f"it looks like an identifier: {different} different values in {found.rows} rows"
    return Column(name, kind, "category", levels=levels, ends=ends) if levels else "no value occurs twice"


def _described(columns: list[Column], texts: dict[str, _Texts]) -> tuple[list[Column], list[tuple[str, str]]]:
    """The columns with the spaces of texts, and those that have nothing in common after all, with why."""
    kept, lost = [], []
    for column in columns:
        if column.kind == "text":
            space = wording.learned(texts[column.name].sample(), len(texts))
            if space is None and not column.levels:
                lost.append((column.name, "its texts have nothing in common"))
                continue
            kept.append(replace(column, text=space, kind="category" if space is None else "text"))
        else:
            kept.append(column)
    return kept, lost


# --- instants ----------------------------------------------------------------------------------------------


def _parts(
    name: str, kind: DataType, values: Any, event_time: str | None, span: float | None, has_event: bool
) -> tuple[str, ...]:
    """Which parts of an instant vary. The event time itself gives no part that only counts time onwards."""
    import numpy as np

    micros, known = micros_of(values)
    micros = micros[known]
    wanted = ["dow"] + (["hour"] if kind is DataType.TIMESTAMP else [])
    whole_years = span is None or span >= YEAR
    if whole_years or micros.max() - micros.min() >= YEAR * DAY_US:
        wanted.insert(0, "day")  # over less, each is seen a few times: it would name days, not describe them
    if name != event_time or whole_years:
        wanted += ["month", "doy"]
    parts = [part for part in wanted if len(np.unique(part_of(part, micros))) > 1]
    if name != event_time and len(micros) and micros.min() != micros.max():
        if event_time is None:
            parts.append("epoch")
        elif has_event:
            parts.append("since_event")
    return tuple(parts)


def _span_days(table: Table, event_time: str | None) -> float | None:
    micros, known = micros_of(table.column(str(event_time)))
    return float(micros[known].max() - micros[known].min()) / DAY_US if known.any() else None


def _with_spans(columns: list[Column], few: Table, event_time: str | None) -> list[Column]:
    """With the days between two instants that move together: where they vary less than either does by itself.

    Of two, the one with gaps has the span, so that where the other is known it is a gap of its own. From the event time
    `since_event` counts already.
    """
    import numpy as np

    moments: dict[str, Matrix] = {}
    for column in columns:
        if column.kind == "instant" and column.name != event_time and len(moments) < COMPARED:
            micros, known = micros_of(few.column(column.name))
            moments[column.name] = np.where(known, micros / DAY_US, np.nan)
    found = []
    for a, b in combinations(moments, 2):
        if (ratio := _together(moments[a], moments[b])) is not None:
            gaps = np.isnan(moments[b]).sum() > np.isnan(moments[a]).sum()
            found.append((ratio, *((b, a) if gaps else (a, b))))
    for _, own, other in sorted(found)[:MOST_SPANS]:
        at = next(i for i, c in enumerate(columns) if c.name == own)
        columns[at] = replace(columns[at], parts=(*columns[at].parts, SINCE + other))
    return columns


def _together(a: Matrix, b: Matrix) -> float | None:
    """How much the difference varies, against the one that varies less; None where as much, or not at all."""
    import numpy as np

    both = ~(np.isnan(a) | np.isnan(b))
    if both.sum() < 2:
        return None
    a, b = a[both], b[both]
    apart, least = float(np.std(a - b)), float(min(np.std(a), np.std(b)))
    return round(apart / least, 6) if 0 < apart < least else None


def sampled(table: Table, most: int) -> Table:
    """At most so many rows, evenly spaced."""
    import pyarrow as pa

    step = 1 + table.num_rows // most
    return table if step == 1 else table.take(pa.array(range(0, table.num_rows, step)))


# --- ends --------------------------------------------------------------------------------------------------


def _ends(column: Column, table: Table) -> tuple[float, ...]:
    """Beyond which a number or an instant is far out, low and high, and the least and the greatest that there are.

    All but a thousandth on each side reach so far, and as far again is not far out; of instants no ten years are.
    """
    import numpy as np
    import pyarrow as pa

    if column.kind not in {"number", "instant"}:
        return column.ends
    values = table.column(column.name)
    reached: list[float] = []
    for chunk in values.chunks if isinstance(values, pa.ChunkedArray) else (values,):
        if len(known := _known(column, chunk)):
            reached += (float(known.min()), float(known.max()))
    few = _known(column, values.take(pa.array(range(0, len(values), 1 + len(values) // MEDIAN_ROWS))))
    if not reached or not len(few):
        return ()
    least, most = min(reached), max(reached)
    aside = int(FAR * len(few))
    placed = np.partition(few, (aside, len(few) - 1 - aside))
    low, high = float(placed[aside]), float(placed[len(few) - 1 - aside])
    reach = max(high - low, TEN_YEARS if column.kind == "instant" else 0.0)
    ends = min(least, low - reach), max(most, high + reach)
    return (*(ends if all(map(math.isfinite, ends)) else (least, most)), least, most)


def _known(column: Column, values: Any) -> Matrix:
    """The finite numbers, or microseconds of instants, as float64."""
    import numpy as np

    if column.kind == "instant":
        micros, valid = micros_of(values)
        return micros[valid].astype(np.float64)
    known = floats(values)
    return known[np.isfinite(known)]
