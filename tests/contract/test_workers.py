"""Real worker processes: what they may do, how they end, and that the same job gives the same bytes."""

import os
import py_compile
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tilth.adapters.files.memory import MemoryBlobs
from tilth.adapters.jobs.local import LocalJobs
from tilth.core.errors import ResourceLimitError, TargetError, TrainingError, UnsupportedError
from tilth.ml.learning import task
from tilth.ml.model.spec import TrainingSpec
from tilth.ports.jobs import Job, Output
from tilth.ports.progress import Progress, Silent
from tilth.ports.snapshots import Part
from tilth.runtime.project import estimators

ROWS = 2000
START = datetime(2013, 1, 1)
BLOBS = MemoryBlobs()
HEAD = "from sklearn.linear_model import LogisticRegression\n"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project's folder: rows, and own estimators that behave and misbehave."""
    folder = tmp_path_factory.mktemp("project")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, 3))
    columns = {f"x{i}": x[:, i] for i in range(3)}
    table = pa.table(
        {
            "id": np.arange(ROWS),
            "at": [START + timedelta(hours=n) for n in range(ROWS)],
            **columns,
            "late": x[:, 0] + x[:, 1] + rng.normal(size=ROWS) > 0,
            "same": [1] * ROWS,
        }
    )
    pq.write_table(table, folder / "rows.parquet")
    (folder / "estimators").mkdir()
    return folder


def job(
    data: Path, *, seconds: float = 100.0, memory: int = 1 << 30, **changes: object
) -> tuple[Job, dict[str, str]]:
    """A training of the folder's rows, and where its own estimators lie."""
    given: dict[str, object] = {
        "model": "late", "targets": ("late",), "exclude": ("same",), "key": ("id",), "event_time": "at",
        "engine": "linear",
    }  # fmt: skip
    spec = TrainingSpec(**{**given, **changes})  # type: ignore[arg-type]
    taken = shutil.copy(data / "rows.parquet", Path(BLOBS.scratch()) / "rows")
    part = Part(BLOBS.put_file(str(taken)), "", ROWS, 0, None, None)
    own = estimators.listed(str(data / "estimators"))
    inputs = task.inputs([part], {name: digest for name, (_, digest) in own.items()})
    return Job("train", spec.plain(), inputs, memory, seconds), {d: path for path, d in own.values()}


def ran(asked: tuple[Job, dict[str, str]], out: Path, progress: Progress | None = None) -> Output:
    """What the job left; workers have their folders, and outputs, below `out`."""
    out.mkdir(exist_ok=True)
    return LocalJobs(BLOBS, str(out), threads=2).run(asked[0], progress or Silent(), asked[1])


def own(data: Path, name: str, code: str) -> str:
    """Write an estimator module; its import path."""
    (data / "estimators" / f"{name}.py").write_text(HEAD + code, "utf-8")
    return f"{name}:make"


class Steps:
    """Keeps what was said; cancels after a while when told to."""

    def __init__(self, cancel_after: float | None = None) -> None:
        self.said: list[str] = []
        self._until = None if cancel_after is None else time.monotonic() + cancel_after

    def step(self, what: str, done: float | None = None, note: str = "") -> None:
        self.said.append(what)
        if self._until is not None and time.monotonic() > self._until:
            raise KeyboardInterrupt


def contents(output: Output) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in Path(output.folder).iterdir()}


@pytest.mark.parametrize("engine", ["auto", "sklearn"])
def test_the_same_job_gives_the_same_bytes_and_says_how_it_goes(
    data: Path, tmp_path: Path, engine: str
) -> None:
    steps = Steps()
    first = ran(job(data, engine=engine), tmp_path / "a", steps)
    second = ran(job(data, engine=engine), tmp_path / "b")
    assert contents(first) == contents(second)
    assert first.files == second.files
    assert first.files == {name: sha256(held).hexdigest() for name, held in contents(first).items()}
    assert first.facts["artifact"] == second.facts["artifact"]
    assert sorted(contents(first)) == first.facts["files"]
    assert "judging" in steps.said
    assert str(tmp_path).encode() not in b"".join(contents(first).values())


def test_the_jail_holds_or_says_that_it_does_not(data: Path, tmp_path: Path) -> None:
    jail = ran(job(data), tmp_path / "o").jail
    assert set(jail) == {"limits", "landlock", "seccomp"}
    assert all(str(v).startswith(("on (", "off: ")) for v in jail.values())


