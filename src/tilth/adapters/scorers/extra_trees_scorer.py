"""Scores with a forest that is kept as arrays: the mean of its trees' leaves, walked by LightGBM's library.

The file is one line of JSON, which says which arrays follow and how long each is, then the arrays, little-endian and
compressed. They are looked at before anything walks by them: children lie behind their parents, features and leaves are there. LightGBM's
model text is made of them in memory, so that one row takes microseconds and contributions are its own (TreeSHAP, Lundberg
2018). Of probabilities none is 0 or 1: each is drawn a little to the middle. Training is in `extra_trees_learner`.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from tilth.adapters.scorers import lightgbm_c as c
from tilth.adapters.scorers.lightgbm_scorer import LightGBMScorer
from tilth.core.errors import TamperError, TrainingError
from tilth.ports.learning import Task
from tilth.ports.portable import Forest, Member, Split, Tree

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float64]

FORMAT = "tilth-trees-1"
MOST_BYTES = 256 << 20
ROUNDED = 1e-3  # how far probabilities may be from adding up to 1
DRAWN = 1e-3  # how far a probability is drawn to the middle, at most
ARRAYS = {
    "nodes": "<i4", "feature": "<i2", "threshold": "<f4", "right": "<i4", "gaps_left": "<i1", "count": "<i4", "value": "<f4",
}  # fmt: skip
WIDEST = 32_767  # columns
BROKEN = (
    ValueError,
    KeyError,
    TypeError,
    IndexError,
    OverflowError,
    RecursionError,
    zlib.error,
    TrainingError,
)
HINT = "Do not serve it. Train the model again, or roll back to another version."


def packed(trees: Sequence[tuple[Any, Any]], task: Task) -> bytes:
    """The file of scikit-learn's trees; each comes with the classes of its values' columns, or None."""
    import numpy as np

    width = task.classes if task.kind == "multiclass" else 1
    out: dict[str, list[Any]] = {name: [] for name in ARRAYS}
    for tree, classes in trees:
        leaf = tree.children_left < 0
        if (tree.children_left[~leaf] != np.flatnonzero(~leaf) + 1).any():
            raise TrainingError(
                "scikit-learn's trees are in another order than tilth knows.",
                hint="Install the version of scikit-learn that tilth was tested with.",
            )
        value = tree.value[:, 0, :]
        if classes is not None:
            spread = np.zeros((len(value), width))
            spread[:, np.asarray(classes, dtype=np.intp)] = value / value.sum(axis=1, keepdims=True)
            value = spread
        out["nodes"].append([tree.node_count])
        out["feature"].append(np.where(leaf, -1, tree.feature))
        out["threshold"].append(tree.threshold[~leaf])
        out["right"].append(tree.children_right[~leaf])
        out["gaps_left"].append(tree.missing_go_to_left[~leaf])
        out["count"].append(tree.n_node_samples)
        out["value"].append(value[leaf].ravel())
    arrays = {name: np.concatenate(parts).astype(ARRAYS[name]) for name, parts in out.items()}
    head = {"format": FORMAT, "arrays": {name: len(array) for name, array in arrays.items()}, "values": width}
    body = zlib.compress(b"".join(a.tobytes() for a in arrays.values()), 6)
    return json.dumps(head, sort_keys=True).encode() + b"\n" + body


class ExtraTreesScorer:
    """A loaded forest: immutable and safe to call from several threads."""

    pandas = False

    def __init__(self, inner: LightGBMScorer, kind: str, classes: int) -> None:
        self._inner, self._kind, self._classes = inner, kind, classes

    @staticmethod
    def warm() -> None:
        """Load the library."""
        c.library()

    @classmethod
    def load(cls, payload: bytes, task: Task, threads: int | None = None) -> Self:
        """Read the file, which is checked first; TamperError says what is wrong with it."""
        width = task.classes if task.kind == "multiclass" else 1
        try:
            text = _text(_read(payload, task.kind, width), len(task.columns), width)
            booster = c.Booster(None, b"", text)
        except BROKEN as error:
            raise TamperError(f"The forest's file is not whole: {str(error)[:200]}.", hint=HINT) from error
        inner = LightGBMScorer(
            booster, replace(task, kind="multiclass" if width > 1 else "regression"), threads or 1
        )
        return cls(inner, task.kind, width)

    @classmethod
    def portable(cls, payload: bytes, task: Task) -> Member:
        """Its trees, drawn to the middle as its answers are; see `ports.portable`."""
        width = task.classes if task.kind == "multiclass" else 1
        try:
            trees = _split(_read(payload, task.kind, width), len(task.columns), width)
        except BROKEN as error:
            raise TamperError(f"The forest's file is not whole: {str(error)[:200]}.", hint=HINT) from error
        classes = {"regression": 0, "binary": 2}.get(task.kind, width)
        share = (1.0 - DRAWN if classes else 1.0) / len(trees)
        middle = (DRAWN / classes if classes else 0.0,) * width
        return Forest(
            (*(_plain(t, share, which) for t in trees for which in range(width)), *middle), width, "identity"
        )

    def score(self, x: Matrix) -> Matrix:
        out = self._inner.score(x)
        if self._kind == "regression":
            return out
        if self._kind == "binary":
            return drawn(out, 2)
        return drawn(out / out.sum(axis=1, keepdims=True), self._classes)

    def score_row(self, row: bytearray) -> tuple[float, ...]:
        out = self._inner.score_row(row)
        if self._kind == "regression":
            return out
        import numpy as np

        found = np.array([out])
        if self._kind == "binary":
            return (float(drawn(found[0], 2)[0]),)
        return tuple(drawn(found / found.sum(axis=1, keepdims=True), self._classes)[0].tolist())

    def contributions(self, x: Matrix) -> Matrix | None:
        """What each column adds to the answer, the bias last; [rows, classes * (columns + 1)]."""
        found = self._inner.contributions(x)
        if self._kind == "regression" or found is None:
            return found
        each = found.reshape(len(x), -1, x.shape[1] + 1) * (1.0 - DRAWN)
        each[:, :, -1] += DRAWN / max(2, self._classes)
        return each.reshape(len(x), -1)


def drawn(chance: Matrix, classes: int) -> Matrix:
    """Probabilities none of which is 0 or 1: a leaf that has seen one class only has not seen them all."""
    import numpy as np

    out: Matrix = np.clip(chance, 0.0, 1.0) * (1.0 - DRAWN) + DRAWN / classes
    return out


# --- the file ----------------------------------------------------------------------------------------------


def _read(payload: bytes, kind: str, width: int) -> dict[str, Any]:
    """The arrays, found to make trees; ValueError says what does not fit."""
    import numpy as np

    if len(payload) > MOST_BYTES:
        raise ValueError("it is too large")
    first, _, rest = payload.partition(b"\n")
    head = json.loads(first)
    if head["format"] != FORMAT or head["values"] != width or set(head["arrays"]) != set(ARRAYS):
        raise ValueError("it is of another format, or of other classes")
    sizes = {name: int(head["arrays"][name]) * np.dtype(form).itemsize for name, form in ARRAYS.items()}
    if min(sizes.values()) < 0 or sum(sizes.values()) > MOST_BYTES:
        raise ValueError("its arrays are too long")
    opened = zlib.decompressobj()
    rest = opened.decompress(rest, sum(sizes.values()) + 1)
    found, at = {}, 0
    for name, form in ARRAYS.items():
        if at + sizes[name] > len(rest):
            raise ValueError(f"`{name}` is cut short")
        found[name] = np.frombuffer(rest, form, int(head["arrays"][name]), at)
        at += sizes[name]
    if at != len(rest) or opened.unused_data or opened.unconsumed_tail:
        raise ValueError("something follows its arrays")
    if not opened.eof:
        raise ValueError("its end is cut short")
    if kind != "regression" and not _chances(found["value"], width):
        raise ValueError("a leaf holds no probabilities")
    return found


def _chances(values: Any, width: int) -> bool:
    """Whether the leaves' values are from 0 to 1, and those of several classes add up to 1."""
    import numpy as np

    if not ((values >= 0) & (values <= 1)).all() or len(values) % width:
        return False
    return width == 1 or bool((np.abs(values.reshape(-1, width).sum(axis=1) - 1.0) < ROUNDED).all())


