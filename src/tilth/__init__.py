"""Declare ML models in SQL; tilth keeps the data vetted and the predictions right.

>>> import tilth
>>> project = tilth.open("flights")  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tilth.app.project import Project

__version__ = "0.1.0"


def open(path: str = ".") -> Project:  # noqa: A001  # `tilth.open` is what people expect
    """The project in that folder; see `tilth.app.project.Project`."""
    from tilth.app.project import Project

    return Project(path)
