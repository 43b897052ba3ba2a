"""The commands of the command line, and those that move environments. Each prints facts to standard output (`--json` for programs),
errors and progress to standard error, and ends with the status of its error.

The longer commands have modules of their own, which are loaded when they are run: see `LATER`.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import json
import os
import sys

import click

from tilth.core.errors import StorageError, TilthError
from tilth.core.names import nearest
from tilth.interfaces.cli import completing, ctrl_c, show
from tilth.interfaces.cli.options import CLOCK, ENV, JSON, MOST, PROJECT, opened, there
from tilth.runtime import unforeseen
from tilth.runtime.showing.next_steps import after

STOPPED = 130  # the exit status after Ctrl-C, as shells have it
_UNSAID = frozenset(
    (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
)  # why output is not taken
LATER = {
    "backfill": "tilth.interfaces.cli.backfill",
    "demo": "tilth.interfaces.cli.demo",
    "deploy": "tilth.interfaces.cli.deploy",
    "init": "tilth.interfaces.cli.init",
    "reconcile": "tilth.interfaces.cli.reconcile",
    "up": "tilth.interfaces.cli.up",
    "sql": "tilth.interfaces.cli.ask",
    "predict": "tilth.interfaces.cli.ask",
    "status": "tilth.interfaces.cli.look",
    "diff": "tilth.interfaces.cli.look",
    "watch": "tilth.interfaces.cli.look",
    "environments": "tilth.interfaces.cli.environments",
    "describe": "tilth.interfaces.cli.describe",
    "suggest": "tilth.interfaces.cli.suggest",
    "profile": "tilth.interfaces.cli.profiled",
    "report": "tilth.interfaces.cli.report",
    "install": "tilth.interfaces.cli.install",
    "export": "tilth.interfaces.cli.export",
    "adopt": "tilth.interfaces.cli.adopt",
    "import": "tilth.interfaces.cli.bring",
    "plan": "tilth.interfaces.cli.planning",
    "apply": "tilth.interfaces.cli.planning",
    "check": "tilth.interfaces.cli.texts",
    "fmt": "tilth.interfaces.cli.texts",
    "test": "tilth.interfaces.cli.testing",
    "verify": "tilth.interfaces.cli.keep",
    "backup": "tilth.interfaces.cli.keep",
    "restore": "tilth.interfaces.cli.keep",
}
"""Commands in modules of their own: the attribute has the command's name, but for those that Python keeps for itself."""
NAMED = {"import": "bring"}


