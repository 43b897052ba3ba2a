"""Looks at a version: drift, prediction drift and quality of answers, from records as the server writes them."""

import json
from datetime import datetime, timedelta
from functools import partial, reduce
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tilth.adapters.engines.duckdb_engine import DuckDBEngine
from tilth.core.errors import TamperError
from tilth.core.schema import DataType
from tilth.ml.learning.dealing import Files
from tilth.ml.learning.training import train
from tilth.ml.model.metrics import evaluate
from tilth.ml.model.predictor import Predictor
from tilth.ml.model.spec import TrainingSpec
from tilth.ml.watching import monitoring
from tilth.ml.watching.logged import Watched, decode
from tilth.ml.watching.monitoring import Tuned
from tilth.ports.predictions import arrow
from tilth.ports.registry import load

START = datetime(2024, 1, 1)
LEARNERS, SCORERS = partial(load, "tilth.learners"), partial(load, "tilth.scorers")
PLACES = ("north", "south", "west")


def rows(count: int, seed: int = 0, target: str = "binary", shift: float = 0.0) -> pa.Table:
    """Rows whose target depends on x much, on place a little, and on season not at all."""
    random = np.random.default_rng(seed)
    x, noise = random.normal(size=count) + shift, random.normal(size=count)
    place = random.integers(0, 3, count)
    value = 2 * x + 0.5 * place + noise
    made: dict[str, Any] = {
        "id": np.arange(count) + 1000 * seed,
        "seen_at": [START + timedelta(minutes=10 * n) for n in range(count)],
        "x": x,
        "place": [PLACES[p] for p in place],
        "season": np.arange(count) / count + random.normal(size=count) * 0.01 + seed,
        "old": random.random(count) < 0.5,
    }
    classes = np.digitize(value, [-1.5, 1.5])
    made["y"] = {"binary": value > 0.5, "regression": value, "multiclass": [PLACES[c] for c in classes]}[
        target
    ]
    return pa.table(made)


@pytest.fixture(scope="module", params=["binary", "regression", "multiclass"])
def version(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """(kind, files of a bundle, its predictor)."""
    folder = tmp_path_factory.mktemp(request.param)
    pq.write_table(rows(8000, target=request.param), folder / "rows.parquet")
    metric = {"binary": "roc_auc", "regression": "rmse", "multiclass": "log_loss"}[request.param]
    spec = TrainingSpec("m", ("y",), key=("id",), event_time="seen_at", metric=metric, engine="linear")
    train(
        spec,
        Files([str(folder / "rows.parquet")]),
        str(folder / "out"),
        LEARNERS,
        SCORERS,
        lambda _what, _done: None,
    )
    files = {p.name: p.read_bytes() for p in Path(folder / "out").iterdir()}
    return request.param, files, Predictor.load(files, SCORERS, 3, "d" * 64)


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], Predictor]:
    folder = tmp_path_factory.mktemp("only")
    pq.write_table(rows(8000), folder / "rows.parquet")
    spec = TrainingSpec("m", ("y",), key=("id",), event_time="seen_at", metric="roc_auc", engine="linear")
    train(
        spec,
        Files([str(folder / "rows.parquet")]),
        str(folder / "out"),
        LEARNERS,
        SCORERS,
        lambda _what, _done: None,
    )
    files = {p.name: p.read_bytes() for p in Path(folder / "out").iterdir()}
    return files, Predictor.load(files, SCORERS, 3, "d" * 64)


def served(predictor: Predictor, asked: pa.Table, every: int = 600) -> list[bytes]:
    """The records of these rows, one so many seconds, through the predictor's own decoding of JSON."""
    out = []
    names = [n for n in asked.column_names if n != "y"]
    for n, row in enumerate(asked.select(names).to_pylist()):
        row["seen_at"] = row["seen_at"].isoformat()
        decoded = predictor.decode(json.dumps(row).encode())
        score = predictor.score_row(decoded)
        values = {
            k: v.isoformat() if isinstance(v, datetime) else v for k, v in predictor.values(decoded).items()
        }
        record = {
            "at": (START + timedelta(days=30, seconds=n * every)).isoformat(timespec="microseconds") + "Z", "id": f"{n}",
            "endpoint": "e", "model": "m", "version": 3, "digest": "d", "environment": "prod", "role": "champion",
            "inputs": values, "outputs": {}, "score": list(score) if predictor.signature.kind == "multiclass" else score[0],
        }  # fmt: skip
        out.append(json.dumps(record).encode())
    return out


