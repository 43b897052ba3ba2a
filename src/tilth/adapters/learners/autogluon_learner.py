"""AutoGluon teaches, LightGBM's trees serve: an engine from an environment of its own, spoken to by Arrow files.

What AutoGluon fits are pickles, which run code when they are loaded; no bundle holds any, and nothing that serves loads one. So it
is asked about many rows, which are mixed from those of training (its answers to rows that it saw say little), and trees are
fitted to what it says: of a value the value, of classes the log odds. The other process is started before its worker is
jailed, is jailed itself, and ends with it. Its answers depend on the time it has; the same rows need not give the same bytes.
"""

from __future__ import annotations

import importlib.util
import json
import os
import resource
import select
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from tilth.adapters.learners import apart, boosting, students
from tilth.adapters.learners.boosting import Base
from tilth.adapters.learners.lightgbm_learner import LightGBMLearner
from tilth.adapters.scorers.lightgbm_trees import written
from tilth.core.engines import Engine, Form, Option
from tilth.core.errors import TrainingError
from tilth.ports.learning import Budget, Fitted, Task

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float64]
    Report = Callable[[str, float | None], None]

JAIL = "tilth.adapters.jails.jail"
SHARE = 0.5  # of the time that is left is AutoGluon's; the rest is for its answers and for the trees
WRITING = 0.1  # of the whole time is kept to write them
AT_LEAST = 5.0  # seconds, without which it is not begun
GRACE = 60.0  # seconds it may take longer
LEAST, MOST = 20_000, 100_000  # rows that it is asked about, unless `rows` says
TIMES = 10  # as many as those of training, between these
SWAPPED = 0.25  # of a mixed row's values are another row's
HELD = 10  # one of so many mixed rows says when the trees have learned enough
TREES = {"rounds": 400, "num_leaves": 31, "learning_rate": 0.1, "min_data_in_leaf": 20, "patience": 25}
OPTIONS = (
    Option("preset", Form.TEXT),
    Option("rows", Form.WHOLE, 1_000),
    Option("rounds", Form.WHOLE, 1),
    Option("num_leaves", Form.WHOLE, 2),
    Option("learning_rate", least=0, most=1),
)


class AutoGluonLearner:
    """Implements `ports.learning.Learner`; `tilth install autogluon` makes the environment that it needs."""

    engine = Engine(
        "autogluon",
        "tilth",
        options=OPTIONS,
        teaches=True,
        pandas=False,
        fault=apart.absent("autogluon"),
        mend=apart.mend("autogluon"),
    )
    _side: ClassVar[_Side | None] = None

    @classmethod
    def warm(cls) -> None:
        """Start the other process, which a jailed worker could not, and load the library of the trees."""
        LightGBMLearner.warm()
        if cls._side is None or cls._side.ended:
            cls._side = _Side()

    def taught(
        self, task: Task, x: Matrix, y: Matrix, asked: Matrix, budget: Budget, report: Report
    ) -> tuple[Matrix, dict[str, object]]:
        """See `ports.learning.Teaches`. One of five rows says when its models have learned enough."""
        import numpy as np

        _in_time(budget, AT_LEAST)
        self.warm()
        assert self._side is not None
        report("AutoGluon is fitted", None)
        aside = np.arange(len(y)) % 5 == 4
        stop = np.ascontiguousarray(x[aside]), y[aside]
        fit = np.ascontiguousarray(x[~aside]), y[~aside]
        said, facts = self._side.taught(task, fit, stop, asked, budget, "medium_quality")
        found = said[:, 0] if task.kind == "regression" else said[:, 1] if task.kind == "binary" else said
        return np.ascontiguousarray(found), _teacher(facts)

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
        import numpy as np

        boosting.check("AutoGluon", OPTIONS, options)
        started, base = time.monotonic(), Base.of(task, y)
        if base.alone:
            return Fitted("lightgbm", "txt", written(task, base.trees(), x), ())
        _in_time(budget, AT_LEAST)
        self.warm()
        assert self._side is not None
        rows = boosting.whole(options, "rows", min(MOST, max(LEAST, TIMES * len(x))))
        mixed = _mixed(np.vstack((x, x_stop)), rows, budget.seed)
        report("AutoGluon is fitted", None)
        preset = str(options.get("preset", "medium_quality"))
        said, facts = self._side.taught(task, (x, y), (x_stop, y_stop), mixed, budget, preset)
        goals, kept = students.goals(task, said), len(mixed) // HELD
        _in_time(budget, 1.0)
        report("trees learn what it says", 0.7)
        soon = replace(budget, deadline=budget.deadline - WRITING * (budget.deadline - started))
        stop = mixed[:kept], goals[:kept]
        trees, _ = students.trees(task, mixed[kept:], goals[kept:], *stop, soon, {**TREES, **_own(options)})
        teacher = _teacher(facts)
        return Fitted(
            "lightgbm", "txt", written(task, trees, x), (("teacher", teacher), ("jail", facts["jail"]))
        )


