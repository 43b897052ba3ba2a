"""Looks at the models that are served: the tables `quality` and `drift`. How a look is taken is `watching.watcher`'s."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilth.core.time import Instant, show_instant
from tilth.runtime.record.rows import (
    Change,
    Reader,
    Row,
    instant,
    real_or_none,
    text,
    text_or_none,
    whole,
    whole_or_none,
)

if TYPE_CHECKING:
    from tilth.ml.watching.monitoring import Look


@dataclass(frozen=True, slots=True)
class Looked:
    """One look, as it was written down. None: there was too little data to tell, or it was not kept then."""

    model: str
    version: int
    at: Instant
    drift: float | None
    prediction_drift: float | None
    metric: str
    value: float | None
    outcomes: int
    predictions: int
    left_out: int | None
    without_key: int | None
    gaps: int | None
    outside: int | None
    targets: str | None  # of several targets what was seen of each, as JSON


@dataclass(frozen=True, slots=True)
class Drift:
    """How far one column has moved."""

    column: str
    psi: float | None
    js: float | None
    score: float | None
    rows: int


@dataclass(frozen=True, slots=True)
class Old:
    """A look that nothing is decided on any more."""

    environment: str
    model: str
    at: str


def add(change: Change, environment: str, one: Look) -> None:
    """The look with the drift of each column."""
    for c in one.columns:
        change.write(
            "add_drift", model=one.model, version=one.version, environment=environment, column=c.column, psi=c.psi,
            js=c.js, score=c.score, rows=c.rows, window_start=one.window_start, window_end=one.window_end, at=one.at,
        )  # fmt: skip
    change.write(
        "add_quality", model=one.model, version=one.version, environment=environment, drift=one.drift,
        prediction_drift=one.prediction_drift, metric=one.metric, value=one.quality, outcomes=one.outcomes,
        predictions=one.predictions, new_rows=one.new_rows, left_out=one.left_out, without_key=one.without_key,
        gaps=one.gaps, outside=one.outside, targets=one.targets, window_start=one.window_start, window_end=one.window_end, at=one.at,
    )  # fmt: skip


def newest(reader: Reader, environment: str, model: str, limit: int) -> tuple[Looked, ...]:
    """The newest looks at a model, newest first."""
    found = reader.read("quality_of", environment=environment, model=model, limit=limit)
    return tuple(map(_looked, found))


def last(reader: Reader, environment: str) -> Mapping[str, Looked]:
    """The newest look at each model that was ever looked at there, by model."""
    found = map(_looked, reader.read("newest_quality", environment=environment))
    return {one.model: one for one in found}


def columns(reader: Reader, environment: str, model: str, at: Instant) -> tuple[Drift, ...]:
    """The drift of each column at a look, the greatest first."""
    return tuple(
        Drift(text(r, "column"), real_or_none(r, "psi"), real_or_none(r, "js"), real_or_none(r, "score"), whole(r, "rows"))
        for r in reader.read("drift_of", environment=environment, model=model, at=show_instant(at))
    )  # fmt: skip


def old(reader: Reader, before: str, keep: int) -> tuple[Old, ...]:
    """Looks before that instant, but for the newest `keep` of each model: a plan is made from them."""
    found = reader.read("old_looks", before=before, newest=keep - 1)
    return tuple(Old(text(r, "environment"), text(r, "model"), text(r, "at")) for r in found)


def forget(change: Change, one: Old) -> None:
    """Remove the look with the drift of its columns."""
    change.write("forget_quality", environment=one.environment, model=one.model, at=one.at)
    change.write("forget_drift", environment=one.environment, model=one.model, at=one.at)


def _looked(row: Row) -> Looked:
    return Looked(
        text(row, "model"),
        whole(row, "version"),
        instant(row, "at"),
        real_or_none(row, "drift"),
        real_or_none(row, "prediction_drift"),
        text(row, "metric"),
        real_or_none(row, "value"),
        whole(row, "outcomes"),
        whole(row, "predictions"),
        whole_or_none(row, "left_out"),
        whole_or_none(row, "without_key"),
        whole_or_none(row, "gaps"),
        whole_or_none(row, "outside"),
        text_or_none(row, "targets"),
    )
