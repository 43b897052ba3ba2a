"""What a source is reading by ADBC just now, so that another thread can end it."""

from __future__ import annotations

import contextlib
import threading
from typing import Any


class Reads:
    """The cursors at work. One is let go of before it is closed: what is closed cannot be cancelled."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cursors: list[Any] = []

    def begin(self, cursor: Any) -> None:
        with self._lock:
            self._cursors.append(cursor)

    def end(self, cursor: Any) -> None:
        with self._lock:
            self._cursors = [c for c in self._cursors if c is not cursor]

    def stop(self) -> None:
        """Cancel all; who reads hears it as an error. One that has nothing to cancel is passed over."""
        with self._lock:
            for cursor in self._cursors:
                with contextlib.suppress(Exception):
                    cursor.adbc_cancel()
