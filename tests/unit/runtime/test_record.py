"""The record: only it names the state's queries, and what it gives a plan leads to the same plan as all there is."""

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memories import BY, DAY, NOW, gate, manifest, pointed, published, remember, version, workspace

import tilth
from tilth.adapters.state.sqlite.state import queries
from tilth.core.errors import UnknownNameError
from tilth.core.time import show_instant
from tilth.kinds import compile as compiled
from tilth.kinds import parse, plan
from tilth.ml.judging import split
from tilth.ml.watching.monitoring import Look
from tilth.plan.snapshot import Signals, VersionFacts
from tilth.ports.snapshots import CheckResult
from tilth.resources.facts import Facts
from tilth.runtime.record import evidence, looks, notices, refreshes, snapshots, versions
from tilth.runtime.record.current import LOOKS, current
from tilth.runtime.record.evidence import Gate
from tilth.runtime.record.notices import Told
from tilth.runtime.record.refreshes import Checks, Quarantined, Refresh
from tilth.runtime.workspace import Workspace
from tilth.sql.language.statements import Promote, PromoteRule

SRC = Path(tilth.__file__).parent
OWN = {"audit", "audit_tail", "audit_hash", "add_audit"}  # of the adapter
NAMED = re.compile(r'(?:\.(?:read|write|insert|note)\(|_detail\(reader,)\s*"(\w+)"')


def test_only_the_record_names_queries_and_it_names_all_of_them() -> None:
    found = {
        p.relative_to(SRC): set(NAMED.findall(p.read_text())) & set(queries()) for p in SRC.rglob("*.py")
    }
    here = {p: names for p, names in found.items() if p.parts[:2] == ("runtime", "record")}
    assert {p for p, names in found.items() if names} - set(here) <= {Path("adapters/state/sqlite/state.py")}
    assert set().union(*here.values()) == set(queries()) - OWN


@pytest.fixture
def work() -> Workspace:
    return workspace()


# --- what a plan is made from ------------------------------------------------------------------------------

TEXT = (
    "CREATE SOURCE ops ENGINE sqlite WITH (path = 'x.db'); CREATE DATASET d REFRESH EVERY '1 day' AS SELECT a FROM ops.t;"
    " CREATE MODEL m PREDICT a FROM d RETRAIN WHEN drift > 0.2 OR age > '40 days';"
)
GRAPH = compiled(parse(TEXT), Facts())
STATUS = st.sampled_from(["refused", "held", "refused", "promoted", "candidate"])
MADE = st.tuples(STATUS, st.integers(0, 60), st.sampled_from(["now", "now", "now", "before"]))
DRIFTS = st.lists(st.sampled_from([0.1, 0.3, 0.3, 0.3]), min_size=2, max_size=6)


@settings(max_examples=200, deadline=None)
@given(st.lists(MADE, max_size=12), st.integers(0, 6), DRIFTS, st.booleans())
def test_a_plan_of_what_is_read_is_the_plan_of_all_that_is_remembered(
    made: list[tuple[str, int, str]], pointed_at: int, drifts: list[float], serving: bool
) -> None:
    work = workspace()
    recipes = {"now": GRAPH.get("m").recipe, "before": "1:old"}
    kept = [
        version(n, status, NOW - age * DAY, recipe=recipes[recipe])
        for n, (status, age, recipe) in enumerate(made, 1)
    ]
    remember(work, manifest(1), *kept)
    champion = pointed_at if 0 < pointed_at <= len(kept) else None
    pointers = list(pointed(champion, 1))
    if champion is not None:
        pointers[1] = replace(pointers[1], recipe=kept[champion - 1].recipe)
    environment = "prod" if serving else "dev"
    published(work, *pointers, environment=environment)
    with work.state.change(BY, show_instant(NOW)) as change:
        for n, drift in enumerate(reversed(drifts)):
            looks.add(change, environment, _look(NOW - n * timedelta(hours=1), drift))
        refreshes.add(change, Refresh("d", GRAPH.get("d").recipe, "published", NOW, {}, manifest(1).id), ())
        change.audit("look", "m", {})
    found = current(work.state, environment)
    facts = tuple(
        VersionFacts(v.model, v.version, v.recipe, v.snapshot, v.status, v.created_at, v.rows, v.engine)
        for v in kept
    )
    whole = replace(found, versions=facts)
    assert set(found.versions) <= set(facts)
    for later in range(0, 63, 3):
        assert plan(GRAPH, found, NOW + later * DAY) == plan(GRAPH, whole, NOW + later * DAY)
    work.state.close()  # type: ignore[attr-defined]


def _look(at, drift: float | None) -> Look:
    return Look("m", 1, show_instant(at), (), drift, None, "mae", None, 0, 0)


