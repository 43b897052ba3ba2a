"""What a page is made from, and what it is: one look at the project by somebody, and a template with its values.

To add a page: a row in `places.PLACES`, a function `(Looking) -> Page` in `pages.PAGES`, a template that extends `layout.html`, and a read
model in `runtime.showing` that gives its facts as of one moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tilth.app.project import Project
from tilth.core.errors import InputError
from tilth.core.principals import Role
from tilth.core.time import Instant
from tilth.interfaces.console import places
from tilth.interfaces.console.kept import Kept
from tilth.plan.rights import RIGHTS, Right
from tilth.resources.graph import Graph
from tilth.runtime.workspace import Workspace

MOST = 2**53  # of numbers in a URL


@dataclass(frozen=True, slots=True)
class Looking:
    """One look. `parameters` are the names in the path, `query` what follows `?`, both as text and not yet looked up."""

    project: Project
    environment: str
    role: Role
    kept: Kept  # what never changes once it was made, by what it is of
    place: str = "/"
    parameters: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    served: Mapping[str, Any] = field(default_factory=dict)  # what the server alone knows; see `http.console`
    once: list[Graph] = field(default_factory=list, repr=False, compare=False)

    @property
    def work(self) -> Workspace:
        return self.project.looked()

    @property
    def graph(self) -> Graph:
        """What is deployed in the environment, as of the first time it is asked for."""
        if not self.once:
            self.once.append(self.project.deployed(self.environment))
        return self.once[0]

    @property
    def now(self) -> Instant:
        return self.project.clock.now()

    def may(self, right: Right) -> bool:
        """Whether who looks has the right."""
        return right in RIGHTS[self.role]

    def whole(self, name: str, default: int | None = None) -> int:
        """The number of that name in the path or the query; InputError for what is none."""
        said = self.parameters.get(name) or self.query.get(name) or ""
        if not said and default is not None:
            return default
        if not (said.isascii() and said.isdecimal() and len(said) < 17) or int(said) > MOST:
            raise InputError(f"{said[:40]!r} is not a number for `{name}`.", hint="Write a whole number.")
        return int(said)

    def url(self, *parts: object, **query: object) -> str:
        """The URL of a place in the environment that is looked at."""
        other = None if self.environment == self.project.settings.serving else self.environment
        return places.url(*parts, **{places.ENVIRONMENT: other, **query})


@dataclass(frozen=True, slots=True)
class Page:
    """What stands at a place. `query` is the SELECT over `tilth.*` that gives its facts; `trail` leads to it from the overview."""

    title: str
    template: str
    values: Mapping[str, Any]
    query: str
    trail: tuple[tuple[str, str], ...] = ()  # words and URL
    status: int = 200
