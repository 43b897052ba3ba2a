"""A webhook over HTTP: one request, no redirect followed; nothing of the answer is kept but its status.

Ten seconds are waited for each next byte, and thirty for all of it, so that an answer that drips is no endless one.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Mapping
from urllib.parse import urlsplit

SECONDS = 10.0  # for a connection, and for each byte after it
LONGEST = 30.0  # from the connection to the answer
REDIRECTS = range(300, 400)
TAKEN = range(200, 300)


class HttpWebhook:
    """Implements `ports.webhooks.Webhook`."""

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> str | None:
        """None when it was taken; else what was answered, or why nothing was. Neither names the address, which may be a secret."""
        at = urlsplit(url)
        if at.scheme not in ("http", "https") or not at.hostname:
            return "its address is none of a webhook: it begins with https:// or http://"
        connection = _connection(at.scheme, at.hostname, at.port)
        try:
            connection.connect()
            watch = _Watch(connection.sock, LONGEST)
        except (OSError, http.client.HTTPException, ValueError) as error:
            return _unreached(error)
        try:
            target = (at.path or "/") + (f"?{at.query}" if at.query else "")
            connection.request("POST", target, body, {**headers, "Connection": "close"})
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException, ValueError) as error:
            return f"it did not answer within {LONGEST:g} s" if watch.over else _unreached(error)
        finally:
            watch.end()
            connection.close()
        if status in TAKEN:
            return None
        if status in REDIRECTS:
            return f"it answered {status}, and redirects are not followed"
        return f"it answered {status}"


def _unreached(error: Exception) -> str:
    """Why there was no answer."""
    if isinstance(error, TimeoutError):
        return f"it did not answer within {SECONDS:g} s"
    if isinstance(error, ssl.SSLError):
        return f"its certificate does not hold or its TLS failed ({error.reason or type(error).__name__})"
    return f"it cannot be reached ({getattr(error, 'strerror', None) or type(error).__name__})"


class _Watch:
    """Shuts a socket down after a while, so that whoever reads from it goes on."""

    def __init__(self, link: socket.socket, seconds: float) -> None:
        self.over = False
        self._link = link
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self._timer.start()

    def _cut(self) -> None:
        self.over = True
        with contextlib.suppress(OSError):
            self._link.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        self._timer.cancel()


def _connection(scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
    if scheme == "https":
        return http.client.HTTPSConnection(host, port, timeout=SECONDS, context=ssl.create_default_context())
    return http.client.HTTPConnection(host, port, timeout=SECONDS)
