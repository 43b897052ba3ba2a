"""`tilth up` looks at all content, tells what rots in `tilth status`, and no longer tells it once it is mended."""

from datetime import timedelta
from pathlib import Path

import damage as d
from tilth.interfaces.cli.look import words
from tilth.runtime.keeping.reconciler import Reconciler


def test_what_rots_is_told_within_thirty_days_until_it_is_mended(tmp_path: Path) -> None:
    project, told = d.applied(tmp_path / "p"), []
    work = project.work()
    reconciler = Reconciler(work, "prod", lambda: project.deployed("prod"), tell=told.append)
    reconciler.step(d.NOW)
    d.flip(d.part(project))
    assert project.status()["damage"] == []
    for hour in range(6, 30 * 24, 6):
        reconciler.step(d.NOW + timedelta(hours=hour))
        if project.status()["damage"]:
            break
    (found,) = project.status()["damage"]
    assert found["of"].startswith("dataset d")
    assert 'tilth sql "REFRESH DATASET d"' in found["damage"]
    assert "REFRESH DATASET d" in words(project.status())
    assert len([line for line in told if line.startswith("damaged")]) == 1
    project.sql("REFRESH DATASET d")
    reconciler.step(d.NOW + timedelta(days=31))
    assert project.status()["damage"] == []
    assert "DAMAGE" not in words(project.status())


def test_a_small_project_is_not_written_to_every_hour(tmp_path: Path) -> None:
    project = d.applied(tmp_path / "p")
    reconciler = Reconciler(project.work(), "prod", lambda: project.deployed("prod"))
    for hour in range(24 * 10):
        reconciler._scrubber.step(d.NOW + timedelta(hours=hour))
    assert project.sql("SELECT count(*) AS n FROM tilth.audit WHERE verb = 'scrub'").rows() == [{"n": 0}]
