"""Searches the options of the engines that may serve, by the losses of rows that did not teach, as `proposing` says.

An engine's trial 0 is its default setting, as it was crossed before. Which of its trials answers a part is told by the losses
on the other parts, as with rounds; what serves has the options that all parts chose, and only where the blend is better
with it than without. Trials are told as they are made and taken up again by what they were made of, so a search that was
cut goes on: what a trial tries depends on the trials before it and its number alone. Neighbours: `crossing`, `fitting`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

from tilth.core.engines import Engine, Option
from tilth.core.errors import ResourceLimitError, TrainingError
from tilth.core.figures import figure
from tilth.ml.learning.clock import Clock
from tilth.ml.learning.crossing import Candidate, Crossed
from tilth.ml.learning.made import Remark, Tools
from tilth.ml.learning.proposing import Seen, proposed
from tilth.ml.learning.rows import Rows
from tilth.ml.learning.trials import DONE, FAILED, NEW, STOPPED, Searched, Trial
from tilth.ml.model.spec import TrainingSpec
from tilth.ports.learning import Task, facts_of, learning_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]

HOPELESS = (
    0.03  # by what share a loss may be above the best one's over the same parts, before a trial is ended
)
CPU = 0.6  # of the CPU that is left is the search's, where a limit is given
BLOCK = 65_536  # rows that are hashed at once


@dataclass(slots=True, eq=False)
class Found(Crossed):
    """The best options of an engine. Each part is answered by the trial that the other parts found best."""

    picks: dict[int, Crossed] = field(default_factory=dict)

    def answers(self) -> Array:
        """As of one candidate; see `crossing`."""
        out = Crossed.answers(self)
        part = self.data.part[self.data.asked]
        for one, other in self.picks.items():
            mine = part == one
            out[mine] = other.answers()[mine]
        return out


def remark(found: Searched) -> Remark:
    """What to say of a search."""
    end = "."
    if found.losses is not None:
        without, beside = (figure(v, 5) for v in found.losses)
        end = f". The blend has a loss of {beside} with what was found and of {without} without: it {'serves' if found.serves else 'does not serve'}."
    return Remark(
        "search", f"Options were searched: {found.told}{end}", "Every trial stands in `tilth.trials`."
    )


def searched(
    spec: TrainingSpec, task: Task, data: Rows, tools: Tools, clock: Clock, members: Sequence[Crossed]
) -> tuple[Searched, list[Crossed]]:
    """Trials within the budget, and of each engine where one was better than its default a member that could serve."""
    began = clock.now()
    before = tuple(map(Trial.read, spec.known))
    boards = [
        _Board(one, engine, spec.seed, _about(spec, task, data, one, engine, tools), before)
        for one in members
        if one.candidate.name == one.candidate.engine and not one.cut_short
        for engine in (facts_of(tools.learners(one.candidate.engine)),)
        if any(o.name not in one.candidate.options for o in engine.searched)
    ]
    for board in boards:
        board.begin(tools.keep)
    made = sum(len(b.trials) - 1 for b in boards)
    used = sum(t.seconds for b in boards for t in b.trials[1:])
    limits = clock.part(max(0.0, spec.budget - used), CPU)
    asking = _Asking(task, data, tools, limits)
    while made < spec.trials and (turn := _next(boards, spec.search)) is not None:
        if limits.left() < turn.seconds:
            break
        tools.report(f"search: {turn.engine.name}, trial {len(turn.trials)}", 0.7)
        if (trial := asking.tried(turn, turn.proposed())) is None:
            break
        tools.keep(trial.plain())
        made += 1
    rest = clock.later(clock.now() - began)
    found = [b.found(_Asking(task, data, tools, rest)) for b in boards]
    own = {b.engine.name: b.best().options for b, one in zip(boards, found, strict=True) if one is not None}
    made_of = tuple(t for b in boards for t in b.trials)
    result = Searched(made_of, own, clock.now() - began, _words(boards, found))
    return result, [one for one in found if one is not None]


def _next(boards: Sequence[_Board], mode: str) -> _Board | None:
    """The engine whose turn it is: that with the fewest trials for each option; None where none has more to try."""
    waiting = [b for b in boards if b.starts or mode == NEW]
    return min(waiting, key=lambda b: len(b.trials) / len(b.spans), default=None)


@dataclass(slots=True)
class _Asking:
    """How a trial is made."""

    task: Task
    data: Rows
    tools: Tools
    clock: Clock

    def tried(self, board: _Board, options: Mapping[str, object]) -> Trial | None:
        """The trial, put on its board; None where the time was up before it was done."""
        began, number = self.clock.now(), len(board.trials)
        one, status = self.crossed(board, options, board.hopeless)
        if status is None:
            return None
        losses = board.by_part(one) if one.ways else ()
        mean = board.mean(losses) if losses else None
        trial = Trial(
            board.about, board.engine.name, number, options, losses, mean, self.clock.now() - began, status
        )
        board.take(trial, one)
        return trial

    def crossed(
        self, board: _Board, options: Mapping[str, object], hopeless: Callable[[Crossed], bool]
    ) -> tuple[Crossed, str | None]:
        """The fits with these options and what became of them; None: the clock ended them."""
        base = board.base
        name = f"{base.candidate.name}.found"
        one = Crossed(
            Candidate(name, base.candidate.engine, {**base.candidate.options, **options}),
            self.task, self.data, base.folds,
        )  # fmt: skip
        try:
            for number in range(len(base.folds)):
                one.fit(number, self.tools.quiet, self.clock, 1.0)
                if one.ways[number].stopped == "time limit":
                    return one, None
                if number + 1 < len(base.folds) and hopeless(one):
                    return one, STOPPED
        except (TrainingError, ResourceLimitError):
            return one, FAILED
        return one, DONE


@dataclass(slots=True, eq=False)
class _Board:
    """The trials of one engine, the default setting first."""

    base: Crossed
    engine: Engine
    seed: int
    about: str
    before: Sequence[Trial]
    trials: list[Trial] = field(default_factory=list)
    starts: list[Mapping[str, object]] = field(default_factory=list)
    sizes: list[float] = field(default_factory=list)
    fits: dict[int, Crossed] = field(default_factory=dict)  # those that may be asked, by number

    @property
    def spans(self) -> list[Option]:
        """What is searched: what USING says itself is not."""
        return [o for o in self.engine.searched if o.name not in self.base.candidate.options]

    @property
    def seconds(self) -> float:
        """What a trial takes, as far as is known."""
        return max((t.seconds for t in self.trials[1:]), default=self.base.seconds)

    def begin(self, keep: Callable[[Mapping[str, object]], None]) -> None:
        """The default setting, the trials that are known of these rows, and what was found on others."""
        losses, self.sizes = self.by_part(self.base), self.base.sizes()
        first = Trial(self.about, self.engine.name, 0, {}, losses, self.mean(losses), self.base.spent, DONE)
        mine = {t.number: t for t in self.before if (t.about, t.engine) == (self.about, self.engine.name)}
        if 0 not in mine:
            keep(first.plain())
        self.trials, self.fits = [first], {0: self.base}
        while len(self.trials) in mine:
            self.trials.append(mine[len(self.trials)])
        self.starts = [s for s in self._elsewhere() if all(s != t.options for t in self.trials)]

    def _elsewhere(self) -> list[Mapping[str, object]]:
        """The best options of the last search on other rows, where they were better than its default setting."""
        others = [
            t
            for t in self.before
            if t.engine == self.engine.name and t.about != self.about and t.status == DONE
        ]
        if not others:
            return []
        last = [t for t in others if t.about == others[-1].about]
        best = min(last, key=lambda t: (float("inf") if t.loss is None else t.loss, t.number))
        spans = {o.name: o for o in self.spans}
        fits = all(k in spans and spans[k].fits(v) for k, v in best.options.items())
        return [best.options] if best.number and fits else []

    def proposed(self) -> Mapping[str, object]:
        """What to try next."""
        if self.starts:
            return self.starts.pop(0)
        names = {o.name for o in self.spans}
        seen = [
            Seen(t.options, t.loss, t.status == DONE)
            for t in self.trials[1:]
            if t.loss is not None and t.status != FAILED and set(t.options) == names
        ]
        return proposed(self.spans, seen, _seed(self.seed, self.engine.name, len(self.trials)))

    def by_part(self, one: Crossed) -> tuple[float, ...]:
        """The losses of the parts at the stage that is best."""
        table, _ = one.losses()
        return tuple(float(v) for v in table[one.stage()])

    def mean(self, losses: Sequence[float], but: int | None = None) -> float:
        """By the rows of the parts."""
        import numpy as np

        places = [n for n in range(len(losses)) if n != but] or list(range(len(losses)))
        weights = [self.sizes[n] for n in places]
        return float(np.average([losses[n] for n in places], weights=weights))

    def best(self, but: int | None = None) -> Trial:
        """Of the trials that all parts were asked about the one of least loss, the part at a place left out."""
        done = [t for t in self.trials if t.status == DONE and len(t.losses) == len(self.trials[0].losses)]
        return min(done, key=lambda t: (self.mean(t.losses, but), t.number))

    def hopeless(self, one: Crossed) -> bool:
        """Whether a trial that was asked about some parts will not be the best one."""
        losses = self.by_part(one)
        known = self.best().losses[: len(losses)]
        return self.mean(losses) > (1 + HOPELESS) * self.mean(known)

    def take(self, trial: Trial, one: Crossed) -> None:
        """Keep the trial, and its fits as long as they may answer."""
        self.trials.append(trial)
        self.fits[trial.number] = one
        wanted = {t.number for t in self._chosen().values()} | {0}
        self.fits = {n: f for n, f in self.fits.items() if n in wanted}

    def _chosen(self) -> dict[int | None, Trial]:
        """The trial that answers each part, by its place, and under None the one that serves."""
        places = range(len(self.trials[0].losses))
        return {None: self.best(), **{place: self.best(place) for place in places}}

    def found(self, asking: _Asking) -> Crossed | None:
        """The member with the best options; None where the default setting is best, or the time was up."""
        chosen = self._chosen()
        serves = chosen[None]
        if not serves.number:
            return None
        for trial in chosen.values():
            if trial.number not in self.fits:
                one, status = asking.crossed(self, trial.options, lambda _one: False)
                if status != DONE:
                    return None
                self.fits[trial.number] = one
        own = self.fits[serves.number]
        _, parts = own.losses()
        picks = {int(p): self.fits[chosen[n].number] for n, p in enumerate(parts) if chosen[n] is not serves}
        return Found(own.candidate, own.task, own.data, own.folds, own.ways, own.seconds, picks=picks)


def _about(spec: TrainingSpec, task: Task, data: Rows, one: Crossed, engine: Engine, tools: Tools) -> str:
    """The sha256 of all that the losses of a trial depend on beside its options."""
    import numpy as np

    found = sha256(
        json.dumps([repr(task), engine.name, learning_of(tools.learners(engine.name)), spec.seed, dict(one.candidate.options)],
                   sort_keys=True, default=str).encode()
    )  # fmt: skip
    for array in (data.y, data.part, data.weight):
        if array is not None:
            found.update(np.ascontiguousarray(array).tobytes())
    for start in range(0, len(data.x), BLOCK):
        found.update(data.x[start : start + BLOCK].tobytes())
    return found.hexdigest()


def _seed(seed: int, engine: str, number: int) -> int:
    """Of 32 bits, another one for each trial."""
    return int.from_bytes(sha256(f"{seed} {engine} {number}".encode()).digest()[:4], "big")


def _words(boards: Sequence[_Board], found: Sequence[Crossed | None]) -> str:
    """What was tried, for people."""
    out = []
    for board, one in zip(boards, found, strict=True):
        count = len(board.trials) - 1
        stopped = sum(t.status == STOPPED for t in board.trials)
        first, best = board.trials[0], board.best()
        text = f"{count} trial{'' if count == 1 else 's'} of `{board.engine.name}`" + (
            f", {stopped} of them stopped early" if stopped else ""
        )
        if one is None:
            text += ": its default setting is the best"
        else:
            named = ", ".join(f"{k} = {figure(float(str(v)), 3)}" for k, v in best.options.items())
            text += f": a loss of {figure(board.mean(best.losses), 4)} with {named}, of {figure(board.mean(first.losses), 4)} without"
        out.append(text)
    return "; ".join(out) or "no default setting was fitted in time, so nothing was tried"
