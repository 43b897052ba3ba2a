"""One function a command. Facts go to standard output (`--json` for programs), errors to standard error."""

from __future__ import annotations

import json
from typing import Any

import click

from tilth.app import Project
from tilth.core.errors import TilthError

PROJECT = click.option(
    "--project", default=".", metavar="FOLDER", help="The project's folder (default: this one)."
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print the facts as JSON.")
ENV = click.option("--env", "environment", metavar="NAME", help="The environment (default: prod).")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def tilth() -> None:
    """Declare ML models in SQL; tilth keeps the data vetted and the predictions right."""


@tilth.command()
@PROJECT
@ENV
@JSON
def plan(project: str, environment: str | None, as_json: bool) -> None:
    """What would change, and why. Changes nothing.

    Example: tilth plan --env dev
    """
    from tilth.plan.explain import facts, words

    found = Project(project).plan(environment)
    _show(facts(found), words(found), as_json)


@tilth.command()
@PROJECT
@JSON
def verify(project: str, as_json: bool) -> None:
    """Check that the recorded state is what tilth wrote: the audit chain and every environment's pointers.

    Example: tilth verify
    """
    length = Project(project).verify()
    _show(
        {"audit_rows": length, "ok": True},
        f"The audit chain of {length} rows and all pointers hold.",
        as_json,
    )


def _show(facts: Any, words: str, as_json: bool) -> None:
    click.echo(json.dumps(facts, indent=2) if as_json else words)


def run(arguments: list[str]) -> int:
    """Run a command line; its exit status."""
    try:
        tilth.main(arguments, prog_name="tilth", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        click.echo("Stopped; nothing was changed.", err=True)
        return 130
    except TilthError as error:
        if "--json" in arguments:
            click.echo(json.dumps({"error": error.fields()}, indent=2))
        click.echo(str(error), err=True)
        return error.exit_status
    return 0
