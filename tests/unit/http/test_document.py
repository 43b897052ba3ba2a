"""The OpenAPI document of endpoints made by hand: what depends on the model, and not on a server."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from tilth.core.schema import DataType
from tilth.interfaces.http.openapi import Served, document
from tilth.ml.model.signature import Input, Output
from tilth.plan.rights import Right

OWNER = frozenset(Right)


def route(
    *inputs: Input, carried: tuple[Input, ...] = (), outputs: tuple[Output, ...] = (), **more: Any
) -> Any:
    outputs = outputs or (Output("y", DataType.FLOAT),)
    model = SimpleNamespace(
        name="m", inputs=inputs, carried=carried, outputs=outputs,
        classes_of={outputs[0].name: more.pop("classes", ())}, strict=more.pop("strict", False),
    )  # fmt: skip
    side = SimpleNamespace(model=model, version=3, keys=more.pop("keys", ()), completing=None)
    return SimpleNamespace(endpoint="e", leading=side, sides=lambda: (side,), require_key=False, **more)


def made(one: Any) -> dict[str, Any]:
    return document("prod", 7, [Served(one, None)], OWNER)


@pytest.mark.parametrize(("name", "ways"), [("x", 3), ("rows", 2)])
def test_a_model_with_an_input_called_rows_has_no_envelope_of_that_name(name: str, ways: int) -> None:
    found = made(route(Input(name, DataType.FLOAT)))
    body = found["paths"]["/predict/e"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert len(body["anyOf"]) == ways


@pytest.mark.parametrize("kind", DataType)
def test_an_input_of_every_type_has_a_schema(kind: DataType) -> None:
    row = made(route(Input("x", kind, required=False)))["components"]["schemas"]["Row.e"]
    said = row["properties"]["x"]
    learned = {"boolean", "integer", "float", "decimal", "string", "json", "date", "timestamp"}
    assert row["required"] == []
    assert ("type" in said) is (kind.value in learned)
    assert "null" in said.get("type", ["null"])
    assert all(isinstance(one, str) for one in said.get("type", []))


def test_classes_are_the_enum_of_the_answer_and_of_nothing_else() -> None:
    outputs = (Output("y", DataType.STRING), Output("y_probabilities", DataType.SHARES))
    found = made(route(Input("t", DataType.STRING), outputs=outputs, classes=("a", "b")))
    part = found["components"]["schemas"]["Part.e"]["properties"]
    assert part["y"] == {"enum": ["a", "b"], "description": "the predicted class"}
    assert (
        part["y_probabilities"]["description"] == "how likely each class is (made when it is asked for): a, b"
    )
    assert "enum" not in str(found["components"]["schemas"]["Row.e"])


MEANT = [
    ("", (), "the predicted value"),
    ("_lower", (), "where the interval begins"),
    ("_probability", ("no", "yes"), "how likely `yes` is"),
    ("_probability", (False, True), "how likely `true` is"),
    ("_confidence", (1, 2, 3), "how likely the predicted class is"),
    ("_explain", (), "what contributed most (made when it is asked for)"),
]


@pytest.mark.parametrize(("suffix", "classes", "said"), MEANT)
def test_an_output_says_what_it_means(suffix: str, classes: tuple[Any, ...], said: str) -> None:
    outputs = (Output("y", DataType.FLOAT), Output(f"y{suffix}", DataType.FLOAT))
    found = made(route(Input("t", DataType.STRING), outputs=outputs, classes=classes))
    assert found["components"]["schemas"]["Part.e"]["properties"][f"y{suffix}"]["description"] == said


def test_many_rows_come_before_one_in_what_is_tried_one_after_the_other() -> None:
    answers = made(route(Input("x", DataType.FLOAT)))["paths"]["/predict/e"]["post"]["responses"]["200"]
    ways = answers["content"]["application/json"]["schema"]["anyOf"]
    assert [w["$ref"].rpartition("/")[2] for w in ways] == ["Answers.e", "Answer.e"]


def walked(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    for one in value if isinstance(value, list) else ():
        yield from walked(one)


def test_generators_find_what_an_array_holds_and_no_link_of_another_page() -> None:
    parts = list(walked(made(route(Input("x", DataType.FLOAT)))))
    assert not [p for p in parts if p.get("type") == "array" and "items" not in p]
    assert not [p for p in parts if "](" in str(p.get("description", ""))]


def test_before_anything_is_served_it_has_the_paths_that_are_there() -> None:
    found = document("prod", 0, [], OWNER)
    assert "/status" in found["paths"]
    assert not [p for p in found["paths"] if p.startswith(("/predict", "/v2/models"))]
    assert found["info"]["description"].startswith("Generation 0 of `prod`")


def test_the_versions_that_may_answer_are_the_ones_that_may_be_asked() -> None:
    found = made(route(Input("x", DataType.FLOAT)))
    (operation,) = found["paths"]["/v2/models/e/versions/{version}/infer"].values()
    (version,) = [p for p in operation["parameters"] if p["name"] == "version"]
    assert (version["in"], version["required"], version["schema"]["enum"]) == ("path", True, ["3"])
