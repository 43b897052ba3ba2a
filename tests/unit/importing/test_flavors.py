"""Which file of a folder is read, and what is refused before anything loads it."""

from typing import Any

import pytest

from tilth.core.errors import UnsupportedError
from tilth.ml.importing.flavors import found, no_pickle

PYFUNC = {"loader_module": "mlflow.x"}
READ = [
    ({"lightgbm": {"data": "m.lgb"}, "python_function": PYFUNC}, "lightgbm", "m.lgb"),
    ({"xgboost": {"data": "m.json"}}, "xgboost", "m.json"),
    ({"sklearn": {"pickled_model": "m.skops", "serialization_format": "skops"}}, "sklearn", "m.skops"),
    ({"lightgbm": {"data": "m"}, "tilth": {"data": "bundle"}}, "tilth", "bundle"),
]
REFUSED = [
    ({}, "names no flavor"),
    ({"lightgbm": "m"}, "has the flavors lightgbm"),
    ({"lightgbm": {}}, "which file beside it"),
    ({"lightgbm": {"data": "a/b"}}, "which file beside it"),
    ({"tilth": {"data": ".."}}, "which file beside it"),
    ({"sklearn": {"pickled_model": "m.pkl"}}, "as a pickle, which runs"),
    ({"sklearn": {"pickled_model": "m.pkl", "serialization_format": "cloudpickle"}}, "as cloudpickle, which runs"),
    ({"pytorch": {"data": "m"}, "python_function": PYFUNC}, "no flavor but python_function, pytorch"),
    ({"keras": {"data": "m"}}, "has the flavors keras"),
]  # fmt: skip


@pytest.mark.parametrize(("flavors", "name", "path"), READ)
def test_the_library_that_wrote_it_is_found(flavors: dict[str, Any], name: str, path: str) -> None:
    one = found({"flavors": flavors, "utc_time_created": "2026-01-01 00:00:00.5"})
    assert (one.flavor, one.path, one.made_at) == (name, path, "2026-01-01 00:00:00.5")


@pytest.mark.parametrize(("flavors", "why"), REFUSED)
def test_what_is_not_read_says_why(flavors: dict[str, Any], why: str) -> None:
    with pytest.raises(UnsupportedError) as error:
        found({"flavors": flavors})
    assert why in error.value.message
    assert error.value.hint


def test_a_pickle_is_one_whatever_it_is_called() -> None:
    with pytest.raises(UnsupportedError, match="has a pickle as its model"):
        no_pickle("lightgbm", b"\x80\x04.")
    for content in (b"", b"tree\n", b"PK\x03\x04", b"{"):
        no_pickle("lightgbm", content)
