"""Writes trees that another library has grown as a LightGBM text: they serve as LightGBM's own do, without that library.

A split is on a number (`value <= threshold`) or on a set of codes, and gaps have their side, so the trees of XGBoost and
CatBoost are told exactly; their sums differ from those libraries' as adding in 64 bits differs from adding in 32. Sizes of
leaves, which contributions are weighed by, are counted on rows of training. `lightgbm_text` checks what is written here as
it checks every other text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tilth.adapters.scorers import lightgbm_c as c
from tilth.ports.learning import Task
from tilth.ports.portable import Split, Tree

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float64]

MOST_ROWS = 5_000  # by which leaves are sized
AT_ONCE = 2_000
LARGEST = 1.7976931348623157e308
BY_SET, GAPS_LEFT, GAPS = 1, 2, 8  # of decision_type
OBJECTIVE = {
    "regression": "regression",
    "binary": "binary sigmoid:1",
    "multiclass": "multiclass num_class:{0}",
}


def below(limit: float) -> float:
    """The largest double whose nearest 32-bit number is smaller than the 32-bit number `limit`.

    >>> import numpy as np
    >>> np.float32(below(0.1)) < np.float32(0.1) <= np.float32(np.nextafter(below(0.1), 1))
    True
    """
    import numpy as np

    narrow = np.float32(limit)
    with np.errstate(over="ignore"):
        middle = (float(narrow) + float(np.nextafter(narrow, np.float32(-np.inf)))) / 2.0
        if np.float32(middle) >= narrow:
            middle = float(np.nextafter(middle, -np.inf))
    return min(middle, LARGEST)


def up_to(limit: float) -> float:
    """The largest double whose nearest 32-bit number is not larger than the 32-bit number `limit`."""
    import numpy as np

    with np.errstate(over="ignore"):
        return below(float(np.nextafter(np.float32(limit), np.float32(np.inf))))


def number(feature: int, threshold: float, low: Tree, high: Tree, *, gaps_low: bool) -> Tree:
    """A split on a number; no split where both sides are one value."""
    return low if _same(low, high) else Split(feature, low, high, threshold, gaps_low)


def codes(feature: int, chosen: Iterable[int], within: Tree, other: Tree, *, unknown: bool, count: int) -> Tree:  # fmt: skip
    """A split on a set of the codes 0 .. count-1; `unknown` says whether a gap or another code is as if in the set."""
    found = set(chosen)
    if unknown:  # in a LightGBM text they are never in the set: what is not in it becomes the set
        found, within, other = set(range(count)) - found, other, within
    if not found or _same(within, other):
        return other
    return Split(feature, within, other, codes=tuple(sorted(found)))


def _same(one: Tree, other: Tree) -> bool:
    return not isinstance(one, Split) and not isinstance(other, Split) and one == other


def written(task: Task, trees: Sequence[Tree], x: Matrix) -> bytes:
    """The text of the trees, which are one a round, of several classes one a class and round; `x` are rows of training.

    A tree with leaves of one value a class stands for all trees of its round.
    """
    grown = [_Grown.of(tree) for tree in trees]
    for tree, sizes in zip(grown, _sizes(task, grown, x), strict=True):
        tree.sizes = sizes
    return _text(task, [part for tree in grown for part in tree.texts()])


def _sizes(task: Task, grown: Sequence[_Grown], x: Matrix) -> list[list[int]]:
    """How many of the rows end in each leaf of each tree; at least one, since shares are made of it."""
    import numpy as np

    some = np.ascontiguousarray(x[:: max(1, -(-len(x) // MOST_ROWS))])
    values = Task("regression", 0, task.columns, task.categorical, task.cardinality)
    booster = c.Booster(None, b"", _text(values, [tree.texts()[0] for tree in grown]))
    ends = np.cumsum([len(tree.leaves) for tree in grown])
    found = np.zeros(int(ends[-1]), dtype=np.int64)
    for start in range(0, len(some), AT_ONCE):
        part = np.ascontiguousarray(some[start : start + AT_ONCE])
        leaves = booster.predict(part, c.LEAF, len(grown), b"num_threads=1").astype(np.int64)
        places = leaves + (ends - [len(tree.leaves) for tree in grown])[None, :]
        found += np.bincount(places.ravel(), minlength=len(found))
    return [part.tolist() for part in np.split(np.maximum(found, 1), ends[:-1])]


@dataclass(slots=True)
class _Grown:
    """One tree as LightGBM keeps it: arrays over inner nodes, parents first, and over leaves; a leaf n is the child ~n."""

    features: list[int] = field(default_factory=list)
    thresholds: list[float] = field(default_factory=list)
    kinds: list[int] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    right: list[int] = field(default_factory=list)
    leaves: list[float | tuple[float, ...]] = field(default_factory=list)
    sets: list[tuple[int, ...]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    _fixed: tuple[str, str, str] | None = None

    @classmethod
    def of(cls, tree: Tree) -> _Grown:
        made = cls()
        made._add(tree)
        made.sizes = [1] * len(made.leaves)
        return made

    def _add(self, tree: Tree) -> int:
        if not isinstance(tree, Split):
            self.leaves.append(tree)
            return ~(len(self.leaves) - 1)
        place = len(self.features)
        self.features.append(tree.feature)
        self.thresholds.append(float(len(self.sets)) if tree.codes else tree.threshold)
        self.kinds.append(BY_SET if tree.codes else GAPS + GAPS_LEFT * tree.gaps_left)
        if tree.codes:
            self.sets.append(tree.codes)
        self.left.append(0)
        self.right.append(0)
        self.left[place] = self._add(tree.left)
        self.right[place] = self._add(tree.right)
        return place

    def counts(self) -> list[int]:
        """Rows of each inner node."""
        out = [0] * len(self.features)
        for place in reversed(range(len(out))):
            for child in (self.left[place], self.right[place]):
                out[place] += out[child] if child >= 0 else self.sizes[~child]
        return out

    def texts(self) -> list[str]:
        """Its part of the text without its number; of leaves with one value a class, one a class."""
        begin, middle, end = self._fixed = self._fixed or self._written()
        sizes, counts = _whole(self.sizes), _whole(self.counts())
        rest = f"leaf_count={sizes}\n{middle}internal_count={counts}\n{end}\n\n"
        wide = [leaf if isinstance(leaf, tuple) else (leaf,) for leaf in self.leaves]
        none = _whole([0] * len(wide))
        return [
            f"{begin}leaf_value={' '.join(map(repr, values))}\nleaf_weight={none}\n{rest}"
            for values in zip(*wide, strict=True)
        ]

    def _written(self) -> tuple[str, str, str]:
        """The lines around those of leaves and sizes."""
        nothing = _whole([0] * len(self.features))
        begin = (
            f"num_leaves={len(self.leaves)}\nnum_cat={len(self.sets)}\nsplit_feature={_whole(self.features)}\n"
            f"split_gain={nothing}\nthreshold={' '.join(map(repr, self.thresholds))}\n"
            f"decision_type={_whole(self.kinds)}\nleft_child={_whole(self.left)}\nright_child={_whole(self.right)}\n"
        )
        words = "".join(f"{name}={_whole(values)}\n" for name, values in self._words().items())
        middle = f"internal_value={nothing}\ninternal_weight={nothing}\n"
        return begin, middle, f"{words}is_linear=0\nshrinkage=1\n"

    def _words(self) -> dict[str, list[int]]:
        """The sets of codes, as words of 32 bits."""
        if not self.sets:
            return {}
        words: list[int] = []
        ends = [0]
        for chosen in self.sets:
            bits = [0] * (chosen[-1] // 32 + 1)
            for code in chosen:
                bits[code // 32] |= 1 << code % 32
            words += bits
            ends.append(len(words))
        return {"cat_boundaries": ends, "cat_threshold": words}


def _whole(values: Sequence[int]) -> str:
    return " ".join(map(str, values))


def _text(task: Task, texts: Sequence[str]) -> bytes:
    every = task.classes if task.kind == "multiclass" else 1
    parts = [f"Tree={number}\n{text}".encode() for number, text in enumerate(texts)]
    head = {
        "version": "v4", "num_class": every, "num_tree_per_iteration": every, "label_index": 0,
        "max_feature_idx": len(task.columns) - 1, "objective": OBJECTIVE[task.kind].format(every),
        "feature_names": " ".join(f"Column_{n}" for n in range(len(task.columns))),
        "feature_infos": " ".join("none" for _ in task.columns),
        "tree_sizes": " ".join(str(len(part)) for part in parts),
    }  # fmt: skip
    begin = "tree\n" + "".join(f"{name}={value}\n" for name, value in head.items()) + "\n"
    end = b"end of trees\n\nfeature_importances:\n\nparameters:\n\nend of parameters\n"
    return begin.encode() + b"".join(parts) + end
