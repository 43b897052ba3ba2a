"""Secrets that declarations refer to: looked up when they are needed, and kept nowhere."""

from __future__ import annotations

import os

from tilth.core.errors import Position, SourceError
from tilth.sql.language.statements import Options, Secret, Value


def options(given: Options, whose: str, root: str, where: Position | None) -> dict[str, object]:
    """The options with secrets in the place of their references; SourceError for one that is not where it should be."""
    return {k: _resolved(v, whose, root, where) for k, v in given.items}


def _resolved(value: Value, whose: str, root: str, where: Position | None) -> object:
    if isinstance(value, Secret):
        return _secret(value.reference, whose, root, where)
    if isinstance(value, Options):
        return options(value, whose, root, where)
    if isinstance(value, tuple):
        return tuple(_resolved(v, whose, root, where) for v in value)
    return value


def _secret(reference: str, whose: str, root: str, where: Position | None) -> str:
    kind, _, name = reference.partition(":")
    if kind == "env":
        found = os.environ.get(name)
        if found is None:
            raise SourceError(
                f"{whose} needs the secret `{reference}`, and there is no such environment variable.",
                hint=f"Set it before the command, or in the unit or the cron line that runs it: export {name}=...",
                where=where,
            )
        return found
    if kind == "file":
        path = os.path.join(root, os.path.expanduser(name))
        try:
            with open(path, encoding="utf-8") as file:
                return file.read().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not text"
            raise SourceError(
                f"{whose} needs the secret in {path}, which cannot be read ({why}).",
                hint="Write the secret into that file, readable by this user only.",
                where=where,
            ) from error
    raise SourceError(
        f"{whose} refers to a secret `{kind}:`, which is not a kind that is known.",
        hint="Write SECRET 'env:NAME' or SECRET 'file:PATH'.",
        where=where,
    )
