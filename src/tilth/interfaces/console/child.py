"""The process that draws pages: opens the project to look at it, and answers over its standard input and output until that ends.

It has no signing key and none of the server's secrets, so that nothing it does can change what is remembered. It is started by
`drawing_process` and steps back behind whoever predicts.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from time import thread_time
from typing import BinaryIO

import msgspec

from tilth.adapters.clocks import FileClock
from tilth.app.project import Project
from tilth.core.errors import TilthError, UnknownNameError
from tilth.core.names import is_environment_name
from tilth.core.principals import Role
from tilth.interfaces.console import pages, places
from tilth.interfaces.console.frames import Drawn, Wanted, packed, read
from tilth.interfaces.console.kept import Kept
from tilth.interfaces.console.looking import Looking
from tilth.interfaces.console.rendering import drawn, failed
from tilth.interfaces.public import public
from tilth.runtime.record import environments

THREADS = 2  # pages at once
NICE = 10


class Drawer:
    """Draws what is asked for."""

    def __init__(self, project: Project) -> None:
        self._project, self._kept = project, Kept()

    def answer(self, wanted: Wanted) -> Drawn:
        """The page, or one that tells what is wrong with it."""
        began = thread_time()
        looking = Looking(
            self._project, wanted.environment, Role(wanted.role), self._kept, served=wanted.served
        )
        try:
            found = places.match(wanted.path)
            if found is None:
                raise UnknownNameError(
                    f"There is nothing at {wanted.path[:200]!r}.", hint="Begin at the overview: /"
                )
            place, parameters = found
            looking = self._looking(looking, wanted, place, parameters)
            page = pages.PAGES[place](looking)
            html, status = drawn(page, looking, wanted.marks), page.status
        except TilthError as error:
            known = public(error, self._project.root)
            html, status = failed(known, looking, wanted.marks), known.http_status
        except Exception as error:
            print(f"console: {wanted.path}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)  # noqa: T201
            known = TilthError("The page could not be drawn.", hint="The server's log says why.")
            html, status = failed(known, looking, wanted.marks), 500
        return Drawn(wanted.number, status, html, round(thread_time() - began, 4))

    def _looking(self, bare: Looking, wanted: Wanted, place: str, parameters: dict[str, str]) -> Looking:
        """In the environment that the query names, which must be there."""
        name = wanted.query.get(places.ENVIRONMENT) or wanted.environment
        if name != wanted.environment:
            if not is_environment_name(name):
                raise UnknownNameError(
                    f"There is no environment {name[:80]!r}.", hint="Choose one at the head of the page."
                )
            environments.require(bare.work.state, name)
        return Looking(
            self._project, name, bare.role, self._kept, place, parameters, wanted.query, wanted.served
        )


def run(project: Project, asked: BinaryIO, answers: BinaryIO) -> None:
    """Answer until there is no more to read."""
    drawer, lock = Drawer(project), threading.Lock()

    def answer(wanted: Wanted) -> None:
        try:
            frame = packed(drawer.answer(wanted))
        except Exception as error:  # not even what is wrong could be drawn
            print(f"console: {wanted.path}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)  # noqa: T201
            frame = packed(Drawn(wanted.number, 500, ""))
        with lock, contextlib.suppress(BrokenPipeError):
            answers.write(frame)
            answers.flush()

    with ThreadPoolExecutor(THREADS, "tilth-draw") as pool:
        while (body := read(asked)) is not None:
            pool.submit(answer, msgspec.json.decode(body, type=Wanted))
        pool.shutdown(cancel_futures=True)


def main(root: str, clock: str = "") -> None:
    """`python -m tilth.interfaces.console.child ROOT [CLOCK]`."""
    with contextlib.suppress(OSError):
        os.nice(NICE)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no frame
    with Project(root, FileClock(clock) if clock else None, looks=True) as project:
        run(project, sys.stdin.buffer, answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
