"""A certificate that is renewed while the server runs: its files are looked at every few seconds, and what is new and good is taken up.

New connections are spoken to with it, those that are open go on. A pair that does not fit (the certificate is there, its key not yet), or
that ended, is told once and left; what was spoken before goes on. Names that a new certificate has and the old one had not are answered to.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable

from tilth.core.errors import TilthError
from tilth.interfaces.http.listening import certified

LOOK = 5.0  # seconds between looks at the files

Mark = tuple[int, int, int]


class Renewal:
    """Watches the files that a context was made of. `named` is given the names of a certificate that was taken up."""

    def __init__(
        self,
        context: ssl.SSLContext,
        cert: str,
        key: str,
        named: Callable[[tuple[str, ...]], None],
        tell: Callable[[str], None],
    ) -> None:
        self._context, self._cert, self._key = context, cert, key
        self._named, self._tell = named, tell
        self._seen = self._marks()
        self._said = ""

    def look(self) -> bool:
        """Take up what is new; whether something was."""
        marks = self._marks()
        if marks == self._seen:
            return False
        self._seen = marks
        try:
            _, names, told = certified(self._cert, self._key)
            self._context.load_cert_chain(self._cert, self._key)
        except (TilthError, OSError) as error:
            self._once(f"the new certificate is not taken, the old one goes on: {_words(error)}")
            return False
        self._named(names)
        self._said = ""
        self._tell("; ".join(("the certificate was renewed: new connections are spoken to with it", *told)))
        return True

    async def watch(self) -> None:
        """Look again and again."""
        while True:
            await asyncio.sleep(LOOK)
            self.look()

    def _marks(self) -> tuple[Mark | None, Mark | None]:
        return _mark(self._cert), _mark(self._key)

    def _once(self, line: str) -> None:
        if line != self._said:
            self._tell(line)
        self._said = line


def _mark(path: str) -> Mark | None:
    """What changes when the file, or the one that a link leads to, does; None while there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def _words(error: Exception) -> str:
    return f"{error.message} {error.hint or ''}".strip() if isinstance(error, TilthError) else str(error)
