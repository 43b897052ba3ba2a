"""Outputs as tensors: the bytes of each type, and what becomes of a missing value."""

import struct
from typing import Any

import pytest

from tilth.core.schema import DataType
from tilth.interfaces.http.tensors import tensor


def text(*values: str) -> bytes:
    return b"".join(struct.pack("<I", len(v.encode())) + v.encode() for v in values)


ROWS: list[tuple[DataType, list[Any], str, bytes | None]] = [  # None: as JSON
    (DataType.FLOAT, [1.5, -2.0], "FP64", struct.pack("<2d", 1.5, -2.0)),
    (DataType.INTEGER, [7, -(2**63)], "INT64", struct.pack("<2q", 7, -(2**63))),
    (DataType.BOOLEAN, [True, False], "BOOL", b"\x01\x00"),
    (DataType.STRING, ["", "\u00fc\u20ac"], "BYTES", text("", "\u00fc\u20ac")),
    (DataType.DATE, ["2024-01-02"], "BYTES", text("2024-01-02")),
    (DataType.SHARES, [{"a": 0.5}], "BYTES", text('{"a":0.5}')),
    (DataType.JSON, [{"value": 1}], "BYTES", text('{"value":1}')),
    (DataType.FLOAT, [], "FP64", b""),
    (DataType.STRING, [], "BYTES", b""),
    (DataType.INTEGER, [7, None], "INT64", None),
    (DataType.BOOLEAN, [None], "BOOL", None),
    (DataType.STRING, ["a", None], "BYTES", None),
    (DataType.SHARES, [None], "BYTES", None),
]


@pytest.mark.parametrize(("kind", "values", "datatype", "held"), ROWS)
def test_an_output_is_its_bytes_or_its_json(
    kind: DataType, values: list[Any], datatype: str, held: bytes | None
) -> None:
    said, tail = tensor("y", kind, values, binary=True)
    assert (said["name"], said["shape"], said["datatype"]) == ("y", [len(values)], datatype)
    assert tail == (held or b"")
    assert ("data" in said) is (held is None)
    assert said.get("parameters") == (None if held is None else {"binary_data_size": len(held)})
    plain, nothing = tensor("y", kind, values, binary=False)
    assert (len(plain["data"]), nothing) == (len(values), b"")


def test_a_missing_number_is_nan() -> None:
    _, tail = tensor("y", DataType.FLOAT, [1.0, None], binary=True)
    first, second = struct.unpack("<2d", tail)
    assert first == 1.0
    assert second != second  # noqa: PLR0124 - NaN
