"""However a worker tries to stay, to flood or to fill a disk: it ends in time, and nothing of it is left.

The workers are real ones, with one more task that runs a text of Python; so they start without a learning library.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tilth.adapters.files.memory import MemoryBlobs
from tilth.adapters.jails.folders import scratch_folder
from tilth.adapters.jails.jail import MOST_BYTES
from tilth.adapters.jobs import warden
from tilth.adapters.jobs.local import LocalJobs
from tilth.core.errors import ResourceLimitError, TilthError, TrainingError
from tilth.ports.jobs import Job, Measured
from tilth.ports.progress import Silent

SECONDS = 2.0
RUN = """
def prepare(spec): pass
def run(spec, files, out, report):
    seen = {'files': files, 'out': out}
    exec(spec['code'], seen)
    return seen.get('found', {})
"""
OFF = {
    "nothing": "",
    "seccomp": "jail._seccomp = off",
    "seccomp and Landlock": "jail._seccomp = off\njail._landlock = off",
}


def jobs_of(folder: Path, off: str = "nothing") -> LocalJobs:
    """Jobs whose workers know the task `run`, on a kernel that does not offer these parts of the jail."""
    told = folder / "plugin" / "run_task-1.dist-info"
    told.mkdir(parents=True, exist_ok=True)
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: run-task\nVersion: 1\n")
    (told / "entry_points.txt").write_text("[tilth.tasks]\nrun = run_task\n")
    (folder / "plugin" / "run_task.py").write_text(RUN)
    python = folder / "python"
    python.write_text(
        f"""#!{sys.executable}
import sys
sys.path.append({str(folder / "plugin")!r})
from tilth.adapters.jails import jail
from tilth.adapters.jobs import process
def off(*_): raise OSError(0, 'off for the test')
{OFF[off]}
sys.argv = sys.argv[-2:]
sys.exit(process.main())
"""
    )
    python.chmod(0o755)
    return LocalJobs(MemoryBlobs(), str(folder / "scratch"), threads=1, python=str(python))


def ran(jobs: LocalJobs | Measured, code: str, seconds: float = 60.0) -> object:
    """The result of a worker that runs this, or the error that came out."""
    try:
        done = jobs.run(Job("run", {"code": code}, {}, 1 << 30, seconds, leaves=False), Silent())
    except TilthError as error:
        return error
    return dict(done.facts)


def below(folder: Path) -> list[int]:
    """Living processes that work below this folder."""
    out = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                at = os.readlink(entry / "cwd")
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if at.startswith(str(folder)) and state not in "ZX":
                out.append(int(entry.name))
    return out


def all_ended(folder: Path, seconds: float = 3.0) -> bool:
    deadline = time.monotonic() + seconds
    while below(folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not below(folder)


def left_in(folder: Path) -> list[str]:
    return [p.name for p in (folder / "scratch").iterdir()]


CLOSES = "for fd in range(40):\n    try: os.close(fd)\n    except OSError: pass\n"
STAYS = {
    "it sleeps": "import time\ntime.sleep(60)",
    "it closes its pipes": f"import os, time\n{CLOSES}time.sleep(60)",
    "it stops itself": "import signal\nsignal.raise_signal(signal.SIGSTOP)",
    "it ignores signals": (
        "import signal, time\nfor n in (1, 2, 3, 13, 14, 15): signal.signal(n, signal.SIG_IGN)\ntime.sleep(60)"
    ),
    "it says no word that ends": "import os\nwhile True: os.write(2, b'x' * 65536)",
    "a thread goes on": "import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()\n1 / 0",
}


@pytest.mark.parametrize("name", STAYS)
def test_a_worker_that_stays_ends_with_its_time(tmp_path: Path, name: str) -> None:
    began = time.monotonic()
    found = ran(jobs_of(tmp_path), STAYS[name], SECONDS)
    assert isinstance(found, ResourceLimitError), found
    assert "longer than its 2 s" in found.message
    assert time.monotonic() - began < SECONDS + 10
    assert all_ended(tmp_path)
    assert left_in(tmp_path) == []


FORKS = f"""
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        {CLOSES.replace(chr(10), chr(10) + " " * 8)}
        time.sleep(60)
    time.sleep(60)
time.sleep(0.2)
"""


@pytest.mark.parametrize(
    ("off", "then"),
    [
        ("seccomp", ""),
        ("seccomp", "time.sleep(60)"),
        ("seccomp", "os.kill(os.getpid(), 19)"),
        ("seccomp and Landlock", ""),
        ("seccomp and Landlock", "time.sleep(60)"),
        ("seccomp and Landlock", "os.kill(os.getppid(), 19)\ntime.sleep(60)"),
        ("seccomp and Landlock", "os.kill(os.getppid(), 9)\ntime.sleep(60)"),
    ],
)
def test_what_a_worker_left_behind_ends_with_it_also_without_all_of_the_jail(
    tmp_path: Path, off: str, then: str
) -> None:
    found = ran(jobs_of(tmp_path, off), FORKS + then, SECONDS)
    if then:
        assert isinstance(found, ResourceLimitError), found
    else:
        assert isinstance(found, dict), found
    assert all_ended(tmp_path)
    assert left_in(tmp_path) == []


def test_a_killed_starter_leaves_nothing_running_and_the_next_worker_clears_its_folder(
    tmp_path: Path,
) -> None:
    jobs_of(tmp_path, "seccomp")
    code = f"""
