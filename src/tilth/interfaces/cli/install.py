"""`tilth install`: the environment of an engine whose packages exclude those of tilth."""

from __future__ import annotations

import click

from tilth.adapters.learners import apart
from tilth.core.errors import InputError
from tilth.interfaces.cli import show
from tilth.interfaces.cli.options import JSON
from tilth.runtime.showing.next_steps import after


@click.command()
@click.argument("engine", type=click.Choice(sorted(apart.ENGINES)))
@click.option("--yes", is_flag=True, help="Do not ask.")
@JSON
def install(engine: str, yes: bool, as_json: bool) -> None:
    """Make the environment of ENGINE, which needs packages that exclude those of tilth, from a lock with hashes.

    \b
    It lies inside the environment that tilth is installed in; to remove it, remove its folder.
    Example: tilth install autogluon --yes
    """
    place = apart.home(engine)
    if apart.absent(engine) and not yes:
        words = f"Install the packages of {engine} ({apart.ENGINES[engine]}) into {place}?"
        if not click.confirm(words, err=True):
            raise InputError("Nothing was installed.", hint="Write --yes where nobody can be asked.")
    apart.make(engine, show.note)
    facts = {"engine": engine, "folder": str(place)}
    show.facts(facts, f"The engine {engine} has its environment: {place}", as_json, after("install", facts))
