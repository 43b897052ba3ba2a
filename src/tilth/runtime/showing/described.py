"""What `describing` found, for people: a head of `name: value` lines, and a section with columns for each list. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tilth.core.figures import edge, figure, sql_text
from tilth.runtime.showing import forecasts, searched, understood

WIDE = 50  # of a list of values in a cell, in characters


@dataclass(frozen=True, slots=True)
class Section:
    """Rows under a title; the first column is the name."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


def head(facts: Mapping[str, Any]) -> list[str]:
    """What it is, whether it is deployed, and what it is made from."""
    return [_what(facts), *(line for line in _lineage(facts) if line)]


def _what(facts: Mapping[str, Any]) -> str:
    name = f"{facts['kind']} {facts['name']}"
    if not facts["deployed"]:
        return f"{name} is declared in the files and not deployed in {facts['environment']}: `tilth plan` says what it would make."
    also = "; the files declare it otherwise: `tilth plan` says how" if facts["files_differ"] else ""
    return f"{name} is deployed in {facts['environment']}{also}."


def _lineage(facts: Mapping[str, Any]) -> Iterator[str]:
    yield from (
        f"{words} {', '.join(facts[key])}."
        for key, words in (("made_from", "Made from"), ("used_by", "Used by"))
        if facts[key]
    )
    if facts["kind"] == "source":
        yield f"It does not answer: {facts['error']}" if facts["error"] else f"Engine {facts['engine']}."
    if facts["kind"] == "dataset":
        yield from _dataset(facts)
    if facts["kind"] == "model":
        yield from _model(facts)
    if facts["kind"] == "channel":
        yield f"Tells {', '.join(facts['events'])} of {facts['model'] or 'every model'}."
    if facts["kind"] in ("job", "trigger"):
        yield from _scheduled(facts)
    if facts["kind"] == "view":
        reads = [*facts["reads"], *facts["made_from"]]
        yield f"A query over {', '.join(reads) or 'nothing'}, answered when it is asked."
    if facts["kind"] == "endpoint":
        version = (
            f"version {facts['version']} answers, stage {facts['stage']}"
            if facts["version"]
            else "no version yet"
        )
        yield f"POST {facts['path']}, model {facts['model']}: {version}."
        if looked := facts.get("look_up"):
            yield f"A request may leave out {', '.join(looked['columns'])} and give {', '.join(looked['key'])}: they are looked up in {looked['dataset']}, snapshot {(looked['snapshot'] or 'none')[:12]}; a key that is not there is {'answered with gaps' if looked['else'] == 'gaps' else 'refused'}."


def _scheduled(facts: Mapping[str, Any]) -> Iterator[str]:
    yield f"It runs in {facts['runs_in']} alone, with the rights of {facts['declared_by'] or 'whoever declares it'}."
    if facts["error"]:
        yield f"It failed {facts['failures']} times in a row: {facts['error']}"
    if facts["last_done"]:
        yield f"Last done {facts['last_done'][:19]}: {facts['said']}"


def _dataset(facts: Mapping[str, Any]) -> Iterator[str]:
    if facts["rows"] is not None:
        newest = f", the newest of {facts['newest'][:19]}" if facts["newest"] else ""
        yield f"{facts['rows']:,} rows ({facts['bytes'] / 1e6:.1f} MB){newest}; {facts['quarantined']:,} in quarantine."
    key, time = ", ".join(facts["key"]), facts["event_time"]
    known = f", KNOWN AT {facts['known_at']}" if facts["known_at"] else ""
    yield f"KEY {f'({key})' if key else 'none'}, EVENT TIME {time or 'none'}{known}."
    if facts["leakage"]:
        yield f"Leakage {facts['leakage']}."


