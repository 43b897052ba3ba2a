"""Secrets that declarations refer to: looked up when they are needed, and kept nowhere but where somebody wrote them.

One that is typed at a prompt, as MindsDB's CREATE DATABASE has it, is written into a file below `.tilth`, which the declaration refers to.
"""

from __future__ import annotations

import contextlib
import os

from tilth.core.errors import Position, SourceError, StorageError
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


FOLDER = os.path.join(".tilth", "secrets")
_MOST = 10_000  # files of one name


def keep(root: str, name: str, secret: str) -> str:
    """Write the secret into a new file that this user alone can read; the reference to it. StorageError when it cannot be written."""
    folder = os.path.join(root, FOLDER)
    try:
        os.makedirs(folder, 0o700, exist_ok=True)
        for number in range(1, _MOST):
            found = name if number == 1 else f"{name}.{number}"
            with contextlib.suppress(FileExistsError):
                handle = os.open(
                    os.path.join(folder, found), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600
                )
                with open(handle, "w", encoding="utf-8") as file:
                    file.write(secret)
                    file.flush()
                    os.fsync(file.fileno())
                return f"file:{FOLDER}/{found}"
    except OSError as error:
        raise StorageError(
            f"The secret cannot be kept in {folder} ({error.strerror}).",
            hint="Make the folder writable by this user, or keep the secret in the environment and write SECRET 'env:NAME'.",
        ) from error
    raise StorageError(
        f"There are {_MOST:,} secrets of that name in {folder}.", hint="Remove those that nothing refers to."
    )


def forget(root: str, reference: str) -> None:
    """Remove a file that `keep` made and that nothing refers to."""
    with contextlib.suppress(OSError):
        os.remove(os.path.join(root, reference.removeprefix("file:")))


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
