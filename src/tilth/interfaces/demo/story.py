"""The story of `tilth demo`: steps over one scene, each real, each with a line to read and figures that are kept.

The loop itself is here: plan, apply, predict, serve, and five months day by day. What goes wrong on purpose is in
`mishaps`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

from tilth.core.errors import TilthError
from tilth.interfaces.demo import data, mishaps
from tilth.interfaces.demo.scene import DATASET, END, FIGURES, MODEL, START, Scene, hold, instant, live
from tilth.interfaces.demo.serving import Server
from tilth.ports.progress import Progress

AHEAD = timedelta(days=3)  # of the last month, for the days on which things go wrong
ROUNDS = 3  # of measuring, of which the best counts

BATCH = "SELECT p.flight_id, m.arr_late, m.arr_late_probability FROM {} p JOIN late m"


@dataclass(frozen=True, slots=True)
class Told:
    """A step that is over."""

    number: int
    title: str
    text: str
    seconds: float
    held: bool


Tell = Callable[[Told], None]


def tell_story(root: str, progress: Progress, tell: Tell) -> tuple[dict[str, Any], bool]:
    """Play all steps in a new folder: the figures, and whether every step held."""
    began = time.monotonic()
    scene = setting(root, progress)
    held = True
    try:
        for number, (title, play) in enumerate(STEPS, 1):
            told = _play(scene, number, title, play)
            held = held and told.held
            tell(told)
        counted = _counted(scene)
    finally:
        scene.server.stop()
        scene.project.close()
    counted |= {"seconds": round(time.monotonic() - began, 1)}
    figures = {name: {**counted, **scene.figures}.get(name) for name in FIGURES}
    return figures, held and None not in figures.values()


def _play(scene: Scene, number: int, title: str, play: Callable[[Scene], str]) -> Told:
    began = time.monotonic()
    try:
        text, held = play(scene), True
    except TilthError as error:
        text, held = str(error), False
    return Told(number, title, text, time.monotonic() - began, held)


def setting(root: str, progress: Progress) -> Scene:
    """The project as `tilth init` makes it, on the morning of the first of May, with the airline's systems around it."""
    from tilth.adapters.clocks import FileClock
    from tilth.app.project import Project
    from tilth.interfaces.demo.airline import Airline
    from tilth.interfaces.demo.templates import create
    from tilth.sql.language.statements import CreateDataset

    progress.step("read the flights of 2013")
    create(root, "flights", START)
    path = os.path.join(root, "clock")
    clock = FileClock(path)
    clock.set(instant(START))
    project = Project(root, clock)
    query = project.graph().get(DATASET).as_(CreateDataset).query.sql
    airline = Airline(os.path.join(root, "data"), query, START, END + AHEAD)
    server = Server(root, project.home, path, os.path.join(root, "server.log"))
    scene = Scene(root, project, clock, airline, server, progress)
    scene.edit("datasets.sql", r"-- (FRESH WITHIN '2 days' +ON FAIL WARN,) *--[^\n]*", r"\1")
    return scene


# --- steps -------------------------------------------------------------------------------------------------


def plan(scene: Scene) -> str:
    """What would change, and why."""
    began = time.perf_counter()
    found = scene.project.plan()
    took = time.perf_counter() - began
    hold(len(found.actions) >= 6, "a new project plans its sources, datasets, models and endpoint")
    names = ", ".join(a.name for a in found.actions)
    return f"{len(found.actions)} actions ({names}), decided in {took * 1000:.0f} ms; nothing is changed yet."


