"""Engines that fit (learners) and formats that score (scorers).

A learner runs only in a training worker. A scorer reads a non-executable file and runs in the serving process;
it must not import the library that trained the model where a lighter way exists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, metadata, version
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeAlias

from tilth.core.engines import Engine
from tilth.core.engines import tried as _tried
from tilth.core.errors import MissingExtraError
from tilth.ports import registry

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tilth.ports.texts import Texts

    Matrix: TypeAlias = "npt.NDArray[np.float64]"


BASELINE = "linear"  # what every model is measured against
FULL, WARM, REFIT = "full", "warm", "refit"  # ways to learn again: from nothing, more rounds, leaves alone


@dataclass(frozen=True, slots=True)
class Task:
    """What is learned. An engine that does not say `monotone` passes over that, and no such model serves. `kind`: regression | binary | multiclass. `categorical` are indexes of code columns in X."""

    kind: str
    classes: int = 0
    columns: tuple[str, ...] = ()
    categorical: tuple[int, ...] = ()
    cardinality: tuple[int, ...] = ()  # codes of categorical[i] are 0 .. cardinality[i]-1, NaN is unknown
    metric: str = "log_loss"
    monotone: tuple[
        int, ...
    ] = ()  # a column each: 1 answers rise with it, -1 they fall, 0 as they like; or none at all
    texts: Texts | None = field(
        default=None, compare=False
    )  # of an engine that says `texts`, while it is trained


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """What rows count in a fit, 0 or more each: [rows] of those that teach, and [rows] of each part of the stop rows."""

    teach: Matrix
    stops: tuple[Matrix, ...] = ()

    def every(self, step: int) -> Matrix:
        """Of every so manieth row that teaches."""
        return self.teach[::step]


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of one fit: `deadline` on the worker's monotonic clock in seconds, and threads.

    `weights` None: all rows count alike. Only an engine that `weighs` is given any.
    """

    deadline: float
    threads: int = 1
    seed: int = 0
    weights: Weights | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fitted member: which scorer reads it, its file's bytes, and what to say of the fit (rounds, stopped early ...)."""

    scorer: str
    suffix: str  # file suffix: txt | json | skops
    payload: bytes
    notes: tuple[tuple[str, object], ...] = ()
    texts: tuple[npt.NDArray[np.float32], ...] = field(
        default=(), compare=False
    )  # weights [terms, outputs], a text column each

    @property
    def size(self) -> int:
        """Bytes that it adds to a bundle."""
        return len(self.payload) + sum(w.nbytes * 4 // 3 for w in self.texts)


def scored(task: Task, weights: Sequence[npt.NDArray[np.float32]]) -> Task:
    """The task of a scorer that takes, after the columns, each text's raw score of every output."""
    more = sum(w.shape[1] for w in weights)
    return replace(task, columns=(*task.columns, *(f"score{n}" for n in range(1, more + 1))), texts=None)


class Learner(Protocol):
    """Made without arguments. Its module loads no heavy library, so that its facts can be read anywhere; `warm`, if it is
    there, does; one that says `forks = True` promises that no thread is started by it.
    """

    engine: ClassVar[Engine]

    def fit(
        self,
        task: Task,
        x: Matrix,
        y: Matrix,
        x_stop: Matrix,
        y_stop: Matrix,
        budget: Budget,
        options: Mapping[str, object],
        report: Callable[[str, float | None], None],
    ) -> Fitted:
        """Fit on (x, y), stop early on (x_stop, y_stop), return by the deadline with the best so far.

        x is float64 [rows, columns] with NaN for missing; y is float64 [rows]: a value, 0/1, or a class code.
        None of them may be changed. What was fitted is asked about x_stop before any figure is made of it.
        """
        ...


class Path(Protocol):
    """The models that one fit passes through on its way: rounds of trees, strengths of a ridge, kinds of forests.

    A stage is a number from 0. Which is best is for the caller to say: of rows that are asked, others' losses decide.
    A path whose stages are fits of their own has an attribute `kinds` that is True: later folds are fitted at one of them.
    """

    @property
    def losses(self) -> Matrix:
        """[stages, parts]: the loss on each part of the stop rows after each stage: log
        loss, or the mean squared or absolute error.
        """
        ...

    @property
    def stopped(self) -> str:
        """Early stopping | rounds | nothing to split | time limit."""
        ...

    def scores(self, stage: int, part: int) -> Matrix:
        """What the model of the stage answers to a part of the stop rows; a stage that was not reached is the last."""
        ...

    def answer(self, stage: int, x: Matrix) -> Matrix:
        """What it answers to other rows."""
        ...

    def options(self, stage: float) -> Mapping[str, object]:
        """The options that hold a later fit there; a mean of several fits' stages may lie between two."""
        ...


class Paths(Protocol):
    """What a learner also offers that can be stopped anywhere on its way, so that other rows decide where."""

    def path(
        self,
        task: Task,
        x: Matrix,
        y: Matrix,
        stops: Sequence[tuple[Matrix, Matrix]],
        budget: Budget,
        options: Mapping[str, object],
        report: Callable[[str, float | None], None],
    ) -> Path:
        """Fit on (x, y) and watch each of the parts (x, y) of `stops`; return by the deadline with what there is."""
        ...


class Streams(Protocol):
    """What a learner also offers that can learn from more rows than lie in memory."""

    def stream(
        self,
        task: Task,
        x: Matrix,
        y: npt.NDArray[np.float32],
        batches: Callable[[], Iterator[tuple[Matrix, Matrix | None]]],
        budget: Budget,
        options: Mapping[str, object],
        report: Callable[[str, float | None], None],
    ) -> Fitted:
        """Fit on all rows: `y` of each, and `batches()` of the matrix with what its rows count, None where all count alike.

        `x` are some of the rows, drawn at random. `budget.weights` is of those. Options as `Path.options` gives them.
        """
        ...


class Resumes(Protocol):
    """What a learner also offers that can go on from a member that it made before, in one of the ways that `resumes` names.

    The rows are what the member is to be told now; what it knows of others is in `start`, the bytes of its file.
    """

    resumes: ClassVar[frozenset[str]]

    @staticmethod
    def resumed(
        way: str,
        start: bytes,
        task: Task,
        x: Matrix,
        y: Matrix,
        stops: Sequence[tuple[Matrix, Matrix]],
        budget: Budget,
        options: Mapping[str, object],
        report: Callable[[str, float | None], None],
    ) -> Path:
        """Its way from the start on, watched on the parts of `stops`."""
        ...

    @staticmethod
    def resumed_fit(
        way: str,
        start: bytes,
        task: Task,
        x: Matrix,
        y: Matrix,
        budget: Budget,
        options: Mapping[str, object],
        report: Callable[[str, float | None], None],
    ) -> Fitted:
        """What it is at the stage that `options` hold."""
        ...


class Students(Protocol):
    """What a learner also offers that can learn what a teacher says; its Engine says `student`."""

    @staticmethod
    def student(
        task: Task,
        x: Matrix,
        said: Matrix,
        budget: Budget,
        options: Mapping[str, object],
        report: Callable[[str, float | None], None],
    ) -> Fitted:
        """A member that answers as `said` of the rows; `options` may hold `trees`, the most that it may have."""
        ...


class Teaches(Protocol):
    """What a teacher also offers whose models cannot be asked later: it is fitted and asked at once."""

    def taught(
        self,
        task: Task,
        x: Matrix,
        y: Matrix,
        asked: Matrix,
        budget: Budget,
        report: Callable[[str, float | None], None],
    ) -> tuple[Matrix, Mapping[str, object]]:
        """Its answers to the asked rows, and its name, version and license."""
        ...


def licence_of(package: str) -> str:
    """The licence that an installed distribution states; `unknown` where it states none.

    >>> licence_of("no such package")
    'unknown'
    """
    try:
        said = metadata(package)
    except PackageNotFoundError:
        return "unknown"
    words = next((said[n] for n in ("License-Expression", "License") if said[n]), "unknown")
    return str(words).splitlines()[0]


def resumes(learner: Any) -> frozenset[str]:
    """The ways in which a learner class goes on from a member; none of one that does not say."""
    found: frozenset[str] = getattr(learner, "resumes", frozenset())
    return found


class Spreads(Protocol):
    """What a learner also offers that can learn how far values are off: a regression of the absolute error."""

    @staticmethod
    def spread_options(rows: int) -> tuple[Mapping[str, object], Mapping[str, object]]:
        """The options for so many rows, and beside them those of the first fit, which finds when to stop.

        That fit leaves a note `refit` with the options that hold it there.
        """
        ...


def facts_of(learner: Any) -> Engine:
    """What a learner class says of itself; MissingExtraError when it says nothing."""
    found = getattr(learner, "engine", None)
    if not isinstance(found, Engine):
        raise MissingExtraError(
            f"The learner {getattr(learner, '__qualname__', learner)} does not say what it is.",
            hint="Its class needs an attribute `engine`, a tilth.core.engines.Engine.",
        )
    if wrong := found.wrong:
        raise MissingExtraError(
            f"The learning engine `{found.name}` says of itself: {wrong}.",
            hint="Its package must say it as tilth.core.engines.Engine has it.",
        )
    return found


def learning_of(learner: Any) -> int:
    """The number of a learner's way of learning; see `core.engines.Engine`."""
    return facts_of(learner).learning


@cache
def engines() -> tuple[Engine, ...]:
    """All that are installed, by name; one that cannot be used says why in `fault`."""
    return tuple(_installed(name) for name in registry.names("tilth.learners"))


def _installed(name: str) -> Engine:
    try:
        found = facts_of(registry.load("tilth.learners", name))
    except MissingExtraError as error:
        fault, mend = error.message, error.hint or ""
    else:
        if found.name == name:
            return found
        fault, mend = (
            f"The learning engine `{name}` calls itself `{found.name}`.",
            "Its package must say one name.",
        )
    return Engine(name, registry.package("tilth.learners", name), fault=fault, mend=mend)


def tried(engine: str, preset: str = "fast") -> tuple[Engine, ...]:
    """The installed engines that `engine` stands for: itself, or for `auto` all that have a rank, and those of its preset."""
    return _tried(engine, engines(), preset)


def version_of(package: str) -> str:
    """The installed version of a package; `unknown` when there is none of that name."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


class Scorer(Protocol):
    """A loaded member; immutable and safe to call from several threads.

    Made by `Scorer.load(payload, task, threads)`; `threads` None means all cores. Output is float64: value (regression), P(1) (binary), or one column a class.
    A row alone is answered as it is among others, and no answer changes `x`. A class whose attribute `pandas` is False needs none.
    """

    def score(self, x: Matrix) -> Matrix:
        """[rows] or [rows, classes] for a C-contiguous float64 [rows, columns]."""
        ...

    def score_row(self, row: bytearray) -> tuple[float, ...]:
        """One row given as packed native float64s; a tuple of one value, or one a class."""
        ...

    def contributions(self, x: Matrix) -> Matrix | None:
        """Per-column contributions to the raw score, [rows, columns + 1] with the bias last (of several classes one such block after another); None if it has none."""
        ...
