"""The Open Inference Protocol, version 2, over REST: models are endpoints, tensors are inputs by name.

A tensor has shape [n] or [n, 1], one element a row (`tensors`), as JSON or as bytes that follow the JSON. The protocol has no missing
value; here it is a JSON `null` in `data`, whatever the datatype, or a NaN in bytes, and an input that may be missing may be left out
altogether. NaN and Infinity are not JSON and are refused there. Dates and instants travel as BYTES in ISO 8601, probabilities and
explanations as BYTES that hold JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version as installed
from typing import Any, NamedTuple

import msgspec

from tilth.core.errors import InputError, TilthError, UnknownNameError
from tilth.core.names import did_you_mean
from tilth.core.schema import DataType
from tilth.interfaces.http.bodies import encode
from tilth.interfaces.http.predictions import checked
from tilth.interfaces.http.tensors import Tensor, columns, datatype, tensor
from tilth.ml.model.once import apart
from tilth.runtime.serving.answering import Answering, Reply, Route, Side


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


HEAD = b"inference-header-content-length"
_REQUEST = msgspec.json.Decoder(Request)


def failure(error: TilthError) -> bytes:
    """An error as the protocol has it, a text, with ours beside it."""
    text = error.message + (f" {error.hint}" if error.hint else "")
    return encode({"error": text, "detail": error.fields()})


def server() -> bytes:
    """What this server is."""
    return encode({"name": "tilth", "version": installed("tilth"), "extensions": ["binary_tensor_data"]})


def place(path: str) -> tuple[str, str, str | None]:
    """The row of the table of paths, the endpoint (empty: none) and the version that a path of the protocol names."""
    match path.rstrip("/").split("/"):
        case ["", "v2", "models", name, "versions", version, *rest]:
            return "/".join(["/v2/models/<endpoint>/versions/<version>", *rest]), name, version
        case ["", "v2", "models", name, *rest]:
            return "/".join(["/v2/models/<endpoint>", *rest]), name, None
    return path.rstrip("/"), "", None


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
    side = side_of(route, version) or route.champion
    served, looked_up = side.model, side.completing
    inputs = [_described(i.name, i.type) for i in (*served.inputs, *served.carried)]
    inputs += [_described(*key) for key in (() if looked_up is None else looked_up.asked)]
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


class Inferred(NamedTuple):
    """The answer's body, what it was made of, and how many of its bytes are JSON when others follow."""

    payload: bytes
    reply: Reply
    head: int | None = None


async def infer(
    answering: Answering, route: Route, version: str | None, body: bytes, head: bytes | None = None
) -> Inferred:
    """The answer to a request of the protocol. `head` is its header HEAD, if it has one."""
    length = len(body) if head is None else _length(head, len(body))
    request = _decoded(body[:length])
    side = side_of(route, version)
    wanted = request.outputs or [Wanted(name) for name in (side or route.leading).model.usual]
    names = [o.name for o in wanted]
    rows = checked([encode(row) for row in _rows(request.inputs, body[length:])], route, names)
    usually = request.parameters.get("binary_data_output") is True
    binary = [o.parameters.get("binary_data", usually) is True for o in wanted]
    reply = await answering.many(route, rows, names, side)
    return _answer(request, route, reply, dict(zip(names, binary, strict=True)))


def _answer(request: Request, route: Route, reply: Reply, binary: Mapping[str, bool]) -> Inferred:
    found = [msgspec.json.decode(b"{%b}" % row) for row in reply.rows]
    types = {o.name: o.type for o in reply.side.model.outputs}
    told = [f"Row {n + 1}: {words}" for n, row in enumerate(found) for words in _told(row)]
    made = [tensor(n, types[n], [row.get(n) for row in found], binary=b) for n, b in binary.items()]
    answer = {
        "model_name": route.endpoint,
        "model_version": str(reply.side.version),
        "id": request.id or reply.ident.decode(),
        "parameters": {"digest": reply.side.model.digest, **({"notices": told} if told else {})},
        "outputs": [said for said, _ in made],
    }
    text = encode(answer)
    tail = b"".join(held for _, held in made)
    return Inferred(text + tail, reply, len(text) if any(binary.values()) else None)


def _length(head: bytes, size: int) -> int:
    """How many bytes of a body are JSON."""
    if not head.isdigit() or len(head) > 12 or int(head) > size:
        raise InputError(
            f"Inference-Header-Content-Length is no number of bytes of the body: {head[:40].decode('latin-1')!r}.",
            hint=f"It says how many of the {size:,} bytes are JSON.",
        )
    return int(head)


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
            hint='Send {"inputs": [{"name": ..., "shape": [1], "datatype": "FP64", "data": [...]}]} as JSON; where bytes'
            " follow it, Inference-Header-Content-Length says how long it is.",
        ) from error
    return request


def _rows(tensors: Sequence[Tensor], tail: bytes) -> list[Mapping[str, Any]]:
    """The tensors' elements, row by row."""
    names = [t.name for t in tensors]
    if len(set(names)) != len(names) or not names:
        raise InputError("Each input must be given once.", hint=f"Given: {', '.join(names) or 'none'}.")
    found = columns(tensors, tail)
    lengths = {name: len(column) for name, column in zip(names, found, strict=True)}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name}: {count}" for name, count in lengths.items())
        raise InputError("The inputs have different numbers of rows.", hint=f"Rows by input: {listed}.")
    return [dict(zip(names, values, strict=True)) for values in zip(*found, strict=True)]


def _described(name: str, kind: DataType) -> dict[str, object]:
    return {"name": name, "datatype": datatype(kind), "shape": [-1]}
