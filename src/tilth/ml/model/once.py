"""Whether a JSON row gives each of its names once. msgspec takes the last of equal names and says nothing.

A row that was decoded is also written down as JSON, with each name once. Every name and every text has two quotes; so
when the body has as many quotes as what is written down, nothing was left out of it. Only a row that has a backslash,
or in which something is missing, is counted anew, and only one that then differs is read name by name.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from tilth.core.errors import InputError

_PAIR, _QUOTE = b"\\\\", b'\\"'


def once(body: bytes, written: bytes) -> None:
    """InputError for a name that the row gives twice. `written`: the decoded row as JSON, all of its columns."""
    same = body.count(b'"') == written.count(b'"')
    if same and b"null" not in written and b"\\" not in body:
        return
    given, all_names = msgspec.json.decode(body), msgspec.json.decode(written)
    texts = _quotes(written) - 2 * len(all_names)
    if _quotes(body) != 2 * len(given) + texts:
        whole(body)


def apart(body: bytes) -> None:
    """InputError for a name that an object anywhere in this JSON gives twice."""
    if _quotes(body) != 2 * _texts(msgspec.json.decode(body)):
        whole(body)


def whole(body: bytes) -> None:
    """The same, read name by name."""
    try:
        json.loads(body, object_pairs_hook=_each_once, parse_int=float)
    except RecursionError:
        raise InputError("The body is nested too deeply.", hint="Send rows of plain values.") from None


def _texts(value: Any) -> int:
    """The names and texts in a JSON value."""
    if isinstance(value, list):
        return sum(1 if type(v) is str else _texts(v) for v in value if isinstance(v, str | list | dict))
    if isinstance(value, dict):
        return len(value) + _texts(list(value.values()))
    return int(isinstance(value, str))


def _each_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"`{twice[:100]}` is given twice.", hint="Give each name once.")
    return found


def _quotes(text: bytes) -> int:
    """The quotes that begin or end a text, not those within one."""
    if b"\\" in text:
        text = text.replace(_PAIR, b"").replace(_QUOTE, b"")
    return text.count(b'"')
