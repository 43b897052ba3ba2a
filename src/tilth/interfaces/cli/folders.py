"""Which folder is meant: the one that is named, or the nearest around this one that is a project, as git has it."""

from __future__ import annotations

import os

import click

from tilth.runtime.project.settings import FILE


def folder_of(project: str, *, tell: bool = True) -> str:
    """The folder itself, or of the one we are in the nearest above it with a tilth.toml, which is told."""
    if project != "." or os.path.lexists(FILE) or os.path.isdir(".tilth"):
        return project
    here = os.getcwd()
    found = above(here)
    if found is None:
        return project
    if tell:
        click.echo(f"The project is {found}.", err=True)
    return found


def above(folder: str) -> str | None:
    """The nearest folder above with a tilth.toml of somebody who could have made this folder, too."""
    owners = {os.geteuid(), os.stat(folder).st_uid, 0}
    while (parent := os.path.dirname(folder)) != folder:
        folder = parent
        path = os.path.join(folder, FILE)
        if os.path.isfile(path) and os.stat(path).st_uid in owners:
            return folder
    return None
