"""What is remembered of a thing is found by each name that it had, and is written where it began, whatever is said."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from memories import BY, DAY, NOW, gate, manifest, remember, version, workspace

from tilth.adapters.state.sqlite.state import memory, queries
from tilth.core.time import show_instant
from tilth.ml.watching.monitoring import Look
from tilth.plan.snapshot import Pointer
from tilth.runtime.moving.publishing import Move, publish, rollback
from tilth.runtime.record import (
    endpoints,
    environments,
    evidence,
    looks,
    messages,
    names,
    notices,
    refreshes,
    runs,
    snapshots,
    tables,
    tallies,
    versions,
    writes,
)
from tilth.runtime.record.current import current
from tilth.runtime.record.endpoints import Revision
from tilth.runtime.record.messages import Message
from tilth.runtime.record.notices import Told
from tilth.runtime.record.refreshes import Quarantined, Refresh
from tilth.runtime.record.rows import Change, Reader
from tilth.runtime.workspace import Workspace
from tilth.sql.language.statements import Kind

S, D, M, E, C = Kind.SOURCE, Kind.DATASET, Kind.MODEL, Kind.ENDPOINT, Kind.CHANNEL
FIRST = {S: "s", D: "d", M: "m", E: "e", C: "c"}
LATER = {S: "s2", D: "d2", M: "m2", E: "e2", C: "c2"}
HOOK = "WITH (url = SECRET 'env:U', key = SECRET 'env:K') NOTIFY ON (late)"
TELLS = Revision("prod", "", 1, "", 1, None, "full", "{}", "new", NOW)


def pointers(called: dict[Kind, str]) -> tuple[Pointer, ...]:
    return (
        Pointer(S, called[S], "1:s", None, f"CREATE SOURCE {called[S]} ENGINE sqlite"),
        Pointer(D, called[D], "1:d", manifest(1).id, f"CREATE DATASET {called[D]} AS SELECT 1"),
        Pointer(M, called[M], "1:m", "1", f"CREATE MODEL {called[M]} PREDICT a FROM {called[D]}"),
        Pointer(E, called[E], "1:e", "1", f"CREATE ENDPOINT {called[E]} FOR MODEL {called[M]}"),
        Pointer(C, called[C], "1:c", None, f"CREATE CHANNEL {called[C]} {HOOK}"),
    )


def write(change: Change, called: dict[Kind, str], n: int) -> None:
    """One row of each kind of history, under these names."""
    m, d = called[M], called[D]
    versions.add(change, replace(version(n), model=m))
    evidence.add(change, replace(gate(n, 1 if n > 1 else None, lower=0.1), model=m), b"s", "id")
    versions.set_status(change, m, n, "promoted")
    looks.add(change, "prod", Look(m, n, show_instant(NOW + n * DAY), (), 0.1 * n, None, "mae", None, 0, 0))
    number = refreshes.add(change, Refresh(d, "1:d", "published", NOW, {}, manifest(1).id), ())
    refreshes.hold(change, Quarantined(number, d, "same rows", 3, 3, NOW))
    notices.put(change, "model", m, str(n), [Told("odd", f"of {n}")], NOW)
    messages.add(change, "prod", Message(n, called[C], "late", d, "{}", NOW, 0, 0.0))
    messages.mark(change, "prod", called[C], "runs", n)
    messages.mark(change, "prod", called[C], f"late:{d}", n)
    number = endpoints.next_number(change, "prod", called[E])
    endpoints.add(change, replace(TELLS, endpoint=called[E], model=m, revision=number, version=n))
    write_number = writes.begin(change, "prod", (called[S], "t"), "create", (), NOW)
    writes.add_model(change, write_number, writes.Used(m, n, 3, 3))
    writes.end(change, write_number, "done" if n == 1 else "unsure", NOW)
    change.audit("record", "test", {})


@pytest.fixture
def work() -> Workspace:
    """Where everything was called by its first name, and is called by a later one now."""
    made = workspace()
    remember(made, manifest(1))
    with made.state.change(BY, show_instant(NOW)) as change:
        write(change, FIRST, 1)
    publish(made.state, Move("prod", 0, "first", NOW), pointers(FIRST), BY)
    with made.state.change(BY, show_instant(NOW)) as change:
        names.add(change, [((kind, LATER[kind]), FIRST[kind]) for kind in FIRST], NOW)
        change.audit("rename", "all", {})
        write(change, LATER, 2)
    publish(made.state, Move("prod", 1, "later", NOW), pointers(LATER), BY)
    return made


ASKED: dict[str, tuple[Callable[[Reader, str], Any], Kind, Any]] = {
    "a version": (lambda r, n: versions.require(r, n, 1).model, M, None),
    "its bundle's name": (lambda r, n: versions.require(r, n, 2).origin, M, "m"),
    "the next version": (versions.next_number, M, 3),
    "versions of a snapshot": (
        lambda r, n: [v.version for v in versions.judged(r, n, {"1:m"}, version(1).snapshot)], M, [1],
    ),
    "gates": (lambda r, n: [(g.model, g.candidate) for g in evidence.gates_of(r, n)], M, "both"),
    "the gate of a version": (lambda r, n: evidence.last(r, n, 1).model, M, None),  # type: ignore[union-attr]
    "what was looked at": (lambda r, n: len(evidence.looked_at(r, n)), M, 1),
    "looks": (lambda r, n: [one.version for one in looks.newest(r, "prod", n, 9)], M, [2, 1]),
    "notices": (lambda r, n: [t.text for v in "12" for t in notices.of(r, "model", n, v)], M, ["of 1", "of 2"]),
    "a revision": (lambda r, n: endpoints.get(r, "prod", n, 1).version, E, 1),  # type: ignore[union-attr]
    "the next revision": (lambda r, n: endpoints.next_number(r, "prod", n), E, 4),
    "a table that was made": (lambda r, n: writes.made(r, n, "t"), S, True),
    "a definition": (lambda r, n: environments.definition_of(r, M, n, "1:m"), M, "its own"),
}  # fmt: skip


@pytest.mark.parametrize(("ask", "kind", "expected"), ASKED.values(), ids=ASKED)
def test_each_name_finds_the_same(work: Workspace, ask: Any, kind: Kind, expected: Any) -> None:
    for name in (FIRST[kind], LATER[kind]):
        wanted = {
            None: name,
            "both": [(name, 2), (name, 1)],
            "its own": f"CREATE MODEL {name} PREDICT a FROM {'d' if name == 'm' else 'd2'}",
        }.get(expected if not isinstance(expected, list) else "", expected)
        assert ask(work.state, name) == wanted


def of_now(work: Workspace) -> dict[str, Any]:
    """All that names a resource, of the environment."""
    r = work.state
    now = current(r, "prod")
    return {
        S: {*(one.source for one in writes.last(r)), *(one.place[:-2] for one in writes.ill(r, "prod", 9)),
            *(source for source, _ in writes.writers(r))},
        D: {
            *(q.dataset for q in refreshes.quarantine(r)), *snapshots.current(r, "prod"),
            *(s.dataset for s in snapshots.current(r, "prod").values()), *(t.name for t in tallies.of_refreshes(r)),
            *(s.dataset for s in snapshots.all_of(r)), *(one.dataset for one in refreshes.recent(r, "1:d", 9)),
            *(what[5:] for what in next(iter(messages.marks(r, "prod").values())) if what.startswith("late:")),
        },
        M: {
            *versions.current(r, "prod"), *looks.last(r, "prod"), *evidence.newest(r, "prod"),
            *(v.model for v in (*versions.all_of(r), *versions.last(r, "prod", 9))),
            *(model for model, _ in writes.batches(r, "prod")), *(m.split("@")[0] for w in writes.last(r) for m in w.models),
            *(m for found in writes.writers(r).values() for m in found),
            *(name for kind, name in notices.current(r, "prod") if kind == "model"),
            *(one.model for one in endpoints.current(r, "prod").values()), *(t.name for t in tallies.of_gates(r, "prod")),
        },
        E: {*endpoints.current(r, "prod")},
        C: {*messages.marks(r, "prod"), *(one.channel for one in messages.waiting(r, "prod", 9))},
        "plan": {v.model for v in now.versions} | {m for m, _ in now.signals},
    }  # fmt: skip


def test_an_environment_says_its_own_names_and_after_a_rollback_the_old_ones(work: Workspace) -> None:
    assert of_now(work) == {**{k: {n} for k, n in LATER.items()}, "plan": {"m"}}
    assert len(refreshes.quarantine(work.state)) == 1
    assert messages.marks(work.state, "prod") == {"c2": {"runs": 2, "late:d2": 2}}
    rollback(work.state, "prod", None, BY, NOW)
    assert of_now(work) == {**{k: {n} for k, n in FIRST.items()}, "plan": {"m"}}
    assert messages.marks(work.state, "prod") == {"c": {"runs": 2, "late:d": 2}}


COLUMNS = {
    "versions": (M, "model"), "gates": (M, "model"), "quality": (M, "model"), "snapshots": (D, "dataset"),
    "refreshes": (D, "dataset"), "quarantine": (D, "dataset"), "revisions": (E, "endpoint"), "messages": (C, "channel"),
    "channel_marks": (C, "channel"), "writes": (S, "source"), "write_models": (M, "model"), "notices": (M, "name"),
}  # fmt: skip


@pytest.mark.parametrize("table", COLUMNS)
def test_tables_say_the_name_of_now(work: Workspace, table: str) -> None:
    kind, column = COLUMNS[table]
    assert {r[column] for r in tables.rows(work.state, table)} == {LATER[kind]}


def test_tables_say_the_name_of_where_models_serve(work: Workspace) -> None:
    publish(work.state, Move("dev", 0, "old", NOW), pointers(FIRST), BY)
    for serving, name in (("prod", "m2"), ("dev", "m"), ("none", "m")):
        assert {r["model"] for r in tables.rows(work.state, "versions", serving)} == {name}
        assert {r["model"] for r in tables.rows(work.state, "quality", serving)} == {"m2"}  # it is prod's


def test_another_environment_keeps_its_name(work: Workspace) -> None:
    publish(work.state, Move("dev", 0, "old", NOW), pointers(FIRST), BY)
    assert {v.model for v in versions.last(work.state, "dev", 9)} == {"m"}
    assert set(versions.current(work.state, "dev")) == {"m"}
    assert set(versions.current(work.state, "prod")) == {"m2"}
    assert environments.targets(work.state, M) == {("m", "1")}


def test_a_run_that_failed_under_the_old_name_is_told_under_the_new_one(work: Workspace) -> None:
    with work.state.change(BY, show_instant(NOW)) as change:
        number = runs.begin(change, "prod", runs.Begun("TrainModel", M, "m", "due"), NOW)
        runs.end(change, number, runs.Ended("failed", 1.0, "no"), NOW)
        again = runs.begin(change, "prod", runs.Begun("Rename", M, "m2", "renamed"), NOW)
        runs.end(change, again, runs.Ended("done", 0.0), NOW)
        change.audit("run", "m", {})
    (one,) = runs.unsettled(work.state, "prod", 9)
    assert (one.name, one.origin, one.status) == ("m2", "m", "failed")
    with work.state.change(BY, show_instant(NOW)) as change:
        number = runs.begin(change, "prod", runs.Begun("TrainModel", M, "m2", "due"), NOW)
        runs.end(change, number, runs.Ended("done", 3.0), NOW)
        change.audit("run", "m2", {})
    assert runs.unsettled(work.state, "prod", 9) == ()
    assert [(c.name, c.seconds) for c in current(work.state, "prod").costs if c.action == "TrainModel"] == [
        ("m", 3.0)
    ]


def test_what_no_generation_holds_is_unused(work: Workspace) -> None:
    with work.state.change(BY, show_instant(NOW)) as change:
        names.add(change, [((M, "m3"), "m")], NOW)
        change.audit("rename", "m3", {})
        assert names.unused(change) == ((M, "m3"),)
        names.forget(change, names.unused(change))
    known = names.histories(work.state)
    assert known.names(M, "m2") == known.names(M, "m") == ("m", "m2")
    assert {n for k, n in known.kept if k is M} == {"m", "m2"}
    assert names.as_called(pointers(LATER), known) == {FIRST[k]: LATER[k] for k in FIRST}


NAMING = {name: sql for name, sql in queries().items() if " called " in sql or "pointers p" in sql}


@pytest.mark.parametrize("name", NAMING)
def test_a_name_is_found_by_its_key_however_many_generations_there_are(name: str) -> None:
    """A hundred resources over a thousand generations are a hundred thousand pointers of a kind."""
    db = memory()._db()
    plan = [
        str(r["detail"])
        for r in db.execute(f"EXPLAIN QUERY PLAN {NAMING[name]}", dict.fromkeys(PARAMETERS, 1))
    ]
    assert plan
    walked = [step for step in plan if re.match(r"(SCAN p\b|SCAN pointers|SEARCH p .*\(kind=\?\)$)", step)]
    assert name in WHOLE or not walked


WHOLE = {
    "all_targets",
    "names_kept",
}  # for gc all of a kind; the least name of a kind is the first of its index
PARAMETERS = {p for sql in NAMING.values() for p in re.findall(r":([a-z_]+)", sql)}
