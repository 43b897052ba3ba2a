"""Who holds which token, as one serving process knows it: kept in memory, read again when the state's counter moves.

A thread polls, so that a request reads no state, and a dropped token is refused within a second. It also writes down, at most
once a day a token, that it was used. While the state cannot be read, what was known last holds.
"""

from __future__ import annotations

import hmac
import threading
from collections.abc import Callable, Mapping

from tilth.core.errors import AuthError, TilthError
from tilth.core.principals import Principal, job, token
from tilth.core.time import Instant, show_instant
from tilth.runtime.record import tokens
from tilth.runtime.record.tokens import Token, hashed, project_of
from tilth.runtime.workspace import Workspace

POLL = 0.2  # seconds between looks at the state's counter
PATIENCE = 5.0  # seconds the thread has to end
MOST = 256  # characters of a token
BY = job("serve")


class Holders:
    """Finds the principal of a token."""

    def __init__(self, work: Workspace, tell: Callable[[str], None] = lambda _line: None) -> None:
        self._work, self._tell = work, tell
        self._known: Mapping[str, tuple[Token, Principal]] = {}
        self._project = ""
        self._used: dict[int, str] = {}  # the day, by token; handed to the thread
        self._counter = -1
        self._trouble = ""
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def who(self, given: bytes) -> Principal | None:
        """Who holds the token; None for what is none, AuthError for one of another project, or that ended."""
        of = project_of(given) if len(given) <= MOST else None
        if of is None:
            return None
        found = self.kept(hashed(given))
        if found is None and self._project and of != self._project:
            raise AuthError(
                "This token is of another project.", hint=_new("reader", "or predictor, in this project")
            )
        return found

    def kept(self, kept: str) -> Principal | None:
        """Who holds the token of that hash; None for none, AuthError for one that ended."""
        found = self._known.get(kept)
        if found is None or not hmac.compare_digest(found[0].hash, kept):
            return None
        one, principal = found
        now = self._work.clock.now()
        if one.dropped_at is not None:
            raise AuthError(
                f"The token `{one.name}` was dropped on {_day(one.dropped_at)}.", hint=_new(one.role)
            )
        if one.expires_at is not None and now >= one.expires_at:
            raise AuthError(f"The token `{one.name}` expired on {_day(one.expires_at)}.", hint=_new(one.role))
        self.used(one)
        return principal

    def named(self, name: str) -> tuple[Token, Principal] | None:
        """The token of that name that lets in now; AuthError for one that ended, or that has no verifier."""
        found = next(
            ((t, p) for t, p in self._known.values() if t.name == name and t.dropped_at is None), None
        )
        if found is None:
            return None
        one, now = found[0], self._work.clock.now()
        if one.expires_at is not None and now >= one.expires_at:
            raise AuthError(f"The token `{name}` expired on {_day(one.expires_at)}.", hint=_new(one.role))
        if one.verifier is None:
            raise AuthError(
                f"The token `{name}` was made before there was a Postgres door, and lets in over HTTP alone.",
                hint=_new(one.role),
            )
        return found

    def used(self, one: Token) -> None:
        """It let somebody in now; that is written down once a day."""
        day = _day(self._work.clock.now())
        if one.used_on != day:
            self._used[one.number] = day

    def start(self) -> None:
        """Read once, and go on looking in a thread until `stop`."""
        self._turn()
        self._thread = threading.Thread(target=self._run, name="tilth-tokens", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(PATIENCE)

    def _run(self) -> None:
        self._counter = -1  # counters of two threads' connections cannot be compared
        while not self._stop.wait(POLL):
            self._turn()
        self._turn()  # what was used last

    def _turn(self) -> None:
        """One look, and what is to be written down. Whatever goes wrong is told once, and tried again."""
        try:
            self._write_used()
            counter = self._work.state.version_counter()
            if counter != self._counter:
                self.refresh()
                self._counter = counter
        except Exception as error:
            said = error.message if isinstance(error, TilthError) else f"{type(error).__name__}: {error}"
            if said != self._trouble:
                self._trouble = said
                self._tell(f"tokens: {said}; those known before hold")
            return
        self._trouble = ""

    def refresh(self) -> None:
        """Read what the state says now."""
        self._project = self._project or self._project_here()
        found = tokens.all_of(self._work.state)
        self._known = {t.hash: (t, token(t.name, t.role)) for t in found}

    def _project_here(self) -> str:
        try:
            return tokens.project(self._work.keys.key_id)
        except TilthError:  # the key is lost: one of another project is then a wrong one
            return ""

    def _write_used(self) -> None:
        if not self._used:
            return
        used = dict(self._used)
        names = {t.number: t.name for t, _ in self._known.values()}
        now = self._work.clock.now()
        with self._work.state.change(BY, show_instant(now), keyless=True) as change:
            for number, day in used.items():
                tokens.used(change, number, day)
                change.audit("use token", names.get(number, str(number)), {"day": day})
        self.refresh()
        for number, day in used.items():
            if self._used.get(number) == day:
                del self._used[number]


def _day(at: Instant) -> str:
    return show_instant(at)[:10]


def _new(role: str, more: str = "") -> str:
    """The next step of who holds a token that lets nobody in."""
    return f"An owner makes another one: CREATE TOKEN 'name' FOR {role}{f' {more}' if more else ''}."
