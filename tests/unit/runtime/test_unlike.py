"""A person who asks one prediction by hand is told which inputs are unlike those of training."""

from typing import Any

import pytest

from tilth.runtime.showing.unlike import unlike

INPUTS = [
    {"name": "x", "range": [-124.35, 39320.0], "categories": None, "more_categories": False},
    {"name": "kind", "range": None, "categories": ["Yes", "No"], "more_categories": False},
    {"name": "town", "range": None, "categories": ["a", "b", "c", "d", "e", "f", "g"], "more_categories": False},
    {"name": "many", "range": None, "categories": ["a"], "more_categories": True},
    {"name": "empty", "range": [None, None], "categories": None, "more_categories": False},
    {"name": "at", "range": None, "categories": None, "more_categories": False},
]  # fmt: skip
TOLD: dict[str, tuple[dict[str, Any], list[str]]] = {
    "all as in training": ({"x": -124.35, "kind": "Yes", "town": "g", "many": "zz", "empty": 1, "at": "2024"}, []),
    "gaps are told elsewhere": ({"x": None, "kind": None}, []),
    "above": ({"x": 39321}, ["`x`: 39,321 is beyond what training had, -124.35 to 39,320."]),
    "below": ({"x": -1e9}, ["`x`: -1,000,000,000 is beyond what training had, -124.35 to 39,320."]),
    "a text": ({"kind": "maybe"}, ["`kind`: training never had 'maybe' and answers as for a gap; it had 'Yes', 'No'."]),
    "written otherwise": ({"kind": " no"}, ["`kind`: training never had ' no' and answers as for a gap; it had 'No'."]),
    "one of several": ({"town": "z"}, ["`town`: training never had 'z' and answers as for a gap; it had 'a', 'b', 'c', 'd', 'e' and 2 more."]),
}  # fmt: skip


@pytest.mark.parametrize("what", TOLD)
def test_inputs_unlike_training_are_told(what: str) -> None:
    given, told = TOLD[what]
    assert list(unlike(INPUTS, given)) == told
