"""A model of several targets by hand: two targets that take different inputs, asked at every door of a row and of a table."""

import json
from typing import Any

import pyarrow as pa
import pytest

from handmade import files, predictor
from tilth.core.errors import InputError, UnknownNameError
from tilth.ml.model import joint
from tilth.ml.model.gaps import Gaps
from tilth.ml.model.joint import JointPredictor, parts_of, prefix
from tilth.ports.registry import load


def made(*targets: tuple[str, dict[str, bytes]], version: int = 1) -> JointPredictor:
    """The model of these bundles' files, each under the name of its output."""
    held: dict[str, bytes] = {}
    for place, (output, own) in enumerate(targets):
        said = json.loads(own["signature.json"]) | {"output": output, "target": output}
        held |= {prefix(place) + name: content for name, content in own.items()}
        held[f"{prefix(place)}signature.json"] = json.dumps(said).encode()
    found = joint.load(held, lambda name: load("tilth.scorers", name), version, "d")
    assert isinstance(found, JointPredictor)
    return found


LATE = files({"x": 1.0, "z": 0.0}, optional=("z",), key=("id",))
DELAY = files({"z": 2.0, "w": 1.0}, "regression", key=("id",))
BOTH = made(("late", LATE), ("delay", DELAY))
STRICT = made(
    ("late", files({"x": 1.0}, strict=True)), ("delay", files({"z": 2.0}, "regression", strict=True))
)
ROW = {"x": 1.0, "z": 3.0, "w": 0.5}


def test_it_takes_what_one_of_them_takes_and_what_one_needs_must_be_given() -> None:
    assert {i.name: i.required for i in BOTH.inputs} == {"x": True, "z": True, "w": True}
    assert [i.name for i in BOTH.carried] == ["id"]
    assert [o.name for o in BOTH.outputs if not o.name.endswith(("explain", "probabilities"))] == [
        "late", "late_confidence", "late_probability", "delay", "delay_confidence", "delay_lower", "delay_upper"
    ]  # fmt: skip
    assert BOTH.classes_of == {"late": (False, True), "delay": ()}


def test_a_row_and_a_table_and_a_mapping_have_one_answer() -> None:
    inside, row, answer = BOTH.score_json(json.dumps({"id": 7, **ROW}).encode())
    one = json.loads(b"{" + inside + b"}")
    (listed,), table = BOTH.predict_rows([ROW]), pa.table({k: [v] for k, v in ROW.items()})
    assert one == {k: listed[k] for k in one} == BOTH.predict(table).to_pylist()[0]
    assert one["delay"] == 6.5
    scores, can = BOTH.answers(table)
    assert (scores.tolist(), can.tolist()) == ([json.loads(BOTH.logged(answer))], [True])
    assert json.loads(BOTH.record(row)) == {**ROW, "id": 7}
    assert BOTH.choose(row, answer, ("delay", "late")) == {"delay": 6.5, "late": one["late"]}
    why = BOTH.explain(ROW)
    assert {name: each["value"] for name, each in why.items()} == {"late": one["late"], "delay": 6.5}
    assert [c["input"] for c in why["delay"]["contributions"]] == ["z", "w"]


def test_what_is_asked_of_one_target_is_answered_by_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BOTH.parts[0], "made", lambda *_: pytest.fail("the other target was scored"))
    table = pa.table({k: [v] for k, v in ROW.items()})
    assert BOTH.predict(table, ("delay",)).to_pydict() == {"delay": [6.5]}
    with pytest.raises(UnknownNameError, match="no output `dely`"):
        BOTH.predict(table, ("dely",))


@pytest.mark.parametrize("lacking", ["x", "z"])
def test_a_row_that_lacks_an_input_of_one_target_is_told_once_or_refused_whole(lacking: str) -> None:
    row: dict[str, Any] = {**ROW, lacking: None}
    notices = json.loads(b"{" + BOTH.score_json(json.dumps(row).encode())[0] + b"}")["notices"]
    assert notices == [f"`{lacking}` is missing, which it never was in training: answered as a gap"]
    seen = Gaps("m")
    BOTH.predict(pa.table({k: pa.array([v], pa.float64()) for k, v in row.items()}), None, seen)
    assert (seen.rows, seen.lacking) == (1, {lacking: 1})
    given = {k: v for k, v in row.items() if k != "w"}
    with pytest.raises(InputError, match=f"`{lacking}` is missing"):
        STRICT.score_json(json.dumps(given).encode())
    table = pa.table({k: pa.array([v, 1.0], pa.float64()) for k, v in given.items()})
    found = STRICT.predict(table)
    assert [found["late"].to_pylist()[0], found["delay"].to_pylist()[0]] == [None, None]
    assert found["delay"].to_pylist()[1] is not None


ALONE = predictor(
    DELAY | {"signature.json": DELAY["signature.json"].replace(b'"output": "y"', b'"output": "delay"')}
)
DIFFER = {
    "both the same": (BOTH, BOTH, (0.7, 3.0), (0.9, 3.0), False),
    "another class": (BOTH, BOTH, (0.7, 3.0), (0.3, 3.0), True),
    "another number": (BOTH, BOTH, (0.7, 3.0), (0.7, 4.0), True),
    "one target less, the same": (BOTH, ALONE, (0.7, 3.0), (3.0,), False),
    "one target less, another number": (BOTH, ALONE, (0.7, 3.0), (4.0,), True),
    "one target more, the same": (ALONE, BOTH, (3.0,), (0.2, 3.0), False),
    "no target that both have": (BOTH, predictor(LATE), (0.7, 3.0), (0.7,), True),
    "none the other way round": (predictor(LATE), BOTH, (0.7,), (0.7, 3.0), True),
}


@pytest.mark.parametrize(("one", "other", "mine", "theirs", "differs"), DIFFER.values(), ids=DIFFER)
def test_versions_differ_by_the_targets_that_both_have(
    one: Any, other: Any, mine: Any, theirs: Any, differs: bool
) -> None:
    assert one.differs(mine, other, theirs) is differs


def test_the_files_of_one_target_are_all_as_they_are() -> None:
    assert parts_of(LATE) == (LATE,)
    assert joint.load(LATE, lambda name: load("tilth.scorers", name), 1, "d").parts[0].name == "m"
