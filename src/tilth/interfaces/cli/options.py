"""Options that several commands share, and the error status of each; what is printed is in `show`."""

from __future__ import annotations

import click

from tilth.app.project import Project
from tilth.core.names import is_environment_name
from tilth.interfaces.cli import completing
from tilth.interfaces.cli.folders import folder_of
from tilth.runtime.showing.next_steps import there_of

MOST = 2**53  # of versions, generations and rows


def _environment(_context: click.Context, _option: click.Parameter, name: str | None) -> str | None:
    if name is not None and not is_environment_name(name):
        raise click.BadParameter(
            f"{name!r} cannot be the name of an environment: lower-case letters, digits, underscores and hyphens."
        )
    return name


def version_number(text: str) -> int | None:
    """The number of a version as it is written after `@`; None for what is none."""
    found = text.isascii() and text.isdecimal() and len(text) < 17
    return int(text) if found and int(text) <= MOST else None


PROJECT = click.option(
    "--project",
    default=".",
    metavar="FOLDER",
    shell_complete=completing.folders,
    help="The project's folder (default: this one, or the nearest above it with a tilth.toml).",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print the facts as JSON.")
ENV = click.option(
    "--env",
    "environment",
    metavar="NAME",
    callback=_environment,
    shell_complete=completing.ENVIRONMENTS,
    help="The environment (default: that of tilth.toml, or prod).",
)
CLOCK = click.option("--clock", "clock", metavar="FILE", hidden=True, help="A file that holds the present.")


def opened(project: str, clock: str | None = None) -> Project:
    """The project in that folder, with the clock of a replay if one is given."""
    from tilth.adapters.clocks import FileClock

    found = Project(folder_of(project), FileClock(clock) if clock else None)
    context = click.get_current_context(silent=True)
    if context is not None:
        context.call_on_close(found.close)
    return found


def there(project: Project, environment: str | None) -> str:
    """The option that names the environment in a command to copy."""
    default = project.settings.environment
    return there_of(environment or default, default)
