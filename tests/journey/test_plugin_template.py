"""`tilth init NAME --template plugin`: a package that installs, passes the suite of sources, and is read by a project; and our own pass it."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from tilth.adapters.sources.files.source import FilesSource
from tilth.interfaces.cli.commands import tilth as command
from tilth.ports.suite import SourceSuite

PIP = [
    "-m",
    "pip",
    "install",
    "--quiet",
    "--no-deps",
    "--no-build-isolation",
    "--no-index",
    "--disable-pip-version-check",
]


class TestFiles(SourceSuite):
    """The suite passes over a source of ours."""

    def make(self, folder: Path, rows: pa.Table) -> tuple[Any, Callable[[], object]]:
        pq.write_table(rows, folder / "visits.parquet")
        pq.write_table(rows.slice(0, 1), folder / "other.parquet")
        source = FilesSource.from_options({"path": "."}, str(folder))
        return source, lambda: pq.write_table(rows.slice(0, 3), folder / "visits.parquet")


class TestBroken(SourceSuite):
    """And fails over one that forgets its predicates."""

    def make(self, folder: Path, rows: pa.Table) -> tuple[Any, Callable[[], object]]:
        source, change = TestFiles().make(folder, rows)
        scan = source.scan
        source.scan = lambda wanted: scan(type(wanted)(wanted.table, wanted.columns))
        return source, change

    @pytest.mark.xfail(raises=AssertionError, strict=True)
    def test_predicates_mean_what_duckdb_means(self, tmp_path: Path) -> None:
        super().test_predicates_mean_what_duckdb_means(tmp_path)

    @pytest.mark.xfail(raises=AssertionError, strict=True)
    def test_unknown_names_are_errors_with_the_nearest(self, tmp_path: Path) -> None:
        super().test_unknown_names_are_errors_with_the_nearest(tmp_path)


def ran(folder: Path, *arguments: str, **environment: str) -> str:
    import os

    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=200, env={**os.environ, **environment}
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_template_is_a_package_that_works(tmp_path: Path) -> None:
    made = CliRunner().invoke(
        command, ["init", str(tmp_path / "tilth-Acme.2"), "--template", "plugin", "--json"]
    )
    facts = json.loads(made.output)
    assert facts["files"] == [
        ".gitignore",
        "README.md",
        "pyproject.toml",
        "src/tilth_acme_2/__init__.py",
        "tests/test_acme_2.py",
    ]
    package, lib = tmp_path / "tilth-Acme.2", tmp_path / "lib"
    assert "Acme2Source" in (package / "src/tilth_acme_2/__init__.py").read_text()
    ran(package, *PIP, "--target", str(lib), ".")
    said = ran(package, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests", PYTHONPATH=str(lib))
    assert "9 passed" in said
    shop = tmp_path / "shop"
    (shop / "data").mkdir(parents=True)
    with pa.ipc.new_file(shop / "data" / "t.arrow", pa.schema([("id", pa.int64())])) as sink:
        sink.write_table(pa.table({"id": [1, 2, 3]}))
    (shop / "all.sql").write_text(
        "CREATE SOURCE s ENGINE acme_2 WITH (path = 'data'); CREATE DATASET d KEY (id) AS SELECT * FROM s.t WHERE id > 1;"
    )
    ran(shop, "-m", "tilth", "apply", PYTHONPATH=str(lib))
    assert "2" in ran(shop, "-m", "tilth", "sql", "SELECT count(*) FROM d", PYTHONPATH=str(lib))


@pytest.mark.parametrize("name", ["7", "class", "___"])
def test_a_name_that_no_engine_can_have_is_refused(tmp_path: Path, name: str) -> None:
    made = CliRunner().invoke(command, ["init", str(tmp_path / name), "--template", "plugin"])
    assert made.exit_code != 0
    assert not (tmp_path / name).exists()
