"""What an engine says of itself: which values its options take, and which engines `auto` stands for."""

from typing import Any

import pytest

from tilth.core.engines import Engine, Form, Option, Span, tried

VALUES = [
    (Option("x", Form.WHOLE, 1), [1, 7, 10**9], [0, -1, 1.5, 2.0, True, "1", None, (1,)], "a whole number of at least 1"),
    (Option("x", Form.WHOLE), [-1, 0], [0.5, False], "a whole number"),
    (Option("x", least=0, most=1), [0, 1, 0.5], [-0.1, 1.1, True, "a", float("nan"), float("inf")], "a number from 0 to 1"),
    (Option("x", most=3), [3, -9.5], [4], "a number of at most 3"),
    (Option("x", Form.SWITCH), [True, False], [1, 0, "true", None], "true or false"),
    (Option("x", Form.TEXT), ["a", ""], [1, True, None], "a text in quotes"),
]  # fmt: skip


@pytest.mark.parametrize(("option", "fit", "misfit", "words"), VALUES, ids=[v[3] for v in VALUES])
def test_an_option_takes_values_of_its_form_and_no_others(
    option: Option, fit: list[object], misfit: list[object], words: str
) -> None:
    assert [v for v in fit if not option.fits(v)] == []
    assert [v for v in misfit if option.fits(v)] == []
    assert option.words == words


KNOWN = (
    Engine("trees", rank=2),
    Engine("plain", rank=1),
    Engine("own", prefixes=("estimator",)),
    Engine("worse", rank=2),
    Engine("broken", rank=0, fault="It does not load."),
)


@pytest.mark.parametrize(
    ("asked", "names"), [("auto", ["plain", "trees", "worse"]), ("own", ["own"]), ("gone", [])]
)
def test_auto_tries_all_that_have_a_rank_in_its_order(asked: str, names: list[str]) -> None:
    assert [e.name for e in tried(asked, KNOWN)] == names


def test_an_option_is_an_engines_by_its_name_or_its_prefix() -> None:
    own = KNOWN[2]
    assert (own.owns("own"), own.owns("estimator"), own.owns("trees")) == (True, True, False)


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({}, ""),
        ({"options": None, "rank": 3, "prefixes": ("a",)}, ""),
        ({"options": (Option("x"),)}, ""),
        ({"options": ("x",)}, "options = ('x',), which should be None or a tuple of Option"),
        ({"options": [Option("x")]}, "a tuple of Option"),
        ({"options": (Option("x", least="0"),)}, "a tuple of Option"),  # type: ignore[arg-type]
        ({"options": (Option("x", span=Span(0, 1)),)}, ""),
        ({"options": (Option("x", span=Span(1, 0)),)}, "a tuple of Option"),
        ({"options": (Option("x", span=Span(0, 1, log=True)),)}, "a tuple of Option"),
        ({"options": (Option("x", least=0, span=Span(-1, 1)),)}, "a tuple of Option"),
        ({"options": (Option("x", Form.SWITCH, span=Span(0, 1)),)}, "a tuple of Option"),
        ({"options": (Option("x", span=(0, 1)),)}, "a tuple of Option"),  # type: ignore[arg-type]
        ({"learning": "two"}, "learning = 'two', which should be a whole number of at least 1"),
        ({"learning": True}, "a whole number of at least 1"),
        ({"rank": 0.5}, "rank = 0.5, which should be None or a whole number"),
        ({"prefixes": "abc"}, "a tuple of texts"),
        ({"explains": "no"}, "explains = 'no', which should be True or False"),
        ({"package": None}, "package = None, which should be a text"),
    ],
)
def test_a_fact_of_another_type_is_named(facts: dict[str, Any], says: str) -> None:
    found = Engine(**{"name": "own", **facts}).wrong
    assert found == says if not says else says in found
