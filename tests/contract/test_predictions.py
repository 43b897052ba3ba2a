"""The prediction log: nothing acknowledged is lost to `kill -9`, torn lines are left out, segments are bounded."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tilth.adapters.file_predictions import FilePredictions
from tilth.core.errors import StorageError
from tilth.ports.predictions import MemoryLog, PredictionLog

WRITER = """
import sys
from tilth.adapters.file_predictions import FilePredictions
log = FilePredictions(sys.argv[1])
n = 0
while True:
    log.append(b'{"n":%d}' % n)
    sys.stdout.write(f"{n}\\n")
    sys.stdout.flush()
    n += 1
"""


@pytest.fixture(params=["memory", "file"])
def log(request: pytest.FixtureRequest, tmp_path: Path):
    if request.param == "memory":
        yield MemoryLog()
    else:
        made = FilePredictions(str(tmp_path / "predictions"))
        yield made
        made.close()


def test_records_come_back_in_order(log: PredictionLog) -> None:
    assert list(log.records()) == []
    for n in range(100):
        log.append(b'{"n":%d}' % n)
    log.flush()
    assert list(log.records()) == [b'{"n":%d}' % n for n in range(100)]


def test_several_threads_append_whole_records(log: PredictionLog) -> None:
    def write(who: int) -> None:
        for n in range(200):
            log.append(b'{"who":%d,"n":%d}' % (who, n))

    threads = [threading.Thread(target=write, args=(w,)) for w in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(30)
    assert sorted(log.records()) == sorted(
        b'{"who":%d,"n":%d}' % (w, n) for w in range(4) for n in range(200)
    )


def test_nothing_acknowledged_is_lost_when_the_writer_is_killed(tmp_path: Path) -> None:
    folder = str(tmp_path / "predictions")
    writer = subprocess.Popen([sys.executable, "-c", WRITER, folder], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    acknowledged = [int(writer.stdout.readline()) for _ in range(500)]
    os.kill(writer.pid, signal.SIGKILL)
    acknowledged += [int(line) for line in writer.stdout if line.endswith("\n")]
    writer.stdout.close()
    writer.wait(10)
    kept = set(FilePredictions(folder).records())
    assert {b'{"n":%d}' % n for n in acknowledged} <= kept


def test_a_torn_line_is_left_out_and_another_writer_begins_its_own_segment(tmp_path: Path) -> None:
    folder = tmp_path / "predictions"
    folder.mkdir()
    (folder / "00000000000000000001-1.jsonl").write_bytes(b'{"n":1}\n{"n":')
    log = FilePredictions(str(folder))
    log.append(b'{"n":2}')
    log.close()
    assert list(log.records()) == [b'{"n":1}', b'{"n":2}']
    assert len(log.segments()) == 2


def test_segments_are_bounded(tmp_path: Path) -> None:
    log = FilePredictions(str(tmp_path), segment_bytes=100)
    for n in range(50):
        log.append(b"x" * 20 + b"%d" % n)
    log.close()
    assert len(log.segments()) >= 10
    assert len(list(log.records())) == 50
    assert all(os.path.getsize(s) < 150 for s in log.segments())


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="not acknowledged"):
        FilePredictions(str(tmp_path / "file" / "predictions")).append(b"{}")
