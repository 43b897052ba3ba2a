"""Locks, bundles and clocks on files."""

import multiprocessing
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tilth.adapters.clocks import FileClock
from tilth.adapters.files.locks import FileLocks
from tilth.core.errors import BusyError, StorageError


def _hold_and_die(folder: str) -> None:
    lock = FileLocks(folder).hold("apply-prod")
    lock.__enter__()
    os.kill(os.getpid(), 9)


def test_a_held_lock_refuses_another_and_names_the_holder(tmp_path: Path) -> None:
    locks = FileLocks(str(tmp_path))
    with locks.hold("apply-prod"), pytest.raises(BusyError, match=str(os.getpid())), locks.hold("apply-prod"):
        pass
    with locks.hold("apply-prod"):
        pass


def test_a_killed_process_holds_no_lock(tmp_path: Path) -> None:
    worker = multiprocessing.get_context("spawn").Process(target=_hold_and_die, args=(str(tmp_path),))
    worker.start()
    worker.join(20)
    assert worker.exitcode == -9
    with FileLocks(str(tmp_path)).hold("apply-prod"):
        pass


def test_a_file_clock_is_moved_for_all_who_read_it(tmp_path: Path) -> None:
    path = str(tmp_path / "clock")
    writer, reader = FileClock(path), FileClock(path)
    with pytest.raises(StorageError, match="clock file"):
        reader.now()
    for day in (1, 2):
        writer.set(datetime(2013, 5, day, tzinfo=UTC))
        assert reader.now() == datetime(2013, 5, day, tzinfo=UTC)
