"""A P-256 key pair in a folder of this machine: made at first use, readable by its owner only.

Only the control process reads the private key; whoever only verifies takes `PublicKey` and the public file.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tilth.core.errors import StorageError, TamperError

PRIVATE = "signing_key.pem"
PUBLIC = "signing_key.pub"


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
    """Signs and verifies with the key pair of a folder."""

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        self._private = self._load() if (self._folder / PRIVATE).exists() else self._make()
        public = _pem(self._private.public_key())
        self._write_public(public)
        self._public = PublicKey(public)

    @property
    def key_id(self) -> str:
        return self._public.key_id

    def sign(self, payload: bytes) -> bytes:
        return self._private.sign(payload, ec.ECDSA(hashes.SHA256()))

    def verify(self, payload: bytes, signature: bytes, key_id: str) -> None:
        self._public.verify(payload, signature, key_id)

    def _make(self) -> ec.EllipticCurvePrivateKey:
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        spare = self._folder / f"{PRIVATE}.{os.getpid()}.{os.urandom(4).hex()}"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write_new(spare, pem, 0o600)
            os.link(spare, self._folder / PRIVATE)  # whole or not at all, and never over another's key
        except FileExistsError:
            return self._load()
        except OSError as e:
            raise StorageError(
                f"The signing key cannot be made in {self._folder} ({e.strerror}).",
                hint="Give this user write access to the folder, then run the command again.",
            ) from e
        finally:
            spare.unlink(missing_ok=True)
        return key

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

    def _write_public(self, pem: bytes) -> None:
        path = self._folder / PUBLIC
        if path.exists() and path.read_bytes() == pem:
            return
        spare = self._folder / f"{PUBLIC}.{os.getpid()}.{os.urandom(4).hex()}"
        try:
            _write_new(spare, pem, 0o644)
            os.replace(spare, path)
        except OSError as e:
            raise StorageError(
                f"The public key cannot be written to {self._folder} ({e.strerror}).",
                hint="Give this user write access to the folder, then run the command again.",
            ) from e


def _write_new(path: Path, data: bytes, mode: int) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with os.fdopen(handle, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(handle)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
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
