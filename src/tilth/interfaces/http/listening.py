"""Where a server is reached: an address or a unix socket, with or without TLS, and the names it answers to.

All that can be wrong with it is found by `place`, before anything is started: an address that others reach needs TLS, or a proxy
that has it. A certificate that is renewed while the server runs is taken up by `renewing`.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
import ssl
import stat
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NoReturn

from tilth.core.errors import BusyError, InputError, StorageError
from tilth.interfaces.http.guard import LOCAL, Names

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

HOST = "127.0.0.1"
SOCKET_MODE = 0o660
LONGEST_PATH = 107  # bytes of a unix socket's path, as Linux has them
SOON = timedelta(days=14)  # before its end a certificate is told
MOST = 1 << 20  # bytes of a certificate's or key's file


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for on the command line."""

    host: str | None = None
    port: int = 0
    cert: str | None = None
    key: str | None = None
    path: str | None = None  # of a unix socket
    proxied: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server listens. `url` is how it is called from this machine."""

    socket: socket.socket
    url: str
    name: str  # for the name of the node
    names: Names = LOCAL
    context: ssl.SSLContext | None = None
    path: str | None = None
    proxied: bool = False
    told: tuple[str, ...] = field(default=())
    files: tuple[str, str] | None = None  # of the certificate and its key
    inode: int = 0

    @property
    def port(self) -> int:
        """The port; 0 of a unix socket."""
        return 0 if self.path is not None else int(self.socket.getsockname()[1])

    @property
    def at(self) -> str:
        """How the state names it."""
        return self.url if self.path is None else f"unix:{self.path}"

    def close(self) -> None:
        """Close it, and take a unix socket away that is still ours."""
        self.socket.close()
        if self.path is not None:
            with contextlib.suppress(OSError):
                if os.lstat(self.path).st_ino == self.inode:
                    os.unlink(self.path)


def place(wanted: Wanted) -> Place:
    """A listening socket as it is wanted; one clear error for what is wrong with it."""
    if (wanted.cert is None) != (wanted.key is None):
        has, lacks = ("--tls-cert", "--tls-key") if wanted.key is None else ("--tls-key", "--tls-cert")
        raise InputError(f"{has} needs {lacks}.", hint="Write --tls-cert FILE --tls-key FILE.")
    context: ssl.SSLContext | None = None
    names, told = tuple[str, ...](), tuple[str, ...]()
    if wanted.cert is not None and wanted.key is not None:
        context, names, told = certified(wanted.cert, wanted.key)
    if wanted.path is not None:
        return _unix(wanted, context)
    address = _address(HOST if wanted.host is None else wanted.host)
    if not address.is_loopback and context is None and not wanted.proxied:
        host = wanted.host
        raise InputError(
            f"{host} is reached by others, and without TLS they would send their tokens in clear.",
            hint=f"Write --host {host} --tls-cert FILE --tls-key FILE; or --host {host} --behind-proxy when only a proxy that has TLS reaches it.",
        )
    found = listen(wanted.port, address)
    number = found.getsockname()[1]
    scheme = "https" if context is not None else "http"
    called = _called(address, names)
    own = (b"https://",) if context is not None else (b"http://",)
    answers = Names(
        frozenset({*map(str.lower, names), _shown(address).lower()}),
        (b"http://", b"https://") if wanted.proxied else own,
        everything=wanted.proxied,
    )
    plain = address == ipaddress.ip_address(HOST) and context is None and not wanted.proxied
    return Place(
        found,
        f"{scheme}://{called}:{number}",
        str(number),
        LOCAL if plain else answers,
        context,
        proxied=wanted.proxied,
        told=told,
        files=None if wanted.cert is None or wanted.key is None else (wanted.cert, wanted.key),
    )


def listen(port: int, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None = None) -> socket.socket:
    """A socket on the address, by default the loopback one; BusyError when the port is taken. Port 0 takes a free one.

    How many connections may wait to be accepted is settled by `serve`.
    """
    at = address or ipaddress.ip_address(HOST)
    found = socket.socket(socket.AF_INET if at.version == 4 else socket.AF_INET6, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((str(at), port))
        found.listen()
    except (OSError, OverflowError) as error:
        found.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise BusyError(
                f"Port {port} is taken by another program.",
                hint="Stop it, or choose another: tilth up --port 0 takes a free one.",
            ) from error
        if isinstance(error, OSError) and error.errno == errno.EADDRNOTAVAIL:
            raise InputError(
                f"This machine has no address {at}.", hint="`ip address` lists its addresses."
            ) from error
        raise StorageError(f"Port {port} cannot be used: {error}.", hint="Choose one above 1023.") from error
    return found


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The address of a host: the first one that its name has."""
    bare = host.removeprefix("[").removesuffix("]")
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(bare)
    try:
        found = socket.getaddrinfo(bare, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise InputError(
            f"--host {host[:100]!r} is no address, and no name that is known here.",
            hint="Write an address such as 127.0.0.1, 0.0.0.0 or ::1.",
        ) from error
    known = sorted(
        (ipaddress.ip_address(str(f[4][0]).partition("%")[0]) for f in found), key=lambda a: a.version
    )
    return known[0]


def _shown(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    return str(address) if address.version == 4 else f"[{address}]"


def _called(address: ipaddress.IPv4Address | ipaddress.IPv6Address, names: tuple[str, ...]) -> str:
    """A name that a client may use: one of the certificate, else the address, or loopback where that is all addresses."""
    first = next((n for n in names if not n.startswith("*")), None)
    if first is not None:
        return first
    return HOST if address.is_unspecified else _shown(address)


# --- a unix socket -----------------------------------------------------------------------------------------


def _unix(wanted: Wanted, context: ssl.SSLContext | None) -> Place:
    if wanted.host is not None or context is not None:
        raise InputError(
            "--unix-socket goes without --host and TLS.",
            hint="Write --unix-socket PATH alone, or with --behind-proxy for names of a proxy.",
        )
    assert wanted.path is not None
    path = os.path.abspath(wanted.path)
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise InputError(
            f"The path of a unix socket has at most {LONGEST_PATH} bytes, and this one has {len(os.fsencode(path))}.",
            hint="Choose a shorter one, such as /run/tilth/tilth.sock.",
        )
    _clear(path)
    found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o777 & ~SOCKET_MODE)
    try:
        found.bind(path)
        os.chmod(path, SOCKET_MODE)
        found.listen()
        inode = os.lstat(path).st_ino
    except OSError as error:
        found.close()
        raise StorageError(
            f"The unix socket {path} cannot be made ({error.strerror}).",
            hint="Its folder must be there, and this user must be able to write to it.",
        ) from error
    finally:
        os.umask(mask)
    names = Names(frozenset(), (b"http://", b"https://"), everything=True) if wanted.proxied else LOCAL
    called = os.path.basename(path)
    return Place(found, "http://localhost", called, names, path=path, proxied=wanted.proxied, inode=inode)


def _clear(path: str) -> None:
    """Take away a socket that nobody listens on; an error for one that is listened on, or that is something else."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError(
            f"The unix socket {path} cannot be made ({error.strerror}).",
            hint="Its folder must be there, and this user must be able to write to it.",
        ) from error
    if not stat.S_ISSOCK(mode):
        raise InputError(f"{path} is there already, and is no socket.", hint="Choose another path.")
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
        probe.settimeout(2)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            return
        except FileNotFoundError:
            return
        except OSError as error:
            raise StorageError(
                f"Whether {path} is in use cannot be seen ({error}).", hint="Choose another path."
            ) from error
    raise BusyError(
        f"Another program listens on {path}.", hint="Stop it, or choose another path for --unix-socket."
    )


# --- TLS ---------------------------------------------------------------------------------------------------


def certified(cert: str, key: str) -> tuple[ssl.SSLContext, tuple[str, ...], tuple[str, ...]]:
    """How TLS is spoken (1.2 or newer), the names of the certificate, and what to know of it."""
    found = _certificate(cert)
    _read(key, "key")
    now = datetime.fromtimestamp(time.time(), UTC)
    if found.not_valid_after_utc <= now:
        raise InputError(
            f"The certificate in {cert} ended on {found.not_valid_after_utc:%Y-%m-%d}.", hint="Get a new one."
        )
    if found.not_valid_before_utc > now:
        raise InputError(
            f"The certificate in {cert} begins on {found.not_valid_before_utc:%Y-%m-%d} only.",
            hint="See whether this machine's clock is right.",
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(cert, key, password=lambda: _locked(key))
    except ssl.SSLError as error:
        if "MISMATCH" in (error.reason or ""):
            raise InputError(
                f"The key in {key} is not that of the certificate in {cert}.",
                hint="Give the two files that were made together.",
            ) from error
        raise InputError(
            f"{key} holds no key that can be used, or {cert} no chain ({error.reason or error}).",
            hint="Both are files in PEM form: -----BEGIN ...",
        ) from error
    left = found.not_valid_after_utc - now
    end = f"the certificate ends on {found.not_valid_after_utc:%Y-%m-%d}: renew it before"
    return context, _names_of(found), (end,) if left < SOON else ()


def _locked(key: str) -> NoReturn:
    raise InputError(
        f"The key in {key} is locked by a password.",
        hint="Give a key without one, that only this user can read.",
    )


def _read(path: str, what: str) -> bytes:
    try:
        with open(path, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise InputError(f"{path} is no file.", hint=f"Name the {what}'s file, in PEM form.")
            held = file.read(MOST + 1)
    except OSError as error:
        raise StorageError(
            f"The {what} {path} cannot be read ({error.strerror}).",
            hint="Give a file that this user can read.",
        ) from error
    if len(held) > MOST:
        raise InputError(f"{path} is too large for a {what}.", hint="Name the file in PEM form.")
    return held


def _certificate(path: str) -> Certificate:
    from cryptography import x509

    held = _read(path, "certificate")
    try:
        return x509.load_pem_x509_certificate(held)
    except ValueError as error:
        raise InputError(
            f"{path} holds no certificate in PEM form.",
            hint="It begins with -----BEGIN CERTIFICATE-----; the server's own stands first.",
        ) from error


def _names_of(found: Certificate) -> tuple[str, ...]:
    """The names and addresses that the certificate is for."""
    from cryptography import x509

    try:
        said = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    addresses = [a if a.version == 4 else f"[{a}]" for a in said.get_values_for_type(x509.IPAddress)]
    return (*said.get_values_for_type(x509.DNSName), *map(str, addresses))