import sys
sys.path[:0] = [{str(Path(__file__).parent)!r}]
from pathlib import Path
import test_worker_ends as t
t.ran(t.jobs_of(Path({str(tmp_path)!r}), "seccomp"), t.FORKS + "time.sleep(60)")
"""
    scratch = tmp_path / "scratch"
    with subprocess.Popen([sys.executable, "-c", code]) as starter:
        deadline = time.monotonic() + 30
        while len(below(scratch)) < 3 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(below(scratch)) == 3  # the worker, and two that it left
        starter.kill()
        starter.wait()
    assert all_ended(scratch, 10)
    (left,) = left_in(tmp_path)
    assert left.startswith("making-")  # gc clears these too
    assert isinstance(ran(jobs_of(tmp_path), ""), dict)
    assert left_in(tmp_path) == []


def test_a_folder_of_a_living_worker_is_not_cleared(tmp_path: Path) -> None:
    with scratch_folder(str(tmp_path)) as first, scratch_folder(str(tmp_path)) as second:
        assert os.path.isdir(first)
        assert os.path.isdir(second)
    assert list(tmp_path.iterdir()) == []


HERE = "import os, time\nos.chdir(os.environ['TMPDIR'])\n"
FILLS = {
    "a large file": ("open('big', 'wb').truncate(3 << 30)", "File too large"),
    "a limit that is lifted": (
        "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))",
        r"not allowed to raise|permitted",
    ),
    "many files": (
        "n = 0\nwhile True:\n    n += 1\n    open(str(n), 'w').close()",
        r"more than it may \(files\)",
    ),
    "deep folders": (
        "for _ in range(3000):\n    os.mkdir('d')\n    os.chdir('d')\ntime.sleep(60)",
        r"more than it may \(depth\)",
    ),
    "deep folders at its end": (
        "for _ in range(100):\n    os.mkdir('d')\n    os.chdir('d')",
        r"more than it may \(depth\)",
    ),
}


@pytest.mark.parametrize("name", FILLS)
def test_a_worker_cannot_fill_the_disk(tmp_path: Path, name: str) -> None:
    code, words = FILLS[name]
    found = ran(jobs_of(tmp_path), HERE + code)
    assert isinstance(found, ResourceLimitError | TrainingError)
    with pytest.raises(TilthError, match=words):
        raise found
    assert left_in(tmp_path) == []


def test_what_folders_hold_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert warden.too_much([str(tmp_path), str(tmp_path / "gone")]) == ""
    (tmp_path / "file").write_bytes(b"x" * 100_000)
    assert warden.too_much([str(tmp_path)]) == ""
    monkeypatch.setattr(warden, "MOST_BYTES", 50_000)
    assert warden.too_much([str(tmp_path)]) == "bytes"
    assert MOST_BYTES == 2 << 30


CHANNEL = "import os\nfor fd in range(3, 40):\n    try:\n        {}\n    except OSError: pass"
FLOODS = {
    "words": ("while True: os.write(fd, b'x' * 65536)", "too much"),
    "lines": ("while True: os.write(fd, b'{}\\n' * 20000)", "too much"),
    "a deep line": ("os.write(fd, b'[' * 60000 + b'\\n')", "not JSON"),
    "another value": ("os.write(fd, b'7\\n')", "not an object"),
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_worker_that_floods_its_channel_is_stopped(tmp_path: Path, name: str) -> None:
    code, words = FLOODS[name]
    found = ran(jobs_of(tmp_path), CHANNEL.format(code))
    assert isinstance(found, TrainingError)
    assert words in found.message


def test_what_a_worker_says_cannot_steer_a_terminal(tmp_path: Path) -> None:
    found = ran(jobs_of(tmp_path), "raise ValueError('a \\x1b]0;x\\x07 b')")
    assert isinstance(found, TrainingError)
    assert "a  ]0;x  b" in found.message


def test_the_memory_that_is_said_is_the_workers_own(tmp_path: Path) -> None:
    held = bytearray(500 << 20)
    held[::4096] = b"x" * len(held[::4096])  # this process is large, and the worker is not
    jobs = Measured(jobs_of(tmp_path))
    ran(jobs, "")
    small = jobs.peak
    assert small is not None
    assert 1 << 20 < small < 200 << 20
    ran(jobs, "x = bytearray(300 << 20); x[::4096] = b'x' * len(x[::4096])")
    assert jobs.peak is not None
    assert jobs.peak > small + (290 << 20)
    ran(jobs, "")
    assert jobs.peak > small + (290 << 20)  # the most since the last restart
    jobs.restart()
    assert jobs.peak is None


SEES = """
import __main__, os
found = {"warden": os.getppid(), "home": os.environ["HOME"], "at": os.getcwd(), "heard": os.read(0, 10).decode(),
  "before": getattr(__main__, "mark", "")}
__main__.mark = "a job was here"
"""


def test_jobs_share_a_process_and_nothing_else(tmp_path: Path) -> None:
    jobs = jobs_of(tmp_path)
    seen = [ran(jobs, SEES), ran(jobs, SEES)]
    assert isinstance(ran(jobs, "1 / 0"), TrainingError)  # after an error there is another
    seen.append(ran(jobs, SEES))
    one, two, three = seen
    assert one["warden"] == two["warden"] != three["warden"]
    assert len({s["home"] for s in seen}) == 3
    for found in seen:
        assert found["home"] == found["at"]
        assert (found["heard"], found["before"]) == ("", "")
    assert os.path.isdir(f"/proc/{three['warden']}")
    jobs.close()
    assert not any(os.path.isdir(f"/proc/{s['warden']}") for s in seen)
    assert left_in(tmp_path) == []
