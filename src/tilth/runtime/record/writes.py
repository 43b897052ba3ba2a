"""What was written into sources: the tables `writes` and `write_models`. Writing is `asking.writing`'s."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tilth.core.time import Instant, show_instant
from tilth.runtime.record.rows import Change, Reader, instant, text, text_or_none, whole, whole_or_none

BEGAN, DONE, FAILED, UNSURE = "began", "done", "failed", "unsure"


@dataclass(frozen=True, slots=True)
class Used:
    """A version whose predictions a write holds, how many, and how many of them were logged."""

    model: str
    version: int
    predictions: int
    logged: int


@dataclass(frozen=True, slots=True)
class Last:
    """The last write into a table that did not fail."""

    environment: str
    source: str
    table: str
    models: tuple[str, ...]
    actor: str
    at: Instant
    status: str
    rows: int

    @property
    def place(self) -> str:
        return f"{self.source}.{self.table}"


@dataclass(frozen=True, slots=True)
class Ill:
    """A table whose last write failed, or began and did not end, or is not known to have happened."""

    place: str
    at: Instant
    status: str
    error: str


def begin(
    change: Change, environment: str, place: tuple[str, str], statement: str, key: Sequence[str], at: Instant
) -> int:
    """A write that begins; its number."""
    return change.insert(
        "begin_write", environment=environment, source=place[0], target=place[1], statement=statement,
        key=json.dumps(list(key)), actor=change.by.text, at=show_instant(at),
    )  # fmt: skip


def end(
    change: Change,
    number: int,
    status: str,
    at: Instant,
    rows: int = 0,
    changed: int = 0,
    error: str | None = None,
) -> None:
    """What became of it."""
    change.write(
        "end_write", id=number, at=show_instant(at), status=status, rows=rows, changed=changed, error=error
    )


def add_model(change: Change, number: int, used: Used) -> None:
    """A version that it holds predictions of."""
    change.write(
        "add_write_model", write=number, model=used.model, version=used.version, predictions=used.predictions,
        logged=used.logged,
    )  # fmt: skip


def last(reader: Reader) -> tuple[Last, ...]:
    """Of each environment and table the last write that did not fail."""
    found: dict[int, Last] = {}
    for r in reader.read("last_writes"):
        model = () if r["model"] is None else (f"{text(r, 'model')}@{whole(r, 'version')}",)
        before = found.get(whole(r, "id"))
        found[whole(r, "id")] = Last(
            text(r, "environment"), text(r, "source"), text(r, "target"),
            (before.models if before else ()) + model, text(r, "actor"), instant(r, "began_at"), text(r, "status"),
            whole_or_none(r, "rows_written") or 0,
        )  # fmt: skip
    return tuple(found.values())


def ill(reader: Reader, environment: str, limit: int) -> tuple[Ill, ...]:
    """Tables that were written before and whose last write did not end well, the newest first; of every one that is unsure."""
    return tuple(
        Ill(
            f"{text(r, 'source')}.{text(r, 'target')}", instant(r, "began_at"), text(r, "status"),
            text_or_none(r, "error") or "it began, and nothing tells that it ended",
        )
        for r in reader.read("ill_writes", environment=environment, limit=limit)
    )  # fmt: skip


def writers(reader: Reader) -> Mapping[tuple[str, str], tuple[str, ...]]:
    """By source and table the models whose predictions were ever written there."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for r in reader.read("writers_of"):
        place = (text(r, "source"), text(r, "target"))
        found[place] = (*found.get(place, ()), text(r, "model"))
    return found


def made(reader: Reader, source: str, table: str) -> bool:
    """Whether a CREATE TABLE made the table."""
    return bool(reader.read("made_table", source=source, target=table))


def batches(reader: Reader, environment: str) -> Mapping[tuple[str, int], Instant]:
    """The versions whose predictions of batches were logged, and since when."""
    return {
        (text(r, "model"), whole(r, "version")): instant(r, "began_at")
        for r in reader.read("batch_versions", environment=environment)
    }