def apply(scene: Scene) -> str:
    """Collect, vet, train, judge, sign, publish."""
    done = scene.apply()
    hold(not done.refusals, "the first models pass their gates")
    hold(not scene.project.plan().actions, "a second apply has nothing to do")
    gate = next(g for g in scene.rows("SELECT * FROM tilth.gates") if g["model"] == MODEL)
    metrics = next(v.facts for v in scene.versions(MODEL) if v.version == 1)
    scene.figures["roc_auc_first"] = round(gate["candidate_metric"], 4)
    scene.figures["baseline_roc_auc"] = round(metrics["baselines"]["linear"]["roc_auc"], 4)
    rows = scene.number("SELECT count(*) FROM departures")
    return (
        f"{rows:,} flights of four months collected and vetted, two models trained in jailed workers, judged and signed; "
        f"`late` has roc_auc {gate['candidate_metric']:.3f} on the newest tenth (a linear model "
        f"{metrics['baselines']['linear']['roc_auc']:.3f}, guessing 0.5)."
    )


def batch(scene: Scene) -> str:
    """All planned flights of May in SQL; and how fast that is, over all flights there are."""
    import pyarrow.compute as pc

    from tilth.runtime.loading import version_of

    began = time.perf_counter()
    may = scene.project.sql(BATCH.format("planned")).arrow()
    took = time.perf_counter() - began
    planned = scene.number("SELECT count(*) FROM planned")
    hold(may.num_rows == planned > 0, "every planned flight has a prediction")
    table = scene.project.sql("SELECT * FROM departures").arrow()
    (model,) = version_of(scene.project.work(), MODEL, 1).parts
    matrix = model.matrix(table)
    model.raw(matrix)  # the threads are up
    sql, raw = 1e9, 1e9
    for _ in range(ROUNDS):
        began = time.perf_counter()
        scene.project.sql(BATCH.format("departures")).arrow()
        sql = min(sql, time.perf_counter() - began)
        began = time.perf_counter()
        model.raw(matrix)
        raw = min(raw, time.perf_counter() - began)
    rate, raw_rate = table.num_rows / sql, table.num_rows / raw
    scene.figures |= {"batch_rows_per_second": round(rate), "raw_model_rows_per_second": round(raw_rate)}
    expected = pc.mean(may["arr_late_probability"]).as_py()
    came = pc.mean(data.flights(START, START + data.DAY * 31)["arr_late"]).as_py()
    scene.figures |= {"expected_late": round(expected, 4), "came_late": round(came, 4)}
    return (
        f"SELECT ... FROM planned p JOIN late m: {may.num_rows:,} planned flights of May in {took:.2f} s, with a mean "
        f"probability of {expected:.1%} to be late; {came:.1%} of May's flights came late. Over all {table.num_rows:,} flights {rate:,.0f} rows/s, with reading and preparing; the bare model "
        f"on a ready matrix {raw_rate:,.0f}."
    )


def serve(scene: Scene) -> str:
    """`tilth up`, and one prediction over HTTP."""
    up = scene.server.start()
    inputs = scene.project.model(MODEL).inputs
    flights = scene.airline.planned(START, START + data.DAY).select(["flight_id", *inputs]).to_pylist()
    evening = next(f for f in flights if f["sched_dep"].hour >= 18 and f["origin"] == "JFK")
    client = scene.server.client(scene.answers)
    began = time.perf_counter()
    answer = client.ask(msgspec.json.encode(evening))
    took = time.perf_counter() - began
    client.close()
    hold(answer is not None, "the server answers")
    assert answer is not None
    chance = answer["arr_late_probability"]
    return (
        f"tilth up answers after {up:.1f} s. {evening['carrier']} from JFK to {evening['dest']}, {evening['sched_dep']:%H:%M}: "
        f"{chance:.0%} to be late, by version {answer['version']}, in {took * 1000:.1f} ms."
    )


def months(scene: Scene) -> str:
    """May to September, day by day: served, logged, watched, retrained."""
    inputs = list(scene.project.model(MODEL).inputs)
    client = scene.server.client(scene.answers)
    days = (END - scene.day).days
    try:
        for number in range(days):
            live(scene, client, inputs, note=f"day {number + 1} of {days}", done=number / days)
    finally:
        client.close()
    hold(scene.answers.failed == 0, f"no request failed ({scene.answers.failed} did)")
    retrained = [v for v in scene.versions(MODEL) if v.version > 1]
    won = [v for v in retrained if v.status == "promoted"]
    hold(retrained, "the rule retrained the model")
    hold(won, "a candidate won")
    scene.figures["retrains"] = len(retrained)
    scene.figures["roc_auc_last"] = round(_newest_gate(scene)["candidate_metric"], 4)
    story = "\n".join(f"{line}" for line in _events(scene))
    return (
        f"{days} days, {scene.answers.rows:,} predictions in {scene.answers.requests:,} requests, none failed; "
        f"retrained {len(retrained)} times unattended, {len(won)} won.\n{story}"
    )


