"""`tilth plan --out` and `tilth apply FILE` by real processes: exactly that plan is done, or nothing at all."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import tilth
from tilth.app import plans
from tilth.plan.saved import MOST_BYTES

ROOT = Path(__file__).parents[2]
DECLARED = """CREATE SOURCE ops ENGINE files WITH (path = 'data');
CREATE DATASET t KEY (id) AS SELECT * FROM ops.t;
"""
MORE = "CREATE DATASET u KEY (id) AS SELECT id, v + 1 AS w FROM ops.t;\n"


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tilth", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)


def declared(folder: Path, text: str = DECLARED) -> Path:
    (folder / "data").mkdir(parents=True, exist_ok=True)
    (folder / "data" / "t.csv").write_text("id,v\n1,2\n2,3\n")
    (folder / "all.sql").write_text(text)
    return folder


def kept(folder: Path) -> dict[str, str]:
    """All that `.tilth` holds but locks, by its content; what SQLite keeps beside the state is read through it."""
    found = {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted((folder / ".tilth").rglob("*"))
        if p.is_file() and not p.name.endswith((".lock", "-shm", "-wal"))
    }
    return found | {"audit": str(tilth.open(str(folder)).sql("SELECT * FROM tilth.audit").rows())}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that is applied, with a dataset more in its files and a plan of that."""
    folder = declared(tmp_path_factory.mktemp("made") / "p")
    assert run(folder, "apply").returncode == 0
    (folder / "all.sql").write_text(DECLARED + MORE)
    done = run(folder, "plan", "--out", "plan.json", "--exit-code", "--json")
    assert done.returncode == 10
    told = json.loads(done.stdout)
    assert [(a["action"], a["name"]) for a in told["actions"]] == [("CollectDataset", "u")]
    assert (told["file"], told["next"]) == ("plan.json", ["tilth apply plan.json   do exactly this"])
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "p")
    return tmp_path / "p"


