"""`tilth` and `python -m tilth`. Answers `--version` without loading the command line's libraries."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import NoReturn


def main() -> None:
    """Run the command line; the exit status is the error's own."""
    if sys.argv[1:] in (["--version"], ["-V"]):
        from tilth import __version__

        sys.stdout.write(f"tilth {__version__}\n")
        return
    from tilth.interfaces.cli.commands import run

    _end(run(sys.argv[1:]))


def _end(status: int) -> NoReturn:
    """End at once. Everything is written by now; taking the libraries down takes a tenth of a second, and DuckDB
    complains about what the traceback of an error still holds.
    """
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
