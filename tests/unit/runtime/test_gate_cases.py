"""The gate over records and files in memory: which rows judge, what it says of two versions, and what is written down.

The models are by hand: y is true where x is above 0 (with some noise), so that a weight on x is a good model, and one on z none.
"""

import json
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from memories import BY, NOW, sealed, stocked, stored
from memories import gate as verdict_of
from memories import version as version_row

from handmade import files
from tilth.core.time import show_instant
from tilth.kinds import parse_one
from tilth.ml.data.identity import row_ids
from tilth.ml.judging import holdout, split
from tilth.ml.judging.holdout import Tuned
from tilth.ml.model.curve import Curve
from tilth.ml.model.metrics import evaluate
from tilth.ml.model.spec import TrainingSpec
from tilth.runtime.act import Act
from tilth.runtime.applying import answers, gate
from tilth.runtime.applying.gate import Verdict
from tilth.runtime.record import evidence, snapshots, versions
from tilth.runtime.workspace import Workspace
from tilth.sql.language.statements import CreateModel

START = datetime(2024, 1, 1)
A_DAY = 20  # rows
RNG = np.random.default_rng(4)
ROWS = 600
X, Z, NOISE = RNG.normal(size=ROWS), RNG.normal(size=ROWS), RNG.normal(0, 0.7, ROWS)
TRUE = X + NOISE > 0.5
ALL = {
    "id": pa.array(range(ROWS)),
    "at": pa.array([START + timedelta(hours=24 / A_DAY * n) for n in range(ROWS)], pa.timestamp("us")),
    "x": pa.array(X),
    "z": pa.array(Z),
    "place": pa.array([("north", "south", None)[n % 3] for n in range(ROWS)]),
    "y": pa.array(TRUE),
}
GOOD, FAIR, POOR = {"x": 3.0, "z": 0.0}, {"x": 3.0, "z": 2.0}, {"x": 0.5, "z": 3.0}


def until(day: int) -> str:
    """The newest event time of the first days."""
    return show_instant((START + timedelta(hours=24 * day - 24 / A_DAY)).replace(tzinfo=NOW.tzinfo))


@dataclass(frozen=True)
class Made:
    """A version: what its bundle holds, until which day it was tuned, and whatever else its row says."""

    files: dict[str, bytes]
    days: int = 15
    by: str = "event time"
    row: dict[str, Any] = field(default_factory=dict)
    knows: pa.Table | None = None  # the rows that it was tuned on, where these are of another snapshot


def made(weights: dict[str, Any], days: int = 15, **more: Any) -> Made:
    row = more.pop("row", {})
    knows = more.pop("knows", None)
    return Made(files(weights, key=("id",), event_time="at", **more), days, row=row, knows=knows)


BETTER, SERVES = made(GOOD), made(POOR, 10)


@dataclass(frozen=True)
class Asked:
    """What is put before the gate."""

    candidate: Made = BETTER
    champion: Made | None = SERVES
    says: str = ""  # clauses of the model
    table: dict[str, pa.Array] = field(default_factory=dict)  # columns in place of those of ALL
    spec: dict[str, Any] = field(default_factory=dict)
    environment: str = "prod"


def recorded(work: Workspace, number: int, one: Made, manifest: Any) -> Any:
    own = manifest if one.knows is None else stored(work, one.knows, ("id",), "at")
    split = {"split": {"by": one.by, "ids": 2}, "tuned_until": until(one.days)}
    return sealed(work, number, one.files, own.id, **split | one.row)


def judged(asked: Asked, work: Workspace | None = None, number: int = 2) -> tuple[Verdict, Workspace]:
    """What the gate says of version 2 against version 1."""
    work = work or stocked()
    columns = {**ALL, **asked.table}
    table = pa.table({n: c for n, c in columns.items() if c is not None})
    manifest = stored(work, table, ("id",), "at") if number == 2 else latest(work)
    champion = None
    if asked.champion is not None:
        champion = (
            recorded(work, 1, asked.champion, manifest)
            if number == 2
            else versions.require(work.state, "m", 1)
        )
    candidate = recorded(work, number, asked.candidate, manifest)
    declared = parse_one(f"CREATE MODEL m PREDICT y FROM d {asked.says}")
    assert isinstance(declared, CreateModel)
    spec = TrainingSpec("m", ("y",), key=("id",), event_time="at", **{"metric": "roc_auc"} | asked.spec)
    act = Act(work, asked.environment, BY)
    return gate.gate(act, declared, spec, manifest, candidate, champion), work