def _split(found: dict[str, Any], columns: int, width: int) -> list[dict[str, Any]]:
    """Each tree by itself; ValueError where one cannot be walked."""
    import numpy as np

    nodes = found["nodes"].astype(np.int64)
    whole = len(found["feature"]) == len(found["count"]) == nodes.sum()
    if not len(nodes) or (nodes < 1).any() or not whole:
        raise ValueError("its trees have other sizes")
    feature = found["feature"]
    if columns > WIDEST or ((feature < -1) | (feature >= columns)).any():
        raise ValueError("it asks for a column that there is not")
    ends = np.cumsum(nodes)
    inner_ends, leaf_ends = np.cumsum(feature >= 0)[ends - 1], np.cumsum(feature < 0)[ends - 1]
    sizes = {
        **dict.fromkeys(("threshold", "right", "gaps_left"), inner_ends[-1]),
        "value": leaf_ends[-1] * width,
    }
    for name, size in sizes.items():
        if len(found[name]) != size:
            raise ValueError(f"`{name}` has another length")
    if not (np.isfinite(found["threshold"]).all() and np.isfinite(found["value"]).all()):
        raise ValueError("it holds what is no finite number")
    out, node, inner, leaf = [], 0, 0, 0
    for end, inner_end, leaf_end in zip(ends.tolist(), inner_ends.tolist(), leaf_ends.tolist(), strict=True):
        own = {name: found[name][inner:inner_end] for name in ("threshold", "right", "gaps_left")}
        own |= {name: found[name][node:end] for name in ("feature", "count")}
        own["value"] = found["value"][leaf * width : leaf_end * width].reshape(-1, width)
        out.append(_walked(own))
        node, inner, leaf = end, inner_end, leaf_end
    return out