def _teacher(facts: Mapping[str, Any]) -> dict[str, object]:
    return {"name": "autogluon", "version": facts["version"], "license": "Apache-2.0", "best": facts["best"]}


def _in_time(budget: Budget, seconds: float) -> None:
    """Raise where too little time is left for a model that is worth its name."""
    if budget.deadline - time.monotonic() < seconds:
        raise _failed("no time is left for it (of a short history it is asked several times)")


def _own(options: Mapping[str, object]) -> dict[str, object]:
    return {k: v for k, v in options.items() if k in TREES}


def _mixed(x: Matrix, rows: int, seed: int) -> Matrix:
    """Rows of training in which some values are another row's: they lie where data lies, and nobody has learned them by heart."""
    import numpy as np

    random = np.random.default_rng(seed)
    own, other = random.integers(0, len(x), rows), random.integers(0, len(x), rows)
    swapped = random.random((rows, x.shape[1])) < SWAPPED
    return np.ascontiguousarray(np.where(swapped, x[other], x[own]))


class _Side:
    """The process that has AutoGluon; it ends when this one does."""

    def __init__(self) -> None:
        jail = importlib.util.find_spec(JAIL)
        assert jail is not None
        script = os.path.join(os.path.dirname(__file__), "autogluon_side.py")
        line = [str(apart.python("autogluon")), "-I", "-B", script, str(jail.origin), str(os.getpid())]
        kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        self._process = subprocess.Popen(
            line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={**kept, "JOBLIB_MULTIPROCESSING": "0", "OMP_WAIT_POLICY": "passive"},
        )  # fmt: skip

    @property
    def ended(self) -> bool:
        """Whether it can no longer be asked."""
        return self._process.poll() is not None

    def taught(
        self,
        task: Task,
        fit: tuple[Matrix, Matrix],
        stop: tuple[Matrix, Matrix],
        mixed: Matrix,
        budget: Budget,
        preset: str,
    ) -> tuple[Matrix, dict[str, Any]]:
        """What AutoGluon says of the mixed rows, [rows, 1] or [rows, classes], and what is told of it."""
        left = max(5.0, budget.deadline - time.monotonic())
        with tempfile.TemporaryDirectory(prefix="autogluon-") as folder:
            _put(folder, "train", task, *fit)
            _put(folder, "stop", task, *stop)
            _put(folder, "asked", task, mixed, None)
            job = {
                "folder": folder, "scratch": tempfile.gettempdir(), "kind": task.kind, "preset": preset,
                "categorical": [f"c{n}" for n in task.categorical], "share": SHARE, "until": budget.deadline, "threads": budget.threads,
                "seed": budget.seed, "memory": _memory(), "cpu": 10 * left + GRACE,
            }  # fmt: skip
            facts = self._asked(job, time.monotonic() + left + GRACE)
            return _got(folder, task), facts

    def _asked(self, job: Mapping[str, Any], until: float) -> dict[str, Any]:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(job).encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError as error:
            raise _failed("its process ended") from error
        ready, _, _ = select.select([process.stdout], [], [], max(0.0, until - time.monotonic()))
        if not ready:
            process.stdin.close()
            raise _failed("it did not answer in its time")
        line = process.stdout.readline()
        found: dict[str, Any] = json.loads(line) if line else {"error": "its process ended"}
        if "error" in found:
            raise _failed(found["error"])
        return found


def _failed(why: str) -> TrainingError:
    return TrainingError(
        f"AutoGluon did not teach: {why}.",
        hint="Give it more time or memory: USING (time_limit = '10 min', memory = '8 GB'), or use engine = 'auto'.",
    )


def _memory() -> int:
    """As much address space as this process may have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return 1 << 40 if soft == resource.RLIM_INFINITY else soft


def _put(folder: str, name: str, task: Task, x: Matrix, y: Matrix | None) -> None:
    import pyarrow as pa

    columns = {f"c{n}": pa.array(x[:, n], from_pandas=True) for n in range(len(task.columns))}
    if y is not None:
        columns["y"] = pa.array(y if task.kind == "regression" else y.astype("int64"))
    table = pa.table(columns)
    with (
        pa.OSFile(os.path.join(folder, f"{name}.arrow"), "wb") as file,
        pa.ipc.new_file(file, table.schema) as out,
    ):
        out.write_table(table)


def _got(folder: str, task: Task) -> Matrix:
    import numpy as np
    import pyarrow as pa

    with pa.OSFile(os.path.join(folder, "answers.arrow")) as file:
        table = pa.ipc.open_file(file).read_all()
    if task.kind == "regression":
        return np.ascontiguousarray(table.column("y").to_numpy().astype(np.float64)[:, None])
    out = np.zeros((table.num_rows, max(2, task.classes)))  # a class that AutoGluon left out is not likely
    for name in table.column_names:
        out[:, int(name)] = table.column(name).to_numpy()
    return out
