"""Errors as doors may tell them: no folder of the server's disk is named, and long words of the client's are cut.

What lies in the project is named from there, all else by its last part.
"""

from __future__ import annotations

import re

from tilth.core.errors import InputError, ProjectError, TilthError

LONGEST = 1_000  # characters of an error's text
_PATH = re.compile(r"(?<![\w/.:<>-])/(?:[^\s/:;,'\"`()]+/)+[^\s/:;,'\"`()]*")


def unplaced(text: str, root: str) -> str:
    """The text without where things lie on the disk.

    >>> unplaced("/home/ann/shop/.tilth/token and /usr/lib/x.so are broken", "/home/ann/shop")
    '.tilth/token and x.so are broken'
    """
    if root:
        text = text.replace(root.rstrip("/") + "/", "").replace(root, ".")
    return _PATH.sub(lambda found: found[0].rstrip("/").rpartition("/")[2], text)


def public(error: TilthError, root: str) -> TilthError:
    """The error as it may be told: the client's own words stay (their beginning, where they are long), paths of the server do not."""
    ours = error.http_status >= 500 or not isinstance(error, InputError | ProjectError)
    clean = (
        (lambda text: unplaced(text, root))
        if ours
        else (lambda text: text.replace(root, ".") if root else text)
    )
    error.message, error.detail = _short(clean(error.message)), tuple(_short(clean(d)) for d in error.detail)
    error.hint = None if error.hint is None else _short(clean(error.hint))
    error.where = None if error.where is not None and error.where.file is not None else error.where
    return error


def _short(text: str) -> str:
    """The text, cut where it would give a long name of the client's back to it."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
