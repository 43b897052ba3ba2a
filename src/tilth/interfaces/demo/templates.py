"""A folder with a project to begin with, copied from a template; `flights` brings its data along. What `tilth init` does."""

from __future__ import annotations

import keyword
import os
import re
from datetime import datetime
from importlib.resources import files
from typing import TYPE_CHECKING

from tilth.core.errors import ProjectError, StorageError, UnknownNameError
from tilth.core.names import did_you_mean

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

DATA = {"flights"}  # templates whose data is made by `data`
PLUGIN = "plugin"
"""The template that is a package and no project: in it `example` is called as the folder is."""
_MARK = ".template"


def create(folder: str, template: str, until: datetime | None = None) -> list[str]:
    """Make the project; the names of its files. Nothing is written when something is wrong with what is asked."""
    known = templates()
    if template not in known:
        raise UnknownNameError(
            f"There is no template `{template}`.", hint=did_you_mean(template, known, "templates")
        )
    if until is not None and template not in DATA:
        raise ProjectError(
            f"The template `{template}` has no data that could end.", hint="Leave out --until."
        )
    empty(folder)
    if template == PLUGIN:
        engine_of(folder)
    try:
        _write(folder, known[template], until if template in DATA else None, template in DATA)
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be written ({error.strerror}).",
            hint="Give this user write access, or another folder.",
        ) from error
    return sorted(
        os.path.relpath(os.path.join(at, name), folder) for at, _, names in os.walk(folder) for name in names
    )


def templates() -> dict[str, Traversable]:
    """The templates by name."""
    return {t.name: t for t in sorted(_home().iterdir(), key=lambda t: t.name) if _is_template(t)}


def _home() -> Traversable:
    return files("tilth.templates")


def _is_template(found: Traversable) -> bool:
    return found.is_dir() and not found.name.startswith("_")


def empty(folder: str) -> None:
    """Return when the folder is empty or not there yet."""
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise StorageError(f"{folder} is a file.", hint="Name a folder that is empty or not there yet.")
    if os.path.isdir(folder) and os.listdir(folder):
        raise ProjectError(
            f"The folder {folder} is not empty.", hint="Name a folder that is empty or not there yet."
        )


def _write(folder: str, template: Traversable, until: datetime | None, data: bool) -> None:
    """The data first: it may be refused."""
    os.makedirs(folder, exist_ok=True)
    if data:
        from tilth.interfaces.demo import data as flights

        flights.make(os.path.join(folder, "data"), until or flights.UNTIL)
    called = engine_of(folder) if template.name == PLUGIN else ""
    _copy(template, folder, called)


def _copy(template: Traversable, folder: str, called: str) -> None:
    """The files; those that end in `.template` with what they are called for `example`."""
    for file in template.iterdir():
        if file.name == "__pycache__":
            continue
        name = ".gitignore" if file.name == "gitignore" else file.name.removesuffix(_MARK)
        path = os.path.join(folder, name.replace("example", called) if called else name)
        if file.is_dir():
            os.makedirs(path)
            _copy(file, path, called)
            continue
        data = file.read_bytes()
        if file.name.endswith(_MARK):
            text = data.decode().replace("Example", called.title().replace("_", ""))
            text = text.replace("tilth-example", f"tilth-{called.replace('_', '-')}")
            data = text.replace("example", called).encode()
        with open(path, "wb") as out:
            out.write(data)


def engine_of(folder: str) -> str:
    """What an engine is called that is made in a folder of this name; ProjectError when the name gives none."""
    name = re.sub(r"[^a-z0-9]+", "_", os.path.basename(os.path.abspath(folder)).lower()).strip("_")
    name = name.removeprefix("tilth_")
    if not name or not name[0].isalpha() or keyword.iskeyword(name):
        raise ProjectError(
            f"{folder} is no name of an engine.",
            hint="Name the folder as the engine is to be called, with letters.",
        )
    return name
