"""Checks a LightGBM model text, line by line, before the C library sees it: that library believes what a text says.

Sizes must agree, children must lie below their parents, features and categories must be there, numbers must be numbers.
What is handed on are the header and the trees only; the importances and parameters that follow must be whole and are not
used. Where the text is scored is in `lightgbm_scorer`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tilth.core.errors import TamperError
from tilth.ports.learning import Task

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Ints = npt.NDArray[np.int64]

MOST_BYTES = 1 << 30
MOST_TREES = 200_000
MOST_LEAVES = 131_072  # LightGBM's own limit of num_leaves
DEEPEST = 4_096  # contributions walk a tree by recursion
CATEGORICAL = 1  # of decision_type
HINT = "Do not serve it. Train the model again, or roll back to another version."

HEADER = (
    "version", "num_class", "num_tree_per_iteration", "label_index", "max_feature_idx", "objective", "feature_names",
    "feature_infos", "tree_sizes",
)  # fmt: skip
OF_NODES = ("split_gain", "internal_value", "internal_weight", "internal_count")
OF_LEAVES = ("leaf_weight", "leaf_count")
ALWAYS = frozenset(
    ("num_leaves", "num_cat", "split_feature", "threshold", "decision_type", "left_child", "right_child", "leaf_value",
     "is_linear", "shrinkage", *OF_NODES, *OF_LEAVES)
)  # fmt: skip
CATEGORIES = frozenset(("cat_boundaries", "cat_threshold"))
OBJECTIVES = {
    "regression": r"regression|regression_l1|huber|fair|poisson|quantile|mape|gamma|tweedie",
    "binary": r"binary sigmoid:1",
    "multiclass": r"multiclass num_class:\d+",
}
_WHOLE = re.compile(rb"-?\d{1,10}(?: -?\d{1,10})*\Z")
_NUMBERS = re.compile(rb"[-+0-9.eE]{1,40}(?: [-+0-9.eE]{1,40})*\Z")
_FIGURES = re.compile(rb"[-+0-9.eEinfa]{1,40}(?: [-+0-9.eEinfa]{1,40})*\Z")  # only shown, and may be infinite
_TAIL = re.compile(
    rb"end of trees\n\nfeature_importances:\n(?:[!-~]+=\d+\n)*\nparameters:\n(?:\[[ -~]*\]\n)*"
    rb"\nend of parameters\n(?:\npandas_categorical:[ -~]*\n)?\Z"
)


def checked(payload: bytes, task: Task) -> bytes:
    """The header and the trees of the text, found to be a model of this task; TamperError says what is wrong."""
    try:
        return _checked(payload, task)
    except (ValueError, KeyError, IndexError, OverflowError) as error:
        why = str(error) if isinstance(error, _WrongError) else f"a line is missing or no number ({error})"
        raise TamperError(f"The LightGBM model is not whole: {why[:200]}.", hint=HINT) from error


class _WrongError(ValueError):
    """What the text says does not hold."""


def _require(holds: bool, why: str) -> None:
    if not holds:
        raise _WrongError(why)


def _checked(payload: bytes, task: Task) -> bytes:
    _require(len(payload) <= MOST_BYTES, "it is too large")
    end = payload.find(b"\nend of trees\n") + 1
    _require(end > 0 and _TAIL.match(payload, end) is not None, "its end is missing")
    body = payload[:end]
    _require(body.isascii() and b"\0" not in body and b"\r" not in body, "it is no plain text")
    head, *trees = body.split(b"\nTree=")
    columns, every = _header(_lines(head, b"tree\n"), task)
    sizes = [
        len(tree) + len(b"Tree=") + 1 for tree in trees
    ]  # the line feed before the next is this one's last
    sizes[-1:] = [len(trees[-1]) + len(b"Tree=")] if trees else []
    _require(0 < len(trees) <= MOST_TREES and len(trees) % every == 0, "its number of trees does not fit")
    _require(_whole(_lines(head, b"tree\n"), "tree_sizes").tolist() == sizes, "its trees have other sizes")
    for number, tree in enumerate(trees):
        _tree(number, tree, columns)
    return body + b"end of trees\n\n"


def _lines(text: bytes, first: bytes) -> dict[str, bytes]:
    """`key=value` lines after the first one; each key once."""
    _require(text.startswith(first), "it does not begin as LightGBM's texts do")
    out: dict[str, bytes] = {}
    for line in text[len(first) :].rstrip(b"\n").split(b"\n"):
        key, equals, value = line.partition(b"=")
        name = key.decode("ascii", "replace")
        _require(equals == b"=" and name not in out, f"the line {name[:40]!r}")
        out[name] = value
    return out


def _header(said: Mapping[str, bytes], task: Task) -> tuple[int, int]:
    """The number of columns, and of trees a round."""
    _require(
        set(said) == set(HEADER), f"its header has other lines: {', '.join(sorted(set(said) ^ set(HEADER)))}"
    )
    every = task.classes if task.kind == "multiclass" else 1
    columns = len(task.columns)
    _require(said["version"] == b"v4", "its version is not v4")
    _require(_one(said, "num_class") == _one(said, "num_tree_per_iteration") == every, "it has other classes")
    _require(_one(said, "max_feature_idx") == columns - 1, "it has other columns")
    _require(_one(said, "label_index") == 0, "its label")
    objective = said["objective"].decode()
    _require(
        re.fullmatch(OBJECTIVES[task.kind], objective) is not None, f"its objective is {objective[:40]!r}"
    )
    if task.kind == "multiclass":
        _require(objective == f"multiclass num_class:{every}", "it has other classes")
    for name in ("feature_names", "feature_infos"):
        _require(len(said[name].split(b" ")) == columns, f"its {name} are of other columns")
    return columns, every


def _one(said: Mapping[str, bytes], name: str) -> int:
    values = _whole(said, name)
    _require(len(values) == 1, f"`{name}` is not one number")
    return int(values[0])


def _whole(said: Mapping[str, bytes], name: str) -> Ints:
    import numpy as np

    value = said[name]
    if not value:
        return np.empty(0, dtype=np.int64)
    _require(_WHOLE.match(value) is not None, f"`{name}` holds what is no whole number")
    return np.array(value.split(b" "), dtype=np.float64).astype(np.int64)


def _numbers(said: Mapping[str, bytes], name: str, count: int) -> Floats:
    """That many finite numbers."""
    import numpy as np

    value = said[name]
    if not value:
        _require(count == 0, f"`{name}` is empty")
        return np.empty(0)
    _require(_NUMBERS.match(value) is not None, f"`{name}` holds what is no number")
    out = np.array(value.split(b" "), dtype=np.float64)
    _require(len(out) == count and bool(np.isfinite(out).all()), f"`{name}` has other numbers")
    return out


def _tree(number: int, text: bytes, columns: int) -> None:
    said = _lines(text, b"%d\n" % number)
    leaves, categories = _one(said, "num_leaves"), _one(said, "num_cat")
    keys = ALWAYS | CATEGORIES if categories else ALWAYS
    _require(set(said) == keys, f"tree {number} has other lines: {', '.join(sorted(set(said) ^ keys))}")
    _require(
        1 <= leaves <= MOST_LEAVES and _one(said, "is_linear") == 0, f"tree {number} is of no known kind"
    )
    for names, count in ((OF_NODES, leaves - 1), (OF_LEAVES, leaves)):
        for name in names:
            _figures(said, name, count)
    _numbers(said, "leaf_value", leaves)
    _numbers(said, "shrinkage", 1)
    _children(number, _whole(said, "left_child"), _whole(said, "right_child"), leaves)
    _splits(number, said, leaves - 1, columns, categories)


def _figures(said: Mapping[str, bytes], name: str, count: int) -> None:
    """Statistics that are shown and not walked by."""
    import numpy as np

    value = said[name]
    if not value and count <= 1:  # LightGBM leaves out what a tree of one leaf has not
        return
    _require(_FIGURES.match(value) is not None, f"`{name}` holds what is no number")
    _require(len(np.array(value.split(b" "), dtype=np.float64)) == count, f"`{name}` has another size")


def _children(number: int, left: Ints, right: Ints, leaves: int) -> None:
    """Each node but the first and each leaf is the child of one node, and nodes come after their parents."""
    import numpy as np

    nodes = leaves - 1
    _require(len(left) == len(right) == nodes, f"tree {number} has another number of children")
    both, parents = np.concatenate((left, right)), np.tile(np.arange(nodes), 2)
    inner = both >= 0
    _require(np.array_equal(np.sort(both[inner]), np.arange(1, nodes)), f"tree {number} is no tree")
    _require(bool((both[inner] > parents[inner]).all()), f"tree {number} has a cycle")
    _require(
        np.array_equal(np.sort(~both[~inner]), np.arange(leaves) if nodes else np.arange(0)),
        f"tree {number} has other leaves",
    )
    if nodes > DEEPEST:
        _not_deep(number, left.tolist(), right.tolist())


def _not_deep(number: int, left: list[int], right: list[int]) -> None:
    depth = [0] * len(left)
    for parent, children in enumerate(zip(left, right, strict=True)):
        for child in children:
            if child > 0:
                depth[child] = depth[parent] + 1
    _require(max(depth) <= DEEPEST, f"tree {number} is too deep")


def _splits(number: int, said: Mapping[str, bytes], nodes: int, columns: int, categories: int) -> None:
    import numpy as np

    features, kinds = _whole(said, "split_feature"), _whole(said, "decision_type")
    limits = _numbers(said, "threshold", nodes)
    _require(len(features) == len(kinds) == nodes, f"tree {number} has another number of splits")
    _require(bool(((features >= 0) & (features < columns)).all()), f"tree {number} splits on no column")
    _require(bool(((kinds >= 0) & (kinds < 12)).all()), f"tree {number} decides in no known way")
    sorts = limits[(kinds & CATEGORICAL) == CATEGORICAL]
    _require(np.array_equal(np.sort(sorts), np.arange(categories)), f"tree {number} has other categories")
    if categories:
        ends, words = _whole(said, "cat_boundaries"), _whole(said, "cat_threshold")
        _require(len(ends) == categories + 1 and int(ends[0]) == 0, f"tree {number} has other categories")
        _require(
            bool((np.diff(ends) > 0).all()) and int(ends[-1]) == len(words),
            f"tree {number} has other categories",
        )
        _require(bool(((words >= 0) & (words < 1 << 32)).all()), f"tree {number} has other categories")
