"""Which rows fit, which stop, which calibrate, and which judge: by event time, or by a hash of the key.

The judge slice is the newest tenth and nothing of training ever sees it. Rows of equal event time are never parted.
Without an event time a fixed hash of the key decides, so a row keeps its slice from one training to the next
whatever the seed: what judged the champion never fits its challenger.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tilth.core.errors import DataError
from tilth.core.time import parse_instant, show_instant

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

SHARES = (0.7, 0.8, 0.9)  # where fit, stop and calibrate end
LEAST_TIMES = 8
LEAST_JUDGE = 50
HASH_BLOCKS = 60


@dataclass(frozen=True, slots=True)
class Split:
    """Ends of fit, stop and calibrate in the ordered rows; judge is the rest. `tuned_until` is ISO, or None."""

    fit: int
    stop: int
    calibrate: int
    rows: int
    by: str  # event time | hash of key
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
        }


def order(
    table: Any, key: tuple[str, ...], event_time: str | None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
    """The order of rows for slicing, and the value each is sliced by (microseconds, or the hash), in that order."""
    import numpy as np

    tie = row_hash(table, key)
    if event_time is None:
        index = np.argsort(tie, kind="stable")
        return index, tie[index]
    when = micros(table, event_time)
    index = np.lexsort((tie, when))
    return index, when[index]


def micros(table: Any, event_time: str) -> npt.NDArray[np.int64]:
    """Event times in microseconds since 1970; DataError when there are gaps."""
    from tilth.ml.learning.prepare import _micros

    when, known = _micros(table.column(event_time))
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
        return Split(edges[0], edges[1], edges[2], rows, "hash of key")
    if len(np.unique(values)) < LEAST_TIMES:
        raise DataError(
            f"`{event_time}` has fewer than {LEAST_TIMES} different values: newer rows cannot judge a model of older ones.",
            hint="Collect a longer history, or leave out EVENT TIME to split by a hash of the key.",
        )
    edges = [_after(values, int(share * rows)) for share in SHARES]
    overlap = False
    if judge_after is not None:
        moved = int(np.searchsorted(values, _as_micros(judge_after), side="right"))
        overlap = rows - moved < LEAST_JUDGE and moved > edges[2]
        if not overlap:
            edges[2] = max(edges[2], moved)
    edges = _apart(values, edges)
    until = datetime.fromtimestamp(0, UTC) + _span(int(values[edges[2] - 1]))
    return Split(edges[0], edges[1], edges[2], rows, "event time", show_instant(until), overlap)


def judge_mask(
    table: Any, key: tuple[str, ...], event_time: str | None, after: str | None
) -> npt.NDArray[np.bool_]:
    """Which rows may judge: later than `after` (the later `tuned_until` of both models), or of the hash's last tenth."""
    import numpy as np

    if event_time is None:
        mask: npt.NDArray[np.bool_] = row_hash(table, key) >= np.uint64(int(SHARES[2] * 2**64))
        return mask
    when = micros(table, event_time)
    return when > _as_micros(after) if after is not None else np.ones(len(when), dtype=np.bool_)


def blocks(table: Any, key: tuple[str, ...], event_time: str | None) -> npt.NDArray[np.int64]:
    """The block of each row for the gate's bootstrap: the day, or one of 60 hash groups."""
    import numpy as np

    if event_time is None:
        return (row_hash(table, key) % np.uint64(HASH_BLOCKS)).astype(np.int64)
    return micros(table, event_time) // 86_400_000_000


def row_hash(table: Any, key: tuple[str, ...]) -> npt.NDArray[np.uint64]:
    """64 bits for each row, from its key columns or, without a key, from all; the same on every machine."""
    import numpy as np

    total = np.zeros(table.num_rows, dtype=np.uint64)
    for name in key or tuple(sorted(table.schema.names)):
        total = _mix(total ^ _bits(table.column(name)))
    return total


def _bits(values: Any) -> npt.NDArray[np.uint64]:
    """64 bits of each value: numbers as they are, texts by the first bytes of their BLAKE2b."""
    import hashlib

    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from tilth.ml.learning.prepare import _micros, _numpy

    kind = values.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _micros(values)[0].view(np.uint64)
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        whole = pc.fill_null(pc.cast(values, pa.int64(), safe=False), -1)
        return np.ascontiguousarray(_numpy(whole)).view(np.uint64)
    if pa.types.is_floating(kind):
        wide = pc.fill_null(pc.cast(values, pa.float64()), 0.5)
        return np.ascontiguousarray(_numpy(wide)).view(np.uint64)
    texts = (
        values.to_pylist()
        if not pa.types.is_dictionary(kind)
        else pc.cast(values, kind.value_type).to_pylist()
    )
    digests = b"".join(hashlib.blake2b(str(text).encode(), digest_size=8).digest() for text in texts)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def _mix(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finaliser of splitmix64 (Steele, Lea and Flood 2014)."""
    import numpy as np

    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


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


def _as_micros(text: str) -> int:
    span = parse_instant(text) - datetime.fromtimestamp(0, UTC)
    return (span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds


def _span(us: int) -> Any:
    from datetime import timedelta

    return timedelta(microseconds=us)
