"""How much each input moves a model's answers: what drift of that input is weighed by.

Measured on a few hundred judge rows, as the mean distance of an input's contributions from their own mean, in shares that
add up to 1. A scorer that cannot tell contributions is asked again with one input's values in another order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tilth.ports.learning import Scorer

    Array = npt.NDArray[np.float64]

ROWS = 250


def importance(scorer: Scorer, x: Array, owners: tuple[str, ...]) -> dict[str, float]:
    """The share of each input (`owners` names the input of each matrix column); all 0 for a model that never moves."""
    import numpy as np

    picked = np.ascontiguousarray(x[np.linspace(0, len(x) - 1, min(len(x), ROWS)).astype(np.intp)])
    names = tuple(dict.fromkeys(owners))
    parts = scorer.contributions(picked)
    plain = scorer.score(picked)
    moved = (
        [_permuted(scorer, picked, plain, _places(owners, n)) for n in names]
        if parts is None
        else [_contributed(parts, len(owners), _places(owners, n)) for n in names]
    )
    total = sum(moved)
    return {n: round(m / total, 6) if total > 0 else 0.0 for n, m in zip(names, moved, strict=True)}


def _places(owners: tuple[str, ...], name: str) -> list[int]:
    return [index for index, owner in enumerate(owners) if owner == name]


def _contributed(parts: Array, columns: int, places: list[int]) -> float:
    """The sum over classes; the contributions of one input's columns belong together."""
    blocks = parts.reshape(len(parts), -1, columns + 1)[:, :, places].sum(axis=2)
    return float(abs(blocks - blocks.mean(axis=0)).mean(axis=0).sum())


def _permuted(scorer: Scorer, x: Array, plain: Array, places: list[int]) -> float:
    """How far the scores go when the rows swap this input's values: by half the rows, so that it is always the same."""
    import numpy as np

    other = x.copy()
    other[:, places] = np.roll(x[:, places], len(x) // 2, axis=0)
    return float(abs(scorer.score(other) - plain).mean(axis=0).sum())
