"""The metrics of scikit-learn's scorers in numpy, each under many weightings of the rows at once.

What is a function of sums over rows is summed a block of rows and finished from any weighted sum of blocks (`Summed`).
What goes by ranks or medians is worked out on rows sorted once (`Weighed`). Both give scikit-learn's values where it has
one, and a value where it refuses what a model says (a rate of 0 or below counts as the least number above 0); NaN where
the rows do not define the metric. Tilth's own short names are in `metrics`, resampling is in `ml.judging.replicates`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from tilth.core.metrics import PINBALL
from tilth.ml.model.losses import brier_rows, labels, log_losses, pinball_rows

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array: TypeAlias = "npt.NDArray[np.float64]"
    Blocks: TypeAlias = "npt.NDArray[np.intp]"
    Table: TypeAlias = Callable[[Array, Array, Blocks, int, Array | None], Array]
    Finish: TypeAlias = Callable[[Array], Array]

TOP = 2  # of top_k_accuracy, as scikit-learn's scorer
AT_ONCE = 4_000_000  # numbers of one array of weights


@dataclass(frozen=True, slots=True)
class Summed:
    """`table(truth, output, block, count, weight)` sums rows a block: [count, k]; `finish` makes values [r] of sums [r, k]."""

    table: Table
    finish: Finish


@dataclass(frozen=True, slots=True)
class Weighed:
    """`values(truth, output, weights)`, of weights [r, rows]: [r]. `passes`: how often each row is gone through."""

    values: Callable[[Array, Array, Array], Array]
    passes: Callable[[Array], int] = lambda _output: 1


Measure: TypeAlias = Summed | Weighed


def value(measure: Measure, truth: Array, output: Array, weight: Array | None = None) -> float:
    """The metric on these rows, which count as `weight` says; NaN where they do not define it."""
    import numpy as np

    with np.errstate(all="ignore"):
        if isinstance(measure, Summed):
            whole = measure.table(truth, output, np.zeros(len(truth), dtype=np.intp), 1, weight)
            return float(measure.finish(whole)[0])
        own = np.ones(len(truth)) if weight is None else weight
        return float(measure.values(truth, output, own[None, :])[0])


def in_parts(
    measure: Weighed, truth: Array, output: Array, block: Blocks, weight: Array | None = None
) -> Callable[[Array], Array]:  # fmt: skip
    """A function of weights of blocks [r, blocks], which goes through them in parts that fit into memory."""
    import numpy as np

    step = max(1, AT_ONCE // max(1, len(truth)))
    own = np.ones(len(truth)) if weight is None else weight

    def run(weights: Array) -> Array:
        with np.errstate(all="ignore"):
            parts = [
                measure.values(truth, output, weights[at : at + step][:, block] * own)
                for at in range(0, len(weights), step)
            ]
        return np.concatenate(parts)

    return run


# --- decisions ---------------------------------------------------------------------------------------------


def _counted(classes: Callable[[Array, Array], Array]) -> Table:
    """Of each class the rows that are rightly called so, that are so, and that are called so: [count, 3 * classes]."""

    def table(truth: Array, output: Array, block: Blocks, count: int, weight: Array | None) -> Array:
        import numpy as np

        found = labels(output)
        known = classes(truth, found)
        wide = len(known) + 1

        def of(values: Array, rows: npt.NDArray[np.bool_]) -> Array:
            place = np.searchsorted(known, values)
            place[(place == len(known)) | (known[np.minimum(place, len(known) - 1)] != values)] = len(known)
            own = None if weight is None else weight[rows]
            at = np.bincount(block[rows] * wide + place[rows], weights=own, minlength=count * wide)
            return at.reshape(count, wide)[:, :-1].astype(np.float64)

        every = np.ones(len(truth), dtype=np.bool_)
        return np.concatenate([of(truth, truth == found), of(truth, every), of(found, every)], axis=1)

    return table


def _either(truth: Array, found: Array) -> Array:
    import numpy as np

    return np.union1d(truth, found)


def _two(truth: Array, found: Array) -> Array:  # noqa: ARG001  # as `_either`
    import numpy as np

    return np.array([0.0, 1.0])


def _split(sums: Array) -> tuple[Array, Array, Array]:
    third = sums.shape[1] // 3
    return sums[:, :third], sums[:, third : 2 * third], sums[:, 2 * third :]


def _share(part: Array, whole: Array) -> Array:
    """0 where there is nothing to share."""
    import numpy as np

    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _found(name: str, hits: Array, true: Array, said: Array) -> Array:
    if name == "precision":
        return _share(hits, said)
    if name == "recall":
        return _share(hits, true)
    return _share(2 * hits, true + said) if name == "f1" else _share(hits, true + said - hits)


def _averaged(name: str, way: str) -> Summed:
    def finish(sums: Array) -> Array:
        hits, true, said = _split(sums)
        if way == "micro":
            return _found(name, *(part.sum(axis=1) for part in (hits, true, said)))
        each = _found(name, hits, true, said)
        if way == "binary":
            return each[:, 1]
        weight = true if way == "weighted" else ((true + said) > 0).astype(float)
        averaged: Array = (each * weight).sum(axis=1) / weight.sum(axis=1)
        return averaged

    return Summed(_counted(_two if way == "binary" else _either), finish)


def _balanced(sums: Array) -> Array:
    hits, true, _ = _split(sums)
    out: Array = _share(hits, true).sum(axis=1) / (true > 0).sum(axis=1)
    return out


def _matthews(sums: Array) -> Array:
    hits, true, said = _split(sums)
    rows = true.sum(axis=1)
    together = hits.sum(axis=1) * rows - (true * said).sum(axis=1)
    return _share(together, ((rows**2 - (said**2).sum(axis=1)) * (rows**2 - (true**2).sum(axis=1))) ** 0.5)


def _kappa(sums: Array) -> Array:
    hits, true, said = _split(sums)
    rows = true.sum(axis=1)
    luck = (true * said).sum(axis=1) / rows**2
    return _share(hits.sum(axis=1) / rows - luck, 1.0 - luck)


def _likelihood(sums: Array, *, positive: bool) -> Array:
    """Where no negative is called positive (or each is), half a one is taken to be; what says the same of all tells nothing: 1."""
    import numpy as np

    hits, true, said = _split(sums)
    found, false = hits[:, 1] / true[:, 1], (said[:, 1] - hits[:, 1]) / true[:, 0]
    over, under = (found, false) if positive else (1.0 - found, 1.0 - false)
    least = np.where(under > 0, under, 0.5 / true[:, 0])
    told = np.where((over > 0) | (under > 0), over / least, 1.0)
    out: Array = np.where((true[:, 0] > 0) & (true[:, 1] > 0), told, np.nan)
    return out


# --- probabilities -----------------------------------------------------------------------------------------


def _columns(make: Callable[[Array, Array], list[Array]]) -> Table:
    """Sums of 1 and of what is made of each row."""

    def table(truth: Array, output: Array, block: Blocks, count: int, weight: Array | None) -> Array:
        import numpy as np

        own = np.ones(len(truth)) if weight is None else weight
        rows = [own, *(own * row for row in make(truth, output))]
        return np.stack([np.bincount(block, weights=row, minlength=count) for row in rows], axis=1)

    return table


def _against_shares(loss: Callable[[Array, Array], Array], unknowing: Finish) -> Summed:
    """1 minus the loss as a share of that of someone who says how frequent each class is."""

    def table(truth: Array, output: Array, block: Blocks, count: int, weight: Array | None) -> Array:
        import numpy as np

        lost = _columns(lambda t, o: [loss(t, o)])(truth, output, block, count, weight)
        own = np.ones(len(truth)) if weight is None else weight
        known = np.union1d(truth, truth)
        counts = [np.bincount(block[truth == c], weights=own[truth == c], minlength=count) for c in known]
        return np.concatenate([lost, np.stack(counts, axis=1)], axis=1)

    def finish(sums: Array) -> Array:
        import numpy as np

        blind = unknowing(sums[:, 2:] / sums[:, :1])
        out: Array = 1.0 - sums[:, 1] / sums[:, 0] / np.where(blind > 0, blind, np.nan)
        return out

    return Summed(table, finish)


def _entropy(share: Array) -> Array:
    import numpy as np

    out: Array = -(share * np.log(np.where(share > 0, share, 1.0))).sum(axis=1)
    return out


def _gini(share: Array) -> Array:
    out: Array = (share * (1.0 - share)).sum(axis=1)
    return out


def _among_top(truth: Array, output: Array) -> list[Array]:
    """Whether the true class is among the two likeliest; of equals the later class comes first."""
    import numpy as np

    place = truth.astype(np.intp)
    own = output[np.arange(len(truth)), place][:, None]
    later = np.arange(output.shape[1]) > place[:, None]
    return [(((output > own) | ((output == own) & later)).sum(axis=1) < TOP).astype(np.float64)]


@dataclass(frozen=True, slots=True)
class _Sorted:
    """Rows by rising score, with the place where each group of equal scores starts."""

    order: npt.NDArray[np.intp]
    starts: npt.NDArray[np.intp]

    @classmethod
    def of(cls, score: Array) -> _Sorted:
        import numpy as np

        order = np.argsort(score, kind="stable")
        new = np.diff(score[order], prepend=np.nan) != 0  # NaN differs from all
        return cls(order, np.flatnonzero(new))

    def grouped(self, weights: Array, hit: npt.NDArray[np.bool_]) -> tuple[Array, Array]:
        """[r, groups]: the weights of the hits and of all rows of each group."""
        import numpy as np

        sorted_weights = weights[:, self.order]
        ones = np.add.reduceat(sorted_weights * hit[self.order], self.starts, axis=1)
        return ones, np.add.reduceat(sorted_weights, self.starts, axis=1)


def _auc(score: Array, hit: npt.NDArray[np.bool_], weights: Array) -> Array:
    import numpy as np

    ones, every = _Sorted.of(score).grouped(weights, hit)
    zeros = every - ones
    below = np.cumsum(zeros, axis=1) - zeros / 2.0
    out: Array = (ones * below).sum(axis=1) / (ones.sum(axis=1) * zeros.sum(axis=1))
    return out


def _precisions(score: Array, hit: npt.NDArray[np.bool_], weights: Array) -> Array:
    import numpy as np

    ones, every = (part[:, ::-1] for part in _Sorted.of(score).grouped(weights, hit))
    right = _share(np.cumsum(ones, axis=1), np.cumsum(every, axis=1))
    out: Array = (right * ones).sum(axis=1) / ones.sum(axis=1)
    return out


def _each(output: Array, truth: Array) -> Iterator[tuple[Array, npt.NDArray[np.bool_]]]:
    """The score of each class that occurs, and whether rows are of it; of two classes the positive one."""
    import numpy as np

    if output.ndim == 1:
        yield output, truth > 0.5
        return
    for code in np.unique(truth):
        yield output[:, int(code)], truth == code


def _one_against_rest(of: Callable[..., Array], *, weighted: bool = False) -> Weighed:
    def values(truth: Array, output: Array, weights: Array) -> Array:
        import numpy as np

        each = list(_each(output, truth))
        found = np.stack([of(score, hit, weights) for score, hit in each], axis=1)
        share = np.stack(
            [weights[:, hit].sum(axis=1) if weighted else np.ones(len(weights)) for _, hit in each], axis=1
        )
        share = np.where(np.isnan(found), 0.0, share)
        out: Array = np.nansum(found * share, axis=1) / share.sum(axis=1)
        return out

    return Weighed(values, lambda output: 1 if output.ndim == 1 else output.shape[1])


def _one_against_one(*, weighted: bool) -> Weighed:
    """The mean over pairs of classes of how well each tells itself from the other (Hand and Till 2001)."""

    def values(truth: Array, output: Array, weights: Array) -> Array:
        import numpy as np

        if output.ndim == 1:
            return _auc(output, truth > 0.5, weights)
        total, shares = np.zeros(len(weights)), np.zeros(len(weights))
        known = np.unique(truth)
        for place, one in enumerate(known):
            for other in known[place + 1 :]:
                rows = np.flatnonzero((truth == one) | (truth == other))
                mine, w = truth[rows] == one, weights[:, rows]
                both = _auc(output[rows, int(one)], mine, w) + _auc(output[rows, int(other)], ~mine, w)
                share = np.where(np.isnan(both), 0.0, w.sum(axis=1) if weighted else 1.0)
                total += np.nan_to_num(both) / 2.0 * share
                shares += share
        return total / shares

    return Weighed(values, lambda output: 1 if output.ndim == 1 else 2 * output.shape[1])


# --- numbers -----------------------------------------------------------------------------------------------


def _mean(rows: Callable[[Array, Array], Array], power: float = 1.0) -> Summed:
    return Summed(_columns(lambda t, o: [rows(t, o)]), lambda sums: (sums[:, 1] / sums[:, 0]) ** power)


def _pinball(share: float) -> Callable[[Array, Array], Array]:
    """The loss of each row that the quantile of this share makes least (Koenker and Bassett 1978)."""

    def rows(truth: Array, output: Array) -> Array:
        return pinball_rows(truth, output, share)

    return rows


def _above_zero(output: Array) -> Array:
    import numpy as np

    return np.maximum(output, np.finfo(np.float64).eps)


def _log_error(truth: Array, output: Array) -> Array:
    import numpy as np

    out: Array = (np.log1p(truth) - np.log1p(np.maximum(output, 0.0))) ** 2
    return out


def _poisson(truth: Array, output: Array) -> Array:
    import numpy as np

    said = _above_zero(output)
    out: Array = 2.0 * (
        truth * np.log(np.where(truth > 0, truth, 1.0) / np.where(truth > 0, said, 1.0)) - truth + said
    )
    return out


def _gamma(truth: Array, output: Array) -> Array:
    import numpy as np

    said = _above_zero(output)
    out: Array = 2.0 * (np.log(said / truth) + truth / said - 1.0)
    return out


def _moments(truth: Array, output: Array) -> list[Array]:
    off, centred = truth - output, truth - truth.mean()
    return [off, off**2, centred, centred**2]


def _explained(sums: Array) -> Array:
    import numpy as np

    rows = sums[:, 0]
    left, whole = (np.maximum(sums[:, b] / rows - (sums[:, a] / rows) ** 2, 0.0) for a, b in ((1, 2), (3, 4)))
    out: Array = np.where(
        whole > 0, 1.0 - left / np.where(whole > 0, whole, 1.0), np.where(left > 0, 0.0, 1.0)
    )
    return out


def _median(values: Array, weights: Array) -> Array:
    """[r]: of rows that are there `weights` times; the mean of both middle ones."""
    import numpy as np

    order = np.argsort(values, kind="stable")
    heap, ordered = np.cumsum(weights[:, order], axis=1), values[order]
    half = heap[:, -1:] / 2.0
    low, high = (heap < half).sum(axis=1), (heap <= half).sum(axis=1)
    last = len(values) - 1
    out: Array = (ordered[np.minimum(low, last)] + ordered[np.minimum(high, last)]) / 2.0
    return out


def _against_median(truth: Array, output: Array, weights: Array) -> Array:
    import numpy as np

    middle = _median(truth, weights)
    far = np.stack([w @ np.abs(truth - m) for w, m in zip(weights, middle, strict=True)])
    out: Array = 1.0 - weights @ np.abs(truth - output) / np.where(far > 0, far, np.nan)
    return out


def _farthest(truth: Array, output: Array, weights: Array) -> Array:
    import numpy as np

    out: Array = np.where(weights > 0, np.abs(truth - output), 0.0).max(axis=1)
    return out


# --- the table ---------------------------------------------------------------------------------------------

MEASURES: dict[str, Measure] = {
    "balanced_accuracy": Summed(_counted(_either), _balanced),
    "average_precision": _one_against_rest(_precisions),
    "matthews_corrcoef": Summed(_counted(_either), _matthews),
    "cohen_kappa": Summed(_counted(_either), _kappa),
    **{
        f"{name}_{way}": _averaged(name, way)
        for name in ("f1", "precision", "recall", "jaccard")
        for way in ("macro", "micro", "weighted")
    },
    **{name: _averaged(name, "binary") for name in ("precision", "recall", "jaccard")},
    "positive_likelihood_ratio": Summed(_counted(_two), lambda sums: _likelihood(sums, positive=True)),
    "negative_likelihood_ratio": Summed(_counted(_two), lambda sums: _likelihood(sums, positive=False)),
    "roc_auc_ovr": _one_against_rest(_auc),
    "roc_auc_ovr_weighted": _one_against_rest(_auc, weighted=True),
    "roc_auc_ovo": _one_against_one(weighted=False),
    "roc_auc_ovo_weighted": _one_against_one(weighted=True),
    "top_k_accuracy": Summed(_columns(_among_top), lambda sums: sums[:, 1] / sums[:, 0]),
    "d2_log_loss_score": _against_shares(log_losses, _entropy),
    "d2_brier_score": _against_shares(brier_rows, _gini),
    "mean_squared_error": _mean(lambda t, o: (t - o) ** 2),
    "median_absolute_error": Weighed(lambda t, o, w: _median(abs(t - o), w)),
    "mean_squared_log_error": _mean(_log_error),
    "root_mean_squared_log_error": _mean(_log_error, 0.5),
    "max_error": Weighed(_farthest),
    "explained_variance": Summed(_columns(_moments), _explained),
    "mean_pinball_loss": _mean(lambda t, o: abs(t - o) / 2.0),
    "mean_poisson_deviance": _mean(_poisson),
    "mean_gamma_deviance": _mean(_gamma),
    "d2_absolute_error_score": Weighed(_against_median),
}
MEASURES |= {name: _mean(_pinball(share)) for name, share in PINBALL.items()}
"""What `core.metrics` lists beyond the usual ones, by name."""
