"""Addresses of HTTP servers as a place of files. Redirects lead to the same scheme or to https, and what is secret to one origin goes to no other."""

from __future__ import annotations

import http.client
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import IO, Any
from urllib.parse import SplitResult, unquote, urlsplit

from tilth.adapters.sources.files.found import Found, kind_of, stem
from tilth.adapters.sources.remote.copies import too_large
from tilth.adapters.sources.remote.place import BrokenError, Item, ending
from tilth.core.errors import ProjectError, SourceError, UnknownNameError
from tilth.core.names import did_you_mean
from tilth.core.sizes import show_size

CHUNK = 1 << 20
REDIRECTS = 5
PAUSE = 0.2  # seconds after the first failure, doubled after each
LONGEST = 3600.0  # seconds for one body
KINDS = {
    "csv": ".csv",
    "tsv": ".tsv",
    "json": ".json",
    "jsonl": ".jsonl",
    "parquet": ".parquet",
    "xlsx": ".xlsx",
}
_TYPES = {
    "text/csv": ".csv", "application/csv": ".csv", "text/tab-separated-values": ".tsv", "application/json": ".json",
    "application/x-ndjson": ".jsonl", "application/jsonl": ".jsonl", "application/x-jsonlines": ".jsonl",
    "application/jsonlines": ".jsonl", "application/ndjson": ".jsonl", "application/vnd.apache.parquet": ".parquet",
    "application/x-parquet": ".parquet",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
}  # fmt: skip
_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})


def address(url: str) -> SplitResult:
    """The parts of an address that can be asked; ProjectError says what is wrong with it, without what it may hide."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ProjectError("A url of the source is no address.", hint="Write 'https://host/path'.") from error
    del port
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ProjectError(
            f"A url of the source begins with {parts.scheme[:20]!r} and not with http or https.",
            hint="Write 'https://host/path'.",
        )
    if parts.username is not None or parts.password is not None:
        raise ProjectError(
            "A url of the source holds a name or a password.",
            hint="Take it out, and write auth = SECRET 'env:NAME', where NAME holds 'Basic ...' or 'Bearer ...'.",
        )
    if any(ord(c) <= 32 or ord(c) > 126 for c in url):
        raise ProjectError(
            "A url of the source has blanks or letters that no url has.", hint="Write them as %20."
        )
    return parts


def name_of(parts: SplitResult) -> str:
    """What the table of an address is called."""
    return stem(unquote(parts.path.rstrip("/"))) or (parts.hostname or "file").partition(".")[0]


@dataclass(frozen=True, slots=True)
class _Head:
    """What a server says before a body."""

    tag: str | None
    size: int | None


class Server:
    """Implements `remote.place.Place` for these addresses by table."""

    what = "files of the server"

    def __init__(
        self,
        urls: Mapping[str, tuple[str, ...]],
        headers: Mapping[str, str],
        kind: str | None,
        timeout: float,
    ) -> None:
        self._urls, self._headers, self._kind, self._timeout = dict(urls), dict(headers), kind, timeout
        self._stopped = threading.Event()

    def found(self) -> Found:
        """The tables that are declared; whether they answer is asked when one is read."""
        return Found(self._urls, {}, {})

    def items(self, table: str) -> tuple[Item, ...]:
        self._stopped.clear()
        low = {name.lower(): urls for name, urls in self._urls.items()}
        if table.lower() not in low:
            raise UnknownNameError(
                f"There is no table `{table}`.", hint=did_you_mean(table, self._urls, "tables")
            )
        out = []
        for url in low[table.lower()]:
            head = self._head(url)
            out.append(Item(url, shown(url), head.size, head.tag))
        return tuple(out)

    def fetch(self, item: Item, path: str, most: int) -> Item:
        with self._asked(item.path, "GET") as answer:
            head = _head(answer)
            if head.size is not None and head.size > most:
                raise too_large(head.size, most)
            size = self._written(answer, path, most, item.shown)
            unsure = head.size is None and answer.headers.get("Transfer-Encoding", "").lower() != "chunked"
            kind = self._ending(item, answer)
        _no_page(path, item.shown)
        if head.size is not None and size != head.size:
            raise BrokenError(f"{item.shown} ended after {show_size(size)} of {show_size(head.size)}")
        return replace(
            item, size=head.size if head.size is not None else size, tag=head.tag, ending=kind, unsure=unsure
        )

    def stop(self) -> None:
        self._stopped.set()

    # --- within --------------------------------------------------------------------------------------------

    def _head(self, url: str) -> _Head:
        """By HEAD, or, where a server does not know that, by a GET whose body is left."""
        try:
            with self._patient(lambda: self._asked(url, "HEAD", also=(400, 403, 404, 405, 501))) as answer:
                if answer.status < 400:
                    return _head(answer)
        except http.client.HTTPException:
            pass
        with self._patient(lambda: self._asked(url, "GET")) as answer:
            return _head(answer)

    def _patient(self, ask: Callable[[], Any]) -> Any:
        for turn in range(4):
            try:
                return ask()
            except BrokenError as error:
                if turn == 3:
                    raise SourceError(
                        f"{error}, 4 times over.", hint="Try again later; look at the server."
                    ) from error
                time.sleep(PAUSE * 2**turn)
        raise AssertionError

    def _asked(self, url: str, method: str, also: tuple[int, ...] = ()) -> Any:
        """The answer, after redirects; SourceError when it is none, BrokenError when it may be one later."""
        headers = {
            "User-Agent": "tilth",
            "Accept-Encoding": "identity",
            "Accept": "*/*",
            **self._headers,
        }
        request = urllib.request.Request(url, headers=headers, method=method)  # noqa: S310 (`address` checked it)
        opener = urllib.request.build_opener(Redirects(self._headers))
        try:
            return opener.open(request, timeout=self._timeout)
        except urllib.error.HTTPError as error:
            if error.code in also:
                return error
            error.close()
            raise _answered(error.code, shown(url)) from None
        except (TimeoutError, ConnectionError) as error:
            raise BrokenError(f"{shown(url)} does not answer ({type(error).__name__})") from error
        except urllib.error.URLError as error:
            why = error.reason
            if isinstance(why, TimeoutError | ConnectionResetError):
                raise BrokenError(f"{shown(url)} does not answer ({type(why).__name__})") from error
            raise SourceError(
                f"{shown(url)} cannot be reached ({_why(why)}).",
                hint="Check the url, its certificate, and that the server can be reached from here.",
            ) from error
        except (http.client.HTTPException, OSError) as error:
            raise BrokenError(f"{shown(url)} answers no HTTP ({type(error).__name__})") from error

    def _written(self, answer: Any, path: str, most: int, name: str) -> int:
        size, late = 0, time.monotonic() + LONGEST
        with open(path, "wb") as out:
            while piece := _piece(answer, name):
                size += len(piece)
                if size > most:
                    raise too_large(size, most)
                if self._stopped.is_set() or time.monotonic() > late:
                    why = "was no longer wanted" if self._stopped.is_set() else "took more than an hour"
                    raise SourceError(f"{name} {why}.", hint="Ask again.")
                out.write(piece)
        return size

    def _ending(self, item: Item, answer: Any) -> str:
        """By what the source says, else by the name, else by what the server says that it is."""
        encoding = answer.headers.get("Content-Encoding")
        path = unquote(urlsplit(item.path).path)
        if self._kind is not None:
            packed = os.path.splitext(path)[1].lower() if kind_of(f"x.csv{os.path.splitext(path)[1]}") else ""
            return ending(f"x{KINDS[self._kind]}{packed}", encoding, item.shown)
        if kind_of(path):
            return ending(path, encoding, item.shown)
        kind = answer.headers.get_content_type()
        if kind not in _TYPES:
            raise SourceError(
                f"{item.shown} has no ending that tells what it is, and the server calls it {kind[:60]}.",
                hint=f"Write kind = 'csv' (or {', '.join(k for k in KINDS if k != 'csv')}).",
            )
        return ending(f"x{_TYPES[kind]}", encoding, item.shown)


def shown(url: str) -> str:
    """An address as it may be told: a query often holds a key."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}{'?...' if parts.query else ''}"


