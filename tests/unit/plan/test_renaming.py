"""What is planned under new names: the same as under the old ones, and one action more for each new name."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tilth.kinds import KINDS, parse, plan
from tilth.kinds import compile as compiled
from tilth.plan.actions import CollectDataset, DropResource, Redeclare, Rename, TrainModel
from tilth.plan.explain import words
from tilth.plan.snapshot import Cost, Current, Pointer, Signals, SnapshotFacts, VersionFacts
from tilth.resources.facts import Facts
from tilth.resources.graph import Graph
from tilth.resources.naming import Called, Histories
from tilth.sql.language.statements import Kind

NOW = datetime(2013, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
BEFORE = """
CREATE SOURCE ops ENGINE sqlite WITH (path = 'ops.db');
CREATE DATASET departures REFRESH EVERY '1 day' AS SELECT departures.y, departures.x FROM ops.departures;
CREATE DATASET worst AS SELECT departures.x FROM departures;
CREATE MODEL late PREDICT y FROM departures RETRAIN WHEN drift > 0.2;
CREATE ENDPOINT late_api FOR MODEL late OUTCOMES FROM departures (x, y);
CREATE CHANNEL hook WITH (url = SECRET 'env:U', key = SECRET 'env:K') NOTIFY ON (late) FOR MODEL late;
"""
NAMES = {
    "ops": "crm", "departures": "flown", "worst": "last", "late": "delays", "late_api": "delays_api", "hook": "alerts",
}  # fmt: skip
KINDS_OF = {r.name: r.kind for r in compiled(parse(BEFORE), Facts())}


def graph(names: dict[str, str], *, says: bool = True, taken: tuple[tuple[Called, str], ...] = ()) -> Graph:
    """The project under these names, with clauses that say so."""
    declared = []
    for d in parse(BEFORE):
        was = parse(f"CREATE SOURCE s ENGINE sqlite RENAMED FROM {d.name}")[0].renamed_from  # type: ignore[union-attr]
        clause = was if says and d.name in names else None
        declared.append(replace(KINDS.renamed(d, names), renamed_from=clause))  # type: ignore[type-var]
    kept = frozenset((k, n) for n, k in KINDS_OF.items())
    return compiled(declared, Facts(histories=Histories(taken, kept)))


def settled(made: Graph, taken: tuple[tuple[Called, str], ...] = ()) -> Current:
    """Where the graph stands as declared, remembered under the names of before."""
    targets = {Kind.DATASET: "s1", Kind.MODEL: "1", Kind.ENDPOINT: "1"}
    return Current(
        "prod",
        3,
        tuple(Pointer(r.kind, r.name, r.recipe, targets.get(r.kind), r.text) for r in made),
        tuple(SnapshotFacts(r.recipe, "s1", NOW, NOW, 10) for r in made.of_kind(Kind.DATASET)),
        tuple(
            VersionFacts(r.remembered, 1, r.recipe, "s1", "promoted", NOW - 20 * DAY)
            for r in made.of_kind(Kind.MODEL)
        ),
        costs=(Cost("TrainModel", "late", 7.0), Cost("CollectDataset", "departures", 3.0)),
        histories=Histories(taken),
    )


TAKEN = tuple(((KINDS_OF[old], new), old) for old, new in NAMES.items())
OLD = graph({})
NEW = graph(NAMES)
THERE = settled(OLD)


def renames(names: dict[str, str]) -> list[Rename]:
    made = graph(names)
    back = {new: old for old, new in names.items()}
    return [
        Rename(r.kind, r.name, r.recipe, back[r.name], f"the history of {back[r.name]} goes along")
        for r in made
        if r.name in back
    ]


@pytest.mark.parametrize("name", NAMES)
def test_one_new_name_is_one_action_and_no_other(name: str) -> None:
    names = {name: NAMES[name]}
    assert list(plan(graph(names), THERE, NOW).actions) == renames(names)


def test_all_new_names_are_an_action_each() -> None:
    found = plan(NEW, THERE, NOW)
    assert list(found.actions) == renames(NAMES)
    assert "~ model delays: renamed from late (the history of late goes along)" in words(found).splitlines()
    assert "send them to `delays_api`" in words(found)


SAME = {
    "the clause stays": (graph(NAMES, taken=TAKEN), settled(NEW, TAKEN)),
    "the clause is taken out": (graph(NAMES, says=False, taken=TAKEN), settled(NEW, TAKEN)),
    "rolled back, and the files are of then too": (graph({}, taken=TAKEN), settled(OLD, TAKEN)),
}


@pytest.mark.parametrize(("wanted", "there"), SAME.values(), ids=SAME)
def test_what_was_applied_asks_for_nothing(wanted: Graph, there: Current) -> None:
    assert plan(wanted, there, NOW) == plan(OLD, THERE, NOW)


AGAIN = {
    "rolled back, with the clause": (graph(NAMES, taken=TAKEN), settled(OLD, TAKEN)),
    "rolled back, without the clause": (graph(NAMES, says=False, taken=TAKEN), settled(OLD, TAKEN)),
}


@pytest.mark.parametrize(("wanted", "there"), AGAIN.values(), ids=AGAIN)
def test_after_a_rollback_it_is_renamed_again(wanted: Graph, there: Current) -> None:
    assert list(plan(wanted, there, NOW).actions) == renames(NAMES)


def test_the_old_name_again_is_a_new_name() -> None:
    found = plan(graph({}, taken=TAKEN), settled(NEW, TAKEN), NOW)
    assert [(type(a), a.name, getattr(a, "was", None)) for a in found.actions] == [
        (Rename, r.name, NAMES[r.name]) for r in OLD
    ]


def due(current: Current) -> Current:
    drifted = tuple(Signals(NOW - n * DAY, drift=0.9) for n in (3, 2, 1))
    return replace(current, signals=(("late", drifted),))


def test_what_is_due_is_done_under_the_new_name_with_what_is_known_of_the_old() -> None:
    found = plan(NEW, due(THERE), NOW + 2 * DAY)
    did = [a for a in found.actions if not isinstance(a, Rename)]
    assert [(type(a), a.name, a.estimate.seconds) for a in did] == [
        (CollectDataset, "flown", 3.0),
        (TrainModel, "delays", 7.0),
    ]
    assert did[0].parent == "s1"  # type: ignore[attr-defined]
    assert did[1].champion == 1  # type: ignore[attr-defined]


def test_a_changed_definition_says_only_what_changed() -> None:
    text = "\n".join(r.text for r in NEW).replace("drift > 0.2", "drift > 0.3")
    wanted = compiled(parse(text), Facts(histories=Histories(TAKEN)))
    found = [a for a in plan(wanted, THERE, NOW).actions if a.name == "delays"]
    assert [(type(a), a.reason) for a in found] == [
        (Rename, "the history of late goes along"),
        (Redeclare, "changed: RETRAIN WHEN drift > 0.3"),
    ]


def test_without_a_history_the_clause_is_a_note() -> None:
    made = [replace(d, renamed_from=None) for d in parse(BEFORE)]  # type: ignore[type-var]
    declared: list[Any] = [
        parse(KINDS.show(d)[:-1] + " RENAMED FROM gone;")[0] if d.name == "late" else d for d in made
    ]
    found = plan(compiled(declared, Facts()), Current.empty(), NOW)
    assert [(n.name, n.text) for n in found.notes] == [
        ("late", "nothing is remembered of a model `gone`: it is new")
    ]
    assert not found.of(Rename, DropResource)
    assert plan(compiled(declared, Facts()), THERE, NOW).notes == ()


def test_names_alone_change_no_index_of_what_is() -> None:
    assert KINDS.called(OLD, THERE) is THERE
    called = KINDS.called(NEW, THERE)
    assert {p.name for p in called.pointers} == {*NAMES.values()}
    assert [p.text for p in called.pointers] == [NEW.get(p.name).text for p in called.pointers]
    assert called.versions_of("delays", NEW.get("delays").recipe) != ()
