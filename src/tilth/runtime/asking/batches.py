"""Predictions of a batch that is written somewhere, for the log: what a model was asked, as it is asked, sampled evenly.

The rows are kept while the models answer them; once they are written, what the models say of them is logged under the door
`batch`, so that drift and quality see it as they see what endpoints answer.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from tilth.core.time import Instant, show_instant
from tilth.ports.predictions import BATCH, PredictionLog
from tilth.runtime.record.writes import Used
from tilth.sql.language.acts import Logged

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from tilth.ml.model.answerer import Answerer

MOST = 100_000  # predictions that a statement logs, unless it is told to log all
CHUNK = 16_384  # rows that are answered and logged at a time
LINES = 1000  # records that are handed to the log at once


@dataclass(slots=True)
class _Asked:
    """What one version was asked: rows with a random number each, of which the smallest are kept."""

    model: Answerer
    most: int | None
    rows: int = 0
    kept: list[tuple[npt.NDArray[np.float64], pa.Table]] = field(default_factory=list)
    held: int = 0

    def add(self, batch: pa.RecordBatch, numbers: npt.NDArray[np.float64]) -> None:
        import pyarrow as pa

        self.rows += batch.num_rows
        self.held += batch.num_rows
        self.kept.append((numbers, pa.Table.from_batches([batch])))
        if self.most is not None and self.held > 2 * self.most:
            self._thin(self.most)

    def _thin(self, most: int) -> None:
        import numpy as np
        import pyarrow as pa

        numbers = np.concatenate([n for n, _ in self.kept])
        table = pa.concat_tables([t for _, t in self.kept], promote_options="permissive")
        if len(numbers) > most:
            chosen = np.sort(np.argpartition(numbers, most)[:most])
            numbers, table = numbers[chosen], table.take(chosen)
        self.kept, self.held = [(numbers, table)], len(numbers)

    def table(self) -> pa.Table | None:
        """The rows that are to be logged, in the order they came."""
        if not self.kept:
            return None
        self._thin(self.most if self.most is not None else self.held)
        return self.kept[0][1]


class Batches:
    """What the models of one statement are asked. Batches come from several threads."""

    def __init__(self, log: Logged) -> None:
        self._most = {Logged.SAMPLE: MOST, Logged.ALL: None, Logged.NONE: 0}[log]
        self._asked: dict[tuple[str, int], _Asked] = {}
        self._lock = threading.Lock()

    def take(self, model: Answerer, rows: pa.RecordBatch) -> None:
        """Note that the version answered these rows: its inputs, and what it carries along."""
        import numpy as np

        with self._lock:
            asked = self._asked.setdefault((model.name, model.version), _Asked(model, self._most))
            if rows.num_rows and self._most == 0:
                asked.rows += rows.num_rows
            elif rows.num_rows:
                asked.add(rows, np.random.default_rng((asked.rows, 20131)).random(rows.num_rows))

    def write_down(self, log: PredictionLog, environment: str, number: int, at: Instant) -> tuple[Used, ...]:
        """Log what was asked, as the write of that number; of each version how many rows it answered and how many are logged."""
        used = []
        for asked in self._asked.values():
            table, logged = asked.table(), 0
            for lines in () if table is None else _records(asked.model, table, environment, number, at):
                log.append(b"\n".join(lines))
                logged += len(lines)
            used.append(Used(asked.model.name, asked.model.version, asked.rows, logged))
        log.flush()
        return tuple(used)

    def unlogged(self) -> tuple[Used, ...]:
        """The same, when nothing could be logged."""
        return tuple(Used(a.model.name, a.model.version, a.rows, 0) for a in self._asked.values())


def _records(
    model: Answerer, table: pa.Table, environment: str, number: int, at: Instant
) -> Iterator[list[bytes]]:
    """Records (`ports.predictions`) of the rows that the model has an answer for."""
    head = msgspec.json.encode(
        {
            "endpoint": "",
            "model": model.name,
            "version": model.version,
            "digest": model.digest,
            "environment": environment,
            "role": BATCH,
        }
    )[1:-1]
    when, place, lines = show_instant(at), 0, list[bytes]()
    for start in range(0, table.num_rows, CHUNK):
        chunk = table.slice(start, CHUNK)
        scores, can = model.answers(chunk)
        said = model.predict(chunk, model.usual).to_pylist()
        for row, answer, score, known in zip(
            chunk.to_pylist(), said, scores.tolist(), can.tolist(), strict=True
        ):
            place += 1
            if not known:
                continue
            parts = (row, answer, score)
            inputs, outputs, logged = (msgspec.json.encode(_plain(p), enc_hook=str) for p in parts)
            lines.append(
                b'{"at":"%b","id":"write-%d-%d",%b,"inputs":%b,"outputs":%b,"score":%b}'
                % (when.encode(), number, place, head, inputs, outputs, logged)
            )
            if len(lines) == LINES:
                yield lines
                lines = []
    if lines:
        yield lines


def _plain(value: Any) -> Any:
    """A value as it stands in the log: decimals are numbers, times as in ISO 8601."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return value
