"""`tilth import`: models of other tools become versions that are judged as any other; what would run something is refused."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import returns
from tilth.app.project import Project
from tilth.core.errors import TamperError, TilthError, UnsupportedError
from tilth.interfaces.cli.commands import run
from tilth.ports.learning import Budget, Task
from tilth.ports.registry import load

TASK = Task("binary", 2, ("price",))
MLMODEL = """artifact_path: null
flavors:
  {flavor}:
    code: null
    data: {file}
{about}
  python_function:
    data: {file}
    env:
      conda: conda.yaml
      virtualenv: python_env.yaml
    loader_module: mlflow.{flavor}
    python_version: 3.11.7
is_signature_from_type_hint: false
mlflow_version: 3.17.2
signature:
  inputs: '{inputs}'
  outputs: '[{{"type": "tensor", "tensor-spec": {{"dtype": "float64", "shape":
    [-1]}}}}]'
  params: null
utc_time_created: '{at}'
"""  # as MLflow 3.17.2 writes it


def folder(
    place: Path, flavor: str, file: str, content: bytes, about: str = "", inputs: str = "price", at: str = ""
) -> Path:
    """A folder as MLflow's save_model leaves it."""
    place.mkdir()
    (place / file).write_bytes(content)
    listed = json.dumps([{"type": "double", "name": n, "required": True} for n in inputs.split()])
    text = MLMODEL.format(
        flavor=flavor, file=file, about=f"    {about}" if about else "    x: y", inputs=listed, at=at
    )
    (place / "MLmodel").write_text(text)
    return place


def rows() -> tuple[np.ndarray, np.ndarray]:
    """Prices and outcomes of all days that pass the checks, in the order of their ids."""
    found = [one for day in range(returns.HISTORY) for one in returns.orders(day) if one[2] >= 0]
    return np.array([[r[2]] for r in found]), np.array([float(r[4]) for r in found])


def lightgbm() -> bytes:
    x, y = rows()
    options = {"refit_rounds": 20, "learning_rate": 0.1, "num_leaves": 7}
    learner = load("tilth.learners", "lightgbm")()
    return bytes(
        learner.fit(TASK, x, y, x, y, Budget(float("inf"), 1, 3), options, lambda _w, _d: None).payload
    )


def xgboost(form: str) -> tuple[bytes, np.ndarray]:
    import xgboost

    x, y = rows()
    data = xgboost.DMatrix(x, y, feature_names=["price"], nthread=1)
    told = {"objective": "binary:logistic", "max_depth": 3, "nthread": 1, "base_score": 0.3}
    made = xgboost.train(told, data, 15)
    return bytes(made.save_raw(form)), made.predict(data)


def sklearn(*steps: Any) -> tuple[bytes, np.ndarray]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from skops.io import dumps

    x, y = rows()
    made = make_pipeline(*steps, LogisticRegression()).fit(x, y.astype(int))
    return dumps(made), made.predict_proba(x)[:, 1]


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of orders with one version that serves, beside it that version as a folder of MLflow's."""
    place = tmp_path_factory.mktemp("import")
    shop = returns.make(place / "shop")
    project, _ = returns.opened(shop)
    project.apply()
    project.close()
    line = ["export", "returns", "--format", "mlflow", "--output", str(place / "m"), "--project", str(shop)]
    assert run(line) == 0
    return place


@pytest.fixture(scope="module")
def project(applied: Path) -> Iterator[Project]:
    """A copy for all that add only versions that do not serve."""
    shutil.copytree(applied / "shop", applied / "copy")
    found, _ = returns.opened(applied / "copy")
    yield found
    found.close()


def numbers(project: Project) -> list[int]:
    return [r["version"] for r in project.sql("SELECT version FROM tilth.versions ORDER BY 1").rows()]


def said(project: Project, version: int) -> np.ndarray:
    """What a version answers to all orders, by id."""
    query = (
        f"SELECT m.returned_probability AS p FROM orders o JOIN returns FOR VERSION {version} m ORDER BY o.id"
    )
    return np.array([r["p"] for r in project.sql(query).rows()])


# --- what comes back ---------------------------------------------------------------------------------------


