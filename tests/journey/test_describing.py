"""DESCRIBE, SHOW and SUMMARIZE: what there is, deployed or only declared; examples that run as they are printed."""

import json
import re
from typing import Any

import pytest
from click.testing import CliRunner

import shop_project
import tilth
from tilth.core.errors import UnknownNameError
from tilth.interfaces.cli.commands import tilth as command


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = shop_project.make(tmp_path_factory.mktemp("shop") / "shop")
    with (folder / "more.sql").open("w") as file:
        file.write("CREATE SOURCE gone ENGINE files WITH (path = 'data');\n")
    (folder / "data").mkdir()
    found = tilth.open(str(folder))
    found.apply()
    with (folder / "more.sql").open("a") as file:
        file.write(
            "CREATE CHANNEL pager WITH (url = SECRET 'env:HOOK', key = SECRET 'env:KEY') NOTIFY ON (failed);\n"
        )
        file.write("CREATE DATASET later AS SELECT * FROM ops.deliveries;\n")
    (folder / "data").rmdir()
    return found


def facts(project: Any, name: str) -> Any:
    return project.sql(f"DESCRIBE {name}").facts


def test_a_model_says_what_it_takes_gives_and_is_worth(project: Any) -> None:
    found = facts(project, "late")
    inputs = {i["name"]: i for i in found["inputs"]}
    assert (found["deployed"], found["version"], found["files_differ"]) == (True, 1, False)
    assert set(inputs["carrier"]["categories"]) == {"fast", "slow", "own"}
    assert 1 <= inputs["distance"]["range"][0] < inputs["distance"]["range"][1] <= 60
    assert {o["name"]: o["type"] for o in found["outputs"]}["late_probability"] == "float"
    assert found["metric"] == "roc_auc"
    assert found["baselines"]["dummy"]["roc_auc"] == 0.5
    assert found["gate"]["outcome"] == "pass"
    assert (found["made_from"], found["used_by"]) == (["ops", "deliveries"], ["late_api"])


def test_an_example_runs_as_it_is_printed(project: Any) -> None:
    for name in ("late", "duration", "late_api"):
        made = facts(project, name)["example"]
        (row,) = project.sql(made["sql"]).rows()
        assert row
        call = made["python"].replace('tilth.open(".")', "project").removeprefix("import tilth; ")
        assert eval(call, {"project": project})


def test_a_dataset_says_columns_checks_and_refreshes(project: Any) -> None:
    found = facts(project, "DATASET deliveries")
    assert found["key"] == ["id"]
    assert found["event_time"] == "ordered_at"
    assert [c["passed"] for c in found["checks"]] == [True, True, True]
    assert [r["status"] for r in found["refreshes"]] == ["published"]
    assert "minutes" in {c["name"] for c in found["columns"]}


def test_what_is_only_declared_says_so(project: Any) -> None:
    found = facts(project, "later")
    assert (found["deployed"], found["rows"]) == (False, None)
    assert "not deployed in prod" in project.sql("DESCRIBE later").text


def test_a_source_says_its_tables_or_why_it_does_not_answer(project: Any) -> None:
    (table,) = facts(project, "ops")["tables"]
    assert table["name"] == "deliveries"
    assert {"name": "distance", "type": "float"} in table["columns"]
    assert facts(project, "gone")["error"]


def test_a_channel_says_what_it_tells_and_no_secret(project: Any) -> None:
    found = facts(project, "CHANNEL pager")
    assert (found["events"], found["model"]) == (["failed"], None)
    assert "SECRET 'env:HOOK'" in found["definition"]
    assert [r["name"] for r in project.sql("SHOW CHANNELS").rows()] == ["pager"]


def test_lists_say_what_is_deployed(project: Any) -> None:
    assert [(r["name"], r["deployed"]) for r in project.sql("SHOW DATASETS").rows()] == [
        ("deliveries", True),
        ("later", False),
    ]
    assert project.sql("SHOW MODELS LIKE 'LA%'").rows() == [
        {"name": "late", "deployed": True, "made_from": "deliveries", "used_by": "late_api"}
    ]
    assert project.sql("SHOW MODELS LIKE '100!%'").rows() == []
    assert [r["name"] for r in project.sql("SHOW TABLES LIKE 'ops.%'").rows()] == ["ops.deliveries"]
    assert [r["name"] for r in project.sql("SHOW ENVIRONMENTS").rows()] == ["prod"]


def test_a_source_that_does_not_answer_hides_no_other(project: Any) -> None:
    done = project.sql("SHOW TABLES")
    assert "ops.deliveries" in {r["name"] for r in done.rows()}
    assert ["gone" in words for words in done.told] == [True]


def test_a_summary_has_a_row_a_column(project: Any) -> None:
    rows = {r["column_name"]: r for r in project.sql("SUMMARIZE deliveries").rows()}
    assert rows["id"]["min"] == "0"
    assert rows["carrier"]["approx_unique"] == 3
    assert rows["minutes"]["count"] == 6000


@pytest.mark.parametrize(
    ("statement", "said"),
    {
        "DESCRIBE lat": "There is no resource `lat`.*Did you mean `late`",
        "DESCRIBE DATASET late": "There is no dataset `late`",
        "SUMMARIZE late": "There is no dataset `late`",
    }.items(),
)
def test_what_there_is_not_is_one_error(project: Any, statement: str, said: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        project.sql(statement)
    assert re.search(said, str(caught.value), re.DOTALL)


def test_the_command_prints_words_or_facts(project: Any) -> None:
    told = CliRunner().invoke(command, ["describe", "late_api", "--project", project.root])
    assert "POST /predict/late_api" in told.output
    assert "curl -s" in told.output
    plain = CliRunner().invoke(command, ["describe", "Late", "--project", project.root, "--json"])
    assert json.loads(plain.output)["name"] == "late"
