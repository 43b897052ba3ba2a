"""What the audit chain says of a thing. That the chain is whole is the adapter's to say (`State.verify_audit`)."""

from __future__ import annotations

from typing import Any

from tilth.runtime.record.rows import Reader, decoded_object, foreign, text

_DETAIL = "a detail of the audit chain"


def published(reader: Reader, environment: str) -> tuple[int | None, str | None]:
    """Number and digest of the generation that was published last; Nones when none was."""
    said = _detail(reader, "audit_of_generation", environment)
    return said.get("generation"), said.get("digest")


def digest_of_generation(reader: Reader, environment: str, number: int) -> str | None:
    """The digest that a generation was published with; None when it never was."""
    found = reader.read("audit_of_number", subject=environment, generation=number)
    return None if not found else decoded_object(text(found[0], "detail"), _DETAIL).get("digest")


def renamed(reader: Reader) -> frozenset[tuple[str, str, str]]:
    """(kind, name, first name) of every name that RENAMED FROM ever gave."""
    said = ((r["subject"], decoded_object(text(r, "detail"), _DETAIL)) for r in reader.read("audit_of_names"))
    return frozenset((str(d.get("kind")), str(name), str(d.get("history"))) for name, d in said)


def checked(reader: Reader, digest: str) -> int:
    """The number of the check that a bundle was tried by last; 0 when it never was."""
    said = _detail(reader, "audit_of_check", digest).get("checker", 0)
    if not isinstance(said, int):
        raise foreign("The audit chain does not say by which check a bundle was tried.")
    return said


def _detail(reader: Reader, query: str, subject: str) -> dict[str, Any]:
    found = reader.read(query, subject=subject)
    return decoded_object(text(found[0], "detail"), _DETAIL) if found else {}
