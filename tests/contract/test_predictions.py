"""The prediction log: nothing acknowledged is lost to `kill -9`, torn lines are left out, segments are bounded."""

import contextlib
import errno
import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from http_server import wait
from tilth.adapters.files import prediction_files
from tilth.adapters.files.predictions import FilePredictions
from tilth.core.errors import DamagedError, StorageError
from tilth.ports.predictions import START, MemoryLog, PredictionLog

WRITER = """
import sys
from tilth.adapters.files.predictions import FilePredictions
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


# --- a disk that does not sync ---------------------------------------------------------------------------------


class Disk:
    """Stands in for `os.fsync`: fails while `broken`, and counts the syncs of files."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.broken, self.synced = False, 0
        self._real = os.fsync
        monkeypatch.setattr(os, "fsync", self.fsync)

    def fsync(self, handle: int) -> None:
        if self.broken:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._real(handle)
        self.synced += stat.S_ISREG(os.fstat(handle).st_mode)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def test_a_sync_that_failed_in_the_background_is_told_once_and_syncing_goes_on(
    tmp_path: Path, disk: Disk
) -> None:
    log, kept = FilePredictions(str(tmp_path), sync_every=0.001), []

    def append() -> bool:
        line = b'{"n":%d}' % len(kept)
        log.append(line)
        kept.append(line)
        return True

    append()
    disk.broken = True
    with pytest.raises(StorageError, match="could not be synced") as caught:
        wait(lambda: not append())
    assert caught.value.hint
    disk.broken = False
    append()
    before = disk.synced
    wait(lambda: append() and disk.synced > before + 3)
    log.close()
    assert list(log.records()) == kept
    assert len(log.segments()) == 2, "what was not synced is not added to"


def test_while_the_disk_takes_nothing_in_no_request_is_acknowledged(tmp_path: Path, disk: Disk) -> None:
    log, disk.broken = FilePredictions(str(tmp_path)), True
    for _ in range(3):
        with pytest.raises(StorageError, match="not acknowledged"):
            log.append(b"{}")
    assert log.segments() == ()
    disk.broken = False
    log.append(b"{}")
    log.close()
    assert list(log.records()) == [b"{}"]


ENDS: dict[str, Callable[[FilePredictions], object]] = {
    "the segment is full": lambda log: log.append(b"{}"),
    "a flush": FilePredictions.flush,
    "the end": FilePredictions.close,
}


@pytest.mark.parametrize("name", ENDS)
def test_a_segment_that_does_not_sync_is_left_for_a_new_one(tmp_path: Path, disk: Disk, name: str) -> None:
    log = FilePredictions(str(tmp_path), sync_every=1e6, segment_bytes=1)
    log.append(b'{"n":1}')
    wait(lambda: disk.synced == 2)  # a new segment's and the thread's first
    disk.broken = True
    with pytest.raises(StorageError, match="could not be synced"):
        ENDS[name](log)
    disk.broken = False
    log.append(b'{"n":2}')
    log.close()
    assert list(log.records()) == [b'{"n":1}', b'{"n":2}']
    assert len(log.segments()) == 2


# --- records as a table, and closed segments as Parquet --------------------------------------------------------


def record(n: int, **changes: object) -> bytes:
    """A record as the server writes it."""
    made: dict[str, object] = {
        "at": f"2024-01-01T00:{n // 60:02d}:{n % 60:02d}.000000Z", "id": f"p{n}", "endpoint": "late_api", "model": "late",
        "version": 1, "digest": "d" * 12, "environment": "prod", "role": "champion", "inputs": {"x": n, "t": "\u00fc"},
        "outputs": {"late": True}, "score": n / 100,
    }  # fmt: skip
    return json.dumps({**made, **changes}, separators=(",", ":"), ensure_ascii=False).encode()


