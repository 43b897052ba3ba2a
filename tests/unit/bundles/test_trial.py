"""The trial of a bundle's files: what answers passes, and what does not is refused before it is signed or served."""

import json
from typing import Any

import pytest

from handmade import files, member
from tilth.adapters.scorers.linear_scorer import LinearScorer
from tilth.core.errors import TamperError
from tilth.ml.bundles import trial
from tilth.ml.bundles.manifest import digests

GOOD = files({"x": 1.0, "z": 0.5})
CLASSES = files({"x": [1.0, 0.0, 0.5]}, "multiclass", classes=("a", "b", "c"), bias=[0.0] * 3)
SPREAD = files({"x": 1.0}, "regression", width={"x": 1.0})


@pytest.mark.parametrize(
    "made", [GOOD, CLASSES, SPREAD], ids=["two classes", "three", "a value and its width"]
)
def test_files_that_answer_pass_and_are_named_by_what_was_read(made: dict[str, bytes]) -> None:
    found = trial.tried(made)
    assert found == {"rows": 64, "files": digests(made)}


class Broken(LinearScorer):
    """One way in which a format of somebody else may go wrong: `how` says which."""

    how = ""

    def score(self, x: Any) -> Any:
        found = super().score(x)
        return found[:, None] if self.how == "many" and len(x) > 1 else found

    def score_row(self, row: bytearray) -> tuple[float, ...]:
        if self.how == "one":
            raise ValueError("no row by itself")
        found = super().score_row(row)
        return tuple(v / 2 for v in found) if self.how == "half" else found * (1 + (self.how == "twice"))

    def contributions(self, x: Any) -> Any:
        if self.how == "why":
            raise ValueError("no reason")
        if self.how == "narrow":
            return super().contributions(x)[:, 1:]
        return super().contributions(x)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("", None),
        ("many", r"answers \(64, 1\) for rows of \(64,\)"),
        ("one", "no row by itself"),
        ("why", "no reason"),
        ("half", r"a row alone with 0\.25 and among others with 0\.5"),
        ("twice", r"a row alone with 0\.5, 0\.5 and among others with 0\.5"),
        ("narrow", r"explains in \(4, 2\) where \(4, 3\) is asked for"),
    ],
)
def test_a_member_is_asked_for_many_rows_for_one_and_for_reasons(
    monkeypatch: pytest.MonkeyPatch, how: str, says: str | None
) -> None:
    made = type("Made", (Broken,), {"how": how})
    monkeypatch.setattr(trial.registry, "load", lambda _group, _name: made)
    if says is None:
        assert trial.tried(GOOD)["rows"] == 64
        return
    with pytest.raises(TamperError, match=says):
        trial.tried(GOOD)


@pytest.mark.parametrize("name", ["signature.json", "prepare.json", "calibration.json", "member.json"])
def test_files_that_do_not_fit_together_do_not_pass(name: str) -> None:
    with pytest.raises(TamperError):
        trial.tried({**GOOD, name: b"{}"})
    with pytest.raises(TamperError):
        trial.tried({n: c for n, c in GOOD.items() if n != name})
    with pytest.raises(TamperError):
        trial.tried({**GOOD, "member.json": member([[1.0]], [0.0])})


def test_the_width_is_tried_as_the_member_is() -> None:
    broken = json.dumps({"format": "tilth-linear-1", "bias": [0.0], "columns": []}).encode()
    with pytest.raises(TamperError):
        trial.tried({**SPREAD, "spread.json": broken})
