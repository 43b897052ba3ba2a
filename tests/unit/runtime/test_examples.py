"""A request to copy: usual values of what a version learned from, as a shell, Python and SQL write them."""

import shlex

import pytest

from tilth.core.schema import DataType
from tilth.ml.data.profile import Categorical, Numeric, Profile
from tilth.ml.model.signature import Input
from tilth.runtime.showing.example import requests, row, usual

PROFILE = Profile(
    10,
    (
        Numeric("price", 10, 0, (1.0, 7.5, 9.0), (2, 3, 3, 2), 0.5, 12.0),
        Numeric("few", 10, 0, (), (10,), 3.0, 3.0, 3.0),
        Numeric("none", 10, 10, (), (0,)),
        Categorical("plan", 10, 0, ("it's", "b"), (7, 3)),
        Categorical("paid", 10, 0, ("false", "true"), (7, 3)),
        Categorical("children", 10, 0, ("2", "0"), (7, 3)),
    ),
)
T = DataType
USUAL = {
    ("price", T.FLOAT): 7.5,
    ("price", T.INTEGER): 8,
    ("few", T.INTEGER): 3,
    ("none", T.FLOAT): 1.0,
    ("plan", T.STRING): "it's",
    ("paid", T.BOOLEAN): False,
    ("children", T.INTEGER): 2,
    ("words", T.STRING): "text",
    ("when", T.TIMESTAMP): "2024-04-29T23:59:00",
    ("day", T.DATE): "2024-04-29",
    ("hour", T.TIME): "12:00:00",
}


@pytest.mark.parametrize(("name", "kind"), USUAL)
def test_a_usual_value(name: str, kind: DataType) -> None:
    assert usual(Input(name, kind), PROFILE, "2024-04-29 23:59:00.123456") == USUAL[name, kind]


def test_a_request_is_written_for_three_doors_with_what_must_be_given() -> None:
    inputs = (Input("plan", T.STRING), Input("day", T.DATE), Input("price", T.FLOAT, required=False))
    body = row(inputs, PROFILE, "2024-04-29")
    assert body == {"plan": "it's", "day": "2024-04-29"}
    types = {i.name: i.type for i in inputs}
    made = requests("http://h:1", "api", "m", {"id": 1, **body}, types, ["y", "y p"])
    assert shlex.split(made["curl"])[-3:] == [
        "http://h:1/predict/api",
        "-d",
        '{"id": 1, "plan": "it\'s", "day": "2024-04-29"}',
    ]
    assert made["sql"] == """SELECT y, "y p" FROM m WHERE plan = 'it''s' AND day = DATE '2024-04-29';"""
    assert made["python"].endswith("""model('m').predict({'id': 1, 'plan': "it's", 'day': '2024-04-29'})""")
