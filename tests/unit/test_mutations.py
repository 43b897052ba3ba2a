"""The table of mutations fits the code: every text stands where it is looked for, and every test file is there."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "mutations"))
from run import Mutation, table  # noqa: E402

LEAST = 300
PARTS = {
    "gate": (
        "runtime/applying/gate.py",
        "ml/judging/gates.py",
        "ml/judging/holdout.py",
        "ml/judging/evidence.py",
    ),
    "split": ("ml/judging/split.py",),
    "planner": ("plan/", "kinds/"),
    "merge": ("ml/data/merge.py", "ml/data/windows.py"),
    "predictor": ("ml/model/",),
    "signing": ("ml/bundles/",),
    "drift": ("ml/data/drift.py", "ml/watching/monitoring.py"),
    "rollout": ("ml/watching/rollout.py", "runtime/serving/rollouts.py"),
    "gc": ("runtime/applying/garbage.py", "runtime/applying/sweeping.py"),
    "executor": ("runtime/applying/executor.py", "runtime/applying/handlers.py", "runtime/moving/"),
}


@pytest.mark.parametrize("one", table(), ids=lambda m: m.name)
def test_a_mutation_changes_one_place_and_leaves_python(one: Mutation) -> None:
    text = (ROOT / one.path).read_text("utf-8")
    assert text.count(one.old) == 1
    ast.parse(text.replace(one.old, one.new))
    assert all((ROOT / test.partition("::")[0]).exists() for test in one.tests)
    assert all(test.startswith(("tests/unit", "tests/contract")) for test in one.tests)


def test_there_are_enough_of_every_part() -> None:
    found = table()
    assert len(found) >= LEAST
    assert len({m.name for m in found}) == len(found)
    for part, files in PARTS.items():
        assert sum(m.file.startswith(files) for m in found) >= 3, part
