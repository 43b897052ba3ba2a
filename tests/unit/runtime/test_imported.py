"""A version that was fitted elsewhere: by rows that it may know it can be refused, and never let in."""

import pytest

from tilth.ml.judging import split
from tilth.ml.judging.gates import FAIL, INCONCLUSIVE, PASS, GateResult
from tilth.ml.judging.holdout import Tuned
from tilth.runtime.applying import imported

LATER = "2024-03-01T00:00:00.000000Z"
HELD = [  # how it was made, since when it knows no row, what the gate found, what becomes of it
    (split.BY_IMPORT, None, PASS, INCONCLUSIVE),
    (split.BY_IMPORT, None, FAIL, FAIL),
    (split.BY_IMPORT, None, INCONCLUSIVE, INCONCLUSIVE),
    (split.BY_IMPORT, LATER, PASS, PASS),
    (split.BY_IMPORT, LATER, FAIL, FAIL),
    (split.BY_FOLDS, None, PASS, PASS),
    (split.BY_TWIN, None, PASS, PASS),
]


@pytest.mark.parametrize(("by", "until", "found", "becomes"), HELD)
def test_what_becomes_of_it(by: str, until: str | None, found: str, becomes: str) -> None:
    before = GateResult(found, ("It is better.",), 900, 9, 0)
    after = imported.held(Tuned(3, None, by, until), "late", before)
    assert after.outcome == becomes
    assert after.reasons[0] == "It is better."
    changed = found != becomes
    assert ("PROMOTE MODEL late VERSION 3 BECAUSE" in " ".join(after.reasons)) is changed
    assert (after == before) is not changed


@pytest.mark.parametrize(
    ("until", "event_time", "named", "says"),
    [
        (LATER, "at", f"d after {LATER}", "newer than it says that it is"),
        (None, "at", "d, all rows", "it may have learned from these rows"),
        (None, None, "d by hash of key", "it may have learned from these rows"),
    ],
)
def test_how_its_rows_are_called(until: str | None, event_time: str | None, named: str, says: str) -> None:
    found = Tuned(3, None, split.BY_IMPORT, until, (), event_time)
    assert imported.named(found, "d") == named
    assert says in imported.remark(found)
