"""The member that learns from the terms of texts: what it finds, what it keeps, and that a version answers as it was judged."""

import json
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.sparse import csr_matrix, hstack
from sklearn.linear_model import LogisticRegression, Ridge

from tilth.adapters.learners import text_learner
from tilth.adapters.learners.text_learner import LINES, TextLearner
from tilth.core.errors import TrainingError
from tilth.ml.learning import texts
from tilth.ml.learning.candidates import candidates, unable
from tilth.ml.learning.dealing import Files
from tilth.ml.learning.training import train
from tilth.ml.model.predictor import Predictor
from tilth.ml.model.spec import TrainingSpec
from tilth.ports.learning import Budget, Task, Weights
from tilth.ports.registry import load
from tilth.ports.texts import Texts

ROWS = 400
DICE = Random(11)
WORDS = [
    a + b
    for a in ("brim", "colt", "dusk", "fern", "gale", "hemp", "iris", "jute", "kelp", "lime", "moss", "nest")
    for b in ("", "ow", "el", "ard")
]
TITLES = [" ".join(DICE.sample(WORDS, 4)) for _ in range(ROWS)]
SIDE = np.random.default_rng(2).normal(size=ROWS)
WORTH = {w: (-1) ** n * (1 + n % 3) for n, w in enumerate(WORDS)}
SIGNAL = np.array([sum(WORTH[w] for w in t.split()) for t in TITLES]) + SIDE
TABLE = pa.table({
    "id": range(ROWS),
    "title": pa.array([None if n % 19 == 0 else t for n, t in enumerate(TITLES)]),
    "side": SIDE,
    "value": np.where(np.arange(ROWS) % 19 == 0, 0.0, SIGNAL) * 100.0,
    "won": SIGNAL > 0,
    "kind": np.digitize(SIGNAL, [-2.0, 2.0]).astype(str),
})  # fmt: skip
TARGETS = ("value", "won", "kind")
SPEC = TrainingSpec("m", ("won",), key=("id",), engine="text", exclude=TARGETS)
GET = partial(load, "tilth.scorers")


def trained(folder: Path, table: pa.Table = TABLE, **changes: Any) -> tuple[dict[str, Any], dict[str, bytes]]:
    pq.write_table(table, folder / "rows.parquet")
    files = Files([str(folder / "rows.parquet")])
    facts = train(
        replace(SPEC, **changes),
        files,
        str(folder / "out"),
        partial(load, "tilth.learners"),
        GET,
        lambda *_: None,
    )
    return facts, {p.name: p.read_bytes() for p in (folder / "out").iterdir()}


@pytest.fixture(scope="module", params=TARGETS)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ...]:
    facts, files = trained(tmp_path_factory.mktemp("text"), targets=(request.param,))
    return request.param, facts["metrics"], files, Predictor.load(files, GET, 1, "d")


def test_it_finds_what_the_words_are_worth(case: tuple[Any, ...]) -> None:
    target, metrics, _, _ = case
    lines = metrics["baselines"]["linear"]  # which has the directions that texts differ in
    if target == "value":
        assert metrics["value"] < 0.8 * lines["rmse"]
    else:
        assert metrics["metrics"]["log_loss"] < 0.9 * lines["log_loss"]


def test_a_row_alone_is_answered_as_it_is_among_others(case: tuple[Any, ...]) -> None:
    _, _, _, predictor = case
    rows = TABLE.slice(0, 60).select(["title", "side"])
    rows = pa.concat_tables([rows, pa.table({"title": ["", "ẞ ẞ"], "side": [0.0, 1.0]})])
    batch = predictor.scores(rows)
    alone = [
        predictor.score_row(predictor.convert(row))[: len(np.atleast_1d(batch[0]))]
        for row in rows.to_pylist()
    ]
    assert np.array(alone).reshape(batch.shape).tobytes() == batch.tobytes()


def test_contributions_sum_to_the_answer(case: tuple[Any, ...]) -> None:
    _, _, _, predictor = case
    told = [predictor.explain(row) for row in TABLE.select(["title", "side"]).slice(0, 25).to_pylist()]
    for one in told:
        parts = {c["input"]: c["contribution"] for c in one["contributions"]}
        assert one["base"] + sum(parts.values()) + one["others"] == pytest.approx(one["total"], abs=1e-6)
    assert sum("title" in {c["input"] for c in one["contributions"][:1]} for one in told) > 15