def test_of_looks_the_newest_are_read_oldest_first_and_only_of_this_environment(work: Workspace) -> None:
    with work.state.change(BY, show_instant(NOW)) as change:
        for n in range(LOOKS + 10):
            looks.add(change, "prod", _look(NOW + n * DAY, n / 100))
            looks.add(change, "dev", _look(NOW + n * DAY, 1.0))
            looks.add(change, "prod", replace(_look(NOW + n * DAY, 0.5), model="a"))
        change.audit("look", "m", {})
    found = current(work.state, "prod").signals_of("m")
    assert found == tuple(Signals(NOW + n * DAY, n / 100, metric="mae") for n in range(10, LOOKS + 10))
    last = looks.last(work.state, "prod")
    assert {m: (one.at, one.drift) for m, one in last.items()} == {
        "m": (NOW + (LOOKS + 9) * DAY, (LOOKS + 9) / 100), "a": (NOW + (LOOKS + 9) * DAY, 0.5)
    }  # fmt: skip


def test_the_rule_of_a_version_is_the_one_it_was_judged_by_last(work: Workspace) -> None:
    remember(work, version(1), version(2), gate(1, None, rule="manual"), gate(1, None, rule="better"))
    assert [v.rule for v in current(work.state, "prod").versions] == ["better", ""]


OUTCOMES = [
    (["published"], (0, 0)),
    (["published", "failed"], (0, 0)),
    (["published", "stopped"], (0, 1)),
    (["published", "stopped", "failed", "failed"], (0, 1)),
    (["published", "published"], (1, 1)),
    (["stopped"], None),
]


@pytest.mark.parametrize(("outcomes", "expected"), OUTCOMES, ids=[" ".join(o) for o, _ in OUTCOMES])
def test_a_refresh_that_failed_on_the_way_is_tried_again_and_one_that_a_check_stopped_waits(
    work: Workspace, outcomes: list[str], expected: tuple[int, int] | None
) -> None:
    remember(work, manifest(1))
    with work.state.change(BY, show_instant(NOW)) as change:
        for n, status in enumerate(outcomes):
            made = manifest(1).id if status == "published" else None
            refreshes.add(change, Refresh("d", "1:d", status, NOW + n * DAY, {"ops.t": str(n)}, made), ())
        change.audit("refresh", "d", {})
    found = [(s.refreshed_at, s.attempted_at) for s in current(work.state, "prod").snapshots]
    assert found == ([] if expected is None else [tuple(NOW + n * DAY for n in expected)])
    assert refreshes.last_attempts(work.state)["1:d"].status == outcomes[-1]
    seen = [n for n, status in enumerate(outcomes) if status != "failed"][-1]
    assert refreshes.last_tokens(work.state) == {"1:d": {"ops.t": str(seen)}}


def test_what_refreshes_found_is_told_by_recipe_and_rows_held_back_since_the_last_that_read_all(
    work: Workspace,
) -> None:
    other = replace(manifest(4), recipe="2:d")
    held = [(manifest(1), True, 5), (manifest(2), False, 2), (manifest(2), False, 2)]
    held += [(manifest(3), True, 3), (other, True, 7), (manifest(5), False, 1), (manifest(6), True, 0)]
    expected = [5, 7, 7, 3, 3, 4, 0]
    check = CheckResult("x > 0", "row", "quarantine", False, 1, 9, "1 of 9 rows fail")
    for n, (made, whole, rows) in enumerate(held):
        remember(work, made)
        with work.state.change(BY, show_instant(NOW + n * DAY)) as change:
            one = Refresh("d", made.recipe, "published", NOW + n * DAY, {}, made.id, 9, rows, whole=whole)
            number = refreshes.add(change, one, [check])
            refreshes.hold(change, Quarantined(number, "d", f"{rows}", rows, 1, NOW + n * DAY))
            change.audit("refresh", "d", {})
        assert refreshes.rows_held(work.state)["1:d"] == expected[n]
    assert refreshes.rows_held(work.state)["2:d"] == 7
    assert refreshes.last_checks(work.state) == {"1:d": Checks(1, 1), "2:d": Checks(1, 1)}


# --- rows --------------------------------------------------------------------------------------------------


def test_a_manifest_comes_back_as_it_was_written(work: Workspace) -> None:
    made = replace(manifest(1), watermark="2024-05-01T00:00:00", parent="p")
    remember(work, made)
    assert snapshots.manifest_of(work.state, made.id) == made


def test_a_version_comes_back_as_it_was_written(work: Workspace) -> None:
    made = version(1, "held", tuned_until="2024-05-01T00:00:00", kept='{"split": {"by": "folds", "ids": 2}}')
    remember(work, made)
    assert versions.get(work.state, "m", 1) == made
    assert (made.dealt.by, made.dealt.ids) == ("folds", 2)


