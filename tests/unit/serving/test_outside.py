"""Inputs far out of what training had are answered, and told at every way in: once a statement, beside a row, in an explanation."""

import json
import warnings
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tilth.ml.learning.dealing import Files
from tilth.ml.learning.training import train
from tilth.ml.model.gaps import Gaps, OutsideWarning
from tilth.ml.model.predictor import Predictor
from tilth.ml.model.spec import TrainingSpec
from tilth.ports.registry import load
from tilth.runtime.asking.model import Model

ROWS = 900
RNG = np.random.default_rng(4)
X = RNG.normal(size=ROWS)
TABLE = pa.table(
    {
        "x": X,
        "age": RNG.integers(18, 90, ROWS),
        "place": [("JFK", "LGA", "EWR")[n % 3] for n in range(ROWS)],
        "town": [f"t{n}" if n % 2 else "t1" for n in range(ROWS)],  # many levels occur once
        "note": [f"{('good', 'poor', 'fair')[n % 3]} {('soil', 'seed')[n % 2]} {n}" for n in range(ROWS)],
        "due": pa.array([datetime(2013, 1, 1) + timedelta(days=int(d)) for d in RNG.integers(0, 90, ROWS)]),
        "y": X + RNG.normal(0, 0.1, ROWS),
    }
)
PLAIN: Mapping[str, Any] = {
    "x": 0.1, "age": 40, "place": "LGA", "town": "t1", "note": "good seed", "due": datetime(2013, 2, 1),
}  # fmt: skip
AS_TRAINED: dict[str, Mapping[str, Any]] = {
    "plain": {},
    "beyond the ends, and not far": {"x": float(X.max() + 1), "age": 91},
    "the next years": {"due": datetime(2020, 1, 1)},
    "a rare level where many are": {"town": "somewhere"},
    "some known word": {"note": "good zzzz"},
    "an empty text": {"note": "  "},
}
FAR: dict[str, tuple[Mapping[str, Any], str, str]] = {
    "a number": ({"age": 4000}, "age", "`age` is 4,000, and training had 18 to 89"),
    "a number below": ({"x": -1e9}, "x", "`x` is -1,000,000,000, and training had "),
    "a level": ({"place": "LHR"}, "place", "`place` is 'LHR', and training had 'EWR', 'JFK', 'LGA'"),
    "another age": ({"due": datetime(1900, 1, 1)}, "due", "`due` is 1900-01-01 00:00:00, and training had 2013-01-01T"),
    "the end of time": ({"due": datetime(9999, 12, 31)}, "due", "`due` is 9999-12-31 00:00:00, and training had "),
    "no word": ({"note": "ZZQ"}, "note", "`note` is 'ZZQ', and training had no word of it"),
}  # fmt: skip


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    folder = tmp_path_factory.mktemp("outside")
    pq.write_table(TABLE, folder / "rows.parquet")
    spec = TrainingSpec("late", ("y",), engine="linear")
    getter = lambda kind: lambda name: load(kind, name)  # noqa: E731
    scorers = getter("tilth.scorers")
    train(spec, Files([str(folder / "rows.parquet")]), str(folder / "out"), getter("tilth.learners"), scorers, lambda *_: None)  # fmt: skip
    return Predictor.load({p.name: p.read_bytes() for p in Path(folder / "out").iterdir()}, scorers, 1, "d")


def ways(late: Predictor, row: Mapping[str, Any]) -> tuple[list[str], list[str], list[str]]:
    """What is told of the row beside its JSON, in a batch, and of a mapping."""
    body = json.dumps(row, default=lambda d: d.isoformat()).encode()
    one = json.loads(b"{" + late.score_json(body)[0] + b"}").get("notices", [])
    many, single = Gaps("late"), Gaps("late")
    table = pa.Table.from_pylist([dict(PLAIN), dict(row)], TABLE.drop_columns(["y"]).schema)
    late.predict(table, None, many)
    late.predict_rows([PLAIN, row], single)
    return one, list(many.words()), list(single.words())


@pytest.mark.parametrize("what", AS_TRAINED)
def test_nothing_is_told_of_what_is_about_as_in_training(late: Predictor, what: str) -> None:
    assert ways(late, {**PLAIN, **AS_TRAINED[what]}) == ([], [], [])
    assert "outside" not in late.explain({**PLAIN, **AS_TRAINED[what]})


@pytest.mark.parametrize("what", FAR)
def test_what_is_far_out_is_told_alike_everywhere(late: Predictor, what: str) -> None:
    given, name, words = FAR[what]
    row = {**PLAIN, **given}
    one, many, single = ways(late, row)
    assert len(one) == 1
    assert one[0].startswith(words)
    assert many == single
    assert len(many) == 1
    how = {"place": "is none of those of training ('EWR', 'JFK', 'LGA')", "note": "has no word of training"}
    assert many[0].startswith(f"late: `{name}` {how.get(name, 'is far out of what training had (')}")
    assert many[0].endswith("in 1 of 2 rows")
    (said,) = late.explain(row)["outside"]
    table = pa.Table.from_pylist([dict(row)], TABLE.drop_columns(["y"]).schema)
    assert json.loads(late.predict(table, ["y_explain"])[0][0].as_py())["outside"] == [said]
    assert said["input"] == name
    assert said["given"] == (str(given[name]) if name == "due" else given[name])


def test_python_warns_once_a_call(late: Predictor) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        Model(late).predict([{**PLAIN, "age": 4000}] * 3)
    assert [(w.category, "in 3 of 3 rows" in str(w.message)) for w in told] == [(OutsideWarning, True)]


def test_a_look_counts_the_answers_with_an_input_far_out(late: Predictor) -> None:
    rows = [PLAIN, {**PLAIN, "age": 4000, "place": "LHR"}, {**PLAIN, "age": None}, {**PLAIN, "place": "LHR"}]
    logged = pa.Table.from_pylist([dict(r) for r in rows], TABLE.schema).select(["place", "age"])
    assert late.reach.rows_far(logged) == 2
    assert late.reach.rows_far(logged.slice(0, 0)) == 0
