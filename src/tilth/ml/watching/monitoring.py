"""One look at a version in use, computed from rows that are given: what it was asked, what it said, what came true.

Drift of each input and of the scores is measured against the profile in the bundle, quality by the objective's metric over
answers whose truth is known. Where there is too little to tell the figure is None and never a guess. Which rows those
are, and where looks are kept, is in `runtime.watching`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tilth.core.errors import DataError
from tilth.core.metrics import HIGHER
from tilth.core.time import parse_instant, show_instant
from tilth.ml.data.drift import WINDOW, ColumnDrift, drift, overall, unusual
from tilth.ml.judging.gates import ENOUGH
from tilth.ml.judging.split import as_micros, mature
from tilth.ml.learning.target import Target, encode
from tilth.ml.model.metrics import evaluate
from tilth.ml.watching.logged import Answers, Watched
from tilth.ports.engine import QueryEngine

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Array = npt.NDArray[np.float64]

IN_BATCHES = 100  # answers at one instant, on average, from which on they are batches
LEAST_SPAN = timedelta(days=2)  # from the first to the last answer, where the reference knows weeks


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen at one instant. None where there was too little to tell."""

    model: str
    version: int
    at: str
    columns: tuple[ColumnDrift, ...]
    drift: float | None
    prediction_drift: float | None
    metric: str
    quality: float | None
    outcomes: int
    predictions: int
    new_rows: float | None = None
    window_start: str | None = None
    window_end: str | None = None
    left_out: int = 0  # records of the window that do not fit the version
    without_key: int = 0  # answers of the window that no outcome can be joined with
    gaps: int = 0  # answers of the window without an input that never was missing in training
    outside: int = 0  # answers of the window with a number or a level far out of what training had
    targets: str | None = None  # of several targets what was seen of each, as JSON


@dataclass(frozen=True, slots=True)
class Tuned:
    """Which rows a version was tuned on: those up to `until` by their event time, else those of these `keys`."""

    until: str | None = None
    keys: pa.Array | None = None


# --- drift -------------------------------------------------------------------------------------------------


def look(
    watched: Watched,
    answers: Answers,
    outcomes: tuple[pa.Array, pa.Array] | None,
    engine: QueryEngine,
    at: str,
    version: int,
    new_rows: float | None = None,
    delay: float = 0.0,
    tuned: Tuned | None = None,
    window: timedelta = WINDOW,
) -> Look:
    """What the answers say of the `window` before `at`. `outcomes` are key texts (`key_texts`) and the truth of each, without gaps.

    Drift is that of the window; quality is that of the answers whose truth was due (`delay` seconds after the event)
    in as long a time, so that those are older. Rows that the version was tuned on tell nothing of its quality.
    """
    value, known = None, 0
    if outcomes is not None:
        judged = counted(watched, answers, at, delay, tuned or Tuned())
        value, known = realised(watched, judged, *outcomes)
    answers = answers.since(show_instant(parse_instant(at) - window))
    columns = drifts(watched, answers, engine)
    if watched.usual and not _spans(answers):
        columns = tuple(replace(c, score=None) for c in columns)
    said = next((c for c in columns if c.column == watched.score), None)
    inputs = tuple(c for c in columns if c.column != watched.score)
    ends = (answers.at[0].as_py(), answers.at[-1].as_py()) if len(answers) else (None, None)
    return Look(
        model=watched.signature.model,
        version=version,
        at=at,
        columns=columns,
        drift=overall_drift(watched, inputs),
        prediction_drift=said.score if said else None,
        metric=watched.metric,
        quality=value,
        outcomes=known,
        predictions=len(answers),
        new_rows=new_rows,
        window_start=ends[0],
        window_end=ends[1],
        left_out=len(answers.left_out),
        without_key=keyless(answers, watched.keys),
        gaps=gaps(answers, watched),
        outside=0 if watched.reach is None else watched.reach.rows_far(answers.inputs),
    )


