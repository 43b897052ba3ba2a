"""`tilth export`: a version of a model in a format of others."""

from __future__ import annotations

import click

from tilth.interfaces.cli import completing, files, placed, show
from tilth.interfaces.cli.options import CLOCK, ENV, JSON, MOST, PROJECT, opened, there, version_number
from tilth.runtime.asking.exporting import FORMATS
from tilth.runtime.showing.next_steps import after

ENDINGS = {"onnx": ".onnx", "mlflow": "-mlflow", "dbt": ".yml"}


@click.command()
@click.argument("model", shell_complete=completing.RESOURCES)
@click.option("--format", "form", type=click.Choice(FORMATS), required=True, help="What is written.")
@click.option(
    "--output",
    metavar="FILE",
    help="Where it is written (default: MODEL-N.onnx, MODEL-N.yml, or the folder MODEL-N-mlflow).",
)
@click.option(
    "--version", type=click.IntRange(0, MOST), metavar="N", help="A version (default: the one that serves)."
)
@click.option("--owner", metavar="WHO", help="Of dbt: who answers for the model (default: the project).")
@click.option("--force", is_flag=True, help="Write over what was exported there before.")
@PROJECT
@ENV
@JSON
@CLOCK
def export(
    model: str,
    form: str,
    output: str | None,
    version: int | None,
    owner: str | None,
    force: bool,
    project: str,
    environment: str | None,
    as_json: bool,
    clock: str | None,
) -> None:
    """A version of MODEL for others: a folder that MLflow loads, or one ONNX file.

    \b
    mlflow: the sealed bundle, without a pickle; whoever loads it needs tilth. Answers are those of tilth.
    onnx:   one file, for any runtime of ONNX. It is tried on rows of training, and refused with the reason
            where an answer would lie more than 0.00001 away. Needs the extra: pip install 'tilth[onnx]'
    dbt:    an exposure of type ml for the YAML of the dbt project whose relations the model is made from.
    Example: tilth export late --format mlflow
             tilth export late@3 --format onnx --output late.onnx
             tilth export late --format dbt --owner ml@shop.example --output models/late.yml
    """
    model, _, pinned = model.partition("@")
    if pinned and version_number(pinned) is None:
        raise click.BadParameter(
            f"{pinned!r} is not a version's number; write {model}@3.", param_hint="MODEL"
        )
    path = output or ""
    if path:
        _free(path, form, force=force)
    found = opened(project, clock)
    if owner is not None and form != "dbt":
        raise click.UsageError("--owner goes with --format dbt.")
    made = found.export(model, form, int(pinned) if pinned else version, environment, owner)
    facts = dict(made.facts)
    path = path or f"{model}-{facts['version']}{ENDINGS[form]}"
    if form == "onnx":
        files.write_bytes(made.files[""], path, force=force)
        how = f"It answered {facts['rows']:,} rows as the version does, to {facts['off_by']:.1g}."
    elif form == "dbt":
        files.write_bytes(made.files[""], path, force=force)
        how = f"It depends on {', '.join(facts['depends_on'])}."
    else:
        placed.write(made.files, path, force=force)
        how = "It loads where tilth is installed."
    words = f"{path} is version {facts['version']} of {model}. {how}"
    steps = after("export", facts, there(found, environment))
    show.facts({**facts, "file": path}, words, as_json, steps)


def _free(path: str, form: str, *, force: bool) -> None:
    """An error before anything is asked of the project."""
    if form != "mlflow":
        files.free(path, force=force)
    else:
        placed.free(path, force=force)
