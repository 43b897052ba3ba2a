"""Every example of the language's page runs, in the order of the page, on real flights."""

import os
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

import tilth
from tilth.core.errors import TilthError
from tilth.core.time import parse_instant
from tilth.interfaces.demo import data
from tilth.kinds import declares, parse, show
from tilth.ports.clock import ManualClock
from tilth.sql.language import acts as a
from tilth.sql.language import statements as s
from tilth.sql.language.mending import HoldQuarantine, ReleaseQuarantine

PAGE = (Path(__file__).parents[2] / "docs" / "language.md").read_text("utf-8")
EXAMPLES = [
    x
    for e in re.findall(r"^```sql\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for x in parse(e, "language.md")
]
ACTS = [x for x in EXAMPLES if not declares(x)]
SERVERS = [  # no hosts of ours
    x
    for x in EXAMPLES
    if isinstance(x, s.CreateSource)
    and (
        x.engine in {"postgres", "mysql", "s3", "http", "dbt"} or "url" in x.options or "catalog" in x.options
    )
]
OWN = """
from sklearn.tree import DecisionTreeClassifier

def make():
    return DecisionTreeClassifier(min_samples_leaf=50)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The page's declarations as a project over January's and February's flights, applied."""
    folder = tmp_path_factory.mktemp("page") / "flights"
    data.make(str(folder / "data"), datetime(2013, 3, 1), timedelta(days=1))
    (folder / "data" / "flights.db").rename(folder / "flights.db")
    with duckdb.connect(folder / "lake.duckdb") as lake:
        lake.execute("CREATE TABLE events AS SELECT 1 AS id")
    (folder / "lakehouse").mkdir()
    (folder / "warehouse" / "trips").mkdir(parents=True)
    (folder / "estimators").mkdir()
    (folder / "estimators" / "mymodels.py").write_text(OWN)
    declared = [x for x in EXAMPLES if declares(x) and x not in SERVERS]
    (folder / "page.sql").write_text("\n".join(map(show, declared)))
    os.environ |= {"OPS_HOOK": "http://127.0.0.1:9/", "OPS_KEY": "k3y"}  # nothing is sent: nobody reconciles
    made = tilth.open(str(folder))
    made.clock = ManualClock(parse_instant("2013-03-01T00:00:00Z"))
    done = made.apply()
    assert {d.status for d in done.did} == {"done"}, [d.text for d in done.did]
    made.sql("REFRESH DATASET departures")
    made.sql("APPLY FOR ENVIRONMENT dev")
    return made


@pytest.mark.parametrize("number", range(len(ACTS)), ids=[" ".join(show(x).split())[:60] for x in ACTS])
def test_an_example_of_the_page_runs(project: Any, number: int) -> None:
    statement = ACTS[number]
    text = show(statement)
    if isinstance(statement, s.Drop):
        text = text.replace("late_api", "none_such")  # it is needed further down
    text = text.replace("GENERATION 3", "GENERATION 1").replace("VERSION 3", "VERSION 1")
    snapshot = project.sql("SELECT id FROM tilth.snapshots WHERE dataset = 'departures'").rows()[0]["id"]
    text = re.sub(r"SNAPSHOT '[0-9a-f]+'", f"SNAPSHOT '{snapshot}'", text)
    if isinstance(statement, a.PromoteModel):  # one that does not serve already
        served = project.model("late").version
        made = project.sql("SELECT version FROM tilth.versions WHERE model = 'late' ORDER BY version").rows()
        text = text.replace(
            "VERSION 1", f"VERSION {next(r['version'] for r in made if r['version'] != served)}"
        )
    if isinstance(statement, a.RollbackEnvironment) and statement.generation is None:
        project.promote("dev", "prod")
    if isinstance(statement, a.CancelRun | a.CancelStatement):  # nothing runs
        with pytest.raises(TilthError, match="run"):
            project.sql(text)
        return
    if isinstance(statement, ReleaseQuarantine | HoldQuarantine):  # the template's rows hold
        with pytest.raises(TilthError, match=r"quarantine|released"):
            project.sql(text)
        return
    done = project.sql(text)
    assert done.text or done.arrow().num_rows > 0
