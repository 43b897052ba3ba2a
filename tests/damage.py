"""A small project without a model, and ways to harm a file."""

import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import tilth
from tilth.app.project import Project
from tilth.ports.clock import ManualClock

NOW = datetime(2024, 5, 1, tzinfo=UTC)
START = datetime(2024, 1, 1)
ROWS = 240
DECLARED = """
CREATE SOURCE ops ENGINE sqlite WITH (path = 'ops.db');
CREATE DATASET d KEY (id) EVENT TIME at {refresh} EXPECT (v < 1000 ON FAIL QUARANTINE) AS SELECT * FROM ops.rows;
"""
INCREMENTAL = "REFRESH EVERY '1 day' INCREMENTAL LOOKBACK '1 day'"


def make(folder: Path, refresh: str = "") -> Path:
    folder.mkdir()
    rows = [(n, str(START + timedelta(hours=n)), n, f"row {n}") for n in range(ROWS)]
    rows += [(1000, str(START), 5000, "too dear")]
    with closing(sqlite3.connect(folder / "ops.db")) as db, db:
        db.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, at TIMESTAMP, v INTEGER, name TEXT)")
        db.executemany("INSERT INTO rows VALUES (?, ?, ?, ?)", rows)
    (folder / "all.sql").write_text(DECLARED.format(refresh=refresh))
    return folder


def opened(folder: Path, now: datetime = NOW) -> Project:
    project = tilth.open(str(folder))
    project.clock = ManualClock(now)
    return project


def applied(folder: Path, refresh: str = "") -> Project:
    project = opened(make(folder, refresh))
    project.apply()
    return project


def part(project: Project, name: str = "d") -> str:
    """The path of the dataset's newest file."""
    from tilth.runtime.record.environments import pointers_of
    from tilth.runtime.record.snapshots import manifest_of

    target = next(p.target for p in pointers_of(project.state(), "prod")[1] if p.name == name)
    digest = manifest_of(project.state(), str(target)).parts[-1].blob
    return os.path.join(project.home, "blobs", digest[:2], digest[2:])


def flip(path: str | Path, at: int = 100) -> None:
    """Change one byte and nothing else."""
    mode = os.stat(path).st_mode
    os.chmod(path, 0o600)
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 0x55]))
    os.chmod(path, mode)


def cut(path: str | Path) -> None:
    """Leave the first half."""
    mode = os.stat(path).st_mode
    os.chmod(path, 0o600)
    os.truncate(path, os.path.getsize(path) // 2)
    os.chmod(path, mode)


HARM = {"a flipped byte": flip, "cut": cut, "deleted": os.unlink}
