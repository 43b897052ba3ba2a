"""The table of kinds: each row is whole, documented and tested, and one more row is all that one more kind takes."""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tilth.core.errors import LanguageError, Position, ProjectError, UnknownNameError
from tilth.kinds import KINDS
from tilth.kinds.needs import need
from tilth.kinds.spec import KindSpec
from tilth.kinds.table import Table
from tilth.plan.actions import DropResource, Estimate
from tilth.plan.deciding import Deciding, Outcome, redeclared
from tilth.plan.explain import facts, words
from tilth.plan.snapshot import Current, Pointer, SnapshotFacts, VersionFacts
from tilth.resources.facts import Facts
from tilth.resources.graph import Graph
from tilth.resources.kinds import Resource
from tilth.resources.making import Known, Making, Names, Needs
from tilth.sql.language import clauses, writing
from tilth.sql.language.statements import Drop, Kind, RenamedFrom
from tilth.sql.language.tokens import Cursor

TESTS = Path(__file__).parents[2]
HEADINGS = re.findall(r"^#+ (.*)$", (TESTS.parent / "docs" / "language.md").read_text("utf-8"), re.MULTILINE)
FIXTURES = (TESTS / "fixtures" / "language" / "canonical.txt").read_text("utf-8")
NOW = datetime(2013, 5, 1, tzinfo=UTC)
PROJECT = """
CREATE SOURCE ops ENGINE sqlite WITH (path = 'ops.db');
CREATE DATASET departures AS SELECT * FROM ops.flights;
CREATE MODEL late PREDICT y FROM departures;
CREATE ENDPOINT late_api FOR MODEL late;
CREATE VIEW delays AS SELECT * FROM departures JOIN late;
CREATE JOB hourly EVERY '1 hour' AS (INSERT INTO ops.delays KEY (id) SELECT * FROM delays; RETRAIN late);
CREATE TRIGGER fresh ON ops.flights AS (INSERT INTO ops.news KEY (id) SELECT * FROM TABLE_DELTA);
CREATE CHANNEL ops_hook WITH (url = SECRET 'env:HOOK', key = SECRET 'env:KEY') NOTIFY ON (failed);
"""
ROWS = pytest.mark.parametrize("row", KINDS.rows, ids=lambda r: r.kind)


def compiled(table: Table, text: str) -> Graph:
    return table.compile(table.parse(text, "all.sql"), Facts())


def settled(graph: Graph) -> Current:
    """Where all of the graph stands as it is declared."""
    return Current(
        "prod",
        3,
        tuple(Pointer(r.kind, r.name, r.recipe, "1", r.text) for r in graph),
        tuple(SnapshotFacts(r.recipe, "1", NOW, NOW, 10) for r in graph),
        tuple(VersionFacts(r.name, 1, r.recipe, "1", "promoted", NOW) for r in graph),
    )


@ROWS
def test_a_row_is_whole(row: KindSpec) -> None:
    assert row.statement.kind is row.kind  # type: ignore[attr-defined]
    assert {"name", "or_replace", "if_not_exists", "position"} <= {
        f.name for f in dataclasses.fields(row.statement)
    }
    for part in (row, row.making, row.deciding):
        missing = [
            f.name
            for f in dataclasses.fields(part)
            if f.name not in ("before", "stands_for", "over") and not getattr(part, f.name)
        ]
        assert not missing
    assert all(a.kind is row.kind and a.sign and a.__doc__ for a in row.deciding.actions)  # type: ignore[attr-defined]


def test_no_two_rows_share_a_kind_a_statement_or_an_action() -> None:
    assert len({r.kind for r in KINDS}) == len({r.statement for r in KINDS}) == len(KINDS.rows)
    assert len(set(KINDS.actions)) == len(KINDS.actions)


@ROWS
def test_a_kind_is_documented_and_has_fixtures(row: KindSpec) -> None:
    assert any(row.kind.keyword in h.replace("`", "").split() for h in HEADINGS)
    written = re.findall(
        rf"^--->\n(CREATE (?:OR REPLACE )?{row.kind.keyword} .*?;)\n(?=\n=== |\Z)",
        FIXTURES,
        re.MULTILINE | re.DOTALL,
    )
    assert written
    for text in written:
        statement = KINDS.parse_one(text)
        assert KINDS.declares(statement)
        assert statement.kind is row.kind
        assert KINDS.show(statement) == text


