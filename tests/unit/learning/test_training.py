"""Training in this process: what is refused, what is dropped and counted, and what the files say."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tilth.core.errors import DataError, ProjectError, TargetError, TrainingError
from tilth.ml.data import identity
from tilth.ml.data.profile import Categorical, Numeric, Profile
from tilth.ml.judging import answers
from tilth.ml.learning import fitting, leaks
from tilth.ml.learning.dealing import Files
from tilth.ml.learning.training import train
from tilth.ml.model.spec import TrainingSpec
from tilth.ports.registry import load

ROWS = 2400
START = datetime(2013, 1, 1)
RNG = np.random.default_rng(8)
X, Z = RNG.normal(size=ROWS), RNG.normal(size=ROWS)
TABLE = pa.table(
    {
        "id": np.arange(ROWS),
        "at": [START + timedelta(hours=n) for n in range(ROWS)],
        "x": X,
        "z": Z,
        "place": [["a", "b", "c"][n % 3] for n in range(ROWS)],
        "late": pa.array(X * Z + X + RNG.normal(0, 0.5, ROWS) > 0),
        "delay": X * Z + X + RNG.normal(0, 0.5, ROWS),
    }
)
Run = Callable[..., tuple[dict, dict]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Train on a table; the facts, and the JSON files by name."""

    def go(table: pa.Table = TABLE, **changes: object) -> tuple[dict, dict]:
        pq.write_table(table, tmp_path / "rows.parquet")
        given: dict[str, object] = {
            "model": "late", "targets": ("late",), "exclude": ("delay",), "key": ("id",), "event_time": "at",
            "slices": ("place",),
        }  # fmt: skip
        spec = TrainingSpec(**{**given, **changes})  # type: ignore[arg-type]
        assert TrainingSpec.from_plain(json.loads(json.dumps(spec.plain()))) == spec
        learners, scorers = partial(load, "tilth.learners"), partial(load, "tilth.scorers")
        facts = train(
            spec,
            Files([str(tmp_path / "rows.parquet")]),
            str(tmp_path / "o"),
            learners,
            scorers,
            lambda *_: None,
        )
        files = {p.name: json.loads(p.read_bytes()) for p in (tmp_path / "o").glob("*.json")}
        return facts, files

    return go


def test_members_are_weighed_and_beat_the_baselines(run: Run) -> None:
    facts, files = run()
    metrics = files["metrics.json"]
    tried = {m["name"]: m for m in metrics["members"]}
    assert set(tried) == {"linear", "lightgbm", "extra_trees"}
    assert sum(m["weight"] for m in tried.values()) == pytest.approx(1.0)
    assert tried["linear"]["weight"] < 0.5  # the product of two inputs is nothing for lines
    assert all((m["weight"] > 0) is (m["why"] is None) for m in tried.values())
    assert facts["engine"] == max(tried.values(), key=lambda m: m["weight"])["engine"]
    assert metrics["value"] > metrics["baselines"]["linear"]["roc_auc"] > 0.6
    assert metrics["baselines"]["dummy"]["roc_auc"] == 0.5
    share, truth = np.mean(TABLE["late"].to_numpy()), TABLE["late"].to_numpy()[-240:]
    of_all = -np.log(np.where(truth, share, 1 - share)).mean()  # what a gate's baseline knows, too
    assert metrics["baselines"]["dummy"]["log_loss"] == pytest.approx(of_all, rel=1e-12)
    assert [s["value"] for s in metrics["slices"]["place"]] == ["a", "b", "c"]
    assert metrics["split"] == {
        "by": "twin", "rows": 2400, "judge": 240, "tuned_until": "2013-04-10T23:00:00.000000Z",
        "since": "2013-03-31T23:00:00.000000Z", "ids": 2,
    }  # fmt: skip
    assert facts["tuned_until"] == metrics["split"]["tuned_until"]
    assert metrics["agreement"]["holds"]


def test_a_regression_covers_and_a_line_wins_on_a_line(run: Run) -> None:
    straight = TABLE.set_column(6, "delay", pa.array(3 * X - Z + RNG.normal(0, 0.1, ROWS)))
    facts, files = run(straight, targets=("delay",), exclude=("late",), metric="rmse")
    assert (facts["engine"], metric_of(files, "linear")["weight"] > 0.5) == ("linear", True)
    assert 0.8 < files["metrics.json"]["coverage"] <= 1.0
    assert files["calibration.json"]["conformal"]["coverage"] == 0.9


