"""SQLite as a kind of state, by its name in `tilth.toml`: `sqlite` is `state.db` in the folder `.tilth`, its head beside it.

How the state works is in `state`; what else lies in `.tilth` is checked by `files.own`.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from tilth.adapters.files import durable, own
from tilth.adapters.files.locks import FileLocks
from tilth.adapters.state.sqlite.head import Head
from tilth.adapters.state.sqlite.state import SqliteState
from tilth.core.errors import StateChangedError, StorageError
from tilth.ports.signing import Keys

FILE = "state.db"
BESIDE = ("bundles", "blobs", "keys", "head.json")  # made after a state was


class Sqlite:
    """Implements `ports.state.StateAdapter`."""

    @staticmethod
    def begun(address: str, home: str) -> bool:
        """Whether there is a state; StateChangedError when there was one that is gone."""
        del address
        own.check_home(home)
        path = os.path.join(home, FILE)
        if _holds(path):
            return True
        beside = [n for n in BESIDE if own.holds_something(os.path.join(home, n))]
        if beside and not _holds(path):  # nobody has made it just now
            raise StateChangedError(
                f"The state file {path} is {'empty' if os.path.exists(path) else 'missing'}, though {', '.join(beside)} "
                f"{'is' if len(beside) == 1 else 'are'} there.",
                hint="Put it back from a backup, or run: tilth restore FILE. "
                f"To begin anew without what was made, move {home} away.",
            )
        return False

    @staticmethod
    def opened(address: str, home: str, keys_of: Callable[[], Keys], *, trusted: bool = False) -> SqliteState:
        """The state, made when there is none and never was."""
        try:
            durable.make_folder(home)
            own.check_home(home)
        except OSError as error:
            raise StorageError(
                f"{home} cannot be made ({error.strerror}).",
                hint="Give this user write access to the project's folder.",
            ) from error
        Sqlite.begun(address, home)
        path = os.path.join(home, FILE)
        fresh = not os.path.exists(path)
        state = SqliteState(path, Head(os.path.join(home, "head.json"), keys_of), trusted=trusted)
        if fresh:
            durable.sync(home)
        return state

    @staticmethod
    def locks(address: str, home: str) -> FileLocks:
        """Locks among those who share the file: all are on this machine."""
        del address
        return FileLocks(home)


def _holds(path: str) -> bool:
    return os.path.exists(path) and os.path.getsize(path) > 0
