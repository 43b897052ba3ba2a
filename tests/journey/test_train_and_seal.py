"""A model is trained on real data, sealed, and found whole again; the same recipe and rows give the same bytes."""

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from tilth.adapters.files.keys import LocalKeys
from tilth.core.errors import DataError, TamperError, TargetError
from tilth.ml.bundles.provenance import Subject
from tilth.ml.bundles.signing import seal, verify
from tilth.ml.learning.dealing import Files
from tilth.ml.learning.training import train
from tilth.ml.model.spec import TrainingSpec
from tilth.ports.registry import load

LEARNERS, SCORERS = partial(load, "tilth.learners"), partial(load, "tilth.scorers")
SUBJECT = Subject("tumour", 1, "1:abc", "s1")


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The Wisconsin breast cancer data that scikit-learn ships, one row an hour, with a word for its label."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer()
    columns = {name.replace(" ", "_"): data.data[:, i] for i, name in enumerate(data.feature_names)}
    start = datetime(2013, 1, 1, tzinfo=UTC).replace(tzinfo=None)
    columns["seen_at"] = [start + timedelta(hours=n) for n in range(len(data.target))]
    columns["id"] = list(range(len(data.target)))
    columns["benign"] = data.target.astype(bool)
    columns["always"] = ["x"] * len(data.target)
    path = tmp_path_factory.mktemp("data") / "rows.parquet"
    pq.write_table(pa.table(columns), path)
    return str(path)


def spec(**changes: object) -> TrainingSpec:
    given: dict[str, object] = {
        "model": "tumour",
        "targets": ("benign",),
        "key": ("id",),
        "event_time": "seen_at",
        "exclude": ("always",),
        "metric": "roc_auc",
        "time_limit": 300.0,  # that no clock decides
    }
    return TrainingSpec(**{**given, **changes})  # type: ignore[arg-type]


def made(of: TrainingSpec, rows: str, out: Path) -> dict[str, object]:
    return train(of, Files([rows]), str(out), LEARNERS, SCORERS, lambda _what, _share: None)


@pytest.mark.parametrize("engine", ["auto", "linear", "sklearn"])
def test_the_same_recipe_and_rows_give_the_same_bundle(rows: str, tmp_path: Path, engine: str) -> None:
    of = spec(engine=engine)
    first, second = made(of, rows, tmp_path / "a"), made(of, rows, tmp_path / "b")
    assert first["files"] == second["files"]
    for name in sorted(p.name for p in (tmp_path / "a").iterdir()):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_a_sealed_bundle_verifies_and_one_flipped_bit_does_not(rows: str, tmp_path: Path) -> None:
    facts = made(spec(), rows, tmp_path / "bundle")
    assert facts["tuned_until"]
    keys = LocalKeys(tmp_path / "keys")
    seal(tmp_path / "bundle", SUBJECT, keys, {"engine": str(facts["engine"])})
    found = verify(tmp_path / "bundle", SUBJECT, keys)
    assert {"signature.json", "prepare.json", "metrics.json", "MLmodel"} <= set(found.files)
    member = tmp_path / "bundle" / "signature.json"
    data = bytearray(member.read_bytes())
    data[len(data) // 2] ^= 1
    member.write_bytes(bytes(data))
    with pytest.raises(TamperError, match=r"signature\.json"):
        verify(tmp_path / "bundle", SUBJECT, keys)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"targets": ("always",), "exclude": ()}, TargetError),
        ({"targets": ("benigm",)}, DataError),
        ({"targets": ("seen_at",), "event_time": None}, TargetError),
    ],
)
def test_a_target_that_cannot_be_learned_is_refused_with_a_next_step(
    rows: str, tmp_path: Path, changes: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error) as caught:
        made(spec(**changes), rows, tmp_path / "out")
    assert getattr(caught.value, "hint", None)


def test_a_verified_bundle_predicts_alike_by_row_and_by_table(rows: str, tmp_path: Path) -> None:
    import msgspec
    import pyarrow.parquet as pq

    from tilth.core.errors import InputError
    from tilth.ml.model.predictor import Predictor

    made(spec(), rows, tmp_path / "bundle")
    keys = LocalKeys(tmp_path / "keys")
    sealed = seal(tmp_path / "bundle", SUBJECT, keys, {})
    files = verify(tmp_path / "bundle", SUBJECT, keys, sealed.digest).files
    predictor = Predictor.load(files, SCORERS, 1, sealed.digest)
    table = pq.read_table(rows).slice(500)
    batch = predictor.predict(table)
    names = [n for n in table.column_names if n not in {"benign", "always", "id", "seen_at"}]
    for n in range(5):
        row = {name: table[name][n].as_py() for name in names}
        row["seen_at"] = table["seen_at"][n].as_py().isoformat()
        for order in (row, dict(reversed(row.items()))):
            one = predictor.predict_rows([order])[0]
            assert one["benign"] == batch["benign"][n].as_py()
            assert one["benign_confidence"] == batch["benign_confidence"][n].as_py()
    with pytest.raises(InputError, match="mean_radius"):
        predictor.predict_rows([{**row, "mean_radios": 1.0}])
    with pytest.raises(InputError):
        predictor.predict_rows([{k: v for k, v in row.items() if k != "mean_radius"}])
    assert msgspec.json.encode(one)
