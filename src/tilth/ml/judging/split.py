"""Which rows teach and which judge: by event time, by the rows' ids, or each by models of the others.

Every row teaches the model that serves. Of a history with an event time the newest tenth judges, by the answers of a twin
that learned from the older rows alone; else rows are judged by the answers of models of the other parts. Parts are blocks
of time, or of the ids that were written with the snapshot (`ml.data.identity`), so a row keeps its part from one training
to the next. Rows of equal event time, and rows that are alike, are never parted. Versions that an older tilth made kept
slices aside instead; how theirs were dealt is known here too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tilth.core.errors import DataError
from tilth.core.time import parse_instant, show_instant
from tilth.ml.data import identity

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Ids = npt.NDArray[np.uint64]

SHARES = (0.7, 0.8, 0.9)  # where fit, stop and calibrate end
LEAST_TIMES = 8
HASH_BLOCKS = 60
GROUP_BLOCKS = 500
FOLDS = 5
MANY_ROWS = 20_000  # beyond so many, a part of the rows judges for all
JUDGED = 0.1  # of a history with an event time, the newest
BY_TWIN, BY_FOLDS = "twin", "folds"
BY_TIME, BY_ID = "event time", "hash of key"  # of versions that learned from a part of their rows only
BY_IMPORT = "import"  # of versions that were fitted elsewhere: which rows they know is not known here
ALL_TEACH = frozenset((BY_TWIN, BY_FOLDS))
BY_A_TIME = frozenset((BY_TIME, BY_IMPORT))  # versions that know no row after a time, if they say one


@dataclass(frozen=True, slots=True)
class Split:
    """How ordered rows were dealt. All teach what serves; those from `window` on judge, or of all those that have a part."""

    by: str  # twin | folds
    rows: int
    window: int  # the first row of the judged window; `rows` where there is none
    tuned_until: str | None = None  # the newest event time, ISO
    since: str | None = None  # the newest event time before the window

    def plain(self, judged: int) -> dict[str, object]:
        """For `metrics.json`; `judged` rows have an honest answer."""
        return {
            "by": self.by,
            "rows": self.rows,
            "judge": judged,
            "tuned_until": self.tuned_until,
            "since": self.since,
            "ids": identity.HOW,
        }


def order(
    ids: Ids | None, when: npt.NDArray[np.int64] | None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
    """The order of rows for slicing, and the value each is sliced by (microseconds, or the id), in that order.

    Rows of one time are in the order of their ids, or without ids in the snapshot's own.
    """
    import numpy as np

    if when is None:
        assert ids is not None, "rows without times have ids"
        index = np.argsort(ids, kind="stable")
        return index, ids[index]
    index = np.argsort(when, kind="stable") if ids is None else np.lexsort((ids, when))
    return index, when[index]


def micros(table: Any, event_time: str) -> npt.NDArray[np.int64]:
    """Event times in microseconds since 1970; DataError when there are gaps."""
    from tilth.ml.model.columns import micros_of

    when, known = micros_of(table.column(event_time))
    if not known.all():
        raise DataError(
            f"The event time `{event_time}` is missing in {int((~known).sum())} rows.",
            hint=f"Filter them in the dataset's query, or EXPECT ({event_time} IS NOT NULL ON FAIL QUARANTINE).",
        )
    return when


def cut(values: npt.NDArray[Any], event_time: str | None, judged: int) -> Split:
    """Where the judged window of rows ordered by `values` begins; none without an event time, or with fewer rows than `judged`."""
    import numpy as np

    rows = len(values)
    if event_time is None:
        return Split(BY_FOLDS, rows, rows)
    until = _instant(int(values[-1]))
    if rows < judged:
        return Split(BY_FOLDS, rows, rows, until)
    if len(np.unique(values)) < LEAST_TIMES:
        raise DataError(
            f"`{event_time}` has fewer than {LEAST_TIMES} different values: newer rows cannot judge a model of older ones.",
            hint="Collect a longer history, or leave out EVENT TIME to split by a hash of the key.",
        )
    window = _after(values, int((1.0 - JUDGED) * rows))
    if window == rows:  # the newest value alone is more than the window
        window = int(np.searchsorted(values, values[-1], side="left"))
    return Split(BY_TWIN, rows, window, until, _instant(int(values[window - 1])))


def later(found: Split, values: npt.NDArray[np.int64], index: int) -> Split:
    """The same with a window that begins at the first new value at or after `index`."""
    window = min(_after(values, index), len(values))
    if window >= len(values):
        window = int(values.searchsorted(values[-1], side="left"))
    before = int(values[window - 1])
    return replace(found, window=window, since=_instant(before))


def parts(values: npt.NDArray[Any], classes: npt.NDArray[np.float64] | None) -> npt.NDArray[np.int8]:
    """The part of each row, of FOLDS: blocks of the ordered `values`, within each class where `classes` are given.

    Equal values of a class stay together; classes with fewer rows than there are parts are dealt as one. DataError where
    there are too few different ones.
    """
    import numpy as np

    out = np.zeros(len(values), dtype=np.int8)
    level = np.zeros(len(values)) if classes is None else _levels(classes)
    for one in np.unique(level):
        mine = np.flatnonzero(level == one)
        start = np.searchsorted(values[mine], values[mine], side="left")  # where its equals begin
        out[mine] = start * FOLDS // len(mine)
    if len(np.unique(out)) < FOLDS:
        raise DataError(
            f"The {len(values):,} rows have {len(np.unique(values)):,} different keys or times: too few to judge {FOLDS} parts "
            "of them by the others.",
            hint="Give the dataset a KEY if rows that look alike are different ones, or collect a longer history.",
        )
    return out


def _levels(classes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The class of each row, -1 for those that cannot be in every part."""
    import numpy as np

    _, which, counts = np.unique(classes, return_inverse=True, return_counts=True)
    return np.where(counts[which] < FOLDS, -1.0, classes)


