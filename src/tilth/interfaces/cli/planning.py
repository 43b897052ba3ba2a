"""`tilth plan` and `tilth apply`: what would change, in words or in a file, and its doing."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from tilth.core.errors import GateRefusedError, ServedDropError
from tilth.interfaces.cli import completing, show
from tilth.interfaces.cli.options import CLOCK, ENV, JSON, PROJECT, opened, there
from tilth.runtime.showing.next_steps import after

if TYPE_CHECKING:
    from collections.abc import Callable

    from tilth.app.project import Project
    from tilth.plan.actions import Plan
    from tilth.runtime.applying.executor import Applied

    Allowed = bool | tuple[str, ...]

CHANGES = 10  # the exit status of `plan --exit-code` when something would change


@click.command()
@PROJECT
@ENV
@JSON
@CLOCK
@click.option(
    "--out",
    metavar="FILE",
    shell_complete=completing.files,
    help="Write the plan into FILE, signed, for `tilth apply FILE`. An earlier plan there is replaced.",
)
@click.option(
    "--exit-code", is_flag=True, help="Exit status 10 when something would change, 0 when nothing would."
)
def plan(
    project: str, environment: str | None, as_json: bool, clock: str | None, out: str | None, exit_code: bool
) -> None:
    """What would change, and why. Changes nothing.

    \b
    Example: tilth plan --env dev --exit-code
             tilth plan --out plan.json
    """
    from tilth.plan.explain import facts, words
    from tilth.runtime.moving.publishing import check_name

    if environment is not None:
        check_name(environment)
    place = opened(project, clock)
    found = place.plan(environment) if out is None else _saved(place, out, environment)
    told = facts(found) if out is None else {**facts(found), "file": out}
    show.facts(told, words(found), as_json, after("plan", told, there(place, environment)))
    if exit_code and found.actions:
        raise SystemExit(CHANGES)


def _saved(place: Project, out: str, environment: str | None) -> Plan:
    """The plan that was written into the file."""
    from tilth.app import plans

    made = plans.save(place, out, environment)
    if made.began:
        show.note(f"{place.home} was made, with the key that the plan is signed with; nothing is in it yet")
    return made.plan


@click.command()
@click.argument("file", metavar="[FILE]", required=False, shell_complete=completing.files)
@PROJECT
@ENV
@JSON
@CLOCK
@click.option("--all-or-nothing", is_flag=True, help="The first error ends it, and nothing is published.")
@click.option("--allow-drop", is_flag=True, help="Drop what serves and is no longer declared, unasked.")
def apply(
    file: str | None,
    project: str,
    environment: str | None,
    as_json: bool,
    clock: str | None,
    all_or_nothing: bool,
    allow_drop: bool,
) -> None:
    """Make the environment as the files declare it: collect, vet, train, judge, publish.

    \b
    What succeeds is published, in one generation; the exit status is that of the first error.
    Exit status 8 when a candidate did not pass its gate: the rest is done, and the champion stays.
    An endpoint that answers, or its model, is dropped after a question, or with --allow-drop.
    With FILE, of `tilth plan --out`, exactly that plan is done in its environment. Exit status 13
    when it does not fit what is there by now, and nothing is changed: plan again.
    Example: tilth apply --env dev
             tilth apply plan.json
    """
    from tilth.runtime.asking.declaring import applied_facts

    line, place = show.Line(), opened(project, clock)
    act = _acting(place, file, environment, line, all_or_nothing=all_or_nothing)
    try:
        done = act(allow_drop)
    except ServedDropError as error:
        done = act(asked(error))
    finally:
        line.close()
    facts = applied_facts(done)
    rows = [f"{n['name']}: {n['text']}" for n in (*facts["notes"], *facts["stays"])]
    what = "Nothing to do: " if not done.did else ""
    show.facts(
        facts,
        "\n".join([*rows, f"{what}{done.plan.environment} is at generation {done.generation}."]),
        as_json,
        after("apply", facts, there(place, done.plan.environment)),
    )
    if done.errors:
        raise SystemExit(_failed(done))
    if done.refusals:
        raise SystemExit(GateRefusedError.exit_status)


def _acting(
    place: Project, file: str | None, environment: str | None, line: show.Line, *, all_or_nothing: bool
) -> Callable[[Allowed], Applied]:
    """What applies the files, or the plan in a file, given what it may drop."""
    if file is None:
        return lambda allowed: place.apply(
            environment, line, show.did, all_or_nothing=all_or_nothing, allow_drop=allowed, strict=False
        )
    from tilth.app import plans

    found = plans.read(place, file, environment)
    return lambda allowed: plans.apply(
        place, found, line, show.did, all_or_nothing=all_or_nothing, allow_drop=allowed, strict=False
    )


def asked(error: ServedDropError) -> tuple[str, ...]:
    """The names that a person at a terminal says may be dropped; the error itself where there is none, or the answer is no."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise error
    click.echo(error.message, err=True)
    if not click.confirm(f"Drop {', '.join(error.names)}?", err=True):
        raise error
    return error.names


def _failed(done: Applied) -> int:
    """The exit status of an apply in which something failed; the errors were told one by one, and this is what helps."""
    for did in done.errors:
        assert did.error is not None
        click.echo(show.coloured(did.error), err=True)
    assert done.errors[0].error is not None
    return done.errors[0].error.exit_status
