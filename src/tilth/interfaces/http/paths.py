"""The table of paths: how each is asked, the rights that let in, what it takes and gives, and how it can end.

The door answers by it, `/openapi.json` and `docs/http.md` are made of it. What the objects named here look like is in `shapes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tilth.interfaces.console.places import PLACES
from tilth.plan.rights import Right

ANY = (Right.READ, Right.PREDICT)
READ, PREDICT = (Right.READ,), (Right.PREDICT,)

EVERY = (400, 403, 408, 414, 421, 431, 500, 503)
"""What any request may end in."""
_HELD = (*EVERY, 401)  # where a token is asked for
_STATE = (*_HELD, 409, 507)  # where the state is read
_ASKED = (*_HELD, 404)  # where an endpoint is named
_ROWS = (*_ASKED, 409, 413, 415, 422, 507)


class Path(NamedTuple):
    """A path that is answered. `rights`: any of them lets in; none: no token is needed."""

    method: str
    rights: tuple[Right, ...]
    gives: str
    answer: str  # the object in `shapes`, or a content type
    errors: tuple[int, ...]
    takes: str | None = None  # the object of the body

    @property
    def asked(self) -> str:
        """The rights in words."""
        return " or ".join(self.rights)

    @property
    def ends(self) -> tuple[int, ...]:
        """The statuses of requests that are not answered, ascending."""
        return tuple(sorted({*self.errors, 405}))

    @property
    def methods(self) -> tuple[str, ...]:
        """What `Allow` says."""
        return ("GET", "HEAD") if self.method == "GET" else (self.method,)


TEXT = "text/plain"
HTML = "text/html"

PATHS: Mapping[str, Path] = {
    "/healthz": Path(
        "GET", (), "whether this process can answer: 503 while it starts; what it cannot serve is told, and is 200",
        "Health", EVERY,
    ),
    "/metrics": Path("GET", READ, "figures for Prometheus", TEXT, _STATE),
    "/openapi.json": Path(
        "GET", ANY, "this server as an OpenAPI 3.1 document: the paths that who asks may call, the endpoints that are served now",
        "Document", _STATE,
    ),
    "/ping": Path("GET", (), "`pong`", TEXT, EVERY),
    "/predict/<endpoint>": Path(
        "POST", PREDICT, "predictions for a row, or many, of plain JSON", "Answer", _ROWS, "Rows"
    ),
    "/promises": Path(
        "GET", READ, "whether what is promised holds, each with the reason when it does not", "Promises", _STATE
    ),
    "/sql": Path(
        "POST", ANY, "what statements answer: JSON, CSV, an Arrow stream or Parquet, by `Accept`; each statement asks for its own right",
        "Table", (*_STATE, 404, 413, 415, 422, 501, 502), "Statements",
    ),
    "/status": Path("GET", READ, "what `tilth status --json` says, and the server's figures", "Status", _STATE),
    "/v2": Path("GET", PREDICT, "the server, as the Open Inference Protocol has it", "Server", _HELD),
    "/v2/health/live": Path("GET", PREDICT, "whether this process runs", "Live", _HELD),
    "/v2/health/ready": Path("GET", PREDICT, "whether it can answer: 503 while it starts", "Ready", _HELD),
    "/v2/models/<endpoint>": Path("GET", PREDICT, "an endpoint's inputs and outputs as tensors", "Model", _ASKED),
    "/v2/models/<endpoint>/ready": Path("GET", PREDICT, "whether the endpoint is served", "ModelReady", _ASKED),
    "/v2/models/<endpoint>/infer": Path("POST", PREDICT, "predictions for tensors", "Inferred", _ROWS, "Infer"),
    "/v2/models/<endpoint>/versions/<version>": Path(
        "GET", PREDICT, "the same of one version that is served", "Model", _ASKED
    ),
    "/v2/models/<endpoint>/versions/<version>/ready": Path(
        "GET", PREDICT, "whether that version is served", "ModelReady", _ASKED
    ),
    "/v2/models/<endpoint>/versions/<version>/infer": Path(
        "POST", PREDICT, "predictions of that version", "Inferred", _ROWS, "Infer"
    ),
}  # fmt: skip

PAGES: Mapping[str, Path] = {
    **{place: Path("GET", READ, shows, HTML, (*_STATE, 404)) for place, shows in PLACES.items()},
    "/sign-in": Path(
        "GET", (), "the form that exchanges a token for a session; so does a POST of `token`", HTML, EVERY
    ),
    "/sign-out": Path("POST", READ, "the session is over", HTML, _HELD),
    "/events": Path(
        "GET", READ, "a line whenever something moved, until the session ends", "text/event-stream", _HELD
    ),
}
"""The console: pages for people, by a session or a token; they are no part of the document of `/openapi.json`."""
