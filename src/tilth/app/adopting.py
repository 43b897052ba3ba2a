"""What was declared at a prompt, or asked by PREDICT, written into the project's files: `tilth adopt`.

A resource that is deployed and not in the files would be dropped by the next APPLY; adopted, it is declared like the rest. What it
needs and the files lack is adopted with it. A model that was asked by PREDICT gets the name that it is adopted by, and takes along what
was trained by RENAMED FROM. The file is written whole or not at all, and read again before it stays.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilth.app import adopting_firsts
from tilth.core.errors import InputError, ProjectError, TilthError, UnknownNameError
from tilth.core.names import did_you_mean
from tilth.resources.graph import Graph
from tilth.resources.kinds import Resource

if TYPE_CHECKING:
    from tilth.app.project import Project

FILE = "adopted.sql"


@dataclass(frozen=True, slots=True)
class Adopted:
    """What was written, by name and in its order, and where; what the files declared already."""

    names: tuple[str, ...]
    file: str
    already: tuple[str, ...] = ()


def adopt(
    project: Project,
    names: Sequence[str] = (),
    file: str = FILE,
    environment: str | None = None,
    *,
    asked: str | None = None,
) -> Adopted:
    """Write declarations of deployed resources, by default of all that the files lack, to the end of a file of the project.

    A name that is not deployed is given to what was asked by PREDICT: to the one that there is, or to `asked`, by its name in
    `tilth.versions`. UnknownNameError where there is none; ProjectError for what the files declare otherwise.
    """
    deployed, declared = project.deployed(environment), _declared(project)
    if asked is not None or (len(names) == 1 and names[0].lower() not in {r.name for r in deployed}):
        first = adopting_firsts.chosen(project, names, asked, environment or project.settings.environment)
        if first is not None:
            return _first(project, first, deployed, declared, file)
    wanted = list(names) or [r.name for r in deployed if r.name not in declared]
    chosen: list[Resource] = []
    already: list[str] = []
    for name in wanted:
        for one in _with_needs(deployed, name, environment or project.settings.environment):
            found = declared.find(one.name)
            if found is None:
                chosen += [one] if one not in chosen else []
            elif one.name == name.lower():
                already.append(_same(one, found))
    if chosen:
        ordered = [r for r in deployed if r in chosen]
        write(project, os.path.join(project.root, place(project, file)), [r.text for r in ordered])
        chosen = ordered
    return Adopted(tuple(r.name for r in chosen), file, tuple(already))


def _first(
    project: Project, found: adopting_firsts.Chosen, deployed: Graph, declared: Graph, file: str
) -> Adopted:
    """Write what was asked by PREDICT, with what it needs and the files lack."""
    known = {r.name for r in deployed} | {r.name for r in declared}
    made = adopting_firsts.declarations(found, deployed, known)
    needs = [r for r in deployed if r.name in made.needs and declared.find(r.name) is None]
    write(project, os.path.join(project.root, place(project, file)), [*(r.text for r in needs), *made.texts])
    return Adopted((*(r.name for r in needs), *made.names), file)


def _declared(project: Project) -> Graph:
    """What the files declare; nothing where there is no file that declares."""
    from tilth.runtime.project.loader import paths

    return project.graph() if any(paths(project.root)) else Graph.of()


def _with_needs(deployed: Graph, name: str, environment: str) -> tuple[Resource, ...]:
    """The resource and all that it needs, those first."""
    found = deployed.find(name.lower())
    if found is None:
        known = [r.name for r in deployed]
        raise UnknownNameError(
            f"There is no `{name}` deployed in `{environment}`.", hint=did_you_mean(name, known, "deployed")
        )
    return (*deployed.upstream(found.name), found)


def _same(one: Resource, declared: Resource) -> str:
    if one.text != declared.text:
        place = declared.declaration.position
        where = f" in {place.file}" if place is not None and place.file else ""
        raise ProjectError(
            f"`{one.name}` is declared{where} otherwise than it is deployed.",
            hint="`tilth plan` says how they differ. Remove it there first, or APPLY what the files say.",
            where=place,
        )
    return one.name


def place(project: Project, file: str) -> str:
    """The file's path from the project, once it is one that may declare."""
    path = os.path.normpath(file)
    inside = not os.path.isabs(path) and path.split(os.sep)[0] not in ("..", ".tilth", "tests", "estimators")
    if not inside or not path.endswith(".sql"):
        raise InputError(
            f"{file} is no file that declares: it lies in the project, and ends in .sql.",
            hint=f"Write --file {FILE}, or a path below {project.root}.",
        )
    return path


def write(project: Project, path: str, texts: Sequence[str]) -> None:
    """Add them to the file, and take that back where the project's files do not fit together then."""
    from tilth.adapters.files import durable
    from tilth.ports import places
    from tilth.runtime.project.loader import LIMIT

    before = places.read_text(path, project.root, LIMIT) if os.path.exists(path) else None
    added = "\n\n".join(f"{text.rstrip().rstrip(';')};" for text in texts)
    text = f"{before.rstrip()}\n\n{added}\n" if before and before.strip() else f"{added}\n"
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        durable.write_whole(path, text.encode(), 0o644)
    except OSError as error:
        raise durable.refused(f"{path} cannot be written", project.root, error) from error
    try:
        project.graph()
    except TilthError:
        if before is None:
            os.unlink(path)
        else:
            durable.write_whole(path, before.encode(), 0o644)
        raise
