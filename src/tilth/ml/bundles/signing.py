"""Sealing a folder into a bundle, and opening one only when every byte is what was signed.

The envelope is DSSE in a Sigstore bundle: one file beside the ones it lists. Keys are behind `ports.signing`.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tilth.core.canonical import canonical, digest
from tilth.core.errors import StorageError, TamperError
from tilth.ml.bundles.manifest import ENVELOPE, compare, digests, read_folder
from tilth.ml.bundles.provenance import (
    PAYLOAD_TYPE,
    Statement,
    Subject,
    read_statement,
    require_subject,
    write_statement,
)
from tilth.ports.signing import Signer, Verifier

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed bundle: the digest it is kept under (that of its statement), its files, and who signed."""

    digest: str
    files: Mapping[str, str]
    key_id: str
    size: int


@dataclass(frozen=True, slots=True)
class Verified:
    """The bytes that were verified; read them from here and not from the disk again."""

    files: Mapping[str, bytes]
    statement: Statement
    digest: str
    key_id: str


def seal(folder: Path, subject: Subject, signer: Signer, facts: Mapping[str, object]) -> Sealed:
    """Sign the files of a folder as this version; the envelope is added as one more file, once."""
    files = read_folder(folder)
    if not files or ENVELOPE in files:
        raise StorageError(
            f"The folder {folder.name} cannot be sealed: it is {'sealed already' if files else 'empty'}.",
            hint="Seal a fresh folder that holds the model's files.",
        )
    listed = digests(files)
    payload = write_statement(subject, listed, facts)
    envelope = _envelope(payload, signer.sign(_pae(payload)), signer.key_id)
    try:
        with open(folder / ENVELOPE, "xb") as stream:
            stream.write(envelope)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as e:
        raise StorageError(
            f"The envelope could not be written ({e.strerror}).", hint="Free some space and try again."
        ) from e
    size = len(envelope) + sum(map(len, files.values()))
    return Sealed(digest(payload), listed, signer.key_id, size)


def verify(folder: Path, expected: Subject, verifier: Verifier, kept_as: str | None = None) -> Verified:
    """The bundle's files and statement, or TamperError with the reason.

    `kept_as` is the digest that the state remembers, for callers that have it.
    """
    files, payload, signature, key_id = _parts(folder)
    verifier.verify(_pae(payload), signature, key_id)
    statement = read_statement(payload)
    require_subject(statement.subject, expected)
    if kept_as is not None and digest(payload) != kept_as:
        raise TamperError(
            "The bundle is validly signed but is not the one that was recorded for this version.",
            hint="Restore the right bundle from a backup, or train the model again.",
        )
    compare(statement.files, digests(files))
    return Verified(files, statement, digest(payload), key_id)


def whole(folder: Path) -> Verified:
    """The bundle's files and statement, found to be of one another. Who signed it is not asked: for those without the key.

    TamperError where a file is missing, added or changed since it was sealed.
    """
    files, payload, _, key_id = _parts(folder)
    statement = read_statement(payload)
    listed = digests(files)
    compare(statement.files, listed)
    return Verified(files, statement, digest(payload), key_id)


def _parts(folder: Path) -> tuple[dict[str, bytes], bytes, bytes, str]:
    """The files of the folder, and of its envelope the statement's bytes, the signature and the key's id."""
    files = read_folder(folder)
    envelope = files.pop(ENVELOPE, None)
    if envelope is None:
        raise _malformed(f"missing file: {ENVELOPE!r}")
    return (files, *_open(envelope))


def _pae(payload: bytes) -> bytes:
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def _envelope(payload: bytes, signature: bytes, key_id: str) -> bytes:
    return canonical(
        {
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": {"publicKey": {"hint": key_id}, "tlogEntries": []},
            "dsseEnvelope": {
                "payload": base64.b64encode(payload).decode(),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": key_id}],
            },
        }
    )


def _open(envelope: bytes) -> tuple[bytes, bytes, str]:
    try:
        inner = json.loads(envelope)["dsseEnvelope"]
        (one,) = inner["signatures"]
        payload = base64.b64decode(inner["payload"], validate=True)
        signature = base64.b64decode(one["sig"], validate=True)
        key_id = str(one["keyid"])
        same = _envelope(payload, signature, key_id) == envelope
    except (ValueError, KeyError, TypeError, RecursionError) as e:
        raise _malformed("it is not a DSSE envelope with one signature") from e
    if not same:
        raise _malformed("it is not in the one form that tilth writes")
    return payload, signature, key_id


def _malformed(why: str) -> TamperError:
    return TamperError(
        f"The bundle's envelope cannot be used: {why}.",
        hint="Restore the bundle from a backup, or train the model again.",
    )
