"""Which rows fit, which stop, which calibrate, and which judge: by event time, or by the rows' ids.

The judge slice is the newest tenth and nothing of training ever sees it. Rows of equal event time are never parted.
Without an event time the ids that were written with the snapshot decide (`ml.data.identity`), so a row keeps its slice
from one training to the next, whatever the seed and the model's columns: what judged the champion never fits its
challenger.
"""

from __future__ import annotations

from dataclasses import dataclass
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
LEAST_JUDGE = 50
HASH_BLOCKS = 60
FOLDS = 5
BY_TIME, BY_ID, BY_FOLDS = "event time", "hash of key", "folds"


@dataclass(frozen=True, slots=True)
class Split:
    """Ends of fit, stop and calibrate in the ordered rows; judge is the rest. `tuned_until` is ISO, or None."""

    fit: int
    stop: int
    calibrate: int
    rows: int
    by: str  # event time | hash of key | folds
    tuned_until: str | None = None
    overlap: bool = (
        False  # True: too few rows after `judge_after`, so the champion knew some of the judge rows
    )

    def plain(self) -> dict[str, object]:
        """How the rows were dealt, for `metrics.json`."""
        return {
            "by": self.by,
            "fit": self.fit,
            "stop": self.stop - self.fit,
            "calibrate": self.calibrate - self.stop,
            "judge": self.rows - self.calibrate,
            "tuned_until": self.tuned_until,
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


def cut(values: npt.NDArray[Any], event_time: str | None, judge_after: str | None = None) -> Split:
    """Where the slices end in rows ordered by `values`.

    `judge_after` (ISO) moves the start of the judge slice behind what the champion was tuned on, if enough rows remain.
    """
    import numpy as np

    rows = len(values)
    if event_time is None:
        edges = [int(np.searchsorted(values, np.uint64(int(share * 2**64)))) for share in SHARES]
        if len({0, *edges, rows}) < len(edges) + 2:
            raise DataError(
                f"The {rows:,} rows have {len(np.unique(values)):,} different ones: too few to learn from some and judge by others.",
                hint="Give the dataset a KEY if rows that look alike are different ones, or count them into one row.",
            )
        return Split(edges[0], edges[1], edges[2], rows, BY_ID)
    if len(np.unique(values)) < LEAST_TIMES:
        raise DataError(
            f"`{event_time}` has fewer than {LEAST_TIMES} different values: newer rows cannot judge a model of older ones.",
            hint="Collect a longer history, or leave out EVENT TIME to split by a hash of the key.",
        )
    edges = [_after(values, int(share * rows)) for share in SHARES]
    overlap = False
    if judge_after is not None:
        moved = int(np.searchsorted(values, as_micros(judge_after), side="right"))
        overlap = rows - moved < LEAST_JUDGE and moved > edges[2]
        if not overlap:
            edges[2] = max(edges[2], moved)
    edges = _apart(values, edges)
    until = datetime.fromtimestamp(0, UTC) + _span(int(values[edges[2] - 1]))
    return Split(edges[0], edges[1], edges[2], rows, BY_TIME, show_instant(until), overlap)


def folded(values: npt.NDArray[Any], event_time: str | None) -> tuple[int, ...]:
    """Where each of FOLDS blocks of ordered rows ends, each of which is judged by the others; equal values stay together."""
    import numpy as np

    rows = len(values)
    ends = sorted({_after(values, rows * n // FOLDS) for n in range(1, FOLDS + 1)})
    if len(ends) < FOLDS:
        raise DataError(
            f"The {rows:,} rows have {len(np.unique(values)):,} different {'times' if event_time else 'keys'}: too few to "
            f"judge {FOLDS} parts of them by the others.",
            hint="Collect a longer history.",
        )
    return tuple(ends)


def newest(table: Any, event_time: str) -> str:
    """The newest event time, as ISO."""
    return show_instant(datetime.fromtimestamp(0, UTC) + _span(int(micros(table, event_time).max())))


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


def _after(values: npt.NDArray[Any], index: int) -> int:
    """The first index at or after which a new value starts, so that equal values stay together."""
    import numpy as np

    return int(np.searchsorted(values, values[max(index - 1, 0)], side="right"))


def _apart(values: npt.NDArray[Any], edges: list[int]) -> list[int]:
    """Edges such that no slice is empty; each falls where a new value starts."""
    import numpy as np

    starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
    at = [int(np.searchsorted(starts, edge)) for edge in edges]
    last = len(starts)
    for index in (2, 1, 0):
        at[index] = min(at[index], (at[index + 1] if index < 2 else last) - 1)
    for index in (0, 1, 2):
        at[index] = max(at[index], (at[index - 1] if index else 0) + 1)
    return [int(starts[i]) for i in at]


def as_micros(text: str) -> int:
    """An instant's text as microseconds since 1970."""
    span = parse_instant(text) - datetime.fromtimestamp(0, UTC)
    return (span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds


def _span(us: int) -> Any:
    from datetime import timedelta

    return timedelta(microseconds=us)
