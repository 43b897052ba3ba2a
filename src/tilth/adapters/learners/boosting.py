"""What the learners of XGBoost and CatBoost share: fitting, where a sum begins, when it ends, and how far it was at each round.

Both libraries grow trees that `adapters.scorers.lightgbm_trees` writes as a LightGBM text, so what they teach serves
without them. Neighbours: `xgboost_learner`, `catboost_learner`.
"""

from __future__ import annotations

import importlib.util
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from tilth.adapters.scorers.lightgbm_trees import written
from tilth.core.engines import Option
from tilth.core.errors import MissingExtraError, TrainingError
from tilth.core.names import did_you_mean
from tilth.ports.learning import Budget, Fitted, Task, version_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tilth.ports.portable import Tree

    Matrix = npt.NDArray[np.float64]
    Parts = Sequence[tuple[Matrix, Matrix]]
    Report = Callable[[str, float | None], None]

FIXED = "refit_rounds"  # the option that holds a fit at so many rounds
PATIENCE, LONG_PATIENCE, FEW_ROWS = 25, 60, 5_000
WIDEST = 3.4e38  # 32-bit numbers end there
WRITING = 0.05  # of the time that is left when a fit begins
ROW_US, TREE_US = 8.0, 0.06  # what one row costs, and each tree of it, in microseconds
MEDIANS = frozenset(("mae", "mape"))  # metrics whose loss is the absolute error
GAIN = 1e-9  # by which a loss must fall to have fallen
EARLY, ALL, LATE = "early stopping", "rounds", "time limit"


def absent(module: str, extra: str) -> str:
    """Why an engine cannot be used whose module is not installed; empty when it is."""
    if importlib.util.find_spec(module) is not None:
        return ""
    return f"The engine `{extra}` needs a package that is not installed here."


def install(extra: str) -> str:
    """The command that installs what an engine needs."""
    return f"Run: pip install 'tilth[{extra}]'"


def package(*names: str) -> str:
    """Which of the distributions is installed; the last one where none is."""
    return next((name for name in names if version_of(name) != "unknown"), names[-1])


def require(module: str, extra: str) -> None:
    """MissingExtraError, with what to install, where the module is not there."""
    if why := absent(module, extra):
        raise MissingExtraError(why, hint=install(extra))


def check(title: str, known: Sequence[Option], options: Mapping[str, object]) -> None:
    """TrainingError for an option that the engine does not take, or a value that does not fit."""
    by_name = {option.name: option for option in known}
    for name, value in options.items():
        if name == FIXED:
            continue
        if name not in by_name:
            raise TrainingError(
                f"{title} has no option `{name}` here.", hint=did_you_mean(name, by_name, "options")
            )
        if not by_name[name].fits(value):
            raise TrainingError(f"The option `{name}` must be {by_name[name].words}, not {value!r}.")


def given(options: Mapping[str, object]) -> dict[str, object]:
    """The options that are the library's own."""
    return {k: v for k, v in options.items() if k not in {FIXED, "rounds", "patience"}}


def whole(options: Mapping[str, object], name: str, default: int) -> int:
    """A whole number among checked options."""
    return int(str(options.get(name, default)))


def narrow(x: Matrix) -> Matrix:
    """The rows with values that 32 bits can hold; gaps stay."""
    import numpy as np

    out: Matrix = np.clip(x, -WIDEST, WIDEST)
    return out


@dataclass(frozen=True, slots=True)
class Base:
    """Where a sum begins, one number or one a class, and by what a target was divided to be learned."""

    start: tuple[float, ...]
    scale: float = 1.0
    alone: bool = False  # all rows have one target: there is nothing to learn

    @classmethod
    def of(cls, task: Task, y: Matrix, weight: Matrix | None = None) -> Base:
        """The mean of values, the log odds of classes; a class without a row counts as half a row."""
        import numpy as np

        if task.kind == "regression":
            spread = float(y.std())
            return cls((float(np.average(y, weights=weight)),), spread or 1.0, spread == 0.0)
        counts = np.bincount(y.astype(np.int64), weights=weight, minlength=max(2, task.classes)).astype(
            np.float64
        )
        logs = np.log((counts + 0.5) / (len(y) + 0.5 * len(counts)))
        start = (float(logs[1] - logs[0]),) if task.kind == "binary" else tuple(map(float, logs))
        return cls(start, alone=int((counts > 0).sum()) < 2)

    def label(self, task: Task, y: Matrix) -> Matrix:
        """The target as the library sees it."""
        if task.kind != "regression":
            return y
        learned: Matrix = (y - self.start[0]) / self.scale
        return learned

    def loss(self, task: Task, y: Matrix) -> float:
        """The loss of the start alone: of values the root mean square error, of classes the mean log loss."""
        import numpy as np

        found = self.scores(task, np.zeros((len(y), len(self.start))))
        if task.kind == "regression":
            return float(np.sqrt(np.mean((found - y) ** 2)))
        shares = found if task.kind == "multiclass" else np.column_stack((1.0 - found, found))
        return float(-np.mean(np.log(shares[np.arange(len(y)), y.astype(np.int64)])))

    def scores(self, task: Task, sums: Matrix) -> Matrix:
        """Answers from what was added to the start: [rows], of several classes [rows, classes]."""
        import numpy as np

        z = sums.reshape(len(sums), -1).astype(np.float64) * self.scale + np.array(self.start)[None, :]
        if task.kind == "regression":
            values: Matrix = z[:, 0]
            return values
        if task.kind == "binary":
            odds: Matrix = 1.0 / (1.0 + np.exp(-np.clip(z[:, 0], -500.0, 500.0)))
            return odds
        e = np.exp(z - z.max(axis=1, keepdims=True))
        shares: Matrix = e / e.sum(axis=1, keepdims=True)
        return shares

    def trees(self) -> list[Tree]:
        """The first round of a text: a leaf that holds the start."""
        return list(self.start)