def latest(work: Workspace) -> Any:
    return snapshots.all_of(work.state)[0].manifest


def after(day: int) -> int:
    """How many rows are later than the first days."""
    return ROWS - day * A_DAY


# --- what comes out ----------------------------------------------------------------------------------------

MANUAL = "PROMOTE IF manual"
LEAK = [{"column": "X", "seen": "tells all"}]
APART = {"rows": 2000, "apart": 0.4, "usual": 0.1, "holds": False, "twin": "sha256-of-twin"}
AGAIN = replace(made(POOR, 10), row={"recipe": "1:before"})
OUTCOMES = {
    "better": (Asked(), "promoted", 1, "is better"),
    "worse": (Asked(made(POOR), made(GOOD)), "refused", 1, "not shown to be better"),
    "worse within the margin": (Asked(made(FAIR), made(GOOD), "PROMOTE IF not_worse_by(0.5)"), "promoted", 1, "not worse by 0.5"),
    "below the minimum": (Asked(spec={"minimum": 0.99}), "refused", None, "the minimum is 0.99"),
    "the first": (Asked(champion=None), "promoted", None, "no champion to beat"),
    "too few rows are no comparison": (Asked(made(GOOD, 25)), "held", None, "100 rows; 200 are needed"),
    "a leak": (Asked(made(GOOD, row={"leaks": LEAK})), "held", None, "know its target beforehand. `X`: tells all"),
    "a leak of the first": (Asked(made(GOOD, row={"leaks": LEAK}), None), "held", None, "know its target"),
    "a leak that is accepted": (
        Asked(made(GOOD, row={"leaks": LEAK}), says="ACCEPT LEAK (X) BECAUSE 'it is known'"), "promoted", 1, "is better",
    ),
    "another leak is accepted": (
        Asked(made(GOOD, row={"leaks": LEAK}), says="ACCEPT LEAK (z) BECAUSE 'it is known'"), "held", None, "know its target",
    ),
    "what serves does not say what was judged": (
        Asked(made(GOOD, row={"agreement": APART})), "held", None, "does not say what was judged: fitted on all rows it differs by 0.4",
    ),
    "the first, whose refit is another": (
        Asked(made(GOOD, row={"agreement": APART}), None), "held", None, "does not say what was judged",
    ),
    "what serves says it": (Asked(made(GOOD, row={"agreement": {**APART, "holds": True}})), "promoted", 1, "is better"),
    "another target": (
        Asked(champion=made(GOOD, 10, target="old")), "promoted", None, "Version 1 predicts something else",
    ),
    "another kind by another declaration": (
        Asked(champion=made(GOOD, 10, kind="regression", row={"recipe": "1:before"})), "promoted", None, "predicts something else",
    ),
    "another kind by the same declaration": (
        Asked(champion=made(GOOD, 10, kind="regression")), "held", None, "predicts another kind of target and cannot be compared",
    ),
    "a champion that cannot answer": (
        Asked(champion=made({**GOOD, "w": 1.0}, 10)), "held", None, "Version 1 cannot answer these rows and cannot be compared",
    ),
    "a candidate that cannot answer": (
        Asked(made({**GOOD, "w": 1.0})), "held", None, "Version 2 cannot answer these rows",
    ),
    "what the champion was tuned on is gone": (
        Asked(champion=made(POOR, 10, row={"snapshot_is": "gone"})), "promoted", 1, "The rows that version 1 learned from are gone",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("asked", "status", "champion", "says"), OUTCOMES.values(), ids=OUTCOMES)
def test_what_comes_out_is_said_and_is_the_version_s_status(
    asked: Asked, status: str, champion: int | None, says: str
) -> None:
    work = stocked()
    if asked.champion is not None and asked.champion.row.get("snapshot_is"):
        asked = replace(asked, champion=replace(asked.champion, row={}, knows=pa.table(ALL).slice(0, 200)))
        work = replace(work, state=_Forgets(work.state))  # type: ignore[arg-type]
    verdict, work = judged(asked, work)
    assert (verdict.status, verdict.champion, says in verdict.reason) == (status, champion, True), verdict
    assert versions.require(work.state, "m", 2).status == status
    said = evidence.last(work.state, "m", 2)
    assert said is not None
    assert (said.champion, said.outcome, said.environment) == (champion, verdict.result.outcome, "prod")


class _Forgets:
    """A state in which the snapshot of 200 rows is not there any more."""

    def __init__(self, state: Any) -> None:
        self._state = state

    def __getattr__(self, name: str) -> Any:
        return getattr(self._state, name)

    def read(self, query: str, **values: Any) -> Any:
        found = self._state.read(query, **values)
        return [r for r in found if r["rows"] != 200] if query == "snapshot" else found


BY_HAND = {
    "by hand": (Asked(says=MANUAL), "PROMOTE MODEL m VERSION 2 takes it."),
    "by hand, declared anew": (Asked(champion=AGAIN, says=MANUAL), "PROMOTE MODEL m VERSION 2 takes it."),
    "by hand, elsewhere": (Asked(says=MANUAL, environment="dev"), None),
    "by hand, with a leak": (Asked(made(GOOD, row={"leaks": LEAK}), says=MANUAL), None),
    "what cannot be compared": (
        Asked(champion=made({**GOOD, "w": 1.0}, 10)), "PROMOTE MODEL m VERSION 2 takes it all the same.",
    ),
    "too few rows": (Asked(made(GOOD, 25)), None),
}  # fmt: skip


@pytest.mark.parametrize(("asked", "says"), BY_HAND.values(), ids=BY_HAND)
def test_how_a_person_decides_is_said_where_the_gate_leaves_it_to_one(asked: Asked, says: str | None) -> None:
    verdict, _ = judged(asked)
    assert verdict.status == "held"
    assert ("PROMOTE MODEL" in verdict.reason) is (says is not None)
    assert says is None or says in verdict.reason


@pytest.mark.parametrize(("said", "spent"), [("", 0.025), ("OBJECTIVE (confidence = 0.8)", 0.1)])
def test_a_look_spends_what_the_declared_confidence_leaves(said: str, spent: float) -> None:
    assert judged(Asked(says=said))[0].result.spent == pytest.approx(spent)


# --- which rows judge --------------------------------------------------------------------------------------


def gappy(column: str, where: range) -> dict[str, pa.Array]:
    values = ALL[column].to_pylist()
    for place in where:
        values[place] = None
    return {column: pa.array(values, ALL[column].type)}


LATE = range(400, 430)  # rows of the 21st day and half of the next
EARLIER = pa.table({**ALL, "at": pa.array([START] * ROWS, pa.timestamp("us"))}).slice(400, 50)
STRICT = made(GOOD, strict=True)
CASES = {
    "after the later of both": (Asked(), after(15), ""),
    "after the later, which is the champion": (Asked(made(GOOD, 8), made(POOR, 18)), after(18), ""),
    "labels that are not due": (
        Asked(spec={"label_delay": 2 * 86_400.0, "now": until(30)}), after(15) - 2 * A_DAY, "40 newer rows wait for their labels.",
    ),
    "without a label": (Asked(table=gappy("y", LATE)), after(15) - 30, "30 rows have no label"),
    "seen by the candidate when they were earlier": (
        Asked(made(GOOD, knows=EARLIER)), after(15) - 50, "50 rows are left out: a version had learned from them",
    ),
    "seen by the champion when they were earlier": (
        Asked(champion=made(POOR, 10, knows=EARLIER)), after(15) - 50, "50 rows are left out: a version had learned from them",
    ),
    "seen, and some without a label": (
        Asked(made(GOOD, knows=EARLIER), table=gappy("y", range(400, 410))), after(15) - 50, "40 rows are left out: a version had",
    ),
    "gaps that only the champion cannot answer": (
        Asked(champion=made(POOR, 10, strict=True), table=gappy("x", LATE)), after(15) - 30,
        "30 of 300 rows are left out: an input is missing",
    ),
    "gaps that only the candidate cannot answer": (
        Asked(STRICT, table=gappy("x", LATE)), after(15), "30 rows that only version 2 cannot answer count against it.",
    ),
    "gaps that a first version cannot answer": (
        Asked(STRICT, None, table=gappy("x", LATE)), after(15) - 30, "30 of 300 rows are left out: an input is missing",
    ),
    "gaps that neither can answer": (
        Asked(STRICT, made(POOR, 10, strict=True), table=gappy("x", LATE)), after(15) - 30, "30 of 300 rows are left out",
    ),
    "nothing to tell": (Asked(table=gappy("x", range(15))), after(15), "is better"),
}  # fmt: skip
TOLD = ("newer rows wait", "left out", "have no label", "count against")


@pytest.mark.parametrize(("asked", "rows", "says"), CASES.values(), ids=CASES)
def test_rows_judge_that_neither_knew_and_the_champion_can_answer(asked: Asked, rows: int, says: str) -> None:
    verdict, _ = judged(asked)
    assert (verdict.result.rows, says in verdict.reason) == (rows, True), verdict.reason
    assert verdict.result.outcome in ("pass", "fail")
    told = [words for words in TOLD if words in verdict.reason]
    assert len(told) == any(words in says for words in TOLD) + (says.startswith("40 rows")), verdict.reason


def test_answers_that_only_the_candidate_lacks_cost_it_the_gate() -> None:
    many = gappy("x", range(310, 590))
    assert judged(Asked(made(GOOD), made(FAIR, 10)))[0].status == "promoted"
    assert judged(Asked(STRICT, table=gappy("x", range(400, 405))))[0].status == "promoted"
    assert judged(Asked(STRICT, made(FAIR, 10), table=many))[0].status == "refused"


def test_the_holdout_is_called_after_the_later_of_both() -> None:
    for candidate, champion, day in ((15, 10, 15), (10, 15, 15)):
        _, work = judged(Asked(made(GOOD, candidate), made(POOR, champion)))
        said = evidence.last(work.state, "m", 2)
        assert said is not None
        assert said.holdout == f"d after {until(day)}"


# --- classes, decisions, baselines, slices, folds ----------------------------------------------------------

CODES = np.digitize(X + NOISE, [-0.5, 0.5])
PLACES = {"y": pa.array(np.array(["a", "b", "c"])[CODES])}
TWO = made({"x": 1.0}, kind="binary", classes=("a", "b"))
THREE = made({"x": [-2.0, 0.0, 2.0]}, 10, kind="multiclass", classes=("a", "b", "c"), bias=[0.0] * 3)
LOSS = {"metric": "log_loss"}


def test_classes_that_one_version_does_not_know_have_no_chance_with_it() -> None:
    verdict, _ = judged(Asked(TWO, THREE, table=PLACES, spec=LOSS))
    x = X[after(15) * -1 :]
    of_b = 1 / (1 + np.exp(-x))
    truth = CODES.astype(float)[after(15) * -1 :]
    each = np.stack([1 - of_b, of_b, np.zeros(len(x))], axis=1)
    raw = np.stack([-2 * x, 0 * x, 2 * x], axis=1)
    champion = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
    assert verdict.result.rows == after(15)
    assert verdict.result.candidate_metric == pytest.approx(evaluate("log_loss", truth, each))
    turned, _ = judged(Asked(replace(THREE, days=15), replace(TWO, days=10), table=PLACES, spec=LOSS))
    assert turned.result.candidate_metric == pytest.approx(evaluate("log_loss", truth, champion))
    assert turned.result.champion_metric == pytest.approx(evaluate("log_loss", truth, each))


def test_both_versions_and_the_baseline_decide_as_they_are_served() -> None:
    low = Curve(threshold=0.2)
    verdict, _ = judged(Asked(made(GOOD, curve=low), made(FAIR, 10), spec={"metric": "accuracy"}))
    truth, x = TRUE[after(15) * -1 :], X[after(15) * -1 :]
    chance = 1 / (1 + np.exp(-3 * x))
    assert verdict.result.candidate_metric == pytest.approx(((chance > 0.2) == truth).mean())
    first, _ = judged(Asked(made(GOOD, curve=low), None, spec={"metric": "accuracy"}))
    assert first.result.baseline_metric == pytest.approx(truth.mean()), "0.3 of all is above 0.2: always yes"


def test_the_baseline_knows_the_target_of_all_rows() -> None:
    target = pa.array(np.where(np.arange(ROWS) < 300, 10.0, X))
    values = made({"x": 1.0}, kind="regression")
    verdict, _ = judged(Asked(values, None, table={"y": target}, spec={"metric": "rmse"}))
    truth = np.asarray(target)[300:]
    assert verdict.result.baseline_metric == pytest.approx(
        ((truth - np.asarray(target).mean()) ** 2).mean() ** 0.5
    )


def test_a_gap_is_a_slice_of_its_own() -> None:
    reason = judged(Asked(spec={"slices": ("place",)}))[0].reason
    assert "In none of 3 slices is it shown to be worse." in reason


def of_folds(rows: int, right: bool) -> Made:
    """A version whose answers by folds are the truth, or its contrary."""
    table = pa.table(ALL).slice(0, rows)
    ids = row_ids(table, sorted(table.schema.names))
    scores = [0.9 if t is right else 0.1 for t in TRUE[:rows].tolist()]
    kept = json.dumps({"ids": [f"{int(i):016x}" for i in ids], "scores": scores}).encode()
    return Made({**made(POOR).files, "folds.json": kept}, rows // A_DAY, "folds")


@pytest.mark.parametrize(("right", "status"), [(True, "promoted"), (False, "refused")])
def test_a_version_of_folds_answers_what_it_saw_by_its_folds(right: bool, status: str) -> None:
    short = {n: c.slice(0, 60) for n, c in ALL.items()}
    verdict, work = judged(Asked(of_folds(60, right), None, table=short))
    assert (verdict.status, verdict.result.rows, verdict.result.blocks) == (status, 60, 10), verdict.reason
    said = evidence.last(work.state, "m", 2)
    assert said is not None
    assert said.holdout == "d by folds"
    assert ("Judged by cross-validation" in verdict.reason) is right


def test_few_days_by_folds_are_blocks_of_neighbours_in_time() -> None:
    days = 86_400_000_000
    when = np.array([5, 1, 4, 0, 3, 2, 7, 6, 9, 8] * 2) * days // 20
    rows = holdout.Rows(pa.table({}), np.arange(20, dtype=np.uint64), when)
    found = holdout.blocks_of(rows, (), folds=True)
    assert found is not None
    by_time = found[np.argsort(when, kind="stable")].tolist()
    assert by_time == sorted(by_time)
    assert len(set(by_time)) == 10
    apart = replace(rows, when=np.arange(20) * days)
    assert holdout.blocks_of(apart, (), folds=True).tolist() == list(range(20))  # type: ignore[union-attr]


LUCK = {
    "of folds": (split.BY_FOLDS, 300, 0.7),
    "of a twin, the window against the rows before it": (split.BY_TWIN, 300, 1.0),
    "of a small window": (split.BY_TWIN, 60, 60 / 540),
    "of all rows": (split.BY_TWIN, 600, 600.0),
    "of what learned from a part": (split.BY_TIME, 300, 0.0),
    "of what learned from the ids of a part": (split.BY_ID, 300, 0.0),
}  # fmt: skip


@pytest.mark.parametrize(("by", "judged_rows", "luck"), LUCK.values(), ids=LUCK)
def test_the_luck_of_fitting_is_counted_beside_that_of_rows(by: str, judged_rows: int, luck: float) -> None:
    """Of folds as measured, of a window the share of the rows that judge (Nadeau and Bengio 2003)."""
    tuned = Tuned(1, None, by, None, ("id",), "at")
    none: Any = None
    fresh = gate._Version(version_row(1, rows=600), none, tuned)
    assert gate._luck(fresh, judged_rows) == pytest.approx(luck)


# --- looks -------------------------------------------------------------------------------------------------

IDS = row_ids(pa.table(ALL).slice(300), ("id",))
OTHERS = np.arange(10_000, 10_300, dtype=np.uint64)
LOOKS = {
    "the same rows": (holdout.sketch(IDS), "id", "x", 2),
    "seven of ten": (holdout.sketch(np.r_[IDS[:210], OTHERS[:90]]), "id", "x", 2),
    "three of ten": (holdout.sketch(np.r_[IDS[:90], OTHERS[:210]]), "id", "x", 1),
    "other rows": (holdout.sketch(OTHERS), "id", "x", 1),
    "rows that are told apart by other columns": (holdout.sketch(OTHERS), "at,id", "x", 2),
    "an old look at a holdout of this name": (None, None, f"d after {until(15)}", 2),
    "an old look at another": (None, None, "d after another day", 1),
}


class _BeforeLooks:
    """A change by a tilth that did not keep the rows of a look."""

    def __init__(self, change: Any) -> None:
        self._change = change

    def write(self, query: str, **values: Any) -> None:
        if query != "add_look":
            self._change.write(query, **values)


@pytest.mark.parametrize(("sketch", "marks", "name", "uses"), LOOKS.values(), ids=LOOKS)
def test_a_look_counts_those_before_at_mostly_its_rows(sketch: Any, marks: Any, name: str, uses: int) -> None:
    work = stocked()
    with work.state.change(BY, show_instant(NOW)) as change:
        seen: Any = change if sketch is not None else _BeforeLooks(change)
        evidence.add(seen, replace(verdict_of(7, 1), holdout=name, lower=0.0), sketch, marks)
        change.audit("gate", "m", {})
    verdict, _ = judged(Asked(), work)
    assert verdict.result.uses == uses


def test_a_second_candidate_s_look_is_the_second() -> None:
    _, work = judged(Asked())
    second, _ = judged(Asked(made(FAIR)), work, 3)
    assert (second.version, second.champion, second.result.uses) == (3, 1, 2)


# --- answers -----------------------------------------------------------------------------------------------

CAN = np.array([True, True, True, False, False])
WORST = {
    "of two classes the least for a yes and the greatest for a no": (
        [0.2, 0.5, 0.9, np.nan, np.nan], [1.0, 0.0, 1.0, 1.0, 0.0], [0.2, 0.9],
    ),
    "of values as far off as the worst": ([1.0, 5.0, 9.0, np.nan, np.nan], [2.0, 9.0, 9.0, 10.0, 0.0], [14.0, 4.0]),
    "of several the row that gives the truth least": (
        [[0.2, 0.8, 0.0], [0.6, 0.1, 0.3], [0.5, 0.3, 0.2], [np.nan] * 3, [np.nan] * 3], [0.0, 1.0, 2.0, 0.0, 1.0],
        [[0.2, 0.8, 0.0], [0.6, 0.1, 0.3]],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("scores", "truth", "worst"), WORST.values(), ids=WORST)
def test_a_row_without_an_answer_counts_as_the_worst_of_its_kind(scores: Any, truth: Any, worst: Any) -> None:
    found = answers.adverse(np.array(scores), CAN, np.array(truth))
    assert found[:3].tolist() == scores[:3]
    assert found[3:].tolist() == worst


# --- rows that count as a column says ----------------------------------------------------------------------

ASTRAY = np.arange(ROWS) % 3 != 0
OPPOSITE = pa.array(np.where(ASTRAY, X < 0.5, TRUE))  # two of three rows tell the opposite


@pytest.mark.parametrize(
    ("weight", "status"),
    [(None, "refused"), (np.where(ASTRAY, 0.001, 1.0), "promoted")],
    ids=["all count the same", "those that tell the opposite count little"],
)
def test_the_gate_counts_rows_as_the_objective_says(weight: np.ndarray | None, status: str) -> None:
    columns = {"y": OPPOSITE} | ({} if weight is None else {"w": pa.array(weight)})
    asked = Asked(made(GOOD, 0), None, table=columns, spec={} if weight is None else {"weight": "w"})
    said, _ = judged(asked)
    assert said.status == status, said.reason
    truth, scores = np.asarray(OPPOSITE), 1 / (1 + np.exp(-3.0 * X))
    own = said.result.rows
    expected = evaluate(
        "roc_auc", truth[-own:].astype(float), scores[-own:], weight=None if weight is None else weight[-own:]
    )
    assert said.result.candidate_metric == pytest.approx(expected)
