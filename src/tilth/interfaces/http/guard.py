"""Who may ask: the token of a project, and requests that a foreign web page had a browser send.

The token is made at the first start, in a file that only this user can read. A request must name a host that this server
answers to (`Names`: a loopback one, one of its certificate, any behind a proxy), so that a page whose name was made to point here
is refused, and its origin, if it has one, must be this server.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256

from tilth.adapters.files import own
from tilth.core.errors import AuthError, InputError, StorageError
from tilth.core.principals import Principal
from tilth.core.principals import token as holder
from tilth.plan.rights import RIGHTS, Right, require

_LOOPBACK = re.compile(rb"(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?\Z", re.IGNORECASE)
_OWN_SITES = (
    b"same-origin",
    b"none",
)  # `Sec-Fetch-Site`: a page of this server, or the person at the browser
_HOST = re.compile(rb"([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?")
WHERE = ".tilth/token"  # below the project's folder, which is nobody's business
MOST_HOSTS = 16
MOST_TOKEN = 256  # characters
_TOKEN = re.compile(rb"[A-Za-z0-9_-]{32,%d}" % MOST_TOKEN)
Headers = list[tuple[bytes, bytes]]
OWNER = holder("project")  # whoever holds the one token of a project


class ForeignError(AuthError):
    """The request came by another name than this machine's own, or from another web page."""

    http_status = 403


def token(home: str) -> str:
    """The project's token; made, with mode 0600, when there is none."""
    path = os.path.join(home, "token")
    try:
        os.makedirs(home, mode=0o700, exist_ok=True)
        if not own.check(path, folder=False):
            _make(path)
        with os.fdopen(own.open_file(path, os.O_RDONLY), "rb") as file:
            found = file.read(MOST_TOKEN + 1).strip()
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise AuthError(
                    f"Others can read the token in {path}.",
                    hint=f"Delete it and start again: a new one is made. Or: chmod 600 {path}",
                )
    except OSError as error:
        raise StorageError(
            f"The token file {path} cannot be used ({error.strerror}).",
            hint="Give this user write access to the project's .tilth folder.",
        ) from error
    if not _TOKEN.fullmatch(found):
        raise AuthError(
            f"What {path} holds is no token: 32 to {MOST_TOKEN} letters, digits, `-` and `_`.",
            hint="Delete the file: a new one is made.",
        )
    return found.decode("ascii")


def _make(path: str) -> None:
    """Write a token to a file of our own and give it its name, so that no one ever reads a half of it."""
    fresh = f"{path}.{os.getpid()}"
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(handle, secrets.token_urlsafe(32).encode())
        os.fsync(handle)
    finally:
        os.close(handle)
    try:
        os.link(fresh, path)  # fails when another start was first
    except FileExistsError:
        pass
    finally:
        os.unlink(fresh)


class HostError(InputError):
    """The request names no server, or several."""

    http_status = 400


@dataclass(frozen=True, slots=True)
class Names:
    """The hosts that a server answers to beside those of loopback, in lower case, `*.` for one label; how its origins begin."""

    hosts: frozenset[str] = frozenset()
    schemes: tuple[bytes, ...] = (b"http://",)
    everything: bool = False  # any host: a proxy decides which

    def has(self, host: bytes) -> bool:
        """Whether a Host header names this server."""
        if _LOOPBACK.match(host) is not None:
            return True
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = found[1].decode("ascii").lower()
        return self.everything or name in self.hosts or f"*.{name.partition('.')[2]}" in self.hosts

    def origin(self, host: bytes, origin: bytes) -> bool:
        """Whether the page that asks came from here."""
        return any(origin == scheme + host for scheme in self.schemes)


LOCAL = Names()
Others = Callable[[bytes], Principal | None]


Kept = Callable[[str], Principal | None]


def _nobody(_given: bytes | str) -> None:
    return None


