"""One row an output: its column, its value and its JSON say the same, for every kind of task."""

import json
import math

import numpy as np
import pytest

from tilth.core.schema import DataType
from tilth.ml.model.calibration import Conformal
from tilth.ml.model.outputs import OUTPUTS, Many, Meaning, renderer
from tilth.ml.model.signature import outputs
from tilth.ports.arrow import arrow_type, data_type

WIDE = Conformal(1.5, 0.9, 0.5)
CASES = {
    "two classes": ("binary", Meaning((False, True), 0.5, None, None), [(0.2,), (0.5,), (0.81,)]),
    "two texts": ("binary", Meaning(("ja", 'n"ein'), 0.2, None, None), [(0.2,), (0.20001,), (1.0,)]),
    "three": ("multiclass", Meaning((1, 2, 3), 0.5, None, None), [(0.2, 0.3, 0.5), (0.4, 0.4, 0.2)]),
    "values": ("regression", Meaning((), 0.5, WIDE, None), [(3.25,), (-7.0,)]),
    "floored": ("regression", Meaning((), 0.5, WIDE, 0.0), [(0.25,), (0.0,)]),
    "widths": ("regression", Meaning((), 0.5, WIDE, 0.0), [(3.25, 0.5), (0.25, 4.0)]),
    "no interval": ("regression", Meaning((), 0.5, None, None), [(3.25,), (1e300,)]),
}


def _many(meaning: Meaning, answers: list[tuple[float, ...]], kind: str) -> Many:
    scores = np.array([a if kind == "multiclass" else a[0] for a in answers])
    halves = np.array([meaning.half(a) if kind == "regression" else 0.0 for a in answers], dtype=float)

    def ends() -> tuple[np.ndarray, np.ndarray]:
        assert meaning.conformal is not None
        return meaning.conformal.ends(scores, halves, meaning.floor)

    return Many(scores, ends)


@pytest.mark.parametrize("case", CASES)
def test_a_column_a_value_and_a_text_are_the_same(case: str) -> None:
    kind, meaning, answers = CASES[case]
    many, named = _many(meaning, answers, kind), {f"y{s.suffix}": s for s in OUTPUTS[kind]}
    said = [json.loads("{" + renderer(named, meaning)(a).decode() + "}") for a in answers]
    for name, spec in named.items():
        if spec.column is None or spec.one is None:
            assert name == "y_explain"
            continue
        values = [spec.one(meaning)(a) for a in answers]
        assert spec.column(meaning, many).to_pylist(maps_as_pydicts="strict") == values
        if spec.text is None:
            assert all(name not in row for row in said)
            assert all(math.isclose(sum(v.values()), 1.0) for v in values)
        else:
            assert [row[name] for row in said] == values
    assert [*said[0]] == [name for name, spec in named.items() if not spec.heavy]


@pytest.mark.parametrize("target", ["boolean", "integer", "decimal", "string", "date"])
@pytest.mark.parametrize("kind", OUTPUTS)
def test_the_names_come_in_one_order_and_every_type_is_one_that_arrow_has(kind: str, target: str) -> None:
    found = outputs("y", kind, DataType(target))
    assert [o.name for o in found] == [f"y{s.suffix}" for s in OUTPUTS[kind]]
    assert found[0].name == "y"
    assert found[-1].name == "y_explain"
    answer = "float" if kind == "regression" or target == "decimal" else target
    assert found[0].type.value == answer
    assert data_type(arrow_type(found[0].type)) is found[0].type
