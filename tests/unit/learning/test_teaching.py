"""Teachers: the rows that they are asked about, what is kept of their lead, and declarations that cannot stand."""

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tilth.core.engines import Engine
from tilth.core.errors import MissingExtraError, TilthError, UnknownNameError, UnsupportedError
from tilth.kinds import compile, parse  # noqa: A004
from tilth.ml.judging import split
from tilth.ml.learning import teaching
from tilth.ml.learning.clock import Clock
from tilth.ml.learning.crossing import Candidate, folds_of
from tilth.ml.learning.lead import Lead
from tilth.ml.learning.losses import loss_of
from tilth.ml.learning.made import Tools
from tilth.ml.learning.rows import Rows
from tilth.ports import registry
from tilth.ports.learning import Task
from tilth.resources.facts import Facts

TASKS = {
    kind: Task(kind, classes, ("a", "b", "c"), metric="rmse" if kind == "regression" else "log_loss")
    for kind, classes in (("regression", 0), ("binary", 2), ("multiclass", 3))
}


def crossed(kind: str, labels: np.ndarray, weight: np.ndarray | None = None) -> teaching.Taught:
    """Two folds of students of a linear teacher, which takes no time."""
    none: Any = None
    cut = split.Split(split.BY_FOLDS, len(labels), len(labels))
    x = np.random.default_rng(1).normal(size=(len(labels), 3))
    data = Rows(
        none,
        x,
        labels,
        cut,
        none,
        none,
        part=(np.arange(len(labels)) % 5).astype(np.int8),
        weight=weight,
        full=x,
    )
    one = teaching.Taught(
        Candidate("student", "lightgbm"),
        TASKS[kind],
        data,
        folds_of(data, halves=True),
        teacher="linear",
        row_us=10.0,
    )
    load = registry.load
    tools = Tools(
        lambda n: load("tilth.learners", n), lambda n: load("tilth.scorers", n), lambda _w, _d: None
    )
    for number in range(2):
        one.fit(number, tools, Clock(time.monotonic(), 120.0, None, 1), 1.0)
    return one


def target(kind: str) -> np.ndarray:
    x = np.random.default_rng(1).normal(size=(400, 3))
    value = x[:, 0] - x[:, 1]
    return {"regression": value, "binary": (value > 0) * 1.0}.get(kind, np.digitize(value, [-0.7, 0.7]) * 1.0)


MODEL = (
    "CREATE SOURCE s ENGINE files WITH (path = 'd'); CREATE DATASET d AS SELECT * FROM s.t;"
    " CREATE MODEL m PREDICT y FROM d {} USING ({});"
)
ENGINES = (
    Engine("catboost", "catboost", teaches=True, weighs=True),
    Engine("autogluon", "tilth", teaches=True, fault="It is not there.", mend="tilth install autogluon"),
    Engine("lightgbm", "lightgbm", rank=1, student=True, weighs=True, quantiles=True),
    Engine("linear", "tilth", rank=2, weighs=True),
)


def test_rows_that_are_made_hold_values_of_their_columns_and_each_real_row_once() -> None:
    x = np.random.default_rng(0).normal(size=(300, 4))
    x[::7, 2] = np.nan
    made = teaching.drawn(x, 5)
    assert len(made) == teaching.LEAST
    assert np.array_equal(made, teaching.drawn(x, 5), equal_nan=True)
    assert not np.array_equal(made, teaching.drawn(x, 6), equal_nan=True)
    for column in range(4):
        known = {repr(float(v)) for v in x[:, column]}
        assert {repr(float(v)) for v in made[:, column]} <= known
    real = {row.tobytes() for row in x}
    assert {row.tobytes() for row in made} >= real
    assert len({row.tobytes() for row in made}) > 5_000


@pytest.mark.parametrize("kind", TASKS)
def test_neither_student_nor_teacher_saw_the_rows_that_it_answers(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teaching, "LEAST", 2_000)
    y = target(kind)
    weight = np.linspace(0.5, 1.5, 400)
    one = crossed(kind, y, weight)
    first = np.isin(one.data.part, (0, 1))
    other = np.where(first, y[::-1], y)
    again = crossed(kind, other, weight)
    for before, after in ((one.answers(), again.answers()), (one.teacher_answers(), again.teacher_answers())):
        assert np.array_equal(before[first], after[first])
        assert not np.array_equal(before[~first], after[~first])
        assert np.isfinite(before).all()
        assert loss_of(kind, y, before) < 0.7 * loss_of(kind, y, blind(kind, y))


def blind(kind: str, y: np.ndarray) -> np.ndarray:
    if kind == "multiclass":
        return np.tile(np.bincount(y.astype(int)) / len(y), (len(y), 1))
    return np.full(len(y), y.mean())


def test_one_row_alone_and_a_constant_column_can_be_drawn_from() -> None:
    assert np.array_equal(teaching.drawn(np.zeros((1, 2)), 1)[0], np.zeros(2))
    assert np.isfinite(teaching.drawn(np.ones((50, 1)), 1)).all()


@pytest.mark.parametrize(
    ("lead", "kept", "words"),
    [
        (Lead("t", 1.0, 0.8, 0.75, 0.82, serves=True), 0.8, "80% of its lead is kept."),
        (
            Lead("t", 1.0, 1.0, 0.9, 1.1, serves=False),
            0.0,
            "0% of its lead is kept. The student does not serve",
        ),
        (Lead("t", 1.0, 0.9, 1.1, 1.1, serves=True), None, "it has no lead."),
        (Lead("t", 1.0, 0.9, 0.95, 1.0, serves=True), 2.0, "more than its lead is had."),
    ],
)
def test_what_is_kept_of_a_lead(lead: Lead, kept: float | None, words: str) -> None:
    assert lead.kept == pytest.approx(kept)
    assert words in lead.words
    assert lead.plain()["serves"] is lead.serves


@pytest.mark.parametrize(
    ("objective", "using", "error", "match"),
    [
        ("", "teacher = 'catbost'", UnknownNameError, "no teacher"),
        ("", "teacher = 'linear'", UnknownNameError, "no teacher"),
        ("", "teacher = 'autogluon'", MissingExtraError, "not there"),
        ("", "engine = 'linear', teacher = 'catboost'", UnsupportedError, "does not learn from a teacher"),
        ("OBJECTIVE (metric = 'pinball_0.9')", "teacher = 'catboost'", UnsupportedError, "quantiles"),
    ],
)
def test_a_teacher_that_cannot_teach_is_refused(
    objective: str, using: str, error: type[TilthError], match: str
) -> None:
    with pytest.raises(error, match=match):
        compile(parse(MODEL.format(objective, using)), Facts(ENGINES, {}, ("files",)))


def test_a_teacher_that_takes_no_weights_is_refused() -> None:
    engines = (replace(ENGINES[0], weighs=False), *ENGINES[1:])
    text = MODEL.format("OBJECTIVE (weight = 'w')", "teacher = 'catboost'")
    with pytest.raises(UnsupportedError, match="no weights"):
        compile(parse(text), Facts(engines, {}, ("files",)))


def test_a_teacher_is_of_the_recipe() -> None:
    facts = Facts(ENGINES, {}, ("files",))
    recipes = [
        compile(parse(MODEL.format("", u)), facts).get("m").recipe
        for u in ("seed = 7", "teacher = 'catboost'")
    ]
    assert recipes[0] != recipes[1]
