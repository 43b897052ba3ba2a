"""What the port says of a job, of every runner that there is: the jailed process, and this process for tests."""

import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tilth.adapters.files.memory import MemoryBlobs
from tilth.adapters.jails.clean import package_folders
from tilth.adapters.jobs.inline import InlineJobs
from tilth.adapters.jobs.local import LocalJobs
from tilth.core.errors import DamagedError, TamperError, TargetError, UnknownNameError
from tilth.ml.model.spec import TrainingSpec
from tilth.ports.jobs import Job, Jobs, Measured
from tilth.ports.progress import Silent

RUNNERS: dict[str, Callable[[MemoryBlobs, Path], Jobs]] = {
    "local": lambda blobs, at: LocalJobs(blobs, str(at), threads=1),
    "inline": lambda blobs, _: InlineJobs(blobs),
}
PLAIN = TrainingSpec("taller", ("y",), key=("id",), engine="linear", threads=1).plain()


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> MemoryBlobs:
    return MemoryBlobs()


@pytest.fixture(scope="module")
def rows(blobs: MemoryBlobs) -> str:
    """The digest of rows to learn from."""
    x = np.random.default_rng(0).normal(size=400)
    path = Path(blobs.scratch()) / "rows"
    pq.write_table(pa.table({"id": np.arange(400), "x": x, "y": 3 * x, "same": [1.0] * 400}), path)
    return blobs.put_file(str(path))


@pytest.fixture(params=RUNNERS)
def jobs(request: pytest.FixtureRequest, blobs: MemoryBlobs, tmp_path: Path) -> Iterator[Jobs]:
    (tmp_path / "at").mkdir()
    yield RUNNERS[request.param](blobs, tmp_path / "at")
    assert list((tmp_path / "at").iterdir()) == []  # what was left is the caller's, and it has taken it away


def training(rows: str, **changes: object) -> Job:
    return Job("train", {**PLAIN, **changes}, {"rows/000000": rows}, 1 << 30, 60.0)


def test_a_job_leaves_files_by_digest_and_says_what_its_task_says(jobs: Jobs, rows: str) -> None:
    left = jobs.run(training(rows), Silent())
    try:
        held = {path.name: path.read_bytes() for path in Path(left.folder).iterdir()}
        assert left.files == {name: hashlib.sha256(content).hexdigest() for name, content in held.items()}
        assert sorted(left.files) == left.facts["files"]
        assert left.facts["engine"] == "linear"
    finally:
        shutil.rmtree(left.folder)


def test_its_output_is_the_input_of_the_next_from_where_it_lies(jobs: Jobs, rows: str) -> None:
    left = jobs.run(training(rows), Silent())
    try:
        beside = {digest: str(Path(left.folder) / name) for name, digest in left.files.items()}
        check = Job("check", {"scorers": ["linear"]}, left.files, 1 << 30, 60.0, leaves=False)
        said = jobs.run(check, Silent(), beside)
        assert said.facts == {"rows": 64, "files": left.files}
        assert (said.folder, said.files) == ("", {})
        (Path(left.folder) / "prepare.json").write_text("{}")
        with pytest.raises(TamperError, match=r"prepare.json is not what it was"):
            jobs.run(check, Silent(), beside)
    finally:
        shutil.rmtree(left.folder)


FAILS: dict[str, tuple[Callable[[str], Job], type[Exception], str]] = {
    "an input that is nowhere": (lambda _: training("ab" * 32), DamagedError, "missing"),
    "an unknown task": (
        lambda _: Job("trian", {}, {}, 1 << 30, 60.0),
        UnknownNameError,
        "no task of a job `trian`",
    ),
    "the task's own error": (lambda rows: training(rows, targets=["same"]), TargetError, "same value"),
}


@pytest.mark.parametrize("name", FAILS)
def test_a_job_that_fails_says_so_in_its_own_words_and_leaves_nothing(
    jobs: Jobs, rows: str, name: str
) -> None:
    make, error, words = FAILS[name]
    with pytest.raises(error, match=words):
        jobs.run(make(rows), Silent())


def test_what_is_measured_goes_through(jobs: Jobs, rows: str) -> None:
    measured = Measured(jobs)
    shutil.rmtree(measured.run(training(rows), Silent()).folder)
    assert (measured.peak or 0) >= 0
    assert (measured.peak is None) == isinstance(jobs, InlineJobs)


def test_a_worker_finds_packages_where_its_starter_does_but_not_around_the_projects_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside, home = tmp_path / "packages", tmp_path / "shop" / ".tilth" / "bundles"
    beside.mkdir()
    home.mkdir(parents=True)
    (tmp_path / "shop" / "lib").mkdir()
    named = [beside, tmp_path / "shop", tmp_path / "shop" / "lib", tmp_path / "gone", tmp_path, "", beside]
    monkeypatch.setenv("PYTHONPATH", ":".join(map(str, named)))
    monkeypatch.setattr("site.ENABLE_USER_SITE", False)
    assert package_folders(str(home)) == [str(beside), str(tmp_path / "shop" / "lib")]
