"""`tilth init`: a folder with a project to begin with, of a template or proposed for a table; `flights` brings its data along."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from tilth.interfaces.cli import completing, show
from tilth.interfaces.demo.templates import PLUGIN, create, empty
from tilth.runtime.showing.next_steps import after

if TYPE_CHECKING:
    from tilth.ports.source import Notice

SHOWN = 8  # guesses that are listed


@click.command()
@click.argument("folder")
@click.option(
    "--template",
    default=None,
    metavar="NAME",
    shell_complete=completing.templates,
    help="flights | plugin | blank (the default).",
)
@click.option(
    "--until",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DATE",
    help="Of the template `flights`: the day before which flights have flown (default: 2013-12-01).",
)
@click.option(
    "--from",
    "where",
    metavar="PLACE",
    help="Propose a project for a table there: postgresql://user@host/db, mysql://..., https://..., s3://..., a CSV, Parquet, Excel, SQLite or DuckDB file, or a folder.",
)
@click.option("--table", metavar="NAME", help="With --from: the table, also as schema.table.")
@click.option("--predict", "target", metavar="COLUMN", help="With --from: the column to predict.")
@click.option(
    "--with",
    "options",
    metavar="OPTIONS",
    help="With --from: options of the source, as in CREATE SOURCE ... WITH (...).",
)
@click.option("--json", "as_json", is_flag=True, help="Print the facts as JSON.")
def init(
    folder: str,
    template: str | None,
    until: datetime | None,
    where: str | None,
    table: str | None,
    target: str | None,
    options: str | None,
    as_json: bool,
) -> None:
    """Make FOLDER a project, from a template or for a table. Refuses a folder that holds something.

    \b
    Templates: flights  real flights of 2013 with weather and planes, two models, an endpoint
               blank    files with a commented example each
               plugin   a package with a source engine of your own, and the suite that each must pass
    With --from and --predict the schema and a sample are read, and each line says why it is there.
    A password comes from the url or DB_PASSWORD, and is written as SECRET 'env:DB_PASSWORD'.
    Example:   tilth init flights --template flights
               tilth init shop --from customers.csv --predict churned
               tilth init acme --template plugin
               tilth init shop --from customers.csv --predict churned --with "format = {encoding: 'cp1252'}"
    """
    facts: dict[str, Any] = {"folder": os.path.abspath(folder)}
    if where is not None:
        if target is None or template is not None or until is not None:
            raise click.UsageError("--from needs --predict COLUMN, and goes without --template and --until.")
        words = _proposed(folder, where, table, target, options, facts)
    else:
        if table is not None or target is not None or options is not None:
            raise click.UsageError("--table, --predict and --with go with --from PLACE.")
        made = create(folder, template or "blank", until)
        facts |= {"template": template or "blank", "files": made}
        plugin = template == PLUGIN
        then = "pip install -e '.[dev]' && pytest" if plugin else "tilth plan"
        words = f"{folder} holds {len(made)} files: {', '.join(made)}.\nNext: cd {folder} && {then}"
    if as_json:
        facts["next"] = [] if template == PLUGIN else after("init", {"folder": folder})
    show.facts(facts, words, as_json)


def _proposed(
    folder: str, where: str, table: str | None, target: str, options: str | None, facts: dict[str, Any]
) -> str:
    """Propose a project; what it says to people."""
    from tilth.app.beginning import WORD, begin

    empty(folder)
    done = begin(folder, where, table, target, options)
    facts |= {"files": done.files, "table": done.table, "rows_read": done.rows, "left_out": done.left_out}
    facts["read_with"] = {s.key: s.value for s in done.settled}
    facts["notices"] = [{"column": n.column, "text": n.text, "option": n.option} for n in done.guessed]
    held = f"{folder} holds {len(done.files)} files for `{done.table}`, of {done.rows:,} rows that were read."
    rows = [f"{held} Each line says why it is there: read them."]
    rows += [f"Read with {s}." for s in done.settled]
    rows += list(_guessed(done.guessed))
    if done.left_out:
        rows.append(f"Left out, since they tell `{target}` by themselves: {', '.join(done.left_out)}.")
    if done.absolute:
        rows.append(
            f"The data lies neither in {folder} nor beside it: sources.sql names {done.absolute}, from the root on."
        )
    if done.secret:
        rows.append(f"The password is not in the files: export {WORD} before the next command.")
    return "\n".join([*rows, f"Next: cd {folder} && tilth plan"])


def _guessed(told: Sequence[Notice]) -> Iterator[str]:
    """What stays a guess, in words; of many, the first."""
    for n in told[:SHOWN]:
        of = f"{n.column}: " if n.column else ""
        yield f"To know: {of}{n.text}" + (f" Write {n.option}." if n.option else "")
    if len(told) > SHOWN:
        yield f"To know: {len(told) - SHOWN} more; `tilth plan` lists them."
