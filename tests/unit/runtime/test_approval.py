"""PROMOTE MODEL m VERSION n: which versions a person can take, and what is written down."""

from dataclasses import replace
from typing import Any

import pytest
from memories import BY, NOW, gate, manifest, pointed, published, remember, version, workspace

from tilth.core.errors import GateRefusedError, ProjectError, StorageError, TilthError, UnknownNameError
from tilth.kinds import compile as compiled
from tilth.kinds import parse
from tilth.resources.facts import Facts
from tilth.resources.graph import Graph
from tilth.runtime.act import Act
from tilth.runtime.moving.approval import Wish, approve
from tilth.runtime.record import environments, runs, versions
from tilth.runtime.record.runs import Begun, Ended
from tilth.runtime.workspace import Workspace
from tilth.sql.language.statements import Kind

DECLARED = compiled(
    parse(
        "CREATE SOURCE s ENGINE files WITH (path = '.'); CREATE DATASET d AS SELECT * FROM s.t;"
        " CREATE MODEL m PREDICT a FROM d PROMOTE IF manual; CREATE ENDPOINT e FOR MODEL m;"
    ),
    Facts(),
)
RECIPE = DECLARED.get("m").recipe


def prepared(*, data: str = "", model: int | None = 1, **of: Any) -> Workspace:
    """Version 1 serves, version 2 is as the test says; all of what is declared."""
    work = workspace()
    first, second = (
        version(1, recipe=RECIPE),
        version(2, of.pop("status", "held"), recipe=of.pop("recipe", RECIPE), **of),
    )
    remember(work, manifest(1), first, second, gate(2, 1, "inconclusive"))
    known = {p.name: p for p in pointed(model, 1, "" if model else None)}
    known["d"] = replace(known["d"], recipe=data or DECLARED.get("d").recipe)
    if "m" in known:
        known["m"] = replace(known["m"], recipe=RECIPE, text=DECLARED.get("m").text)
    source = [
        replace(
            known["d"],
            kind=Kind.SOURCE,
            name="s",
            recipe=DECLARED.get("s").recipe,
            target=None,
            text=DECLARED.get("s").text,
        )
    ]
    published(work, *source, *(p for p in known.values() if p.target is not None or p.kind is Kind.ENDPOINT))
    return work


def taken(work: Workspace, wish: Wish, graph: Graph = DECLARED) -> int:
    return approve(Act(work, "prod", BY), graph, wish)


def target(work: Workspace, kind: Kind, name: str) -> str | None:
    pointers = environments.pointers_now(work.state, "prod")
    return next((p.target for p in pointers if (p.kind, p.name) == (kind, name)), None)


@pytest.mark.parametrize(
    ("status", "because"),
    [("held", None), ("held", "the shops agreed"), ("refused", "we know better"), ("candidate", None)],
)
def test_a_version_is_taken_by_hand_and_served(status: str, because: str | None) -> None:
    work = prepared(status=status)
    number = taken(work, Wish("m", 2, because))
    assert (number, target(work, Kind.MODEL, "m"), target(work, Kind.ENDPOINT, "e")) == (2, "2", "2")
    assert versions.require(work.state, "m", 2).status == "promoted"
    made = environments.generation(work.state, "prod", 2)
    assert made is not None
    assert made.reason == "m: version 2 taken by hand" + (f": {because}" if because else "")
    assert made.actor == "person:test"
    columns, found = work.state.table("audit")
    (row,) = [r for r in (dict(zip(columns, one, strict=True)) for one in found) if r["verb"] == "approve"]
    assert f'"because":"{because or ""}"' in str(row["detail"])
    assert "as the test says" in str(row["detail"])


@pytest.mark.parametrize(
    ("status", "kind", "name", "stays"),
    [
        ("held", Kind.MODEL, "m", False),
        ("refused", Kind.MODEL, "m", False),
        ("failed", Kind.MODEL, "m", True),
        ("held", Kind.ENDPOINT, "e", False),
        ("refused", Kind.MODEL, "other", True),
    ],
)
def test_what_was_held_of_it_is_over(status: str, kind: Kind, name: str, stays: bool) -> None:
    work = prepared()
    act = Act(work, "prod", BY)
    runs.finish(act, runs.start(act, Begun("TrainModel", kind, name, "new")), Ended(status, 1.0, "as it was"))
    taken(work, Wish("m", 2, "we know better"))
    assert [r.name for r in runs.unsettled(work.state, "prod", 9)] == [name] * stays


def test_a_first_version_that_waits_is_taken() -> None:
    work = prepared(model=None)
    taken(work, Wish("m", 2))
    assert target(work, Kind.MODEL, "m") == "2"


REFUSED: dict[str, tuple[dict[str, Any], Wish, type[TilthError], str]] = {
    "a refused one without a reason": ({"status": "refused"}, Wish("m", 2), GateRefusedError, "was refused by its gate"),
    "one that there is not": ({}, Wish("m", 9), UnknownNameError, "There is no version 9"),
    "of a model that is not declared": ({}, Wish("x", 2), UnknownNameError, "`x`"),
    "the one that serves": ({}, Wish("m", 1), ProjectError, "points at version 1 of `m` already"),
    "one of another declaration": ({"recipe": "1:other"}, Wish("m", 2), ProjectError, "made by another declaration"),
    "one whose bundle is gone": ({"removed_at": NOW}, Wish("m", 2), StorageError, "was removed on 2024-06-01"),
    "one of rows that are not deployed so": ({"data": "1:before"}, Wish("m", 2), ProjectError, "is made from `d`"),
}  # fmt: skip


@pytest.mark.parametrize(("of", "wish", "error", "words"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_taken_is_said_and_nothing_moves(
    of: dict[str, Any], wish: Wish, error: type[TilthError], words: str
) -> None:
    work = prepared(**of)
    if of.get("removed_at") is not None:
        with work.state.change(BY, "2024-06-01T00:00:00.000000Z") as change:
            versions.remove(change, "m", 2, NOW)
            change.audit("record", "test", {})
    with pytest.raises(error, match=words):
        taken(work, wish)
    assert (environments.current_number(work.state, "prod"), target(work, Kind.MODEL, "m")) == (1, "1")
