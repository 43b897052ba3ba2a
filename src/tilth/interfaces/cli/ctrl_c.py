"""Ctrl-C, remembered: a library may take it for an error of its own, or lose it in a callback.

The command line listens for it while a command runs; long work asks at every step whether it came.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_pressed = threading.Event()


@contextmanager
def heard() -> Iterator[None]:
    """Remember Ctrl-C while the block runs, and raise KeyboardInterrupt as ever."""
    forget()
    if threading.current_thread() is not threading.main_thread():  # which alone may set handlers
        yield
        return
    before = signal.signal(signal.SIGINT, _hear)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _hear(number: int, frame: FrameType | None) -> None:
    _pressed.set()
    signal.default_int_handler(number, frame)


def pressed() -> bool:
    """Whether Ctrl-C came since the block began, or since it was last forgotten."""
    return _pressed.is_set()


def forget() -> None:
    """It was heeded, and more is to come."""
    _pressed.clear()


def check() -> None:
    """Raise KeyboardInterrupt if Ctrl-C came."""
    if pressed():
        raise KeyboardInterrupt
