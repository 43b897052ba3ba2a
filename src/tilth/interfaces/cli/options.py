"""Options that several commands share, and the error status of each; what is printed is in `show`."""

from __future__ import annotations

import click

from tilth.app import Project

PROJECT = click.option(
    "--project", default=".", metavar="FOLDER", help="The project's folder (default: this one)."
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print the facts as JSON.")
ENV = click.option("--env", "environment", metavar="NAME", help="The environment (default: prod).")
CLOCK = click.option("--clock", "clock", metavar="FILE", hidden=True, help="A file that holds the present.")


def opened(project: str, clock: str | None = None) -> Project:
    """The project in that folder, with the clock of a replay if one is given."""
    from tilth.adapters.clocks import FileClock

    return Project(project, FileClock(clock) if clock else None)
