"""What an apply publishes when something in it failed: what stands together moves together, and what serves goes on."""

import pytest

from tilth.kinds import compile as compiled
from tilth.kinds import parse
from tilth.plan.snapshot import Pointer
from tilth.resources.facts import Facts
from tilth.resources.graph import Graph
from tilth.runtime.applying.settling import Pointers, settled

OPS = "CREATE SOURCE ops ENGINE files WITH (path = '{}');"
D = "CREATE DATASET {} KEY (id) AS SELECT {} FROM {};"
M = "CREATE MODEL {} PREDICT y FROM {} USING (seed = {});"
API = "CREATE ENDPOINT {} FOR MODEL {};"
BEFORE = (
    OPS.format("old"), D.format("d", "*", "ops.t"), D.format("e", "*", "ops.t"), D.format("over", "id, y", "d"),
    M.format("m", "d", 1), M.format("n", "d", 1), M.format("f", "e", 1), API.format("api", "m"),
)  # fmt: skip
NEW_ROWS = D.format("d", "id, x, y", "ops.t")
RENAMED = (
    OPS.format("old"),
    D.format("rows", "*", "ops.t"),
    M.format("m", "rows", 1),
    API.format("api", "m"),
)
SAME = dict(zip(("ops", "d", "e", "over", "m", "n", "f", "api"), BEFORE, strict=True))


def graph(*texts: str) -> Graph:
    return compiled(parse(" ".join(texts)), Facts())


def pointers(wanted: Graph, mark: str, *, without: tuple[str, ...] = ()) -> Pointers:
    return {
        (r.kind, r.name): Pointer(r.kind, r.name, r.recipe, mark, r.text)
        for r in wanted
        if r.name not in without
    }


WAS = graph(*BEFORE)
CASES: dict[str, tuple[tuple[str, ...], tuple[str, ...], set[str], set[str]]] = {
    # what is wanted, what was not made, what is new in the end, what stays and is said
    "nothing failed": ((*BEFORE[:4], *BEFORE[4:]), (), {*SAME}, set()),
    "a model alone: its rows are of the recipe that it knows": (BEFORE, ("m",), {*SAME} - {"m"}, set()),
    "a model of changed rows": (
        tuple(({**SAME, "d": NEW_ROWS}).values()), ("m", "api"), {"ops", "e", "f"}, {"d", "n", "over"},
    ),
    "rows of changed rows": (tuple(({**SAME, "d": NEW_ROWS}).values()), ("over",), {"ops", "e", "f"}, {"d", "m", "n", "api"}),
    "another part goes on": (
        tuple(({**SAME, "d": NEW_ROWS, "e": D.format("e", "id, y", "ops.t")}).values()), ("f",),
        {"ops", "d", "m", "n", "over", "api"}, {"e"},
    ),
    "a source that moved is taken all the same": (
        tuple(({**SAME, "ops": OPS.format("new")}).values()), ("d", "m", "n", "over", "api"), {"ops", "e", "f"}, set(),
    ),
    "what was dropped is still needed": (RENAMED, ("m", "api"), {"ops", "rows"}, {"d"}),
    "a new model that failed hides nothing": (
        (*BEFORE, M.format("g", "d", 2), API.format("g_api", "g")), ("g", "g_api"), {*SAME}, set(),
    ),
    "a new model of rows that stay": (
        (*tuple(({**SAME, "d": NEW_ROWS}).values()), M.format("g", "d", 2)), ("m", "api"), {"ops", "e", "f"}, {"d", "n", "over", "g"},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("wanted", "lost", "new", "said"), CASES.values(), ids=CASES)
def test_what_stands_together_moves_together(
    wanted: tuple[str, ...], lost: tuple[str, ...], new: set[str], said: set[str]
) -> None:
    now = graph(*wanted)
    before = pointers(WAS, "old")
    after = dict(pointers(now, "new", without=lost))
    after |= {k: p for k, p in before.items() if p.name in lost}
    found, notes = settled(before, after, now, lost)
    assert {p.name for p in found.values() if p.target == "new"} == new
    assert {n.name for n in notes} == said
    assert all(n.withheld and ("stays as it was" in n.text or "is not published" in n.text) for n in notes)
    # What is pointed at in the end is a project: each finds what it is made from, in the recipe that it was made of.
    standing = compiled([d for p in found.values() for d in parse(p.text)], Facts())
    assert all(standing.get(p.name).recipe == p.recipe for p in found.values())
