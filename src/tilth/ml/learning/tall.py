"""Tables of more rows than lie in memory at once: some rows, drawn at random, stand for all until the last fits.

Above `TALL` rows the members, their weights, the calibration, the judging rows and what is told of columns are of `DRAWN` rows. What
serves learns from every row, where its engine takes them a batch at a time (`ports.learning.Streams`). The draw is a function of the
snapshot's rows in their order, so the same rows give the same bytes. Which rows are due and known is asked of all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tilth.ml.data import snapshots
from tilth.ml.judging import split
from tilth.ml.learning import target, weights
from tilth.ml.learning.made import Remark
from tilth.ml.model.spec import TrainingSpec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tilth.ml.model.preparation import Preparation

    Array = npt.NDArray[np.float64]

TALL = 1_000_000  # rows, up to which all are in memory
DRAWN = 500_000
SEED = 20_131


@dataclass(frozen=True, slots=True)
class Draw:
    """The places of the rows that are drawn, in the snapshot's files, and what is known of all of them."""

    places: npt.NDArray[np.int64]
    target: target.Target
    y: npt.NDArray[np.float32]  # of all rows that are known and due, in the files' order
    known: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Everything:
    """All rows of a tall table that are known and due, as a model reads them, a batch at a time."""

    spec: TrainingSpec
    files: Sequence[str]
    preparation: Preparation
    y: npt.NDArray[np.float32]
    known: npt.NDArray[np.bool_]
    mean: float = 1.0  # of the weights that were drawn

    @property
    def rows(self) -> int:
        return len(self.y)

    def batches(self) -> Iterator[tuple[Array, Array | None]]:
        """The matrix, and what its rows count; twice the same."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        own = [c.name for c in self.preparation.columns]
        weight, at = self.spec.weight, 0
        for path in self.files:
            for batch in snapshots.file_batches(
                path, [*dict.fromkeys([*own, *([weight] if weight else [])])]
            ):
                mine = self.known[at : at + batch.num_rows]
                at += batch.num_rows
                table = pa.Table.from_batches([batch]).filter(pa.array(mine))
                if not table.num_rows:
                    continue
                counts = None
                if weight is not None:
                    found = np.asarray(pc.fill_null(pc.cast(table.column(weight), pa.float64()), np.nan))
                    if not (found >= 0).all() or np.isinf(found).any():
                        raise weights.unfit(weight)
                    counts = found / self.mean
                yield np.ascontiguousarray(self.preparation.matrix(table)), counts


def told(drawn: int, every: Everything, engines: Sequence[str], streamed: Sequence[str]) -> Remark:
    """What stands for all rows, and which members learned from all of them."""
    some = f"{drawn:,} of {every.rows:,} rows, drawn at random, chose the members, judged them, and are what is told of columns"
    all_ = [e for e in engines if e in streamed]
    rest = [e for e in engines if e not in streamed]
    words = [f"{_listed(all_)} learned from all of them" if all_ else "no member learned from all of them"]
    if rest:
        words.append(f"{_listed(rest)} from those that were drawn")
    hint = "Nothing, or filter the rows in the dataset's query." if all_ else "USING (engine = 'lightgbm')."
    return Remark("rows", f"{some}; {', '.join(words)}.", hint)


def _listed(engines: Sequence[str]) -> str:
    return " and ".join(f"`{e}`" for e in engines)


def drawn(spec: TrainingSpec, files: Any) -> Draw | None:
    """Which rows stand for all; None where all can be in memory. Errors of targets as `dealing.dealt` has them."""
    import numpy as np
    import pyarrow as pa

    if files.count() <= TALL:
        return None
    timed = [spec.event_time] if spec.event_time and spec.label_delay else []
    table = files.read(list(dict.fromkeys([spec.target, *spec.beside, *timed])))
    when = split.micros(table, timed[0]) if timed else None
    values = table.column(spec.target)
    beside = [table.column(name) for name in spec.beside]
    mature = split.mature(when, spec.label_delay, spec.now)
    known = target.known_rows(values, spec.target, mature, beside)
    values = values.filter(pa.array(known))
    found = target.with_positive(target.inspect(values, spec.target, spec.metric), spec)
    del table, beside
    places = np.flatnonzero(known)
    places = places[np.random.default_rng(SEED).random(len(places), dtype=np.float32) < DRAWN / len(places)]
    y = target.encode(values, found)
    target.bounded(y, found, spec.metric)
    return Draw(places, found, y.astype(np.float32), known)
