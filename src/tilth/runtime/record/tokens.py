"""Tokens that let somebody in over HTTP, beside the one in the home: who holds which role, and until when.

A token is `tilth_<project>_<secret>`; the project is the beginning of its key's id, so that one of another project is told from a
wrong one. The state holds its sha256 and never itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256

from tilth.core.principals import Role
from tilth.core.time import Instant, show_instant
from tilth.runtime.record.rows import Change, Reader, Row, foreign, instant_or_none, text, text_or_none, whole

_FORM = re.compile(rb"tilth_([0-9a-f]{8})_[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Token:
    """One token, as it is recorded."""

    number: int
    name: str
    role: Role
    hash: str
    expires_at: Instant | None = None
    dropped_at: Instant | None = None
    used_on: str | None = None  # a day
    verifier: str | None = None  # of SCRAM; None of one that was made before the Postgres door

    def expired(self, now: Instant) -> bool:
        return self.expires_at is not None and now >= self.expires_at


def project(key_id: str) -> str:
    """How tokens of the project with this key begin."""
    return key_id[:8]


def written(of: str, secret: str) -> str:
    """The token of a project with a secret of 43 characters."""
    return f"tilth_{of}_{secret}"


def project_of(given: bytes) -> str | None:
    """Of which project a token is; None for what is no token of any."""
    found = _FORM.fullmatch(given)
    return None if found is None else found[1].decode()


def hashed(given: bytes) -> str:
    """What is kept of a token."""
    return sha256(given).hexdigest()


def all_of(reader: Reader) -> tuple[Token, ...]:
    """Every token that there was, oldest first."""
    return tuple(map(_token, reader.read("tokens")))


def there(reader: Reader) -> dict[str, Token]:
    """By name, those that were not dropped."""
    return {t.name: t for t in all_of(reader) if t.dropped_at is None}


def add(
    change: Change, name: str, role: Role, kept: str, verifier: str, at: Instant, expires: Instant | None
) -> None:
    """Write a token down; `kept` is its hash."""
    until = None if expires is None else show_instant(expires)
    when = show_instant(at)
    number = change.insert(
        "add_token", name=name, role=role.value, at=when, made_by=change.by.text, expires_at=until
    )
    change.write("add_token_hash", token=number, hash=kept)
    change.write("add_token_verifier", token=number, verifier=verifier)


def drop(change: Change, name: str, at: Instant) -> None:
    """It lets nobody in any more; the row stays."""
    change.write("drop_token", name=name, at=show_instant(at))


def used(change: Change, number: int, day: str) -> None:
    """It was used on that day."""
    change.write("token_used", id=number, day=day)


def _token(row: Row) -> Token:
    try:
        role = Role(text(row, "role"))
    except ValueError as error:
        raise foreign("A token's role is none that there is.") from error
    return Token(
        whole(row, "id"),
        text(row, "name"),
        role,
        text(row, "hash"),
        instant_or_none(row, "expires_at"),
        instant_or_none(row, "dropped_at"),
        text_or_none(row, "used_on"),
        text_or_none(row, "verifier"),
    )
