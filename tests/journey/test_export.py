"""`tilth export`: what is written where, what is refused and why, and that nothing of others is written over."""

import json
from pathlib import Path

import onnx
import pytest

import returns
from tilth.interfaces.cli.commands import run

OTHERS = "CREATE MODEL own PREDICT price FROM orders USING (engine = 'sklearn', estimator = 'own:make');\n"
OWN = "from sklearn.linear_model import LinearRegression\n\ndef make():\n    return LinearRegression()\n"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = returns.make(tmp_path_factory.mktemp("export") / "shop")
    (folder / "others.sql").write_text(OTHERS)
    (folder / "estimators").mkdir()
    (folder / "estimators" / "own.py").write_text(OWN)
    project, _ = returns.opened(folder)
    project.apply()
    project.close()
    return folder


def export(shop: Path, *line: str) -> int:
    return run(["export", *line, "--project", str(shop)])


def test_an_onnx_file_says_which_version_it_is_and_how_well_it_answers(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "returns.onnx"
    assert export(shop, "returns", "--format", "onnx", "--output", str(path), "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["off_by"] < 1e-12
    assert facts["rows"] >= 5_000
    said = {p.key: p.value for p in onnx.load(path).metadata_props}
    assert (said["model"], said["version"], said["digest"]) == ("returns", "1", facts["digest"])
    before = path.read_bytes()
    assert export(shop, "returns", "--format", "onnx", "--output", str(path)) == 2
    assert "There is a file at" in capsys.readouterr().err
    assert export(shop, "returns", "--format", "onnx", "--output", str(path), "--force") == 0
    assert path.read_bytes() == before


def test_a_folder_for_mlflow_is_replaced_only_where_tilth_wrote_it(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert export(shop, "returns", "--format", "mlflow") == 0
    folder = tmp_path / "returns-1-mlflow"
    assert {p.name for p in folder.iterdir()} == {"MLmodel", "bundle", "python_env.yaml", "requirements.txt"}
    assert not [p for p in folder.rglob("*") if p.suffix in {".pkl", ".pickle", ".joblib", ".py"}]
    (folder / "left.txt").write_text("mine")
    assert export(shop, "returns", "--format", "mlflow") == 2
    assert export(shop, "returns", "--format", "mlflow", "--force") == 0
    assert not (folder / "left.txt").exists()
    other = tmp_path / "other"
    other.mkdir()
    (other / "MLmodel").write_text("loader_module: mlflow.sklearn")
    capsys.readouterr()
    assert export(shop, "returns", "--format", "mlflow", "--output", str(other), "--force") == 2
    assert "is no folder that `tilth export` has written" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["other", "returns-1-mlflow"]


@pytest.mark.parametrize(
    ("line", "status", "says"),
    [
        (["own", "--format", "onnx"], 2, "kept in the format `skops`, which is not said in ONNX"),
        (["nothing", "--format", "onnx"], 2, "There is no model `nothing`"),
        (
            ["returns", "--format", "onnx", "--version", "9"],
            2,
            "There is no version 9 of the model `returns`",
        ),
        (["returns@9", "--format", "mlflow"], 2, "There is no version 9 of the model `returns`"),
        (["returns@x", "--format", "mlflow"], 2, "'x' is not a version's number"),
        (["returns", "--format", "pickle"], 2, "Invalid value for '--format'"),
        (["returns", "--format", "onnx", "--output", "nowhere/a.onnx"], 2, "There is no place for a file"),
    ],
)
def test_what_cannot_be_exported_is_said_and_nothing_is_written(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    line: list[str], status: int, says: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    found = export(shop, *line)
    told = capsys.readouterr().err
    assert says in told
    assert found == status
    assert not list(tmp_path.iterdir())