def _newest_gate(scene: Scene) -> dict[str, Any]:
    """The last gate that let a version of the model into production."""
    gates = scene.rows("SELECT * FROM tilth.gates ORDER BY recorded_at")
    return [g for g in gates if g["model"] == MODEL and g["outcome"] == "pass"][-1]


def _events(scene: Scene) -> Iterator[str]:
    """A line a month with the quality seen, and one for each candidate."""
    looks = scene.rows(f"SELECT * FROM tilth.quality WHERE model = '{MODEL}' ORDER BY recorded_at")
    gates = scene.rows(
        f"SELECT * FROM tilth.gates WHERE model = '{MODEL}' AND candidate > 1 ORDER BY recorded_at"
    )
    reasons = {v.version: v.reason for v in scene.versions(MODEL)}
    for month in range(START.month, END.month):
        of_month = [one for one in looks if _month(one["recorded_at"]) == month]
        seen = [one["value"] for one in of_month if one["value"] is not None]
        drift = [one["drift"] for one in of_month if one["drift"] is not None]
        name = datetime(2013, month, 1).strftime("%B")  # noqa: DTZ001
        if seen and drift:
            yield f"{name}: realised roc_auc {min(seen):.2f} to {max(seen):.2f}, drift up to {max(drift):.2f}"
        for gate in gates:
            if _month(gate["recorded_at"]) == month:
                yield f"  {gate['recorded_at']:%d %b}: {reasons[gate['candidate']]!s}; {_verdict(gate)}"


def _verdict(gate: dict[str, Any]) -> str:
    """What became of a candidate, against which champion, and how sure that is."""
    word = {"pass": "promoted", "fail": "refused"}.get(gate["outcome"], "held")
    said = f"version {gate['candidate']} {word}: {gate['candidate_metric']:.3f}"
    if gate["champion_metric"] is None:
        return said
    return f"{said} against {gate['champion_metric']:.3f}, a gain of {gate['lower']:+.3f} to {gate['upper']:+.3f}"


def _month(at: datetime) -> int:
    return (at - timedelta(seconds=1)).month


# --- the whole ---------------------------------------------------------------------------------------------


def _counted(scene: Scene) -> dict[str, Any]:
    """Figures that stand in the state."""
    if not scene.project.applied:
        return {}
    gates = scene.rows("SELECT outcome, champion FROM tilth.gates")
    whole = scene.all_answers()
    return {
        "rows_collected": scene.number("SELECT count(*) FROM departures"),
        "rows_quarantined": int(scene.number("SELECT coalesce(sum(rows), 0) FROM tilth.quarantine")),
        "checks_run": scene.number("SELECT count(*) FROM tilth.check_results"),
        "models_trained": len(scene.versions()),
        "promotions": sum(g["outcome"] == "pass" and g["champion"] is not None for g in gates),
        "refusals": sum(g["outcome"] != "pass" for g in gates),
        "http_requests": whole.requests,
        "http_failed": scene.answers.failed,
    }


STEPS: tuple[tuple[str, Callable[[Scene], str]], ...] = (
    ("plan", plan),
    ("apply", apply),
    ("predict a month in SQL", batch),
    ("serve", serve),
    ("May to September, day by day", months),
    ("a bad day", mishaps.bad_day),
    ("a bad release", mishaps.bad_release),
    ("a development environment", mishaps.development),
    ("promotion and rollback under load", mishaps.promotion),
    ("a flipped bit", mishaps.flipped_bit),
    ("kill -9", mishaps.kills),
    ("the audit", mishaps.audit),
)
