"""`tilth report`: what it draws is of the rows that judged the version, for every kind of task; and what it says when it cannot."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import returns
from tilth.app.project import Project
from tilth.interfaces.cli.commands import run
from tilth.interfaces.report.page import page

OTHERS = """
CREATE MODEL price PREDICT price FROM orders USING (engine = 'linear');
CREATE MODEL shop PREDICT shop FROM orders USING (engine = 'linear');
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = returns.make(tmp_path_factory.mktemp("report") / "shop")
    (folder / "others.sql").write_text(OTHERS)
    project, _ = returns.opened(folder)
    project.apply()
    project.close()
    return folder


@pytest.fixture
def project(shop: Path) -> Any:
    made, _ = returns.opened(shop)
    yield made
    made.close()


def test_the_curve_is_of_the_rows_that_judged_the_version(project: Project) -> None:
    facts = project.report("returns")
    judged = facts["judged"]
    assert judged["rows"] == facts["gate"]["rows"]
    area = np.trapezoid(judged["ranking"]["tpr"], judged["ranking"]["fpr"])
    assert area == pytest.approx(facts["value"], abs=0.005)
    assert sum(map(sum, judged["confusion"]["rows"])) == judged["rows"]
    assert sum(b["rows"] for b in judged["reliability"]["bins"]) == judged["rows"]
    assert [g["candidate"] for g in facts["gates"]] == [1]


def test_a_number_is_off_by_what_its_metric_says(project: Project) -> None:
    facts = project.report("price")
    assert facts["judged"]["rows"] == facts["gate"]["rows"]
    assert sum(facts["judged"]["residuals"]["counts"]) == facts["judged"]["rows"]
    assert facts["judged"]["residuals"]["median"] <= facts["metrics"]["rmse"]


def test_an_effect_is_the_mean_answer_with_the_input_as_it_is_set(project: Project) -> None:
    (effect,) = [e for e in project.report("returns")["effects"] if e["input"] == "price"]
    assert effect["means"] == sorted(effect["means"])  # dear ones come back more often
    at = effect["values"][3]
    asked = project.sql(
        f"SELECT avg(m.returned_probability) AS p FROM orders o JOIN returns m ON m.price = {at!r} AND m.shop = o.shop AND m.placed = o.placed"
    )
    assert effect["means"][3] == pytest.approx(asked.rows()[0]["p"], abs=0.05)


@pytest.mark.parametrize("name", ["returns", "price", "shop"])
def test_a_page_is_made_of_each_kind(project: Project, name: str) -> None:
    assert f"<h1>{name}" in page(project.report(name))


def line(shop: Path, capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = run(["report", *arguments, "--project", str(shop)])
    told = capfd.readouterr()
    return status, told.out, told.err


def test_the_command_writes_a_file_and_says_where(
    shop: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "r.html"
    status, out, err = line(shop, capfd, "model", "returns", "--output", str(path))
    assert (status, err) == (0, "")
    assert out.startswith(f"{path} tells of returns version 1.")
    assert path.read_text().startswith("<!doctype html>")
    assert [p.name for p in tmp_path.iterdir()] == ["r.html"]
    status, out, err = line(shop, capfd, "model", "returns", "--output", str(path))
    assert status == 2
    assert "There is a file at" in err
    assert line(shop, capfd, "model", "returns", "--output", str(path), "--force")[0] == 0
    status, out, _ = line(shop, capfd, "model", "returns", "--json")
    assert json.loads(out)["judged"]["rows"] > 0


WRONG: dict[str, tuple[tuple[str, ...], int, str]] = {
    "no model": (("model", "retruns"), 2, "Did you mean `returns`?"),
    "a dataset": (("model", "orders"), 2, "There is no model `orders`"),
    "another kind": (("source", "orders"), 2, "Invalid value"),
    "an environment without it": (
        ("model", "returns", "--env", "dev"),
        2,
        "There is no model `returns` in `dev`",
    ),
    "a folder that is not there": (
        ("model", "returns", "--output", "/nonexistent/r.html"),
        2,
        "There is no place for a file",
    ),
    "a folder": (("model", "returns", "--output", "/", "--force"), 2, "There is no place for a file"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_reported_is_said(shop: Path, capfd: pytest.CaptureFixture[str], what: str) -> None:
    arguments, status, words = WRONG[what]
    found, _, err = line(shop, capfd, *arguments)
    assert found == status
    assert words in err


def test_an_environment_has_the_reports_of_all_it_holds(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "prod.html"
    assert run(["report", "environment", "prod", "--project", str(shop), "--output", str(out)]) == 0
    text = out.read_text()
    for name in ("model-returns", "model-price", "model-shop", "dataset-orders"):
        assert f'id="{name}"' in text
        assert f'href="#{name}"' in text
    assert text.count("<h1>") == 1
    assert "Needs attention" in text
    assert "<script" not in text
    assert (
        run(["report", "environment", "nope", "--project", str(shop), "--output", str(tmp_path / "x.html")])
        != 0
    )
    assert "There is no environment `nope`" in capsys.readouterr().err
    assert not (tmp_path / "x.html").exists()
