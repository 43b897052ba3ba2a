"""A request that is sent again is answered once: `Idempotency-Key` on predictions.

For a day the same key of the same principal on the same path gives the same answer, and no further row in the prediction log; with
another body it is refused. Answers are kept in this process, within bounds, the oldest going first: a restart forgets them.
Only answers that predicted are kept; what was refused is looked at anew.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from hashlib import sha256
from time import monotonic
from typing import NamedTuple

from tilth.core.errors import InputError
from tilth.interfaces.http.bodies import JSON

HEADER = b"idempotency-key"
REPLAYED = (b"idempotent-replayed", b"true")
KEPT = 86_400.0  # seconds
MOST_BYTES = 64 << 20  # of all answers together
MOST = 100_000  # answers
_EACH = 300  # bytes that an answer costs beside itself
_FORM = re.compile(rb"[\x21-\x7e]{1,255}")

Pairs = tuple[tuple[bytes, bytes], ...]
Name = tuple[str, str, bytes]  # the principal, the path and the key


class Predicted(NamedTuple):
    """An answer that predicted rows."""

    payload: bytes
    version: int
    rows: int
    more: Pairs = ()  # headers
    kind: bytes = JSON


class _Kept:
    """A request under this key: under way, or answered."""

    __slots__ = ("answer", "asked", "at", "done")

    def __init__(self, asked: bytes) -> None:
        self.asked, self.at = asked, monotonic()
        self.answer: Predicted | None = None
        self.done = asyncio.Event()

    @property
    def size(self) -> int:
        return _EACH + (len(self.answer.payload) if self.answer is not None else 0)


def key_of(headers: list[tuple[bytes, bytes]]) -> bytes | None:
    """The key that came with a request, if any; InputError when it is none, or there are two."""
    given = [value for name, value in headers if name == HEADER]
    if not given:
        return None
    if len(given) > 1 or not _FORM.fullmatch(given[0]):
        raise InputError(
            "Idempotency-Key must be 1 to 255 characters of ASCII without spaces, given once.",
            hint="Send a new UUID with each request, and the same one when you send it again.",
        )
    return given[0]


class Once:
    """The answers that are kept; lives in the thread that answers."""

    def __init__(self, most_bytes: int = MOST_BYTES, most: int = MOST, kept: float = KEPT) -> None:
        self._most_bytes, self._most, self._seconds = most_bytes, most, kept
        self._kept: OrderedDict[Name, _Kept] = OrderedDict()
        self._bytes = 0
        self.replayed = self.forgotten = 0  # answers given again; answers forgotten before their day was over

    async def answer(
        self, name: Name, asked: tuple[bytes, bytes], predict: Callable[[], Awaitable[Predicted]]
    ) -> Predicted:
        """The answer that is kept, or else what `predict` gives. `asked` is the body and the query.

        InputError when the key came with something else before.
        """
        mark = sha256(b"%d:%b%b" % (len(asked[0]), asked[0], asked[1])).digest()
        while (found := self._find(name)) is not None:
            if found.asked != mark:
                raise InputError(
                    "This Idempotency-Key came with another request before.",
                    hint="Send a new key with each new request.",
                )
            await found.done.wait()
            if found.answer is not None:
                self.replayed += 1
                return found.answer._replace(rows=0, more=(*found.answer.more, REPLAYED))
        return await self._first(name, mark, predict)

    async def _first(self, name: Name, mark: bytes, predict: Callable[[], Awaitable[Predicted]]) -> Predicted:
        one = self._kept[name] = _Kept(mark)
        self._bytes += one.size
        try:
            made = await predict()
        except BaseException:
            self._forget(name, one)
            raise
        finally:
            one.done.set()
        if self._kept.get(name) is one:
            self._bytes -= one.size
            one.answer = made
            self._bytes += one.size
            self._bound()
        else:
            one.answer = made
        return made

    def _find(self, name: Name) -> _Kept | None:
        """What is kept under the name; what is older than a day goes."""
        old = monotonic() - self._seconds
        while self._kept and (first := next(iter(self._kept.items())))[1].at < old:
            self._forget(*first)
        return self._kept.get(name)

    def _forget(self, name: Name, one: _Kept) -> None:
        if self._kept.get(name) is one:
            del self._kept[name]
            self._bytes -= one.size

    def _bound(self) -> None:
        while self._kept and (self._bytes > self._most_bytes or len(self._kept) > self._most):
            self._forget(*next(iter(self._kept.items())))
            self.forgotten += 1