class Commands(click.Group):
    """A group that imports a command when it is used, and guesses at misspelt ones."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *LATER})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in LATER:
            found = getattr(importlib.import_module(LATER[cmd_name]), NAMED.get(cmd_name, cmd_name))
            assert isinstance(found, click.Command)
            return found
        return super().get_command(ctx, cmd_name)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """What is installed: engines of models and of sources, ours and those of other packages."""
        from tilth.ports import registry

        super().format_epilog(ctx, formatter)
        with formatter.section("Installed"):
            formatter.write_dl(
                [
                    ("engines of models", ", ".join(("auto", *registry.names("tilth.learners")))),
                    ("engines of sources", ", ".join(registry.names("tilth.sources"))),
                ]
            )

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        if name and not name.startswith("-") and self.get_command(ctx, name) is None:
            shown = [n for n in self.list_commands(ctx) if n != "reconcile"]
            near = nearest(name, shown)
            guess = f"Did you mean `tilth {near}`? " if near else ""
            ctx.fail(f"There is no command `{name}`. {guess}Commands: {', '.join(shown)}.")
        return super().resolve_command(ctx, args)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tilth", message="tilth %(version)s")
def tilth() -> None:
    """Declare ML models in SQL; tilth keeps the data vetted and the predictions right.

    \b
    Begin:    tilth init flights --template flights && cd flights
              tilth plan && tilth apply
    Ask:      tilth sql "SELECT * FROM tilth.models"
    Serve:    tilth up
    Complete: eval "$(_TILTH_COMPLETE=bash_source tilth)"
    """


@tilth.command()
@click.argument("source", shell_complete=completing.ENVIRONMENTS)
@click.argument("target", required=False, shell_complete=completing.ENVIRONMENTS)
@PROJECT
@JSON
@CLOCK
def promote(source: str, target: str | None, project: str, as_json: bool, clock: str | None) -> None:
    """Give TARGET all that SOURCE points at, in one transaction. Nothing is rebuilt.

    \b
    TARGET is, if it is left out, `serving` of tilth.toml, or prod.
    Refused (status 8) when a model of SOURCE did not pass its gate.
    Example: tilth promote dev prod
    """
    found = opened(project, clock)
    target = found.settings.serving if target is None else target
    number = found.promote(source, target)
    facts = {"environment": target, "generation": number, "from": source}
    words = f"{target} is at generation {number}, with all that {source} points at."
    show.facts(facts, words, as_json, after("promote", facts, there(found, target)))


@tilth.command()
@click.argument("environment", required=False, shell_complete=completing.ENVIRONMENTS)
@click.option(
    "--to",
    "generation",
    type=click.IntRange(0, MOST),
    metavar="N",
    help="The generation to go back to (default: the one before).",
)
@PROJECT
@JSON
@CLOCK
def rollback(
    environment: str | None, generation: int | None, project: str, as_json: bool, clock: str | None
) -> None:
    """Point back at an earlier generation, in one transaction. Can be undone the same way.

    \b
    ENVIRONMENT is, if it is left out, `serving` of tilth.toml, or prod.
    Example: tilth rollback prod
    """
    found = opened(project, clock)
    environment = found.settings.serving if environment is None else environment
    before = found.generations(environment, 1)
    number = found.rollback(environment, generation)
    reason = found.generations(environment, 1)[0].reason
    facts = {"environment": environment, "generation": number, "reason": reason}
    steps = after("rollback", {**facts, "from": before[0].number}, there(found, environment))
    show.facts(facts, f"{environment} is at generation {number}: {reason!s}.", as_json, steps)


@tilth.command()
@click.argument("model", shell_complete=completing.MODELS)
@click.argument("kind", type=click.Choice(["drift", "rollback", "bad_data", "node_loss"]))
@PROJECT
@ENV
@JSON
@CLOCK
def drill(
    model: str, kind: str, project: str, environment: str | None, as_json: bool, clock: str | None
) -> None:
    """Rehearse a mishap on the real things, without changing anything in production.

    \b
    Exit status 1 when the drill shows that something would have gone unnoticed.
    Example: tilth drill late drift
    """
    from tilth.sql.language.acts import Drill, DrillKind

    found = opened(project, clock)
    done = found.session(environment).perform(Drill(model, DrillKind(kind)))
    show.facts(done.facts, done.text, as_json, after("drill", {"model": model}, there(found, environment)))
    if done.refused:
        raise SystemExit(1)


@tilth.command()
@click.option(
    "--keep",
    type=click.IntRange(1, MOST),
    default=10,
    show_default=True,
    metavar="N",
    help="Generations to keep.",
)
@PROJECT
@JSON
def gc(keep: int, project: str, as_json: bool) -> None:
    """Free the space of what no environment's newest generations need.

    Example: tilth gc --keep 5
    """
    from dataclasses import asdict

    freed = opened(project).gc(keep)
    words = (
        f"Freed {freed.bytes / 1e6:.1f} MB in {freed.files} files: {freed.generations} generations, "
        f"{freed.snapshots} snapshots and {freed.versions} versions that nothing pointed at.\n"
        f"Older than [keep] says: {freed.predictions} files of predictions ({freed.predictions_bytes / 1e6:.1f} MB), "
        f"{freed.quarantine} of quarantine ({freed.quarantine_bytes / 1e6:.1f} MB), {freed.refused} bundles of refused "
        f"versions ({freed.refused_bytes / 1e6:.1f} MB), {freed.looks} looks, {freed.messages} messages."
    )
    show.facts(asdict(freed), words, as_json, after("gc", {}))


def run(arguments: list[str]) -> int:
    """Run a command line; its exit status."""
    with ctrl_c.heard():
        try:
            status = _run(arguments)
        except KeyboardInterrupt:
            status = STOPPED
        except Exception as error:
            # one that a library made of Ctrl-C, or one that nobody foresaw
            status = (
                STOPPED
                if ctrl_c.pressed()
                else _told(unforeseen.reported(error, _word(arguments)), arguments)
            )
    if status == STOPPED:
        click.echo("\nStopped; what was made so far is kept, and no pointer has moved.", err=True)
    return status


def _word(arguments: list[str]) -> str:
    """The command, without what was given to it."""
    known = {*tilth.commands, *LATER}
    return next((a for a in arguments if a in known), "")


def _run(arguments: list[str]) -> int:
    try:
        tilth.main(arguments, prog_name="tilth", standalone_mode=False)
        sys.stdout.flush()  # what is still buffered was not told yet
    except click.Abort:
        return STOPPED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except BrokenPipeError:
        _say_no_more()
    except OSError as error:
        if error.filename is not None or error.errno not in _UNSAID:
            raise
        return _not_said(error)
    except TilthError as error:
        ctrl_c.check()
        return _told(error, arguments)
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def _told(error: TilthError, arguments: list[str]) -> int:
    """The exit status of an error, after it was said."""
    with contextlib.suppress(OSError):
        if "--json" in arguments:
            click.echo(json.dumps({"error": error.fields()}, indent=2))
    with contextlib.suppress(OSError):
        click.echo(show.coloured(error), err=True)
    return error.exit_status


def _not_said(error: OSError) -> int:
    """What was asked for could not be written out; the status says so, since nobody may read the words."""
    _say_no_more()
    told = StorageError(
        f"The answer could not be written out ({error.strerror}).",
        hint="Free some space where the output goes, or send it elsewhere; what was done stays done.",
    )
    with contextlib.suppress(OSError):
        click.echo(show.coloured(told), err=True)
    return told.exit_status


def _say_no_more() -> None:
    """Whoever read our output has gone: what is still buffered goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
