"""A P-256 key pair in a folder of this machine: made when something is first signed, readable by its owner only.

Only the control process reads the private key; whoever only verifies takes `PublicKey` and the public file.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tilth.adapters.files import durable
from tilth.adapters.files.own import check, holds_something, open_file
from tilth.core.errors import StateChangedError, StorageError, TamperError

PRIVATE = "signing_key.pem"
PUBLIC = "signing_key.pub"
MOST_BYTES = 1 << 16  # of a key's file


class PublicKey:
    """A verifier that accepts one key."""

    def __init__(self, pem: bytes) -> None:
        self._key = _p256(pem)
        self._id = hashlib.sha256(_pem(self._key)).hexdigest()

    @classmethod
    def read(cls, folder: str | Path) -> PublicKey:
        """The public key that lies in a folder of keys."""
        return cls(_read(Path(folder) / PUBLIC))

    @property
    def key_id(self) -> str:
        return self._id

    def verify(self, payload: bytes, signature: bytes, key_id: str) -> None:
        if key_id != self._id:
            raise TamperError(
                f"The bundle was signed with another key ({key_id[:12]!r}) than this project's ({self._id[:12]}).",
                hint="Restore the project's keys folder from a backup, or train the model again.",
            )
        try:
            self._key.verify(signature, payload, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature as e:
            raise TamperError(
                "The signature does not hold: the statement or the signature was changed.",
                hint="Do not serve the bundle. Restore it from a backup, or roll back to another version.",
            ) from e


class LocalKeys:
    """Signs and verifies with the key pair of a folder. A key is made when something is first signed, and never replaced.

    `signed` are files and folders that exist only after something was signed: with one of them there and both keys gone,
    the keys were lost, and new ones would fit nothing. With the private key alone gone, verifying goes on.
    """

    def __init__(self, folder: str | Path, signed: Sequence[str | Path] = ()) -> None:
        self._folder = Path(folder)
        self._signed = tuple(signed)
        self._lock = threading.Lock()
        self._private: ec.EllipticCurvePrivateKey | None = None
        self._public: PublicKey | None = None

    @staticmethod
    def opened(home: str) -> LocalKeys:
        """The project's key, made at first use, where nothing was signed by another."""
        return LocalKeys(
            os.path.join(home, "keys"), [os.path.join(home, n) for n in ("bundles", "head.json")]
        )

    @property
    def key_id(self) -> str:
        return self._known().key_id

    def sign(self, payload: bytes) -> bytes:
        return self._signing().sign(payload, ec.ECDSA(hashes.SHA256()))

    def verify(self, payload: bytes, signature: bytes, key_id: str) -> None:
        self._known().verify(payload, signature, key_id)

    def ready(self) -> None:
        """Nothing when it can sign; StateChangedError or StorageError with the next step when it cannot."""
        self._signing()

    def _signing(self) -> ec.EllipticCurvePrivateKey:
        """The private key, made when this folder never had one."""
        with self._lock:
            if self._private is None:
                check(str(self._folder), folder=True)
                private = self._load() if self._has(PRIVATE) else self._make()
                self._public = self._beside(private)
                self._private = private  # only a whole pair is kept
            return self._private

    def _known(self) -> PublicKey:
        """The public key; a folder without any key gets none by being asked for it."""
        if self._public is None:
            check(str(self._folder), folder=True)
            if self._has(PRIVATE):
                self._signing()
            elif self._has(PUBLIC):
                self._public = PublicKey.read(self._folder)
            else:
                raise self._lost("no key is there")
        assert self._public is not None
        return self._public

    def _has(self, name: str) -> bool:
        return check(str(self._folder / name), folder=False)

    def _lost(self, why: str) -> StateChangedError:
        return StateChangedError(
            f"The project's signing key cannot be used: {why} in {self._folder}.",
            hint=f"Put {self._folder / PRIVATE} back from a backup (`tilth restore FILE`). "
            "What verifies with the public key is served meanwhile; nothing new can be signed.",
        )

    def _make(self) -> ec.EllipticCurvePrivateKey:
        lost = ""
        if self._has(PUBLIC):
            lost = f"{PRIVATE} is gone, and {PUBLIC} is there"
        elif any(holds_something(path) for path in self._signed):
            lost = "both keys are gone, though something was signed with them"
        if self._has(PRIVATE):  # another process has just made it
            return self._load()
        if lost:
            raise self._lost(lost)
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        try:
            durable.make_folder(str(self._folder))
            return key if durable.write_once(str(self._folder / PRIVATE), pem) else self._load()
        except OSError as e:
            raise durable.refused("The signing key cannot be made", str(self._folder), e) from e

    def _load(self) -> ec.EllipticCurvePrivateKey:
        path = self._folder / PRIVATE
        pem = _read(path)
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise StorageError(
                f"The signing key {path} can be read by others.", hint=f"Run: chmod 600 {path}"
            )
        try:
            key = serialization.load_pem_private_key(pem, None)
        except (ValueError, TypeError) as e:
            raise _unusable(path) from e
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise _unusable(path)
        return key

    def _beside(self, private: ec.EllipticCurvePrivateKey) -> PublicKey:
        """Its public key as the folder has it; written when there is none, and never over another."""
        public, path = _pem(private.public_key()), self._folder / PUBLIC
        try:
            if not self._has(PUBLIC):
                durable.write_once(str(path), public, 0o644)
        except OSError as e:
            raise durable.refused("The public key cannot be written", str(self._folder), e) from e
        known = PublicKey.read(self._folder)
        if known.key_id != PublicKey(public).key_id:
            raise StateChangedError(
                f"{path} is not the public key of {self._folder / PRIVATE}: one of them was exchanged.",
                hint="Put both back from a backup (`tilth restore FILE`).",
            )
        return known


class PublicKeys:
    """Verifies with the public key of a folder, and signs nothing: for a process that only looks. The private key is not read."""

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        self._public: PublicKey | None = None

    @staticmethod
    def opened(home: str) -> PublicKeys:
        """The project's."""
        return PublicKeys(os.path.join(home, "keys"))

    @property
    def key_id(self) -> str:
        return self._known().key_id

    def sign(self, payload: bytes) -> bytes:
        """StateChangedError: it never signs."""
        del payload
        raise self._none()

    def verify(self, payload: bytes, signature: bytes, key_id: str) -> None:
        self._known().verify(payload, signature, key_id)

    def ready(self) -> None:
        """StateChangedError: it cannot sign."""
        raise self._none()

    def _known(self) -> PublicKey:
        if self._public is None:
            check(str(self._folder), folder=True)
            self._public = PublicKey.read(self._folder)
        return self._public

    def _none(self) -> StateChangedError:
        return StateChangedError(
            "This process has no key to sign with: it only looks.", hint="Ask the server that acts."
        )


def _read(path: Path) -> bytes:
    try:
        with os.fdopen(open_file(str(path), os.O_RDONLY), "rb") as file:
            return file.read(MOST_BYTES)
    except OSError as e:
        raise StorageError(
            f"The key {path} cannot be read ({e.strerror}).", hint="Restore the keys folder from a backup."
        ) from e


def _pem(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _p256(pem: bytes) -> ec.EllipticCurvePublicKey:
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, TypeError) as e:
        raise _unusable(Path(PUBLIC)) from e
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise _unusable(Path(PUBLIC))
    return key


def _unusable(path: Path) -> StorageError:
    return StorageError(
        f"{path.name} is not a P-256 key in PEM form.", hint="Restore the keys folder from a backup."
    )
