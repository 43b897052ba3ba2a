"""How a training that has a version to begin with is made: in the way that is asked for, or of all ways in the cheapest that loses nothing.

`auto` fits all three ways on the same rows and judges them by the same ones. What each took of the CPU is measured, so with it
the way belongs to what a version follows from; what was measured is kept, and the next trainings take that way (who asks for
them decides how long, see `runtime.applying.ways`). Neighbours: `starting` reads the version, `fitting` fits.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tilth.core.figures import figure
from tilth.ml.learning import starting
from tilth.ml.learning.candidates import candidates
from tilth.ml.learning.clock import Clock
from tilth.ml.learning.dealing import Files, dealt
from tilth.ml.learning.fitting import fitted
from tilth.ml.learning.losses import loss_of
from tilth.ml.learning.made import Made, Remark, Tools
from tilth.ml.learning.rows import Rows
from tilth.ml.learning.starting import NoStartError, Start
from tilth.ml.model.spec import TrainingSpec
from tilth.ports.learning import FULL, REFIT, WARM, Task, resumes

AUTO = "auto"
WAYS = (REFIT, WARM, FULL)  # as `auto` tries them
WORSE = 0.005  # of the least loss: what a cheaper way may lose more


@dataclass(frozen=True, slots=True)
class Tried:
    """A way that was tried: the CPU that it took, in seconds, and its mean loss on the rows that judge."""

    way: str
    cpu: float
    loss: float


@dataclass(frozen=True, slots=True)
class Taken:
    """The way that was taken, why, and what was measured of others."""

    asked: str
    way: str = FULL
    why: str = ""
    start: Start | None = None
    trial: tuple[Tried, ...] = field(default=())
    cpu: float = 0.0  # seconds of all fits of members, those of the ways that were not taken too

    def plain(self) -> dict[str, object]:
        """For `metrics.json`: nothing in it is measured by a clock."""
        out: dict[str, object] = {"asked": self.asked, "way": self.way, "why": self.why}
        if self.start is not None:
            out |= {
                "start": {"version": self.start.version, "digest": self.start.digest},
                "new_rows": int(self.start.fresh.sum()),
                "turns": 0 if self.way == FULL else self.start.turns + 1,
            }
        return out | ({"losses": {t.way: t.loss for t in self.trial}} if self.trial else {})

    @property
    def begun(self) -> dict[str, object] | None:
        """For the signed statement: the version that what serves began with."""
        if self.start is None or self.way == FULL:
            return None
        return {"version": self.start.version, "digest": self.start.digest}

    @property
    def remark(self) -> Remark:
        """What to say of it."""
        words = {
            FULL: "Everything was fitted anew",
            WARM: "Boosting went on from version {}",
            REFIT: "The leaves of version {} were learned anew",
        }
        begun = words[self.way].format(self.start.version if self.start else "")
        why = f": {self.why}" if self.why else ""
        tried = "; ".join(f"{t.way} lost {figure(t.loss, 4)} in {figure(t.cpu, 2)} CPU-s" for t in self.trial)
        told = f" ({tried})" if tried else ""
        return Remark(
            "retraining",
            f"{begun}{why}{told}.",
            f"USING (retrain = '{self.asked}') asks for it; `tilth.trainings` has what each training took.",
        )


def began(spec: TrainingSpec, files: Files, given: Mapping[str, str], tools: Tools) -> tuple[Rows, Taken]:
    """The rows of a training, and the way that it takes: full, with the reason, where there is nothing to go on from."""
    if spec.retrain == FULL:
        return dealt(spec, files), Taken(FULL)
    data: Rows | None = None
    try:
        start = starting.read(spec, given)
        _able(spec, start, tools)
        data = dealt(spec, files)
        own, start = starting.begun(spec, data, start, files, starting.seen_in(given))
        return own, Taken(spec.retrain, spec.retrain, start=start)
    except NoStartError as error:
        return data or dealt(spec, files), Taken(spec.retrain, FULL, _words(spec, str(error)))


def _words(spec: TrainingSpec, why: str) -> str:
    return f"version {spec.start_version} is not gone on from, since {why}" if spec.start_version else why


def _able(spec: TrainingSpec, start: Start, tools: Tools) -> None:
    """NoStartError where no member can be gone on from in the way that is asked for."""
    if spec.search:
        raise NoStartError("options are searched, which asks for whole fits")
    if spec.teacher:
        raise NoStartError("a student is taught anew")
    ways = {w for m in start.members for w in resumes(tools.learners(m.engine))}
    wanted = {WARM, REFIT} if spec.retrain == AUTO else {spec.retrain}
    if not ways & wanted:
        engines = "`, `".join(dict.fromkeys(m.engine for m in start.members))
        raise NoStartError(f"its members (`{engines}`) cannot be")


def made_by(
    spec: TrainingSpec, task: Task, data: Rows, tools: Tools, clock: Clock, taken: Taken
) -> tuple[Made, Taken]:
    """What serves, made in the way that was taken, with what is to be said of that."""
    before = time.process_time()
    made, taken = _made(spec, task, data, tools, clock, taken)
    taken = replace(taken, cpu=round(time.process_time() - before, 3))
    return made if spec.retrain == FULL else replace(made, remarks=(*made.remarks, taken.remark)), taken


def _made(
    spec: TrainingSpec, task: Task, data: Rows, tools: Tools, clock: Clock, taken: Taken
) -> tuple[Made, Taken]:
    """In the way that was taken; of several the one that is the cheapest of those that lose no more."""
    start = taken.start
    if start is None:
        return fitted(spec, task, data, tools, clock), taken
    if not candidates(spec, task, start):
        return fitted(spec, task, data, tools, clock), replace(
            taken, way=FULL, why=f"the members of version {start.version} are not tried now"
        )
    if taken.way != AUTO:
        return fitted(spec, task, data, tools, clock, replace(start, way=taken.way)), taken
    made, trial = {}, []
    for way in WAYS:
        before = time.process_time()
        made[way] = fitted(spec, task, data, tools, clock, replace(start, way=way))
        judged = made[way].judged
        loss = loss_of(task.kind, data.y[judged.rows], judged.scores, task.metric, data.weighs(judged.rows))
        trial.append(Tried(way, time.process_time() - before, loss))
    best = cheapest(trial)
    why = f"it took the least CPU of those that lose at most {WORSE:.1%} more than the best one"
    return made[best.way], replace(taken, way=best.way, why=why, trial=tuple(trial))


def cheapest(trial: list[Tried]) -> Tried:
    """The way of least CPU among those that lose hardly more than the best one.

    >>> cheapest([Tried("refit", 1.0, 0.52), Tried("warm", 3.0, 0.501), Tried("full", 9.0, 0.5)]).way
    'warm'
    """
    least = min(t.loss for t in trial)
    return min((t for t in trial if t.loss <= (1 + WORSE) * least), key=lambda t: t.cpu)