def test_nothing_but_json_and_numbers_is_kept_and_twice_the_same(
    case: tuple[Any, ...], tmp_path: Path
) -> None:
    target, _, files, _ = case
    assert json.loads(files["member.json"])["format"] == "tilth-linear-3"
    assert {m.get("texts") for m in json.loads(files["calibration.json"])["members"]} == {True}
    assert len(files["prepare.json"]) < 400_000
    assert trained(tmp_path, targets=(target,))[1] == files


def test_in_a_blend_the_others_read_the_same_rows_without_the_scores(tmp_path: Path) -> None:
    noisy = TABLE.set_column(3, "value", pa.array(SIGNAL * 100.0 + 300.0 * np.abs(SIDE) * np.sin(5 * SIDE)))
    facts, files = trained(tmp_path, noisy, targets=("value",), engine="auto")
    weights = {m["name"]: m["weight"] for m in facts["metrics"]["members"]}
    assert weights["text"] > 0.1
    assert facts["metrics"]["agreement"]["holds"]
    predictor = Predictor.load(files, GET, 1, "d")
    assert np.corrcoef(predictor.scores(noisy), noisy["value"].to_numpy())[0, 1] > 0.7
    told = predictor.explain(noisy.select(["title", "side"]).slice(1, 1).to_pylist()[0])
    assert told["base"] + sum(c["contribution"] for c in told["contributions"]) + told[
        "others"
    ] == pytest.approx(told["total"])
    assert 0.85 <= facts["metrics"]["coverage"] <= 0.95


def problem(kind: str) -> tuple[Task, np.ndarray, np.ndarray]:
    random = np.random.default_rng(6)
    terms = csr_matrix(np.where(random.random((200, 40)) < 0.2, random.random((200, 40)), 0.0))
    x = np.column_stack([random.normal(size=200), np.arange(200.0)])
    signal = terms @ random.normal(size=40) * 2 + x[:, 0]
    y = signal if kind == "regression" else (signal > 0).astype(float)
    return Task(kind, 0 if kind == "regression" else 2, ("a",), texts=Texts((terms,))), x, y


@pytest.mark.parametrize("weighed", [False, True])
@pytest.mark.parametrize("kind", ["regression", "binary"])
def test_the_ridge_is_the_one_of_scikit_learn(
    kind: str, weighed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_learner, "LEAST", 1e-12)
    monkeypatch.setattr(text_learner, "STEPS", 400)
    task, x, y = problem(kind)
    assert task.texts is not None
    weight = np.random.default_rng(8).random(200) if weighed else np.ones(200)
    budget = Budget(time.monotonic() + 60, weights=Weights(weight, (weight,)) if weighed else None)
    way = TextLearner().path(task, x, y, [(x, y)], budget, {"ridge": LINES}, lambda *_: None)
    standard = (x[:, :1] - x[:, 0].mean()) / x[:, 0].std()
    wide = hstack([csr_matrix(standard), task.texts.tables[0]]).tocsr()
    if kind == "regression":
        theirs = Ridge(alpha=LINES, tol=1e-10).fit(wide, y, weight).predict(wide)
    else:
        fit = LogisticRegression(C=1 / LINES, tol=1e-10, max_iter=1000).fit(wide, y, weight)
        theirs = fit.predict_proba(wide)[:, 1]
    assert way.scores(0, 0) == pytest.approx(theirs, abs=2e-4)


def test_it_is_tried_where_there_are_texts_and_told_where_it_cannot_be() -> None:
    spec, (task, _, _) = replace(SPEC, engine="auto"), problem("binary")
    assert [c.name for c in candidates(spec, task)] == ["linear", "lightgbm", "extra_trees", "text"]
    assert "text" not in [c.name for c in candidates(spec, replace(task, texts=None))]
    assert "text" not in [c.name for c in candidates(spec, replace(task, kind="multiclass", classes=21))]
    held = replace(spec, monotone=(("side", "up"),))
    assert "text" not in [c.name for c in candidates(held, task)]
    assert any("`text`" in r.text for r in unable(held, task))
    assert not any("`text`" in r.text for r in unable(held, replace(task, texts=None)))


def test_so_many_texts_are_told_and_not_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "MOST_ROWS", ROWS - 1)
    facts, _ = trained(tmp_path, engine="auto")
    assert "text" not in {m["name"] for m in facts["metrics"]["members"]}
    assert any("`text` was not tried" in one["text"] for one in facts["told"])


def test_without_a_text_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no column is one"):
        trained(tmp_path, TABLE.drop_columns(["title"]))


def test_it_is_quick() -> None:
    task, x, y = problem("binary")
    fitted = TextLearner().fit(task, x, y, x, y, Budget(time.monotonic() + 60), {}, lambda *_: None)
    assert dict(fitted.notes)["row_us"] < 300  # of counted work
    assert fitted.size < 10_000
