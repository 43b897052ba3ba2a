"""A package that tilth does not know brings an engine of models: it trains in the jail, passes the gate and serves, like ours."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import shop_project as c
from http_server import up

PACKAGE = Path(__file__).parents[1] / "fixtures" / "stranger"
MODEL = """
CREATE SOURCE ops ENGINE sqlite WITH (path = 'ops.db');
CREATE DATASET deliveries KEY (id) EVENT TIME ordered_at AS SELECT * FROM ops.deliveries;
CREATE MODEL late PREDICT late FROM deliveries FEATURES (* EXCEPT (minutes))
  OBJECTIVE (metric = 'roc_auc', minimum = 0.6) USING (engine = 'stranger'%s);
CREATE ENDPOINT late_api FOR MODEL late;
"""
ROW = {"carrier": "slow", "distance": 55.0, "ordered_at": "2024-04-01T20:00:00"}


@pytest.fixture(scope="module", autouse=True)
def packages(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Installed where PYTHONPATH says, for this process's children."""
    made = tmp_path_factory.mktemp("stranger")
    shutil.copytree(PACKAGE, made / "source")
    install = [
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--target",
        made / "lib",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pip", *install, "--disable-pip-version-check", made / "source"],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", str(made / "lib"))
        yield made / "lib"


def run(folder: Path, *arguments: str, status: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tilth", *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )  # fmt: skip
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = c.make(tmp_path_factory.mktemp("with") / "shop", MODEL % ", stranger.softness = 2.5")
    told = run(folder, "apply")
    assert "late: version 1 (stranger, 6,000 rows) with roc_auc" in told
    return folder


def test_it_trains_in_the_jail_passes_the_gate_and_answers_at_every_door(applied: Path) -> None:
    asked = [f"{name}={value}" for name, value in ROW.items()]
    here = json.loads(run(applied, "predict", "late", *asked, "--json"))
    with up(applied) as server:
        answer = server.predict(ROW)
    assert answer.status == 200
    assert answer.json["late"] is True
    assert "does not tell what each input added" in run(applied, "predict", "late", *asked, "--explain")
    assert answer.json["late_confidence"] == pytest.approx(here["late_confidence"])
    unlike = {**ROW, "carrier": "Slow", "distance": 1e9}
    for how in ("--json", "--explain"):
        told = run(applied, "predict", "late", *(f"{name}={value}" for name, value in unlike.items()), how)
        assert "`carrier`: training never had 'Slow' and answers as for a gap; it had 'slow'." in told
        assert "`distance`: 1,000,000,000 is beyond what training had" in told


def test_what_it_learned_with_is_evidence(applied: Path) -> None:
    (member,) = (applied / ".tilth" / "bundles").glob("*/*/member.json")
    assert json.loads(member.read_text())["softness"] == 2.5
    told = run(applied, "sql", "SELECT engine, status FROM tilth.versions", "--json")
    assert '"engine": "stranger"' in told
    assert run(applied, "verify")


def test_it_is_listed_and_what_is_broken_of_its_package_is_told_by_name_and_stops_nothing(
    applied: Path,
) -> None:
    rows = json.loads(
        run(applied, "sql", "SELECT name, package, version, fault FROM tilth.engines", "--json")
    )
    told = {row["name"]: row for row in rows}
    assert (told["stranger"]["package"], told["stranger"]["version"]) == ("tilth-stranger", "2.3.0")
    assert (
        "`ruined` of the package tilth-stranger does not load: ModuleNotFoundError" in told["ruined"]["fault"]
    )
    assert told["linear"]["fault"] is None
    page = subprocess.run(
        [sys.executable, "-c", "import generate; print(generate._extensions())"],
        cwd=PACKAGE.parents[2] / "docs", capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert (
        "| autogluon, catboost, extra_trees, lightgbm, linear, ruined, sklearn, stranger, text, xgboost |"
        in page.stdout
    )
    said = " ".join(run(applied, "--help").split())
    assert (
        "auto, autogluon, catboost, extra_trees, lightgbm, linear, ruined, sklearn, stranger, text, xgboost"
        in said
    )


REFUSED = {
    "a wrong option": (", stranger.softnes = 2", "has no option `softnes`", "Did you mean `softness`?"),
    "an option without its engine": (
        ", softness = 2",
        "one of the engine `stranger`",
        "Write stranger.softness = ...",
    ),
    "a wrong value": (", stranger.softness = 'very'", "does not fit", "a number of at least 0.01"),
    "an estimator": (", estimator = 'a:b'", "only the engine `sklearn`", "engine = 'sklearn'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_mistake_is_refused_by_plan_with_its_place(tmp_path: Path, name: str) -> None:
    given, says, hint = REFUSED[name]
    told = run(c.make(tmp_path / "shop", MODEL % given), "plan", status=2)
    assert says in told
    assert hint in told
    assert "shop.sql:" in told


def test_a_broken_engine_is_refused_by_name_and_package(tmp_path: Path) -> None:
    told = run(c.make(tmp_path / "shop", MODEL.replace("'stranger'", "'ruined'") % ""), "plan", status=12)
    assert "`ruined` of the package tilth-stranger does not load" in told
    assert "pip install --force-reinstall tilth-stranger" in told


def test_without_the_package_the_model_is_told_as_it_is(
    applied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPATH")
    assert "stranger" not in os.environ.get("PYTHONPATH", "")
    assert "There is no engine of models called `stranger`" in run(applied, "plan", status=2)
    asked = [f"{name}={value}" for name, value in ROW.items()]
    told = run(applied, "predict", "late", *asked, status=12)
    assert "Version 1 of model `late` cannot be loaded: There is no model format `stranger`" in told
    assert "Install the package that it was made with" in told
