"""Tensors of the Open Inference Protocol as columns of values and back: as JSON, or as bytes that follow the JSON.

The bytes are those of the protocol's extension for binary data: little-endian, row by row; a text has its length in four bytes before
it. A tensor has shape [n] or [n, 1]. Bytes have no missing value but NaN: an output that has another one is sent as JSON.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import msgspec

from tilth.core.errors import InputError
from tilth.core.names import did_you_mean
from tilth.core.schema import DataType
from tilth.interfaces.http.bodies import encode

DATATYPES = {
    DataType.BOOLEAN: "BOOL",
    DataType.INTEGER: "INT64",
    DataType.FLOAT: "FP64",
    DataType.DECIMAL: "FP64",
}
NUMBERS = {
    "BOOL": "?", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8", "INT8": "i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8",
    "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8",
}  # fmt: skip
"""The datatypes of elements that all have one size, as numpy names them."""
ACCEPTED = ("BYTES", *sorted(NUMBERS))
SIZE = "binary_data_size"
_LENGTH = struct.Struct("<I")


class Tensor(msgspec.Struct):
    """One input: its name and one element a row."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any] | None = None
    parameters: dict[str, Any] = {}


# --- in ----------------------------------------------------------------------------------------------------


def columns(tensors: Sequence[Tensor], tail: bytes) -> list[list[Any]]:
    """The elements of each tensor; `tail` is what follows the JSON, in their order."""
    out, at = [], 0
    for tensor in tensors:
        if tensor.datatype not in ACCEPTED:
            raise InputError(
                f"The input `{tensor.name}` has the datatype {tensor.datatype!r}.",
                hint=did_you_mean(tensor.datatype, ACCEPTED, "datatypes"),
            )
        size = tensor.parameters.get(SIZE)
        if size is None:
            out.append(_listed(tensor))
            continue
        if type(size) is not int or size < 0 or at + size > len(tail) or tensor.data is not None:
            raise InputError(
                f"The input `{tensor.name}` has no {SIZE} of its own: {str(size)[:40]}, with {len(tail) - at:,} bytes left.",
                hint="Send either `data`, or as many bytes behind the JSON, whose length Inference-Header-Content-Length says.",
            )
        out.append(_fitting(tensor, _read(tensor, tail[at : at + size])))
        at += size
    if at != len(tail):
        raise InputError(
            f"{len(tail) - at:,} bytes behind the JSON belong to no input.",
            hint=f"Each input says how many are its own: parameters.{SIZE}.",
        )
    return out


def _listed(tensor: Tensor) -> list[Any]:
    if tensor.data is None:
        raise InputError(
            f"The input `{tensor.name}` has no data.",
            hint=f"Send `data`, or its bytes behind the JSON with parameters.{SIZE}.",
        )
    data = tensor.data
    if len(tensor.shape) == 2 and all(isinstance(value, list) for value in data):
        data = [element for row in data for element in row]
    return _fitting(tensor, data)


def _fitting(tensor: Tensor, data: list[Any]) -> list[Any]:
    if tensor.shape not in ([len(data)], [len(data), 1]):
        raise InputError(
            f"The input `{tensor.name}` has the shape {tensor.shape[:8]} and {len(data)} elements.",
            hint="Shapes are [n] or [n, 1]: one element a row.",
        )
    return data


def _read(tensor: Tensor, held: bytes) -> list[Any]:
    """The elements that these bytes are."""
    if tensor.datatype == "BYTES":
        return _texts(tensor.name, held)
    import numpy as np

    kind = np.dtype(NUMBERS[tensor.datatype])
    if len(held) % kind.itemsize:
        raise InputError(
            f"The input `{tensor.name}` has {len(held):,} bytes, which is no whole number of {tensor.datatype}.",
            hint=f"An element has {kind.itemsize} bytes.",
        )
    found: list[Any] = np.frombuffer(held, kind).tolist()
    return found


def _texts(name: str, held: bytes) -> list[str]:
    out, at = [], 0
    try:
        while at < len(held):
            (length,) = _LENGTH.unpack_from(held, at)
            at += _LENGTH.size
            if at + length > len(held):
                raise ValueError(f"a text of {length:,} bytes, where {len(held) - at:,} are left")
            out.append(held[at : at + length].decode())
            at += length
    except (struct.error, ValueError) as error:
        raise InputError(
            f"The bytes of the input `{name}` are no texts: {error}.",
            hint="Each is its length in four bytes, little-endian, and then itself in UTF-8.",
        ) from error
    return out


# --- out ---------------------------------------------------------------------------------------------------


def datatype(kind: DataType) -> str:
    """What an input or output of this type is in the protocol."""
    return DATATYPES.get(kind, "BYTES")


def tensor(name: str, kind: DataType, values: Sequence[Any], *, binary: bool) -> tuple[dict[str, Any], bytes]:
    """The output as the protocol has it, and the bytes that follow; a row that was refused has the value None.

    Bytes that cannot say so (all but those of FP64) are JSON after all: the rows were answered, and logged.
    """
    if kind in {DataType.JSON, DataType.SHARES}:
        values = [None if value is None else encode(value).decode() for value in values]
    sent = datatype(kind)
    said: dict[str, Any] = {"name": name, "shape": [len(values)], "datatype": sent}
    if not binary or (None in values and sent != "FP64"):
        return {**said, "data": values}, b""
    held = _written(sent, values)
    return {**said, "parameters": {SIZE: len(held)}}, held


def _written(kind: str, values: Sequence[Any]) -> bytes:
    if kind == "BYTES":
        texts = [str(value).encode() for value in values]
        return b"".join(_LENGTH.pack(len(text)) + text for text in texts)
    import numpy as np

    return np.array([np.nan if v is None else v for v in values], NUMBERS[kind]).tobytes()
