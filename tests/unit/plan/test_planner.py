"""The planner as a table: what is wanted, what is, and the actions between. Time is a value."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilth.kinds import plan
from tilth.plan import deciding
from tilth.plan.actions import (
    CollectDataset,
    DeclareSource,
    DeployEndpoint,
    DropResource,
    Estimate,
    Redeclare,
    ShareSnapshot,
    ShareVersion,
    TrainModel,
)
from tilth.plan.explain import facts, words
from tilth.plan.policy import COOL_DOWN, retrain_reason
from tilth.plan.snapshot import Cost, Current, Pointer, Signals, SnapshotFacts, VersionFacts
from tilth.resources.kinds import Resource
from tilth.sql.language.statements import (
    Condition,
    CreateDataset,
    CreateEndpoint,
    CreateModel,
    CreateSource,
    DatasetRef,
    Kind,
    Outcomes,
    Promote,
    PromoteRule,
    Query,
    Refresh,
    Target,
)

NOW = datetime(2013, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)

OPS = Resource(Kind.SOURCE, "ops", CreateSource("ops", "sqlite"), (), "1:ops", "CREATE SOURCE ops")
DEPARTURES = Resource(
    Kind.DATASET,
    "departures",
    CreateDataset("departures", Query("SELECT 1"), refresh=Refresh(every=timedelta(hours=1))),
    ("ops",),
    "1:departures",
    "CREATE DATASET departures\n  KEY (a)",
)
RULE = (Condition("drift", ">", 0.2), Condition("age", ">", 30 * DAY), Condition("quality", "<", 0.6))
LATE = Resource(
    Kind.MODEL,
    "late",
    CreateModel("late", (Target("y"),), DatasetRef("departures"), retrain=RULE),
    ("departures",),
    "1:late",
    "CREATE MODEL late",
)
API = Resource(
    Kind.ENDPOINT,
    "late_api",
    CreateEndpoint("late_api", "late"),
    ("late",),
    "1:api",
    "CREATE ENDPOINT late_api",
)
ALL = (OPS, DEPARTURES, LATE, API)


def at(resource: Resource, target: str | None = None) -> Pointer:
    return Pointer(resource.kind, resource.name, resource.recipe, target, resource.text)


SETTLED = Current(
    "prod",
    3,
    (at(OPS), at(DEPARTURES, "s1"), at(LATE, "1"), at(API, "1")),
    (SnapshotFacts("1:departures", "s1", NOW, NOW, 1000),),
    (VersionFacts("late", 1, "1:late", "s1", "promoted", NOW - 10 * DAY),),
)
DRIFTED = (("late", tuple(Signals(NOW - n * DAY, drift=d) for n, d in ((3, 0.1), (2, 0.3), (1, 0.4)))),)
CHANGED = replace(LATE, recipe="1:late2", text="CREATE MODEL late\n  USING (seed = 8)")
LENIENT = replace(
    CHANGED, declaration=replace(CHANGED.as_(CreateModel), promote=Promote(PromoteRule.NOT_WORSE_BY, 0.5))
)
BY_HAND = replace(CHANGED, declaration=replace(CHANGED.as_(CreateModel), promote=Promote(PromoteRule.MANUAL)))
REFUSED = (*SETTLED.versions, VersionFacts("late", 2, "1:late2", "s1", "refused", NOW))
ON_CHANGE = replace(
    DEPARTURES, declaration=replace(DEPARTURES.as_(CreateDataset), refresh=Refresh(on_change=True))
)
LOST_ONCE = VersionFacts("late", 2, "1:late", "s1", "refused", NOW - 9 * DAY)
LOST_TWICE = (replace(LOST_ONCE, status="held"), replace(LOST_ONCE, version=3, trained_at=NOW - 8 * DAY))

TABLE = [
    ("nothing wanted, nothing there", (), Current.empty(), []),
    (
        "all new",
        ALL,
        Current.empty(),
        [
            DeclareSource("ops", "1:ops", "new"),
            CollectDataset("departures", "1:departures", "new"),
            TrainModel("late", "1:late", "new"),
            DeployEndpoint("late_api", "1:api", "late", "new"),
        ],
    ),
    ("all as declared", ALL, SETTLED, []),
    (
        "collected by another environment since",
        ALL,
        replace(SETTLED, since=NOW - DAY, snapshots=(SnapshotFacts("1:departures", "s2", NOW, NOW, 1000),)),
        [ShareSnapshot("departures", "1:departures", "s2", "collected since, and not published here")],
    ),
    (
        "rolled back after it was collected",
        ALL,
        replace(SETTLED, since=NOW, snapshots=(SnapshotFacts("1:departures", "s2", NOW, NOW, 1000),)),
        [],
    ),
    (
        "another environment shares what is made",
        ALL,
        replace(SETTLED, environment="dev", generation=0, pointers=()),
        [
            DeclareSource("ops", "1:ops", "new"),
            ShareSnapshot("departures", "1:departures", "s1", "new; already collected"),
            ShareVersion("late", "1:late", 1, "new; already trained"),
            DeployEndpoint("late_api", "1:api", "late", "new"),
        ],
    ),
    (
        "a refresh is due and continues its snapshot",
        ALL,
        replace(SETTLED, snapshots=(replace(SETTLED.snapshots[0], attempted_at=NOW - timedelta(hours=1)),)),
        [CollectDataset("departures", "1:departures", "due: REFRESH EVERY '1 hour'", "s1")],
    ),
    (
        "one changed model trains exactly one",
        (OPS, DEPARTURES, CHANGED, API),
        SETTLED,
        [TrainModel("late", "1:late2", "changed: USING (seed = 8)", 1)],
    ),
    (
        "a text that changes no recipe is taken over without making anything",
        (OPS, DEPARTURES, replace(LATE, text="CREATE MODEL late\n  RETRAIN WHEN age > '9 days'"), API),
        SETTLED,
        [Redeclare(Kind.MODEL, "late", "1:late", "changed: RETRAIN WHEN age > '9 days'")],
    ),
    (
        "a refused definition is not trained again on the same data",
        (OPS, DEPARTURES, CHANGED, API),
        replace(SETTLED, versions=REFUSED),
        [],
    ),
    (
        "a refused definition is judged again by another rule",
        (OPS, DEPARTURES, LENIENT, API),
        replace(SETTLED, versions=(SETTLED.versions[0], replace(REFUSED[1], rule="better"))),
        [ShareVersion("late", "1:late2", 2, "judged by PROMOTE IF better; now it is not_worse_by(0.5)")],
    ),
    (
        "and not again by the same rule, or where the margin was not recorded",
        (OPS, DEPARTURES, LENIENT, API),
        replace(SETTLED, versions=(SETTLED.versions[0], replace(REFUSED[1], rule="not_worse_by"))),
        [],
    ),
    (
        "a rule that leaves it to a person judges nothing",
        (OPS, DEPARTURES, BY_HAND, API),
        replace(SETTLED, versions=(SETTLED.versions[0], replace(REFUSED[1], rule="better"))),
        [],
    ),
    (
        "outside prod a refused version is used as it is",
        (OPS, DEPARTURES, CHANGED, API),
        replace(SETTLED, environment="dev", versions=REFUSED),
        [
            ShareVersion(
                "late", "1:late2", 2, "changed: USING (seed = 8); already trained, and refused by its gate"
            )
        ],
    ),
    (
        "a refused definition is tried again on new data",
        (OPS, DEPARTURES, CHANGED, API),
        replace(
            SETTLED,
            versions=REFUSED,
            pointers=(at(OPS), at(DEPARTURES, "s2"), at(LATE, "1"), at(API, "1")),
        ),
        [TrainModel("late", "1:late2", "changed: USING (seed = 8)", 1)],
    ),
    (
        "drift retrains",
        ALL,
        replace(SETTLED, signals=DRIFTED),
        [TrainModel("late", "1:late", "drift 0.4 > 0.2 in 2 of the last 3 looks", 1)],
    ),
    (
        "age retrains",
        ALL,
        replace(SETTLED, versions=(replace(SETTLED.versions[0], trained_at=NOW - 31 * DAY),)),
        [TrainModel("late", "1:late", "age 31 days > 30 days", 1)],
    ),
    (
        "what is published is not shared again",
        ALL,
        replace(SETTLED, since=NOW - DAY),
        [],
    ),
    (
        "a source that changed is read where that was asked for",
        (OPS, ON_CHANGE, LATE, API),
        replace(SETTLED, snapshots=(replace(SETTLED.snapshots[0], source_changed=True),)),
        [CollectDataset("departures", "1:departures", "its source has changed", "s1")],
    ),
    (
        "and not where it was not",
        ALL,
        replace(SETTLED, snapshots=(replace(SETTLED.snapshots[0], source_changed=True),)),
        [],
    ),
    (
        "a refresh that a check stopped is due an interval after it",
        ALL,
        replace(SETTLED, snapshots=(replace(SETTLED.snapshots[0], refreshed_at=NOW - DAY),)),
        [],
    ),
    (
        "the newest version that won is shared",
        ALL,
        replace(
            SETTLED,
            pointers=SETTLED.pointers[:2],
            versions=tuple(
                replace(SETTLED.versions[0], version=n, status=s)
                for n, s in ((1, "promoted"), (2, "promoted"), (3, "refused"))
            ),
        ),
        [
            ShareVersion("late", "1:late", 2, "new; already trained"),
            DeployEndpoint("late_api", "1:api", "late", "new"),
        ],
    ),
    (
        "age is counted from the last candidate",
        ALL,
        replace(SETTLED, versions=(replace(SETTLED.versions[0], trained_at=NOW - 31 * DAY), LOST_ONCE)),
        [],
    ),
    (
        "a candidate that was held has lost, and a second loss doubles the rest",
        ALL,
        replace(SETTLED, versions=(SETTLED.versions[0], *LOST_TWICE), signals=DRIFTED),
        [],
    ),
    (
        "one loss does not, nor does a version that came before the champion",
        ALL,
        replace(
            SETTLED,
            pointers=(at(OPS), at(DEPARTURES, "s1"), at(LATE, "2"), at(API, "1")),
            versions=(
                replace(LOST_TWICE[0], version=1),
                replace(SETTLED.versions[0], version=2, status="refused"),
                replace(LOST_TWICE[1], version=3),
            ),
            signals=DRIFTED,
        ),
        [TrainModel("late", "1:late", "drift 0.4 > 0.2 in 2 of the last 3 looks", 2)],
    ),
    (
        "what is no longer declared is dropped, dependents first",
        (OPS,),
        SETTLED,
        [
            DropResource(Kind.ENDPOINT, "late_api", "no longer declared"),
            DropResource(Kind.MODEL, "late", "no longer declared"),
            DropResource(Kind.DATASET, "departures", "no longer declared"),
        ],
    ),
    (
        "costs of earlier runs are the estimate",
        ALL,
        replace(Current.empty(), costs=(Cost("TrainModel", "late", 4.2, 300_000_000),)),
        [
            DeclareSource("ops", "1:ops", "new"),
            CollectDataset("departures", "1:departures", "new"),
            TrainModel("late", "1:late", "new", estimate=Estimate(4.2, 300_000_000)),
            DeployEndpoint("late_api", "1:api", "late", "new"),
        ],
    ),
]


@pytest.mark.parametrize(("wanted", "current", "actions"), [t[1:] for t in TABLE], ids=[t[0] for t in TABLE])
def test_the_plan_is(wanted: tuple[Resource, ...], current: Current, actions: list[object]) -> None:
    found = plan(wanted, current, NOW)
    assert list(found.actions) == actions
    assert found == plan(wanted, current, NOW)
    assert hash(found) == hash(plan(wanted, current, NOW))


def test_a_refused_candidate_is_said_in_a_note() -> None:
    found = plan((OPS, DEPARTURES, CHANGED, API), replace(SETTLED, versions=REFUSED), NOW)
    assert "refused by its gate" in words(found)
    assert words(found).endswith("Nothing to do: prod is as declared, but for late.")


def test_what_waits_for_a_person_says_how_one_decides() -> None:
    found = plan((OPS, DEPARTURES, BY_HAND, API), replace(SETTLED, versions=REFUSED), NOW)
    assert "PROMOTE MODEL late VERSION 2 takes it" in words(found)


SERVED = replace(
    API, declaration=CreateEndpoint("late_api", "late", outcomes=Outcomes("departures", ("id",), "y"))
)
OTHER_API = replace(SERVED, name="other", declaration=replace(SERVED.declaration, model="other"))
AHEAD = replace(LATE, declaration=replace(LATE.declaration, order_by=("day",), horizon=3))
NEW_ROWS = replace(
    LATE,
    declaration=replace(
        LATE.declaration, source=Query("SELECT 1"), retrain=(Condition("new_rows", ">", 0.2),)
    ),
)


@pytest.mark.parametrize(
    ("wanted", "silent"),
    [
        ((OPS, DEPARTURES, LATE, SERVED), {}),
        (ALL, {"quality": "OUTCOMES FROM dataset (key, y)"}),
        ((OPS, DEPARTURES, LATE), {"drift": "CREATE ENDPOINT late_api", "quality": "CREATE ENDPOINT late_api"}),
        ((OPS, DEPARTURES, LATE, OTHER_API), {"drift": "only what an endpoint serves", "quality": "only what an"}),
        ((OPS, DEPARTURES, LATE, API, replace(SERVED, name="second")), {}),
        ((OPS, DEPARTURES, NEW_ROWS, SERVED), {"new_rows": "it reads a query"}),
        ((OPS, DEPARTURES, AHEAD, API), {}),
    ],
    ids=["all is told", "no outcomes", "no endpoint", "another model's", "one of two has outcomes", "rows of a query", "a forecast is judged by its own rows"],
)  # fmt: skip
def test_a_condition_that_cannot_fire_is_noted(wanted: tuple[Resource, ...], silent: dict[str, str]) -> None:
    notes = [n for n in plan(wanted, SETTLED, NOW).notes if "never fires" in n.text]
    assert [n.text.split()[2] for n in notes] == list(silent)
    for note, said in zip(notes, silent.values(), strict=True):
        assert note.name == "late"
        assert said in note.text


def test_a_plan_reads_as_words_and_as_facts() -> None:
    all_told = (OPS, DEPARTURES, LATE, SERVED)
    found = plan(
        all_told, replace(Current.empty(), costs=(Cost("TrainModel", "late", 4.2, 300_000_000),)), NOW
    )
    assert words(found).splitlines() == [
        "+ source ops: declare (new)",
        "~ dataset departures: collect and vet (new)",
        "~ model late: train (new), about 4 seconds, 300 MB",
        "+ endpoint late_api: serve model late (new)",
    ]
    shown = facts(found)["actions"]
    assert isinstance(shown, list)
    assert shown[2]["action"] == "TrainModel"
    assert words(plan(all_told, SETTLED, NOW)) == "Nothing to do: prod is as declared."
    assert words(plan((), Current.empty(), NOW)).startswith(
        "Nothing to do: nothing is declared yet. Write CREATE"
    )
    assert words(plan((), Current("prod", 2), NOW)) == "Nothing to do: prod is as declared."


LOOKS = [
    ("one look is not enough", [0.3], 10, None),
    ("two of three fire", [0.3, 0.1, 0.3], 10, "drift 0.3 > 0.2 in 2 of the last 3 looks"),
    ("it has calmed down again", [0.3, 0.3, 0.1], 10, None),
    (
        "looks that could not tell do not count",
        [0.3, None, 0.4],
        10,
        "drift 0.4 > 0.2 in 2 of the last 2 looks",
    ),
    ("a fresh candidate rests", [0.3, 0.3, 0.3], 5, None),
    ("only the last three count", [0.3, 0.1, 0.1, 0.3], 10, None),
]


@pytest.mark.parametrize(("values", "days", "reason"), [r[1:] for r in LOOKS], ids=[r[0] for r in LOOKS])
def test_a_signal_needs_agreement_and_rests_after_a_candidate(
    values: list[float | None], days: int, reason: str | None
) -> None:
    looks = [Signals(NOW - (len(values) - n) * timedelta(hours=1), drift=v) for n, v in enumerate(values)]
    assert retrain_reason(RULE, looks, NOW - days * DAY, NOW) == reason


def test_a_look_of_the_moment_of_training_is_of_the_model_before() -> None:
    looks = [Signals(NOW - n * DAY, drift=0.3) for n in (8, 7)]
    assert retrain_reason(RULE, looks, NOW - 8 * DAY, NOW) is None
    assert retrain_reason(RULE, looks, NOW - 8 * DAY - timedelta(seconds=1), NOW) is not None


@pytest.mark.parametrize(
    ("hours", "shown"),
    [
        (1.5, "1 hour 30 minutes"),
        (2.9, "2 hours"),
        (47.9, "1 day 23 hours"),
        (48.5, "2 days"),
        (71, "2 days"),
    ],
)
def test_an_age_is_told_in_whole_days_hours_or_minutes(hours: float, shown: str) -> None:
    rule = (Condition("age", ">", timedelta(hours=1)),)
    assert retrain_reason(rule, (), NOW - timedelta(hours=hours), NOW) == f"age {shown} > 1 hour"


@given(st.lists(st.none() | st.floats(0, 2), max_size=6), st.integers(0, 6))
def test_no_signal_retrains_during_the_cool_down(values: list[float | None], days: int) -> None:
    looks = [Signals(NOW - timedelta(minutes=n), drift=v, quality=v) for n, v in enumerate(values)]
    assert timedelta(days=days) < COOL_DOWN
    assert retrain_reason(RULE, looks, NOW - days * DAY, NOW) is None


@given(st.permutations([at(OPS), at(DEPARTURES, "s1"), at(LATE, "1"), at(API, "1")]))
def test_the_order_of_the_state_never_changes_the_plan(pointers: list[Pointer]) -> None:
    for wanted in (ALL, (OPS,), (OPS, DEPARTURES, CHANGED, API)):
        assert plan(wanted, replace(SETTLED, pointers=tuple(pointers)), NOW) == plan(wanted, SETTLED, NOW)


@pytest.mark.parametrize(("lost", "days"), [(0, 7), (1, 7), (2, 14), (3, 28), (4, 56), (9, 56)])
def test_a_signal_rests_longer_after_each_candidate_that_did_not_win(lost: int, days: int) -> None:
    def reason(after: int) -> str | None:
        looks = [Signals(NOW - n * DAY / 2, drift=0.5) for n in (3, 2, 1)]
        return retrain_reason(RULE[:1], looks, NOW - after * DAY, NOW, lost)

    assert reason(days - 1) is None
    assert reason(days) is not None


def test_of_several_records_the_first_is_meant() -> None:
    """What is asked for by name is indexed, and says what a look through the tuples would."""
    other = replace(SETTLED.snapshots[0], snapshot="s0")
    again = replace(
        SETTLED, snapshots=(*SETTLED.snapshots, other), costs=(Cost("a", "x", 1.0), Cost("a", "x", 2.0))
    )
    assert again.snapshot_of(other.recipe) == SETTLED.snapshots[0]
    assert again.cost("a", "x") == Cost("a", "x", 1.0)
    assert again.cost("b", "x") is None
    assert again.pointer(Kind.DATASET, "late") is None
    assert again.version("late", "1") == SETTLED.versions[0]
    assert again.version("late", None) is None
    assert (again == replace(again), hash(again) == hash(replace(again))) == (True, True)


COLUMNS = "a_long_name, " * 20
BEFORE = "CREATE DATASET d\n  EXPECT (\n    a > 0 ON FAIL STOP,\n    b > 0 ON FAIL STOP\n  )\nAS SELECT 1;"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("CREATE DATASET d\nAS SELECT 1;", BEFORE, "changed: EXPECT (a > 0 ON FAIL STOP, ...)"),
        (BEFORE.replace("STOP,\n    b > 0 ON FAIL ", ""), BEFORE, "changed: b > 0 ON FAIL STOP"),
        (BEFORE, BEFORE.replace("STOP,\n    b > 0 ON FAIL ", ""), "a clause was removed"),
        (BEFORE, BEFORE.replace("SELECT 1", "SELECT 2"), "changed: AS SELECT 2"),
        (BEFORE, BEFORE, "something it is made from changed"),
        (f"AS SELECT {COLUMNS}b FROM s.t;", f"AS SELECT {COLUMNS}b FROM s.t WHERE b > 0;",
         "changed: AS ... a_long_name, b FROM s.t WHERE b > 0"),
        (f"AS SELECT b, {COLUMNS}c FROM s.t;", f"AS SELECT d, {COLUMNS}c FROM s.t;",
         f"changed: AS SELECT d, {COLUMNS[:110].rstrip()} ..."),
        ("AS SELECT 1", f"AS {'x' * 200}", f"changed: AS {'x' * 120} ..."),
    ],
)  # fmt: skip
def test_what_changed_is_said_in_whole_words(old: str, new: str, says: str) -> None:
    class Text:
        def __init__(self, text: str) -> None:
            self.text = text

    assert deciding.changed(Text(new), Text(old)) == says  # type: ignore[arg-type]
