"""JSON's arrows on a map of a model name a class, whatever it is called; on anything else they stay what they were."""

import pytest

from tilth.core.schema import DataType, Field, Schema
from tilth.sql.queries.rewrite import JoinPrediction, ModelShape, RowPrediction, predictions

SHAPE = ModelShape(("x",), ("y", "y_probabilities"), ("y_probabilities",))
SCHEMAS = {"d": Schema((Field("x", DataType.FLOAT), Field("extra", DataType.JSON)))}


def outer(sql: str, shape: ModelShape = SHAPE) -> str:
    found = predictions(sql, {"m": shape}, SCHEMAS)
    assert isinstance(found, JoinPrediction | RowPrediction)
    return found.outer


@pytest.mark.parametrize(
    ("asked", "made"),
    [
        ("m.y_probabilities->>'EV'", "CAST(m__y_probabilities['EV'] AS TEXT)"),
        ("y_probabilities->>'EV'", "CAST(m__y_probabilities['EV'] AS TEXT)"),
        ("m.Y_PROBABILITIES->>'EV'", "CAST(m__y_probabilities['EV'] AS TEXT)"),
        ("m.y_probabilities->'EV'", "TO_JSON(m__y_probabilities['EV'])"),
        ("m.y_probabilities->>'a.b'", "CAST(m__y_probabilities['a.b'] AS TEXT)"),
        ("m.y_probabilities->>'a.b.c'", "CAST(m__y_probabilities['a.b.c'] AS TEXT)"),
        ("m.y_probabilities->>'x[0]'", "CAST(m__y_probabilities['x[0]'] AS TEXT)"),
        ("m.y_probabilities->>'no show'", "CAST(m__y_probabilities['no show'] AS TEXT)"),
        ("m.y_probabilities->>'it''s'", "CAST(m__y_probabilities['it''s'] AS TEXT)"),
        ("m.y_probabilities->>'été'", "CAST(m__y_probabilities['été'] AS TEXT)"),
        ("m.y_probabilities->>'1'", "CAST(m__y_probabilities['1'] AS TEXT)"),
        ("m.y_probabilities['EV']", "m__y_probabilities['EV']"),
        ("m.y_probabilities->>upper('ev')", "CAST(m__y_probabilities[UPPER('ev')] AS TEXT)"),
    ],
)
def test_an_arrow_on_a_map_is_its_element(asked: str, made: str) -> None:
    text = outer(f"SELECT {asked} AS p FROM d JOIN m").replace('"', "")
    assert text.lower() == f"select {made} as p from __predicted".lower()


def test_arrows_elsewhere_stay() -> None:
    text = outer("SELECT d.extra->>'a.b' AS p, m.y FROM d JOIN m")
    assert "->>" in text
    assert "->>" in outer(
        "SELECT m.y_probabilities->>'EV' AS p FROM d JOIN m", ModelShape(("x",), ("y", "y_probabilities"))
    )


def test_one_row_and_conditions_take_it_too() -> None:
    one = outer("SELECT y_probabilities->>'a.b' FROM m WHERE x = 1")
    assert "y_probabilities['a.b']" in one
    assert one.endswith("""AS "y_probabilities ->> 'a.b'" FROM __prediction AS "m\"""")
    where = outer(
        "SELECT d.x FROM d JOIN m WHERE (m.y_probabilities->>'EV')::DOUBLE > 0.5 ORDER BY m.y_probabilities->>'a.b'"
    )
    assert where.count('"m__y_probabilities"[') == 2