def looked(files: dict[str, bytes], lines: list[bytes], truth: pa.Table | None = None) -> monitoring.Look:
    watched = Watched.of(files, ("id",))
    answers = decode(watched, arrow(lines))
    outcomes = None
    if truth is not None:
        keys = monitoring.key_texts(truth, ("id",))
        assert keys is not None
        outcomes = (keys, truth["y"].combine_chunks())
    return monitoring.look(watched, answers, outcomes, DuckDBEngine(), "2024-02-01T00:00:00.000000Z", 3)


def test_rows_like_those_of_training_do_not_drift_and_quality_is_the_metric_itself(version: Any) -> None:
    kind, files, predictor = version
    asked = rows(1500, seed=1, target=kind).set_column(4, "season", rows(1500, target=kind)["season"])
    found = looked(files, served(predictor, asked), asked)
    assert found.drift is not None
    assert found.drift < 0.02
    assert found.prediction_drift is not None
    assert found.prediction_drift < 0.05
    scores = predictor.scores(asked)
    classes = list(predictor.signature.classes)
    truth = np.array([v if kind == "regression" else classes.index(v) for v in asked["y"].to_pylist()], float)
    assert found.quality == pytest.approx(evaluate(found.metric, truth, scores))
    assert (found.outcomes, found.predictions) == (1500, 1500)
    assert {c.column for c in found.columns} == {"x", "place", "season", "old", "y_score"}


def test_decisions_are_watched_as_they_are_served(tmp_path: Path) -> None:
    """A missed one costs nine: the threshold is 0.1, and what would have been said at 0.5 nobody was told."""
    pq.write_table(rows(4000), tmp_path / "rows.parquet")
    spec = TrainingSpec(
        "m", ("y",), key=("id",), event_time="seen_at", metric="accuracy", engine="linear",
        cost_false_negative=9.0, cost_false_positive=1.0,
    )  # fmt: skip
    made = Files([str(tmp_path / "rows.parquet")])
    train(spec, made, str(tmp_path / "out"), LEARNERS, SCORERS, lambda _what, _done: None)
    files = {p.name: p.read_bytes() for p in Path(tmp_path / "out").iterdir()}
    predictor, asked = Predictor.load(files, SCORERS, 3, "d" * 64), rows(500, seed=1)
    found = looked(files, served(predictor, asked), asked)
    right = np.array(predictor.predict(asked)["y"]) == np.array(asked["y"])
    assert found.quality == pytest.approx(right.mean())
    assert found.quality != pytest.approx(((predictor.scores(asked) > 0.5) == np.array(asked["y"])).mean())


def test_an_input_that_matters_raises_the_drift_and_a_season_does_not(binary: Any) -> None:
    files, predictor = binary
    seasonal = looked(files, served(predictor, rows(1500, seed=2)))
    by_column = {c.column: c.score for c in seasonal.columns}
    assert by_column["season"] is not None
    assert by_column["season"] > 1
    assert seasonal.drift is not None
    assert seasonal.drift < 0.1
    moved = looked(files, served(predictor, rows(1500, seed=2, shift=1.0)))
    assert moved.drift is not None
    assert moved.drift > 0.3
    assert moved.prediction_drift is not None
    assert moved.prediction_drift > 0.2


def test_too_little_is_not_a_guess(binary: Any) -> None:
    files, predictor = binary
    few = rows(150, seed=3)
    found = looked(files, served(predictor, few), few)
    assert (found.drift, found.prediction_drift, found.quality) == (None, None, None)
    assert (found.outcomes, found.predictions) == (150, 150)
    nothing = looked(files, [], few)
    assert (nothing.drift, nothing.quality, nothing.predictions, nothing.window_start) == (
        None,
        None,
        0,
        None,
    )
    enough = rows(600, seed=3)
    one_class = enough.filter(pa.compute.equal(enough["y"], True))
    found = looked(files, served(predictor, enough), one_class)
    assert found.drift is not None
    assert found.quality is None


def test_one_day_is_not_compared_with_weeks(binary: Any) -> None:
    files, predictor = binary
    asked = rows(1500, seed=3)
    day = looked(files, served(predictor, asked, every=60), asked)
    assert (day.drift, day.prediction_drift) == (None, None)
    assert {c.score for c in day.columns} == {None}
    assert day.quality is not None
    assert looked(files, served(predictor, asked, every=120)).drift is not None