def _model(facts: Mapping[str, Any]) -> Iterator[str]:
    if facts["version"] is None:
        yield "No version serves: `tilth status` says what is held or failed, and `tilth apply` trains one."
        return
    yield f"Version {facts['version']} ({facts['engine']}, {facts['status']}) of {facts['rows']:,} rows, trained {facts['trained_at'][:19]}."
    if "forecast" in facts:
        yield from forecasts.sentences(facts)
    for one in () if "forecast" in facts else of_each(facts):
        of = f"{one['output']}: " if "output" in one else ""
        yield f"Predicts {one['target']} ({one['task']}): {one['metric']} {_figure(one['value'])}."
        yield from (of + said for said in understood.sentences(one))
        if words := searched.words(one["search"]):
            yield of + words
    if facts["gate"]:
        yield f"Gate: {facts['gate']['outcome']}: {facts['gate']['reason']}"


def of_each(facts: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The facts of a model of each of its targets: itself, where there is one."""
    return facts.get("targets") or [facts]


def sections(facts: Mapping[str, Any]) -> list[Section]:
    """The lists of what is known, those that are not empty."""
    return [s for s in _sections(facts) if s.rows]


def _sections(facts: Mapping[str, Any]) -> Iterator[Section]:
    if facts["kind"] == "source":
        yield from _of_source(facts["tables"])
        faults = [(t["name"], t["error"]) for t in facts["tables"] if t["error"]]
        yield Section("cannot be read", ("table", "why"), tuple(faults))
        more = facts["more_tables"]
        yield Section("more", ("tables",), ((f"{more} that are not shown",),) if more else ())
    if facts["kind"] == "dataset":
        yield from _of_dataset(facts)
    if facts["kind"] in ("model", "endpoint"):
        yield from _of_model(facts)
    yield Section("to know", ("notice",), tuple((t,) for t in facts.get("notices", ())))
    yield Section("example", ("door", "request"), tuple((facts.get("example") or {}).items()))
    yield Section("definition", ("text",), ((facts["definition"],),))


def _room(room: float | None) -> str:
    """How near to its bounds a check came."""
    return "" if room is None else f"{round(100 * room)} %"


def _of_source(tables: Sequence[Mapping[str, Any]]) -> Iterator[Section]:
    unseen = [(t["name"], t["unseen"]) for t in tables if t.get("unseen")]
    yield Section("tables that are copied to be read", ("table", "columns"), tuple(unseen))
    told = [(t["name"], t["comment"]) for t in tables if t.get("comment")]
    yield Section("tables", ("table", "comment"), tuple(told))
    rows = [(f"{t['name']}.{c['name']}", c["type"], c.get("comment")) for t in tables for c in t["columns"]]
    said = any(comment for _, _, comment in rows)
    names = ("column", "type", "comment") if said else ("column", "type")
    yield Section("columns", names, tuple(r[: len(names)] for r in rows))
    items = [(t["name"], o) for t in tables for o in t.get("offered", ())]
    good = [(name, o["item"], o["was"]) for name, o in items if o["item"]]
    yield Section("checks to take over", ("table", "EXPECT", "was"), tuple(good))
    left = [(name, o["was"], o["why"]) for name, o in items if not o["item"]]
    yield Section("checks that have no like", ("table", "was", "why"), tuple(left))


def _of_dataset(facts: Mapping[str, Any]) -> Iterator[Section]:
    columns = ("name", "type", "nullable", "tag")
    yield Section("columns", columns, tuple(tuple(c[k] for k in columns) for c in facts["columns"]))
    names = ("expectation", "on_fail", "holds", "since", "room", "failed", "rows", "observed")
    checks = [
        (
            c["expectation"],
            c["on_fail"],
            c["passed"],
            (c["since"] or "")[:19].replace("T", " "),
            _room(c["room"]),
            c["failed"],
            c["rows"],
            c["observed"],
        )
        for c in facts["checks"]
    ]
    yield Section("checks", names, tuple(checks))
    keys = ("at", "status", "rows_read", "rows_quarantined", "days_healed", "reason")
    last = [(r["at"][:19].replace("T", " "), *(r[k] for k in keys[1:])) for r in facts["refreshes"]]
    yield Section("refreshes", keys, tuple(last))


def _of_model(facts: Mapping[str, Any]) -> Iterator[Section]:
    inputs = [
        (
            i["name"],
            i["type"],
            "required" if i["required"] else "optional",
            _seen(i),
            _figure(i["importance"]),
        )
        for i in facts["inputs"]
    ]
    yield Section("inputs", ("input", "type", "given", "seen in training", "importance"), tuple(inputs))
    outputs = [(o["name"], o["type"], o["meaning"]) for o in facts["outputs"]]
    yield Section("outputs", ("output", "type", "meaning"), tuple(outputs))
    if "forecast" in facts:
        yield from _ahead(facts["forecast"])
    for one in () if "forecast" in facts else of_each(facts):
        yield from _of_target(one, facts, f" of {one['output']}" if "output" in one else "")
    gaps = dict.fromkeys((("required" if i["required"] else "optional"), i["gap"]) for i in facts["inputs"])
    yield Section("without a value", ("input", "what happens"), tuple(gaps))


def _ahead(about: Mapping[str, Any]) -> Iterator[Section]:
    """What a forecast is made of, and its errors by step."""
    for one in about["targets"]:
        of = f" of {one['target']}" if len(about["targets"]) > 1 else ""
        made = [(m, _figure(w), _figure(r), why) for m, w, r, why in forecasts.members(one)]
        yield Section(f"members{of}", ("member", "weight", "error of the naive's", "why none"), tuple(made))
        steps = [(step, *map(_figure, more)) for step, *more in forecasts.by_step(one)]
        yield Section(f"by step{of}", ("step", "mase", "bias", "coverage"), tuple(steps))


def _of_target(facts: Mapping[str, Any], model: Mapping[str, Any], of: str) -> Iterator[Section]:
    """The lists of figures of one target."""
    baselines = facts.get("baselines") or {}
    names = tuple(sorted(baselines))
    metrics = [
        (m, _figure(v), *(_figure(baselines[b].get(m)) for b in names))
        for m, v in (facts.get("metrics") or {}).items()
    ]
    yield Section(f"metrics{of}", ("metric", "model", *(f"baseline {b}" for b in names)), tuple(metrics))
    yield Section(f"weak slices{of}", understood.WEAK, tuple(understood.weak_rows(facts.get("weak"))))
    simpler = understood.simpler_rows({**facts, "inputs": model["inputs"]})
    yield Section(f"simpler models{of}", understood.SIMPLER, tuple(simpler))
    yield Section(f"trials{of}", searched.TRIALS, tuple(searched.rows(facts.get("search"))))


def _seen(one: Mapping[str, Any]) -> str:
    if one["range"]:
        return " to ".join("?" if v is None else edge(v) for v in one["range"])
    if one["categories"]:
        return _listed(one["categories"], more=one["more_categories"])
    return ""


def _listed(values: Sequence[str], *, more: bool) -> str:
    """As many values as a cell of a table holds, and `...` where there are more."""
    out = ""
    for value in values:
        if len(out) + len(value) > WIDE:
            return f"{out}..."
        out += f"{value}, "
    return f"{out}..." if more else out.removesuffix(", ")


def _figure(value: float | None) -> str | None:
    return None if value is None else figure(value)


def flat(facts: Mapping[str, Any]) -> list[dict[str, str | None]]:
    """A row a thing: where it belongs, its name, its type, and the rest as `column: value`."""
    out = [_row("about", facts["name"], facts["kind"], line) for line in head(facts)]
    for section in sections(facts):
        for row in section.rows:
            said = dict(zip(section.columns, row, strict=True))
            kind = said.pop("type", None)
            name = said.pop(section.columns[0]) if len(section.columns) > 1 else None
            rest = (
                said.values()
                if len(said) == 1
                else (f"{k}: {sql_text(v)}" for k, v in said.items() if v is not None)
            )
            out.append(_row(section.title, name, kind, ", ".join(sql_text(v) for v in rest)))
    return out


def _row(part: str, name: Any, kind: Any, says: str) -> dict[str, str | None]:
    return {
        "part": part,
        "name": None if name is None else sql_text(name),
        "type": None if kind is None else sql_text(kind),
        "says": says,
    }
