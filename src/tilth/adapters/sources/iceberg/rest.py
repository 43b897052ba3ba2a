"""Iceberg catalogs that are servers: what reading needs of the REST protocol (configuration, tables of a namespace, one table; OAuth's client
credentials). Answers are bounded in time and size; a token goes to the catalog's own origin and no other.
"""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote, urlencode

from tilth.adapters.sources.http.server import Redirects, shown
from tilth.core.errors import SourceError

TIMEOUT, TURNS, PAUSE = 20.0, 3, 0.2  # seconds, tries, seconds after the first
MOST = 64 << 20  # bytes of one answer
PAGES = 10_000
_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})
_SECRET = {"Authorization": ""}


class _Absent(Exception):
    """The catalog has no such thing: 404."""


class Rest:
    """One catalog; what it says of itself, and a token that it gave, are asked for once."""

    def __init__(self, url: str, warehouse: str | None, token: str | None, credential: str | None) -> None:
        self._url, self._warehouse = url.removesuffix("/v1"), warehouse
        self._token, self._credential = token, credential
        self._prefix: str | None = None
        self._separator = "\x1f"

    def namespaces(self) -> Sequence[str]:
        try:
            return [".".join(n) for page in self._pages("namespaces") for n in page.get("namespaces", ())]
        except _Absent:
            return ()

    def names(self, namespace: str) -> Sequence[str] | None:
        try:
            pages = list(self._pages(f"namespaces/{self._levels(namespace)}/tables"))
        except _Absent:
            return None
        return [str(one["name"]) for page in pages for one in page.get("identifiers", ())]

    def load(self, namespace: str, table: str) -> tuple[str, Mapping[str, object]]:
        try:
            found = self._get(
                f"namespaces/{self._levels(namespace)}/tables/{quote(table, safe='')}?snapshots=refs"
            )
        except _Absent:
            raise SourceError(
                f"Iceberg table `{table}` is gone from its catalog.", hint="Try again."
            ) from None
        metadata = found.get("metadata-location")
        if not isinstance(metadata, str):
            raise self._no_catalog("a table without metadata-location")
        config: dict[str, object] = dict(found.get("config") or {})
        fitting = [
            c for c in found.get("storage-credentials") or () if metadata.startswith(c.get("prefix", ""))
        ]
        if fitting:
            config |= max(fitting, key=lambda c: len(c["prefix"])).get("config") or {}
        return metadata, config

    # --- asking --------------------------------------------------------------------------------------------

    def _levels(self, namespace: str) -> str:
        self._configured()
        return quote(self._separator.join(namespace.split(".")), safe="")

    def _pages(self, path: str) -> Any:
        token = ""
        for _ in range(PAGES):
            page = self._get(f"{path}?{urlencode({'pageToken': token})}" if token else path)
            yield page
            token = page.get("next-page-token") or ""
            if not token:
                return
        raise self._no_catalog(f"more than {PAGES:,} pages")

    def _get(self, path: str) -> dict[str, Any]:
        return self._asked(f"{self._url}/v1/{self._configured()}{path}")

    def _configured(self) -> str:
        """What stands before each path, as the catalog says it; '' or `name/`."""
        if self._prefix is None:
            where = f"?{urlencode({'warehouse': self._warehouse})}" if self._warehouse is not None else ""
            try:
                found = self._asked(f"{self._url}/v1/config{where}")
            except _Absent:
                raise self._no_catalog("404 to /v1/config") from None
            said = {**(found.get("defaults") or {}), **(found.get("overrides") or {})}
            self._separator = unquote(str(said.get("namespace-separator", "%1F")))
            prefix = str(said.get("prefix", "")).strip("/")
            self._prefix = f"{prefix}/" if prefix else ""
        return self._prefix

    def _asked(self, url: str, form: Mapping[str, str] | None = None) -> dict[str, Any]:
        for turn in range(TURNS):
            try:
                return self._once(url, form)
            except _Later as error:
                if turn == TURNS - 1:
                    raise SourceError(
                        f"{error}, {TURNS} times over.", hint="Try again later; look at the catalog."
                    ) from error
                time.sleep(PAUSE * 2**turn)
        raise AssertionError

    def _once(self, url: str, form: Mapping[str, str] | None) -> dict[str, Any]:
        headers = {
            "User-Agent": "tilth",
            "Accept": "application/json",
            "X-Iceberg-Access-Delegation": "vended-credentials",
        }
        if form is None and (token := self._bearer()) is not None:
            headers["Authorization"] = f"Bearer {token}"
        data = urlencode(form).encode() if form is not None else None
        request = urllib.request.Request(url, data, headers)  # noqa: S310 (`address` checked it)
        try:
            with urllib.request.build_opener(Redirects(_SECRET)).open(request, timeout=TIMEOUT) as answer:
                body = answer.read(MOST + 1)
        except urllib.error.HTTPError as error:
            with error:
                raise self._answered(error.code, url) from None
        except urllib.error.URLError as error:
            if isinstance(error.reason, TimeoutError | ConnectionResetError):
                raise _Later(f"The Iceberg catalog at {shown(url)} does not answer") from error
            raise SourceError(
                f"The Iceberg catalog at {shown(url)} cannot be reached.",
                hint="Check `catalog`, its certificate, and that the server can be reached from here.",
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise _Later(
                f"The Iceberg catalog at {shown(url)} does not answer ({type(error).__name__})"
            ) from error
        if len(body) > MOST:
            raise self._no_catalog("an answer of more than 64 MB")
        try:
            found = json.loads(body)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise self._no_catalog("what is no JSON object")
        return found

    def _bearer(self) -> str | None:
        """The token; one that is got for a name and its secret is got once."""
        if self._token is None and self._credential is not None:
            name, _, secret = self._credential.rpartition(":")
            form = {"grant_type": "client_credentials", "client_secret": secret, "scope": "catalog"}
            found = self._asked(f"{self._url}/v1/oauth/tokens", {**form, "client_id": name} if name else form)
            if not isinstance(found.get("access_token"), str):
                raise self._no_catalog("no token")
            self._token = found["access_token"]
        return self._token

    def _answered(self, code: int, url: str) -> Exception:
        if code == 404:
            return _Absent(url)
        if code in (400, 401, 403, 419):
            if self._credential is not None:
                self._token = None  # it may have run out
            return SourceError(
                f"The Iceberg catalog at {shown(url)} does not let this source in ({code}).",
                hint="Check `warehouse` and the SECRET that `token` or `credential` names, and what its owner may read.",
            )
        if code in _LATER:
            return _Later(f"The Iceberg catalog at {shown(url)} answers {code}")
        return SourceError(f"The Iceberg catalog at {shown(url)} answers {code}.", hint="Check `catalog`.")

    def _no_catalog(self, said: str) -> SourceError:
        return SourceError(
            f"What answers at {shown(self._url)} is no Iceberg catalog: it gave {said}.",
            hint="Correct `catalog`: the address before /v1, such as http://host:8181 or https://host/api/catalog.",
        )


class _Later(Exception):
    """An answer that may come later."""
