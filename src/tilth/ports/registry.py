"""Finds extensions by entry point: sources, learners, stores ..., ours and strangers' through the same door.

A plugin is imported when it is first asked for. A broken one is reported by its name and its package and does not
stand in the way of the others. What a plugin must offer is said by the port it implements, not here.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, distributions
from typing import Any

from tilth.core.errors import MissingExtraError, UnknownNameError
from tilth.core.names import did_you_mean

GROUPS = {
    "tilth.sources": "source engine",
    "tilth.learners": "learning engine",
    "tilth.scorers": "model format",
    "tilth.tasks": "task of a job",
    "tilth.jobs": "runner of jobs",
    "tilth.blobs": "store of content",
    "tilth.state": "kind of state",
}
PARTS = "tilth.parts"
"""Of what is here there is one each, which no setting chooses: a way to hand it on without an import, no extension point."""


def names(group: str) -> tuple[str, ...]:
    """The names that are installed in the group, sorted; nothing is imported."""
    return tuple(sorted(_found(group)))


def chosen(group: str, setting: str, address: str) -> Any:
    """What a setting of `tilth.toml` names: `postgresql://host/db` is an address of the kind `postgresql`.

    Raises UnknownNameError with the nearest name; an address may hold a secret and is not told.
    """
    name = address.partition("://")[0]
    if name not in _found(group):
        raise UnknownNameError(
            f"tilth.toml: `{setting}`: {name[:80]!r} is not known.",
            hint=did_you_mean(name[:80], _found(group), "known"),
        )
    return load(group, name)


def package(group: str, name: str) -> str:
    """The package that offers it."""
    point = _found(group).get(name)
    return point.dist.name if point is not None and point.dist is not None else "an unknown package"


@cache
def load(group: str, name: str) -> Any:
    """What the entry point `name` of the group stands for (a class).

    Raises UnknownNameError with the nearest name, or MissingExtraError that names the plugin and its package when
    it is installed and does not import.
    """
    point = _found(group).get(name)
    if point is None:
        what = GROUPS.get(group, group)
        raise UnknownNameError(
            f"There is no {what} `{name}`.", hint=did_you_mean(name, _found(group), f"{what}s")
        )
    try:
        return point.load()
    except Exception as error:
        whose = package(group, name)
        raise MissingExtraError(
            f"The {GROUPS.get(group, group)} `{name}` of the package {whose} does not load: "
            f"{type(error).__name__}: {error}",
            hint=f"Install what it needs, or reinstall it: pip install --force-reinstall {whose}",
        ) from error


def _found(group: str) -> dict[str, EntryPoint]:
    return _all().get(group, {})


@cache
def _all() -> dict[str, dict[str, EntryPoint]]:
    """All that is offered, by group and name: looked for once in every package. What comes first on the path counts."""
    out: dict[str, dict[str, EntryPoint]] = {}
    for package in distributions():
        if "[tilth." not in (package.read_text("entry_points.txt") or ""):
            continue  # to take them apart takes ten times as long
        for point in package.entry_points:
            if point.group.startswith("tilth."):
                out.setdefault(point.group, {}).setdefault(point.name, point)
    return out
