"""What the audit chain says of a thing. That the chain is whole is the adapter's to say (`State.verify_audit`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tilth.core.time import Instant, show_instant
from tilth.runtime.record.rows import Reader, Row, decoded_object, foreign, instant, text, whole

_DETAIL = "a detail of the audit chain"
LAST = 2**53  # a sequence that none has yet


@dataclass(frozen=True, slots=True)
class Link:
    """One row of the chain, as it stands there; whether the chain holds is not asked here."""

    sequence: int
    at: Instant
    actor: str
    verb: str
    subject: str
    detail: str  # JSON
    hash: str


def before(reader: Reader, sequence: int, limit: int, word: str = "") -> tuple[Link, ...]:
    """Rows before that one, the newest first; only those with the word, in whatever case."""
    return tuple(map(_link, reader.read("audit_before", before=sequence, limit=limit, word=word)))


def between(reader: Reader, since: Instant, until: Instant, limit: int) -> tuple[Link, ...]:
    """Rows of that time, the oldest first."""
    found = reader.read("audit_between", since=show_instant(since), until=show_instant(until), limit=limit)
    return tuple(map(_link, found))


def _link(row: Row) -> Link:
    return Link(
        whole(row, "sequence"), instant(row, "at"), text(row, "actor"), text(row, "verb"), text(row, "subject"), text(row, "detail"),
        text(row, "hash"),
    )  # fmt: skip


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
