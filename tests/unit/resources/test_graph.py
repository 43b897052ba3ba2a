"""The graph: order, neighbours, and edits that make new graphs."""

import random

import pytest

from tilth.core.errors import CycleError, UnknownNameError
from tilth.resources.graph import Graph
from tilth.resources.kinds import Resource
from tilth.sql.language.statements import CreateDataset, Kind, Query


def resource(name: str, *depends: str, recipe: str = "1:x") -> Resource:
    return Resource(Kind.DATASET, name, CreateDataset(name, Query("SELECT 1")), depends, recipe)


A, B, C, D, E = (
    resource("a"),
    resource("b", "a"),
    resource("c", "a"),
    resource("d", "b", "c"),
    resource("e"),
)
GRAPH = Graph.of(D, E, C, B, A)


def names(found: object) -> list[str]:
    return [r.name for r in found]  # type: ignore[attr-defined]


def test_each_comes_after_what_it_needs_and_ties_go_by_name() -> None:
    assert names(GRAPH) == ["a", "b", "c", "d", "e"]
    for _ in range(20):
        shuffled = [A, B, C, D, E]
        random.shuffle(shuffled)
        assert Graph.of(*shuffled) == GRAPH
    assert hash(Graph.of(A, B)) == hash(Graph.of(B, A))


def test_neighbours_are_transitive_and_in_order() -> None:
    assert names(GRAPH.upstream("d")) == ["a", "b", "c"]
    assert names(GRAPH.downstream("a")) == ["b", "c", "d"]
    assert GRAPH.upstream("e") == GRAPH.downstream("e") == ()


def test_a_name_that_is_not_there_gets_the_nearest() -> None:
    late = Graph.of(resource("departures"))
    assert late.find("departurs") is None
    with pytest.raises(UnknownNameError, match="Did you mean `departures`"):
        late.get("departurs")


def test_edits_make_new_graphs() -> None:
    more = GRAPH.with_(resource("f", "d"))
    assert names(more) == ["a", "b", "c", "d", "e", "f"]
    assert len(GRAPH) == 5
    changed = GRAPH.with_(resource("b", "a", recipe="1:y"))
    assert changed != GRAPH
    assert changed.get("b").recipe == "1:y"
    assert names(GRAPH.without("e")) == ["a", "b", "c", "d"]
    assert names(GRAPH.restricted_to(["c", "e"])) == ["a", "c", "e"]
    assert "a" in GRAPH
    assert "z" not in GRAPH


def test_a_circle_is_shown_from_its_first_name() -> None:
    with pytest.raises(CycleError, match="a -> c -> b -> a"):
        Graph.of(resource("a", "c"), resource("b", "a"), resource("c", "b"), resource("z", "a"))
    with pytest.raises(CycleError, match="x -> x"):
        Graph.of(resource("x", "x"))
