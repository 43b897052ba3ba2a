"""What answers to rows that a version was not tuned on look like, as points to draw: how well they rank, whether shares are
what they say, which classes are taken for which, how far off numbers are.

Reliability is in bins of equal counts; its one number, ECE, is the mean distance from the diagonal weighed by rows
(Naeini et al. 2015). Intervals of shares are Wilson's (1927), at 95 %.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]

BINS = 10
LEAST_IN_BIN = 30  # rows; fewer rows make fewer bins
POINTS = 100  # of a curve at most
SHOWN = 12  # classes that are told apart; the others are one
Z = 1.959963984540054


def ranking(truth: Array, score: Array) -> dict[str, list[float]]:
    """The ROC and the precision-recall curve of P(positive) against a truth of 0 and 1: false and true positive rates, precision."""
    import numpy as np

    order = np.argsort(-score, kind="stable")
    hit = truth[order]
    last = np.flatnonzero(np.diff(score[order], append=np.nan) != 0)  # of rows with one score the last
    true, said = np.cumsum(hit)[last], last + 1.0
    positives, negatives = max(1.0, float(hit.sum())), max(1.0, float(len(hit) - hit.sum()))
    chosen = (
        np.unique(np.linspace(0, len(last) - 1, min(POINTS, len(last))).round().astype(int))
        if len(last)
        else last
    )
    tpr, fpr, precision = true / positives, (said - true) / negatives, true / said
    return {
        "fpr": [0.0, *fpr[chosen].tolist()],
        "tpr": [0.0, *tpr[chosen].tolist()],
        "precision": precision[chosen].tolist(),
        "recall": tpr[chosen].tolist(),
    }


def reliability(truth: Array, share: Array) -> dict[str, Any]:
    """Of rows in bins of rising `share`: what was said, what came true with its interval, how many; and ECE.

    `luck` is the ECE that shares without fault would show on so few rows, `debiased` the ECE without what luck adds to the
    square of each bin's distance (Kumar, Liang and Ma 2019).
    """
    import numpy as np

    order = np.argsort(share, kind="stable")
    bins, off, luck, left = [], 0.0, 0.0, 0.0
    for part in np.array_split(order, max(2, min(BINS, len(order) // LEAST_IN_BIN))):
        if not len(part):
            continue
        rows, said, came = len(part), float(share[part].mean()), float(truth[part].mean())
        low, high = wilson(came, rows)
        bins.append({"said": said, "came": came, "low": low, "high": high, "rows": rows})
        off += abs(said - came) * rows
        luck += (2.0 / np.pi * float((share[part] * (1.0 - share[part])).sum())) ** 0.5
        noise = came * (1.0 - came) / (rows - 1) if rows > 1 else (said - came) ** 2
        left += max(0.0, (said - came) ** 2 - noise) ** 0.5 * rows
    if not len(order):
        return {"bins": bins, "ece": None, "luck": None, "debiased": None}
    return {"bins": bins, "ece": off / len(order), "luck": luck / len(order), "debiased": left / len(order)}


def wilson(share: float, rows: int) -> tuple[float, float]:
    """The interval of a share that was seen in so many rows.

    >>> [round(v, 4) for v in wilson(0.5, 100)]
    [0.4038, 0.5962]
    """
    middle = (share + Z * Z / (2 * rows)) / (1 + Z * Z / rows)
    half = Z / (1 + Z * Z / rows) * (share * (1 - share) / rows + Z * Z / (4 * rows * rows)) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)


def confusion(truth: Array, said: Array, classes: list[str]) -> dict[str, Any]:
    """Rows by their class and by the answer, the most frequent classes first; those beyond SHOWN are one, `others`."""
    import numpy as np

    counts = np.bincount(truth.astype(int), minlength=len(classes))
    order = np.argsort(-counts, kind="stable")
    kept = order if len(order) <= SHOWN else order[: SHOWN - 1]
    place = np.full(len(classes), len(kept))
    place[kept] = np.arange(len(kept))
    names = [classes[i] for i in kept] + (["others"] if len(kept) < len(classes) else [])
    table = np.zeros((len(names), len(names)), int)
    np.add.at(table, (place[truth.astype(int)], place[said.astype(int)]), 1)
    return {"classes": names, "rows": table.tolist()}


def residuals(truth: Array, said: Array) -> dict[str, Any]:
    """How far off numbers are: a histogram of truth minus answer, and in bins of rising answers the truth's middle and spread."""
    import numpy as np

    off = truth - said
    low, high = np.quantile(off, [0.01, 0.99]) if len(off) else (0.0, 0.0)
    counts, edges = np.histogram(
        np.clip(off, low, high), bins=20, range=(low, high if high > low else low + 1)
    )
    bins = []
    for part in np.array_split(np.argsort(said, kind="stable"), min(BINS, max(1, len(said)))):
        if len(part):
            q10, q50, q90 = np.quantile(truth[part], [0.1, 0.5, 0.9])
            bins.append(
                {"said": float(said[part].mean()), "low": q10, "middle": q50, "high": q90, "rows": len(part)}
            )
    return {
        "counts": counts.tolist(),
        "edges": edges.tolist(),
        "bins": bins,
        "median": float(np.median(np.abs(off))) if len(off) else None,
    }
