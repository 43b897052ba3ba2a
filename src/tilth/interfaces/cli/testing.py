"""`tilth test`: cases of datasets' queries in the project's `tests/`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tilth.core.errors import CheckFailedError
from tilth.interfaces.cli import show
from tilth.interfaces.cli.options import ENV, JSON, PROJECT, opened
from tilth.runtime.showing.next_steps import after

if TYPE_CHECKING:
    from tilth.app.project import Project

SHOWN = 20  # differences of a case
SIGNS = {"passed": ("ok", "green"), "failed": ("failed", "red"), "error": ("error", "red")}


@click.command()
@click.argument("names", nargs=-1, metavar="[DATASET | DATASET/CASE]...")
@click.option(
    "--create", "dataset", metavar="DATASET", help="Make a case of a sample of what its sources hold."
)
@click.option(
    "--rows",
    default=5,
    show_default=True,
    type=click.IntRange(1, 1000),
    help="Rows of its first table to begin with.",
)
@PROJECT
@ENV
@JSON
def test(
    names: tuple[str, ...],
    dataset: str | None,
    rows: int,
    project: str,
    environment: str | None,
    as_json: bool,
) -> None:
    """Ask datasets' queries over the tables of cases, and compare with the rows that are expected.

    \b
    A case is a folder: tests/DATASET/CASE/ with a CSV for each table that the query reads (ops.flights.csv)
    and expected.csv; headers are name:TYPE, an empty field is NULL. No source is asked, nothing is kept.
    Exit status 0 when all pass, 3 when one does not.
    Example: tilth test
             tilth test departures/winter
             tilth test --create departures
    """
    place = opened(project)
    if dataset is not None:
        _create(place, dataset.lower(), rows, environment, as_json)
        return
    from tilth.runtime.showing import testing

    done = testing.run(place.graph(), place.root, place.looked().engine, names)
    failed = [t for t in done if t.status != testing.PASSED]
    lines = []
    for one in done:
        word, colour = SIGNS[one.status]
        lines.append(
            f"{click.style(f'{word:>7}', fg=colour)}  {one.case.dataset}/{one.case.name}: {one.rows:,} rows"
        )
        lines += [f"           {show.clean(line)}" for line in one.lines(SHOWN)]
        if one.error is not None:
            lines.append(show.coloured(one.error))
    total = f"{len(done) - len(failed):,} of {len(done):,} cases passed."
    nothing = "There are no cases: tilth test --create DATASET makes one of a sample."
    facts = {"cases": [t.facts() for t in done], "passed": len(done) - len(failed), "failed": len(failed)}
    show.facts(
        facts, "\n".join([*lines, total]) if done else nothing, as_json, after("test", facts), painted=True
    )
    if failed:
        raise SystemExit(next((t.error.exit_status for t in failed if t.error), CheckFailedError.exit_status))


def _create(place: Project, dataset: str, rows: int, environment: str | None, as_json: bool) -> None:
    from tilth.runtime.showing import sampling

    graph, session = place.graph(), place.session(environment)
    folder, files = sampling.made(session.act(), graph, dataset, rows)
    listed = ", ".join(f"{name}.csv ({count:,})" for name, count in files.items())
    facts = {"dataset": dataset, "folder": folder, "files": files, "cases": []}
    text = f"{folder}: {listed}. Look at expected.csv: it is what the query gives now, and need not be right."
    show.facts(facts, text, as_json, after("test", facts))
