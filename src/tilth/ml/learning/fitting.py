"""Fits the members of a model, blends and calibrates them, and answers the rows that judge. Runs inside a training worker.

Each candidate is fitted once with some rows left out; those that say something the others do not go on. How much each
weighs is read off answers to rows that it did not see; then each is fitted once more on all rows, and that serves. How
effort is spent follows from losses and counted work; the clock only cuts. Nothing here knows an engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from math import ceil
from typing import TYPE_CHECKING, Any

from tilth.core.metrics import quantile_of
from tilth.ml.judging.evidence import alike
from tilth.ml.learning import blending, repeated, searching, tall, texts
from tilth.ml.learning.agreeing import agreement, crossed_rows
from tilth.ml.learning.candidates import absent, candidates, unable
from tilth.ml.learning.clock import Clock
from tilth.ml.learning.crossing import Candidate, Crossed, Fold, folds_of
from tilth.ml.learning.curves import fit_curve_folds, lessened, shifted
from tilth.ml.learning.lead import Lead
from tilth.ml.learning.made import Honest, Made, Member, Remark, Tools, Tried
from tilth.ml.learning.resuming import Resumed
from tilth.ml.learning.rows import Rows
from tilth.ml.learning.starting import Start
from tilth.ml.learning.target import taken_as
from tilth.ml.learning.teaching import STUDENT, Taught
from tilth.ml.learning.trials import Searched
from tilth.ml.model.curve import Curve, threshold
from tilth.ml.model.ensemble import of_members
from tilth.ml.model.spec import TrainingSpec
from tilth.ports.learning import BASELINE, Fitted, Task, resumes

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]

UNDATED = Remark(
    "labels",
    "`label_delay` delays no row: nothing says when a row's time was, so all labels count as they are.",
    "Give the dataset an EVENT TIME, or leave label_delay out of OBJECTIVE.",
)
FIRST_LEAST = 0.12  # of the weight after the first fold: less is not worth the other folds
SQUARED = ("rmse", "r2")  # metrics of which the loss is the squared error
LEAST_WORTH = 0.93
FAR = 0.05  # by what share its loss must be above the best one's, too
PATIENT = 3  # times as far with preset = 'best': one part alone is not certain
ROW_US = {  # what one row may take, in microseconds of counted work, where USING does not say
    "fast": 1_000.0,
    "best": 10_000.0,
}
BUNDLE = 9_600_000  # bytes of all members: with its answers and preparation a bundle stays below 10 MB


def fitted(
    spec: TrainingSpec, task: Task, data: Rows, tools: Tools, clock: Clock, start: Start | None = None
) -> Made:
    """The members that serve, and honest answers to the rows that judge them; `start`: a version that is gone on from."""
    run = _Run(spec, task, data, tools, clock, start)
    run.cross()
    if spec.search:
        run.search()
    if spec.teacher:
        run.compare()
    members = run.refitted()
    return run.made(members)


def floored(y: Array) -> Curve:
    """The curve of a regression: where no target was below 0, no value is."""
    return Curve(floor=0.0 if float(y.min()) >= 0.0 else None, rows=len(y))


@dataclass(slots=True)
class _Run:
    """One training under way."""

    spec: TrainingSpec
    task: Task
    data: Rows
    tools: Tools
    clock: Clock
    start: Start | None = None
    mixed: list[Crossed] = field(default_factory=list)  # that may serve
    left: list[Tried] = field(default_factory=list)  # that do not
    baseline: Crossed | None = None
    cut: list[str] = field(default_factory=list)
    twins: dict[Crossed, tuple[Fitted, Any]] = field(default_factory=dict)  # fitted before the window
    searched: Searched | None = None
    lead: Lead | None = None  # of a teacher

    # --- rows that are left out ----------------------------------------------------------------------------

    def cross(self) -> None:
        """All candidates by one fold, those that count by the others."""
        folds = folds_of(self.data, halves=self.start is not None)
        self.mixed = [self._crossed(c, folds) for c in candidates(self.spec, self.task, self.start)]
        own = next((c for c in self.mixed if c.candidate.engine == BASELINE), None)
        if own is None:
            self.baseline = Crossed(Candidate(BASELINE, BASELINE), self.task, self.data, folds)
        else:
            self.baseline = own
            self.mixed = [own, *(c for c in self.mixed if c is not own)]
        fits = [self.baseline, *(c for c in self.mixed if c is not self.baseline)]
        for place, one in enumerate(fits):
            if place and self.clock.over and (one not in self.mixed or any(c.ways for c in self.mixed)):
                self._drop(one, "the time was up before it was tried")
                continue
            self._fit(one, 0, 0.1 + 0.3 * place / len(fits), 0.6 / (len(fits) - place))
        self._first()
        for number in range(1, len(folds)):
            if not self._affordable():
                self.cut.append(f"{len(folds) - number} of {len(folds)} parts of the rows were not answered")
                break
            for one in dict.fromkeys((self.baseline, *self.mixed)):
                self._fit(one, number, 0.4 + 0.3 * number / len(folds), 1.0)

    def _crossed(self, one: Candidate, folds: Sequence[Fold]) -> Crossed:
        """The candidate with no fit yet; a member of a start is gone on from where its engine can."""
        if one.name == STUDENT:
            row_us = self.spec.max_row_time or ROW_US[self.spec.preset]
            return Taught(one, self.task, self.data, folds, teacher=self.spec.teacher, row_us=row_us)
        if self.start is None or self.start.way not in resumes(self.tools.learners(one.engine)):
            return Crossed(one, self.task, self.data, folds)
        return Resumed(one, self.task, self.data, folds, start=self.start)

    def _fit(self, one: Crossed, number: int, done: float, share: float) -> None:
        folds = len(one.folds)
        name = one.candidate.name
        self.tools.report(f"{name}: part {number + 1} of {folds}", done)
        quiet = replace(self.tools, report=lambda what, _d: self.tools.report(f"{name}: {what}", done))
        one.fit(number, quiet, self.clock, share)

    def _drop(self, one: Crossed, why: str) -> None:
        if one in self.mixed:
            self.mixed.remove(one)
            answered = bool(one.ways) and len(one.losses()[1]) > 0
            loss = one.loss() if answered else float("nan")
            self.left.append(Tried(one.candidate.name, one.candidate.engine, loss, 0.0, why))

    def _first(self) -> None:
        """After one fold, those go on that get weight; a student goes on, and is compared with what there is without it."""
        own = [one for one in self.mixed if not isinstance(one, Taught)]
        if len(own) < 2:
            return
        rows, answers = self._answered(own)
        found = blending.weights(
            self.task.kind, self.data.y[rows], answers, self.task.metric, self.data.weighs(rows)
        )
        losses = [_mean_loss(self.task, self.data.y[rows], a, self.data.weighs(rows)) for a in answers]
        worse = FAR if self.task.kind != "regression" else 2 * FAR  # of squares, twice as much
        worse *= PATIENT if self.spec.preset == "best" else 1
        for one, weight, loss in list(zip(own, found, losses, strict=True)):
            if weight < min(FIRST_LEAST, found.max()) and loss > (1 + worse) * min(losses):
                self._drop(one, "after the first part it added nothing to the others")

    def search(self) -> None:
        """Options of the engines that go on, which serve where the blend is better with them; time beyond the limit is theirs."""
        found, members = searching.searched(
            self.spec, self.task, self.data, self.tools, self.clock, self.mixed
        )
        self.clock = self.clock.later(found.seconds)
        self.searched = found
        if not members:
            return
        alone, more = self.mixed, [*self.mixed, *members]
        without, beside = self._blended(alone), self._blended(more)
        self.mixed, serves = (more, True) if beside < without else (alone, False)
        self.searched = replace(found, losses=(without, beside), serves=serves)

    def compare(self) -> None:
        """The student serves where the blend is better with it; what is kept of its teacher's lead is told."""
        taught = next((one for one in self.mixed if isinstance(one, Taught)), None)
        others = [one for one in self.mixed if one is not taught]
        if taught is None:
            return
        rows, (answers, said) = self._of(taught.answers(), taught.teacher_answers())
        y, weight = self.data.y[rows], self.data.weighs(rows)
        student, teacher = (_mean_loss(self.task, y, one, weight) for one in (answers, said))
        beside = self._blended(self.mixed)
        without = self._blended(others) if others else float("inf")
        serves = beside < without
        self.lead = Lead(taught.teacher, without, beside if serves else without, teacher, student, serves)
        if not serves:
            self._drop(taught, "the others are no better with it")

    def _blended(self, members: list[Crossed]) -> float:
        """The loss of the members' blend on rows that neither they nor their weights saw."""
        rows, answers = self._answered(members)
        y, weight = self.data.y[rows], self.data.weighs(rows)
        blend = blending.crossed(self.task.kind, y, answers, self.data.part[rows], self.task.metric, weight)
        return _mean_loss(self.task, y, blend, weight)

    def _affordable(self) -> bool:
        """Whether there is time for one more fold and the fits on all rows after it."""
        cost = sum(one.seconds for one in dict.fromkeys((self.baseline, *self.mixed)) if one is not None)
        return self.clock.left() > 2.5 * cost

    def _answered(self, members: list[Crossed] | None = None) -> tuple[npt.NDArray[np.intp], list[Array]]:
        """The rows that all who may serve have answered, and their answers."""
        return self._of(*[one.answers() for one in members or self.mixed])

    def _of(self, *answers: Array) -> tuple[npt.NDArray[np.intp], list[Array]]:
        """The rows that all of these answer, and the answers."""
        import numpy as np

        known = np.all([np.isfinite(a).reshape(len(a), -1).all(axis=1) for a in answers], axis=0)
        return self.data.asked[known], [a[known] for a in answers]

    def _worth(self, parts: Sequence[tuple[Crossed, Fitted, Any]], chosen: Array) -> float:
        """By what the errors of what serves are smaller than those that were seen, since it learned from more rows.

        Errors fall as a power of the number of rows, which one more fit with fewer of them tells.
        """
        import math

        if self.task.kind != "regression" or self.task.metric not in SQUARED or self.clock.over or self.start:
            return 1.0
        heaviest = parts[int(chosen.argmax())][0]
        teach = float(heaviest.folds[0].teach.mean())
        if self.data.split.window < self.data.split.rows:
            teach = self.data.split.window / self.data.split.rows
        power = math.log(max(1.0, heaviest.fewer(self.tools.quiet, self.clock))) / math.log(4 / 3)
        return float(max(LEAST_WORTH, teach**power))

    # --- all rows ------------------------------------------------------------------------------------------

    def refitted(self) -> list[tuple[Crossed, Fitted, Any]]:
        """Each member on all rows; those that are too slow or too large for what they add are left out."""
        rows, answers = self._answered()
        found = blending.weights(
            self.task.kind, self.data.y[rows], answers, self.task.metric, self.data.weighs(rows)
        )
        for one, weight in list(zip(self.mixed, found, strict=True)):
            if not weight:
                self._drop(one, "it added nothing to the others")
        made = []
        for place, one in enumerate(self.mixed):
            self.tools.report(
                f"{one.candidate.name}: fitting on all rows", 0.7 + 0.15 * place / len(self.mixed)
            )
            fit, scorer = one.refit(slice(0, self.data.split.rows), self.tools.quiet, self.clock.grace(), 1.0)
            made.append((one, fit, scorer))
        return self._pruned(made)

    def _pruned(self, made: list[tuple[Crossed, Fitted, Any]]) -> list[tuple[Crossed, Fitted, Any]]:
        """Without the members of least use, until the others are quick and small enough."""
        while len(made) > 1:
            slow, large = (over > 0 for over in self._over([fit for _, fit, _ in made]))
            if not slow and not large:
                break
            rows, answers = self._answered()
            losses = []
            for place in range(len(made)):
                others = [a for i, a in enumerate(answers) if i != place]
                chosen = blending.weights(
                    self.task.kind, self.data.y[rows], others, self.task.metric, self.data.weighs(rows)
                )
                blend = blending.mixed(others, chosen)
                losses.append(_mean_loss(self.task, self.data.y[rows], blend, self.data.weighs(rows)))
            cost = [(_row_us(fit) if slow else fit.size) for _, fit, _ in made]
            heavy = [i for i in range(len(made)) if cost[i] > 0.2 * sum(cost)]
            least = min(heavy, key=lambda i: losses[i])
            why = "a row would take too long with it" if slow else "the bundle would be too large with it"
            self._drop(made.pop(least)[0], why)
        return made

    def _weighed(self, name: str) -> Remark:
        """What the weight of rows goes into, and how many rows are left of those that judge."""
        rows = self.data.judging
        worth = 0.0 if self.data.weight is None else alike(self.data.weight[rows])
        text = (
            f"Fits, metrics, slices, costs and the gate count rows as `{name}` says: the {len(rows):,} that judge tell as much as "
            f"{int(worth):,} that count the same. Importance, weak slices, calibration and intervals count each once."
        )
        return Remark("weight", text, "Leave out weight of OBJECTIVE if rows count alike.")

    def _over(self, fits: Sequence[Fitted]) -> tuple[float, float]:
        """By how many microseconds a row and bytes of files these are above what they may be; negative below it."""
        row = self.spec.max_row_time or ROW_US[self.spec.preset]
        return sum(map(_row_us, fits)) - row, sum(fit.size for fit in fits) - (self.spec.max_bundle or BUNDLE)

    def _remarks(self, members: Sequence[Member]) -> tuple[Remark, ...]:
        """What was not tried for want of a package, and limits that even the last member is above."""
        slow, large = self._over([m.fitted for m in members])
        out, one = [*absent(self.spec), *unable(self.spec, self.task)], members[0].name
        if self.spec.weight is not None:
            out.append(self._weighed(self.spec.weight))
        if self.spec.label_delay and self.spec.event_time is None:
            out.append(UNDATED)
        if self.spec.metric is None:
            out += taken_as(self.data.target)
        if self.searched is not None:
            out.append(searching.remark(self.searched))
        if self.data.tall is not None:
            own = tuple(dict.fromkeys(m.engine for m in members))
            streamed = [e for e in own if hasattr(self.tools.learners(e), "stream")]
            out.append(tall.told(self.data.split.rows, self.data.tall, own, streamed))
        if self.lead is not None:
            out.append(
                Remark(
                    "teacher",
                    self.lead.words,
                    "`tilth.trainings` has the losses; leave out teacher of USING if its time is not worth it.",
                )
            )
        if slow > 0:
            took = sum(_row_us(m.fitted) for m in members) / 1000
            text = f"A row takes about {took:.2g} ms of work, more than it may, though `{one}` alone serves."
            out.append(Remark("row time", text, f"Allow it: USING (max_row_time = '{ceil(took)} ms')."))
        if self.data.texts is None and texts.wanted(self.spec, self.data.preparation):
            out.append(texts.UNREAD)
        if large > 0:
            held = sum(m.fitted.size for m in members) / 2**20
            text = f"The members take {held:.2g} MB, more than they may, though `{one}` alone serves."
            out.append(Remark("bundle", text, f"Allow it: USING (max_bundle = '{ceil(held)} MB')."))
        return tuple(out)

    def made(self, parts: list[tuple[Crossed, Fitted, Any]]) -> Made:
        """Weights, calibration, honest answers, and whether what serves agrees with what was judged."""
        import numpy as np

        data, kind, metric = self.data, self.task.kind, self.task.metric
        rows, answers = self._answered()
        y = data.y[rows]
        chosen = blending.weights(kind, y, answers, metric, data.weighs(rows))
        kept = np.flatnonzero(chosen)
        for place in set(range(len(parts))) - set(kept.tolist()):
            self._drop(parts[place][0], "it added nothing to the others")
        parts, answers, chosen = [parts[i] for i in kept], [answers[i] for i in kept], chosen[kept]
        members = self._members(parts, chosen)
        scorer = of_members([(m.scorer, m.weight) for m in members])
        raw = blending.crossed(kind, y, answers, data.part[rows], metric, data.weighs(rows))
        limit = threshold(self.spec.cost_false_negative, self.spec.cost_false_positive)
        self.tools.report("calibrating", 0.86)
        curve, scores = Curve(threshold=limit if kind == "binary" else 0.5, rows=len(y)), raw
        if data.weight is None or kind == "regression":  # a calibration would count all rows alike again
            curve, scores = calibrated(kind, y, raw, data.part[rows], limit, metric, data.weighs(rows))
        asked = Honest(rows, scores, self._linear(rows), data.part[rows])
        folds = [self._fold(number, chosen) for number in self._whole()]
        judged, twin, digest = asked, None, sha256(scores.tobytes()).hexdigest()
        taught = self._taught()
        if data.split.window < data.split.rows:
            twin, digest = self._twin(parts, chosen)
            judged = self._window(twin, lessened(curve, taught, data.split.window))
        told = self._told(members)
        agrees = agreement(
            crossed_rows(data.full, self.spec.seed), scorer.score, [*folds, *([twin.score] if twin else [])],
            -1 if twin is None else len(folds),
        )  # fmt: skip
        return Made(
            members,
            self._tried(chosen),
            scorer,
            lessened(curve, taught, data.taught),
            judged,
            asked,
            digest,
            agrees,
            None,
            told,
            _notes(members),
            self._worth(parts, chosen),
            self._remarks(members),
            self.searched,
            self.lead,
        )

    def _members(self, parts: list[tuple[Crossed, Fitted, Any]], weights: Array) -> tuple[Member, ...]:
        """What serves: each member as one fit, or with preset = 'best' as several."""
        if self.spec.preset != "best" or self.start is not None:
            return tuple(
                Member(one.candidate.name, one.candidate.engine, fit, scorer, float(weight))
                for (one, fit, scorer), weight in zip(parts, weights, strict=True)
            )
        rows = slice(0, self.data.split.rows)
        found, cut = repeated.members(parts, weights.tolist(), rows, self.tools, self.clock, self._over)
        self.cut += cut
        return found

    def _tried(self, chosen: Array) -> tuple[Tried, ...]:
        own = [
            Tried(o.candidate.name, o.candidate.engine, o.loss(), float(w))
            for o, w in zip(self.mixed, chosen, strict=True)
        ]
        return (*own, *self.left)

    def _whole(self) -> list[int]:
        """The folds that all members have been fitted without."""
        numbers = set(self.mixed[0].ways)
        for one in self.mixed[1:]:
            numbers &= set(one.ways)
        return sorted(numbers)

    def _taught(self) -> int:
        """How many rows those that answered for the others learned from, in the middle of their folds."""
        sizes = sorted(int(self.mixed[0].folds[number].teach.sum()) for number in self.mixed[0].ways)
        return sizes[len(sizes) // 2]

    def _fold(self, number: int, chosen: Array) -> Any:
        """The blend of the models of one fold, as a function of matrix rows."""
        mixed = list(self.mixed)
        return lambda x: blending.mixed([one.answer(number, x) for one in mixed], chosen)

    def _linear(self, rows: npt.NDArray[np.intp]) -> Array:
        """What the baseline says of these rows."""
        import numpy as np

        assert self.baseline is not None
        found = self.baseline.answers()
        return found[np.searchsorted(self.data.asked, rows)]

    def _twin(self, parts: Sequence[tuple[Crossed, Fitted, Any]], weights: Array) -> tuple[Any, str]:
        """The same members fitted on the rows before the window, and the sha256 of their files."""
        found, digest = [], sha256()
        for (one, _, _), weight in zip(parts, weights, strict=True):
            fit, scorer = self._older(one)
            found.append((scorer, float(weight)))
            for part in (fit.payload, *(weights.tobytes() for weights in fit.texts)):
                digest.update(part)
        return of_members(found), digest.hexdigest()

    def _older(self, one: Crossed) -> tuple[Fitted, Any]:
        """A candidate fitted on the rows before the window, once."""
        if one not in self.twins:
            self.tools.report(f"{one.candidate.name}: fitting on the older rows", 0.88)
            older = slice(0, self.data.split.window)
            self.twins[one] = one.refit(older, self.tools.quiet, self.clock.grace(), 1.0)
        return self.twins[one]

    def _window(self, twin: Any, curve: Curve) -> Honest:
        """The window's rows, answered by the twin and by a baseline of the older rows."""
        import numpy as np

        assert self.baseline is not None
        rows = self.data.judging
        x = np.ascontiguousarray(self.data.full[rows])
        raw = twin.score(x)
        _, linear = self._older(self.baseline)
        return Honest(rows, curve.apply(raw), linear.score(x), np.zeros(len(rows), np.int8))

    def _told(self, members: Sequence[Member]) -> tuple[str, ...]:
        """What the limits have cut short, in words."""
        out = list(self.cut)
        out += [f"`{t.name}` was not tried" for t in self.left if "time was up" in t.why]
        for one in dict.fromkeys((*self.mixed,)):
            if any(way.stopped == "time limit" for way in one.ways.values()):
                out.append(f"`{one.candidate.name}` was stopped before it had learned all it could")
        for member in members:
            if dict(member.fitted.notes).get("stopped_by") == "time limit":
                out.append(f"the last fit of `{member.name}` was stopped early")
        return tuple(dict.fromkeys(out))


def calibrated(
    kind: str,
    y: Array,
    raw: Array,
    part: npt.NDArray[np.int8],
    limit: float,
    metric: str = "",
    weight: Array | None = None,
) -> tuple[Curve, Array]:
    """The calibration that all rows chose, and each row's answer by that of the other parts."""
    if kind == "regression":
        curve = floored(y)
        if (share := quantile_of(metric)) is not None:
            return shifted(curve, share, y, raw, part, weight)
        return curve, curve.apply(raw)
    return fit_curve_folds(kind, y, raw, part.astype("int64"), limit)


def _mean_loss(task: Task, y: Array, scores: Array, weight: Array | None) -> float:
    from tilth.ml.learning.losses import loss_of

    return loss_of(task.kind, y, scores, task.metric, weight)


def _row_us(fit: Fitted) -> float:
    """Microseconds of counted work that a row costs, as the learner reckons."""
    found = dict(fit.notes).get("row_us", 0.0)
    return float(found) if isinstance(found, int | float) else 0.0


def _notes(members: Sequence[Member]) -> dict[str, object]:
    """What to say of the fits that serve, by member."""
    hidden = {"refit", "row_us"}
    return {m.name: {k: v for k, v in m.fitted.notes if k not in hidden} for m in members}
