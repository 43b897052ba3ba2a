"""`tilth suggest`: checks that a dataset could have, from its published rows, and into its declaration when asked.

The declaration is changed by adding items to its EXPECT, or by adding one: all else of the file stays as it is. The file is
written whole or not at all, and read again before.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tilth.adapters.files import durable
from tilth.core.canonical import canonical, digest
from tilth.core.errors import DataError, ProjectError, TilthError, UnknownNameError
from tilth.core.names import did_you_mean, in_query, literal, quoted
from tilth.core.schema import DataType, Schema
from tilth.core.time import naive, show_duration
from tilth.ml.data import reading, snapshots
from tilth.ml.data.suggesting import looked, past, proposing
from tilth.ml.data.suggesting.proposing import MOST, Failed, Proposal, Refusal, Tried
from tilth.ports.snapshots import Manifest
from tilth.ports.source import Source
from tilth.sql.language.statements import CheckKind, CreateDataset, Kind
from tilth.sql.language.tokens import tokens_of

if TYPE_CHECKING:
    from tilth.app.project import Project
    from tilth.ml.data.usual import judging
    from tilth.ports.engine import QueryEngine
    from tilth.ports.history import History, States
    from tilth.resources.kinds import Resource

TABLES = 30  # of a source that are looked at for what a column refers to
LOOKUP = 200_000  # rows of such a table at most
OFTEN = 2  # times more rows, from which on a table is one that is looked up, and not where the rows come from
REFERRING = frozenset({DataType.INTEGER, DataType.STRING, DataType.UUID})
REFRESHES = 5  # of which freshness is learned, the fewest
USUAL = "USUAL (volume, nulls, distribution) FALSE ALARMS '1 per quarter'"


@dataclass(frozen=True, slots=True)
class Suggested:
    """The best first; what was left out, with the reason; the file that was written, if it was."""

    dataset: str
    rows: int
    held_out: int
    proposals: tuple[Proposal, ...]
    left_out: tuple[Refusal, ...]
    more: int = 0  # proposals beyond the most
    file: str | None = None
    unasked: int = 0  # refreshes, the oldest, whose rows were too many to ask again

    def facts(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "dataset": self.dataset, "rows": self.rows, "held_out": self.held_out, "more": self.more, "file": self.file,
            "unasked": self.unasked,
            "proposals": [{**asdict(p), "columns": list(p.columns), "item": p.item, "caught": p.caught} for p in self.proposals],
            "left_out": [asdict(r) for r in self.left_out],
        }  # fmt: skip


def suggest(project: Project, name: str, environment: str | None = None, *, write: bool = False) -> Suggested:
    """Checks for a dataset of which a snapshot is published; DataError where there is none, UnknownNameError for another name."""
    where = environment or project.settings.environment
    graph = project.deployed(where)
    resource = graph.find(name.lower())
    if resource is None or resource.kind is not Kind.DATASET:
        known = [r.name for r in graph.of_kind(Kind.DATASET)]
        raise UnknownNameError(
            f"There is no dataset `{name}` in {where}.", hint=did_you_mean(name, known, "datasets")
        )
    from tilth.runtime.record import snapshots as recorded

    work = project.looked()
    with work.state.reading() as reader:
        current = recorded.current(reader, where).get(resource.name)
        if current is None:
            raise DataError(
                f"Dataset `{name}` has no snapshot.", hint=f'Run: tilth sql "REFRESH DATASET {name}"'
            )
        before = [
            s
            for s in recorded.all_of(reader)
            if s.dataset == current.dataset and s.id != current.id and s.created_at <= current.created_at
        ]
    kept = [past.Kept(naive(s.created_at), s.manifest) for s in (*before, current)]
    found = _found(project, resource, kept)
    return (
        replace(found, file=_write(project, resource.name, found.proposals))
        if write and found.proposals
        else found
    )


def _found(project: Project, resource: Resource, kept: Sequence[past.Kept]) -> Suggested:
    manifest = kept[-1].manifest
    work, spec, schema = project.looked(), resource.as_(CreateDataset), manifest.schema
    event = schema.field(spec.event_time).name if spec.event_time else None
    relation = snapshots.relation(manifest, work.blobs)
    rows = looked.cut(relation, event, manifest.rows, work.engine)
    own = {
        event,
        spec.known_at and schema.field(spec.known_at).name,
        *(schema.field(k).name for k in spec.key),
    }
    names = [
        f.name
        for f in schema
        if f.name not in own and f.name.lower() not in {t.column.lower() for t in spec.tags}
    ]
    said = looked.look(rows, schema, names if manifest.rows >= proposing.LEAST else ())
    taken = set(_named(spec, schema))
    made, refused = proposing.propose(rows, said, spec.key, taken)
    tests = [past.Test(p, past.failing(p.check, p.columns, schema)) for p in made]
    replayed: list[Proposal] = []
    if said.total >= proposing.LEAST:
        replayed = [*_usual(project, resource, manifest, relation), *_fresh(project, spec)]
        tests += _references(project, resource, schema, rows, [n for n in names if n not in taken])
    tests.sort(key=lambda t: (-t.proposal.worth, t.proposal.check))
    asked, unasked = past.tried(tests[:MOST], kept, rows.periods, work.blobs, work.engine)
    best = sorted([*asked, *replayed], key=lambda p: (-p.worth, p.check))
    more = max(len(tests) + len(replayed) - MOST, 0)
    return Suggested(
        resource.name, said.total, said.held_out, tuple(best[:MOST]), tuple(refused), more, None, unasked
    )


def _named(spec: CreateDataset, schema: Schema) -> Iterator[str]:
    """Columns that a check of rows names already."""
    for e in spec.expect:
        words = {t.text.lower() for t in tokens_of(e.expression)} if e.kind is CheckKind.ROW else set()
        yield from (f.name for f in schema if f.name.lower() in words)


# --- of the dataset's past and of other tables -------------------------------------------------------------


def _usual(project: Project, resource: Resource, manifest: Manifest, relation: Any) -> Iterator[Proposal]:
    """What is usual, where the history is long enough and the newest period is as it says."""
    from tilth.kinds import parse_one
    from tilth.ml.data.usual import judging
    from tilth.ports.history import States
    from tilth.runtime.record import states

    spec, work = resource.as_(CreateDataset), project.looked()
    if spec.event_time is None or any(e.usual for e in spec.expect):
        return
    parsed = parse_one(f"CREATE DATASET d EVENT TIME t EXPECT ({USUAL}) AS SELECT 1")
    assert isinstance(parsed, CreateDataset)
    ends = [(p.event_min, p.event_max) for p in manifest.parts if p.event_min and p.event_max]
    span = (min(a for a, _ in ends), max(b for _, b in ends)) if ends else None
    data = judging.Data(
        replace(spec, expect=parsed.expect), "", manifest.schema, [("", relation)], relation, manifest.rows,
        manifest.watermark, span, project.clock.now(),
    )  # fmt: skip
    history = replace(states.history(work.state, resource.name, ""), refreshes=())
    counted = States()
    results = judging.judge(data, history, counted, work.engine).results
    if all(r.judged and r.passed for r in results):
        evidence = next(r.observed or "" for r in results if r.check == "USUAL volume")
        yield Proposal(
            "usual", USUAL, "WARN", evidence, 1.0, (), tuple(_replayed(data, history, counted, work.engine))
        )


def _replayed(data: judging.Data, history: History, counted: States, engine: QueryEngine) -> Iterator[Tried]:
    """What USUAL would have said of each period of the history, by those before it."""
    from tilth.ml.data.usual import judging
    from tilth.ml.data.usual.calendar import words

    found = judging.replay(data, history, counted, engine)
    asked = [
        Failed(f"{words(r.at, r.grain)[0]} ({', '.join(r.off)})" if r.off else "", len(r.off), 0, 0)
        for r in found
    ]
    if found:
        yield past.told(f"{found[0].grain.name}s", asked)


def _fresh(project: Project, spec: CreateDataset) -> Iterator[Proposal]:
    """Twice the greatest age that the newest row had at a refresh."""
    from tilth.runtime.record import states

    if spec.event_time is None or any(e.kind is CheckKind.FRESH for e in spec.expect):
        return
    before = states.history(project.looked().state, spec.name, "").refreshes
    ages = [naive(p.at) - datetime.fromisoformat(p.watermark) for p in before if p.watermark]
    if len(ages) < REFRESHES:
        return
    hours = max(1, round(2 * max(ages) / timedelta(hours=1)))
    words = show_duration(timedelta(hours=hours))
    evidence = f"the newest row was at most {show_duration(timedelta(seconds=int(max(ages).total_seconds())))} old at {len(ages):,} refreshes"
    tried = Tried(past.REFRESHES, len(ages), (), len(ages))  # twice the greatest age is never reached
    yield Proposal("fresh", f"FRESH WITHIN {literal(words)}", "WARN", evidence, 0.85, (), (tried,))


def _references(
    project: Project, resource: Resource, schema: Schema, rows: looked.Rows, names: Sequence[str]
) -> Iterator[past.Test]:
    """Columns whose values are all found in a column of the same name that is unique in another table of its sources."""
    from tilth.runtime import sources as opening

    work = project.looked()
    read = {(t.source, t.table) for t in resource.tables}
    graph = project.deployed()
    with opening.opened(graph, work.root, {source for source, _ in read}) as opened:
        for source, found in opened.items():
            for table in found.tables()[:TABLES]:
                for name in names:
                    made = _reference(project, rows, schema, (source, table, name), found)
                    if made is not None:
                        yield made


def _reference(
    project: Project, rows: looked.Rows, schema: Schema, place: tuple[str, str, str], source: Source
) -> past.Test | None:
    name, table, column = place
    try:
        fields = source.describe(table)
        other = fields.find(column)
        if other is None or other.type is not schema.field(column).type or other.type not in REFERRING:
            return None
        held = {f"{name}.{table}": fields}
        sql = f"SELECT {quoted(other.name)} AS v FROM {quoted(name)}.{quoted(table)} LIMIT {LOOKUP + 1}"
        inputs = reading.open_inputs(sql, held, {name: source}, {}, project.looked().blobs)
        try:
            values = rows.engine.stream(sql, inputs.inputs).read_all()
        finally:
            inputs.close()
    except TilthError:
        return None  # a table that cannot be read refers to nothing; `describe` of its source says why
    known = values.group_by("v").aggregate([])
    if not 2 <= values.num_rows <= LOOKUP or known.num_rows != values.num_rows:
        return None
    own = quoted(column)
    asked = f"SELECT count(*) AS n, count(DISTINCT {own}) AS d FROM {looked.ROWS} WHERE {own} IS NOT NULL"
    held_in = f"known_{digest(canonical(place))[:16]}"
    unknown = f"{own} NOT IN (SELECT v FROM {held_in} WHERE v IS NOT NULL)"
    missing = f"{asked} AND {unknown}"
    inputs_of = {looked.ROWS: rows.relation, held_in: known}
    total, lost = (rows.engine.stream(q, inputs_of).read_all().to_pylist()[0] for q in (asked, missing))
    if lost["n"] or total["d"] < 2 or total["n"] < OFTEN * known.num_rows:
        return None
    check = f"REFERENCES {in_query(name)}.{in_query(table)} ({in_query(column)})"
    evidence = f"all {total['d']:,} values are among the {known.num_rows:,} of that table, where each is once"
    made = Proposal("reference", check, "WARN", evidence, 0.75, (column,))
    return past.Test(made, f"({own} IS NOT NULL AND {unknown})", {held_in: known})


# --- into the file -----------------------------------------------------------------------------------------


def _write(project: Project, name: str, proposals: Sequence[Proposal]) -> str:
    """Add the items to the dataset's declaration; the file."""
    declared = project.graph().find(name)
    where = declared.as_(CreateDataset).position if declared is not None else None
    if declared is None or where is None or where.file is None:
        raise ProjectError(
            f"No file of the project declares dataset `{name}`.",
            hint=f"Run: tilth adopt {name}   then suggest again.",
        )
    path = os.path.join(project.root, where.file)
    with open(path, encoding="utf-8", newline="") as file:
        text = file.read()
    fresh = added(text, where.line, [_written(p) for p in proposals])
    _same_but(declared.as_(CreateDataset), fresh, name, len(proposals))
    try:
        durable.write_whole(path, fresh.encode(), 0o644)
    except OSError as error:
        raise durable.refused(f"{path} cannot be written", project.root, error) from error
    return where.file


