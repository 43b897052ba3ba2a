"""The signed head of the audit chain, kept beside the state: how long the chain is and how it ends.

The chain shows an edit of its rows; only what is kept outside shows that its newest rows are gone, or that an older copy
of the whole file was put back. The head is written after each commit and synced, so after a crash it may be behind the
state, and never before it. It costs one more sync and one signature for each change: 0.7 ms of a core.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from tilth.adapters.files import durable
from tilth.adapters.files.own import open_file
from tilth.core.canonical import canonical
from tilth.core.errors import StateChangedError, TamperError
from tilth.ports.signing import Keys

GENESIS = "0" * 64
MOST_BYTES = 4096
RESTORE = "Put it back from a backup, or run: tilth restore FILE"
NEW_HEAD = "If the state is what it should be, sign it as it is: tilth restore --new-head"


@dataclass(frozen=True, slots=True)
class End:
    """How the chain ends: the number of its last row and that row's hash."""

    sequence: int
    hash: str

    def payload(self) -> bytes:
        return b"tilth.head.v1\n" + canonical({"sequence": self.sequence, "hash": self.hash})


EMPTY = End(0, GENESIS)
HashOf = Callable[[int], str | None]  # of the row with that number


class Head:
    def __init__(self, path: str, keys_of: Callable[[], Keys]) -> None:
        self._path = path
        self._keys_of = keys_of

    def read(self) -> End | None:
        """What it says, signed or not; None when there is none. TamperError when it is no head at all."""
        found = self._read()
        return None if found is None else found[0]

    def check(self, end_of: Callable[[], End], hash_of: HashOf) -> End | None:
        """The head, after it was found to be ours and the state to be no older; None for a chain without rows.

        The head is read before the state is asked, so another's commit in between only makes the state newer.
        """
        found = self._read()
        end = end_of()
        if found is None and end.sequence:
            found = self._read()  # another process may have written the first one meanwhile
        if found is None:
            if end.sequence:
                raise self._missing()
            return None
        head, key_id, signature = found
        try:
            self._keys_of().verify(head.payload(), signature, key_id)
        except TamperError as error:
            raise TamperError(
                f"The head of the audit chain in {self._path} was not signed by this project's key.",
                hint=f"{RESTORE}. {NEW_HEAD}",
            ) from error
        self._follows(head, end, hash_of)
        return head

    def before(self, end: End, hash_of: HashOf, *, keyless: bool) -> None:
        """Nothing when a change may begin after this end; else an error, and nothing is changed."""
        if not keyless:
            self._keys_of().ready()
        found = self.read()
        if found is not None:
            self._follows(found, end, hash_of)
        elif end.sequence:
            raise self._missing()
        elif self._can_sign():
            self._write(EMPTY)  # from the first row on there is a head, wherever a crash comes

    def advance(self, end: End, *, anew: bool = False) -> None:
        """Say that the chain ends so. Behind is allowed, so a full disk is no error here: the next change catches up.

        `anew`: whatever it said before.
        """
        if not anew and not self._can_sign():
            return
        with suppress(OSError):
            lock = open_file(f"{self._path}.lock", os.O_RDWR | os.O_CREAT, alone=True)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                have = None if anew else self.read()
                if have is None or have.sequence < end.sequence:
                    self._write(end)
            finally:
                os.close(lock)

    def _can_sign(self) -> bool:
        try:
            self._keys_of().ready()
        except StateChangedError:
            return False
        return True

    def _write(self, end: End) -> None:
        keys = self._keys_of()
        signature = base64.b64encode(keys.sign(end.payload())).decode()
        said = {"sequence": end.sequence, "hash": end.hash, "key_id": keys.key_id, "signature": signature}
        durable.write_whole(self._path, canonical(said) + b"\n", settle=False)

    def _read(self) -> tuple[End, str, bytes] | None:
        try:
            with os.fdopen(open_file(self._path, os.O_RDONLY), "rb") as file:
                said = json.loads(file.read(MOST_BYTES))
            end = End(int(said["sequence"]), str(said["hash"]))
            return end, str(said["key_id"]), base64.b64decode(said["signature"], validate=True)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise TamperError(
                f"The head of the audit chain in {self._path} cannot be read.", hint=f"{RESTORE}. {NEW_HEAD}"
            ) from error

    def _follows(self, head: End, end: End, hash_of: HashOf) -> None:
        if head.sequence > end.sequence:
            raise StateChangedError(
                f"The state is older than its signed head: its audit chain has {end.sequence} rows, and had "
                f"{head.sequence}. An old copy was put back, or rows were removed.",
                hint=f"{RESTORE}. {NEW_HEAD}",
            )
        if head.sequence and hash_of(head.sequence) != head.hash:
            raise StateChangedError(
                f"The state is not the one whose head was signed: row {head.sequence} of its audit chain is another.",
                hint=f"{RESTORE}. {NEW_HEAD}",
            )

    def _missing(self) -> StateChangedError:
        return StateChangedError(
            f"The signed head of the audit chain, {self._path}, is missing.", hint=f"{RESTORE}. {NEW_HEAD}"
        )
