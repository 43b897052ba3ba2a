"""A statement that is being answered: it waits for its turn, can be cancelled from any thread, and knows what to end then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tilth.core.errors import CancelledError, ResourceLimitError

Tell = Callable[[str], None]


def _nobody(words: str) -> None:
    """Nobody listens."""


class Turns:
    """At most `most` statements work at once; the others wait in the order they came."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.changed = threading.Condition()
        self._working = 0
        self._waiting: list[Turn] = []

    def take(self, turn: Turn, seconds: float) -> float:
        """Wait until the statement may work; how long it took. CancelledError, or ResourceLimitError after `seconds`."""
        began = time.monotonic()
        with self.changed:
            if self._working < self.most and not self._waiting:
                self._working += 1
                return 0.0
            self._waiting.append(turn)
            try:
                turn.tell(f"Waiting: {self.most} queries are at work, which is the most at once.")
                while self._working >= self.most or self._waiting[0] is not turn:
                    turn.check()
                    left = seconds - (time.monotonic() - began)
                    if left <= 0 or not self.changed.wait(left):
                        raise self._late(seconds)
                turn.check()
                self._working += 1
            finally:
                self._waiting.remove(turn)
                self.changed.notify_all()
        return time.monotonic() - began

    def give(self) -> None:
        """The statement works no more."""
        with self.changed:
            self._working -= 1
            self.changed.notify_all()

    def _late(self, seconds: float) -> ResourceLimitError:
        return ResourceLimitError(
            f"The statement waited for {seconds:g} seconds, and {self.most} others were at work, or not read to their end, all that time.",
            hint="Ask again later, read or drop answers that are begun, end one with CANCEL STATEMENT, or raise `queries` under"
            " [limits] in tilth.toml.",
        )


class Turn:
    """One statement's. Without `turns` it never waits. `cancel` may be called from any thread, at any time, and more than once."""

    def __init__(self, turns: Turns | None = None, tell: Tell = _nobody) -> None:
        self._turns, self.tell = turns, tell
        self._lock = threading.Lock()
        self._ends: dict[int, Callable[[], None]] = {}
        self._number = 0
        self._working = 0
        self._cancelled = ""

    @property
    def cancelled(self) -> bool:
        return bool(self._cancelled)

    def cancel(self, by: str = "") -> None:
        """End the statement: what works for it is ended, what waits is woken, and CancelledError is what its caller gets."""
        with self._lock:
            if self._cancelled:
                return
            self._cancelled = f"The statement was cancelled{f' by {by}' if by else ''}."
            ends = list(self._ends.values())
        for end in ends:
            end()
        if self._turns is not None:
            with self._turns.changed:
                self._turns.changed.notify_all()

    def check(self) -> None:
        """CancelledError once it is cancelled."""
        if self._cancelled:
            raise self.error()

    def error(self) -> CancelledError:
        return CancelledError(
            self._cancelled or "The statement was cancelled.", hint="Ask again when you want it after all."
        )

    @contextmanager
    def ending(self, end: Callable[[], None]) -> Iterator[None]:
        """`end` is called, from another thread, when the statement is cancelled in the block; CancelledError if it is already."""
        let_go = self.ends(end)
        try:
            yield
        finally:
            let_go()

    def ends(self, end: Callable[[], None]) -> Callable[[], None]:
        """The same until the function that this gives is called."""
        with self._lock:
            self.check()
            self._number += 1
            number = self._number
            self._ends[number] = end

        def let_go() -> None:
            with self._lock:
                self._ends.pop(number, None)

        return let_go

    def begin(self, seconds: float) -> float:
        """A process works for it now: wait for the statement's turn, which it has once however many processes work for it.

        How long that took. Every `begin` that returns is followed by one `end`.
        """
        self.check()
        with self._lock:
            self._working += 1
            first = self._working == 1
        if not first or self._turns is None:
            return 0.0
        try:
            return self._turns.take(self, seconds)
        except BaseException:
            with self._lock:
                self._working -= 1
            raise

    def end(self) -> None:
        """One of its processes has ended."""
        with self._lock:
            self._working -= 1
            last = self._working == 0
        if last and self._turns is not None:
            self._turns.give()
