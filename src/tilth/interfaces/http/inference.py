"""The Open Inference Protocol, version 2, over REST: models are endpoints, tensors are inputs by name.

A tensor has shape [n] or [n, 1], one element a row. The protocol has no missing value; here it is a JSON `null` in `data`,
whatever the datatype, and an input that may be missing may be left out altogether. NaN and Infinity are not JSON and are
refused. Dates and instants travel as BYTES in ISO 8601, probabilities and explanations as BYTES that hold JSON. Binary
tensors are not spoken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version as installed
from typing import Any

import msgspec

from tilth.core.errors import InputError, TilthError, UnknownNameError
from tilth.core.names import did_you_mean
from tilth.core.schema import DataType
from tilth.interfaces.http.bodies import encode
from tilth.interfaces.http.predictions import checked
from tilth.ml.model.once import apart
from tilth.runtime.serving.answering import Answering, Reply, Route, Side

DATATYPES = {
    DataType.BOOLEAN: "BOOL",
    DataType.INTEGER: "INT64",
    DataType.FLOAT: "FP64",
    DataType.DECIMAL: "FP64",
}
ACCEPTED = (
    "BOOL", "BYTES", "FP16", "FP32", "FP64", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64",
)  # fmt: skip


class Tensor(msgspec.Struct):
    """One input: its name and one element a row."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any]
    parameters: dict[str, Any] = {}


class Wanted(msgspec.Struct):
    """An output that is asked for."""

    name: str
    parameters: dict[str, Any] = {}


class Request(msgspec.Struct):
    """The body of `infer`."""

    inputs: list[Tensor]
    id: str = ""
    outputs: list[Wanted] = []
    parameters: dict[str, Any] = {}


_REQUEST = msgspec.json.Decoder(Request)


def failure(error: TilthError) -> bytes:
    """An error as the protocol has it, a text, with ours beside it."""
    text = error.message + (f" {error.hint}" if error.hint else "")
    return encode({"error": text, "detail": error.fields()})


def server() -> bytes:
    """What this server is."""
    return encode({"name": "tilth", "version": installed("tilth"), "extensions": []})


def side_of(route: Route, version: str | None) -> Side | None:
    """The version of an endpoint that is asked for by number; None when none is."""
    if version is None:
        return None
    for side in route.sides():
        if str(side.version) == version:
            return side
    raise UnknownNameError(
        f"`{route.endpoint}` does not serve version {version}.",
        hint=did_you_mean(version, [str(s.version) for s in route.sides()], "versions that are served"),
    )


def model(route: Route, version: str | None) -> bytes:
    """A model's metadata."""
    served = (side_of(route, version) or route.champion).model
    inputs = [_described(i.name, i.type) for i in (*served.inputs, *served.carried)]
    outputs = [_described(o.name, o.type) for o in served.outputs]
    return encode(
        {
            "name": route.endpoint,
            "versions": [str(s.version) for s in route.sides()],
            "platform": "tilth",
            "inputs": inputs,
            "outputs": outputs,
        }
    )


async def infer(answering: Answering, route: Route, version: str | None, body: bytes) -> tuple[bytes, Reply]:
    """The answer's body to a request of the protocol, and what it was made of."""
    request = _decoded(body)
    side = side_of(route, version)
    names = [o.name for o in request.outputs] or list((side or route.leading).model.usual)
    rows = checked([encode(row) for row in _rows(request.inputs)], route, names)
    reply = await answering.many(route, rows, names, side)
    found = [msgspec.json.decode(b"{%b}" % row) for row in reply.rows]
    types = {o.name: o.type for o in reply.side.model.outputs}
    told = [f"Row {n + 1}: {words}" for n, row in enumerate(found) for words in _told(row)]
    answer = {
        "model_name": route.endpoint,
        "model_version": str(reply.side.version),
        "id": request.id or reply.ident.decode(),
        "parameters": {"digest": reply.side.model.digest, **({"notices": told} if told else {})},
        "outputs": [_tensor(name, types[name], found) for name in names],
    }
    return encode(answer), reply


def _told(row: Mapping[str, Any]) -> list[str]:
    """What is to be known of a row's answer: of its gaps, or why it has none."""
    error = row.get("error")
    return [*row.get("notices", []), *([error["message"]] if error else [])]


def _decoded(body: bytes) -> Request:
    try:
        request = _REQUEST.decode(body)
        apart(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(
            f"The body is not a request of the Open Inference Protocol: {error}.",
            hint='Send {"inputs": [{"name": ..., "shape": [1], "datatype": "FP64", "data": [...]}]} as JSON;'
            " binary tensors are not supported.",
        ) from error
    return request


def _rows(tensors: Sequence[Tensor]) -> list[Mapping[str, Any]]:
    """The tensors' elements, row by row."""
    names = [t.name for t in tensors]
    if len(set(names)) != len(names) or not names:
        raise InputError("Each input must be given once.", hint=f"Given: {', '.join(names) or 'none'}.")
    columns = [_elements(t) for t in tensors]
    lengths = {name: len(column) for name, column in zip(names, columns, strict=True)}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name}: {count}" for name, count in lengths.items())
        raise InputError("The inputs have different numbers of rows.", hint=f"Rows by input: {listed}.")
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def _elements(tensor: Tensor) -> list[Any]:
    if tensor.datatype not in ACCEPTED:
        raise InputError(
            f"The input `{tensor.name}` has the datatype {tensor.datatype!r}.",
            hint=did_you_mean(tensor.datatype, ACCEPTED, "datatypes"),
        )
    data = tensor.data
    if len(tensor.shape) == 2 and all(isinstance(value, list) for value in data):
        data = [element for row in data for element in row]
    fits = tensor.shape in ([len(data)], [len(data), 1])
    if not fits:
        raise InputError(
            f"The input `{tensor.name}` has the shape {tensor.shape} and {len(data)} elements.",
            hint="Shapes are [n] or [n, 1]: one element a row.",
        )
    return data


def _described(name: str, kind: DataType) -> dict[str, object]:
    return {"name": name, "datatype": DATATYPES.get(kind, "BYTES"), "shape": [-1]}


def _tensor(name: str, kind: DataType, rows: Sequence[Mapping[str, Any]]) -> dict[str, object]:
    values = [row.get(name) for row in rows]  # a row that was refused has none
    if kind in {DataType.JSON, DataType.SHARES}:
        values = [encode(value).decode() for value in values]
    return {
        "name": name,
        "shape": [len(values)],
        "datatype": DATATYPES.get(kind, "BYTES"),
        "data": values,
    }