def _written(proposal: Proposal) -> str:
    """The item, below a comment that says what it would have caught."""
    return f"-- {proposal.caught}\n    {proposal.item}" if proposal.caught else proposal.item


def added(text: str, line: int, items: Sequence[str]) -> str:
    """The text of a file with items added to the EXPECT of the CREATE DATASET at a line; an EXPECT where it has none."""
    begin = sum(len(part) for part in text.splitlines(keepends=True)[: line - 1])
    tokens = [t for t in tokens_of(text) if t.start >= begin]
    words = [t.text.upper() for t in tokens]
    depth = 0
    for n, word in enumerate(words):
        depth += (word == "(") - (word == ")")
        if depth == 0 and word == ";":
            break
        if depth == 0 and word == "AS":
            block = "EXPECT (\n    " + ",\n    ".join(items) + "\n  )\n"
            return text[: tokens[n].start] + block + text[tokens[n].start :]
        if depth == 0 and word == "EXPECT" and words[n + 1] == "(":
            last = tokens[_closing(words, n + 1) - 1].end + 1
            return text[:last] + "".join(f",\n    {item}" for item in items) + text[last:]
    raise ProjectError(
        "The declaration has no AS to write an EXPECT before.", hint="Add EXPECT (...) by hand."
    )


def _closing(words: Sequence[str], opened: int) -> int:
    depth = 0
    for n in range(opened, len(words)):
        depth += (words[n] == "(") - (words[n] == ")")
        if depth == 0:
            return n
    raise ProjectError("EXPECT ( is never closed.", hint="Close it with `)`.")


def _same_but(declared: CreateDataset, text: str, name: str, more: int) -> None:
    """ProjectError unless the text declares the dataset as it was, with so many checks more."""
    from tilth.kinds import parse

    now = next((s for s in parse(text) if isinstance(s, CreateDataset) and s.name == name), None)
    before = len(declared.expect)
    if now is None or len(now.expect) != before + more or now.expect[:before] != declared.expect:
        raise ProjectError(
            f"The declaration of `{name}` could not be changed without changing more than its checks.",
            hint="Copy what is proposed into its EXPECT by hand.",
        )
