"""Files that an HTTP server gives as tables: one by `url`, or several by `urls = {table: url}`, copied whole before they are read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from tilth.adapters.sources.files import options
from tilth.adapters.sources.http.server import KINDS, Server, address, name_of
from tilth.adapters.sources.remote import given as asked
from tilth.adapters.sources.remote.source import RemoteSource
from tilth.core.errors import ProjectError, UnknownNameError
from tilth.core.names import did_you_mean

OPTIONS = ("url", "urls", "auth", "headers", "kind", "timeout", "max_size", "format", "tables")
_UNSAID = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "range"})


class HttpSource:
    """Makes the source of these addresses; what it then does is `remote.source`."""

    local = False
    speaks = False
    copies = True

    @classmethod
    def from_options(cls, given: Mapping[str, object], root: str) -> RemoteSource:
        asked.check(given, OPTIONS, "http")
        urls = _urls(given)
        kind = asked.text(given, "kind")
        if kind is not None and kind not in KINDS:
            raise UnknownNameError(f"`kind` cannot be {kind!r}.", hint=did_you_mean(kind, KINDS, "kinds"))
        headers = _headers(given)
        server = Server(urls, headers, kind, asked.seconds(given, "timeout", "30 s"))
        said = json.dumps([sorted(urls.items()), sorted(headers.items()), kind])
        key = f"http:{hashlib.sha256(said.encode()).hexdigest()}"  # headers hold secrets
        return RemoteSource(server, key, options.parse(given), asked.size(given), root)


def _urls(given: Mapping[str, object]) -> dict[str, tuple[str, ...]]:
    """The addresses by table."""
    one, several = asked.text(given, "url"), given.get("urls")
    if (one is None) == (several is None):
        raise ProjectError(
            "An http source needs a url, or urls by table.",
            hint="Write WITH (url = 'https://example.org/weather.csv'), or WITH (urls = {weather: 'https://...'}).",
        )
    if one is not None:
        return {name_of(address(one)): (one,)}
    if not isinstance(several, Mapping) or not several:
        raise ProjectError(
            "`urls` is written in braces.", hint="Write urls = {weather: 'https://example.org/w.csv'}."
        )
    out: dict[str, tuple[str, ...]] = {}
    for table, value in several.items():
        listed = value if isinstance(value, tuple | list) else (value,)
        if not listed or not all(isinstance(v, str) for v in listed):
            raise ProjectError(
                f"`urls.{table}` is no address, nor a list of them.",
                hint=f"Write urls = {{{table}: 'https://...'}}.",
            )
        for v in listed:
            address(v)
        out[str(table)] = tuple(listed)
    return out


def _headers(given: Mapping[str, object]) -> dict[str, str]:
    """What is sent beside: `auth` is the value of Authorization."""
    listed = given.get("headers", {})
    if not isinstance(listed, Mapping):
        raise ProjectError(
            "`headers` is written in braces.", hint="Write headers = {'X-Api-Key': SECRET 'env:KEY'}."
        )
    out = {str(k): v for k, v in listed.items()}
    if (auth := asked.text(given, "auth")) is not None:
        out["Authorization"] = auth
    for name, value in out.items():
        if not isinstance(value, str) or any(ord(c) < 32 or ord(c) > 255 for c in name + value):
            raise ProjectError(
                f"The header `{name[:60]!r}` cannot be sent.", hint="A header is one line of text."
            )
        if name.lower() in _UNSAID or not name or not all(c.isalnum() or c in "-_" for c in name):
            raise ProjectError(f"The header `{name[:60]}` is not the source's to say.", hint="Leave it out.")
    return {k: str(v) for k, v in out.items()}
