"""What a training says unasked: columns left out, spellings of one label, infinities, a rare class; and what it refuses."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tilth.core.errors import TargetError
from tilth.ml.learning.dealing import Files
from tilth.ml.learning.training import train
from tilth.ml.model.predictor import Predictor
from tilth.ml.model.spec import TrainingSpec
from tilth.ports.registry import load
from tilth.runtime.asking.reporting import effects

ROWS = 1500
RNG = np.random.default_rng(12)
X = RNG.normal(size=ROWS)
Y = X + RNG.normal(0, 0.3, ROWS)
ENGINES = ("linear", "lightgbm", "sklearn")
FEW = {"sklearn": (("n_estimators", 20),)}  # trees: to load 150 takes longer than to grow them
Run = Callable[..., tuple[list[dict[str, Any]], Predictor, dict[str, Any]]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def go(columns: dict[str, Any], **changes: Any) -> tuple[list[dict[str, Any]], Predictor, dict[str, Any]]:
        pq.write_table(pa.table(columns), tmp_path / "rows.parquet")
        given = {"options": FEW.get(changes.get("engine", ""), ()), **changes}
        spec = TrainingSpec(**{"model": "m", "targets": ("y",), "engine": "linear", **given})
        scorers, out = partial(load, "tilth.scorers"), tmp_path / "out"
        files = Files([str(tmp_path / "rows.parquet")])
        facts: Any = train(spec, files, str(out), partial(load, "tilth.learners"), scorers, lambda *_: None)
        found = Predictor.load({p.name: p.read_bytes() for p in out.iterdir()}, scorers, 1, "d")
        return facts["told"], found, facts

    return go


def only(told: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    found = [t for t in told if t["kind"] == kind]
    assert len(found) == 1, told
    assert set(found[0]) == {"kind", "column", "text", "option"}
    return found[0]


def test_nothing_is_said_of_plain_rows(run: Run) -> None:
    told, _, _ = run({"x": X, "place": [["a", "b", "c"][n % 3] for n in range(ROWS)], "y": Y})
    assert told == []


# --- columns -----------------------------------------------------------------------------------------------


def test_a_number_column_that_is_text_for_its_na_is_told_with_the_way_out(run: Run) -> None:
    texts = [f"{v:.6f}" if n % 50 else "NA" for n, v in enumerate(X)]
    told, found, _ = run({"x": texts, "z": RNG.normal(size=ROWS), "y": Y > 0})
    said = only(told, "dropped")
    assert said["column"] == "x"
    assert "different values" in said["text"]
    assert "98.0% of its texts are numbers, one text is not" in said["text"]
    assert "TRY_CAST(x AS DOUBLE) AS x" in said["option"]
    assert found.signature.names == ("z",)


def test_few_numbers_among_words_are_learned_from_as_texts_and_told(run: Run) -> None:
    texts = [str(int(v * 3)) if n % 50 else "n/a" for n, v in enumerate(X)]
    said = only(run({"my x": texts, "y": Y > 0})[0], "text")
    assert said["column"] == "my x"
    assert 'TRY_CAST("my x" AS DOUBLE) AS "my x"' in said["option"]


@pytest.mark.parametrize("texts", [["00420", "01067"], ["a1", "b2"], ["1", "2", "x", "y"]])
def test_codes_and_mixed_texts_are_no_numbers(run: Run, texts: list[str]) -> None:
    told, _, _ = run({"code": [texts[n % len(texts)] for n in range(ROWS)], "x": X, "y": Y})
    assert told == []


def test_many_different_texts_are_told_with_their_number(run: Run) -> None:
    told, _, _ = run({"note": [f"text {n}" for n in range(ROWS)], "x": X, "y": Y})
    said = only(told, "dropped")
    assert "different values in" in said["text"]
    assert "EXCEPT (note)" in said["option"]
    rows = 6 * ROWS
    city = [f"c{n % 1500}" for n in range(rows)]
    told, _, _ = run(
        {"city": city, "x": np.tile(X, 6), "y": np.tile(Y, 6), "id": np.arange(rows)}, key=("id",)
    )
    said = only(told, "levels")["text"]
    assert "has 1,5" in said or "has 1,4" in said
    assert "The 1,000 most frequent" in said


def test_texts_that_mostly_occur_once_are_told(run: Run) -> None:
    texts = [f"t{n}" if n % 2 else f"u{n % 20}" for n in range(ROWS)]
    told, _, _ = run(
        {"note": texts + texts[::2] * 2, "x": np.tile(X, 2), "y": np.tile(Y, 2), "id": np.arange(2 * ROWS)},
        key=("id",),
    )
    said = only(told, "levels")
    assert said["column"] == "note"
    assert "all others count as missing" in said["text"]


@pytest.mark.parametrize("gap", ["", "NA", " n/a", "NULL", "?"])
def test_a_class_that_may_be_a_gap_is_told(run: Run, gap: str) -> None:
    told, _, _ = run({"x": X, "y": [("yes", "no", gap)[n % 3] for n in range(ROWS)]})
    said = only(told, "labels")
    assert f"'{gap}' of `y` is learned as any other class" in said["text"]
    assert f"y <> '{gap}'" in said["option"]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("target", [Y, Y > 0, np.digitize(Y, [-1, 1])], ids=["number", "two", "three"])
def test_an_infinite_input_is_a_gap_and_told(run: Run, engine: str, target: Any) -> None:
    ratio = np.where(np.arange(ROWS) % 100 == 0, np.where(X > 0, np.inf, -np.inf), X)
    told, found, _ = run({"ratio": ratio, "z": RNG.normal(size=ROWS), "y": target}, engine=engine)
    assert f"infinite in {ROWS // 100} of {ROWS:,} rows" in only(told, "infinite")["text"]
    asked = pa.table({"ratio": [np.inf, -np.inf, np.nan, None], "z": [0.5] * 4})
    answers = found.predict(asked).to_pylist()
    assert answers == [answers[-1]] * 4
    assert [i.required for i in found.signature.inputs] == [False, True]


@pytest.mark.parametrize("values", [[np.inf] * ROWS, [np.nan] * ROWS, np.where(X > 0, np.inf, np.nan)])
def test_a_column_without_a_finite_number_is_left_out(run: Run, values: Any) -> None:
    told, _, _ = run({"a": values, "x": X, "y": Y})
    assert "no value is a finite number" in only(told, "dropped")["text"]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("target", [Y, Y > 0], ids=["number", "two"])
@pytest.mark.parametrize("size", [1e39, 1e200, 1.7e308])
def test_vast_inputs_are_learned_from(run: Run, engine: str, target: Any, size: float) -> None:
    vast = np.where(np.arange(ROWS) % 7 == 0, np.sign(X) * size, X)
    _, found, facts = run({"v": vast, "z": X + RNG.normal(0, 0.1, ROWS), "y": target}, engine=engine)
    assert np.isfinite(facts["metrics"]["value"])
    answers = found.predict(pa.table({"v": [size, -size, 0.0], "z": [0.0, 0.0, 0.0]}))
    assert answers["y"].null_count == 0
    for row in answers.to_pylist():
        assert all(np.isfinite(v) for v in row.values() if isinstance(v, float))


# --- the target --------------------------------------------------------------------------------------------


def test_six_spellings_of_two_labels_are_told(run: Run) -> None:
    spelled = {True: ["yes", "yes ", "Yes"], False: ["no", " no", "NO"]}
    told, _, _ = run({"x": X, "y": [spelled[bool(v > 0)][n % 3] for n, v in enumerate(Y)]})
    said = only(told, "labels")
    assert "6 classes, and 2 when case and spaces do not count" in said["text"]
    assert "'Yes' = 'yes' = 'yes '" in said["text"]
    assert "lower(trim(y)) AS y" in said["option"]


@pytest.mark.parametrize(
    ("a", "b", "told"),
    [
        ("ﬁn", "fin", True),
        ("a  b", "a b", True),
        ("e\u0301", "é", True),
        ("a-b", "ab", False),
        ("1", "1.0", True),
        ("1", "2", False),
    ],
)
def test_letters_that_are_the_same_are_one_spelling(run: Run, a: str, b: str, told: bool) -> None:
    found, _, _ = run({"x": X, "y": [(a, b, "other")[n % 3] for n in range(ROWS)]})
    assert any(t["kind"] == "labels" for t in found) is told


@pytest.mark.parametrize("count", [1, 15])
def test_an_infinite_target_is_refused_with_how_many(run: Run, count: int) -> None:
    with pytest.raises(TargetError, match=f"`y` is infinite in {count} of 1,500 rows") as error:
        run({"x": X, "y": np.where(np.arange(ROWS) < count, np.inf, Y)})
    assert "isfinite(y)" in error.value.hint


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("size", [1e31, 1e150, 1.7e308])
def test_a_vast_target_is_refused_with_how_many(run: Run, engine: str, size: float) -> None:
    with pytest.raises(TargetError, match=r"`y` is beyond 1e\+30 in 2 of 1,500 rows"):
        run({"x": X, "y": np.where(np.arange(ROWS) < 2, size, Y)}, engine=engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_large_target_is_learned(run: Run, engine: str) -> None:
    _, _, facts = run({"x": X, "y": Y * 1e29}, engine=engine)
    assert facts["metrics"]["metrics"]["r2"] > 0.8


def test_mape_is_refused_where_the_target_has_zeros_and_not_shown(run: Run) -> None:
    zeros = np.where(np.arange(ROWS) % 10 == 0, 0.0, np.abs(Y))
    with pytest.raises(TargetError, match="is 0 in 150 of 1,500 rows"):
        run({"x": X, "y": zeros}, metric="mape")
    _, _, facts = run({"x": X, "y": zeros})
    assert "mape" not in facts["metrics"]["metrics"]
    assert "mape" in run({"x": X, "y": np.abs(Y) + 1})[2]["metrics"]["metrics"]


# --- a rare class ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("engine", "bound", "noise"),
    [("auto", 0.995, 2), ("lightgbm", 0.995, 0), ("lightgbm", 0.98, 0)],
)
def test_a_rare_class_that_can_be_told_apart_is_predicted(
    run: Run, engine: str, bound: float, noise: int
) -> None:
    rng = np.random.default_rng(3)
    many = 5_000
    x = rng.random(many)
    others = {f"n{i}": rng.normal(size=many) for i in range(noise)}
    told, found, facts = run(
        {"id": np.arange(many), "x": x, **others, "y": (x > bound).astype(np.int64)},
        key=("id",),
        engine=engine,
    )
    new = rng.random(60_000)
    asked = pa.table({"x": new, **{f"n{i}": rng.normal(size=60_000) for i in range(noise)}})
    said = found.predict(asked)["y"].to_numpy() == 1
    truth = new > bound
    assert (said & truth).sum() >= 0.7 * truth.sum()
    assert (said & ~truth).sum() <= 0.4 * truth.sum()
    seen = only(told, "rare")
    counted = facts["metrics"]["rare"]
    assert f"finds {counted['found']:,} of them" in seen["text"]
    assert counted["label"] == "1"
    assert counted["found"] >= 0.7 * counted["rows"]


def test_a_rare_class_that_cannot_be_found_is_said_so(run: Run) -> None:
    rare = np.random.default_rng(6).random(ROWS) < 0.03
    told, _, facts = run({"x": X, "y": [["fraud", "ok"][int(not r)] for r in rare]})
    said = only(told, "rare")
    assert "'fraud' is rare" in said["text"]
    assert "finds 0 of them" in said["text"]
    assert "POSITIVE 'fraud'" in said["option"]
    counted = facts["metrics"]["rare"]
    assert counted["found"] == 0
    assert abs(counted["rows"] / counted["judged"] - rare.mean()) < 0.02


@pytest.mark.parametrize(("kind", "engine"), [("three", "auto"), ("wide", "lightgbm")])
def test_a_rare_one_of_several_classes_is_predicted_and_counted(run: Run, kind: str, engine: str) -> None:
    rng = np.random.default_rng(5)
    many, classes = 5_000, 3 if kind == "three" else 5
    x, z = rng.random(many), rng.integers(0, classes - 1, many)
    y = np.where(x > 0.995, "rare", np.char.add("c", z.astype(str)))
    told, found, facts = run(
        {"id": np.arange(many), "x": x, "z": z + 0.0, "y": y}, key=("id",), engine=engine
    )
    new = rng.random(60_000)
    said = (
        np.array(
            found.predict(pa.table({"x": new, "z": rng.integers(0, classes - 1, 60_000) + 0.0}))[
                "y"
            ].to_pylist()
        )
        == "rare"
    )
    assert (said & (new > 0.995)).sum() >= 0.7 * (new > 0.995).sum()
    assert (said & (new <= 0.995)).sum() <= 0.4 * (new > 0.995).sum()
    assert facts["metrics"]["rare"]["label"] == "'rare'"
    assert "'rare' is rare in `y`" in only(told, "rare")["text"]


@pytest.mark.parametrize(("copies", "grain", "told"), [(300, 6, True), (10, 6, False), (300, 1, False)])
def test_rows_that_are_there_twice_are_told_unless_it_may_be_chance(
    run: Run, copies: int, grain: int, told: bool
) -> None:
    x, y = X.round(grain), Y.round(grain)
    found = [t for t in run({"x": [*x, *x[:copies]], "y": [*y, *y[:copies]]})[0] if t["kind"] == "twice"]
    assert bool(found) is told
    if told:
        assert "300 of 1,800 rows have the same inputs and `y` as another one" in found[0]["text"]
        assert "SELECT DISTINCT" in found[0]["option"]


# --- classes that hardly are there -------------------------------------------------------------------------


def test_a_class_of_the_newest_rows_alone_is_told(run: Run) -> None:
    when = np.datetime64("2024-01-01T00", "us") + np.arange(ROWS) * np.timedelta64(3_600_000_000, "us")
    y = np.where(X > 0, "yes", "no").astype(object)
    y[-40:] = "maybe"
    told, _, _ = run({"x": X, "t": when, "y": y}, event_time="t", exclude=("t",))
    (said,) = [t for t in told if "none before" in str(t["text"])]
    assert said["text"].startswith("'maybe' of `y` is in 40 of the newest 150 rows")
    y[:40] = "maybe"
    told, _, _ = run({"x": X, "t": when, "y": y}, event_time="t", exclude=("t",))
    assert not [t for t in told if "none before" in str(t["text"])]


def test_classes_of_a_row_or_two_are_told(run: Run) -> None:
    y = np.where(X > 0, "yes", "no").astype(object)
    y[:7] = [f"one{n}" for n in range(7)]
    told, _, _ = run({"x": X, "y": y})
    (said,) = [t for t in told if "fewer than 5" in str(t["text"])]
    assert said["text"].startswith(
        "7 of 9 classes of `y` have fewer than 5 rows each, such as 'one0', 'one1', 'one2' and 4 more"
    )
    assert "0 of 1,500" not in str(told), "a class without a judged row is not told as rare"


GRADES = np.clip(np.round(X) + 3, 1, 5)
GUESSED = {
    # values, metric, words (none: nothing was guessed)
    "few whole numbers": (
        GRADES.astype(int),
        None,
        "`y` has 5 different whole numbers (1, 2, 3, 4, 5), which are learned as classes",
    ),
    "a metric of classes": (GRADES.astype(int), "accuracy", ""),
    "a metric of numbers": (GRADES.astype(int), "rmse", ""),
    "two whole numbers": ((X > 0).astype(int), None, ""),
    "texts": (np.array([f"g{int(g)}" for g in GRADES]), None, ""),
}


@pytest.mark.parametrize(("y", "metric", "words"), GUESSED.values(), ids=GUESSED)
def test_whole_numbers_that_are_taken_for_classes_are_told(
    run: Run, y: np.ndarray, metric: str | None, words: str
) -> None:
    told, _, _ = run({"x": X, "y": y}, metric=metric)
    found = [t["text"] for t in told if "whole numbers" in str(t["text"])]
    assert [words in str(text) for text in found] == ([True] if words else [])


@pytest.mark.parametrize(("event_time", "expected"), [(None, 1), ("t", 0)])
def test_a_label_delay_without_a_time_is_told(run: Run, event_time: str | None, expected: int) -> None:
    when = np.datetime64("2024-01-01T00", "us") + np.arange(ROWS) * np.timedelta64(3_600_000_000, "us")
    told, _, _ = run({"x": X, "t": when, "y": Y}, event_time=event_time, label_delay=86_400.0)
    assert len([t for t in told if "label_delay" in str(t["text"])]) == expected


def test_an_effect_of_names_is_not_drawn_and_one_of_a_category_is(run: Run) -> None:
    place = [("a", "b", "c")[n % 3] for n in range(ROWS)]
    seats = [("first", "second")[n % 2] + f" row seat {n % 700}" for n in range(ROWS)]
    y = X + np.array([("a", "b", "c").index(p) for p in place]) + np.array([len(s.split()[0]) for s in seats])
    columns = {"x": X, "place": place, "seat": seats, "y": y}
    told, model, _ = run(columns)
    names = ["x", "place", "seat"]
    assert {i.name for i in model.signature.inputs} == set(names), told
    drawn = {e["input"]: e for e in effects(model, pa.table(columns), names)}
    assert set(drawn) == {"x", "place"}
    assert (drawn["place"]["rows"], len(drawn["place"]["means"])) == ([500] * 3, 3)
