"""`tilth import`: a model that another tool has fitted, as a version of one that is declared here."""

from __future__ import annotations

import click

from tilth.core.errors import GateRefusedError
from tilth.interfaces.cli import completing, show
from tilth.interfaces.cli.options import CLOCK, ENV, JSON, PROJECT, opened, there
from tilth.runtime.showing.next_steps import after


@click.command("import")
@click.argument("model", metavar="MODEL|CONTRACT", shell_complete=completing.RESOURCES)
@click.argument("folder", required=False, shell_complete=completing.files)
@click.option(
    "--source", metavar="NAME", help="Of a contract: the source of the project that its tables are in."
)
@click.option(
    "--file",
    default=None,
    metavar="FILE",
    help="Of a contract: the file of the project that it is added to.  [default: contracts.sql]",
)
@PROJECT
@ENV
@JSON
@CLOCK
def bring(
    model: str,
    folder: str | None,
    source: str | None,
    file: str | None,
    project: str,
    environment: str | None,
    as_json: bool,
    clock: str | None,
) -> None:
    """A version of MODEL from FOLDER, which MLflow or `tilth export --format mlflow` has written; or a data CONTRACT.

    \b
    Read are flavors whose files run nothing: lightgbm (text), xgboost (JSON, UBJSON), sklearn (skops), and
    tilth's own. Pickles are refused, with what to write instead. MODEL is declared and applied: its dataset
    has the inputs by name, and its rows judge what is imported. Which of them it has learned from is not
    known: it passes by rows alone that are newer than the folder says that it is, and is held otherwise.
    Exit status 8 when it does not pass its gate.
    A CONTRACT is a file of the Open Data Contract Standard 3.1 (*.yaml): its objects are declared as datasets, to those
    that are declared already checks are added that they have not. A rule that cannot be said is an error, and nothing is written.
    Example: tilth import late ./mlruns/0/abc/artifacts/model
             tilth import flights.odcs.yaml --source ops
    """
    if model.lower().endswith((".yaml", ".yml")):
        _contract(model, source, file, project, as_json, clock)
        return
    if folder is None:
        raise click.UsageError(
            "Name the FOLDER that the model is in, or a contract: tilth import flights.odcs.yaml"
        )
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


def _contract(
    path: str, source: str | None, file: str | None, project: str, as_json: bool, clock: str | None
) -> None:
    from tilth.app.contracts.bringing import FILE, bring

    place = opened(project, clock)
    done = bring(place, path, source, file or FILE)
    lines = [f"{', '.join(done.files)} declares {', '.join(done.datasets)} now."] if done.datasets else []
    lines += [f"Added to {one}" for one in done.checks]
    lines += [f"For people, and not checked: {words}" for words in done.in_words]
    facts = {
        "datasets": list(done.datasets),
        "checks": list(done.checks),
        "in_words": list(done.in_words),
        "files": list(done.files),
    }
    steps = ["tilth plan   with what the contract says"]
    show.facts(facts, "\n".join(lines) or "The files declare all that the contract says.", as_json, steps)