@pytest.mark.parametrize(
    ("until", "kept", "by"),
    [(None, "{}", split.BY_ID), ("2024-05-01T00:00:00", "{}", split.BY_TIME), ("2024-05-01T00:00:00", '{"split": {"by": "folds"}}', "folds")],
)  # fmt: skip
def test_a_version_that_does_not_say_how_it_was_dealt_was_dealt_as_its_time_tells(
    until: str | None, kept: str, by: str
) -> None:
    assert version(1, tuned_until=until, kept=kept).dealt.by == by


def test_what_is_unknown_is_told_with_what_there_is(work: Workspace) -> None:
    remember(work, manifest(1), version(1), version(2))
    with pytest.raises(UnknownNameError, match="no version 3") as caught:
        versions.require(work.state, "m", 3)
    assert caught.value.hint == "Versions: 1, 2."
    with pytest.raises(UnknownNameError, match="no snapshot"):
        snapshots.manifest_of(work.state, "x")


def test_figures_that_are_no_numbers_are_kept_as_unknown(work: Workspace) -> None:
    remember(work, gate(1, None, delta=float("nan"), lower=0.5))
    found = evidence.last(work.state, "m", 1)
    assert found is not None
    assert (found.delta, found.lower, found.champion) == (None, 0.5, None)


def test_what_was_said_before_keeps_its_time_and_what_is_said_no_more_goes(work: Workspace) -> None:
    one, two, three = (Told("guessed", text) for text in ("one", "two", "three"))
    for day, told in enumerate([(one, two), (two, three, three)]):
        with work.state.change(BY, show_instant(NOW)) as change:
            notices.put(change, notices.MODEL, "m", "1", told, NOW + day * DAY)
            change.audit("train", "m", {})
    assert notices.of(work.state, notices.MODEL, "m", "1") == (two, three)
    columns, rows = work.state.table("notices")
    since = {r[columns.index("text")]: r[columns.index("at")] for r in rows}
    assert since == {"two": show_instant(NOW), "three": show_instant(NOW + DAY)}


def test_of_what_is_pointed_at_the_notices_come_together(work: Workspace) -> None:
    published(work, *pointed(2, 1))
    told = {
        ("dataset", "1:d"): "here",
        ("dataset", "1:old"): "gone",
        ("model", "2"): "now",
        ("model", "1"): "then",
    }
    with work.state.change(BY, show_instant(NOW)) as change:
        for (resource, made), text in told.items():
            notices.put(change, resource, resource[0], made, [Told("guessed", text)], NOW)
        change.audit("train", "m", {})
    found = notices.current(work.state, "prod")
    assert {key: [t.text for t in said] for key, said in found.items()} == {
        ("dataset", "d"): ["here"],
        ("model", "m"): ["now"],
    }


# --- having won --------------------------------------------------------------------------------------------

BETTER, MANUAL = Promote(PromoteRule.BETTER), Promote(PromoteRule.MANUAL)
MARGIN = Promote(PromoteRule.NOT_WORSE_BY, 0.1)


@pytest.mark.parametrize(
    ("gates", "rule", "won"),
    [
        ([], BETTER, False),
        ([gate(2, 1, lower=0.01, upper=0.2)], BETTER, True),
        ([gate(2, 1, lower=-0.01, upper=0.2)], BETTER, False),
        ([gate(2, 1, lower=0.0, upper=0.0)], BETTER, True),
        ([gate(2, 1, lower=0.0, upper=0.1)], BETTER, False),
        ([gate(2, 1, lower=-0.05, upper=0.2)], MARGIN, True),
        ([gate(2, 1, lower=-0.1, upper=0.2)], MARGIN, False),
        ([gate(2, 1)], BETTER, True),
        ([gate(2, 1, rule="manual")], BETTER, False),
        ([gate(2, 1, lower=0.01, upper=0.2)], MANUAL, False),
        ([gate(2, 1, "fail", lower=0.01, upper=0.2)], BETTER, False),
        ([gate(2, 1, "inconclusive", lower=0.01, upper=0.2)], BETTER, False),
        ([gate(2, None, lower=0.01, upper=0.2)], BETTER, False),
        ([gate(2, 3, lower=0.01, upper=0.2)], BETTER, False),
        ([gate(4, 1, lower=0.01, upper=0.2)], BETTER, False),
        ([gate(2, 1, "fail"), gate(2, 1, lower=0.01, upper=0.2)], BETTER, True),
    ],
)
def test_a_version_has_won_where_it_was_compared_and_passes_what_is_asked_now(
    gates: list[Gate], rule: Promote, won: bool
) -> None:
    assert evidence.has_won(gates, 2, 1, rule) is won