@ROWS
def test_the_planner_makes_keeps_and_drops_a_kind(row: KindSpec) -> None:
    graph = compiled(KINDS, PROJECT)
    own = {r.name for r in graph.of_kind(row.kind)}
    new = [a for a in KINDS.plan(graph, Current.empty(), NOW).actions if a.name in own]
    assert [(type(a) in row.deciding.actions, a.kind, a.reason) for a in new] == [(True, row.kind, "new")]
    assert KINDS.plan(graph, settled(graph), NOW).actions == ()
    gone = KINDS.plan([r for r in graph if r.name not in own], settled(graph), NOW).actions
    assert gone == tuple(DropResource(row.kind, name, "no longer declared") for name in own)


@ROWS
def test_another_recipe_is_something_to_do_for_every_kind(row: KindSpec) -> None:
    graph = compiled(KINDS, PROJECT)
    was = [
        dataclasses.replace(p, recipe="1:other") if p.kind is row.kind else p for p in settled(graph).pointers
    ]
    current = dataclasses.replace(settled(graph), pointers=tuple(was))
    found = KINDS.plan(graph, current, NOW).actions
    assert {a.kind for a in found} == {row.kind}


def test_a_kind_needs_only_those_before_it() -> None:
    graph = compiled(KINDS, PROJECT)
    place = {kind: n for n, kind in enumerate(KINDS.order)}
    assert all(place[graph.get(d).kind] < place[r.kind] for r in graph for d in r.depends)


def test_equal_words_are_one_kind() -> None:
    assert Kind("model") is Kind.MODEL
    assert Kind("note") is Kind("no" + "te")
    assert (Kind.MODEL.value, Kind.MODEL.keyword, f"{Kind.MODEL}") == ("model", "MODEL", "model")
    assert dataclasses.replace(Pointer(Kind.MODEL, "late", "2:m")).kind is Kind.MODEL


# --- a fifth kind, made of this module alone ---------------------------------------------------------------

NOTE, FREE = Kind("note"), Estimate(0.0)


@dataclass(frozen=True, slots=True)
class CreateNote:
    kind: ClassVar[Kind] = NOTE
    name: str
    model: str
    or_replace: bool = False
    if_not_exists: bool = False
    position: Position | None = field(default=None, compare=False)
    renamed_from: RenamedFrom | None = None


@dataclass(slots=True)
class NoteParts:
    model: str | None = None
    renamed_from: RenamedFrom | None = None


@dataclass(frozen=True, slots=True)
class WriteNote:
    """Write down what is to be known of a model."""

    kind: ClassVar[Kind] = NOTE
    sign: ClassVar[str] = "+"
    name: str
    recipe: str
    model: str
    reason: str
    estimate: Estimate = FREE

    @property
    def does(self) -> str:
        return f"write of {self.model}"


def _on_model(c: Cursor, said: NoteParts) -> None:
    said.model = c.name("a model's name", fold=True)


def parse_note(c: Cursor, or_replace: bool, where: Position) -> CreateNote:
    exists, name = clauses.head(c, "note")
    said = NoteParts()
    clauses.read(c, {"ON MODEL": _on_model, clauses.RENAMED: clauses.renamed}, said, "CREATE NOTE")
    if said.model is None:
        raise LanguageError(f"Note `{name}` is on nothing.", hint="Add ON MODEL <model>.", where=where)
    return CreateNote(name, said.model, or_replace, exists, where, said.renamed_from)


def show_note(s: CreateNote) -> str:
    return f"{writing.create(s)} ON MODEL {writing.name(s.model)}"


def check_note(d: CreateNote, _facts: Facts) -> None:
    if d.model == d.name:
        raise ProjectError("A note is on another.", where=d.position)


def needs_of_note(d: CreateNote, known: Known) -> Needs:
    return Needs(others=(need(d.model, Kind.MODEL, known, d),))


def recipe_of_note(d: CreateNote, _facts: Facts) -> Mapping[str, object]:
    return {"model": d.model}


def renamed_note(d: CreateNote, names: Names) -> CreateNote:
    return replace(d, name=names.get(d.name, d.name), model=names.get(d.model, d.model))


def decide_note(resource: Resource, current: Current, _now: Any) -> Outcome:
    pointer = current.pointer(NOTE, resource.name)
    if pointer is not None and pointer.recipe == resource.recipe:
        return redeclared(resource, pointer)
    model = resource.as_(CreateNote).model
    return (WriteNote(resource.name, resource.recipe, model, "new" if pointer is None else "moved"),), ()


FIVE = Table(
    (
        *KINDS,
        KindSpec(
            NOTE, CreateNote, parse_note, show_note,
            Making(check_note, needs_of_note, recipe_of_note, renamed_note), Deciding(decide_note, (WriteNote,)),
        ),
    )
)  # fmt: skip
WITH_NOTE = PROJECT + "create note remark on model late;"


