"""A project folder to statements: every `*.sql` in it, in the order of their paths, with `tilth.toml` if there is one.

Reads text only; what the statements mean is the compiler's business, and no source is asked.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass

from tilth.core.errors import LanguageError, ProjectError, StorageError
from tilth.core.names import did_you_mean
from tilth.sql.parser import parse
from tilth.sql.statements import CreateDataset, CreateEndpoint, CreateModel, CreateSource, Declaration

SETTINGS = ("name", "state", "environment")


@dataclass(frozen=True, slots=True)
class Settings:
    """What `tilth.toml` says, with defaults."""

    name: str
    state: str = "sqlite"
    environment: str = "prod"


def settings(root: str) -> Settings:
    """The project's settings; ProjectError for a key that is not known or a file that is not TOML."""
    path = os.path.join(root, "tilth.toml")
    given: Mapping[str, object] = {}
    if os.path.exists(path):
        try:
            with open(path, "rb") as file:
                given = tomllib.load(file)
        except tomllib.TOMLDecodeError as error:
            raise ProjectError(
                f"tilth.toml is not TOML: {error}.",
                hint="Correct the line, or delete the file: it is optional.",
            ) from error
    for key in given:
        if key not in SETTINGS:
            raise ProjectError(
                f"tilth.toml has a setting `{key}` that is not known.",
                hint=did_you_mean(key, SETTINGS, "settings"),
            )
    words = {k: str(v) for k, v in given.items()}
    return Settings(**{"name": os.path.basename(os.path.abspath(root)), **words})


def declarations(root: str) -> tuple[Declaration, ...]:
    """All declarations of the project. A statement that acts, or asks, has no place in a file."""
    out: list[Declaration] = []
    for path in _files(root):
        name = os.path.relpath(path, root)
        for statement in parse(_text(path), name):
            if not isinstance(statement, CreateSource | CreateDataset | CreateModel | CreateEndpoint):
                raise LanguageError(
                    f"{name} holds a {type(statement).__name__}; the files of a project only declare.",
                    hint="Keep CREATE statements in files; give the others to `tilth sql`.",
                )
            out.append(statement)
    return tuple(out)


def _files(root: str) -> list[str]:
    if not os.path.isdir(root):
        raise StorageError(
            f"There is no folder {root}.", hint="Go to the project's folder, or give it with --project."
        )
    found: list[str] = []
    for folder, inner, names in os.walk(root):
        inner[:] = sorted(n for n in inner if not n.startswith(".") and n not in {"tests", "estimators"})
        found += [os.path.join(folder, n) for n in sorted(names) if n.endswith(".sql")]
    if not found:
        raise ProjectError(
            f"{root} holds no *.sql file.",
            hint="A project declares its sources, datasets, models and endpoints in *.sql files.",
        )
    return found


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(
            f"{path} cannot be read as UTF-8 text ({error}).",
            hint="Save the file as UTF-8, readable by this user.",
        ) from error
