"""What XGBoost and CatBoost grow serves as a LightGBM text: it answers as those libraries do, with gaps and strange codes."""

import time

import numpy as np
import pytest

from tilth.adapters.learners import boosting
from tilth.adapters.learners.catboost_learner import CatBoostLearner
from tilth.adapters.learners.watching import loss
from tilth.adapters.learners.xgboost_learner import XGBoostLearner
from tilth.adapters.scorers.lightgbm_scorer import LightGBMScorer
from tilth.adapters.scorers.lightgbm_trees import below, up_to, written
from tilth.core.errors import MissingExtraError
from tilth.ports.learning import Budget, Task

LEARNERS = {"xgboost": XGBoostLearner, "catboost": CatBoostLearner}
KINDS = ("regression", "binary", "multiclass")
LEVELS = (40, 3)


def rows(kind: str, count: int = 3000) -> tuple[Task, np.ndarray, np.ndarray]:
    """Numbers of any size with gaps, a column of one value, codes that only some rows have, and codes that none has."""
    rng = np.random.default_rng(11)
    x = rng.normal(0, 1, (count, 6))
    x[:, 1] *= 1e9
    x[:, 2] = np.round(x[:, 2], 1)
    x[:, 3] = 7.0
    x[:, 4] = rng.integers(0, LEVELS[0] - 5, count)
    x[:, 5] = rng.integers(0, LEVELS[1], count)
    effect = rng.normal(0, 1, LEVELS[0])
    signal = x[:, 0] * (x[:, 5] - 1) + x[:, 1] / 1e9 + effect[x[:, 4].astype(int)]
    for column in (0, 2, 4):
        x[rng.random(count) < 0.1, column] = np.nan
    noisy = signal + rng.normal(0, 0.5, count)
    y = {"regression": 1e6 + 1e3 * noisy, "binary": (noisy > 0.5) * 1.0}.get(
        kind, np.digitize(noisy, [-1, 1]) * 1.0
    )
    classes = {"regression": 0, "binary": 2, "multiclass": 4}[kind]  # of four classes one has no rows
    return Task(kind, classes, tuple("abcdef"), (4, 5), LEVELS), np.ascontiguousarray(x), y


def budget(seconds: float = 60, threads: int = 2) -> Budget:
    return Budget(time.monotonic() + seconds, threads, 5)


def quiet(_what: str, _done: float | None) -> None:
    pass


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", LEARNERS)
def test_a_path_tells_each_round_and_a_fit_that_is_held_there_answers_as_the_library_does(
    name: str, kind: str
) -> None:
    task, x, y = rows(kind)
    stops = [(x[2000:2500], y[2000:2500]), (x[2500:], y[2500:])]
    given = {"rounds": 60, "patience": 10, "learning_rate": 0.2}
    path = LEARNERS[name].path(task, x[:2000], y[:2000], stops, budget(), given, quiet)
    assert path.losses.shape[1] == 2
    assert path.stopped in {"early stopping", "rounds"}
    stage = int(path.losses.mean(axis=1).argmin())
    held = path.options(stage)
    made = LEARNERS[name]().fit(task, x[:2000], y[:2000], x[:0], y[:0], budget(threads=1), held, quiet)
    scorer = LightGBMScorer.load(made.payload, task)
    for part, (x_part, _) in enumerate(stops):
        theirs = path.scores(stage, part)
        close = np.abs(scorer.score(x_part) - theirs).max() / (y.std() if kind == "regression" else 1.0)
        assert close < 2e-6
        assert np.array_equal(path.answer(stage, x_part), theirs)
        assert path.losses[stage, part] == pytest.approx(loss(task, theirs, stops[part][1]), rel=1e-4)
    assert np.array_equal(path.scores(10_000, 0), path.scores(len(path.losses) - 1, 0))
    assert not np.array_equal(path.scores(0, 0), path.scores(stage, 0))
    odd = x[2000:2050].copy()
    odd[:, 4], odd[:, 0], odd[::2, 1] = 99, np.nan, 1e300
    assert np.isfinite(scorer.score(odd)).all()


@pytest.mark.parametrize("name", LEARNERS)
def test_a_row_alone_answers_to_the_bit_as_among_others(name: str) -> None:
    task, x, y = rows("binary", 600)
    made = LEARNERS[name]().fit(task, x[:400], y[:400], x[400:], y[400:], budget(), {"rounds": 30}, quiet)
    scorer = LightGBMScorer.load(made.payload, task)
    alone = [scorer.score_row(bytearray(row.tobytes()))[0] for row in x[400:]]
    assert np.array_equal(alone, scorer.score(np.ascontiguousarray(x[400:])))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("what", ["one target", "one value a column", "two rows"])
def test_where_there_is_little_to_learn_it_answers_all_the_same(name: str, kind: str, what: str) -> None:
    task, x, y = rows(kind, 200)
    if what == "one target":
        y = np.full(200, y.max())
    elif what == "one value a column":
        x = np.ones_like(x)
    else:
        x, y = x[:2], y[:2]
    made = LEARNERS[name]().fit(task, x, y, x[:50], y[:50], budget(), {"rounds": 5}, quiet)
    found = LightGBMScorer.load(made.payload, task).score(x)
    assert np.isfinite(found).all()
    if what == "one target":
        best = found if kind == "regression" else found if kind == "binary" else found[:, int(y[0])]
        assert best.min() > (0.999 * y[0] if kind == "regression" else 0.9)


@pytest.mark.parametrize("limit", [0.1, -0.1, 0.0, 1e-45, 16777217.0, -3.4e38, 3.4e38])
def test_a_limit_of_32_bits_parts_the_doubles_as_rounding_does(limit: float) -> None:
    narrow = np.float32(limit)
    with np.errstate(over="ignore"):
        at, over = below(limit), np.nextafter(below(limit), np.inf)
        assert np.float32(at) < narrow <= np.float32(over)
        assert np.float32(up_to(limit)) <= narrow < np.float32(np.nextafter(up_to(limit), np.inf))


def test_a_library_that_is_not_installed_is_told_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(boosting.importlib.util, "find_spec", lambda _name: None)
    assert boosting.absent("xgboost", "xgboost")
    with pytest.raises(MissingExtraError) as told:
        XGBoostLearner.warm()
    assert told.value.hint == "Run: pip install 'tilth[xgboost]'"


def test_trees_of_one_leaf_are_a_model() -> None:
    task = Task("multiclass", 3, ("a",))
    x = np.zeros((4, 1))
    scorer = LightGBMScorer.load(written(task, [0.0, 1.0, 2.0], x), task)
    assert scorer.score(x)[0] == pytest.approx(np.exp([0, 1, 2]) / np.exp([0, 1, 2]).sum())
