"""Who is let in by the Postgres door: the project's token as the password of `tilth`, another token as that of its own name.

There is no way in without a password. A name that nobody has is asked for one all the same, so that the answers do not tell names;
only whoever has shown the password of a token that ended is told so.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from functools import cached_property

from tilth.core.errors import AuthError
from tilth.core.principals import Principal
from tilth.runtime.record.tokens import Token
from tilth.runtime.scram import Verifier
from tilth.runtime.serving.holders import Holders

OWNER_NAME = "tilth"


@dataclass(frozen=True, slots=True)
class Guest:
    """Who it says it is, and with what that can be checked. `refused` is what it is told though the password is right."""

    verifier: Verifier
    principal: Principal | None
    token: Token | None = None
    refused: AuthError | None = None


class Doorkeeper:
    """Finds what a client's password is checked with."""

    def __init__(self, token: str, owner: Principal, holders: Holders) -> None:
        self._token, self._owner, self._holders = token, owner, holders
        self._secret = secrets.token_bytes(32)

    @cached_property
    def _own(self) -> Verifier:
        return Verifier.of(self._token.encode())

    def guest(self, user: str) -> Guest:
        if user == OWNER_NAME:
            return Guest(self._own, self._owner)
        try:
            found = self._holders.named(user)
        except AuthError as error:
            return Guest(self._nobody(user), None, None, error)
        if found is None:
            return Guest(self._nobody(user), None)
        one, principal = found
        assert one.verifier is not None
        return Guest(Verifier.read(one.verifier), principal, one)

    def _nobody(self, user: str) -> Verifier:
        return Verifier.of_nobody(user, self._secret)

    def came_in(self, guest: Guest) -> None:
        """Write down that the token was used."""
        if guest.token is not None:
            self._holders.used(guest.token)
