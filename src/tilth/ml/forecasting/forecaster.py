"""Asks a fitted forecast: known groups from their end, known ones with newer history, and groups that come with their own.

What is said from the end of each known series was kept; everything else is computed anew by the same members with what
they learned. Nothing here fits, and no library is needed beside numpy, Arrow and the scorer of trees.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tilth.core.errors import DataError, InputError
from tilth.core.names import nearest
from tilth.ml.forecasting import columns, series, state
from tilth.ml.forecasting.known import Covariates
from tilth.ml.forecasting.members.trees import Grown
from tilth.ml.forecasting.panel import Panel
from tilth.ml.forecasting.series import Rows
from tilth.ml.forecasting.spec import Notice, Spec
from tilth.ml.forecasting.state import State
from tilth.ml.forecasting.steps import Step
from tilth.ports import registry

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Ints = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.float64]

FARTHEST = 10  # horizons ahead that are answered
LAST = 253_402_300_799_999_999  # the end of the year 9999, in microseconds since 1970


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """`table`: group columns, the time column, and for each target y, y_lower, y_upper; a row for each group and step, in order."""

    table: pa.Table
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """Series to go on with: groups of their own table, a panel a target, which known group each is (-1: none), covariates."""

    groups: pa.Table
    panels: tuple[Panel, ...]
    known: Ints
    covariates: Covariates
    fresh: bool = False  # other values than those that answers were kept of


@dataclass(eq=False)
class Forecaster:
    """A fitted forecast. `schema` has the time and group columns as they were given."""

    spec: Spec
    groups: pa.Table
    schema: pa.Schema
    step: Step
    states: tuple[State, ...]
    covariates: Covariates
    trees: str = "lightgbm"
    threads: int = 1
    _scorers: dict[bytes, Any] = field(default_factory=dict, repr=False)

    def forecast(
        self,
        history: pa.Table | None = None,
        groups: pa.Table | None = None,
        horizon: int | None = None,
        until: date | datetime | None = None,
        future: pa.Table | None = None,
        *,
        alone: bool = False,
        upto: Mapping[tuple[Any, ...], int] | None = None,
    ) -> Answer:
        """The next steps of some groups.

        `history`: rows with the time, groups and targets; those of a known group go on after what is known of it (or take
        the place of values of the same time), others stand alone. `groups`: a table of group columns; None: those of the
        history, or all. `horizon`: steps, None: that of training; `until`: an instant, the last one answered. `future`:
        rows with the time, the groups and the covariates known ahead. `alone`: nothing but the history counts, as if the
        values that training saw were not known; what it learned of them still says how they go on. `upto`: of each group the
        last instant (microseconds) that is of interest: what is known ahead is not asked for behind it.
        """
        notices: list[Notice] = []
        history = None if history is None else columns.timed(history, self.spec.time)
        future = None if future is None else columns.timed(future, self.spec.time)
        asked = (
            self._stored(groups) if history is None else self._joined(history, groups, notices, alone=alone)
        )
        asked = self._ahead(asked, future)
        steps = (
            self._steps(horizon)
            if until is None or horizon is not None
            else self._until(asked, until, notices)
        )
        self._nothing(asked, notices)
        self._checked(asked, steps, upto, notices)
        if steps > self.spec.horizon:
            text = f"Steps after {self.spec.horizon}, the HORIZON of training, were not judged; their intervals grow with the root of the step."
            notices.append(Notice("far", text))
        return Answer(self._table(asked, steps, until), tuple(notices))

    def _nothing(self, asked: _Asked, notices: list[Notice]) -> None:
        """Say which groups have no series to go on with."""
        import numpy as np

        size = asked.groups.num_rows if self.spec.groups else 1
        there = np.zeros(size, bool)
        for p in asked.panels:
            there[p.members] = True
        if not there.all() and not any(n.left_out for n in notices):
            text = "have no series: they were left out when the forecast was trained; newer rows of them can be given"
            notices.append(series.notice("none", text, asked.groups, np.flatnonzero(~there), left_out=True))

    @property
    def ends(self) -> datetime | None:
        """The earliest end of a series, which rows that come later are newer than; None without a series."""
        import numpy as np

        lasts = [
            int((self.step.instants(s.panel.ends - 1) + s.panel.shifts).min())
            for s in self.states
            if len(s.panel)
        ]
        found: datetime | None = np.datetime64(min(lasts), "us").astype(datetime) if lasts else None
        return found

    @cached_property
    def _index(self) -> dict[tuple[Any, ...], int]:
        """Known groups by their values."""
        lists = [self.groups.column(n).to_pylist() for n in self.spec.groups]
        return {key: i for i, key in enumerate(zip(*lists, strict=True))} if lists else {(): 0}

    def _found(self, groups: pa.Table) -> Ints:
        """The place of each row among the known groups; -1 for none."""
        import numpy as np

        if not self.spec.groups:
            return np.zeros(1, np.int64)
        columns.needed(groups, self.spec.groups)
        lists = [self._as_trained(groups.column(n), n).to_pylist() for n in self.spec.groups]
        return np.array([self._index.get(key, -1) for key in zip(*lists, strict=True)], np.int64)

    def _as_trained(self, column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
        """A column in the type that it had at training."""
        import pyarrow as pa

        try:
            return column.cast(self.schema.field(name).type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise InputError(
                f"`{name}` is of type {column.type}; the forecast was trained with {self.schema.field(name).type}.",
                hint="Give it as it was in the training data.",
            ) from error

    def _stored(self, groups: pa.Table | None) -> _Asked:
        """Known groups as they are."""
        import numpy as np

        if groups is None:
            which = np.arange(max(1, self.groups.num_rows))
        else:
            which = self._found(groups)
            if (which < 0).any():
                raise self._unknown(groups, int(np.flatnonzero(which < 0)[0]))
            which = which[np.sort(np.unique(which, return_index=True)[1])]
        table = self.groups.take(which) if self.spec.groups else self.groups
        panels = tuple(_chosen(s.panel, which) for s in self.states)
        own = replace(self.covariates, static=self.covariates.static[which])
        return _Asked(table, panels, which, own.renumbered(which))

    def _unknown(self, groups: pa.Table, row: int) -> InputError:
        shown = tuple(str(groups.column(n)[row].as_py()) for n in self.spec.groups)
        words = [str(v) for v in self.groups.column(self.spec.groups[-1]).unique().to_pylist()]
        near = nearest(shown[-1], words)
        return InputError(
            f"The forecast knows no group {', '.join(f'{n} = {v}' for n, v in zip(self.spec.groups, shown, strict=True))}.",
            hint=(f"Did you mean {near!r}? " if near and near != shown[-1] else "")
            + "Give its history with the request to have it answered.",
        )

    def _joined(
        self, history: pa.Table, groups: pa.Table | None, notices: list[Notice], *, alone: bool
    ) -> _Asked:
        """Groups of a history, after what is known of them unless it is to stand alone."""
        import numpy as np
        import pyarrow as pa

        spec = replace(
            self.spec,
            options=replace(self.spec.options, step=self.step.words if self.spec.options.resample else None),
        )
        columns.needed(history, (spec.time, *spec.groups))
        for name in spec.groups:
            at = history.schema.get_field_index(name)
            history = history.set_column(at, name, self._as_trained(history.column(name), name))
        for name in (
            *spec.known,
            *spec.static,
        ):  # what is known of the past is not looked at, and a group may say nothing
            if name not in history.schema.names:
                history = history.append_column(name, pa.nulls(history.num_rows, pa.string()))
        rows = series.read(history, spec, self.step, self._shifts)
        notices += rows.notices
        known = self._found(rows.groups)
        extra, learned = (
            Covariates.of(history, rows, spec.known, spec.static, self.covariates.levels),
            self.covariates,
        )
        static = np.full((len(known), len(spec.static)), np.nan)
        static[known >= 0] = learned.static[known[known >= 0]]
        covariates = replace(learned, static=static).renumbered(known).joined(extra)
        joined = replace(rows, targets={})
        before = np.full(len(known), -1, np.int64) if alone else known
        panels = []
        for s in self.states:
            panel, told = series.panel(_after(rows, s, before), s.target, self.spec)
            notices += [n for n in told if n.reason in {"short", "sparse", "gaps"}]
            panels.append(panel)
        asked = _Asked(joined.groups, tuple(panels), known, covariates, fresh=True)
        if groups is None:
            return asked
        wanted = {
            tuple(r.values())
            for r in pa.table({n: self._as_trained(groups.column(n), n) for n in spec.groups}).to_pylist()
        }
        have = [tuple(r.values()) for r in rows.groups.select(list(spec.groups)).to_pylist()]
        kept = np.array([key in wanted for key in have])
        if not kept.any():
            raise InputError(
                "None of the groups asked for is in the history.",
                hint="Leave out the groups, or give their rows.",
            )
        return replace(asked, panels=tuple(p.take(np.flatnonzero(kept[p.members])) for p in panels))

    def _shifts(self, groups: pa.Table) -> Ints:
        """What the instants of known groups lie behind the grid; -1 for groups that are not known."""
        import numpy as np

        every = np.full(max(1, self.groups.num_rows) + 1, -1, np.int64)
        for s in self.states:
            every[s.panel.members] = s.panel.shifts
        return every[self._found(groups)]

    def _ahead(self, asked: _Asked, future: pa.Table | None) -> _Asked:
        """With the covariates of the future."""
        import numpy as np
        import pyarrow as pa

        if future is None or not self.spec.known:
            return asked
        columns.needed(future, (self.spec.time, *self.spec.groups, *self.spec.known))
        for name in self.spec.groups:
            at = future.schema.get_field_index(name)
            future = future.set_column(at, name, self._as_trained(future.column(name), name))
        code, groups = columns.coded(future, self.spec.groups)
        place_of = (
            {tuple(r.values()): i for i, r in enumerate(asked.groups.to_pylist())}
            if self.spec.groups
            else {(): 0}
        )
        rows = groups.to_pylist() if self.spec.groups else [{}]
        own = np.array([place_of.get(tuple(r.values()), -1) for r in rows], np.int64)[code]
        keep = np.flatnonzero(own >= 0)
        future, own = future.take(pa.array(keep)), own[keep]
        shifts = np.zeros(max(1, asked.groups.num_rows), np.int64)
        for p in asked.panels:
            shifts[p.members] = p.shifts
        place, _ = self.step.places(columns.instants(future, self.spec.time) - shifts[own])
        rows_ = Rows(asked.groups, self.step, shifts, own, place, {}, np.arange(len(own)), ())
        more = Covariates.of(future, rows_, self.spec.known, (), self.covariates.levels)
        empty = np.full((len(shifts), len(self.spec.static)), np.nan)
        return replace(asked, covariates=asked.covariates.joined(replace(more, static=empty)), fresh=True)

    def _steps(self, horizon: int | None) -> int:
        """How many steps are asked for."""
        steps, most = self.spec.horizon if horizon is None else horizon, FARTHEST * self.spec.horizon
        if steps > most:
            raise InputError(
                f"{steps:,} steps are asked for; a forecast of HORIZON {self.spec.horizon} answers {most:,} at most.",
                hint=f"Ask for {most:,} steps, give newer history, or train with a longer HORIZON.",
            )
        if steps < 1:
            raise InputError(f"The horizon asked for is {horizon}.", hint="Ask for 1 step or more.")
        return steps

    def _until(self, asked: _Asked, until: date | datetime, notices: list[Notice]) -> int:
        """How many steps the farthest group has until then; one that would have too many is answered as far as any is, and told."""
        import numpy as np

        last = int(self.step.places(np.array([micros(until)]))[0][0])
        apart = [last - p.ends + 1 for p in asked.panels if len(p)]
        if not apart:
            return 0
        most = FARTHEST * self.spec.horizon
        if min(int(a.min()) for a in apart) > most:
            return self._steps(min(int(a.min()) for a in apart))
        far = np.unique(np.concatenate([p.members[last - p.ends + 1 > most] for p in asked.panels]))
        if len(far):
            text = (
                f"end more than {most:,} steps before {until}, and are answered {most:,} steps from their end"
            )
            notices.append(series.notice("early", text, asked.groups, far))
        return max(0, min(most, max(int(a.max()) for a in apart)))

    def _table(self, asked: _Asked, steps: int, until: date | datetime | None) -> pa.Table:
        """Rows of all groups that a target has a series of, in their order."""
        import numpy as np
        import pyarrow as pa

        size = max(1, asked.groups.num_rows)
        ends, shifts = np.full(size, np.iinfo(np.int64).min), np.zeros(size, np.int64)
        for p in asked.panels:
            ends[p.members] = np.maximum(ends[p.members], p.ends)
            shifts[p.members] = p.shifts
        group = np.repeat(np.flatnonzero(ends > np.iinfo(np.int64).min), steps)
        place = ends[group] + np.tile(np.arange(steps), len(group) // max(1, steps))
        instant = self.step.instants(place) + shifts[group]
        keep = np.ones(len(group), bool) if until is None else instant <= micros(until)
        group, place, instant = group[keep], place[keep], instant[keep]
        if len(instant) and int(instant.max()) > LAST:
            raise InputError(
                "Steps after the year 9999 are asked for.",
                hint="Ask for fewer steps, or mend the times: 9999-12-31 often stands for none.",
            )
        out = {n: asked.groups.column(n).take(pa.array(group)) for n in self.spec.groups}
        kind = self.schema.field(self.spec.time).type
        out[self.spec.time] = (
            pa.array(instant)
            .cast(pa.timestamp("us"))
            .cast(pa.timestamp("us", getattr(kind, "tz", None)))
            .cast(kind, safe=False)
        )
        for s, panel in zip(self.states, asked.panels, strict=True):
            out |= self._columns(s, panel, asked, (group, place, ends), steps)
        return pa.table(out)

    def _columns(
        self, s: State, panel: Panel, asked: _Asked, rows: tuple[Ints, Ints, Ints], steps: int
    ) -> dict[str, pa.Array]:
        """A target's value and ends at each row; NULL for a group without a series of it."""
        import numpy as np
        import pyarrow as pa

        group, place, ends = rows
        names = (s.target, f"{s.target}_lower", f"{s.target}_upper")
        behind = (
            int((ends[panel.members] - panel.ends).max()) if len(panel) else 0
        )  # a target that ends before another
        value, width = (
            self._answered(s, panel, asked, steps + behind)
            if steps and len(panel)
            else (np.empty((0, 1)),) * 2
        )
        at = np.full(len(ends), -1, np.int64)
        at[panel.members] = np.arange(len(panel))
        own = at[group]
        there = own >= 0
        column = np.where(there, place - panel.ends[own] if len(panel) else 0, 0)
        pick = (np.where(there, own, 0), column)
        if not len(panel) or not len(group):
            return {n: pa.nulls(len(group), pa.float64()) for n in names}
        middle, half = value[pick], width[pick]
        low = middle - half
        low = np.where(state.limits(panel)[0][pick[0], 0] >= 0, np.maximum(low, 0.0), low)
        return {n: pa.array(v, mask=~there) for n, v in zip(names, (middle, low, middle + half), strict=True)}

    def _answered(self, s: State, panel: Panel, asked: _Asked, steps: int) -> tuple[Floats, Floats]:
        """[series, steps] of the panel: kept ones where these say it all."""
        import numpy as np

        places = np.full(max(1, self.groups.num_rows) + 1, -1, np.int64)
        places[s.panel.members] = np.arange(len(s.panel))
        known = places[asked.known[panel.members]]
        if self._kept(s, asked, steps):
            return s.answers[known, :steps], s.halves[known, :steps]
        weight = np.concatenate([s.weights, s.pooled[:, None]], axis=1)[:, known]
        value = state.answer(s, panel, weight, steps, asked.covariates, self._scorer)
        return value, state.half(s, panel, known, steps)

    def _kept(self, s: State, asked: _Asked, steps: int) -> bool:
        """Whether training left what is asked for."""
        return not asked.fresh and steps <= s.answers.shape[1] and len(s.answers) > 0

    def _checked(
        self, asked: _Asked, steps: int, upto: Mapping[tuple[Any, ...], int] | None, notices: list[Notice]
    ) -> None:
        """Refuse a step without what is known ahead, and say how many lie in gaps of the rows."""
        import numpy as np

        if not self.spec.known or not steps:
            return
        ends = np.full(max(1, asked.groups.num_rows), np.iinfo(np.int64).min)
        for p in asked.panels:
            ends[p.members] = np.maximum(ends[p.members], p.ends)
        keys = list(zip(*(asked.groups.column(n).to_pylist() for n in self.spec.groups), strict=True)) or [()]
        gaps = 0
        for s, panel in zip(self.states, asked.panels, strict=True):
            if self._kept(s, asked, steps) or not any(n.startswith("trees") for n in s.members):
                continue
            last = ends[panel.members] + steps - 1
            if upto is not None:
                until = np.array([upto.get(keys[g], 0) for g in panel.members.tolist()], np.int64)
                last = np.minimum(last, self.step.places(until - panel.shifts)[0])
            count = np.maximum(last - panel.ends + 1, 0)
            group = np.repeat(panel.members, count)
            within = np.arange(len(group)) - np.repeat(np.cumsum(count) - count, count)
            words = (asked.groups, lambda g, p, own=panel: self._moment(own, g, p))
            gaps = max(gaps, asked.covariates.check(group, np.repeat(panel.ends, count) + within, words))
        if gaps:
            text = f"{gaps:,} steps have no row between rows that are given: of these {', '.join(self.spec.known)} is taken as unknown, as in gaps of the training."
            notices.append(Notice("unknown", text, count=gaps))

    def _moment(self, panel: Panel, group: int, place: int) -> str:
        import numpy as np

        shift = panel.shifts[np.flatnonzero(panel.members == group)[0]]
        return str(
            np.datetime64(int(self.step.instants(np.array([place]))[0] + shift), "us").astype("datetime64[s]")
        )

    @property
    def _scorer(self) -> Callable[[Grown], Any]:
        def load(model: Grown) -> Any:
            if model.payload not in self._scorers:
                scorer = registry.load("tilth.scorers", self.trees)
                self._scorers[model.payload] = scorer.load(model.payload, model.task(), self.threads)
            return self._scorers[model.payload]

        return load