def test_records_are_a_table_and_reading_goes_on_from_the_mark(log: PredictionLog) -> None:
    log.append(record(1))
    log.append(record(2, score=[0.1, 0.7, 0.2]) + b"\n" + record(3))
    table, mark = log.table()
    assert table["id"].to_pylist() == ["p1", "p2", "p3"]
    assert table["inputs"].to_pylist()[0] == '{"x":1,"t":"\u00fc"}'
    assert table["score"].to_pylist() == [0.01, 0.7, 0.03]
    assert table["scores"].to_pylist() == [None, [0.1, 0.7, 0.2], None]
    assert log.table(mark)[0].num_rows == 0
    log.append(record(4))
    fresh, mark = log.table(mark)
    assert fresh["id"].to_pylist() == ["p4"]
    assert log.table(mark)[0].num_rows == 0


def test_a_closed_segment_becomes_parquet_and_an_open_one_stays(tmp_path: Path) -> None:
    folder = str(tmp_path)
    first, second = FilePredictions(folder), FilePredictions(folder)
    lines = [record(n) for n in range(300)]
    for line in lines[:200]:
        first.append(line)
    _, mark = first.table()
    first.append(lines[200])
    first.close()
    for line in lines[201:]:
        second.append(line)
    assert first.compact() == 1
    assert first.compact() == 0
    assert len(first.segments()) == 1
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".jsonl", ".parquet"]
    assert list(first.records()) == lines
    assert first.table()[0]["id"].to_pylist() == [f"p{n}" for n in range(300)]
    assert first.table(mark)[0]["id"].to_pylist() == [f"p{n}" for n in range(200, 300)]
    second.close()


def test_a_parquet_file_that_was_read_to_its_end_is_not_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, opened = FilePredictions(str(tmp_path), segment_bytes=1), []
    real = prediction_files._parquet

    def parquet(path: str, skip: int, since: str | None) -> object:
        opened.append(path)
        return real(path, skip, since)

    monkeypatch.setattr(prediction_files, "_parquet", parquet)
    mark = START

    def look() -> tuple[list[str], int]:
        nonlocal mark
        opened.clear()
        table, mark = log.table(mark)
        return table["id"].to_pylist(), len(opened)

    for n in (1, 2):
        log.append(record(n))
    assert look() == (["p1", "p2"], 0)
    log.append(record(3))
    assert log.compact() == 2
    assert look() == (["p3"], 2), "that the files hold no more than the lines did is not known yet"
    assert look() == ([], 0)
    log.append(record(4))
    log.close()
    assert log.compact() == 2
    assert look() == (["p4"], 2)
    assert look() == ([], 0)
    assert log.table()[0]["id"].to_pylist() == ["p1", "p2", "p3", "p4"]


def test_lines_that_come_back_without_their_parquet_file_are_not_read_twice(tmp_path: Path) -> None:
    log = FilePredictions(str(tmp_path))
    log.append(record(1))
    log.close()
    (segment,) = log.segments()
    lines = Path(segment).read_bytes()
    log.compact()
    _, mark = log.table()
    Path(segment).with_suffix(".parquet").unlink()
    Path(segment).write_bytes(lines)
    assert log.table(mark)[0].num_rows == 0


def test_groups_of_rows_older_than_wanted_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction_files, "GROUP_ROWS", 60)
    log = FilePredictions(str(tmp_path))
    for n in range(180):
        log.append(record(n))
    log.close()
    assert log.compact() == 1
    late, mark = log.table(since="2024-01-01T00:02:30.000000Z")
    assert late["id"].to_pylist() == [f"p{n}" for n in range(120, 180)]
    assert log.table(mark)[0].num_rows == 0