ESCAPES = {
    "a socket": ("seccomp", "import socket; socket.socket()"),
    "a program": ("seccomp", "import subprocess; subprocess.run(['/bin/true'])"),
    "a process": ("seccomp", "import os; os.fork()"),
    "a signal": ("seccomp", "import os; os.kill(os.getppid(), 9)"),
    "another session": ("seccomp", "import os; os.setsid()"),
    "another group": ("seccomp", "import os; os.setpgid(0, 0)"),
    "another file": ("landlock", "open('/etc/passwd').read()"),
    "writing beside": ("landlock", "open({out!r} + '/beside', 'w')"),
    "what lies beside own code": ("landlock", "import os; os.listdir({own!r})"),
    "all that is in the store": ("landlock", "import os; os.listdir(os.path.dirname({rows!r}))"),
    "its input": ("landlock", "open({rows!r}, 'a')"),
    "the starter's environment": (
        "landlock",
        "import os; open(f'/proc/{{os.getppid()}}/environ', 'rb').read()",
    ),
}


def test_own_code_cannot_reach_out(data: Path, tmp_path: Path) -> None:
    asked = job(data)
    jail = ran(asked, tmp_path / "probe").jail
    rows = BLOBS.path(asked[0].inputs["rows/000000"])
    tries = {
        name: code.format(out=str(tmp_path / "o"), rows=rows, own=str(data / "estimators"))
        for name, (part, code) in ESCAPES.items()
        if jail[part].startswith("on")
    }
    code = f"""
def make():
    out = []
    for name, code in {tries!r}.items():
        try:
            exec(code)
        except PermissionError:
            continue
        except BaseException as e:
            out.append((name, repr(e)))
        else:
            out.append(name)
    raise ValueError(f"escaped: {{out}}")
"""
    with pytest.raises(TrainingError, match=r"escaped: \[\]"):
        ran(job(data, engine="sklearn", estimator=own(data, "escapes", code)), tmp_path / "o")
    assert not (tmp_path / "o" / "beside").exists()


