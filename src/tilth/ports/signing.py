"""Signing and verifying bytes with a key that never leaves the control process."""

from __future__ import annotations

from typing import Protocol


class Signer(Protocol):
    def sign(self, payload: bytes) -> bytes:
        """A signature over exactly these bytes."""
        ...

    def ready(self) -> None:
        """Return when it can sign; an error with the next step when the key is lost."""
        ...

    @property
    def key_id(self) -> str:
        """sha256 of the public key, in hex."""
        ...


class Verifier(Protocol):
    def verify(self, payload: bytes, signature: bytes, key_id: str) -> None:
        """Return when the signature holds; TamperError with the reason when it does not."""
        ...


class Keys(Signer, Verifier, Protocol):
    """The project's own key: made at first use, private to this user."""
