"""Declare ML models in SQL; tilth keeps the data vetted and the predictions right.

>>> import tilth
>>> with tilth.open("flights") as project:  # doctest: +SKIP
...     project.sql("SELECT d.*, m.* FROM departures d JOIN late m").df()

`open` gives a `Project`; `Project.sql` a `Result`, `Project.model` a `Model`. What goes wrong is a `TilthError`, which says
what to do next. The page is docs/python.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tilth.app.project import Project
    from tilth.core.errors import TilthError
    from tilth.ml.model.gaps import GapWarning, OutsideWarning
    from tilth.runtime.asking.model import ExtraWarning, Model
    from tilth.runtime.asking.result import Result

__version__ = "0.1.0"
__all__ = ["ExtraWarning", "GapWarning", "Model", "OutsideWarning", "Project", "Result", "TilthError", "open"]

_WHERE = {
    "ExtraWarning": "tilth.runtime.asking.model",
    "GapWarning": "tilth.ml.model.gaps",
    "Model": "tilth.runtime.asking.model",
    "OutsideWarning": "tilth.ml.model.gaps",
    "Project": "tilth.app.project",
    "Result": "tilth.runtime.asking.result",
    "TilthError": "tilth.core.errors",
}


def open(path: str = ".") -> Project:  # noqa: A001  # `tilth.open` is what people expect
    """The project in that folder; see `tilth.app.project.Project`."""
    from tilth.app.project import Project

    return Project(path)


def __getattr__(name: str) -> Any:
    """The classes, loaded when they are first named: `import tilth` loads no library."""
    from importlib import import_module

    if name not in _WHERE:
        raise AttributeError(f"module 'tilth' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
