"""`tilth demo`: the story of real flights, told step by step with a figure for each; it works in a folder of its own."""

from __future__ import annotations

import os
import tempfile
import textwrap
from typing import TYPE_CHECKING

import click

from tilth.core.errors import ProjectError
from tilth.interfaces.cli import ctrl_c, show
from tilth.runtime.showing.next_steps import after

if TYPE_CHECKING:
    from tilth.interfaces.demo.story import Told

WIDTH = 110


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the figures as one JSON object.")
@click.option(
    "--keep",
    metavar="FOLDER",
    help="Keep the project in this folder (empty, or not there yet) to look around in.",
)
def demo(as_json: bool, keep: str | None) -> None:
    """Play the whole loop on real flights: apply, predict, serve, five months of days, and every mishap. Some minutes.

    \b
    Exit status 0 only if every step held. Needs the flights: pip install 'tilth[demo]'
    Example: tilth demo --keep flights
    """
    if keep and os.path.exists(keep) and (not os.path.isdir(keep) or os.listdir(keep)):
        raise ProjectError(
            f"{keep} is not an empty folder.", hint="Name another, or one that is not there yet."
        )
    if keep:
        held = _play(os.path.abspath(keep), as_json)
        click.echo(f"The project is in {keep}.", err=True)
    else:
        with tempfile.TemporaryDirectory(prefix="tilth-demo-") as folder:
            held = _play(os.path.join(folder, "flights"), as_json)
    if not held:
        raise SystemExit(1)
    show.next_steps(after("demo", {"kept": keep}))


def _play(folder: str, as_json: bool) -> bool:
    """Tell the story; whether every step held."""
    from tilth.interfaces.demo.story import tell_story

    line = show.Line()

    def tell(told: Told) -> None:
        line.close()
        click.echo(_words(told), err=as_json)
        ctrl_c.check()

    try:
        figures, held = tell_story(folder, line, tell)
    finally:
        line.close()
    if as_json:
        click.echo(show.json_text(figures, 2))
    else:
        click.echo(f"\n{'Every step held' if held else 'NOT every step held'}, in {figures['seconds']} s.")
    return held


def _words(told: Told) -> str:
    """A step: its number and name, how long it took, and what it showed."""
    mark = click.style("ok", fg="green") if told.held else click.style("failed", fg="red")
    head = f"{told.number:>2}. {click.style(told.title, bold=True)}  {mark}, {told.seconds:.1f} s"
    rows = [row for part in told.text.split("\n") for row in _wrapped(part)]
    return "\n".join([head, *rows])


def _wrapped(part: str) -> list[str]:
    """A line of the text, indented; where it is long, what follows stands below its beginning."""
    margin = " " * (4 + len(part) - len(part.lstrip()))
    return textwrap.wrap(part.lstrip(), WIDTH, initial_indent=margin, subsequent_indent=margin)
