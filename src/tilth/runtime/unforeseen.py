"""Errors that nobody foresaw, as errors of ours: what failed is told and recorded, and the others go on."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import tempfile
import traceback

from tilth.core.errors import TilthError

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def reported(error: Exception, doing: str) -> TilthError:
    """The same as `known`, with a file to attach to a report: versions and where it came up, no data and no message."""
    found = known(error)
    if found is error:
        return found
    with contextlib.suppress(OSError):
        number, path = tempfile.mkstemp(prefix="tilth-error-", suffix=".txt")
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(_report(error, doing))
        found.hint = f"tilth did not foresee this: please report it, and attach {path} (versions and places in the code, no data)."
    return found


def _report(error: BaseException, doing: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    rows = [f"command: tilth {doing}", f"python {sys.version.split()[0]} on {platform.platform()}"]
    for package in ("tilth", "duckdb", "pyarrow", "sqlglot", "lightgbm", "scikit-learn"):
        with contextlib.suppress(PackageNotFoundError):
            rows.append(f"{package} {version(package)}")
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        rows += [
            "",
            f"{type(one).__module__}.{type(one).__qualname__} (its message is left out: it may hold data)",
        ]
        frames = traceback.extract_tb(one.__traceback__)
        rows += [f"  {f.filename}:{f.lineno} in {f.name}: {(f.line or '').strip()}" for f in frames]
        one = one.__cause__ or one.__context__
    return "\n".join([*rows, ""])


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