def joined(watched: Sequence[Watched], seen: Sequence[Look]) -> Look:
    """The look at a model of several targets, from those at each: drift is the greatest, counts are the greatest of them.

    Quality is that of the worst where all are measured alike; else it is of none, and each has its own under `targets`.
    """
    if len(seen) == 1:
        return seen[0]
    columns = {c.column: c for one in reversed(seen) for c in one.columns}
    metrics = dict.fromkeys(one.metric for one in seen)
    known = [one.quality for one in seen if one.quality is not None]
    worst = min if seen[0].metric in HIGHER else max
    figures = ("metric", "quality", "outcomes", "drift", "prediction_drift", "new_rows")
    told = [
        {"target": w.signature.target, "output": w.signature.output, **{k: getattr(one, k) for k in figures}}
        for w, one in zip(watched, seen, strict=True)
    ]
    counts = ("outcomes", "predictions", "left_out", "without_key", "gaps", "outside")
    shares = ("drift", "prediction_drift", "new_rows")
    joint: dict[str, Any] = {name: max(getattr(one, name) for one in seen) for name in counts}
    joint |= {name: _greatest([getattr(one, name) for one in seen]) for name in shares}
    return replace(
        seen[0],
        columns=tuple(columns.values()),
        metric=", ".join(metrics),
        quality=worst(known) if known and len(metrics) == 1 else None,
        targets=json.dumps(told),
        **joint,
    )


def _greatest(values: Sequence[float | None]) -> float | None:
    return max((v for v in values if v is not None), default=None)


def _spans(answers: Answers) -> bool:
    """Whether the answers cover enough days to be compared with weeks: a single day is never like one.

    Of batches, whose answers come by hundreds at one instant, it is their events that cover days.
    """
    import pyarrow.compute as pc

    if not len(answers):
        return False
    if IN_BATCHES * len(pc.unique(answers.at)) <= len(answers):
        ends = pc.min_max(answers.when).as_py()
        if ends["min"] is not None:
            return timedelta(microseconds=ends["max"] - ends["min"]) >= LEAST_SPAN
    first, last = (parse_instant(answers.at[place].as_py()) for place in (0, -1))
    return last - first >= LEAST_SPAN


def drifts(watched: Watched, answers: Answers, engine: QueryEngine) -> tuple[ColumnDrift, ...]:
    """The drift of each input that has a profile, and of the score."""
    if not len(answers):
        return ()
    scores = _said(watched, answers)
    there = frozenset(answers.inputs.column_names)
    table = answers.inputs.select([c for c in watched.columns if c in there])
    found = drift(watched.profile, table.append_column(watched.score, scores), engine)
    return unusual(found, watched.usual)


def overall_drift(watched: Watched, columns: Sequence[ColumnDrift]) -> float | None:
    """One number from 0 to 1 for all inputs: their mean weighed by how much each moves the answers.

    Seasonal inputs drift without harm; the greatest drift of any column would have a model retrained for ever.
    """
    if not any(c.score is not None for c in columns):
        return None
    return overall(columns, watched.weights)


def _said(watched: Watched, answers: Answers) -> pa.ChunkedArray:
    """The score as the profile keeps it: the number, or which class was the likeliest."""
    import pyarrow as pa

    if watched.signature.kind != "multiclass":
        return answers.scores
    names = [str(c) for c in watched.signature.classes]
    found = [None if s is None else names[s.index(max(s))] for s in answers.scores.to_pylist()]
    return pa.chunked_array([pa.array(found, pa.string())])


# --- quality -----------------------------------------------------------------------------------------------


def key_texts(table: pa.Table, keys: Sequence[str]) -> pa.Array | None:
    """One text a row that says its key, null where a part is missing; None when a key column is not there.

    Numbers, times and texts that mean the same on both sides of the join give the same text.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if not keys or any(k not in table.column_names for k in keys):
        return None
    parts = [_texts(table.column(k).combine_chunks()) for k in keys]
    return parts[0] if len(parts) == 1 else pc.binary_join_element_wise(*parts, pa.scalar("\x1f"))


def keyless(answers: Answers, keys: Sequence[str]) -> int:
    """How many of the answers no outcome can be joined with; 0 where outcomes are joined with none."""
    if not keys or not len(answers):
        return 0
    texts = key_texts(answers.inputs, keys)
    return len(answers) if texts is None else int(texts.null_count)


def gaps(answers: Answers, watched: Watched) -> int:
    """How many of the answers lack an input that never was missing in training."""
    import pyarrow as pa
    import pyarrow.compute as pc

    needed = {i.name for i in watched.signature.inputs if i.required}
    missing = [
        c.is_null()
        for n, c in zip(answers.inputs.column_names, answers.inputs.columns, strict=True)
        if n in needed and c.null_count
    ]
    if not missing:
        return 0
    hit = missing[0]
    for more in missing[1:]:
        hit = pc.or_(hit, more)
    return int(pc.sum(hit.cast(pa.int64())).as_py() or 0)


def _texts(values: pa.Array) -> pa.Array:
    import pyarrow as pa
    import pyarrow.types as t

    kind = values.type
    if t.is_dictionary(kind):
        return _texts(values.dictionary_decode())
    if t.is_decimal(kind):
        values = values.cast(pa.float64())
    if t.is_timestamp(kind):
        values = values.cast(pa.timestamp("us"), safe=False)
    texts = values.cast(pa.string())
    if t.is_timestamp(kind) or t.is_string(kind) or t.is_large_string(kind):
        return _times(texts)
    return texts


def _times(texts: pa.Array) -> pa.Array:
    """Instants written in different ways (T or blank, Z, digits of a second) in one; other texts as they are."""
    import pyarrow.compute as pc

    pattern = r"^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d*[1-9])?0*)?(?:Z|\+00:00)?$"
    return pc.replace_substring_regex(texts, pattern, r"\1 \2.\3")


def counted(watched: Watched, answers: Answers, at: str, delay: float, tuned: Tuned) -> Answers:
    """The answers that tell the quality at an instant: their truth is due, and the version was not tuned on their rows."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if not len(answers):
        return answers
    came = answers.at.cast(pa.timestamp("us", "UTC")).cast(pa.int64())
    event = pc.coalesce(answers.when, came).combine_chunks()
    due = mature(np.asarray(event), delay, at)
    if due is not None:
        answers = answers.where(pa.array(due))
    return answers.where(pc.invert(_tuned_on(watched, answers, tuned)))


