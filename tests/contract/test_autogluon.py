"""The engine that has an environment of its own: how that is made, what is said without it, and, where it is there, what it teaches."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tilth.adapters.learners import apart
from tilth.adapters.learners.autogluon_learner import AutoGluonLearner
from tilth.adapters.learners.lightgbm_learner import LightGBMLearner
from tilth.adapters.scorers.lightgbm_scorer import LightGBMScorer
from tilth.core.errors import MissingExtraError, StorageError, TrainingError
from tilth.interfaces.cli.commands import run
from tilth.ml.model.metrics import evaluate
from tilth.ports.learning import Budget, Task

THERE = pytest.mark.skipif(bool(apart.absent("autogluon")), reason="tilth install autogluon was not run here")


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A prefix in which no engine has an environment, and a lock of nothing."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "prefix"))
    (tmp_path / "autogluon.lock").write_text("# nothing\n")
    monkeypatch.setattr(apart, "lock", lambda engine: tmp_path / f"{engine}.lock")
    return tmp_path


def test_without_its_environment_it_says_which_command_makes_it(elsewhere: Path) -> None:
    with pytest.raises(MissingExtraError, match="needs an environment of its own") as told:
        apart.python("autogluon")
    assert str(told.value.hint).startswith("Run: tilth install autogluon   (about 1.1 GB, into ")


def test_it_is_made_when_a_person_says_so_and_once(
    elsewhere: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("click.confirm", lambda *_a, **_k: False)
    assert run(["install", "autogluon"]) == 2
    assert not apart.home("autogluon").exists()
    assert run(["install", "autogluon", "--yes", "--json"]) == 0
    assert str(apart.home("autogluon")) in capsys.readouterr().out
    assert subprocess.run([apart.python("autogluon"), "-c", "import sys"], check=False).returncode == 0
    monkeypatch.setattr(apart, "_do", lambda _line: pytest.fail("it is there already"))
    assert run(["install", "autogluon", "--yes"]) == 0


def test_what_cannot_be_installed_leaves_nothing(elsewhere: Path) -> None:
    (elsewhere / "autogluon.lock").write_text(f"./nowhere.whl --hash=sha256:{'0' * 64}\n")
    with pytest.raises(StorageError, match="could not be installed"):
        apart.make("autogluon", lambda _words: None)
    assert not apart.home("autogluon").exists()


def data(kind: str) -> tuple[Task, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(1600, 3))
    x[:, 2] = rng.integers(0, 6, 1600)
    signal = x[:, 0] * x[:, 1] + np.array([0, 1, -1, 2, -2, 0.5])[x[:, 2].astype(int)]
    x[rng.random(1600) < 0.1, 0] = np.nan
    noisy = signal + rng.normal(0, 0.3, 1600)
    y = {"regression": noisy, "binary": (noisy > 0) * 1.0}.get(kind, np.digitize(noisy, [-1, 1]) * 1.0)
    return Task(kind, {"regression": 0, "binary": 2}.get(kind, 3), tuple("abc"), (2,), (6,)), x, y


def test_without_time_it_says_so_and_makes_no_poor_model() -> None:
    task, x, y = data("binary")
    with pytest.raises(TrainingError, match="no time is left for it") as told:
        AutoGluonLearner().fit(task, x, y, x, y, Budget(time.monotonic() + 2), {}, lambda _w, _d: None)
    assert "time_limit = '10 min'" in str(told.value.hint)


@THERE
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["regression", "binary", "multiclass"])
def test_what_it_teaches_is_as_good_as_trees_of_their_own_and_is_told(kind: str) -> None:
    task, x, y = data(kind)
    fit = (x[:1000], y[:1000], x[1000:1200], y[1000:1200])
    budget = Budget(time.monotonic() + 40, 2, 1)
    made = AutoGluonLearner().fit(task, *fit, budget, {}, lambda _w, _d: None)
    assert time.monotonic() < budget.deadline + 2
    own = LightGBMLearner().fit(task, *fit, Budget(time.monotonic() + 40, 2, 1), {}, lambda _w, _d: None)
    metric = "rmse" if kind == "regression" else "log_loss"
    taught, alone = (
        evaluate(metric, y[1200:], LightGBMScorer.load(one.payload, task).score(x[1200:]))
        for one in (made, own)
    )
    assert taught < 1.03 * alone
    notes = dict(made.notes)
    assert notes["teacher"]["license"] == "Apache-2.0"
    assert notes["jail"]["seccomp"].startswith("on")


@THERE
@pytest.mark.slow
def test_what_autogluon_refuses_is_told() -> None:
    task, x, y = data("binary")
    with pytest.raises(TrainingError, match=r"AutoGluon did not teach: .*colour"):
        AutoGluonLearner().fit(
            task,
            x[:200],
            y[:200],
            x[200:300],
            y[200:300],
            Budget(time.monotonic() + 20),
            {"preset": "colour"},
            lambda _w, _d: None,
        )


@THERE
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["regression", "binary"])
def test_it_answers_rows_that_a_student_is_to_learn(kind: str) -> None:
    task, x, y = data(kind)
    budget = Budget(time.monotonic() + 40, 2, 1)
    said, about = AutoGluonLearner().taught(task, x[:1200], y[:1200], x[1200:], budget, lambda _w, _d: None)
    assert said.shape == (400,)
    metric = "rmse" if kind == "regression" else "log_loss"
    blind = np.full(400, y[:1200].mean())
    assert evaluate(metric, y[1200:], said) < 0.8 * evaluate(metric, y[1200:], blind)
    assert about["license"] == "Apache-2.0"
