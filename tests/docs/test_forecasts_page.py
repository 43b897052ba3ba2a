"""The page on forecasts: its project is applied, and its questions have answers."""

import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import house_sales
from tilth.app.project import Project
from tilth.kinds import declares, parse, show
from tilth.kinds.model import forecasting

PAGE = (Path(__file__).parents[2] / "docs" / "forecasts.md").read_text("utf-8")
EXAMPLES = [
    x
    for e in re.findall(r"^```sql\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for x in parse(e, "forecasts.md")
]
ACTS = [x for x in EXAMPLES if not declares(x)]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("page") / "estate"
    (folder / "data").mkdir(parents=True)
    pq.write_table(house_sales.table(), folder / "data" / "house_sales.parquet")
    (folder / "page.sql").write_text("\n".join(show(x) for x in EXAMPLES if declares(x)))
    made = Project(str(folder))
    done = made.apply()
    assert {d.status for d in done.did} == {"done"}, [d.text for d in done.did]
    yield made
    made.close()


@pytest.mark.parametrize("number", range(len(ACTS)), ids=[" ".join(show(x).split())[:60] for x in ACTS])
def test_an_example_of_the_page_of_forecasts_answers(project: Any, number: int) -> None:
    done = project.sql(show(ACTS[number]))
    assert done.text or done.arrow().num_rows > 0


def test_every_option_of_a_forecast_is_on_the_page() -> None:
    assert not [o for o in forecasting.MADE if f"`{o} =" not in PAGE and f"{o} = " not in PAGE]