def test_it_sees_no_environment_of_ours(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILTH_TEST_SECRET", "hush")
    code = "import os\ndef make():\n    raise ValueError('seen ' + str('TILTH_TEST_SECRET' in os.environ))\n"
    with pytest.raises(TrainingError, match="seen False"):
        ran(job(data, engine="sklearn", estimator=own(data, "peek", code)), tmp_path / "o")


def test_an_own_estimator_is_found_by_its_path_and_what_it_prints_is_no_answer(
    data: Path, tmp_path: Path
) -> None:
    code = "def make():\n    print('{\"result\": {}}')\n    return LogisticRegression(C=0.5)\n"
    found = ran(job(data, engine="sklearn", estimator=own(data, "mine", code)), tmp_path / "o")
    assert found.facts["notes"] == {"sklearn": {"estimator": "LogisticRegression"}}
    assert "member.skops" in found.files


@pytest.mark.parametrize("module", ["forged", "pkg.deep"])
def test_what_lies_compiled_beside_own_code_is_not_read(data: Path, tmp_path: Path, module: str) -> None:
    """A `__pycache__` is not part of the hash: one that claims to be of this very file must change nothing."""
    (data / "estimators" / "pkg").mkdir(exist_ok=True)
    path = data / "estimators" / (module.replace(".", "/") + ".py")
    path.write_text(HEAD + "def make():\n    return LogisticRegression(C=0.111)\n", "utf-8")
    right = path.read_bytes()
    path.write_bytes(right.replace(b"0.111", b"0.999"))
    at = path.stat()
    compiled = Path(py_compile.compile(str(path)) or "")
    assert compiled.parent.name == "__pycache__"
    path.write_bytes(right)
    os.utime(path, ns=(at.st_atime_ns, at.st_mtime_ns))
    found = ran(job(data, engine="sklearn", estimator=f"{module}:make"), tmp_path / "o")
    assert b'"0.111"' in zipfile.ZipFile(Path(found.folder) / "member.skops").read("schema.json")


FAULTY = {
    "no module": ("nowhere:make", "", "no module `nowhere`"),
    "no function": ("empty:make", "", "has no `make`"),
    "no estimator": ("number:make", "def make():\n    return 3\n", "no scikit-learn estimator"),
    "its own class": (
        "classy:make",
        "class Mine(LogisticRegression):\n    pass\ndef make():\n    return Mine()\n",
        r"types of its own: .*classy\.Mine",
    ),
    "an error": ("raises:make", "def make():\n    return {}['x']\n", "KeyError"),
}


@pytest.mark.parametrize("name", FAULTY)
def test_a_faulty_estimator_is_named_with_a_next_step(data: Path, tmp_path: Path, name: str) -> None:
    path, code, words = FAULTY[name]
    if path != "nowhere:make":
        own(data, path.partition(":")[0], code)
    with pytest.raises(TrainingError, match=words):
        ran(job(data, engine="sklearn", estimator=path), tmp_path / "o")


def test_an_estimator_without_probabilities_is_unsupported(data: Path, tmp_path: Path) -> None:
    code = "from sklearn.svm import LinearSVC\ndef make():\n    return LinearSVC()\n"
    with pytest.raises(UnsupportedError, match="predict_proba"):
        ran(job(data, engine="sklearn", estimator=own(data, "svc", code)), tmp_path / "o")


def test_the_workers_own_error_comes_through_as_what_it_is(data: Path, tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="same value in all 2000 rows") as caught:
        ran(job(data, targets=("same",), exclude=()), tmp_path / "o")
    assert caught.value.hint


def test_more_memory_than_it_was_given_is_a_limit(data: Path, tmp_path: Path) -> None:
    code = "import numpy as np\ndef make():\n    np.ones((1 << 30) // 8)\n    return LogisticRegression()\n"
    wanted = job(data, engine="sklearn", estimator=own(data, "greedy", code), memory=64 << 20)
    with pytest.raises(ResourceLimitError, match="out of memory") as caught:
        ran(wanted, tmp_path / "o")
    assert caught.value.retry


SLEEPY = "import time\ndef make():\n    time.sleep(60)\n"


def test_more_time_than_it_was_given_is_a_limit(data: Path, tmp_path: Path) -> None:
    wanted = job(data, engine="sklearn", estimator=own(data, "sleepy", SLEEPY), seconds=4)
    started = time.monotonic()
    with pytest.raises(ResourceLimitError, match="longer than its 4 s"):
        ran(wanted, tmp_path / "o")
    assert time.monotonic() - started < 30
    assert not children()


def test_a_time_limit_of_the_model_keeps_the_best_so_far(data: Path, tmp_path: Path) -> None:
    found = ran(job(data, engine="lightgbm", time_limit=0.001), tmp_path / "o")
    assert "cut short" in str(found.facts["told"])
    assert "member.txt" in found.files


def test_a_cancel_ends_the_process_at_once(data: Path, tmp_path: Path) -> None:
    wanted = job(data, engine="sklearn", estimator=own(data, "sleepy", SLEEPY))
    with pytest.raises(KeyboardInterrupt):
        ran(wanted, tmp_path / "o", Steps(cancel_after=2.0))
    assert not children()


def test_a_killed_worker_is_a_limit_that_may_be_tried_again(data: Path, tmp_path: Path) -> None:
    wanted = job(data, engine="sklearn", estimator=own(data, "sleepy", SLEEPY))

    def kill() -> None:
        while not (found := children()):
            time.sleep(0.05)
        time.sleep(0.5)
        os.kill(found[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(ResourceLimitError, match="SIGKILL") as caught:
        ran(wanted, tmp_path / "o")
    killer.join()
    assert caught.value.retry


def test_a_worker_does_not_outlive_its_starter(data: Path, tmp_path: Path) -> None:
    own(data, "sleepy", SLEEPY)
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
import test_workers as t
t.ran(t.job(Path({str(data)!r}), engine="sklearn", estimator="sleepy:make"), Path({str(tmp_path / "o")!r}))
"""
    with subprocess.Popen([sys.executable, "-c", code]) as starter:
        deadline = time.monotonic() + 30
        while not (found := children(starter.pid)) and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(1.5)
        starter.kill()
        starter.wait()
    assert found
    deadline = time.monotonic() + 10
    while any(map(alive, found)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(alive, found))


def children(of: int | None = None) -> list[int]:
    """Running worker processes that this (or that) process started."""
    out = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                words = (entry / "cmdline").read_bytes()
            except (OSError, IndexError, ValueError):
                continue
            if parent == (of or os.getpid()) and b"tilth.adapters.jobs.process" in words:
                out.append(int(entry.name))
    return out


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