def newest(table: Any, event_time: str) -> str:
    """The newest event time, as ISO."""
    return _instant(int(micros(table, event_time).max()))


def judge_mask(ids: Ids, when: npt.NDArray[np.int64] | None, after: str | None) -> npt.NDArray[np.bool_]:
    """Which rows may judge: later than `after` (the later `tuned_until` of both models), or of the ids' last tenth."""
    import numpy as np

    if when is None:
        mask: npt.NDArray[np.bool_] = ids >= np.uint64(int(SHARES[2] * 2**64))
        return mask
    return when > as_micros(after) if after is not None else np.ones(len(when), dtype=np.bool_)


def mature(when: npt.NDArray[np.int64] | None, delay: float, now: str | None) -> npt.NDArray[np.bool_] | None:
    """Rows whose label is due at `now`, `delay` seconds after the event: the one rule of training, gate and watching.

    None when all are: nothing says how late labels come. A label that came early does not make its row mature, since
    those that come quickly are of one kind.
    """
    if not delay or when is None or now is None:
        return None
    due: npt.NDArray[np.bool_] = when <= as_micros(now) - int(delay * 1_000_000)
    return due


def blocks(ids: Ids, when: npt.NDArray[np.int64] | None) -> npt.NDArray[np.int64]:
    """The block of each row for the gate's bootstrap: the day, or one of 60 groups of ids."""
    import numpy as np

    if when is None:
        return (ids % np.uint64(HASH_BLOCKS)).astype(np.int64)
    return when // 86_400_000_000


def group_blocks(groups: Ids) -> npt.NDArray[np.int64]:
    """The block of each row whose groups are known: its group, or of many one of GROUP_BLOCKS heaps of whole groups."""
    import numpy as np

    found, block = np.unique(groups, return_inverse=True)
    if len(found) <= GROUP_BLOCKS:
        return block.astype(np.int64)
    return (groups % np.uint64(GROUP_BLOCKS)).astype(np.int64)


def _after(values: npt.NDArray[Any], index: int) -> int:
    """The first index at or after which a new value starts, so that equal values stay together."""
    import numpy as np

    return int(np.searchsorted(values, values[max(index - 1, 0)], side="right"))


def as_micros(text: str) -> int:
    """An instant's text as microseconds since 1970."""
    span = parse_instant(text) - datetime.fromtimestamp(0, UTC)
    return (span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds


def _instant(us: int) -> str:
    return show_instant(datetime.fromtimestamp(0, UTC) + _span(us))


def _span(us: int) -> Any:
    from datetime import timedelta

    return timedelta(microseconds=us)
