"""An Iceberg REST catalog of our own over a catalog of pyiceberg's: configuration with a prefix, pages, tables, keys that are lent, and tokens."""

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError

TOKEN, CREDENTIAL = "catalog-token", "reader:hunter2"


@dataclass
class Server:
    catalog: Catalog
    url: str = ""
    lent: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    failing: list[int] = field(default_factory=list)  # answers to the next requests
    body: bytes | None = None  # of every answer

    def answer(self, method: str, target: str, headers: Any, body: bytes) -> tuple[int, Any]:
        """The protocol's part that reads."""
        path, query = urlsplit(target).path, parse_qs(urlsplit(target).query)
        if path == "/v1/oauth/tokens" and method == "POST":
            form = parse_qs(body.decode())
            right = f"{form['client_id'][0]}:{form['client_secret'][0]}" == CREDENTIAL
            return (200, {"access_token": TOKEN, "token_type": "bearer"}) if right else (401, {})
        if headers.get("Authorization") != f"Bearer {TOKEN}":
            return 401, {"error": {"message": "no", "type": "NotAuthorizedException", "code": 401}}
        if path == "/v1/config":
            known = query.get("warehouse", [""])[0] in ("", "main")
            return (200, {"defaults": {}, "overrides": {"prefix": "main"}}) if known else (400, {})
        parts = [unquote(p) for p in path.removeprefix("/v1/main/").split("/")]
        space = tuple(parts[1].split("\x1f")) if len(parts) > 1 else ()
        if parts == ["namespaces"]:
            return 200, {"namespaces": [list(n) for n in self.catalog.list_namespaces()]}
        if len(parts) == 3:
            names = sorted(n[-1] for n in self.catalog.list_tables(space))
            at = int(query.get("pageToken", ["0"])[0] or 0)
            page = {"identifiers": [{"namespace": list(space), "name": n} for n in names[at : at + 1]]}
            return 200, {**page, "next-page-token": str(at + 1)} if at + 1 < len(names) else page
        table = self.catalog.load_table((*space, parts[3]))
        metadata = json.loads(table.metadata.model_dump_json())
        return 200, {"metadata-location": table.metadata_location, "metadata": metadata, "config": self.lent}


def started(catalog: Catalog, **lent: str) -> Server:
    """A server of its own."""
    server = Server(catalog, lent=lent)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.asked.append(self.path)
            try:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                code, said = server.answer(self.command, self.path, self.headers, body)
            except (NoSuchNamespaceError, NoSuchTableError) as error:
                code, said = (
                    404,
                    {"error": {"message": str(error), "type": type(error).__name__, "code": 404}},
                )
            if server.failing:
                code = server.failing.pop(0)
            self.send_response(code)
            self.end_headers()
            self.wfile.write(json.dumps(said).encode() if server.body is None else server.body)

        do_POST = do_GET  # noqa: N815 (the library looks for it)

        def log_message(self, *_: Any) -> None: ...

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.daemon_threads = True
    threading.Thread(target=made.serve_forever, daemon=True).start()
    server.url = f"http://127.0.0.1:{made.server_address[1]}"
    return server
