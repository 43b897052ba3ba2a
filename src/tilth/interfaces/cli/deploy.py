"""`tilth deploy`: prints files for systemd, a container, Prometheus and Grafana. It writes nothing and starts nothing."""

from __future__ import annotations

import os
import re
import shutil
import sys
from importlib import resources

import click

from tilth.core.errors import InputError
from tilth.interfaces.cli import show
from tilth.interfaces.cli.options import PROJECT, opened
from tilth.interfaces.cli.up import PORT
from tilth.runtime.showing.next_steps import after

FILES = {
    "systemd": "tilth.service",
    "container": "Containerfile",
    "prometheus": "prometheus-rules.yml",
    "grafana": "grafana.json",
}
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
_PLAIN = re.compile(r"[^\x00-\x1f\x7f\"'\\]+")


@click.command()
@click.argument("what", type=click.Choice(tuple(FILES)))
@PROJECT
@click.option(
    "--port", default=PORT, show_default=True, type=click.IntRange(1, 65535), help="Where it listens."
)
@click.option("--user", default="tilth", show_default=True, help="Who runs the service.")
def deploy(what: str, project: str, port: int, user: str) -> None:
    """Print a hardened unit of systemd, a Containerfile, rules for Prometheus or a board for Grafana.

    \b
    Nothing is written: send it to a file. docs/operations.md says what to do with each.
    Example: tilth deploy systemd --project /srv/shop > /etc/systemd/system/tilth-shop.service
             tilth deploy prometheus > /etc/prometheus/tilth-rules.yml
    """
    text = resources.files("tilth").joinpath("ops", FILES[what]).read_text("utf-8")
    said = {"port": str(port)}
    if what == "systemd":
        said |= _service(opened(project, None).root, user)
    click.echo(filled(text, said), nl=False)
    show.next_steps(after("deploy", {"what": what, "name": said.get("name"), "read": sys.stdout.isatty()}))


def filled(text: str, said: dict[str, str]) -> str:
    """The text with its `@@names@@` filled in."""
    return re.sub(r"@@([a-z]+)@@", lambda found: said[found[1]], text)


def _service(root: str, user: str) -> dict[str, str]:
    """What a unit says of a project; InputError for what a unit cannot say."""
    if not _USER.fullmatch(user):
        raise InputError(
            f"{user[:80]!r} is no name of a user.",
            hint="Small letters, digits, `_` and `-`; useradd makes one.",
        )
    beside = os.path.join(os.path.dirname(sys.executable), "tilth")
    command = beside if os.path.exists(beside) else shutil.which("tilth") or beside
    for path in (root, command):
        if not _PLAIN.fullmatch(path):
            raise InputError(
                f"A unit of systemd cannot name {path!r}.",
                hint="Move it to a path without quotes and backslashes.",
            )
    shown = root.replace("%", "%%")
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", os.path.basename(root)).strip("-.") or "project"
    return {
        "name": name,
        "home": f'"{root}"' if " " in root else root,
        "user": user,
        "folder": shown,
        "writes": f'"{shown}"',
        "quoted": f'"{shown.replace("$", "$$")}"',
        "tilth": f'"{command.replace("%", "%%").replace("$", "$$")}"'
        if " " in command
        else command.replace("%", "%%"),
    }
