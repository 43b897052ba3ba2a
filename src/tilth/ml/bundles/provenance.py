"""What a signature says of a bundle: an in-toto statement that binds the files to one version of one model.

Two versions may hold equal files; their statements differ, so one cannot be put in the other's place.
The statement's own digest is the name under which the bundle is kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from tilth.core.canonical import canonical, plain
from tilth.core.errors import TamperError
from tilth.ml.bundles.manifest import bundle_digest

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://tilth.dev/bundle/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"


@dataclass(frozen=True, slots=True)
class Subject:
    """Which version a bundle is; an empty recipe or snapshot in an expectation is not compared."""

    model: str
    version: int
    recipe: str = ""
    snapshot: str = ""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement as read: the subject, sha256 by file name, and the facts about the training."""

    subject: Subject
    files: Mapping[str, str]
    facts: Mapping[str, object]

    @property
    def checker(self) -> int:
        """The number of the check that the files had passed when they were signed; 0 when nothing is said of one."""
        said = self.facts.get("checked")
        number = said.get("checker") if isinstance(said, Mapping) else 0
        return number if type(number) is int else 0


def write_statement(subject: Subject, listed: Mapping[str, str], facts: Mapping[str, object]) -> bytes:
    """The statement's canonical bytes; the same for the same arguments."""
    return canonical(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": subject.model, "digest": {"sha256": bundle_digest(listed)}}],
            "predicateType": PREDICATE_TYPE,
            "predicate": {"subject": asdict(subject), "files": dict(listed), "facts": plain(facts)},
        }
    )


def read_statement(payload: bytes) -> Statement:
    """The statement in signed bytes; TamperError when they are something else."""
    try:
        raw = json.loads(payload)
        said = raw["predicate"]
        subject = Subject(**said["subject"])
        statement = Statement(subject, dict(said["files"]), dict(said["facts"]))
        same = write_statement(subject, statement.files, statement.facts) == payload
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
        raise _foreign("it does not have a statement's fields") from e
    if not same:
        raise _foreign("it is not in the one form that tilth writes")
    return statement


def require_subject(found: Subject, expected: Subject) -> None:
    """Return when the statement is about what was asked for; TamperError saying what it is about instead."""
    wrong = [
        f"{field}: signed for {getattr(found, field)!r}, asked for {getattr(expected, field)!r}"
        for field in ("model", "version", "recipe", "snapshot")
        if getattr(expected, field) != "" and getattr(found, field) != getattr(expected, field)
    ]
    if wrong:
        raise TamperError(
            f"The bundle was signed as another one than version {expected.version} of `{expected.model}`.",
            detail=tuple(wrong),
            hint="Somebody may have put another bundle in its place. Restore the right one, or roll back.",
        )


def _foreign(why: str) -> TamperError:
    return TamperError(
        f"The signed statement is not about a tilth bundle: {why}.",
        hint="Restore the bundle from a backup, or train the model again.",
    )
