"""Errors that nobody foresaw, as errors of ours: what failed is told and recorded, and the others go on."""

from __future__ import annotations

import os
import traceback

from tilth.core.errors import TilthError

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def known(error: Exception) -> TilthError:
    """The error, or one of ours in its place with what it said and where in our code it came up."""
    if isinstance(error, TilthError):
        return error
    said = str(error).strip().partition("\n")[0]
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(PACKAGE + os.sep)]
    where = (
        f"in {frames[-1].name}, {os.path.relpath(frames[-1].filename, PACKAGE)}:{frames[-1].lineno}"
        if frames
        else ""
    )
    found = TilthError(
        f"{type(error).__name__}: {said}" if said else type(error).__name__,
        hint="tilth did not foresee this: please report it with these lines.",
        detail=(where,) if where else (),
    )
    found.__cause__ = error
    return found