def _tuned_on(watched: Watched, answers: Answers, tuned: Tuned) -> pa.Array:
    """Which rows were seen in training: by their event time where they say it, else by their key."""
    import pyarrow as pa
    import pyarrow.compute as pc

    when = answers.when.combine_chunks()
    asked = key_texts(answers.inputs, watched.keys)
    by_key = pa.array([False] * len(when), pa.bool_())
    if tuned.keys is not None and asked is not None:
        by_key = pc.is_in(asked, value_set=tuned.keys)
    if tuned.until is None:
        return by_key
    return pc.coalesce(pc.less_equal(when, as_micros(tuned.until)), by_key)


def realised(watched: Watched, answers: Answers, keys: pa.Array, truth: pa.Array) -> tuple[float | None, int]:
    """The metric over the answers whose truth is known (the newest answer of each key), and how many those are."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    asked = key_texts(answers.inputs, watched.keys) if len(answers) else None
    if asked is None or not len(keys):
        return None, 0
    newest = _newest(asked)
    hits = pc.index_in(
        keys, value_set=asked.take(newest)
    )  # few answers are looked up in, many outcomes pass by
    rows = pa.array(np.flatnonzero(hits.is_valid().to_numpy(zero_copy_only=False)))
    newest = newest.take(hits.take(rows))
    signature = watched.signature
    meant = Target(signature.target, signature.target_type, signature.kind, signature.classes)
    y = encode(truth.take(rows), meant)
    output = _numbers(answers.scores.take(newest), several=signature.kind == "multiclass")
    usable = ~np.isnan(y) & ~np.isnan(output if output.ndim == 1 else output.sum(axis=1))
    value = measured(watched.metric, signature.kind, y[usable], output[usable], watched.threshold)
    return value, int(usable.sum())


def _newest(keys: pa.Array) -> pa.Array:
    """The place of the last row of each key, without rows that have none."""
    import numpy as np
    import pyarrow as pa

    coded = keys.dictionary_encode()
    codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    last = np.full(len(coded.dictionary) + 1, -1, dtype=np.int64)
    np.maximum.at(last, codes, np.arange(len(codes)))  # code -1 falls into the last place, which is left out
    return pa.array(np.sort(last[:-1]))


def _numbers(scores: pa.ChunkedArray, *, several: bool) -> Array:
    import numpy as np

    if not several:
        return np.asarray(scores.to_numpy(), dtype=np.float64)
    rows = scores.to_pylist()
    width = max((len(r) for r in rows if r is not None), default=0)
    return np.array([[np.nan] * width if r is None or len(r) != width else r for r in rows], dtype=np.float64)


def measured(metric: str, kind: str, truth: Array, output: Array, threshold: float) -> float | None:
    """The metric of what was answered, or None with too few rows: as few as a gate calls inconclusive."""
    import numpy as np

    if len(truth) < ENOUGH.rows:
        return None
    if kind == "binary" and min(int(truth.sum()), len(truth) - int(truth.sum())) < ENOUGH.rarer:
        return None
    try:
        value = evaluate(metric, truth, output, threshold)
    except DataError:
        return None
    return float(value) if np.isfinite(value) else None