def test_a_plan_is_done_as_it_stands_and_once(project: Path) -> None:
    (project / "all.sql").write_text(f"-- a comment\n{DECLARED}\n\n{MORE}")
    (project / "data" / "t.csv").write_text("id,v\n1,2\n2,3\n3,4\n")
    done = run(project, "apply", "plan.json", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [(a["action"], a["name"]) for a in told["actions"]] == [("CollectDataset", "u")]
    with tilth.open(str(project)) as opened:
        assert opened.sql("SELECT count(*) AS n FROM u").rows() == [{"n": 3}]
    before = kept(project)
    again = run(project, "apply", "plan.json")
    assert (again.returncode, again.stdout) == (13, "")
    assert "moved from generation 1 to 2" in again.stderr
    assert kept(project) == before


def test_a_plan_with_nothing_in_it_is_applied_too(project: Path) -> None:
    assert run(project, "apply").returncode == 0
    assert run(project, "plan", "--out", "plan.json").returncode == 0
    done = run(project, "apply", "plan.json")
    assert (done.returncode, done.stdout) == (0, "Nothing to do: prod is at generation 2.\n")


def _edited(old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        text = (folder / "plan.json").read_text()
        assert old in text
        (folder / "plan.json").write_text(text.replace(old, new))

    return change


def _declares(text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / "all.sql").write_text(text) and None


def _written(data: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / "plan.json").write_bytes(data) and None


def _folder(folder: Path) -> None:
    (folder / "plan.json").unlink()
    (folder / "plan.json").mkdir()


def _fifo(folder: Path) -> None:
    (folder / "plan.json").unlink()
    os.mkfifo(folder / "plan.json")


def _huge(folder: Path) -> None:
    with open(folder / "plan.json", "r+b") as file:
        file.truncate(MOST_BYTES + 1)


def _unreadable_link(folder: Path) -> None:
    (folder / "plan.json").unlink()
    (folder / "plan.json").symlink_to("plan.json")


def _made_elsewhere(folder: Path) -> None:
    """Another environment collects `u`: here it would be shared."""
    assert run(folder, "apply", "--env", "dev").returncode == 0


def _rolled(folder: Path) -> None:
    (folder / "all.sql").write_text(DECLARED)
    assert run(folder, "sql", "REFRESH DATASET t").returncode == 0
    (folder / "data" / "t.csv").write_text("id,v\n1,2\n")
    assert run(folder, "sql", "REFRESH DATASET t").returncode == 0
    (folder / "all.sql").write_text(DECLARED + MORE)


def _another(folder: Path) -> None:
    shutil.rmtree(folder / ".tilth")
    (folder / "all.sql").write_text(DECLARED)
    assert run(folder, "apply").returncode == 0
    (folder / "all.sql").write_text(DECLARED + MORE)


REFUSED: dict[str, tuple[Callable[[Path], object], list[str], int, str]] = {
    "of a project that was never applied": (
        lambda f: shutil.rmtree(f / ".tilth"), [], 13, "another project: .* there is no key here"),
    "of another project": (_another, [], 13, "another project: it was signed with the key"),
    "of another environment": (lambda _: None, ["--env", "dev"], 13, "one for `prod`, not for `dev`"),
    "moved": (_rolled, [], 13, "moved from generation 1 to 2"),
    "made elsewhere": (_made_elsewhere, [], 13, "no longer to be done so: ~ dataset u"),
    "declared otherwise": (_declares(DECLARED + MORE.replace("+ 1", "+ 2")), [], 13, "what the files declare has changed"),
    "not declared": (_declares(DECLARED), [], 13, "what the files declare has changed"),
    "not to be read": (_declares("CREATE NONSENSE"), [], 2, "not something to CREATE"),
    "settings": (lambda f: (f / "tilth.toml").write_text('serving = "live"'), [], 13, "models serve in `live`"),
    "an environment edited": (_edited('"prod"', '"dev"'), [], 7, "not as tilth wrote it"),
    "an action edited": (_edited('"new"', '"old"'), [], 7, "not as tilth wrote it"),
    "a newer format": (_edited('"tilth_plan": 1', '"tilth_plan": 2'), [], 13, "in format 2"),
    "not JSON": (_written(b"plan"), [], 13, "not a plan that tilth saved"),
    "empty": (_written(b""), [], 13, "not a plan that tilth saved"),
    "not text": (_written(b"\xff\xfe"), [], 5, "not UTF-8"),
    "huge": (_huge, [], 13, "longer than 16"),
    "missing": (lambda f: (f / "plan.json").unlink(), [], 5, "There is no file plan.json"),
    "a folder": (_folder, [], 2, "is a folder"),
    "a FIFO": (_fifo, [], 2, "is a FIFO"),
    "a link to itself": (_unreadable_link, [], 2, "leads back to itself"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_a_plan_that_does_not_fit_is_refused_and_nothing_is_changed(project: Path, what: str) -> None:
    change, options, status, says = REFUSED[what]
    change(project)
    before = kept(project) if (project / ".tilth").exists() else None
    done = run(project, "apply", "plan.json", *options)
    assert (done.returncode, done.stdout) == (status, ""), done.stderr
    assert re.search(says, done.stderr)
    assert len(done.stderr.splitlines()) <= 5
    assert (kept(project) if (project / ".tilth").exists() else None) == before


def test_what_moves_while_a_plan_is_read_is_found_under_the_lock(project: Path) -> None:
    place = tilth.open(str(project))
    found = plans.read(place, str(project / "plan.json"))
    assert run(project, "apply").returncode == 0
    with pytest.raises(tilth.TilthError, match="moved from generation 1 to 2"):
        plans.apply(place, found)


def test_what_serves_is_dropped_by_a_plan_only_when_it_is_allowed(tmp_path: Path) -> None:
    import shop_project

    folder = shop_project.make(tmp_path / "shop")
    text = (folder / "shop.sql").read_text()
    assert run(folder, "apply").returncode == 0
    (folder / "shop.sql").write_text(text[: text.index("CREATE ENDPOINT")])
    assert run(folder, "plan", "--out", "plan.json").returncode == 0
    done = run(folder, "apply", "plan.json")
    assert (done.returncode, "late_api" in done.stderr) == (2, True)
    assert run(folder, "apply", "plan.json", "--allow-drop").returncode == 0


@pytest.mark.parametrize(
    ("out", "says"),
    [
        ("data", "no place for a file"),
        ("nowhere/plan.json", "no place for a file"),
        ("all.sql", "is there already, and is no plan"),
    ],
)
def test_a_plan_is_written_to_a_place_of_its_own(project: Path, out: str, says: str) -> None:
    done = run(project, "plan", "--out", out)
    assert (done.returncode, done.stdout) == (5, "")
    assert says in done.stderr
    assert (project / "all.sql").read_text() == DECLARED + MORE


def test_the_first_plan_of_a_project_makes_its_key_and_says_so(tmp_path: Path) -> None:
    folder = declared(tmp_path / "new")
    done = run(folder, "plan", "--out", "plan.json")
    assert (done.returncode, f"{folder}/.tilth was made" in done.stderr) == (0, True)
    assert os.stat(folder / "plan.json").st_mode & 0o777 == 0o644
    assert run(folder, "apply", "plan.json").returncode == 0


def test_the_jobs_of_a_pull_request_are_those_of_the_page(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "operations.md").read_text("utf-8")
    section = page[page.index("## A plan in a pull request") :]
    jobs = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert jobs is not None
    before, after = jobs[1].replace("/srv/shop", str(tmp_path / "srv")).split("\n\n")
    origin, job = declared(tmp_path / "origin"), tmp_path / "job"
    job.mkdir()
    settings = {
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@b",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@b",
    }
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, **settings, "PATH": path, "JOB": str(job), "GIT_CONFIG_GLOBAL": os.devnull}

    def sh(text: str, folder: Path, **more: str) -> str:
        done = subprocess.run(
            ["sh", "-ec", text], cwd=folder, env=environment | more, capture_output=True, text=True, check=False, timeout=120
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    sh("git init -q && git add . && git commit -qm first", origin)
    sh("git clone -q origin srv && cd srv && tilth apply", tmp_path)
    (origin / "all.sql").write_text(DECLARED + MORE)
    revision = sh("git checkout -qb more && git commit -qam more && git rev-parse HEAD", origin)
    assert "~ dataset u: collect and vet (new)" in sh(before, tmp_path, REVISION=revision)
    assert (job / "plan.json").is_file()
    assert "prod is at generation 2" in sh(after, tmp_path, REVISION=revision)
