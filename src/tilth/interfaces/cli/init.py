"""`tilth init`: a folder with a project to begin with, copied from a template; `flights` brings its data along."""

from __future__ import annotations

import os
from datetime import datetime

import click

from tilth.interfaces.cli import completing, show
from tilth.interfaces.demo.templates import create
from tilth.runtime.showing.next_steps import after


@click.command()
@click.argument("folder")
@click.option(
    "--template",
    default="blank",
    show_default=True,
    metavar="NAME",
    shell_complete=completing.templates,
    help="flights | blank.",
)
@click.option(
    "--until",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DATE",
    help="Of the template `flights`: the day before which flights have flown (default: 2013-12-01).",
)
@click.option("--json", "as_json", is_flag=True, help="Print the facts as JSON.")
def init(folder: str, template: str, until: datetime | None, as_json: bool) -> None:
    """Make FOLDER a project, from a template. Refuses a folder that holds something.

    \b
    Templates: flights  real flights of 2013 with weather and planes, two models, an endpoint
               blank    files with a commented example each
    Example:   tilth init flights --template flights
    """
    made = create(folder, template, until)
    words = "\n".join(
        [f"{folder} holds {len(made)} files: {', '.join(made)}.", f"Next: cd {folder} && tilth plan"]
    )
    facts = {"folder": os.path.abspath(folder), "template": template, "files": made}
    if as_json:
        facts["next"] = after("init", {"folder": folder})
    show.facts(facts, words, as_json)
