"""What a shell completes besides commands and options: names, versions, environments, templates, folders.

Nothing is written and nothing is said: where a project cannot be read there is nothing to complete.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from tilth.app.project import Project

Complete = Callable[[click.Context, click.Parameter, str], "list[CompletionItem]"]


def _of(found: Callable[[Project, str | None, str], Iterable[str]]) -> Complete:
    """A completer of what is found in the project of the command line so far."""

    def complete(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
        del parameter
        from tilth.app.project import Project
        from tilth.interfaces.cli.folders import folder_of

        try:
            project = Project(folder_of(context.params.get("project") or ".", tell=False))
            words = sorted(set(found(project, context.params.get("environment"), begun)))
        except Exception:
            return []
        return [CompletionItem(w) for w in words if w.startswith(begun)]

    return complete


def _named(*kinds: str) -> Callable[[Project, str | None, str], Iterable[str]]:
    def names(project: Project, environment: str | None, begun: str) -> Iterable[str]:
        del begun
        for graph in (project.deployed(environment), project.graph()):
            yield from (r.name for r in graph if not kinds or r.kind.value in kinds)

    return names


def _versions(project: Project, environment: str | None, begun: str) -> Iterable[str]:
    """`late@3` of every version that has a bundle."""
    del environment, begun
    from tilth.runtime.record import versions

    if not project.applied:
        return ()
    return (f"{v.model}@{v.version}" for v in versions.all_of(project.state()) if v.removed_at is None)


def _models(project: Project, environment: str | None, begun: str) -> Iterable[str]:
    yield from _named("model")(project, environment, begun)
    if "@" in begun:
        yield from _versions(project, environment, begun)


def _environments(project: Project, environment: str | None, begun: str) -> Iterable[str]:
    del environment, begun
    from tilth.runtime.record import environments

    known = environments.names(project.state()) if project.applied else ()
    return {*known, project.settings.environment, project.settings.serving}


RESOURCES = _of(_named())
MODELS = _of(_models)
SERVED = _of(_named("model", "endpoint"))
VERSIONS = _of(_versions)
ENVIRONMENTS = _of(_environments)


def templates(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """The templates of `tilth init`."""
    del context, parameter
    from tilth.interfaces.demo.templates import templates as known

    return [CompletionItem(name) for name in known() if name.startswith(begun)]


def folders(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Folders, by the shell itself."""
    del context, parameter
    return [CompletionItem(begun, type="dir")]


def files(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Files, by the shell itself."""
    del context, parameter
    return [CompletionItem(begun, type="file")]
