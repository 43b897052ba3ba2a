"""Reads a LightGBM text, once it was checked, as plain trees: what is exported to other formats is made of them.

The way back is `lightgbm_trees`; what a text may hold is said in `lightgbm_text`.
"""

from __future__ import annotations

from collections.abc import Mapping

from tilth.adapters.scorers.lightgbm_text import checked
from tilth.core.errors import UnsupportedError
from tilth.ports.learning import Task
from tilth.ports.portable import LINKS, Forest, Split, Tree

BY_SET, GAPS_LEFT = 1, 2  # of decision_type
GAPS_ARE, AS_ZERO, AS_GAPS = 12, 0, 8  # of decision_type: what a gap is taken for
TO_THE_POWER = ("poisson", "gamma", "tweedie")  # objectives whose sums are logarithms


def read(payload: bytes, task: Task) -> Forest:
    """The trees of a model of this task; TamperError for another text."""
    head, *parts = checked(payload, task).partition(b"\nend of trees")[0].split(b"\nTree=")
    objective = _lines(head)["objective"]
    link = "exp" if objective.startswith(TO_THE_POWER) else LINKS[task.kind]
    width = task.classes if task.kind == "multiclass" else 1
    try:
        return Forest(tuple(_Tree(_lines(part)).at(0) for part in parts), width, link)
    except RecursionError as error:
        raise UnsupportedError(
            "A tree of the model is too deep.", hint="Train it with lightgbm.max_depth."
        ) from error


def _lines(text: bytes) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.decode("ascii").split("\n") if "=" in line)


class _Tree:
    def __init__(self, said: Mapping[str, str]) -> None:
        def whole(name: str) -> list[int]:
            return [int(v) for v in said.get(name, "").split()]

        self._features, self._kinds = whole("split_feature"), whole("decision_type")
        self._left, self._right = whole("left_child"), whole("right_child")
        self._ends, self._words = whole("cat_boundaries"), whole("cat_threshold")
        self._limits = [float(v) for v in said["threshold"].split()]
        self._leaves = [float(v) for v in said["leaf_value"].split()]

    def at(self, place: int) -> Tree:
        """The tree below a node, or a leaf (below 0)."""
        if place < 0 or not self._features:
            return self._leaves[~place if place < 0 else 0]
        left, right, kind = self.at(self._left[place]), self.at(self._right[place]), self._kinds[place]
        feature, limit = self._features[place], self._limits[place]
        if kind & BY_SET:
            codes = self._codes(int(limit))
            return Split(feature, left, right, codes=codes) if codes else right
        if kind & GAPS_ARE not in (AS_ZERO, AS_GAPS):
            raise UnsupportedError(
                "The model takes a zero for a gap.", hint="Train it without `zero_as_missing`."
            )
        gaps_left = bool(kind & GAPS_LEFT) if kind & GAPS_ARE == AS_GAPS else limit >= 0.0
        return Split(feature, left, right, limit, gaps_left)

    def _codes(self, number: int) -> tuple[int, ...]:
        words = self._words[self._ends[number] : self._ends[number + 1]]
        return tuple(32 * n + bit for n, word in enumerate(words) for bit in range(32) if word >> bit & 1)
