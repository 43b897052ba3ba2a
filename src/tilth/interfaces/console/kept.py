"""What a drawing process keeps because it never changes: the report of a version, the profile of a snapshot. Bounded, and safe from threads."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

MOST = 100
T = TypeVar("T")


class Kept:
    """Values by what they are of; the one used longest ago goes first."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._all: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.Lock()
        self._making: dict[Hashable, threading.Lock] = {}

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value; made once, however many ask for it. What `make` raises is not kept."""
        with self._lock:
            if key in self._all:
                self._all.move_to_end(key)
                found: T = self._all[key]
                return found
            making = self._making.setdefault(key, threading.Lock())
        with making:
            with self._lock:
                if key in self._all:
                    known: T = self._all[key]
                    return known
            try:
                made = make()
            finally:
                with self._lock:
                    self._making.pop(key, None)
            with self._lock:
                self._all[key] = made
                while len(self._all) > self._most:
                    self._all.popitem(last=False)
            return made
