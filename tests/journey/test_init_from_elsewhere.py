"""`tilth init --from` a file of a server and a folder of a bucket: proposed, and what is proposed is a plan."""

from pathlib import Path

import pytest
from click.testing import CliRunner

import buckets
import sites
import tilth
from tilth.interfaces.cli.commands import tilth as command

ROWS = "id,x,y\n" + "".join(
    f"{i},{i * 37 % 100},{'yes' if i * 31 % 100 > 50 else 'no'}\n" for i in range(300)
)


@pytest.mark.parametrize("engine", ["http", "s3"])
def test_a_project_is_proposed_for_files_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    folder = tmp_path / "shop"
    if engine == "http":
        site = sites.started()
        site.put("/a/orders.csv", ROWS.encode())
        line = ["--from", f"{site.url}/a/orders.csv"]
    else:
        name = buckets.new()
        buckets.put(name, "d/orders.csv", ROWS.encode())
        monkeypatch.setenv("LAKE_SECRET", buckets.SECRET)
        keys = f"endpoint = '{buckets.url()}', region = 'us-east-1', key = '{buckets.KEY}', secret = SECRET 'env:LAKE_SECRET'"
        line = ["--from", f"s3://{name}/d", "--table", "orders", "--with", keys]
    made = CliRunner().invoke(command, ["init", str(folder), *line, "--predict", "y"])
    assert made.exit_code == 0, made.output
    assert buckets.SECRET not in "".join(p.read_text() for p in folder.glob("*.sql"))
    project = tilth.open(str(folder))
    assert {a.name for a in project.plan().actions} >= {"orders", "y"}
    project.close()