def _walked(tree: dict[str, Any]) -> dict[str, Any]:
    """The tree with children as LightGBM numbers them: inner nodes from 0, leaves from -1 down; each child is someone's once."""
    import numpy as np

    leaf = tree["feature"] < 0
    place = np.where(leaf, -np.cumsum(leaf), np.cumsum(~leaf) - 1)
    parents = np.flatnonzero(~leaf)
    left = parents + 1  # as scikit-learn grows them
    children = np.concatenate([left, tree["right"]]).astype(np.int64)
    if len(children) and ((children <= np.concatenate([parents, parents])) | (children >= len(leaf))).any():
        raise ValueError("a child does not lie behind its parent")
    if len(np.unique(children)) != len(leaf) - 1 or len(children) != len(leaf) - 1:
        raise ValueError("a node has not one parent")
    tree["left"], tree["right"] = place[left], place[tree["right"]]
    tree["inner"], tree["leaf_count"], tree["inner_count"] = ~leaf, tree["count"][leaf], tree["count"][~leaf]
    return tree


def _plain(tree: dict[str, Any], share: float, which: int) -> Tree:
    """A tree of one class, in plain values."""
    feature, threshold = tree["feature"][tree["inner"]].tolist(), tree["threshold"].tolist()
    value, gaps = (
        (tree["value"][:, which].astype("float64") * share).tolist(),
        (tree["gaps_left"] != 0).tolist(),
    )
    left, right = tree["left"].tolist(), tree["right"].tolist()

    def of(place: int) -> Tree:
        if place < 0:
            return float(value[-place - 1])
        return Split(feature[place], of(left[place]), of(right[place]), threshold[place], gaps[place])

    return of(0 if feature else -1)


# --- LightGBM's text ---------------------------------------------------------------------------------------


def _text(found: dict[str, Any], columns: int, width: int) -> bytes:
    """The model text, one tree for each class of a tree; a leaf's value is its share of the mean."""
    trees = _split(found, columns, width)
    texts = [
        _tree(number * width + which, tree, which, len(trees))
        for number, tree in enumerate(trees)
        for which in range(width)
    ]
    head = [
        "tree", "version=v4", f"num_class={width}", f"num_tree_per_iteration={width}", "label_index=0",
        f"max_feature_idx={columns - 1}",
        f"feature_names={' '.join(f'c{i}' for i in range(columns))}",
        f"feature_infos={' '.join(['none'] * columns)}",
        f"tree_sizes={' '.join(str(len(t)) for t in texts)}", "", "",
    ]  # fmt: skip
    return "\n".join(head).encode() + b"".join(texts) + b"end of trees\n\n"


def _tree(number: int, tree: dict[str, Any], which: int, trees: int) -> bytes:
    values = tree["value"][:, which].astype("float64") / trees
    lines = [f"Tree={number}", f"num_leaves={len(values)}", "num_cat=0"]
    if tree["inner"].any():
        kinds = (8 + 2 * (tree["gaps_left"] != 0)).tolist()  # gaps are NaN; bit 2: they go left
        lines += [
            f"split_feature={_joined(tree['feature'][tree['inner']])}",
            f"threshold={' '.join(map(repr, tree['threshold'].tolist()))}",
            f"decision_type={' '.join(map(str, kinds))}",
            f"left_child={_joined(tree['left'])}",
            f"right_child={_joined(tree['right'])}",
        ]
    lines += [
        f"leaf_value={' '.join(map(repr, values.tolist()))}", f"leaf_count={_joined(tree['leaf_count'])}",
        f"internal_count={_joined(tree['inner_count'])}", "is_linear=0", "shrinkage=1", "", "", "",
    ]  # fmt: skip
    return "\n".join(lines).encode()


def _joined(values: Any) -> str:
    return " ".join(map(str, values.tolist()))
