"""A webhook over HTTP: one request, ten seconds, no redirect followed; nothing of the answer is kept but its status."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

SECONDS = 10.0
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
            target = (at.path or "/") + (f"?{at.query}" if at.query else "")
            connection.request("POST", target, body, {**headers, "Connection": "close"})
            status = connection.getresponse().status
        except TimeoutError:
            return f"it did not answer within {SECONDS:g} s"
        except ssl.SSLError as error:
            return f"its certificate does not hold or its TLS failed ({error.reason or type(error).__name__})"
        except (OSError, http.client.HTTPException, ValueError) as error:
            words = getattr(error, "strerror", None)
            return f"it cannot be reached ({words or type(error).__name__})"
        finally:
            connection.close()
        if status in TAKEN:
            return None
        if status in REDIRECTS:
            return f"it answered {status}, and redirects are not followed"
        return f"it answered {status}"


def _connection(scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
    if scheme == "https":
        return http.client.HTTPSConnection(host, port, timeout=SECONDS, context=ssl.create_default_context())
    return http.client.HTTPConnection(host, port, timeout=SECONDS)
