"""Trials of searches of options, as they were made: the table `trials`. What they are is told in `ml.learning.searching`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tilth.core.time import Instant, show_instant
from tilth.runtime.record.rows import Change, Reader, Row, real_or_none, text, whole, whole_or_none

MOST = 1_000  # of a model, the newest


@dataclass(frozen=True, slots=True)
class Trial:
    """Options of an engine, and what the rows said of them."""

    recipe: str
    about: str
    engine: str
    number: int
    options: Mapping[str, Any]
    loss: float | None
    losses: tuple[float, ...]
    seconds: float
    status: str
    version: int | None

    @property
    def text(self) -> str:
        """As a training is told of it."""
        return json.dumps(
            {
                "about": self.about, "engine": self.engine, "trial": self.number, "options": dict(self.options),
                "losses": list(self.losses), "loss": self.loss, "seconds": self.seconds, "status": self.status,
            }
        )  # fmt: skip


def of(reader: Reader, model: str) -> tuple[Trial, ...]:
    """The newest trials of the model in the order in which they were made."""
    return tuple(map(_trial, reversed(reader.read("trials_of", model=model, most=MOST))))


def add(change: Change, model: str, recipe: str, snapshot: str, one: Trial, at: Instant) -> None:
    """A trial that was made; one that is known stays as it is."""
    change.write(
        "add_trial", model=model, recipe=recipe, snapshot=snapshot, about=one.about, engine=one.engine, trial=one.number,
        options=json.dumps(one.options, sort_keys=True), loss=one.loss, losses=json.dumps(one.losses), seconds=one.seconds,
        status=one.status, at=show_instant(at),
    )  # fmt: skip


def made_into(change: Change, model: str, about: Iterable[str], version: int) -> None:
    """Say which version the trials of these rows led to; those that led to one before say so still."""
    change.write("trials_made_into", model=model, about=json.dumps(sorted(set(about))), version=version)


def _trial(row: Row) -> Trial:
    return Trial(
        text(row, "recipe"), text(row, "about"), text(row, "engine"), whole(row, "trial"), json.loads(text(row, "options")),
        real_or_none(row, "loss"), tuple(json.loads(text(row, "losses"))), real_or_none(row, "seconds") or 0.0, text(row, "status"),
        whole_or_none(row, "version"),
    )  # fmt: skip
