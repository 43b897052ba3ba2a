"""`tilth environments`: which there are, and where each stands."""

from __future__ import annotations

import click

from tilth.interfaces.cli import show
from tilth.interfaces.cli.options import CLOCK, JSON, PROJECT, opened
from tilth.runtime.showing.next_steps import after


@click.command()
@PROJECT
@JSON
@CLOCK
def environments(project: str, as_json: bool, clock: str | None) -> None:
    """The environments there are, each with its generation, and which of them serves.

    Example: tilth environments
    """
    from tilth.sql.language.acts import Show

    found = opened(project, clock)
    rows = found.session().perform(Show("environments")).rows() if found.applied else []
    serving, default = found.settings.serving, found.settings.environment
    facts = {"environments": rows, "serving": serving, "default": default}
    lines = [
        (r["name"], r["generation"], r["at"], _role(r["name"], serving, default), r["reason"]) for r in rows
    ]
    words = show.table(("name", "generation", "since", "is", "reason"), lines)
    show.facts(
        facts, words if rows else "There is no environment yet.", as_json, after("environments", facts)
    )


def _role(name: str, serving: str, default: str) -> str:
    roles = (("serves", serving), ("meant without --env", default))
    return ", ".join(words for words, which in roles if name == which)