def test_what_was_exported_comes_back_with_the_same_answers_and_newer_rows_let_it_in(
    applied: Path, tmp_path: Path
) -> None:
    shop = tmp_path / "shop"
    shutil.copytree(applied / "shop", shop)
    returns.add(shop, *range(returns.HISTORY, returns.HISTORY + 6))
    project, _ = returns.opened(shop, returns.HISTORY + 6)
    project.apply()
    done = project.bring("returns", str(applied / "m"))
    assert (done.facts["version"], done.facts["status"], done.refused) == (2, "promoted", False)
    assert "answers every row as the champion does" in done.text
    assert not list((shop / ".tilth" / "temp").iterdir())
    assert "newer than it says that it is (2024-03-01" in done.text
    assert (said(project, 2) == said(project, 1)).all()
    assert project.model("returns").version == 2
    assert not project.plan().actions
    assert project.verify().bundles == 2
    (row,) = project.sql("SELECT engine, reason FROM tilth.versions WHERE version = 2").rows()
    assert row == {"engine": "linear", "reason": "imported from m, a tilth model"}
    returns.add(shop, returns.HISTORY + 6)
    project.clock.set(returns.at(returns.HISTORY + 7))
    project.apply()
    again = project.sql("RETRAIN MODEL returns")  # the next candidate is compared with what was imported
    assert "Version 2 was imported" in again.text
    project.close()


def test_rows_that_it_may_know_do_not_let_it_in_and_a_person_may(applied: Path, tmp_path: Path) -> None:
    shutil.copytree(applied / "shop", tmp_path / "shop")
    project, _ = returns.opened(tmp_path / "shop")
    done = project.bring("returns", str(applied / "m"))
    assert (done.facts["status"], done.refused) == ("held", True)
    assert "Rows that it may have learned from let nothing in." in done.text
    assert project.model("returns").version == 1
    assert project.sql("PROMOTE MODEL returns VERSION 2 BECAUSE 'we know it'").text
    assert project.model("returns").version == 2
    told = project.sql("SELECT text FROM tilth.notices WHERE kind = 'imported'").rows()
    assert ["It was not trained here" in t["text"] for t in told] == [True]
    project.close()


def _lightgbm(place: Path) -> tuple[Path, np.ndarray]:
    text = lightgbm()
    x, _ = rows()
    answers = load("tilth.scorers", "lightgbm").load(text, TASK, 1).score(x)
    return folder(place, "lightgbm", "model.lgb", text, "lgb_version: 4.7.0"), answers


def _xgboost(form: str) -> Callable[[Path], tuple[Path, np.ndarray]]:
    def made(place: Path) -> tuple[Path, np.ndarray]:
        content, answers = xgboost(form)
        return folder(
            place, "xgboost", f"model.{form}", content, "model_class: xgboost.core.Booster"
        ), answers

    return made


def _sklearn(place: Path) -> tuple[Path, np.ndarray]:
    from sklearn.impute import SimpleImputer

    content, answers = sklearn(SimpleImputer())
    return folder(place, "sklearn", "model.skops", content, "serialization_format: skops"), answers


@pytest.mark.parametrize(
    ("make", "off"),
    [(_lightgbm, 0.0), (_xgboost("json"), 1e-6), (_xgboost("ubj"), 1e-6), (_sklearn, 0.0)],
    ids=["lightgbm", "xgboost json", "xgboost ubj", "sklearn skops"],
)
def test_a_model_of_another_tool_answers_here_as_it_did_there(
    project: Project, tmp_path: Path, make: Callable[[Path], tuple[Path, np.ndarray]], off: float
) -> None:
    place, wanted = make(tmp_path / "model")
    done = project.bring("returns", str(place))
    assert done.facts["status"] in {"held", "refused"}
    assert "it may have learned from these rows" in done.text
    assert np.abs(said(project, done.facts["version"]) - wanted).max() <= off
    assert project.model("returns").version == 1


