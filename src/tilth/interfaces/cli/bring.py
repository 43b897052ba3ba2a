"""`tilth import`: a model that another tool has fitted, as a version of one that is declared here."""

from __future__ import annotations

import click

from tilth.core.errors import GateRefusedError
from tilth.interfaces.cli import completing, show
from tilth.interfaces.cli.options import CLOCK, ENV, JSON, PROJECT, opened, there
from tilth.runtime.showing.next_steps import after


@click.command("import")
@click.argument("model", shell_complete=completing.RESOURCES)
@click.argument("folder", shell_complete=completing.files)
@PROJECT
@ENV
@JSON
@CLOCK
def bring(
    model: str, folder: str, project: str, environment: str | None, as_json: bool, clock: str | None
) -> None:
    """A version of MODEL from FOLDER, which MLflow or `tilth export --format mlflow` has written.

    \b
    Read are flavors whose files run nothing: lightgbm (text), xgboost (JSON, UBJSON), sklearn (skops), and
    tilth's own. Pickles are refused, with what to write instead. MODEL is declared and applied: its dataset
    has the inputs by name, and its rows judge what is imported. Which of them it has learned from is not
    known: it passes by rows alone that are newer than the folder says that it is, and is held otherwise.
    Exit status 8 when it does not pass its gate.
    Example: tilth import late ./mlruns/0/abc/artifacts/model
    """
    line, place = show.Line(), opened(project, clock)
    try:
        done = place.bring(model, folder, environment, line, show.did)
    finally:
        line.close()
    facts = dict(done.facts)
    words = f"Version {facts['version']} of {model} came from {folder}: {facts['status']}."
    show.facts(facts, words, as_json, after("import", facts, there(place, environment)))
    if done.refused:
        raise SystemExit(GateRefusedError.exit_status)
