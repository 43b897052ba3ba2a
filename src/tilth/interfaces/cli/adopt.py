"""`tilth adopt`: what was declared at a prompt, or asked by PREDICT, into the project's files."""

from __future__ import annotations

import click

from tilth.app.adopting import FILE
from tilth.interfaces.cli import completing, show
from tilth.interfaces.cli.options import ENV, JSON, PROJECT, opened, there
from tilth.runtime.showing.next_steps import after


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=completing.RESOURCES)
@click.option("--file", default=FILE, show_default=True, metavar="FILE", help="The file of the project that they are added to.")  # fmt: skip
@click.option("--asked", metavar="MODEL", help="Which of the models that were asked by PREDICT gets the NAME; their names stand in tilth.versions.")  # fmt: skip
@PROJECT
@ENV
@JSON
def adopt(
    names: tuple[str, ...], file: str, asked: str | None, project: str, environment: str | None, as_json: bool
) -> None:
    """Write what is deployed and in no file of the project into one: what was typed as CREATE at a prompt.

    \b
    Without a NAME it is all of it. What a resource needs, and the files lack, goes along. Else the next
    `tilth apply` would drop it. A NAME that is not deployed is given to what was asked by
    SELECT ... FROM PREDICT (...); the next `tilth apply` takes what was trained.
    Example: tilth adopt late
             tilth adopt --file models/typed.sql
             tilth adopt late --asked predict_92184d6a5a16
    """
    from tilth.app.adopting import adopt as adopted

    found = opened(project)
    done = adopted(found, names, file, environment, asked=asked)
    if done.names:
        words = f"{done.file} declares {', '.join(done.names)} now."
    else:
        words = "The files declare all that is deployed." if not names else "The files declare it already."
    facts = {"adopted": list(done.names), "already": list(done.already), "file": done.file}
    show.facts(facts, words, as_json, after("adopt", facts, there(found, environment)))
