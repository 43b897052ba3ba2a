"""What the audit chain says of a thing. That the chain is whole is the adapter's to say (`State.verify_audit`)."""

from __future__ import annotations

from typing import Any

from tilth.runtime.record.rows import Reader, decoded, text


def published(reader: Reader, environment: str) -> tuple[int | None, str | None]:
    """Number and digest of the generation that was published last; Nones when none was."""
    said = _detail(reader, "audit_of_generation", environment)
    return said.get("generation"), said.get("digest")


def checked(reader: Reader, digest: str) -> int:
    """The number of the check that a bundle was tried by last; 0 when it never was."""
    return int(_detail(reader, "audit_of_check", digest).get("checker", 0))


def _detail(reader: Reader, query: str, subject: str) -> dict[str, Any]:
    found = reader.read(query, subject=subject)
    said: dict[str, Any] = decoded(text(found[0], "detail")) if found else {}
    return said
