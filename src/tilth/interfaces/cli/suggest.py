"""`tilth suggest`: checks that a dataset could have, with the evidence for each."""

from __future__ import annotations

import click

from tilth.interfaces.cli import completing, show
from tilth.interfaces.cli.options import CLOCK, ENV, JSON, PROJECT, opened, there
from tilth.runtime.showing.next_steps import after


@click.command()
@click.argument("dataset", shell_complete=completing.RESOURCES)
@click.option(
    "--write", is_flag=True, help="Add them to the EXPECT of the dataset's declaration, in its file."
)
@PROJECT
@ENV
@JSON
@CLOCK
def suggest(
    dataset: str, write: bool, project: str, environment: str | None, as_json: bool, clock: str | None
) -> None:
    """Checks that DATASET could have, the best first: sets, forms, ranges, what is never missing or repeated, references, what is usual.

    \b
    They are learned from the oldest four fifths of its published rows and hold for the newest, and bounds are wider than what
    was seen; what grows or moves with time gets none, and it is said. Each says what it would have caught over the refreshes whose
    snapshots are kept, and the days, weeks or months of the rows. Columns with a TAG and those that a check names already
    are not looked at. With --write the next `tilth apply` collects by them.
    Example: tilth suggest departures
             tilth suggest departures --write
    """
    from tilth.app.suggesting import suggest as suggested

    place = opened(project, clock)
    done = suggested(place, dataset, environment, write=write)
    facts = done.facts()
    lines = [f"{done.rows:,} rows of {done.dataset}, of which the newest {done.held_out:,} were held out."]
    if done.proposals:
        for p in done.proposals:
            lines += ["", p.item, f"    {p.evidence}", *([f"    {p.caught}"] if p.caught else [])]
    else:
        lines += ["Nothing is proposed."]
    if done.more:
        some = "1 more is" if done.more == 1 else f"{done.more} more are"
        lines += [f"{some} of less worth, and proposed when these are written."]
    if done.proposals and not any(p.caught for p in done.proposals):
        lines += [
            "What they would have caught is not known: one refresh is kept, and there is no EVENT TIME."
        ]
    if done.unasked:
        lines += [
            f"{done.unasked:,} older refreshes were not asked: their snapshots have too many rows to read again."
        ]
    if done.left_out:
        lines += ["", "LEFT OUT", *(f"{r.column}: {r.why}" if r.column else r.why for r in done.left_out)]
    if done.file:
        lines += ["", f"{done.file} has them now, in the EXPECT of {done.dataset}."]
    show.facts(facts, "\n".join(lines), as_json, after("suggest", facts, there(place, environment)))