def metric_of(files: dict, member: str) -> dict:
    return next(m for m in files["metrics.json"]["members"] if m["name"] == member)


def test_the_profile_is_what_drift_reads(run: Run) -> None:
    found = Profile.from_plain(run(engine="linear")[1]["profile.json"])
    assert found.rows == 2400
    assert [c.column for c in found.columns] == ["x", "z", "place", "late_score"]
    x, place, score = found.find("x"), found.find("place"), found.find("late_score")
    assert isinstance(x, Numeric)
    assert sum(x.counts) == x.rows == 2400
    assert isinstance(place, Categorical)
    assert place.counts == (800, 800, 800)
    assert isinstance(score, Numeric)
    assert (score.rows, 0 <= score.minimum <= score.maximum <= 1) == (240, True)


def test_rows_whose_label_is_not_due_are_dropped_and_counted(run: Run) -> None:
    gaps = TABLE.set_column(5, "late", pa.array([*TABLE["late"].to_pylist()[:-30], *[None] * 30]))
    now = "2013-04-11T00:00:00Z"
    facts, _ = run(gaps, label_delay=86_400.0 * 2, now=now, engine="linear")
    assert (facts["rows"], facts["rows_without_label"]) == (
        ROWS - 47,
        47,
    )  # early labels wait with the others
    with pytest.raises(TargetError, match="missing in 7 of 2,400 rows older than"):
        run(gaps, label_delay=86_400.0, now=now)
    with pytest.raises(TargetError, match="missing in 30 of 2,400 rows"):
        run(gaps)


def test_without_an_event_time_each_row_is_judged_by_models_of_the_others(run: Run) -> None:
    facts, files = run(event_time=None, engine="linear")
    assert facts["tuned_until"] is None
    assert files["metrics.json"]["split"]["by"] == "folds"
    assert files["metrics.json"]["split"]["judge"] == ROWS
    assert {"at.hour", "at.epoch"} <= {f"at.{p}" for p in files["prepare.json"]["columns"][0]["parts"]}


def test_columns_with_gaps_are_imputable_and_the_key_is_carried(run: Run) -> None:
    gaps = TABLE.set_column(3, "z", pa.array([None, *Z[1:]]))
    signature = run(gaps, engine="linear")[1]["signature.json"]
    assert {i["name"]: i["required"] for i in signature["inputs"]} == {
        "at": True,
        "x": True,
        "z": False,
        "place": True,
    }
    assert [c["name"] for c in signature["carried"]] == ["id"]


REFUSED = {
    "engine": ({"engine": "lightgmb"}, TrainingError, "no engine `lightgmb`"),
    "option": (
        {"engine": "lightgbm", "options": (("num_leafs", 3),)},
        TrainingError,
        "no option `num_leafs`",
    ),
    "metric": ({"metric": "roc_auk"}, ProjectError, "no metric `roc_auk`"),
    "metric of positive numbers": (
        {"targets": ("delay",), "exclude": ("late",), "metric": "neg_mean_gamma_deviance"},
        TargetError,
        "not defined for targets not above 0",
    ),
    "metric of another task": ({"metric": "rmse"}, ProjectError, "does not fit a binary"),
    "column": ({"include": ("x", "zz")}, DataError, "no column `zz`"),
    "nothing to learn from": ({"include": ("id",)}, TrainingError, "no column to learn from"),
    "estimator": ({"estimator": "m:make"}, TrainingError, "belongs to engine = 'sklearn'"),
}


