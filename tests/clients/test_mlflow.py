"""A folder that `tilth export --format mlflow` writes, loaded and asked by MLflow's own client in an environment of its own."""

import shutil
import subprocess
import sysconfig
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import every_type
import strangers
import tilth
from tilth.interfaces.cli.commands import run

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def python() -> Path:
    ours = Path(tilth.__file__).parents[1]
    beside = dict.fromkeys((sysconfig.get_path("purelib"), str(ours)))
    return strangers.environment("mlflow", HERE / "mlflow.lock", *beside) / "python"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = every_type.applied(tmp_path_factory.mktemp("mlflow") / "p")
    for model in ("m", "strict_m"):
        line = [
            "export",
            model,
            "--format",
            "mlflow",
            "--output",
            str(folder / model),
            "--project",
            str(folder),
        ]
        assert run(line) == 0
    return folder


def score(python: Path, folder: Path, rows: pa.Table, work: Path) -> subprocess.CompletedProcess[str]:
    pq.write_table(rows, work / "rows.parquet")
    line = [python, HERE / "score_mlflow.py", folder, work / "rows.parquet", work / "answers.parquet"]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("model", ["m", "strict_m"])
def test_mlflow_answers_to_the_bit_as_tilth_does(
    python: Path, exported: Path, tmp_path: Path, model: str
) -> None:
    rows = every_type.rows().drop_columns(["id", "y"]).slice(0, 200)
    done = score(python, exported / model, rows, tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    project = tilth.open(str(exported))
    ours = project.model(model).predict(rows.to_pandas())
    project.close()
    theirs = pq.read_table(tmp_path / "answers.parquet")
    assert theirs.column_names == ["y", "y_confidence", "y_probability"]
    for name in theirs.column_names:
        assert theirs[name].to_pylist() == ours[name].to_pylist()


def test_a_bundle_that_was_changed_is_not_loaded(python: Path, exported: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(exported / "m", tmp_path / "m")
    prepared = folder / "bundle" / "prepare.json"
    prepared.write_bytes(prepared.read_bytes().replace(b'"c"', b'"d"'))
    done = score(python, folder, every_type.rows().drop_columns(["id", "y"]), tmp_path)
    assert done.returncode != 0
    assert "changed file: 'prepare.json'" in done.stderr
