"""`tilth report`: a page about a model, a dataset or an environment that one can send to somebody."""

from __future__ import annotations

import click

from tilth.interfaces.cli import completing, files, show
from tilth.interfaces.cli.options import CLOCK, ENV, JSON, PROJECT, opened, there
from tilth.runtime.showing.next_steps import after


@click.command()
@click.argument("kind", type=click.Choice(["model", "dataset", "environment"]))
@click.argument("name", shell_complete=completing.RESOURCES)
@click.option("--output", metavar="FILE", help="Where the page is written (default: NAME-report.html).")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@PROJECT
@ENV
@JSON
@CLOCK
def report(
    kind: str,
    name: str,
    output: str | None,
    force: bool,
    project: str,
    environment: str | None,
    as_json: bool,
    clock: str | None,
) -> None:
    """One page about the version of model NAME that serves: how good it is, on what, why, and what its gates said.

    Of a dataset: its columns, gaps, drift, checks over time, freshness and lineage. Of an environment: the loop, what needs attention, and the reports of all its datasets and models.

    \b
    Curves are of rows that it was not tuned on. The page needs nothing else: no script, no request; light and dark.
    With --json the facts are printed and no page is written.
    Example: tilth report model late
             tilth report model late --output late.html
             tilth report dataset departures
             tilth report environment prod
    """
    found = opened(project, clock)
    if kind == "environment":
        from tilth.interfaces.report.environment import gathered, page

        line = show.Line()
        try:
            facts = gathered(found, name, line)
        finally:
            line.close()
    elif kind == "dataset":
        from tilth.interfaces.report.dataset import page

        facts = found.profile(name, environment)
    else:
        from tilth.interfaces.report.page import page

        facts = found.report(name, environment)
    if as_json:
        show.facts(facts, "", True)
        return
    path = output or f"{name}-report.html"
    files.write_text(page(facts), path, force=force)
    steps = after("report", facts, there(found, environment)) if kind == "model" else ()
    what = f"{name} version {facts['version']}" if kind == "model" else f"{kind} {name}"
    show.facts({"file": path}, f"{path} tells of {what}.", False, steps)
