"""`tilth` and `python -m tilth`. Answers `--version` without loading the command line's libraries."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import NoReturn


def main() -> None:
    """Run the command line; the exit status is the error's own."""
    _open_ends()
    if sys.argv[1:] in (["--version"], ["-V"]):
        from tilth import __version__

        sys.stdout.write(f"tilth {__version__}\n")
        return
    from tilth.interfaces.cli.commands import run
    from tilth.ml.model.lean import pandas_when_asked

    pandas_when_asked()
    _end(run(sys.argv[1:]))


def _open_ends() -> None:
    """A standard stream that was closed leads nowhere: else the next file that is opened would take its place."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest number that is free
    sys.stdin = sys.stdin or open(0, encoding="utf-8")  # noqa: SIM115  # for as long as the process lives
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8")  # noqa: SIM115


def _end(status: int) -> NoReturn:
    """End at once. Everything is written by now; taking the libraries down takes a tenth of a second, and DuckDB
    complains about what the traceback of an error still holds.
    """
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.flush()
    if (leaving := sys.modules.get("tilth.ports.leaving")) is not None:
        leaving.leave()
    os._exit(status)


if __name__ == "__main__":
    main()
