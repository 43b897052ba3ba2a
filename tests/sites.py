"""An HTTP server of our own that gives files with tags, and misbehaves as it is told: cut bodies, redirects, slow answers, no lengths."""

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Site:
    url: str = ""
    files: dict[str, tuple[bytes, dict[str, str]]] = field(default_factory=dict)
    special: dict[str, Answer] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def put(self, path: str, body: bytes, **headers: str) -> None:
        """A file; headers are written with underscores, and None takes one away."""
        tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        said: dict[str, Any] = {
            "ETag": tag,
            "Content-Length": str(len(body)),
            "Content-Type": "application/octet-stream",
        }
        said |= {k.replace("_", "-"): v for k, v in headers.items()}
        self.files[path] = body, {k: v for k, v in said.items() if v is not None}


def started() -> Site:
    """A site of its own."""
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            site.asked.append((self.command, self.path, dict(self.headers)))
            if path in site.special:
                site.special[path](self)
                return
            if path not in site.files:
                self.send_error(404)
                return
            body, headers = site.files[path]
            self.send_response(200)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815 (the library looks for it)

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    site.url = f"http://127.0.0.1:{server.server_address[1]}"
    return site
