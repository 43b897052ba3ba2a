"""The honest answers that a bundle keeps: what models that did not see a row said of it, by the id of the row.

A version that learned from every row can so be compared on rows that it saw. Ids are of the columns that it used and of its
key (of all columns where it has none), so that a corrected row is another one and an unused column changes nothing. Kept as Parquet, 32 bits an answer; older bundles kept JSON. Who reads them is the gate.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilth.core.errors import TamperError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tilth.ml.model.signature import Signature

    Ids = npt.NDArray[np.uint64]
    Array = npt.NDArray[np.float64]

FILE, OLD = "answers.parquet", "folds.json"


@dataclass(frozen=True, slots=True)
class Kept:
    """Answers by rising ids: `scores` are [rows], or [rows, classes]."""

    ids: Ids
    scores: Array

    def find(self, ids: Ids) -> npt.NDArray[np.intp]:
        """The place of each id, -1 for one that has no answer."""
        import numpy as np

        if not len(self.ids):
            return np.full(len(ids), -1, dtype=np.intp)
        place = np.searchsorted(self.ids, ids)
        place = np.minimum(place, len(self.ids) - 1)
        return np.where(self.ids[place] == ids, place, -1)


def columns_of(signature: Signature, names: Sequence[str], *, old: bool = False) -> tuple[str, ...]:
    """The columns that ids of kept answers are made of, of a version whose snapshot had columns of these names."""
    if old or not signature.key:
        return tuple(sorted(names))
    event = [signature.event_time] if signature.event_time else []
    return tuple(sorted({*signature.names, signature.target, *signature.key, *event}))


def packed(ids: Ids, scores: Array) -> bytes:
    """The file; the first answer of rows that are alike."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    own, first = np.unique(ids, return_index=True)
    table = scores[first].reshape(len(own), -1).astype(np.float32)
    columns = {f"s{i}": table[:, i] for i in range(table.shape[1])}
    sink = io.BytesIO()
    pq.write_table(pa.table({"id": own, **columns}), sink, compression="zstd", use_dictionary=False)
    return sink.getvalue()


def read(files: Mapping[str, bytes]) -> Kept:
    """Those of a bundle's files; none of a bundle that has none. TamperError for a file that is not whole."""
    import numpy as np
    import pyarrow as pa

    if OLD not in files and FILE not in files:
        return Kept(np.empty(0, np.uint64), np.empty(0))
    try:
        ids, scores = _listed(files[OLD]) if OLD in files else _table(files[FILE])
        if len(ids) != len(scores):
            raise ValueError(f"{len(ids)} ids with {len(scores)} answers")
    except (
        pa.ArrowException,
        OSError,
        KeyError,
        TypeError,
        ValueError,
        OverflowError,
        RecursionError,
    ) as error:
        raise TamperError(
            f"The answers that the bundle keeps are not whole: {error}.",
            hint="Train the model again, or roll back to another version.",
        ) from error
    order = np.argsort(ids, kind="stable")
    return Kept(ids[order], scores[order])


def _listed(content: bytes) -> tuple[Ids, Array]:
    import numpy as np

    kept = json.loads(content)
    ids = np.array([int(i, 16) for i in kept["ids"]], dtype=np.uint64)
    return ids, np.array(kept["scores"], dtype=np.float64)


def _table(content: bytes) -> tuple[Ids, Array]:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(content))
    ids = table.column("id")
    if ids.type != pa.uint64() or any(column.null_count for column in table.columns):
        raise ValueError("ids of another type, or gaps")
    answers = [c.to_numpy() for c in table.drop_columns(["id"]).columns]
    scores = np.stack(answers, axis=1).astype(np.float64)
    return ids.to_numpy(), scores[:, 0] if scores.shape[1] == 1 else scores
