"""Plans in files, for people who look at what is to be done before it is: `tilth plan --out` and `tilth apply FILE`.

What the file says and when it is refused is in `plan.saved`; here is the file itself, and the project that it is for.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilth import __version__
from tilth.adapters.files import durable, own
from tilth.core.errors import SavedPlanError, StorageError, TilthError
from tilth.core.sizes import show_size
from tilth.plan.saved import MOST_BYTES, Saved, require, unverified
from tilth.ports import places
from tilth.ports.progress import Progress, Silent
from tilth.runtime.act import Act
from tilth.runtime.applying import executor, saved
from tilth.runtime.moving.publishing import check_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from tilth.app.project import Project
    from tilth.plan.actions import Plan
    from tilth.runtime.applying.executor import Applied, Did


@dataclass(frozen=True, slots=True)
class SavedAs:
    """A plan that was saved. `began`: the project had no `.tilth`, and has one now, with the key that the plan is signed with."""

    plan: Plan
    began: bool


def save(project: Project, path: str, environment: str | None = None) -> SavedAs:
    """Plan, and write the plan into the file: signed, whole or not at all. An earlier plan there is replaced, nothing else is."""
    _check_place(path)
    graph, name = project.graph(), environment or project.settings.environment
    check_name(name)
    found, began = project.planned(graph, name), not project.applied
    text = saved.signed(Act(project.work(), name, project.by), graph, found, __version__)
    if len(text.encode()) > MOST_BYTES:
        raise SavedPlanError(
            f"The plan is longer than {show_size(MOST_BYTES)}, and no longer one would be read.",
            hint="Apply it without a file: tilth apply",
        )
    try:
        durable.write_whole(os.path.abspath(path), text.encode(), 0o644)
    except OSError as error:
        raise durable.refused(f"{path} cannot be written", os.path.dirname(path) or ".", error) from error
    return SavedAs(found, began)


def read(project: Project, path: str, environment: str | None = None) -> Saved:
    """The plan in a file, found to be this project's and of what its files declare now. Writes nothing."""
    text = _text(path)
    signs = project.applied and own.holds_something(os.path.join(project.home, "keys"))
    keys = project.keys() if signs else None
    found = saved.read(text, path, keys)
    require(found, saved.basis(project.work(), project.graph(), __version__), environment)
    return found


def apply(
    project: Project,
    found: Saved,
    progress: Progress | None = None,
    tell: Callable[[Did], None] | None = None,
    *,
    all_or_nothing: bool = False,
    allow_drop: bool | Collection[str] = False,
    strict: bool = True,
) -> Applied:
    """Do exactly what a plan says, as `Project.apply` does what the files say; SavedPlanError, and nothing is changed, when
    the environment has moved since or something in the plan is no longer to be done.
    """
    project.room()
    graph = project.graph()
    require(found, saved.basis(project.work(), graph, __version__), None)
    act = Act(project.work(), found.plan.environment, project.by, progress or Silent())
    done = executor.apply(
        act,
        graph,
        plan=saved.todo(project.work(), graph, found),
        go_on=not all_or_nothing,
        allow_drop=allow_drop,
        tell=tell,
    )
    return done.whole() if strict else done


def _text(path: str) -> str:
    """The text of a file that somebody named; errors that say what stands there instead."""
    if not os.path.lexists(path):
        raise StorageError(f"There is no file {path}.", hint="Make one: tilth plan --out FILE")
    folder = os.path.dirname(os.path.realpath(path))
    if os.path.isfile(path) and os.path.getsize(path) > MOST_BYTES:
        raise SavedPlanError(
            f"{path} is longer than {show_size(MOST_BYTES)}: it is not a plan that tilth saved.",
            hint="Name the file that tilth plan --out wrote.",
        )
    return places.read_text(path, folder, MOST_BYTES, shown=path)


def _check_place(path: str) -> None:
    """StorageError where no plan can be written, before anything is planned."""
    folder = os.path.dirname(path) or "."
    if os.path.isdir(path) or not os.path.isdir(folder):
        raise StorageError(
            f"There is no place for a file at {path}.", hint="Name a file in a folder that there is."
        )
    if os.path.lexists(path) and not _is_plan(path):
        raise StorageError(
            f"{path} is there already, and is no plan.", hint="Name another file, or remove it."
        )


def _is_plan(path: str) -> bool:
    try:
        unverified(_text(path), path)
    except TilthError:
        return False
    return True
