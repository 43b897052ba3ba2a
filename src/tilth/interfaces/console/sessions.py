"""Who is signed in to the console: kept in the memory of one server, by the hash of a random key, until it is over.

A session knows its token by its hash alone; whether that still lets in is asked at each request. It ends `LONGEST` after it began, or
`IDLE` after it was last used; an open page uses it.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256

from tilth.core.errors import AuthError

LONGEST = 12 * 3600.0  # seconds
IDLE = 3600.0  # seconds
MOST = 1_000  # sessions; above it the one that rested longest goes
KEPT = 20  # messages that are kept
READ = 10.0  # seconds a message stands on pages once one showed it: there may be several


class WrongKeyError(AuthError):
    """A form came without the key of its session."""

    http_status = 403


@dataclass(slots=True)
class Session:
    """One sign-in. `key` stands in its forms; `said` is told on its next pages: a kind ("good", "bad"), words, and when it was first."""

    token: str  # the hash
    key: str
    began: float
    seen: float
    said: list[tuple[str, str, float]] = field(default_factory=list)

    def tell(self, kind: str, words: str, instead: str = "") -> None:
        """Have these words stand on the next page, instead of others."""
        others = [one for one in self.said if one[1] != instead]
        self.said = [*others[-KEPT + 1 :], (kind, words, 0.0)]

    def messages(self, now: float) -> list[tuple[str, str]]:
        """What stands on a page of now."""
        self.said = [(k, w, at or now) for k, w, at in self.said if not at or now - at < READ]
        return [(kind, words) for kind, words, _ in self.said]

    def require(self, key: str) -> None:
        """WrongKeyError unless the form holds this session's key."""
        if not hmac.compare_digest(key.encode(), self.key.encode()):
            raise WrongKeyError(
                "The form is not one of this session.",
                hint="Load the page again, and send its form from there.",
            )


class Sessions:
    """All sessions of a server. Lives in the thread of its event loop."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._all: dict[str, Session] = {}

    def begin(self, token: str) -> str:
        """A new session of who holds the token with this hash; what its cookie holds."""
        self._sweep()
        while len(self._all) >= MOST:
            del self._all[min(self._all, key=lambda kept: self._all[kept].seen)]
        given, now = secrets.token_urlsafe(32), self._now()
        self._all[_hashed(given)] = Session(token, secrets.token_urlsafe(32), now, now)
        return given

    def find(self, given: str) -> Session | None:
        """The session of a cookie, used now; None when there is none or it is over."""
        kept = _hashed(given)
        found = self._all.get(kept)
        if found is None:
            return None
        now = self._now()
        if now - found.began >= LONGEST or now - found.seen >= IDLE:
            del self._all[kept]
            return None
        found.seen = now
        return found

    def end(self, given: str) -> None:
        """It lets in no more."""
        self._all.pop(_hashed(given), None)

    def _sweep(self) -> None:
        now = self._now()
        over = [k for k, s in self._all.items() if now - s.began >= LONGEST or now - s.seen >= IDLE]
        for kept in over:
            del self._all[kept]


def _hashed(given: str) -> str:
    return sha256(given.encode()).hexdigest()