@dataclass(slots=True)
class Pace:
    """When rounds end: after `rounds`, at the deadline, or when the mean loss has not fallen for `patience` of them."""

    rounds: int
    patience: int
    deadline: float
    losses: list[list[float]] = field(default_factory=list)
    best: int = 0
    least: float = math.inf
    stopped: str = ALL

    def ends(self, losses: list[float], now: float) -> bool:
        """Take in the losses of one more round, one a part (none: nothing is watched); whether it was the last."""
        self.losses.append(losses)
        number = len(self.losses)
        mean = sum(losses) / len(losses) if losses else -math.inf
        if not losses or mean < self.least - GAIN or not self.best:
            self.least, self.best = mean, number
        if number - self.best >= self.patience:
            self.stopped = EARLY
        elif now > self.deadline:
            self.stopped = LATE
        else:
            return number >= self.rounds
        return True


class Run(Protocol):
    """A fit, asked after so many rounds; 0 is before the first."""

    task: Task
    pace: Pace
    rate: object

    def scores(self, rounds: int, part: int) -> Matrix: ...

    def answer(self, rounds: int, x: Matrix) -> Matrix: ...

    def trees(self, rounds: int) -> list[Tree]: ...


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A fit as it is asked for: rows that teach, parts that are watched, limits, options, and who is told."""

    task: Task
    x: Matrix
    y: Matrix
    stops: Parts
    budget: Budget
    options: Mapping[str, object]
    report: Report


class Boosted(ABC):
    """`Learner` and `Paths` of `ports.learning` for a library whose `run` grows the trees."""

    @staticmethod
    @abstractmethod
    def run(asked: Asked) -> Run:
        """Grow them; TrainingError or ResourceLimitError where the library refuses."""

    def fit(
        self,
        task: Task,
        x: Matrix,
        y: Matrix,
        x_stop: Matrix,
        y_stop: Matrix,
        budget: Budget,
        options: Mapping[str, object],
        report: Report,
    ) -> Fitted:
        """The trees up to the best round, as a LightGBM text; nothing is watched where the rounds are held."""
        stops = () if FIXED in options else ((x_stop, y_stop),)
        run = self.run(Asked(task, x, y, stops, budget, options, report))
        payload = written(task, run.trees(run.pace.best), x)
        return Fitted("lightgbm", "txt", payload, notes(task, run.pace, run.rate))

    @classmethod
    def path(
        cls,
        task: Task,
        x: Matrix,
        y: Matrix,
        stops: Parts,
        budget: Budget,
        options: Mapping[str, object],
        report: Report,
    ) -> Path:
        """Fit on (x, y) and tell how the answers of each of the `stops` change with the rounds."""
        return Path(cls.run(Asked(task, x, y, stops, budget, options, report)))


class Path:
    """How answers change with the rounds; see `ports.learning`. A stage is the number of rounds less one."""

    def __init__(self, run: Run) -> None:
        import numpy as np

        losses = np.array(run.pace.losses, dtype=np.float64)
        squared = run.task.kind == "regression" and run.task.metric not in MEDIANS
        self.losses: Matrix = losses**2 if squared else losses
        self.stopped = run.pace.stopped
        self._run = run

    def scores(self, stage: int, part: int) -> Matrix:
        """The answers of a part after the rounds of a stage."""
        return self._run.scores(self._rounds(stage), part)

    def answer(self, stage: int, x: Matrix) -> Matrix:
        """The answers to other rows."""
        return self._run.answer(self._rounds(stage), x)

    def _rounds(self, stage: int) -> int:
        """Those of a stage; one that was not reached is the last."""
        return min(stage + 1, len(self.losses))

    def options(self, stage: float) -> dict[str, object]:
        """The options that hold a later fit at that stage."""
        return held(round(stage) + 1, self._run.rate)


def held(rounds: int, rate: object) -> dict[str, object]:
    """The options of a fit of so many rounds with these steps, on however many rows."""
    return {FIXED: max(1, rounds), "learning_rate": rate}


def notes(task: Task, pace: Pace, rate: object) -> tuple[tuple[str, object], ...]:
    """What is said of a fit."""
    trees = pace.best * (task.classes if task.kind == "multiclass" else 1)
    return (
        ("rounds", pace.best), ("stopped_by", pace.stopped), ("refit", held(pace.best, rate)),
        ("row_us", ROW_US + TREE_US * trees),
    )  # fmt: skip


def pace_of(options: Mapping[str, object], rows: int, rounds: int, deadline: float) -> Pace:
    """The pace that checked options ask for; `rounds` unless they say otherwise. A part of the time is left for writing."""
    now = time.monotonic()
    until = deadline - WRITING * max(0.0, deadline - now)
    if FIXED in options:
        return Pace(whole(options, FIXED, 1), 1 << 62, until)
    patience = whole(options, "patience", PATIENCE if rows > FEW_ROWS else LONG_PATIENCE)
    return Pace(whole(options, "rounds", rounds), patience, until)
