"""One byte form for plain values, and the fingerprints made from it.

A fingerprint is `recipe:hash`: the number says how it was made, so that a later way of making it stands
beside the old one and old state stays comparable. A digest is the bare sha256 of bytes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import Enum

RECIPE = 1


def canonical(value: object) -> bytes:
    """The one byte form of plain values: JSON with sorted keys, no spaces, frozen values as tagged objects.

    >>> canonical({"b": 1, "a": (True, None)})
    b'{"a":[true,null],"b":1}'
    """
    return json.dumps(
        plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def plain(value: object) -> object:
    """A frozen value as JSON-able data; dataclasses carry their class name under `$`."""
    if value is None or (isinstance(value, bool | int | float | str) and not isinstance(value, Enum)):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return {"$": "instant", "iso": value.isoformat()}
    if isinstance(value, timedelta):
        return {"$": "duration", "us": round(value.total_seconds() * 1_000_000)}
    if isinstance(value, bytes):
        return {"$": "bytes", "hex": value.hex()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        out: dict[str, object] = {
            f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value) if f.compare
        }
        return {"$": type(value).__name__, **out}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, frozenset | set):
        return sorted((plain(v) for v in value), key=lambda v: json.dumps(v, sort_keys=True))
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    raise TypeError(f"{type(value).__name__} has no canonical form; give it plain values")


def digest(data: bytes) -> str:
    """sha256 of the bytes, in hex (64 characters)."""
    return hashlib.sha256(data).hexdigest()


def fingerprint(value: object, recipe: int = RECIPE) -> str:
    """`recipe:hash` of a plain or frozen value; 32 hex characters (128 bits) of sha256."""
    return f"{recipe}:{digest(canonical(value))[:32]}"
