"""`tilth profile`: the published rows of a dataset at a glance, in the terminal or as a page."""

from __future__ import annotations

from typing import Any

import click

from tilth.core.figures import figure
from tilth.interfaces.cli import completing, files, show
from tilth.interfaces.cli.options import CLOCK, ENV, JSON, PROJECT, opened, there
from tilth.runtime.showing.next_steps import after


@click.command()
@click.argument("name", shell_complete=completing.RESOURCES)
@click.option("--html", "page_file", metavar="FILE", help="Write a page with charts there too.")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@PROJECT
@ENV
@JSON
@CLOCK
def profile(
    name: str,
    page_file: str | None,
    force: bool,
    project: str,
    environment: str | None,
    as_json: bool,
    clock: str | None,
) -> None:
    """What the rows of dataset NAME look like: a line a column, with gaps, ends, frequent values and drift.

    \b
    Drift is the population stability index against the snapshot before. Of more than 200 columns the first
    are looked at. The page needs nothing else: no script, no request; light and dark, phone and print.
    Example: tilth profile departures
             tilth profile departures --html departures.html
    """
    found = opened(project, clock)
    facts = found.profile(name, environment)
    if page_file is not None:
        from tilth.interfaces.report.dataset import page

        files.write_text(page(facts), page_file, force=force)
    steps = after("profile", facts, there(found, environment))
    if page_file is not None and not as_json:
        show.facts({"file": page_file}, f"{page_file} shows {name}.", False, steps)
        return
    show.facts(facts, "\n".join(_lines(facts)), as_json, steps)


def _lines(facts: dict[str, Any]) -> list[str]:
    wide = max((len(c["name"]) for c in facts["columns"]), default=0)
    head = f"{facts['name']}: {facts['rows']:,} rows, {len(facts['columns']) + facts['left_out']:,} columns"
    lines = [head, *(_line(c, wide) for c in facts["columns"])]
    if facts["left_out"]:
        lines.append(f"{facts['left_out']:,} more columns were not looked at.")
    if facts["before"] is None:
        lines.append("There is no earlier snapshot to compare with.")
    return lines


def _line(c: dict[str, Any], wide: int) -> str:
    said = [] if c["missing"] is None else [f"{c['missing']:.1%} missing"]
    if c["kind"] == "number" and c["minimum"] is not None:
        said.append(f"{figure(c['minimum'], 4)} to {figure(c['maximum'], 4)}, mean {figure(c['mean'], 4)}")
    elif c["kind"] == "category":
        said.append(", ".join(str(v)[:20] for v, _ in c["values"][:4]) + (" ..." if c["others"] else ""))
    if c["drift"] is not None:
        said.append(f"drift {figure(c['drift'], 3)}")
    return f"  {c['name']:<{wide}}  {c['type']:<9}  {'; '.join(s for s in said if s)}"
