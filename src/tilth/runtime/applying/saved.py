"""Saving a plan under the project's key, and doing exactly what a saved one says.

What the file holds and when it does not fit is said by `plan.saved`. A plan is compared with what is there before
anything is opened for writing, and once more under the lock of the apply, where nobody can move the environment.
"""

from __future__ import annotations

from collections.abc import Callable

from tilth.core.errors import SavedPlanError, TamperError
from tilth.core.time import show_instant
from tilth.kinds import KINDS
from tilth.plan import saved
from tilth.plan.actions import Plan
from tilth.plan.saved import Basis, Saved
from tilth.ports.signing import Keys
from tilth.resources.graph import Graph
from tilth.runtime.act import Act
from tilth.runtime.applying import changes
from tilth.runtime.workspace import Workspace


def signed(act: Act, graph: Graph, plan: Plan, release: str) -> str:
    """The text of the file; the project's key is made by it when nothing was signed before."""
    keys = act.work.keys
    keys.ready()
    made = Saved(basis(act.work, graph, release), show_instant(act.now()), act.by.text, plan)
    said = saved.content(made)
    return saved.text(said, keys.sign(saved.payload(said)))


def basis(work: Workspace, graph: Graph, release: str) -> Basis:
    """What a plan is made of here and now, by this release of tilth."""
    return Basis(work.keys.key_id, saved.declared(graph), work.serving, release)


def read(text: str, name: str, keys: Keys | None) -> Saved:
    """The plan in a file's text that these keys signed; `keys` is None where there are none."""
    found = saved.unverified(text, name)
    if keys is None or found.project != keys.key_id:
        raise SavedPlanError(
            f"{name} is a plan of another project: it was signed with the key {found.project[:12]!r}"
            + (", and there is no key here." if keys is None else f", not {keys.key_id[:12]}."),
            hint="Apply it in the folder whose `.tilth` it was made with, or make one here: tilth plan --out FILE",
        )
    try:
        keys.verify(found.payload, found.signature, found.project)
    except TamperError as error:
        raise saved.edited(name) from error
    return saved.saved(found.said, KINDS.actions)


def todo(work: Workspace, graph: Graph, found: Saved) -> Callable[[], Plan]:
    """What gives the saved plan when it is still what there is to do; to be called under the lock."""

    def checked() -> Plan:
        return saved.still(found.plan, changes.planned(work, graph, found.plan.environment))

    return checked
