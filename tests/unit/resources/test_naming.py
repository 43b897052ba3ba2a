"""Names and histories: what RENAMED FROM may say, and that what is made of a project does not depend on how it is called."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilth.core.errors import ProjectError
from tilth.kinds import KINDS, parse
from tilth.kinds import compile as make
from tilth.resources.facts import Facts
from tilth.resources.graph import Graph
from tilth.resources.naming import Histories
from tilth.sql.language.statements import Kind

PROJECT = """
CREATE SOURCE ops ENGINE sqlite WITH (path = 'ops.db');
CREATE SOURCE wx ENGINE files WITH (path = 'data', format = {delimiter: ';'});
CREATE DATASET departures KEY (id) EXPECT (REFERENCES ops.carriers (carrier)) AS
  SELECT ops.flights.id, w.temp, departures FROM ops.flights JOIN wx.weather w ON ops.flights.at = w.at;
CREATE DATASET worst AS SELECT departures.id, d.temp FROM departures JOIN Departures AS d USING (id);
CREATE MODEL late PREDICT y FROM departures PROMOTE IF manual;
CREATE MODEL later PREDICT y FROM (SELECT worst.id, y FROM worst);
CREATE MODEL native PREDICT y FROM ops (SELECT TOP 5 * FROM t);
CREATE ENDPOINT late_api FOR MODEL late OUTCOMES FROM departures (id, y);
CREATE CHANNEL hook WITH (url = SECRET 'env:U', key = SECRET 'env:K') NOTIFY ON (late) FOR MODEL late;
"""
NAMES = ("ops", "wx", "departures", "worst", "late", "later", "native", "late_api", "hook")
KEPT = frozenset((r.kind, r.name) for r in make(parse(PROJECT), Facts()))


def compiled(text: str, taken: tuple[tuple[tuple[Kind, str], str], ...] = (), *, kept: bool = True) -> Graph:
    return make(parse(text, "p.sql"), Facts(histories=Histories(taken, KEPT if kept else frozenset())))


def renamed(names: dict[str, str], *, says: bool) -> str:
    """The project under these names; with clauses that say so."""
    out = []
    for declared in parse(PROJECT):
        text = KINDS.show(KINDS.renamed(declared, names))
        was = declared.name if says and declared.name in names else None
        if was is not None:
            at = text.index("\nAS ") if "\nAS " in text else len(text) - 1
            text = f"{text[:at]}\n  RENAMED FROM {was}{text[at:]}"
        out.append(text)
    return "\n".join(out)


def recipes(graph: Graph, names: dict[str, str]) -> dict[str, tuple[str, ...]]:
    back = {new: old for old, new in names.items()}
    return {back.get(r.name, r.name): r.recipes for r in graph}


NEW = st.dictionaries(
    st.sampled_from(NAMES), st.from_regex(r"\A[a-z]{2}[a-z0-9_]{0,7}\Z"), min_size=1
).filter(
    lambda d: (
        len({*d.values()}) == len(d)
        and not {*d.values()} & {*NAMES, "tilth", "main", "temp", "system", "w", "d"}
    )
)


@settings(max_examples=120, deadline=None)
@given(NEW)
def test_the_same_project_under_other_names_makes_the_same(names: dict[str, str]) -> None:
    """By what the clauses say, and by what the state knows when they are taken out again."""
    before = compiled(PROJECT)
    kinds = {r.name: r.kind for r in before}
    taken = tuple(((kinds[old], new), old) for old, new in names.items())
    for graph in (compiled(renamed(names, says=True)), compiled(renamed(names, says=False), taken)):
        assert recipes(graph, names) == {r.name: r.recipes for r in before}
        assert {r.name for r in graph} == {names.get(n, n) for n in NAMES}
        for r in before:
            assert {*graph.get(names.get(r.name, r.name)).depends} == {names.get(n, n) for n in r.depends}
            assert graph.get(names.get(r.name, r.name)).remembered == r.name
        assert all("RENAMED" not in r.text for r in graph)


@settings(max_examples=60, deadline=None)
@given(NEW)
def test_the_way_back_gives_the_text_that_there_was(names: dict[str, str]) -> None:
    back = {new: old for old, new in names.items()}
    for r in compiled(PROJECT):
        assert KINDS.rewritten(KINDS.rewritten(r.text, names), back) == r.text


def test_without_a_history_a_new_name_is_a_new_thing() -> None:
    names = {"departures": "flown"}
    graph = compiled(renamed(names, says=True), kept=False)
    assert graph.get("flown").recipe == compiled(renamed(names, says=False), kept=False).get("flown").recipe
    assert graph.get("flown").origin == ""


def test_a_changed_query_is_another_recipe_under_a_new_name_too() -> None:
    graph = compiled(renamed({"departures": "flown"}, says=True).replace("w.temp", "w.wind"))
    assert graph.get("flown").recipe != compiled(PROJECT).get("departures").recipe
    assert graph.get("flown").origin == "departures"


MODEL = "CREATE SOURCE ops ENGINE sqlite; CREATE DATASET departures AS SELECT * FROM ops.t; "
WRONG = {
    "itself": ("CREATE MODEL late PREDICT y FROM departures RENAMED FROM late", (), "renamed from itself"),
    "still declared": (
        "CREATE MODEL late PREDICT y FROM departures; CREATE MODEL m PREDICT y FROM departures RENAMED FROM late",
        (),
        "`m` is renamed from `late`, which is still declared at p.sql:1:84",
    ),
    "still declared as another kind": (
        "CREATE MODEL m PREDICT y FROM departures RENAMED FROM ops", (), "still declared at p.sql:1:1",
    ),
    "two of one": (
        "CREATE MODEL m PREDICT y FROM departures RENAMED FROM late; CREATE MODEL n PREDICT y FROM departures RENAMED FROM late",
        (),
        "`n` and `m` are both renamed from `late`",
    ),
    "another kind": (
        "CREATE MODEL m PREDICT y FROM departures RENAMED FROM late_api",
        (),
        "`late_api` was of another kind (endpoint) than the model `m`",
    ),
    "a history of its own": (
        "CREATE MODEL later PREDICT y FROM departures RENAMED FROM late",
        (),
        "`later` has a history of its own",
    ),
    "the first name of another": (
        "CREATE MODEL m PREDICT y FROM departures; CREATE MODEL late PREDICT y FROM departures",
        (((Kind.MODEL, "m"), "late"),),
        "`late` was the name of the model that is `m` now",
    ),
    "an earlier name that two lead to": (
        "CREATE MODEL m PREDICT y FROM departures; CREATE MODEL n PREDICT y FROM departures",
        (((Kind.MODEL, "m"), "late"), ((Kind.MODEL, "n"), "late")),
        "was the name of",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "taken", "says"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_is_said_at_its_place(
    text: str, taken: tuple[tuple[tuple[Kind, str], str], ...], says: str
) -> None:
    with pytest.raises(ProjectError) as caught:
        compiled(MODEL + text, taken)
    assert says in caught.value.message
    assert caught.value.hint
    assert caught.value.where is not None
    assert caught.value.where.file == "p.sql"


FOLLOWED = {
    "a clause": ("m", "late", (), "late"),
    "a chain": ("n", "m", (((Kind.MODEL, "m"), "late"),), "late"),
    "back again": ("late", "m", (((Kind.MODEL, "m"), "late"),), ""),
    "applied before, the clause stays": ("m", "late", (((Kind.MODEL, "m"), "late"),), "late"),
    "another clause than was applied": ("m", "later", (((Kind.MODEL, "m"), "late"),), "late"),
    "of what never was": ("m", "nothing", (), ""),
}


@pytest.mark.parametrize(("name", "was", "taken", "origin"), FOLLOWED.values(), ids=FOLLOWED)
def test_a_name_leads_to_where_its_history_began(
    name: str, was: str, taken: tuple[tuple[tuple[Kind, str], str], ...], origin: str
) -> None:
    text = f"{MODEL} CREATE MODEL {name} PREDICT y FROM departures RENAMED FROM {was}"
    assert compiled(text, taken).get(name).origin == origin
