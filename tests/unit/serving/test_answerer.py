"""Doors hold an `Answerer`: what is none of ours answers through all of them, and what needs history is refused by name."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from tilth.adapters.clocks import SystemClock
from tilth.core.errors import UnsupportedError
from tilth.core.schema import DataType
from tilth.interfaces.http.inference import infer, model
from tilth.interfaces.http.predictions import predict
from tilth.ml.model.answerer import Answerer, RowAnswerer, named, of_rows
from tilth.ml.model.gaps import Gaps
from tilth.ml.model.signature import Input, Output
from tilth.ports.predictions import MemoryLog
from tilth.runtime.asking.model import Model
from tilth.runtime.asking.scoring import through
from tilth.runtime.serving.answering import Answering, Route, Side
from tilth.sql.queries.shapes import Binding, ModelUse


class _Row(msgspec.Struct):
    a: float
    b: float


class Sum:
    """A model by hand: y is a + b. It has no signature, no scorer and no bundle."""

    name, version, digest = "sum", 7, "d" * 64
    inputs = (Input("a", DataType.FLOAT), Input("b", DataType.FLOAT))
    carried: tuple[Input, ...] = ()
    outputs = (Output("y", DataType.FLOAT), Output("y_explain", DataType.JSON))
    usual = ("y",)
    needs_history = False
    strict = False

    def predict(self, table: Any, outputs: Sequence[str] | None = None, seen: Gaps | None = None) -> Any:
        made = [a + b for a, b in zip(table["a"].to_pylist(), table["b"].to_pylist(), strict=True)]
        columns = {"y": pa.array(made), "y_explain": pa.array(["{}"] * len(made))}
        names = list(self.usual if outputs is None else named(self, outputs))
        return pa.RecordBatch.from_arrays([columns[n] for n in names], names=names)

    def warm(self) -> None: ...

    def decode(self, body: bytes) -> Any:
        return msgspec.json.decode(body, type=_Row)

    def convert(self, values: Any) -> Any:
        return msgspec.convert(values, _Row)

    taken = convert

    def fields(self, names: Sequence[str]) -> tuple[str | None, ...]:
        return tuple(n if n in ("a", "b") else None for n in names)

    def gaps(self, row: Any) -> tuple[str, ...]:
        return ()

    def record(self, row: Any) -> bytes:
        return msgspec.json.encode(row)

    def score_row(self, row: Any) -> tuple[float, ...]:
        return (row.a + row.b,)

    def score_json(self, body: bytes) -> tuple[bytes, Any, tuple[float, ...]]:
        row = self.decode(body)
        return self.render(self.score_row(row)), row, self.score_row(row)

    def logged(self, answer: tuple[float, ...]) -> bytes:
        return repr(answer[0]).encode()

    def render(self, answer: tuple[float, ...]) -> bytes:
        return b'"y":%r' % answer[0]

    def remark(self, row: Any) -> bytes:
        return b""

    def choose(self, row: Any, answer: tuple[float, ...], names: Sequence[str]) -> dict[str, Any]:
        return {n: {"y": answer[0], "y_explain": {}}[n] for n in names}

    def differs(self, answer: tuple[float, ...], other: Any, others: tuple[float, ...]) -> bool:
        return answer != others

    def predict_rows(self, rows: Any, seen: Any = None) -> list[dict[str, Any]]:
        return [{"y": r["a"] + r["b"]} for r in rows]

    def explain(self, values: Any) -> dict[str, Any]:
        return {"value": values["a"] + values["b"]}


class History(Sum):
    """The same, from rows that came before."""

    needs_history = True


SUM: RowAnswerer = Sum()  # the type checker agrees
BODY = b'{"a": 1.5, "b": 2}'


def _answering() -> tuple[Answering, Route, MemoryLog]:
    log = MemoryLog()
    answering = Answering(log, SystemClock(), lambda later: later(), lambda _line: None)
    return answering, Route("sums", 1, "full", Side(SUM, "sums", "prod")), log


def test_http_answers_one_row_many_rows_and_the_open_protocol() -> None:
    answering, route, log = _answering()
    one = json.loads(asyncio.run(predict(answering, route, BODY, b""))[0])
    assert (one["y"], one["version"]) == (3.5, 7)
    many = json.loads(asyncio.run(predict(answering, route, b"[%b, %b]" % (BODY, BODY), b"outputs=y"))[0])
    assert [r["y"] for r in many["rows" if "rows" in many else "predictions"]] == [3.5, 3.5]
    asked = {
        "inputs": [
            {"name": n, "shape": [1], "datatype": "FP64", "data": [v]} for n, v in (("a", 1.0), ("b", 2.0))
        ]
    }
    found = json.loads(asyncio.run(infer(answering, route, None, json.dumps(asked).encode()))[0])
    assert found["outputs"] == [{"name": "y", "shape": [1], "datatype": "FP64", "data": [3.0]}]
    assert [i["name"] for i in json.loads(model(route, None))["inputs"]] == ["a", "b"]
    assert len(list(log.records())) == 4


def test_sql_and_python_answer_too() -> None:
    table = pa.table({"a": [1.0, 2.0], "b": [10.0, 20.0]})
    bound = (Binding("a", "a"), Binding("b", "b"))
    use = ModelUse("sum", None, "s", bound, (), (("y", "p"),))
    step = through([(use, SUM)], {"sum": Gaps("sum", False)})
    assert step(table.to_batches()[0]).column("p").to_pylist() == [11.0, 22.0]
    python = Model(SUM)
    assert python.predict({"a": 1.0, "b": 2.0}) == {"a": 1.0, "b": 2.0, "y": 3.0}
    assert python.predict(table)["y"].to_pylist() == [11.0, 22.0]
    assert (python.outputs, python.inputs) == (("y", "y_explain"), {"a": "float", "b": "float"})


def test_what_needs_history_answers_tables_and_no_single_row() -> None:
    later: Answerer = History()
    table = pa.table({"a": [1.0], "b": [10.0]})
    assert Model(later).predict(table)["y"].to_pylist() == [11.0]
    for ask in (lambda: of_rows(later), lambda: Model(later).predict({"a": 1.0, "b": 2.0})):
        with pytest.raises(UnsupportedError, match="`sum` answers from the rows that came before"):
            ask()