class Guard:
    """Checks the headers of a request, and whether who asks may. Never says what the token is, nor where on the disk it lies."""

    def __init__(
        self,
        secret: str,
        principal: Principal = OWNER,
        others: Others = _nobody,
        names: Names = LOCAL,
        kept: Kept = _nobody,
    ) -> None:
        """`principal` is whoever holds the token of the home, `others` finds who holds any other, `kept` the same by its hash."""
        self._names = names
        self._principal, self._others, self._kept = principal, others, kept
        self._hash = sha256(secret.encode()).hexdigest()
        self.mark = sha256(b"mark" + secret.encode()).hexdigest()[:8]  # tells servers of one machine apart
        self.by: Principal | None = None  # who sent the request that was checked last
        self._expected = b"Bearer " + secret.encode()
        self._secret = secret.encode()
        self._hosts: set[bytes] = set()

    def named(self, names: tuple[str, ...]) -> None:
        """Answer to these names too, which a renewed certificate has."""
        more = self._names.hosts | {name.lower() for name in names}
        self._names = replace(self._names, hosts=more)

    def check(self, headers: Headers, rights: tuple[Right, ...]) -> int:
        """The announced length of the body (-1: not announced), when the request may be answered.

        `rights` are those of which the path asks for one; none where it is open to all who reach this machine.
        """
        self.by = given = host = origin = site = None
        length = -1
        for name, value in headers:
            if name == b"host":
                host = value if host is None else b""
            elif name == b"authorization":
                given = value if given is None else b""
            elif name == b"content-length":
                length = int(value) if value.isdigit() else -1
            elif name == b"origin":
                origin = value if origin is None else b""
            elif name == b"sec-fetch-site":
                site = value if site is None else b""
        if not host:
            raise HostError("A request needs one Host header.", hint="Send `Host: 127.0.0.1`, once.")
        if host not in self._hosts and not self._is_ours(host):
            raise self._foreign()
        if (origin is not None and not self._names.origin(host, origin)) or (
            site is not None and site not in _OWN_SITES
        ):
            raise ForeignError(
                "Web pages of other origins may not ask this server.",
                hint="Call it from a program, not a page.",
            )
        if not rights:
            return length
        good = given is not None and hmac.compare_digest(given, self._expected)
        by = self.by = self._principal if good else self._other(given)
        if RIGHTS[by.role].isdisjoint(rights):
            require(by, rights[0], "This path")
        return length

    def who(self, given: bytes) -> Principal:
        """Who holds the token; AuthError when nobody does."""
        return self._other(b"Bearer " + given if given else None)

    def holding(self, kept: str) -> Principal:
        """Who holds the token of this hash now; AuthError once it was dropped or expired."""
        if hmac.compare_digest(kept, self._hash):
            return self._principal
        found = self._kept(kept)
        if found is None:
            raise AuthError("The token is not there any more.", hint="Sign in with another one.")
        return found

    def _is_ours(self, host: bytes) -> bool:
        """Whether the name is this server's; the good ones are kept, since the next request has the same."""
        good = self._names.has(host)
        if good and len(self._hosts) < MOST_HOSTS:
            self._hosts.add(host)
        return good

    def _foreign(self) -> ForeignError:
        if not self._names.hosts:
            return ForeignError(
                "This server answers by the name of this machine only.",
                hint="Use http://127.0.0.1 or localhost.",
            )
        known = ", ".join(sorted(self._names.hosts))
        return ForeignError(
            "This server does not answer to that name.",
            hint=f"Names: {known}. Others must stand in its certificate, or come by a proxy (--behind-proxy).",
        )

    def _other(self, given: bytes | None) -> Principal:
        """Who holds a token that is not written as that of the home; AuthError when nobody does."""
        hint = f"Send the header `Authorization: Bearer <token>`, with the token in {WHERE} or one that its owner made for you."
        if given is None:
            raise AuthError("This needs a token.", hint=hint)
        if not given:
            raise AuthError("The header Authorization is empty, or given more than once.", hint=hint)
        scheme, _, value = given.partition(b" ")
        value = value.strip()
        if scheme.lower() != b"bearer":
            raise AuthError("The header Authorization does not say `Bearer` before the token.", hint=hint)
        if len(value) <= MOST_TOKEN:
            if hmac.compare_digest(value, self._secret):
                return self._principal
            if (found := self._others(value)) is not None:
                return found
        raise AuthError("The token is wrong.", hint=hint)