@pytest.mark.parametrize("step", ["write", "rename", "unlink"])
def test_a_crash_while_a_segment_becomes_parquet_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    log = FilePredictions(str(tmp_path))
    lines = [record(n) for n in range(50)]
    for line in lines:
        log.append(line)
    log.close()

    def die(*_: object, **__: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patched:
        if step == "write":
            patched.setattr("pyarrow.parquet.write_table", die)
        else:
            patched.setattr(os, {"rename": "replace", "unlink": "unlink"}[step], die)
        with pytest.raises(SystemExit):
            log.compact()
        assert list(log.records()) == lines
    assert list(log.records()) == lines
    assert log.compact() == 1
    assert list(log.records()) == lines
    assert log.table()[0].num_rows == 50
    assert log.segments() == ()


def test_a_segment_with_a_line_that_is_no_record_stays_and_its_records_are_read(tmp_path: Path) -> None:
    log = FilePredictions(str(tmp_path))
    for line in (record(1), b"\x00\x00\x00", record(2)):
        log.append(line)
    log.close()
    assert log.compact() == 0
    assert log.table()[0]["id"].to_pylist() == ["p1", "p2"]
    assert len(log.segments()) == 1


def test_a_writer_that_lost_its_new_segment_to_a_reader_begins_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = FilePredictions(str(tmp_path))
    real, seen = prediction_files.held, []

    def held(handle: int) -> bool:
        if not seen:
            seen.append(handle)
            prediction_files.compact(str(tmp_path))
        return real(handle)

    monkeypatch.setattr(prediction_files, "held", held)
    log.append(record(1))
    log.close()
    assert list(log.records()) == [record(1)]


# --- what rotted -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compact", [False, True])
def test_no_flipped_bit_of_a_log_is_taken_for_a_record(tmp_path: Path, compact: bool) -> None:
    log = FilePredictions(str(tmp_path))
    lines = [record(n, outputs={"late": n % 2 == 0}, score=n / 7) for n in range(20)]
    log.append(b"\n".join(lines[:3]))
    for line in lines[3:]:
        log.append(line)
    log.close()
    assert not list(log.damaged())
    if compact:
        assert log.compact() == 1
    (path,) = tmp_path.iterdir()
    data = path.read_bytes()
    whole = log.table()[0].to_pylist()
    for at in range(0, len(data) - 1, 1 if compact else 7):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :])
        with contextlib.suppress(DamagedError):
            assert log.table(strict=True)[0].to_pylist() == whole, at  # a bit that says nothing of a record
    path.write_bytes(data)
    assert log.table(strict=True)[0].to_pylist() == whole


def test_a_log_of_before_there_were_checksums_is_read(tmp_path: Path) -> None:
    lines = [record(1, inputs={"crc": 5}), record(2, inputs={"a": 1, "crc": 7}, score=None), record(3)]
    (tmp_path / "00000000000000000001-1.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    log = FilePredictions(str(tmp_path))
    assert list(log.records()) == lines
    assert log.table(strict=True)[0]["id"].to_pylist() == ["p1", "p2", "p3"]
    assert not list(log.damaged())


def test_what_rotted_is_named_left_out_and_kept(tmp_path: Path) -> None:
    log = FilePredictions(str(tmp_path))
    for n in range(3):
        log.append(record(n))
    log.close()
    (segment,) = (Path(p) for p in log.segments())
    segment.write_bytes(segment.read_bytes().replace(b'"score":0.01', b'"score":0.91'))
    assert log.table()[0]["id"].to_pylist() == ["p0", "p2"], "watching goes on"
    with pytest.raises(DamagedError, match="1 line is not what was written"):
        log.table(strict=True)
    (said,) = log.damaged()
    assert segment.name in said.message
    assert log.compact() == 0
    assert segment.exists()


def test_a_file_in_the_place_of_the_log_is_no_empty_log(tmp_path: Path) -> None:
    (tmp_path / "log").touch()
    log = FilePredictions(str(tmp_path / "log"))
    for act in (log.table, lambda: log.append(record(1)), lambda: list(log.damaged())):
        with pytest.raises(StorageError):
            act()


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
@pytest.mark.parametrize(
    "put",
    [os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path), lambda path: Path(path).touch() or os.truncate(path, 1 << 40)],
    ids=["a FIFO", "a folder", "a link", "a huge file"],
)  # fmt: skip
def test_what_is_no_file_of_the_log_is_refused_by_name(tmp_path: Path, put: Any, suffix: str) -> None:
    path = tmp_path / f"00000000000000000001-1{suffix}"
    put(str(path))
    log = FilePredictions(str(tmp_path))
    (said,) = log.damaged()
    assert path.name in said.message
    assert said.hint
    for act in (log.table, lambda: log.forget("2030"), lambda: list(log.records())):
        with pytest.raises(StorageError, match=path.name):
            act()
