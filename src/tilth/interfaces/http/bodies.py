"""Bodies of requests and answers: read up to a limit, never further; errors as JSON with their HTTP status."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

import msgspec

from tilth.core.errors import InputError, TilthError
from tilth.core.sizes import show_size

LIMIT = 8 << 20  # bytes of a request's body
SLOWEST = 30.0  # seconds a body may take to arrive
JSON = b"application/json"
BYTES = b"application/octet-stream"
UNASKED = frozenset({b"", JSON, b"text/json", b"text/plain", b"application/x-www-form-urlencoded"})

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
encode = msgspec.json.Encoder().encode


class TooLargeError(InputError):
    http_status = 413


class WrongKindError(InputError):
    http_status = 415


class TooSlowError(InputError):
    http_status = 408


class WrongMethodError(InputError):
    http_status = 405

    def __init__(self, message: str, *, hint: str, allowed: str = "GET") -> None:
        super().__init__(message, hint=hint)
        self.allowed = allowed


class GoneError(Exception):
    """The client went away; nobody is there to be answered."""


def check_kind(headers: Sequence[tuple[bytes, bytes]], *, binary: bool = False) -> None:
    """WrongKindError when the body is said to be something else than JSON, or is compressed.

    JSON may go without a type, or with one that clients send when nobody tells them (curl's -d, a page's fetch). `binary`: tensors as
    bytes may come.
    """
    for name, value in headers:
        if name == b"content-type" and value != JSON:
            kind = value.partition(b";")[0].strip().lower()
            if not (kind in UNASKED or kind.endswith(b"+json") or (binary and kind == BYTES)):
                raise WrongKindError(
                    f"The body is said to be {kind.decode('latin-1')[:100]!r}, and only JSON is read here.",
                    hint="Send JSON with `Content-Type: application/json`.",
                )
        elif name == b"content-encoding" and value.strip().lower() not in {b"", b"identity"}:
            raise WrongKindError(
                "The body is compressed, and is read only as it is.", hint="Send it without Content-Encoding."
            )


async def read(receive: Receive, length: int, limit: int, first: Message | None = None) -> bytes:
    """The whole body. TooLargeError as soon as it is known to be over the limit; what is over it is not kept.

    `first` is its first message, if that was received already.
    """
    if length > limit:
        raise _too_large(limit)
    message = first or await receive()
    if message["type"] == "http.disconnect":
        raise GoneError
    body: bytes = message["body"]
    if message["more_body"]:
        return await _rest(receive, body, limit)
    if len(body) > limit:
        raise _too_large(limit)
    return body


async def _rest(receive: Receive, first: bytes, limit: int) -> bytes:
    parts, total, more = [first], len(first), True
    try:
        async with asyncio.timeout(SLOWEST):
            while more and total <= limit:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise GoneError
                parts.append(message["body"])
                total += len(parts[-1])
                more = message["more_body"]
    except TimeoutError:
        raise TooSlowError(
            f"The body did not arrive within {SLOWEST:g} seconds.", hint="Send smaller requests."
        ) from None
    if total > limit:
        raise _too_large(limit)
    return b"".join(parts)


def _too_large(limit: int) -> TooLargeError:
    return TooLargeError(
        f"The body is over the limit of {show_size(limit)}.",
        hint="Send less at a time; for predictions of large tables use SELECT ... JOIN model.",
    )


def failure(error: TilthError) -> bytes:
    """The error as the body of an answer."""
    return encode({"error": error.fields()})


async def answer(
    send: Send, status: int, body: bytes, kind: bytes = JSON, more: tuple[tuple[bytes, bytes], ...] = ()
) -> None:
    """Send a whole answer."""
    headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body)), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
