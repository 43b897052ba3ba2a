"""XGBoost's trees, as its JSON says them, in the plain values of `ports.portable`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tilth.adapters.scorers.lightgbm_trees import below, codes, number
from tilth.ports.portable import Tree


def tree_of(one: Mapping[str, Any], scale: float, cardinality: Mapping[int, int]) -> Tree:
    """XGBoost's arrays of nodes as a tree: a number below its limit goes left, a code in the set right."""
    import numpy as np

    limits = np.array(one["split_conditions"], dtype=np.float32)
    sets = {
        node: one["categories"][start : start + size]
        for node, start, size in zip(
            one["categories_nodes"], one["categories_segments"], one["categories_sizes"], strict=True
        )
    }

    def at(node: int) -> Tree:
        left, right = one["left_children"][node], one["right_children"][node]
        if left == -1:
            return float(limits[node]) * scale
        feature, gaps_left = one["split_indices"][node], bool(one["default_left"][node])
        if node in sets:
            return codes(feature, sets[node], at(right), at(left), unknown=not gaps_left, count=cardinality[feature])  # fmt: skip
        return number(feature, below(float(limits[node])), at(left), at(right), gaps_low=gaps_left)

    return at(0)
