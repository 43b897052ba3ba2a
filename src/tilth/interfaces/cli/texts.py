"""`tilth check` and `tilth fmt`: a project's files looked at, and laid out, as text. Neither asks a source or makes a `.tilth`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from tilth.interfaces.cli import completing, show
from tilth.interfaces.cli.folders import folder_of
from tilth.interfaces.cli.options import JSON, PROJECT
from tilth.runtime.showing.next_steps import after

if TYPE_CHECKING:
    from tilth.app.laying_out import Laid

CHANGES = 1  # the exit status of `fmt --check` when a file would change


@click.command()
@PROJECT
@JSON
def check(project: str, as_json: bool) -> None:
    """Everything that is wrong with the project's files: settings, text, names, rules. Asks no source, makes no .tilth.

    \b
    Exit status 0 when nothing is, else that of the first error (2 for what is written wrong).
    What only the data can say (columns, types) is said by `tilth apply`, before anything is done.
    Example: tilth check --project flights
    """
    from tilth.runtime.project.checking import check as look

    found = look(folder_of(project))
    count = len(found.problems)
    facts = {
        "ok": not count,
        "files": found.files,
        "declarations": found.declarations,
        "problems": [error.fields() for error in found.problems],
    }
    looked = f"{_many(found.declarations, 'declaration')} in {_many(found.files, 'file')}"
    said = f"{_many(count, 'problem')}: {looked} could be read." if count else f"Nothing is wrong: {looked}."
    rows = [show.coloured(error) for error in found.problems]
    show.facts(facts, "\n\n".join([*rows, said]), as_json, after("check", facts), painted=True)
    if count:
        raise SystemExit(found.problems[0].exit_status)


@click.command()
@click.argument("files", nargs=-1, metavar="[FILES]...", shell_complete=completing.files)
@click.option(
    "--check", "only_check", is_flag=True, help="Write nothing; exit status 1 when a file would change."
)
@click.option("--diff", "as_diff", is_flag=True, help="Write nothing; print what would change.")
@PROJECT
@JSON
def fmt(files: tuple[str, ...], only_check: bool, as_diff: bool, project: str, as_json: bool) -> None:
    """Lay *.sql files out: a clause a line, checks below one another. Comments, queries and meaning stay what they are.

    \b
    Without FILES all that declare in the project; `-` reads from a pipe and prints.
    A file that cannot be read as statements stays as it is (exit status 2).
    Example: tilth fmt
             tilth fmt --check --diff models.sql
    """
    from tilth.app import laying_out

    if files == ("-",):
        _piped()
        return
    found = list(laying_out.look(files or laying_out.files_of(folder_of(project))))
    changed = [one for one in found if one.changes]
    problems = [one.problem for one in found if one.problem is not None]
    writes = not (only_check or as_diff)
    for one in changed if writes else ():
        laying_out.write(one)
    facts = {
        "changed": [one.path for one in changed],
        "written": writes and bool(changed),
        "unchanged": len(found) - len(changed) - len(problems),
        "problems": [error.fields() for error in problems],
    }
    for error in problems:
        click.echo(show.coloured(error), err=True)
    words = (
        "".join(one.diff() for one in changed).rstrip("\n")
        if as_diff
        else _said(changed, found, writes=writes)
    )
    if words or as_json:
        show.facts(facts, words, as_json, after("fmt", facts))
    if problems:
        raise SystemExit(problems[0].exit_status)
    if changed and only_check:
        raise SystemExit(CHANGES)


def _said(changed: list[Laid], found: list[Laid], *, writes: bool) -> str:
    did = "laid out" if writes else "would be laid out"
    rows = [f"{one.path}: {did}" for one in changed]
    rest = len(found) - len(changed) - sum(one.problem is not None for one in found)
    kept = (
        f"{_many(rest, 'file')} {'is' if rest == 1 else 'are'} as {'it' if rest == 1 else 'they'} should be."
    )
    return "\n".join([*rows, kept] if rest or not rows else rows)


def _piped() -> None:
    """What comes in, laid out, goes out; nothing goes out when it cannot be read."""
    from tilth.kinds import KINDS

    with open(0, encoding="utf-8", newline="", closefd=False) as given:
        laid = KINDS.layout(given.read(), "<stdin>")
    sys.stdout.write(laid)


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
