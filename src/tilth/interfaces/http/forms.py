"""What a request to the console must be: the methods of its paths, and the fields of its forms."""

from __future__ import annotations

from urllib.parse import parse_qsl

from tilth.core.errors import InputError
from tilth.interfaces.http.bodies import Receive, WrongMethodError, read

EDITOR, CHART, HISTORY = "/query", "/query/chart", "/query/history"
FORM = 64 << 10  # bytes of a form
FIELDS = 100  # of a form


def allow(path: str, method: str) -> None:
    """WrongMethodError for a method that a path of the console does not have."""
    if path in {CHART, "/sign-out"}:
        allowed: tuple[str, ...] = ("POST",)
    elif path in {"/sign-in", EDITOR} or path.startswith("/acts/"):
        allowed = ("GET", "HEAD", "POST")
    else:
        allowed = ("GET",) if path == "/events" else ("GET", "HEAD")
    if method not in allowed:
        named = " and ".join(one for one in allowed if one != "HEAD")
        raise WrongMethodError(
            f"This path is for {named}.",
            hint="Follow a link of a page, or use its form.",
            allowed=", ".join(allowed),
        )


async def fields(receive: Receive, length: int, most: int = FORM) -> dict[str, str]:
    """The fields of a form of at most so many bytes; InputError for too many of them."""
    body = (await read(receive, length, most)).decode("utf-8", "replace")
    try:
        return dict(parse_qsl(body, keep_blank_values=True, max_num_fields=FIELDS))
    except ValueError:
        raise InputError(
            f"The form has over {FIELDS} fields.", hint="Load the page again, and send its form from there."
        ) from None