def micros(moment: date | datetime, *, last: bool = True) -> int:
    """Microseconds since 1970 in UTC; of a day those of its last instant, or of its first."""
    import numpy as np

    if isinstance(moment, datetime):
        from datetime import UTC

        naive = moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
        return int(np.datetime64(naive, "us").astype(np.int64))
    return int(np.datetime64(moment, "us").astype(np.int64)) + (86_400_000_000 - 1 if last else 0)


def _chosen(panel: Panel, which: Ints) -> Panel:
    """The series of these known groups, numbered by their place among them."""
    import numpy as np

    order = np.full(int(max(which.max(initial=0), panel.members.max(initial=0))) + 1, -1, np.int64)
    order[which] = np.arange(len(which))
    own = order[panel.members]
    index = np.flatnonzero(own >= 0)
    index = index[np.argsort(own[index], kind="stable")]
    out = panel.take(index)
    return replace(out, members=own[index])


def _after(rows: Rows, s: State, known: Ints) -> Rows:
    """Rows of a history with the known values before them; where both have a place, the history counts."""
    import numpy as np

    place_of = np.full(len(known), -1, np.int64)
    index = np.full(int(max(known.max(initial=0), s.panel.members.max(initial=0))) + 2, -1, np.int64)
    index[s.panel.members] = np.arange(len(s.panel))
    place_of = index[known]
    asked = np.flatnonzero((known >= 0) & (place_of >= 0))
    old = s.panel.take(place_of[asked])
    code = np.concatenate([np.repeat(asked, old.lengths), rows.code])
    within = np.arange(len(old.values)) - np.repeat(old.starts, old.lengths)
    place = np.concatenate([np.repeat(old.begins, old.lengths) + within, rows.place])
    value = np.concatenate([old.values, rows.targets[s.target]])
    given = ~np.isnan(value)
    code, place, value = code[given], place[given], value[given]
    order = np.lexsort((np.arange(len(code)), place, code))
    code, place, value = code[order], place[order], value[order]
    final = np.append((np.diff(code) != 0) | (np.diff(place) != 0), True) if len(code) else np.empty(0, bool)
    if not len(code):
        raise DataError("The history has no value.", hint=f"Give rows with `{s.target}`.")
    return replace(
        rows,
        code=code[final],
        place=place[final],
        targets={s.target: value[final]},
        origin=np.arange(int(final.sum())),
    )
