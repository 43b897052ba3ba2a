"""The console's files: its script, its style sheet and its picture, each at a URL that changes with what is in it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib import resources

from tilth.interfaces import style

KINDS: Mapping[str, bytes] = {
    "js": b"text/javascript; charset=utf-8", "css": b"text/css; charset=utf-8", "svg": b"image/svg+xml",
}  # fmt: skip
PREFIX = "/static/"


def text(name: str) -> str:
    """A file of the package's folder `static`."""
    return resources.files(__package__).joinpath("static", name).read_text("utf-8")


@cache
def contents() -> Mapping[str, bytes]:
    """What is sent, by name."""
    return {
        "console.js": text("console.js").encode(),
        "query.js": text("query.js").encode(),
        "style.css": style().encode(),
        "leaf.svg": text("leaf.svg").encode(),
    }


@cache
def names() -> Mapping[str, str]:
    """The URL of each, by name without its dot: `console_js`."""
    return {
        name.replace(".", "_"): f"{PREFIX}{sha256(content).hexdigest()[:16]}/{name}"
        for name, content in contents().items()
    }


def at(path: str) -> tuple[bytes, bytes] | None:
    """Content and type of a file by its URL; None for what is none of them."""
    for name, content in contents().items():
        if names()[name.replace(".", "_")] == path:
            return content, KINDS[name.rpartition(".")[2]]
    return None
