"""USUAL (...) asked of a dataset: what its history says of the periods that came, and of the refresh that brought them.

With an EVENT TIME rows, gaps and values are counted by period of the data, and each period is judged once, at the first
refresh that finds it complete. Without one, each refresh is a period. How late rows are is always of refreshes.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from tilth.core.schema import DataType, Schema
from tilth.core.time import Instant, naive
from tilth.ml.data import holidays
from tilth.ml.data.usual import calendar, chances, counted, families, telling
from tilth.ml.data.usual.calendar import DAY, GRAINS, HOUR, Grain
from tilth.ml.data.usual.counted import Counts, Watched
from tilth.ml.data.usual.families import Family
from tilth.ml.data.usual.found import Found
from tilth.ports.engine import QueryEngine, Relation
from tilth.ports.history import History, Past, States
from tilth.sql.language.statements import CreateDataset, Expectation, Usual

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

FEWEST = 21  # refreshes, before one is judged
MOST = 800  # refreshes that are looked at
AT_ONCE = 60  # periods that one refresh judges at most, the newest
DENSE = 0.5  # share of periods with rows, from which on they are periods of the data
STRIDE = 14  # periods of a replay that are judged by what was before the first of them
LATE = 0.9  # share of refreshes that find a period complete by then


@dataclass(frozen=True, slots=True)
class Data:
    """The rows that would be published: files with the content of each, how many rows, and what of them is known."""

    spec: CreateDataset
    recipe: str
    schema: Schema
    files: Sequence[tuple[str, Relation]]
    rows: Relation
    total: int
    watermark: str | None
    span: tuple[str, str] | None  # of event times
    now: Instant


def judge(data: Data, history: History, states: States, engine: QueryEngine) -> Found:
    """The results of every USUAL item of the dataset."""
    found = Found()
    for item in data.spec.expect:
        if item.usual is not None:
            if (
                item.usual.holidays is not None
            ):  # so that a place that is none is an error now, not in three weeks
                holidays.between(item.usual.holidays, data.now.year, data.now.year)
            _item(item, item.usual, data, history, states, engine, found)
    return found


def _item(
    item: Expectation,
    usual: Usual,
    data: Data,
    history: History,
    states: States,
    engine: QueryEngine,
    found: Found,
) -> None:
    said = telling.Saying(item, usual, data.total)
    asked = set(usual.aspects)
    total = sum(chances.WEIGHTS[a] for a in asked)
    weights = {a: chances.WEIGHTS[a] / total for a in asked}
    if data.total == 0:
        said.unjudged(usual.aspects, "no row is there")
    else:
        if "freshness" in asked:
            _freshness(said, data, history, weights["freshness"])
        rest = [a for a in usual.aspects if a != "freshness"]
        if rest:
            watched = _watched(data, states, engine, values="distribution" in asked)
            counts = _counts(data, watched, states, engine, columns=rest != ["volume"])
            steps = (
                _by_period(data, history, counts, watched)
                if watched.event
                else _by_refresh(data, history, counts, watched, states)
            )
            _judge(said, steps, watched, {a: weights[a] for a in rest})
            said.left_out(watched, rest)
    found.results += said.results()
    found.notices += said.notices


@dataclass(frozen=True, slots=True)
class Replayed:
    """One period of the history judged by those before it alone: the aspects that would have gone off."""

    at: datetime
    grain: Grain
    off: tuple[str, ...]


def replay(data: Data, history: History, states: States, engine: QueryEngine) -> list[Replayed]:
    """What the dataset's one USUAL item would have said of each complete period, from the first that could be judged on.

    It is judged as by a refresh each STRIDE periods. Of periods of the data alone: nothing without an EVENT TIME.
    """
    (usual,) = [e.usual for e in data.spec.expect if e.usual is not None]
    aspects = [a for a in usual.aspects if a != "freshness"]
    watched = _watched(data, states, engine, values="distribution" in aspects)
    if watched.event is None or data.total == 0:
        return []
    counts = _counts(data, watched, states, engine, columns=aspects != ["volume"])
    steps = _by_period(data, history, counts, watched)
    known = calendar.known(steps.moments, steps.grain, usual.holidays)
    budget = _budget(usual, steps.span) / sum(chances.WEIGHTS[a] for a in usual.aspects)
    last = len(steps.moments)
    off: dict[int, list[str]] = {t: [] for t in range(steps.fewest, last)}
    for aspect in aspects:
        family = _family(aspect, steps, watched)
        if family is None:
            continue
        way = families.followed(family, known)
        for start in range(steps.fewest, last, STRIDE):
            done = families.judged(family, way, start, budget * chances.WEIGHTS[aspect])
            for t in range(start, min(start + STRIDE, last)):
                if done.known(t) and done.off(t):
                    off[t].append(aspect)
    return [Replayed(steps.moments[t], steps.grain, tuple(found)) for t, found in off.items()]


# --- what is counted ---------------------------------------------------------------------------------------


def _watched(data: Data, states: MutableMapping[str, bytes], engine: QueryEngine, *, values: bool) -> Watched:
    """What is counted: as it was, where the columns are those of then."""
    key = f"usual:{data.recipe}:watched"
    event = data.spec.event_time and data.schema.field(data.spec.event_time).name
    if key in states:
        kept = Watched.from_plain(states[key])
        if {c.name for c in kept.columns} <= set(data.schema.names):
            return kept
    grain = _grain(data, engine) if event else DAY
    keys = [data.schema.field(k).name for k in data.spec.key]
    tagged = [t.column for t in data.spec.tags]
    made = counted.learn(data.rows, data.schema, event, keys, tagged, grain, engine, values=values)
    states[key] = made.plain()
    return made


def _grain(data: Data, engine: QueryEngine) -> Grain:
    """The shortest period that usually has rows; hours only of data that is refreshed several times a day."""
    if data.span is None:
        return DAY
    first, last = (datetime.fromisoformat(t) for t in data.span)
    last = max(min(last, naive(data.now)), first)
    every = data.spec.refresh.every
    event = data.schema.field(data.spec.event_time or "").name
    may = [g for g in GRAINS.values() if g is not HOUR or (every is not None and every <= timedelta(hours=6))]
    for grain in may[:-1]:
        bare = Watched(event, grain.name, ())
        counts = counted.counts_of([("", data.rows)], bare, {}, engine)
        if len(counts.periods) >= DENSE * (grain.index(last) - grain.index(first) + 1):
            return grain
    return may[-1]


def _counts(
    data: Data, watched: Watched, states: MutableMapping[str, bytes], engine: QueryEngine, *, columns: bool
) -> Counts:
    if watched.event is None and not columns:
        import numpy as np

        return Counts((0,), np.array([[float(data.total)]]))
    return counted.counts_of(data.files, watched, states, engine)


@dataclass(frozen=True, slots=True)
class Steps:
    """Periods, or refreshes, with what was counted [steps, counts]; those from `first` on are to be judged."""

    moments: list[datetime]
    table: Floats
    first: int
    grain: Grain
    fewest: int
    span: timedelta
    of_refreshes: bool = False


def _by_period(data: Data, history: History, counts: Counts, watched: Watched) -> Steps:
    """Each period from the first with rows to the last complete one."""
    grain = watched.period
    last = _complete(data.watermark, data.now, data, history, grain)
    first = max(min(counts.periods), last - grain.most + 1)
    table = counted.through(counts, first, last)
    moments = [grain.start(i) for i in range(first, last + 1)]
    before = history.refreshes[-1] if history.refreshes else None
    since = last - 1
    if before is not None:
        since = _complete(before.watermark, before.at, data, history, grain)
    begin = max(since + 1, last + 1 - AT_ONCE) - first
    return Steps(moments, table, max(min(begin, len(moments)), 0), grain, grain.fewest, grain.span)


def _complete(watermark: str | None, at: Instant, data: Data, history: History, grain: Grain) -> int:
    """The last period that was complete at that time: it is over, and rows of a later one have come, or would have by then."""
    moment = naive(at)
    over = grain.index(moment) - 1
    mark = datetime.fromisoformat(watermark) if watermark else moment
    whole = data.schema.field(data.spec.event_time or "").type is DataType.DATE
    seen = grain.index(mark) if whole and grain is DAY else grain.index(mark + grain.span / 24) - 1
    lags = [
        naive(p.at) - datetime.fromisoformat(p.watermark) for p in history.refreshes[-MOST:] if p.watermark
    ]
    if len(lags) >= FEWEST:
        late = sorted(lags)[int(len(lags) * LATE)]
        seen = max(seen, grain.index(moment - late) - 1)
    return min(over, seen)


def _by_refresh(
    data: Data, history: History, counts: Counts, watched: Watched, states: MutableMapping[str, bytes]
) -> Steps:
    """Each refresh, the last is this one."""
    import numpy as np

    past = history.refreshes[-MOST:]
    moments = [*(naive(p.at) for p in past), naive(data.now)]
    width = 1 + len(watched.counts())
    table = np.full((len(moments), width), np.nan)
    table[:, 0] = [*(float(p.rows) for p in past), float(data.total)]
    known = _kept(history, watched)
    for i, moment in enumerate(moments[:-1]):
        if (row := known.get(moment.isoformat())) is not None and row.shape[1] == width:
            table[i, 1:] = row[0, 1:]
    if counts.table.shape[1] == width:
        table[-1, 1:] = counts.table.sum(0)[1:]
        states[f"{_head(watched)}{moments[-1].isoformat()}"] = counted.packed(counts)
    return Steps(moments, table, len(moments) - 1, DAY, FEWEST, _spacing(data, past), of_refreshes=True)


def _kept(history: History, watched: Watched) -> dict[str, Floats]:
    """What was counted at refreshes before, by their times."""
    head = _head(watched)
    return {
        k.removeprefix(head): counted.unpacked(v).table
        for k, v in history.states.items()
        if k.startswith(head)
    }


def _head(watched: Watched) -> str:
    return f"usual:{watched.recipe}:at:"


def _spacing(data: Data, past: Sequence[Past]) -> timedelta:
    """How far apart refreshes are."""
    if data.spec.refresh.every is not None:
        return data.spec.refresh.every
    gaps = [b.at - a.at for a, b in pairwise(past)]
    return sorted(gaps)[len(gaps) // 2] if gaps else timedelta(days=1)


# --- what is judged ----------------------------------------------------------------------------------------


def _freshness(said: telling.Saying, data: Data, history: History, weight: float) -> None:
    import numpy as np

    past = [p for p in history.refreshes[-MOST:] if p.watermark]
    if len(past) < FEWEST or data.watermark is None:
        said.unjudged(("freshness",), f"{len(past)} of {FEWEST} refreshes are there to learn from")
        return
    marks = [*((naive(p.at), datetime.fromisoformat(p.watermark or "")) for p in past)]
    marks.append((naive(data.now), datetime.fromisoformat(data.watermark)))
    hours = np.array([(at - mark) / timedelta(hours=1) for at, mark in marks])
    moments = [at for at, _ in marks]
    known = calendar.known(moments, DAY, said.usual.holidays)
    budget = _budget(said.usual, _spacing(data, past)) * weight
    family = families.freshness(hours)
    done = families.judged(family, families.followed(family, known), len(past), budget)
    said.freshness(done, moments, hours)


def _judge(said: telling.Saying, steps: Steps, watched: Watched, weights: dict[str, float]) -> None:
    ready = min(steps.first, len(steps.moments))
    if ready < steps.fewest:
        of = "refreshes" if steps.of_refreshes else f"{steps.grain.name}s"
        said.unjudged(tuple(weights), f"{ready} of {steps.fewest} {of} are there to learn from")
        return
    known = calendar.known(steps.moments, steps.grain, said.usual.holidays)
    budget = _budget(said.usual, steps.span)
    for aspect, weight in weights.items():
        family = _family(aspect, steps, watched)
        if family is None:
            said.unjudged((aspect,), "no column is watched for it")
            continue
        done = families.judged(family, families.followed(family, known), steps.first, budget * weight)
        said.judged(done, steps, known)


def _budget(usual: Usual, step: timedelta) -> float:
    """The chance that one step may go off by."""
    return min(usual.alarms * (step / usual.per), 0.2)


def _family(aspect: str, steps: Steps, watched: Watched) -> Family | None:
    import numpy as np

    rows = steps.table[:, 0]
    if aspect == "volume":
        return families.volume(rows)
    place, taken, totals, names = 1, list[int](), list[int](), list[str]()
    for column in watched.columns:
        tests = column.told()
        if aspect == "nulls":
            taken.append(place)
            names.append(column.name)
        else:
            taken += range(place + 1, place + 1 + len(tests))
            totals += [place] * len(tests)
            names += [f"{column.name}: {words}" for words in tests]
        place += 1 + len(tests)
    if not taken:
        return None
    if aspect == "nulls":
        total = np.repeat(rows[:, None], len(taken), 1)
        return families.shares(aspect, total - steps.table[:, taken], total, names)
    return families.shares(aspect, steps.table[:, taken], steps.table[:, totals], names)