@pytest.mark.parametrize(("changes", "error", "words"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_done_is_refused_with_a_next_step(
    run: Run, changes: dict, error: type, words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        run(**changes)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("asked", "called", "changes"),
    [
        ("average_precision", "average_precision", {}),
        ("matthews_corrcoef", "matthews_corrcoef", {"cost_false_negative": 3.0}),
        ("neg_median_absolute_error", "median_absolute_error", {"targets": ("delay",), "exclude": ("late",)}),
    ],
)
def test_a_metric_of_scikit_learn_is_told(run: Run, asked: str, called: str, changes: dict) -> None:
    metrics = run(metric=asked, engine="lightgbm", **changes)[1]["metrics.json"]
    assert metrics["metric"] == called
    assert metrics["value"] == metrics["metrics"][called]
    better = 1.0 if metrics["higher_is_better"] else -1.0
    assert better * metrics["value"] > better * metrics["baselines"]["dummy"][called]
    assert ("money" in metrics) is ("cost_false_negative" in changes)


@pytest.mark.parametrize("engine", ["linear", "lightgbm", "auto"])
def test_the_rows_that_judge_taught_nothing_that_answers_them(run: Run, engine: str) -> None:
    """In the newest tenth the world has changed: its answers, and the interval that they are held against, know nothing of it."""
    delay = TABLE["delay"].to_numpy() + np.where(np.arange(ROWS) >= 2160, 1000.0, 0.0)
    table = TABLE.set_column(6, "delay", pa.array(delay))
    changes = {"targets": ("delay",), "exclude": ("late", "at"), "metric": "rmse", "engine": engine}
    metrics = run(table, **changes)[1]["metrics.json"]
    assert metrics["coverage"] == 0.0
    assert metrics["value"] > 990


def test_one_changed_label_changes_no_answer_to_its_row(run: Run, tmp_path: Path) -> None:
    """Nothing behind an honest answer has seen its label; of the other parts it taught every model."""
    table = TABLE.slice(0, 400)
    other = table["delay"].to_numpy().copy()
    other[7] += 50.0
    found = []
    for one in (table, table.set_column(6, "delay", pa.array(other))):
        run(
            one, event_time=None, targets=("delay",), exclude=("late",), metric="rmse", engine="linear",
            options=(("ridge", 1.0),),
        )  # fmt: skip
        kept = answers.read({answers.FILE: (tmp_path / "o" / answers.FILE).read_bytes()})
        ids = identity.row_ids(one, ("at", "delay", "id", "place", "x", "z"))
        found.append(kept.scores[kept.find(ids)])
    assert found[0][7] == found[1][7]
    assert (found[0] != found[1]).sum() == 320  # all but its own part


def test_a_training_that_is_cut_after_one_part_is_judged_by_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And its simpler models by the same rows, having learned from those of the other parts."""
    monkeypatch.setattr(fitting._Run, "_affordable", lambda _run: False)
    facts, files = run(event_time=None, engine="lightgbm", options=(("rounds", 40),))
    metrics = files["metrics.json"]
    assert metrics["split"]["by"] == "folds"
    assert abs(metrics["split"]["judge"] - ROWS / 5) <= 1
    assert metrics["agreement"]["usual"] is None
    assert metrics["value"] > 0.75
    assert [m["name"] for m in metrics["simpler"]["models"] if "loses" in m][:2] == ["linear", "small trees"]
    assert metrics["simpler"]["models"][1]["metric"] > 0.7
    assert "4 of 5 parts of the rows were not answered" in str(facts)


def test_one_class_in_the_oldest_rows_is_said(run: Run) -> None:
    late = TABLE.set_column(5, "late", pa.array([n > 2160 and n % 2 == 0 for n in range(ROWS)]))
    with pytest.raises(TargetError, match="False in all 2,160 rows but the newest"):
        run(late)


@pytest.mark.parametrize("event_time", ["at", None])
@pytest.mark.parametrize("rows", [30, 60, 400])
def test_a_short_history_is_judged_by_parts_and_learned_from_whole(
    run: Run, rows: int, event_time: str | None
) -> None:
    facts, files = run(TABLE.slice(0, rows), event_time=event_time, engine="lightgbm")
    metrics = files["metrics.json"]
    assert metrics["split"]["by"] == "folds"
    assert (facts["rows"], metrics["split"]["judge"]) == (rows, rows)
    assert facts["tuned_until"] == (
        TABLE["at"][rows - 1].as_py().isoformat() + ".000000Z" if event_time else None
    )
    if rows == 400:
        assert metrics["value"] > 0.7


def test_no_part_is_answered_by_a_model_that_learned_from_it(run: Run) -> None:
    """Labels without meaning and many columns: whoever had learned from the rows that it answers would know them."""
    rng = np.random.default_rng(5)
    noise = {f"n{i}": rng.normal(size=100) for i in range(60)}
    table = pa.table(
        {"id": np.arange(100), "at": TABLE["at"].slice(0, 100), **noise, "late": rng.random(100) < 0.5}
    )
    metrics = run(table, include=tuple(noise), slices=(), exclude=(), engine="linear")[1]["metrics.json"]
    assert metrics["split"]["by"] == "folds"
    assert 0.3 < metrics["metrics"]["roc_auc"] < 0.7


FEW = {
    "29 rows": (TABLE.slice(0, 29), "29 rows"),
    "four of the rarer class": (
        TABLE.slice(0, 100).set_column(5, "late", pa.array([n < 4 for n in range(100)])),
        "100 rows, 4 of the rarer class",
    ),
}


@pytest.mark.parametrize(("table", "words"), FEW.values(), ids=FEW)
def test_what_is_too_short_even_for_that_is_said(run: Run, table: pa.Table, words: str) -> None:
    with pytest.raises(TargetError, match=words) as caught:
        run(table)
    assert caught.value.hint


SEEN = {
    "a copy": (TABLE["late"], True),
    "its inverse": (pa.array([not v for v in TABLE["late"].to_pylist()]), True),
    "a copy as texts": (pa.array(["late" if v else "in time" for v in TABLE["late"].to_pylist()]), True),
    "a gap where it is late": (
        pa.array([None if v else n for n, v in enumerate(TABLE["late"].to_pylist())]),
        True,
    ),
    "a noisy copy": (pa.array(TABLE["late"].to_numpy().astype(float) + RNG.normal(0, 0.1, ROWS)), True),
    "ids in the order of the target": (
        pa.array(np.argsort(np.argsort(TABLE["late"].to_numpy(), kind="stable"))),
        True,
    ),
    "what it was made of": (TABLE["delay"], False),
    "noise": (pa.array(RNG.normal(size=ROWS)), False),
    "plain ids": (TABLE["id"], False),
}


@pytest.mark.parametrize(("values", "held"), SEEN.values(), ids=SEEN)
def test_a_column_that_tells_the_target_too_well_is_found(run: Run, values: pa.Array, held: bool) -> None:
    found = run(TABLE.append_column("leak", values), engine="linear")[1]["metrics.json"]["leaks"]
    assert [leak["column"] for leak in found] == (["leak"] if held else [])


def test_the_only_input_of_a_model_was_meant(run: Run) -> None:
    """But for a copy, which is nobody's honest model."""
    values, _ = SEEN["a noisy copy"]
    assert (
        run(TABLE.append_column("leak", values), include=("leak",), engine="linear")[1]["metrics.json"][
            "leaks"
        ]
        == []
    )
    copy = run(TABLE.append_column("leak", TABLE["late"]), include=("leak",), engine="linear")[1][
        "metrics.json"
    ]["leaks"]
    assert [leak["column"] for leak in copy] == ["leak"]


def test_the_event_time_is_known_however_well_it_tells_the_target(run: Run) -> None:
    afternoon = pa.array([at.hour >= 12 for at in TABLE["at"].to_pylist()])
    found = run(TABLE.set_column(5, "late", afternoon), engine="lightgbm")[1]["metrics.json"]
    assert (found["leaks"], found["value"] > 0.98) == ([], True)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("every", [2, 6, 24])
def test_rows_that_come_in_a_rhythm_hide_no_leak(kind: str, every: int) -> None:
    """Of every second row the codes are others than of those between: both must be among the rows that are looked at."""
    code = np.arange(1200) % every * 1.0
    y = np.minimum(code // max(1, every // 2), 1) if kind != "regression" else code * code
    assert leaks.alone(code, y, kind) > leaks.SURE[kind]


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_a_code_of_many_values_that_tells_nothing_is_no_leak(kind: str) -> None:
    """Each of its values stands in one or two rows: asked of the rows it was learned from it would tell all."""
    rng = np.random.default_rng(2)
    y = {
        "binary": rng.integers(0, 2, 120),
        "multiclass": rng.integers(0, 3, 120),
        "regression": rng.normal(size=120),
    }
    assert leaks.alone(rng.permutation(120) % 60 * 1.0, y[kind].astype(float), kind) < 0.65


NUMBERS = {
    "a copy": (TABLE["delay"], True),
    "another unit": (pa.array(TABLE["delay"].to_numpy() * -60 + 5), True),
    "its logarithm": (pa.array(np.log(TABLE["delay"].to_numpy() + 50)), True),
    "a noisy copy": (pa.array(TABLE["delay"].to_numpy() + RNG.normal(0, 0.05, ROWS)), True),
    "what it was made of": (pa.array(X * Z), False),
}


@pytest.mark.parametrize(("values", "held"), NUMBERS.values(), ids=NUMBERS)
def test_a_column_that_follows_a_number_is_found(run: Run, values: pa.Array, held: bool) -> None:
    table = TABLE.append_column("leak", values)
    found = run(table, targets=("delay",), exclude=("late",), metric="rmse", engine="linear")[1][
        "metrics.json"
    ]["leaks"]
    assert [leak["column"] for leak in found] == (["leak"] if held else [])
