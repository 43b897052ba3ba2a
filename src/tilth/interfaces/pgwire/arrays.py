"""Lists as PostgreSQL's arrays of one dimension, both ways, in text (`{a,"b c",NULL}`) and binary (PostgreSQL 18, 8.15 and array_send)."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_HEAD, _DIMENSION, _LONG = struct.Struct("!iii"), struct.Struct("!ii"), struct.Struct("!i")
_ODD = re.compile(rb'[{}",\\\s]')
_ESCAPED = re.compile(rb'(["\\])')
_TOKEN = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|([^{}",]*[^{}",\s]))\s*([,}])', re.DOTALL)
MOST = 1_000_000  # elements of an array that a client gives


def texts(counts: npt.NDArray[np.int64], elements: Iterator[bytes | None]) -> Iterator[bytes]:
    """An array for each count, of so many of the elements each."""
    for count in counts.tolist():
        inside = (next(elements) for _ in range(count))
        yield b"{" + b",".join(map(_written, inside)) + b"}"


def _written(element: bytes | None) -> bytes:
    if element is None:
        return b"NULL"
    if not element or element.upper() == b"NULL" or _ODD.search(element):
        return b'"' + _ESCAPED.sub(rb"\\\1", element) + b'"'
    return element


def binaries(counts: npt.NDArray[np.int64], elements: Iterator[bytes | None], oid: int) -> Iterator[bytes]:
    """The same in binary, of elements of the type `oid`."""
    for count in counts.tolist():
        inside = [next(elements) for _ in range(count)]
        if not inside:
            yield _HEAD.pack(0, 0, oid)
            continue
        each = (_LONG.pack(-1) if e is None else _LONG.pack(len(e)) + e for e in inside)
        yield _HEAD.pack(1, int(None in inside), oid) + _DIMENSION.pack(count, 1) + b"".join(each)


def read_text(text: str, element: Callable[[str], Any]) -> list[Any]:
    """ValueError for what is no array of one dimension."""
    bare = text.strip()
    if bare in {"{}", "{ }"}:
        return []
    if not bare.startswith("{"):
        raise ValueError(text)
    out: list[Any] = []
    at, mark = 1, ","
    while mark == ",":
        found = _TOKEN.match(bare, at)
        if found is None or len(out) > MOST:
            raise ValueError(text)
        quoted, plain, mark = found.groups()
        at = found.end()
        if quoted is not None:
            out.append(element(re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)))
        else:
            out.append(None if plain.upper() == "NULL" else element(plain))
    if at != len(bare):
        raise ValueError(text)
    return out


def read_binary(data: bytes, element: Callable[[bytes, int], Any]) -> list[Any]:
    """`element` reads the bytes of one, of the type whose OID it is given; ValueError for what is no array of one dimension."""
    dimensions, _, oid = _HEAD.unpack_from(data)
    if dimensions == 0:
        return []
    count, _ = _DIMENSION.unpack_from(data, _HEAD.size)
    if dimensions != 1 or not 0 <= count <= MOST:
        raise ValueError("dimensions")
    at, out = _HEAD.size + _DIMENSION.size, list[Any]()
    for _ in range(count):
        (length,) = _LONG.unpack_from(data, at)
        at += _LONG.size
        if length > len(data) - at:
            raise ValueError("length")
        out.append(None if length < 0 else element(data[at : at + length], oid))
        at += max(length, 0)
    if at != len(data):
        raise ValueError("length")
    return out
