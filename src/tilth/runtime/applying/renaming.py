"""New names for what is remembered: written down before anything is made under them, and taken back when nothing came of it.

What a handler makes lies under the first name of its resource from then on. Who called it so, and what it was called, stands
in the audit chain; pointers move with all the others, at the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tilth.resources.graph import Graph
from tilth.resources.naming import Called
from tilth.runtime.act import Act
from tilth.runtime.record import names


@contextmanager
def taken(act: Act, graph: Graph) -> Iterator[None]:
    """While names that the graph takes from others lead to their histories; after an error those lead nowhere again."""
    known = names.origins(act.work.state)
    fresh: list[tuple[Called, str]] = [
        ((r.kind, r.name), r.origin) for r in graph if r.origin and known.origin(r.kind, r.name) != r.origin
    ]
    if not fresh:
        yield
        return
    now = act.now()
    with act.change(now) as change:
        names.add(change, fresh, now)
        for (kind, name), origin in fresh:
            change.audit("rename", name, {"kind": kind.value, "history": origin})
    try:
        yield
    except BaseException:
        with act.change(act.now()) as change:
            names.forget(change, [called for called, _ in fresh])
            change.audit("rename", act.environment, {"taken back": [name for (_, name), _ in fresh]})
        raise