def test_only_the_newest_answer_of_a_key_counts_and_unknown_keys_do_not(binary: Any) -> None:
    files, predictor = binary
    asked = rows(700, seed=4)
    wrong = asked.set_column(2, "x", pa.array(-asked["x"].to_numpy()))
    twice = looked(files, served(predictor, pa.concat_tables([wrong, asked])), asked.slice(0, 500))
    once = looked(files, served(predictor, asked), asked.slice(0, 500))
    assert twice.quality == once.quality
    assert twice.outcomes == 500


def test_a_column_that_goes_missing_drifts(binary: Any) -> None:
    files, predictor = binary
    lines = []
    for line in served(predictor, rows(800, seed=5)):
        record = json.loads(line)
        record["inputs"]["place"] = None
        lines.append(json.dumps(record).encode())
    found = looked(files, lines)
    assert next(c for c in found.columns if c.column == "place").score > 1  # type: ignore[operator]


def test_records_that_do_not_fit_are_left_out(binary: Any) -> None:
    files, predictor = binary
    lines = served(predictor, rows(20, seed=6))
    broken = json.loads(lines[3])
    broken["inputs"]["x"] = "many"
    found = looked(files, [*lines[:3], json.dumps(broken).encode(), *lines[4:]])
    assert found.predictions == 19


def test_answers_without_an_input_that_never_was_missing_are_counted(binary: Any) -> None:
    files, predictor = binary
    asked = rows(20, seed=6)
    x, place = asked["x"].to_pylist(), asked["place"].to_pylist()
    x[2], x[5], place[5], place[9] = None, None, None, None
    asked = asked.set_column(2, "x", pa.array(x)).set_column(3, "place", pa.array(place))
    found = looked(files, served(predictor, asked))
    assert (found.predictions, found.gaps, found.left_out) == (20, 3, 0)


GOOD = 20
UNFIT: dict[str, dict[str, Any]] = {
    "a number for a text": {"place": 7},
    "a text for a number": {"x": "many"},
    "a list for a number": {"x": [1]},
    "an object for a text": {"place": {"a": 1}},
    "a huge number for a whole key": {"id": 1e300},
    "2^63 for a whole key": {"id": 2**63},
    "below -2^63": {"id": -(2**63) - 1},
    "a whole number of 400 digits": {"id": 10**400},
    "a fraction as a whole key": {"id": 7.5},
    "a whole number beyond a float": {"x": 10**400},
    "truth as a text": {"old": "yes"},
    "no time": {"seen_at": "soon"},
    "a time that is a number": {"seen_at": 7},
    "a day that no month has": {"seen_at": "2024-02-30T00:00:00"},
    "nested deep": {"seen_at": reduce(lambda inner, _: [inner], range(80), 1)},
}  # fmt: skip
RAW: dict[str, tuple[str, str]] = {
    "NaN": ('"x": ', '"x": NaN, "_": '),
    "infinite": ('"x": ', '"x": 1e999, "_": '),
    "half a surrogate": ('"place": "', '"place": "\\ud800'),
    "a list of inputs": ('"inputs": ', '"inputs": [1], "outputs": {}, "_": '),
    "no instant": ('"at": "2024', '"at": "then'),
    "another century's instant": ('"at": "2024-', '"at": "2024-99'),
    "a score that is null": ('"score": ', '"score": null, "_": '),
    "two scores": ('"score": ', '"score": [0.1, 0.2], "_": '),
    "a version beyond 64 bits": ('"version": 3', '"version": 9223372036854775808'),
    "half a line": ('"outputs"', "\n"),
    "nothing": ("{", "\n"),
}


@pytest.mark.parametrize("what", [*UNFIT, *RAW])
def test_whatever_was_logged_is_left_out_and_the_rest_is_looked_at(binary: Any, what: str) -> None:
    files, predictor = binary
    asked = rows(GOOD, seed=6)
    lines = served(predictor, asked)
    if what in UNFIT:
        broken = json.loads(lines[3])
        broken["inputs"] |= UNFIT[what]
        lines[3] = json.dumps(broken).encode()
    else:
        lines[3] = lines[3].decode().replace(*RAW[what], 1).partition("\n")[0].encode()
    found = looked(files, lines, asked)
    assert (found.predictions, found.outcomes) == (GOOD - 1, GOOD - 1)
    if what in UNFIT:
        assert found.left_out == 1


def test_whole_numbers_and_fractions_of_one_column_are_looked_at_together(binary: Any) -> None:
    files, _ = binary
    watched = Watched.of(files)
    watched.types["count"] = DataType.INTEGER
    lines = served(binary[1], rows(2, seed=6))
    texts = [json.loads(line) for line in lines]
    parts = []
    for value in (3, 2.5):
        for text in texts:
            text["inputs"]["count"] = value
        parts.append(decode(watched, arrow([json.dumps(t).encode() for t in texts])))
    both = parts[0].and_(parts[1])
    assert both.inputs["count"].to_pylist() == [3.0, 3.0, 2.5, 2.5]
    assert parts[0].and_(parts[0]).inputs["count"].to_pylist() == [3, 3, 3, 3]


