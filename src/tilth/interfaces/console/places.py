"""The URLs of the console's pages, in the language's words, and how a path is matched. Parts in `<>` are names that are looked up."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, unquote, urlencode

PLACES: Mapping[str, str] = {
    "/": "the loop as a picture, and what needs attention",
    "/datasets": "datasets, with rows, freshness and checks",
    "/datasets/<name>": "a dataset: profile, checks over time, snapshots, quarantine, lineage",
    "/models": "models, with the version that serves, its gate, drift and quality",
    "/models/<name>": "a model: looks over time, versions, gates, declaration",
    "/models/<name>/versions/<version>": "a version: curves, importance, what each input does, what was left out",
    "/models/<name>/compare": "two versions side by side",
    "/models/<name>/predict": "a form that predicts one row, and explains the answer",
    "/endpoints": "the endpoints, with their versions, stages and requests of a day",
    "/endpoints/<name>": "an endpoint: requests and latency over time, rollout, quality and drift, a request to copy",
    "/environments": "the environments, what they point at, and how they differ from the one that serves",
    "/generations/<number>": "a generation: what it points at, and what differs from the one before",
    "/query": "SQL: an editor with completion, results as tables and charts, downloads, history",
    "/runs": "what was begun, and what became of it",
    "/runs/<run>": "a run, with what the audit chain says of its time",
    "/jobs": "jobs and triggers, when they run next and what they did",
    "/notices": "what was guessed, left out or found odd",
    "/audit": "who did what to which thing",
    "/acts/<act>": "what an act will do, asked once before it is done",
}
"""Each place and what it shows; `pages.PAGES` has a function for each."""
ENVIRONMENT = "environment"


def match(path: str) -> tuple[str, dict[str, str]] | None:
    """The place of a raw path (as it was sent, without its query) and its names, percent-decoded; None for no page of the console.

    >>> match("/models/late/versions/2")
    ('/models/<name>/versions/<version>', {'name': 'late', 'version': '2'})
    """
    given = path.split("/")[1:]
    for place in PLACES:
        wanted = place.split("/")[1:]
        if len(wanted) == len(given) and all(
            w == g or (w[:1] == "<" and g) for w, g in zip(wanted, given, strict=True)
        ):
            return place, {w[1:-1]: unquote(g) for w, g in zip(wanted, given, strict=True) if w[:1] == "<"}
    return None


def url(*parts: object, **query: object) -> str:
    """The URL of a place whose parts are these, each percent-encoded; what is None or empty in the query is left out.

    >>> url("models", "late", "versions", 2, environment="dev")
    '/models/late/versions/2?environment=dev'
    """
    said = urlencode({k: v for k, v in query.items() if v is not None and v != ""})
    return "/" + "/".join(quote(str(p), safe="") for p in parts) + (f"?{said}" if said else "")


def here(text: str) -> str:
    """The path to go back to, if it is one of this server; else `/`.

    >>> here("/models?environment=dev"), here("//evil.example"), here("https://evil.example")
    ('/models?environment=dev', '/', '/')
    """
    clean = text[:1] == "/" and text[1:2] not in {"/", "\\"} and all(" " < c < "\x7f" for c in text)
    return text if clean and len(text) < 2000 else "/"


def of(kind: str) -> str | None:
    """The first part of the URL of a thing of that kind; None for kinds that have no page.

    >>> of("model"), of("source")
    ('models', None)
    """
    return f"{kind}s" if f"/{kind}s/<name>" in PLACES else None
