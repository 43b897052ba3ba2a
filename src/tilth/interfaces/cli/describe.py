"""`tilth describe`: all that is known of a source, dataset, model or endpoint."""

from __future__ import annotations

from typing import Any

import click

from tilth.interfaces.cli import completing, show
from tilth.interfaces.cli.options import CLOCK, ENV, JSON, PROJECT, opened, there
from tilth.runtime.showing import described
from tilth.runtime.showing.next_steps import after


@click.command()
@click.argument("name", shell_complete=completing.RESOURCES)
@PROJECT
@ENV
@JSON
@CLOCK
def describe(name: str, project: str, environment: str | None, as_json: bool, clock: str | None) -> None:
    """All that is known of NAME: a source, dataset, model or endpoint.

    \b
    A model: inputs, outputs, metrics, gate, lineage. A dataset: columns, checks, refreshes.
    A source: tables and columns. An endpoint: a request to copy, for curl, Python and SQL.
    Example: tilth describe late
    """
    from tilth.sql.language.acts import Describe

    found = opened(project, clock)
    done = found.session(environment).perform(Describe(None, name))
    steps = after("describe", done.facts, there(found, environment))
    show.facts(done.facts, words(done.facts), as_json, steps)


def words(facts: Any) -> str:
    """The description for people: what it is, and a table for each list; what is long stands in lines of its own."""
    rows = described.head(facts)
    for section in described.sections(facts):
        rows += ["", section.title.upper()]
        if section.title in ("definition", "to know"):
            rows += [str(row[0]) for row in section.rows]
        elif section.title == "checks to take over":
            rows += [f"{table}: {item},  -- {was}" for table, item, was in section.rows]
        elif section.title == "without a value":
            rows += [f"{given}: {then}" for given, then in section.rows]
        elif section.title == "example":
            rows += [f"{door}:\n  {request}" for door, request in section.rows]
        else:
            rows.append(show.table(section.columns, section.rows))
    return "\n".join(rows)
