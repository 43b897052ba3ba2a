"""`tilth backfill`: days of an INCREMENTAL dataset are read again from its source."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from tilth.core.errors import GateRefusedError, UnknownNameError
from tilth.core.names import did_you_mean
from tilth.interfaces.cli import show
from tilth.interfaces.cli.options import CLOCK, ENV, JSON, PROJECT, opened
from tilth.runtime.showing.next_steps import after

DAY = click.DateTime(["%Y-%m-%d"])
SHOWN = 40  # days


@click.command()
@click.argument("dataset")
@click.option("--from", "first", required=True, type=DAY, help="The first day (2026-01-01, in UTC).")
@click.option("--to", "last", required=True, type=DAY, help="The last day; it is read, too.")
@click.option("--dry-run", is_flag=True, help="Say what would be read, and read nothing.")
@PROJECT
@ENV
@JSON
@CLOCK
def backfill(
    dataset: str,
    first: datetime,
    last: datetime,
    dry_run: bool,
    project: str,
    environment: str | None,
    as_json: bool,
    clock: str | None,
) -> None:
    """Read days of an INCREMENTAL dataset again, vet them, and publish them in the place of what is there.

    \b
    All of these days, or none: until everything is vetted the snapshot stays what it is. Rows that the
    source does not hold any more go. The same as a statement: REFRESH DATASET d FROM 'day' TO 'day'.
    Example: tilth backfill departures --from 2026-01-01 --to 2026-01-31 --dry-run
             tilth backfill departures --from 2026-01-01 --to 2026-01-31
    """
    from tilth.runtime.asking.backfilling import foreseen
    from tilth.sql.language.acts import RefreshDataset
    from tilth.sql.language.statements import Kind

    if last < first:
        raise click.BadParameter(f"{last:%Y-%m-%d} lies before {first:%Y-%m-%d}.", param_hint="--to")
    place = opened(project, clock)
    line = show.Line()
    session = place.session(environment, line, show.did)
    statement = RefreshDataset(dataset.lower(), first.date(), last.date())
    if not dry_run:
        try:
            done = session.perform(statement)
        finally:
            line.close()
        show.facts(
            done.facts, show.untold(done.text or ""), as_json, after("backfill", {"name": statement.name})
        )
        if done.refused:
            raise SystemExit(GateRefusedError.exit_status)
        return
    graph = session.deployed(session.environment)
    resource = graph.find(statement.name)
    if resource is None or resource.kind is not Kind.DATASET:
        names = [r.name for r in graph.of_kind(Kind.DATASET)]
        raise UnknownNameError(
            f"There is no dataset `{dataset}` in `{session.environment}`.",
            hint=did_you_mean(dataset, names, "datasets"),
        )
    found = foreseen(session, resource, statement)
    show.facts(found, _words(found), as_json, after("backfill", {"name": statement.name}))


def _words(found: dict[str, Any]) -> str:
    there = found["rows_there"]
    said = f"{found['dataset']}, {found['from']} to {found['to']}: {found['rows_here']:,} rows here, "
    if there is None:
        return (
            said
            + "and its source does not count by day: all of these days would be read. Nothing was changed."
        )
    said += f"{there:,} at the source. "
    if not found["days"]:
        return said + "No day has another number of rows. Nothing was changed."
    rows = [(d["day"], d["here"], d["there"]) for d in found["days"][:SHOWN]]
    more = len(found["days"]) - SHOWN
    table = show.table(("day", "here", "there"), rows)
    return said + f"Days with another number:\n\n{table}" + (f"\n... and {more:,} more" if more > 0 else "")
