"""The Postgres door of `tilth up`: where it listens, and how the sessions behind it are made."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from tilth.core.errors import BusyError

if TYPE_CHECKING:
    import socket

    from tilth.app.project import Project
    from tilth.interfaces.http.listening import Place
    from tilth.interfaces.http.server import Beside, Postgres
    from tilth.runtime.serving.holders import Holders

PORT, HTTP_PORT = 5439, 8439


@dataclass(frozen=True, slots=True)
class Wanted:
    """Where it listens; from elsewhere it is reached with TLS alone."""

    socket: socket.socket
    host: str
    context: ssl.SSLContext | None
    must_encrypt: bool

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])

    def close(self) -> None:
        self.socket.close()


def wanted(http: Place, port: int | None, http_port: int, *, none: bool) -> Wanted | None:
    """Where the door is to be; None where it is asked to be nowhere."""
    if none and port is not None:
        raise click.UsageError("Give --postgres-port or --no-postgres, not both.")
    return None if none else place(http, port, http_port)


def place(http: Place, port: int | None, http_port: int) -> Wanted | None:
    """A listening socket beside that of HTTP: on the same address where TLS is spoken there, else on loopback.

    None beside a unix socket, unless a port is asked for.
    """
    from tilth.interfaces.http.listening import HOST, listen

    if http.path is not None and port is None:
        return None
    host = HOST
    if http.context is not None and http.path is None:
        host = str(http.socket.getsockname()[0])
    address = ipaddress.ip_address(host)
    chosen = port if port is not None else 0 if http_port == 0 else PORT
    try:
        found = listen(chosen, address)
    except BusyError as error:
        raise BusyError(
            f"Port {chosen}, for PostgreSQL's clients, is taken by another program.",
            hint="Choose another: --postgres-port 0 takes a free one; --no-postgres goes without.",
        ) from error
    return Wanted(found, host, http.context, must_encrypt=not address.is_loopback)


def words(door: Wanted, environment: str) -> str:
    """How a client connects."""
    host = "127.0.0.1" if door.host in {"0.0.0.0", "::"} else door.host  # noqa: S104 - it is compared
    return f'psql "host={host} port={door.port} user=tilth dbname={environment}", the password is the token after #token='


def opened(door: Wanted, project: Project, environment: str, tell: Callable[[str], None]) -> Postgres:
    """What makes the door once it is known who holds the tokens."""

    def made(token: str, holders: Holders) -> Beside:
        from tilth.interfaces.http.guard import OWNER
        from tilth.interfaces.pgwire import server
        from tilth.interfaces.pgwire.letting_in import Doorkeeper
        from tilth.interfaces.pgwire.performing import Server
        from tilth.interfaces.pgwire.settings import VERSION
        from tilth.runtime.record import environments

        known = Server(
            session=lambda at, by, told: project.session(at, told, by=by, door="postgres"),
            environments=lambda: environments.names(project.looked().state),
            environment=environment,
            version=f"PostgreSQL {VERSION} (tilth)",
        )
        return server.PostgresDoor(
            server.Wanted(door.socket, door.context, door.must_encrypt),
            known,
            Doorkeeper(token, OWNER, holders),
            tell,
        )

    return made
