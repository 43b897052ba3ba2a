"""A folder of files, written aside and put in place whole. What stands there is replaced only if tilth wrote it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import click

from tilth.core.errors import InputError, StorageError

MARK = ("MLmodel", b"loader_module: tilth.interfaces.mlflow")  # by which an exported folder is known


def free(path: str, *, force: bool) -> None:
    """Return when a folder may be put there."""
    if not os.path.isdir(os.path.dirname(os.path.abspath(path))):
        raise click.BadParameter(f"There is no place for a folder at {path!r}.", param_hint="--output")
    if not os.path.lexists(path):
        return
    if not force:
        raise InputError(
            f"There is something at {path} already.",
            hint="Name another place, or write --force to replace it.",
        )
    if not _ours(path):
        raise InputError(
            f"{path} is no folder that `tilth export` has written: it is not replaced.",
            hint="Name another place.",
        )


def write(files: Mapping[str, bytes], path: str, *, force: bool) -> None:
    """Write all files, by their paths in it."""
    free(path, force=force)
    aside, old = (f"{os.path.abspath(path)}.{what}.{os.getpid()}" for what in ("part", "old"))
    try:
        for name, content in files.items():
            place = Path(aside) / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        free(path, force=force)
        if os.path.lexists(path):
            os.rename(path, old)
        os.rename(aside, path)
    except OSError as error:
        raise StorageError(
            f"{path} could not be written ({error.strerror or error}).",
            hint="Free some space, or name a place that you may write to.",
        ) from error
    finally:
        for left in (aside, old):
            shutil.rmtree(left, ignore_errors=True)


def _ours(path: str) -> bool:
    name, words = MARK
    try:
        return not os.path.islink(path) and words in (Path(path) / name).read_bytes()
    except OSError:
        return False
