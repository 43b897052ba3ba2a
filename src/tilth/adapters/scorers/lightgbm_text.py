"""Checks a LightGBM model text, line by line, before the C library sees it: that library believes what a text says.

Sizes must agree, children must lie below their parents, features and categories must be there, numbers must be numbers.
What is handed on are the header and the trees only; the importances and parameters that follow must be whole and are not
used. Where the text is scored is in `lightgbm_scorer`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
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

HEADER = frozenset(
    (b"version", b"num_class", b"num_tree_per_iteration", b"label_index", b"max_feature_idx", b"objective",
     b"feature_names", b"feature_infos", b"tree_sizes")
)  # fmt: skip
OF_NODES = (b"split_gain", b"internal_value", b"internal_weight", b"internal_count")
OF_LEAVES = (b"leaf_weight", b"leaf_count")
ALWAYS = frozenset(
    (b"num_leaves", b"num_cat", b"split_feature", b"threshold", b"decision_type", b"left_child", b"right_child",
     b"leaf_value", b"is_linear", b"shrinkage", *OF_NODES, *OF_LEAVES)
)  # fmt: skip
CATEGORIES = frozenset((b"cat_boundaries", b"cat_threshold"))
LONGEST = 11  # characters of a whole number
OBJECTIVES = {
    "regression": r"regression|regression_l1|huber|fair|poisson|quantile|mape|gamma|tweedie",
    "binary": r"binary sigmoid:1",
    "multiclass": r"multiclass num_class:\d+",
}
DIGITS, NUMERIC = b"0123456789-", b"0123456789-+.eE"
SHOWN = NUMERIC + b"infa"  # figures that nothing walks by may be infinite
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
    said = _lines(head, b"tree")
    columns, every = _header(said, task)
    sizes = [
        len(tree) + len(b"Tree=") + 1 for tree in trees
    ]  # the line feed before the next is this one's last
    sizes[-1:] = [len(trees[-1]) + len(b"Tree=")] if trees else []
    _require(0 < len(trees) <= MOST_TREES and len(trees) % every == 0, "its number of trees does not fit")
    _require(_ints([said[b"tree_sizes"]], "tree_sizes").tolist() == sizes, "its trees have other sizes")
    _trees([_lines(tree, b"%d" % number) for number, tree in enumerate(trees)], columns)
    return body + b"end of trees\n\n"


def _lines(text: bytes, first: bytes) -> dict[bytes, bytes]:
    """`key=value` lines after the first one; each key once."""
    begin, *rest = text.rstrip(b"\n").split(b"\n")
    _require(begin == first, "it does not begin as LightGBM's texts do")
    out = dict(line.split(b"=") for line in rest if line.count(b"=") == 1)
    if len(out) != len(rest):
        keys = [line.partition(b"=")[0] for line in rest]
        wrong = next(k for n, k in enumerate(keys) if rest[n].count(b"=") != 1 or k in keys[:n])
        raise _WrongError(f"the line {wrong.decode('ascii', 'replace')[:40]!r}")
    return out


def _named(keys: Iterable[bytes]) -> str:
    return ", ".join(sorted(k.decode("ascii", "replace")[:40] for k in keys))


def _header(said: Mapping[bytes, bytes], task: Task) -> tuple[int, int]:
    """The number of columns, and of trees a round."""
    _require(set(said) == HEADER, f"its header has other lines: {_named(set(said) ^ HEADER)}")
    every = task.classes if task.kind == "multiclass" else 1
    columns = len(task.columns)
    _require(said[b"version"] == b"v4", "its version is not v4")
    classes = _one(said, b"num_class"), _one(said, b"num_tree_per_iteration")
    _require(classes == (every, every), "it has other classes")
    _require(_one(said, b"max_feature_idx") == columns - 1, "it has other columns")
    _require(_one(said, b"label_index") == 0, "its label")
    objective = said[b"objective"].decode()
    _require(
        re.fullmatch(OBJECTIVES[task.kind], objective) is not None, f"its objective is {objective[:40]!r}"
    )
    if task.kind == "multiclass":
        _require(objective == f"multiclass num_class:{every}", "it has other classes")
    for name in (b"feature_names", b"feature_infos"):
        _require(said[name].count(b" ") == columns - 1, f"its {name.decode()} are of other columns")
    return columns, every


# --- numbers -----------------------------------------------------------------------------------------------


def _one(said: Mapping[bytes, bytes], name: bytes) -> int:
    values = _ints([said[name]], name.decode())
    _require(len(values) == 1, f"`{name.decode()}` is not one number")
    return int(values[0])


def _ints(texts: Iterable[bytes], name: str) -> Ints:
    """The whole numbers of all texts, one after another."""
    import numpy as np

    found = _tokens(texts, DIGITS, name, "no whole number")
    _require(max(map(len, found), default=0) <= LONGEST, f"`{name}` holds what is too large")
    return np.array(list(map(int, found)), dtype=np.int64)


def _floats(texts: Iterable[bytes], name: str, *, endless: bool = False) -> Floats:
    """The finite numbers of all texts, one after another; `endless`: they may be infinite, too."""
    import numpy as np

    allowed = SHOWN if endless else NUMERIC
    out = np.array(list(map(float, _tokens(texts, allowed, name, "no number"))), dtype=np.float64)
    good = ~np.isnan(out) if endless else np.isfinite(out)
    _require(bool(good.all()), f"`{name}` has other numbers")
    return out


def _tokens(texts: Iterable[bytes], allowed: bytes, name: str, none: str) -> list[bytes]:
    """What the texts hold, between single spaces and of these characters only."""
    joined = b" ".join(text for text in texts if text)
    _require(not joined.translate(None, allowed + b" "), f"`{name}` holds what is {none}")
    found = joined.split(b" ") if joined else []
    _require(b"" not in found, f"`{name}` holds what is {none}")
    return found


def _counts(texts: Sequence[bytes]) -> Ints:
    """How many numbers each text holds."""
    import numpy as np

    return np.array([text.count(b" ") + 1 if text else 0 for text in texts], dtype=np.int64)


# --- trees -------------------------------------------------------------------------------------------------


def _trees(said: Sequence[Mapping[bytes, bytes]], columns: int) -> None:
    """All trees at once: each array is read over all of them, and looked at with where each tree begins in it."""
    for number, one in enumerate(said):
        keys = ALWAYS if one.get(b"num_cat") == b"0" else ALWAYS | CATEGORIES
        if one.keys() != keys:
            raise _WrongError(f"tree {number} has other lines: {_named(one.keys() ^ keys)}")

    def texts(name: bytes) -> list[bytes]:
        return [one[name] for one in said]

    leaves, categories, linear = (_each(texts(n), n) for n in (b"num_leaves", b"num_cat", b"is_linear"))
    _all((leaves >= 1) & (leaves <= MOST_LEAVES) & (linear == 0), "is of no known kind")
    _all((categories >= 0) & (categories < leaves), "has other categories")
    _all(_counts(texts(b"shrinkage")) == 1, "has not one `shrinkage`")
    _floats(texts(b"shrinkage"), "shrinkage")
    for names, count in ((OF_NODES, leaves - 1), (OF_LEAVES, leaves)):
        for name in names:
            _shown(texts(name), name, count)
    _counted(texts(b"leaf_value"), leaves, "has other numbers of leaves")
    _floats(texts(b"leaf_value"), "leaf_value")
    for name in (b"left_child", b"right_child", b"split_feature", b"decision_type", b"threshold"):
        _counted(texts(name), leaves - 1, f"has another number of `{name.decode()}`")
    left, right = _ints(texts(b"left_child"), "left_child"), _ints(texts(b"right_child"), "right_child")
    _children(left, right, leaves)
    _splits(texts, leaves - 1, columns, categories)
    for number, one in enumerate(said):
        if categories[number]:
            _sets(number, one[b"cat_boundaries"], one[b"cat_threshold"], int(categories[number]))


def _all(holds: npt.NDArray[np.bool_], why: str, owner: Ints | None = None) -> None:
    """Return when it holds everywhere; the first tree (the owner of the place) where it does not is named."""
    if not holds.all():
        place = int(holds.argmin())
        raise _WrongError(f"tree {place if owner is None else int(owner[place])} {why}")


def _each(texts: Sequence[bytes], name: bytes) -> Ints:
    """One whole number a tree."""
    _all(_counts(texts) == 1, f"has not one `{name.decode()}`")
    return _ints(texts, name.decode())


def _counted(texts: Sequence[bytes], count: Ints, why: str) -> None:
    _all(_counts(texts) == count, why)


def _shown(texts: Sequence[bytes], name: bytes, count: Ints) -> None:
    """Statistics that are shown and not walked by; LightGBM leaves out some of a tree of one leaf."""
    found = _counts(texts)
    _all((found == count) | ((found == 0) & (count <= 1)), f"has another size of `{name.decode()}`")
    _tokens(texts, SHOWN, name.decode(), "no number")


def _children(left: Ints, right: Ints, leaves: Ints) -> None:
    """Each node but the first and each leaf is the child of one node, and nodes come after their parents."""
    import numpy as np

    nodes = leaves - 1
    owner = np.repeat(np.arange(len(leaves)), nodes)
    first_node, first_leaf = np.cumsum(nodes) - nodes, np.cumsum(leaves) - leaves
    place = np.arange(len(left)) - first_node[owner]
    both, owners, places = np.concatenate((left, right)), np.tile(owner, 2), np.tile(place, 2)
    inner = both >= 0
    _all(~inner | (both < nodes[owners]), "is no tree: a child is not there", owners)
    _all(~inner | (both > places), "has a cycle", owners)
    _all(inner | (~both < leaves[owners]), "has other leaves", owners)
    parents = np.bincount(first_node[owners[inner]] + both[inner], minlength=len(left))
    _all(parents == (place > 0), "is no tree: a node has not one parent", owner)
    ends = np.bincount(first_leaf[owners[~inner]] + ~both[~inner], minlength=int(leaves.sum()))
    _all(
        (ends == 1) | np.repeat(leaves == 1, leaves),
        "has other leaves",
        np.repeat(np.arange(len(leaves)), leaves),
    )
    for tree in np.flatnonzero(nodes > DEEPEST).tolist():
        part = slice(int(first_node[tree]), int(first_node[tree] + nodes[tree]))
        _not_deep(tree, left[part].tolist(), right[part].tolist())


def _not_deep(number: int, left: list[int], right: list[int]) -> None:
    depth = [0] * len(left)
    for parent, children in enumerate(zip(left, right, strict=True)):
        for child in children:
            if child > 0:
                depth[child] = depth[parent] + 1
    _require(max(depth) <= DEEPEST, f"tree {number} is too deep")


def _splits(texts: Callable[[bytes], list[bytes]], nodes: Ints, columns: int, categories: Ints) -> None:
    """Splits are on columns that there are, and those over categories have their sets."""
    import numpy as np

    owner = np.repeat(np.arange(len(nodes)), nodes)
    features, kinds = (
        _ints(texts(b"split_feature"), "split_feature"),
        _ints(texts(b"decision_type"), "decision_type"),
    )
    limits = _floats(texts(b"threshold"), "threshold", endless=True)  # a split on gaps alone is at infinity
    _all((features >= 0) & (features < columns), "splits on no column", owner)
    _all((kinds >= 0) & (kinds < 12), "decides in no known way", owner)
    over = (kinds & CATEGORICAL) == CATEGORICAL
    sets, owners = limits[over], owner[over]
    _all(np.bincount(owners, minlength=len(nodes)) == categories, "has other categories")
    order = np.lexsort((sets, owners))
    expected = np.arange(len(sets)) - (np.cumsum(categories) - categories)[owners]
    _all(sets[order] == expected, "has other categories", owners)


def _sets(number: int, boundaries: bytes, words: bytes, categories: int) -> None:
    """The sets of categories of one tree, as words of bits."""
    import numpy as np

    ends, bits = _ints([boundaries], "cat_boundaries"), _ints([words], "cat_threshold")
    why = f"tree {number} has other categories"
    _require(len(ends) == categories + 1 and int(ends[0]) == 0 and int(ends[-1]) == len(bits), why)
    _require(bool((np.diff(ends) > 0).all()) and bool(((bits >= 0) & (bits < 1 << 32)).all()), why)
