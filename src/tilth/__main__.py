"""`tilth` and `python -m tilth`. Answers `--version` without loading the command line's libraries."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; the exit status is the error's own."""
    if sys.argv[1:] in (["--version"], ["-V"]):
        from tilth import __version__

        sys.stdout.write(f"tilth {__version__}\n")
        return
    from tilth.interfaces.cli.commands import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
