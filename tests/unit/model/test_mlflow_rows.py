"""Rows as MLflow gives them: frames whose gaps made numbers of truth values, mappings and lists; other things are refused."""

import numpy as np
import pandas as pd
import pytest

from tilth.core.errors import InputError
from tilth.interfaces.mlflow import _table, _truth


@pytest.mark.parametrize(
    ("given", "rows"),
    [
        (pd.DataFrame({"a": [1, 2]}, index=[7, 8]), [{"a": 1}, {"a": 2}]),
        ({"a": [1, None]}, [{"a": 1}, {"a": None}]),
        ({"a": np.array([1.5])}, [{"a": 1.5}]),
        ([{"a": 1}, {"b": 2}], [{"a": 1, "b": None}, {"a": None, "b": 2}][:2]),
    ],
    ids=["frame", "lists", "arrays", "mappings"],
)
def test_rows_with_names_are_taken(given: object, rows: list) -> None:
    found = _table(given)
    assert found.to_pylist() == [{k: v for k, v in row.items() if k in found.column_names} for row in rows]


@pytest.mark.parametrize("given", [np.zeros((2, 2)), "a,b", [1, 2]], ids=["matrix", "text", "numbers"])
def test_rows_without_names_are_refused(given: object) -> None:
    with pytest.raises(InputError, match="takes rows with named columns"):
        _table(given)


def test_one_zero_and_nan_are_truth_values_and_no_other_number_is() -> None:
    table = _table(pd.DataFrame({"b": [1.0, 0.0, np.nan]}))
    assert _truth(table, "b")["b"].to_pylist() == [True, False, None]
    with pytest.raises(InputError, match="`b` is true or false"):
        _truth(_table(pd.DataFrame({"b": [0.5]})), "b")