def test_the_command_says_what_came_of_it_of_a_folder_named_from_here(
    applied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(applied / "shop", tmp_path / "shop")
    shutil.copytree(applied / "m", tmp_path / "m")
    monkeypatch.chdir(tmp_path / "shop")
    line = ["import", "returns", "../m", "--json"]
    assert run(line) == 8
    facts = json.loads(capsys.readouterr().out)
    assert (facts["model"], facts["version"], facts["status"]) == ("returns", 2, "held")
    assert any("PROMOTE MODEL returns VERSION 2 BECAUSE" in step for step in facts["next"])


# --- what is refused ---------------------------------------------------------------------------------------


def _bare(text: str) -> Callable[[Path], Path]:
    def made(place: Path) -> Path:
        place.mkdir()
        (place / "MLmodel").write_text(text)
        return place

    return made


def _with(flavor: str, file: str, content: bytes, about: str = "", **more: str) -> Callable[[Path], Path]:
    return lambda place: folder(place, flavor, file, content, about, **more)


def _linked(place: Path) -> Path:
    made = folder(place, "lightgbm", "model.lgb", b"")
    (made / "model.lgb").unlink()
    (made / "model.lgb").symlink_to("/etc/passwd")
    return made


def _gaps(place: Path) -> Path:
    return folder(place, "sklearn", "model.skops", sklearn()[0], "serialization_format: skops")


def _changed(find: bytes, put: bytes, inputs: str = "price") -> Callable[[Path], Path]:
    def made(place: Path) -> Path:
        text = lightgbm()
        assert find in text
        return folder(place, "lightgbm", "model.lgb", text.replace(find, put, 1), inputs=inputs)

    return made


PICKLE = b"\x80\x04\x95\x1e\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x02id\x94\x85\x94R\x94."
PYFUNC = "flavors:\n  python_function:\n    loader_module: mlflow.pyfunc.model\n    python_model: python_model.pkl\n"
REFUSED: dict[str, tuple[Callable[[Path], Path], type[TilthError], str, str]] = {
    "no folder": (lambda place: place, UnsupportedError, "There is no folder", "MLflow's save_model"),
    "no MLmodel": (lambda place: (place.mkdir(), place)[1], UnsupportedError, "no MLmodel", "save_model"),
    "code alone": (_bare(PYFUNC), UnsupportedError, "no flavor but python_function", "serialization_format='skops'"),
    "scikit-learn as a pickle": (
        _with("sklearn", "model.pkl", PICKLE, "serialization_format: cloudpickle"), UnsupportedError,
        "keeps its scikit-learn model as cloudpickle", "serialization_format='skops'",
    ),
    "a pickle by another name": (
        _with("lightgbm", "model.lgb", PICKLE), UnsupportedError, "a pickle as its model", "model.booster_",
    ),
    "a wrapper of LightGBM": (
        _with("lightgbm", "model.skops", b"PK\x03\x04"), UnsupportedError, "no text as Booster.save_model writes it", "booster_",
    ),
    "no skops file": (
        _with("sklearn", "model.skops", b"PK\x03\x04", "serialization_format: skops"), TamperError, "", "",
    ),
    "an estimator that takes no gaps": (_gaps, UnsupportedError, "answers no row with a gap", "SimpleImputer"),
    "onnx": (
        _bare("flavors:\n  onnx:\n    data: model.onnx\n  python_function:\n    loader_module: mlflow.onnx\n"),
        UnsupportedError, "has the flavors onnx, python_function, which are not read", "no runtime of ONNX",
    ),
    "a path out of the folder": (
        _bare("flavors:\n  lightgbm:\n    data: ../model.lgb\n"), UnsupportedError, "which file beside it", "Save the model again",
    ),
    "a link": (_linked, TamperError, "is a symlink", ""),
    "a tag of YAML": (_bare("flavors: !!python/object/apply:os.system ['id']\n"), UnsupportedError, "Line 1 of the MLmodel", "save_model"),
    "an input that is none": (
        _with("lightgbm", "model.lgb", b"", inputs="price weight"), UnsupportedError, "no text as Booster", "",
    ),
    "another input": (_changed(b"version=v4", b"version=v4", "weight"), UnsupportedError, "takes the input `weight`, which is none", "Inputs: "),
    "a text as a number": (_changed(b"version=v4", b"version=v4", "shop"), UnsupportedError, "takes `shop` as a number", "CAST"),
    "another objective": (
        _changed(b"objective=binary sigmoid:1", b"objective=lambdarank"), UnsupportedError, "the objective `lambdarank`", "Train it here",
    ),
    "another task": (
        _changed(b"objective=binary sigmoid:1", b"objective=regression"), UnsupportedError, "is a regression one", "declared with its target",
    ),
    "a child that is not there": (_changed(b"left_child=", b"left_child=9"), TamperError, "not whole", ""),
    "sizes that do not agree": (_changed(b"tree_sizes=", b"tree_sizes=1"), TamperError, "trees have other sizes", ""),
    "no XGBoost": (_with("xgboost", "model.json", b'{"learner": {}}'), TamperError, "XGBoost model is not whole", "save_model"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_read_is_refused_with_what_to_do_and_leaves_nothing(
    project: Project, tmp_path: Path, name: str
) -> None:
    make, kind, why, hint = REFUSED[name]
    place, before = make(tmp_path / "model"), numbers(project)
    with pytest.raises(kind) as error:
        project.bring("returns", str(place))
    assert why in str(error.value)
    assert hint in (error.value.hint or "")
    assert numbers(project) == before


def test_a_changed_bundle_is_refused(project: Project, applied: Path, tmp_path: Path) -> None:
    shutil.copytree(applied / "m", tmp_path / "m")
    kept = tmp_path / "m" / "bundle" / "calibration.json"
    kept.write_bytes(kept.read_bytes().replace(b'"threshold": 0.5', b'"threshold": 0.4'))
    with pytest.raises(TamperError, match="not the ones that were signed"):
        project.bring("returns", str(tmp_path / "m"))


def test_a_model_that_is_not_declared_says_so(project: Project, applied: Path) -> None:
    with pytest.raises(TilthError, match="There is no model `other`"):
        project.bring("other", str(applied / "m"))
