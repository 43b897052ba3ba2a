"""A version as an ONNX file answers as the version does: every engine, every kind of task, gaps, strange levels, all of the calendar."""

import json
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tilth.core.errors import UnsupportedError
from tilth.core.schema import DataType
from tilth.ml.exporting import columns, onnx_file
from tilth.ml.exporting.graph import Graph
from tilth.ml.learning.training import Files, train
from tilth.ml.model.columns import Column
from tilth.ml.model.predictor import Predictor
from tilth.ml.model.preparation import Preparation
from tilth.ml.model.spec import TrainingSpec
from tilth.ports.registry import load

LEARNERS, SCORERS = partial(load, "tilth.learners"), partial(load, "tilth.scorers")
ROWS = 900
START = datetime(2021, 3, 1)


def table() -> pa.Table:
    rng = np.random.default_rng(3)
    x, n = rng.normal(size=ROWS), rng.integers(0, 90, ROWS)
    place, days = rng.integers(0, 40, ROWS), rng.integers(0, 500, ROWS)
    raw = x + n / 30 + np.sin(place) + np.sin(days / 60) + rng.normal(0, 0.3, ROWS)
    x[::9] = np.nan
    return pa.table(
        {
            "id": np.arange(ROWS),
            "at": [START + timedelta(hours=int(h)) for h in range(ROWS)],
            "x": x,
            "n": n,
            "place": [f"p{v}" if v else None for v in place],
            "day": [(START + timedelta(days=int(d))).date() for d in days],
            "then": [START + timedelta(days=int(d), minutes=int(m)) for d, m in zip(days, n, strict=True)],
            "fits": rng.random(ROWS) < 0.5,
            "value": 5 + raw,
            "yes": raw > 1,
            "kind": [["low", "mid", "high"][v] for v in np.digitize(raw, [0, 2])],
        }
    )


CASES = [
    ("lightgbm", "value"),
    ("lightgbm", "kind"),
    ("linear", "value"),
    ("linear", "yes"),
    ("linear", "kind"),
    ("xgboost", "yes"),
    ("catboost", "kind"),
]


def bundle(engine: str, target: str, folder: Path, leave: tuple[str, ...] = ("day",)) -> dict[str, bytes]:
    pq.write_table(table(), folder / "rows.parquet")
    options = {"lightgbm": (("rounds", 40),), "xgboost": (("rounds", 40),), "catboost": (("rounds", 40),)}
    spec = TrainingSpec(
        model="m", targets=(target,), key=("id",), event_time="at", engine=engine, time_limit=60.0,
        exclude=tuple({"value", "yes", "kind", *leave} - {target}), options=options.get(engine, ()),
    )  # fmt: skip
    train(
        spec, Files([str(folder / "rows.parquet")]), str(folder / "b"), LEARNERS, SCORERS, lambda _w, _s: None
    )
    return {p.name: p.read_bytes() for p in (folder / "b").iterdir()}


@pytest.mark.parametrize(("engine", "target"), CASES)
def test_it_answers_as_the_version_does(engine: str, target: str, tmp_path: Path) -> None:
    files = bundle(engine, target, tmp_path)
    made = onnx_file.made(files, SCORERS, {"model": "m"})
    model = Predictor.load(files, SCORERS, 1, "")
    preparation = Preparation.from_plain(json.loads(files["prepare.json"]))
    rows = table().select([i.name for i in model.inputs])
    some = rows.slice(0, 40)
    odd = [some.set_column(n, f, pa.nulls(40, f.type)) for n, f in enumerate(rows.schema)]
    strange = some.set_column(rows.column_names.index("place"), "place", [["nowhere"] * 40])
    strange = strange.set_column(rows.column_names.index("x"), "x", [[np.inf, -np.inf, 1e300, -1e300] * 10])
    asked = pa.concat_tables([rows, *odd, strange])
    assert onnx_file.checked(made, model, preparation, asked) < 1e-12
    assert made == onnx_file.made(files, SCORERS, {"model": "m"})
    session = onnxruntime.InferenceSession(made)
    found = dict(
        zip(
            [o.name for o in session.get_outputs()],
            session.run(None, columns.fed(preparation, rows)),
            strict=True,
        )
    )
    ours = model.predict(rows)
    for name in set(found) & set(ours.schema.names):
        want = ours.column(name).to_pylist()
        assert found[name].ravel().tolist() == (pytest.approx(want, abs=1e-12) if name != "kind" else want)
    assert json.loads(session.get_modelmeta().custom_metadata_map["inputs"])["place"].startswith("string")


def test_the_calendar_is_that_of_every_day_from_1600_to_2400() -> None:
    parts = ("day", "month", "doy", "dow", "hour", "epoch", "since_event")
    column = Column("t", DataType.TIMESTAMP, "instant", parts=parts)
    preparation = Preparation(
        (column, Column("e", DataType.TIMESTAMP, "instant", parts=("dow",))), event_time="e"
    )
    graph = Graph()
    graph.output(columns.matrix(graph, preparation), "x", "DOUBLE", len(parts) + 1)
    days = np.arange("1600-01-01", "2400-12-31", dtype="M8[D]").astype("M8[us]")
    times = days + np.arange(len(days)) * np.timedelta64(1_234_567_891, "us") % np.timedelta64(1, "D")
    rows = pa.table({"t": pa.array([*times, None]), "e": pa.array([None, *times])})
    session = onnxruntime.InferenceSession(graph.model("calendar", {}))
    (found,) = session.run(None, columns.fed(preparation, rows))
    assert np.array_equal(found, preparation.matrix(rows), equal_nan=True)


def test_what_cannot_be_said_is_refused_with_the_reason(tmp_path: Path) -> None:
    files = bundle("linear", "yes", tmp_path)
    kept = json.loads(files["calibration.json"])
    other = {
        **files,
        "calibration.json": json.dumps(
            {**kept, "members": [{**kept["members"][0], "scorer": "skops"}]}
        ).encode(),
    }
    with pytest.raises(UnsupportedError, match="kept in the format `skops`"):
        onnx_file.made(other, SCORERS, {})
    with pytest.raises(UnsupportedError, match="part `since then` of the input `day`"):
        onnx_file.made(bundle("linear", "yes", tmp_path, leave=()), SCORERS, {})
    words = Preparation((Column("words", DataType.STRING, "text"),))
    with pytest.raises(UnsupportedError, match="`words` is prepared as `text`"):
        columns.matrix(Graph(), words)
    tampered = {
        **files,
        "calibration.json": json.dumps({**kept, "platt": {"slope": 1.0, "shift": 0.1}}).encode(),
    }
    model, preparation = (
        Predictor.load(tampered, SCORERS, 1, ""),
        Preparation.from_plain(json.loads(files["prepare.json"])),
    )
    with pytest.raises(UnsupportedError, match=r"answers [\d,]+ of 900 rows otherwise, by up to 0\.0"):
        onnx_file.checked(onnx_file.made(files, SCORERS, {}), model, preparation, table())
