"""The HTTP statuses that tilth answers with: what each means, and what to do."""

from __future__ import annotations

from collections.abc import Mapping

STATUSES: Mapping[int, tuple[str, str]] = {
    200: ("done", ""),
    400: ("the request cannot be read in one way only, or names no Host", "mend the client"),
    401: ("no token, or a wrong, expired or dropped one", "send `Authorization: Bearer <token>`"),
    403: ("the token's role has not the right; or a foreign Host or Origin", "ask with another token, or by this server's name"),
    404: ("no such path, endpoint, version, output or parameter", "the error lists the names that there are"),
    405: ("another method", "`Allow` says which"),
    408: ("headers took over 10 seconds to arrive, or a body over 30", "send smaller requests"),
    409: ("what is stored is not what was signed", "`tilth verify`"),
    413: ("the body is over 8 MB", "send fewer rows at a time"),
    414: ("the request line is over 8 KB", "name fewer outputs"),
    415: ("the body is said to be something else than JSON, or is compressed", "send JSON, as `application/json`"),
    421: ("the request line names another server", "ask this one"),
    422: ("the body, a row or a value does not fit, or an Idempotency-Key came with another body before; nothing was predicted or logged", "the error names the row and the input"),
    431: ("the headers are over 100, or over 32 KB in all", "send fewer"),
    500: ("the server failed at this request", "its log says why"),
    501: ("the statement means something that tilth does not do", "the error says what to do"),
    502: ("a source of the statement refused or went away", "see the source"),
    503: ("nothing is served yet, or as many connections as there may be are busy", "try again later"),
    507: ("the answer could not be logged, so it was not given", "make room on the server's disk"),
}  # fmt: skip
"""What a status means, and what to do."""