def test_a_fifth_kind_goes_all_the_way() -> None:
    statement = FIVE.parse(WITH_NOTE)[-1]
    assert FIVE.show(statement) == "CREATE NOTE remark ON MODEL late;"
    assert FIVE.parse_one(FIVE.show(statement)) == statement
    assert FIVE.parse_one("DROP NOTE IF EXISTS remark") == Drop(NOTE, "remark", if_exists=True)
    assert FIVE.show(Drop(NOTE, "remark")) == "DROP NOTE remark;"
    graph = compiled(FIVE, WITH_NOTE)
    assert [r.name for r in graph.upstream("remark")] == ["ops", "departures", "late"]
    found = FIVE.plan(graph, Current.empty(), NOW)
    assert words(found).splitlines()[-1] == "+ note remark: write of late (new)"
    shown = facts(found)["actions"]
    assert isinstance(shown, list)
    assert shown[-1]["action"] == "WriteNote"
    assert FIVE.plan(graph, settled(graph), NOW).actions == ()
    assert FIVE.actions[-4:] == (WriteNote, *KINDS.actions[-3:])


def test_a_fifth_kind_is_dropped_first_and_stands_alone() -> None:
    graph = compiled(FIVE, WITH_NOTE)
    gone = FIVE.plan((), settled(graph), NOW)
    assert [a.name for a in gone.actions] == [
        "remark",
        "fresh",
        "hourly",
        "ops_hook",
        "late_api",
        "delays",
        "late",
        "departures",
        "ops",
    ]
    assert words(gone).splitlines()[0] == "- note remark: drop (no longer declared)"
    whole = FIVE.plan(graph, Current.empty(), NOW)
    assert [a.name for a in FIVE.alone(whole, "remark", graph, Current.empty()).actions] == [
        "ops", "departures", "late", "remark",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "changes", "planned"),
    [
        ("late", {"late": "1:other"}, ["late"]),
        ("late", {"late": "1:other", "departures": "1:other"}, ["late"]),
        ("late", {"late": "1:other", "late_api": "1:other"}, ["late", "late_api"]),
        ("late", {"late": "1:other", "late_api": None}, ["late", "late_api"]),
        ("departures", {"departures": "1:other", "late": None, "late_api": None}, ["departures", "late", "late_api"]),
        ("late", {"departures": None, "late": None}, ["departures", "late"]),
        ("late_api", {"departures": "1:other", "late": "1:other"}, []),
    ],
    ids=[
        "itself", "what it is made from is there", "what follows and was declared anew", "what follows and was never made",
        "all that follows", "what it is made from is not there", "nothing of its own",
    ],
)  # fmt: skip
def test_alone_a_resource_is_planned_with_what_it_lacks_and_what_follows(
    name: str, changes: dict[str, str | None], planned: list[str]
) -> None:
    graph = compiled(KINDS, PROJECT)
    there = settled(graph)
    pointers = [
        dataclasses.replace(p, recipe=changes.get(p.name) or p.recipe)
        for p in there.pointers
        if changes.get(p.name, "") is not None
    ]
    current = dataclasses.replace(there, pointers=tuple(pointers))
    whole = KINDS.plan(graph, current, NOW)
    assert [a.name for a in KINDS.alone(whole, name, graph, current).actions] == planned


def test_a_dataset_is_there_when_its_rows_are() -> None:
    graph = compiled(KINDS, PROJECT)
    rows = next(r.deciding.is_there for r in KINDS if r.kind is Kind.DATASET)
    data, there = graph.get("departures"), settled(graph)
    assert rows(data, there)
    assert not rows(data, dataclasses.replace(there, snapshots=()))
    assert not rows(data, dataclasses.replace(there, pointers=()))


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("CREATE NOTES n ON MODEL late", LanguageError, "`NOTE`"),
        ("CREATE NOTE n", LanguageError, "Add ON MODEL <model>."),
        ("DROP NOTTE n", LanguageError, "`NOTE`"),
        (WITH_NOTE.replace("model late;", "model departures;"), UnknownNameError, "not a model"),
        (WITH_NOTE.replace("note remark", "note late"), ProjectError, "declared twice: as a model"),
        ("CREATE NOTE n ON MODEL n", ProjectError, "A note is on another."),
    ],
    ids=[
        "misspelt",
        "a clause is missing",
        "misspelt in DROP",
        "of another kind",
        "a name twice",
        "its own rule",
    ],
)
def test_a_fifth_kind_is_told_of_like_any(text: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error) as caught:
        compiled(FIVE, text)
    assert said in str(caught.value)


def test_a_kind_that_has_no_row_is_not_known() -> None:
    with pytest.raises(LanguageError):
        KINDS.parse("CREATE NOTE remark ON MODEL late")
    with pytest.raises(ProjectError, match="A project only declares, and this is a CreateNote"):
        KINDS.compile([CreateNote("remark", "late")], Facts())
