"""What the text of a project cannot say and its compiler is told, as it is found on this machine."""

from __future__ import annotations

import os

from tilth.ml.learning import proposing
from tilth.ports import registry
from tilth.ports.learning import engines
from tilth.resources.facts import Facts
from tilth.runtime.project.estimators import FOLDER, hashes
from tilth.runtime.project.recipe_1 import hashes_1


def facts(root: str) -> Facts:
    """What engines say of themselves, sources that are installed, hashes of own estimators; no library is imported."""
    folder = os.path.join(root, FOLDER)
    return Facts(engines(), hashes(folder), registry.names("tilth.sources"), hashes_1(folder), _lacking())


def without_own_code() -> Facts:
    """The same of a project whose own code cannot be read."""
    return Facts(engines(), {}, registry.names("tilth.sources"), {}, _lacking())


def _lacking() -> dict[str, tuple[str, str]]:
    """Options of USING whose package is not here."""
    found = proposing.lacking()
    return {} if found is None else {"search": found}
