"""Who acts: a person at a prompt or in Python, the holder of a token, a job, or the reconciler.

Every change of the state carries one, and the audit chain keeps it. What a principal may do is `plan.rights`; where it comes
from is the door's: the operating system's user for commands and Python, the token for HTTP.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class PrincipalKind(enum.StrEnum):
    """What kind of actor it is; the word stands in the audit."""

    PERSON = "person"
    TOKEN = "token"  # noqa: S105  # a word, no secret
    JOB = "job"
    RECONCILER = "reconciler"


class Role(enum.StrEnum):
    """What somebody is let in as; what each may do is `plan.rights.RIGHTS`."""

    OWNER = "owner"
    READER = "reader"
    PREDICTOR = "predictor"


@dataclass(frozen=True, slots=True)
class Principal:
    """An actor. `name` is a user of the operating system, the name of a token, or which job it is.

    >>> Principal(PrincipalKind.PERSON, "anna").text
    'person:anna'
    """

    kind: PrincipalKind
    name: str
    role: Role = Role.OWNER

    @property
    def text(self) -> str:
        """How the audit and `tilth.generations` name it."""
        return f"{self.kind.value}:{self.name}"


def person(name: str) -> Principal:
    return Principal(PrincipalKind.PERSON, name)


def token(name: str, role: Role = Role.OWNER) -> Principal:
    return Principal(PrincipalKind.TOKEN, name, role)


def job(name: str) -> Principal:
    return Principal(PrincipalKind.JOB, name)


def reconciler(environment: str) -> Principal:
    return Principal(PrincipalKind.RECONCILER, environment)