def _no_page(path: str, name: str) -> None:
    """SourceError for what is a page for people: a server that wants one to sign in often answers so, with 200."""
    with open(path, "rb") as file:
        begins = file.read(512).removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if begins.startswith((b"<!doctype html", b"<html")):
        raise SourceError(
            f"{name} answers a page (HTML) and no data.",
            hint="Correct the url; or sign in: auth = SECRET 'env:NAME', where NAME holds 'Bearer ...' or 'Basic ...'.",
        )


def _head(answer: Any) -> _Head:
    etag, modified, size = (answer.headers.get(n) for n in ("ETag", "Last-Modified", "Content-Length"))
    length = int(size) if size is not None and size.isdecimal() and len(size) < 19 else None
    return _Head(etag or (f"{modified} {length}" if modified else None), length)


def _piece(answer: IO[bytes], name: str) -> bytes:
    try:
        return answer.read(CHUNK)
    except (http.client.HTTPException, TimeoutError, ConnectionError, OSError) as error:
        raise BrokenError(f"{name} broke off ({type(error).__name__})") from error


def _answered(code: int, name: str) -> Exception:
    if code in _LATER:
        return BrokenError(f"{name} answers {code}")
    if 300 <= code < 400:
        return SourceError(
            f"{name} leads in circles, or to an address that is neither http nor https ({code}).",
            hint="Write the url that it should be read from.",
        )
    hint = {
        401: "Write auth = SECRET 'env:NAME', where NAME holds 'Bearer ...' or 'Basic ...'.",
        403: "Check what `auth` and `headers` say, and that its owner may read this.",
        404: "Correct the url.",
        410: "Correct the url.",
    }.get(code, "Open it with another program to see what the server wants.")
    return SourceError(f"{name} answers {code}.", hint=hint)


def _why(reason: object) -> str:
    return (reason.strerror or type(reason).__name__) if isinstance(reason, OSError) else str(reason)[:100]


class Redirects(urllib.request.HTTPRedirectHandler):
    max_redirections = REDIRECTS
    max_repeats = 1

    def __init__(self, secret: Mapping[str, str]) -> None:
        self._secret = {name.lower() for name in secret}

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """The next request, or an error where it would be less safe; headers of the source stay with its own origin."""
        here, there = urlsplit(req.full_url), urlsplit(newurl)
        if there.scheme not in ("http", "https") or (here.scheme == "https" and there.scheme != "https"):
            raise SourceError(
                f"{shown(req.full_url)} leads to an address of the scheme {there.scheme[:20]}, which is not followed.",
                hint="Write the url that it should be read from.",
            )
        made = super().redirect_request(req, fp, code, msg, headers, newurl)
        if made is not None:
            made.method = req.get_method()
            if (here.hostname, here.port or here.scheme) != (there.hostname, there.port or there.scheme):
                made.headers = {k: v for k, v in made.headers.items() if k.lower() not in self._secret}
        return made