DAYS = 86_400.0


@pytest.mark.parametrize(
    ("timed", "delay", "days", "outcomes"),
    [
        (True, 0, 0, 1000),
        (True, 10 * DAYS, 9.99, 0),
        (True, 10 * DAYS, 13.5, 505),
        (True, 10 * DAYS, 17, 1000),
        (False, 10 * DAYS, 9.99, 0),
        (False, 10 * DAYS, 13.5, 505),
        (False, 10 * DAYS, 17, 1000),
        (False, 0, 0, 1000),
    ],
)  # fmt: skip
def test_an_outcome_counts_once_it_is_due_also_when_it_came_early(
    binary: Any, timed: bool, delay: float, days: float, outcomes: int
) -> None:
    """1,000 answers, one each ten minutes, so 144 a day; due by their event time or, without one, by when they came."""
    files, predictor = binary
    asked = rows(1000, seed=7)
    begun = START + timedelta(days=30)
    asked = asked.set_column(1, "seen_at", pa.array([begun + timedelta(minutes=10 * n) for n in range(1000)]))
    lines = [json.loads(line) for line in served(predictor, asked)]
    if not timed:
        for line in lines:
            line["inputs"]["seen_at"] = None
    watched = Watched.of(files, ("id",))
    answers = decode(watched, arrow([json.dumps(line).encode() for line in lines]))
    at = (begun + timedelta(days=days)).isoformat(timespec="microseconds") + "Z"
    keys = monitoring.key_texts(asked, ("id",))
    assert keys is not None
    found = monitoring.look(
        watched, answers, (keys, asked["y"].combine_chunks()), DuckDBEngine(), at, 3, delay=delay
    )
    assert found.outcomes == outcomes


def test_what_the_version_was_tuned_on_tells_nothing_of_its_quality(binary: Any) -> None:
    files, predictor = binary
    asked = rows(1000, seed=8)  # by START, each ten minutes
    lines = [json.loads(line) for line in served(predictor, asked)]
    keys = monitoring.key_texts(asked, ("id",))
    assert keys is not None
    watched = Watched.of(files, ("id",))

    def counted(tuned: Tuned, *, timed: bool = True) -> int:
        told = [{**n, "inputs": {**n["inputs"], **({} if timed else {"seen_at": None})}} for n in lines]
        answers = decode(watched, arrow([json.dumps(n).encode() for n in told]))
        truth = (keys, asked["y"].combine_chunks())
        at = "2024-03-01T00:00:00.000000Z"
        return monitoring.look(watched, answers, truth, DuckDBEngine(), at, 3, tuned=tuned).outcomes

    until = "2024-01-02T00:00:00.000000Z"  # 145 rows, the last of them at that very instant
    assert counted(Tuned()) == 1000
    assert counted(Tuned(until)) == 855
    assert counted(Tuned(until, keys.slice(0, 400))) == 855, "the event time decides where it is given"
    assert counted(Tuned(until, keys.slice(0, 400)), timed=False) == 600
    assert counted(Tuned(None, keys.slice(0, 400))) == 600
    assert counted(Tuned(until), timed=False) == 1000


@pytest.mark.parametrize(
    ("logged", "kept"),
    [
        (["2013-05-01T06:00:00", "2013-05-01 06:00:00.5Z"], [datetime(2013, 5, 1, 6), datetime(2013, 5, 1, 6, 0, 0, 500000)]),
        ([1, 2], [1, 2]),
        (["a", None], ["a", None]),
    ],
)  # fmt: skip
def test_keys_mean_the_same_as_logged_and_as_kept(logged: list[object], kept: list[object]) -> None:
    one = monitoring.key_texts(pa.table({"k": logged, "n": [7, 7]}), ("k", "n"))
    other = monitoring.key_texts(pa.table({"k": kept, "n": [7, 7]}), ("k", "n"))
    assert one is not None
    assert one.equals(other)
    assert monitoring.key_texts(pa.table({"k": kept}), ("k", "n")) is None


def test_a_bundle_that_lacks_a_file_is_refused(binary: Any) -> None:
    files, _ = binary
    with pytest.raises(TamperError, match=r"profile\.json"):
        Watched.of({k: v for k, v in files.items() if k != "profile.json"})
