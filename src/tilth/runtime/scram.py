"""SCRAM-SHA-256 from the server's side (RFC 5802 and 7677), without channel binding and without SASLprep of what is random anyway.

What is kept of a password lets nobody in: `Verifier` is what PostgreSQL keeps too. A name that nobody has is asked in the same
way, with a salt that is always the same for it, so that the answers do not tell names.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from dataclasses import dataclass
from hashlib import pbkdf2_hmac, sha256

MECHANISM = "SCRAM-SHA-256"
ITERATIONS = 4096  # RFC 7677's least: passwords here are tokens of 256 random bits, which no guess finds


class Refused(Exception):
    """The client did not show that it has the password, or did not speak SCRAM."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """What a password can be checked with."""

    salt: bytes
    iterations: int
    stored: bytes
    server: bytes

    @classmethod
    def of(cls, password: bytes, salt: bytes | None = None, iterations: int = ITERATIONS) -> Verifier:
        """With a new salt, where none is given."""
        salt = secrets.token_bytes(16) if salt is None else salt
        salted = pbkdf2_hmac("sha256", password, salt, iterations)
        stored = sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
        return cls(salt, iterations, stored, hmac.digest(salted, b"Server Key", "sha256"))

    @classmethod
    def of_nobody(cls, name: str, secret: bytes) -> Verifier:
        """What no password fits, the same each time that the name is asked for."""
        salt = hmac.digest(secret, b"salt" + name.encode(), "sha256")[:16]
        return cls(salt, ITERATIONS, secrets.token_bytes(32), secrets.token_bytes(32))

    @property
    def text(self) -> str:
        """As PostgreSQL writes it: SCRAM-SHA-256$iterations:salt$stored:server."""
        salt, stored, server = (base64.b64encode(b).decode() for b in (self.salt, self.stored, self.server))
        return f"{MECHANISM}${self.iterations}:{salt}${stored}:{server}"

    @classmethod
    def read(cls, text: str) -> Verifier:
        """What `text` wrote; ValueError for anything else."""
        mechanism, head, keys = text.split("$")
        iterations, salt = head.split(":")
        stored, server = keys.split(":")
        if mechanism != MECHANISM:
            raise ValueError(text)
        return cls(*(base64.b64decode(salt, validate=True), int(iterations)), _b64(stored), _b64(server))


class Exchange:
    """One client being asked: `first` and `final` take what it says and give what is answered."""

    def __init__(self, verifier: Verifier, nonce: str | None = None) -> None:
        self._verifier = verifier
        self._own = nonce or secrets.token_urlsafe(18)
        self._bare = self._said = self._nonce = ""
        self._header = b""

    def first(self, body: bytes) -> bytes:
        """Of the SASLInitialResponse after its mechanism: `n,,n=user,r=nonce`."""
        header, bare = _split(body)
        given = _attributes(bare)
        if list(given)[:2] != ["n", "r"] or not given["r"]:
            raise Refused("the first message has no nonce")
        self._header, self._bare, self._nonce = header, bare, given["r"] + self._own
        salt = base64.b64encode(self._verifier.salt).decode()
        self._said = f"r={self._nonce},s={salt},i={self._verifier.iterations}"
        return self._said.encode()

    def final(self, body: bytes) -> bytes:
        """Of the SASLResponse: `c=..,r=nonce,p=proof`; Refused where the proof is none."""
        try:
            without, _, proof = body.decode("ascii").rpartition(",p=")
            given = _attributes(without)
            sent = _b64(proof)
            bound = _b64(given.get("c", ""))
        except (ValueError, UnicodeDecodeError) as error:
            raise Refused("the last message cannot be read") from error
        if bound != self._header or given.get("r") != self._nonce or len(sent) != 32:
            raise Refused("the last message does not follow from the first")
        signed = f"{self._bare},{self._said},{without}".encode()
        mask = hmac.digest(self._verifier.stored, signed, "sha256")
        key = bytes(a ^ b for a, b in zip(sent, mask, strict=True))
        if not hmac.compare_digest(sha256(key).digest(), self._verifier.stored):
            raise Refused("the password is wrong")
        return b"v=" + base64.b64encode(hmac.digest(self._verifier.server, signed, "sha256"))


def _split(body: bytes) -> tuple[bytes, str]:
    """The GS2 header, which may ask for no channel binding, and the rest."""
    try:
        flag, name, bare = body.decode().split(",", 2)
    except (ValueError, UnicodeDecodeError) as error:
        raise Refused("the first message cannot be read") from error
    if flag not in {"n", "y"} or name:
        raise Refused("channel binding and other identities are not taken")
    return f"{flag},,".encode(), bare


def _attributes(text: str) -> dict[str, str]:
    out: dict[str, str] = {}
    for word in text.split(","):
        name, mark, value = word.partition("=")
        if not mark or len(name) != 1 or name in out:
            raise Refused("the message cannot be read")
        out[name] = value
    return out


def _b64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(text) from error
