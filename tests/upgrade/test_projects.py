"""A project that the version before has applied: the new one goes on with it, and makes anew only what its checks decide."""

import tarfile
from pathlib import Path

import pytest

import shop_project as c

RECORDED = Path(__file__).parent / "project_0001.tar.xz"


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Six resources, applied by the version whose state ends at migration 0001."""
    with tarfile.open(RECORDED) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "shop"


def test_an_upgrade_reads_checks_anew_and_serves_what_was_made(recorded: Path) -> None:
    project = c.opened(recorded)
    plan = project.plan()
    assert [type(a).__name__ for a in plan.actions] == ["CollectDataset", *["TrainModel"] * 4]
    assert all("learns in another way" in note.text for note in plan.notes)
    assert plan.actions[0].reason.startswith("in its checks NULL and NaN do not hold any more")
    (answer,) = project.sql(
        "SELECT late, late_confidence FROM late WHERE carrier = 'slow' AND distance = 55 AND ordered_at = TIMESTAMP '2024-05-01 18:00'"
    ).rows()
    assert answer["late"] is True


def test_a_model_of_before_is_the_champion_of_the_next_candidate(recorded: Path) -> None:
    project = c.opened(recorded)
    c.add(recorded, c.deliveries(c.DAYS, c.DAYS + 20))
    project.clock.set(c.NOW + c.timedelta(days=20))
    project.sql("REFRESH DATASET deliveries")
    for model in ("late", "duration", "asked", "own"):
        project.sql(f"RETRAIN MODEL {model}")
    gates = project.sql(
        "SELECT model, candidate, champion, outcome, reason FROM tilth.gates WHERE candidate = 2 ORDER BY model"
    ).rows()
    assert [(g["model"], g["champion"]) for g in gates] == [
        ("asked", 1),
        ("duration", 1),
        ("late", 1),
        ("own", 1),
    ]
    assert not project.plan().actions


def test_a_model_of_before_has_the_new_outputs_and_keeps_its_interval(recorded: Path) -> None:
    project = c.opened(recorded)
    (row,) = project.sql(
        "SELECT late, late_confidence, late_probability, late_probabilities, late_probabilities->>'true' AS t FROM late"
        " WHERE carrier = 'slow' AND distance = 55 AND ordered_at = TIMESTAMP '2024-05-01 18:00'"
    ).rows()
    assert (
        row["late_probability"]
        == row["late_probabilities"]["true"]
        == float(row["t"])
        == row["late_confidence"]
    )
    widths = project.sql(
        "SELECT DISTINCT round(m.minutes_upper - m.minutes_lower, 9) AS w FROM deliveries d JOIN duration m"
    ).rows()
    assert len(widths) == 1
    assert widths[0]["w"] > 0
