"""What a member computes from the matrix, as operations of ONNX: trees as one `TreeEnsemble`, a sum of terms term by term."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tilth.ml.exporting.graph import Graph
from tilth.ports.portable import Forest, Levels, Member, Slope, Split, Sums, Tree

if TYPE_CHECKING:
    from collections.abc import Sequence

LEQ, MEMBER = 0, 6  # of nodes_modes
SUM, NOTHING = 1, 0  # how trees come together, and what is done after
LINKS = {"sigmoid": "Sigmoid", "exp": "Exp", "identity": "Identity"}
NAN = float("nan")


def scores(graph: Graph, x: str, member: Member) -> str:
    """Its answers, [rows, 1] or [rows, classes]: values, P(1), or one probability a class."""
    raw = _forest(graph, x, member) if isinstance(member, Forest) else _sums(graph, x, member)
    if member.link == "softmax":
        return graph.do("Softmax", raw, axis=1)
    return graph.do(LINKS[member.link], raw)


def blended(graph: Graph, x: str, members: Sequence[tuple[Member, float]]) -> str:
    """The weighted mean of their answers."""
    parts = [graph.do("Mul", scores(graph, x, member), weight) for member, weight in members]
    total = parts[0]
    for part in parts[1:]:
        total = graph.do("Add", total, part)
    return total


@dataclass(slots=True)
class _Nodes:
    """The nodes of all trees, one after another, as `TreeEnsemble` takes them."""

    modes: list[int] = field(default_factory=list)
    features: list[int] = field(default_factory=list)
    limits: list[float] = field(default_factory=list)
    gaps: list[int] = field(default_factory=list)
    yes: list[int] = field(default_factory=list)
    no: list[int] = field(default_factory=list)
    yes_leaf: list[int] = field(default_factory=list)
    no_leaf: list[int] = field(default_factory=list)
    sets: list[float] = field(default_factory=list)
    leaves: list[float] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)

    def add(self, tree: Split, target: int) -> int:
        """Add a tree, its root first; where the root is."""
        place = len(self.modes)
        self.modes.append(MEMBER if tree.codes else LEQ)
        self.features.append(tree.feature)
        self.limits.append(0.0 if tree.codes else tree.threshold)
        self.gaps.append(0 if tree.codes else int(tree.gaps_left))
        if tree.codes:
            self.sets += [*map(float, tree.codes), NAN]  # a gap ends the set
        for ends, leaves in ((self.yes, self.yes_leaf), (self.no, self.no_leaf)):
            ends.append(0)
            leaves.append(0)
        self.yes[place], self.yes_leaf[place] = self._child(tree.left, target)
        self.no[place], self.no_leaf[place] = self._child(tree.right, target)
        return place

    def _child(self, tree: Tree, target: int) -> tuple[int, int]:
        if isinstance(tree, Split):
            return self.add(tree, target), 0
        assert isinstance(tree, float)
        self.leaves.append(tree)
        self.targets.append(target)
        return len(self.leaves) - 1, 1


def _forest(graph: Graph, x: str, forest: Forest) -> str:
    bias, nodes, roots = [0.0] * forest.width, _Nodes(), []
    for number, tree in enumerate(forest.trees):
        if isinstance(tree, Split):
            roots.append(nodes.add(tree, number % forest.width))
        else:
            assert isinstance(tree, float)
            bias[number % forest.width] += tree
    if not roots:
        return _repeated(graph, x, bias)
    sets = {"membership_values": graph.tensor(nodes.sets, "float64")} if nodes.sets else {}
    found = graph.do(
        "TreeEnsemble",
        x,
        domain="ai.onnx.ml",
        n_targets=forest.width,
        aggregate_function=SUM,
        post_transform=NOTHING,
        tree_roots=roots,
        nodes_modes=graph.tensor(nodes.modes, "uint8"),
        nodes_featureids=nodes.features,
        nodes_splits=graph.tensor(nodes.limits, "float64"),
        nodes_missing_value_tracks_true=nodes.gaps,
        nodes_truenodeids=nodes.yes,
        nodes_trueleafs=nodes.yes_leaf,
        nodes_falsenodeids=nodes.no,
        nodes_falseleafs=nodes.no_leaf,
        leaf_targetids=nodes.targets,
        leaf_weights=graph.tensor(nodes.leaves, "float64"),
        **sets,
    )
    return graph.do("Add", found, graph.constant([bias]))


def _sums(graph: Graph, x: str, sums: Sums) -> str:
    total = _repeated(graph, x, sums.bias)
    for index, term in enumerate(sums.terms):
        column = graph.do("Gather", x, graph.constant([index], "int64"), axis=1)
        part = _levels(graph, column, term) if isinstance(term, Levels) else _slope(graph, column, term)
        total = graph.do("Add", total, part)
    return total


def _repeated(graph: Graph, x: str, bias: Sequence[float]) -> str:
    """The bias for each row."""
    first = graph.do("Gather", x, graph.constant([0], "int64"), axis=1)
    nothing = graph.do("Where", graph.do("IsNaN", first), 0.0, 0.0)
    return graph.do("Add", nothing, graph.constant([list(bias)]))


def _levels(graph: Graph, column: str, term: Levels) -> str:
    last = float(len(term.weights) - 1)
    out = graph.do("Or", graph.do("Less", column, 0.0), graph.do("GreaterOrEqual", column, last))
    strange = graph.do("Or", out, graph.do("IsNaN", column))
    codes = graph.do("Where", strange, last, column)
    whole = graph.do("Squeeze", graph.do("Cast", codes, to=7), graph.constant([1], "int64"))
    return graph.do("Gather", graph.constant(term.weights), whole, axis=0)


def _slope(graph: Graph, column: str, term: Slope) -> str:
    standard = graph.do("Div", graph.do("Sub", column, term.center), term.scale)
    held = graph.do("Clip", standard, -term.clip, term.clip)
    part = graph.do("Mul", held, graph.constant([term.weights]))
    for edge, turn in zip(term.edges, term.turns, strict=True):
        beyond = graph.do("Relu", graph.do("Sub", held, edge))
        part = graph.do("Add", part, graph.do("Mul", beyond, graph.constant([turn])))
    if any(term.start):
        part = graph.do("Add", part, graph.constant([term.start]))
    return graph.do("Where", graph.do("IsNaN", column), graph.constant([term.missing]), part)
