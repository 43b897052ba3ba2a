"""Labels that are probably wrong, by answers of models that did not see the row: the rule of confident learning.

Northcutt, Jiang and Chuang, Confident learning: estimating uncertainty in dataset labels (2021, arXiv:1911.00068): the
threshold of a class is the mean probability that rows which are labelled so get for it; a row is suspicious when it lies
above the threshold of another class and that class is its most probable one above any threshold. Its confidence is how
much more probable that class is than the given one. Only classes have such labels; of numbers nothing is said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tilth.ml.learning.dealing import Files
    from tilth.ml.learning.made import Made
    from tilth.ml.learning.rows import Rows
    from tilth.ml.model.spec import TrainingSpec

    Array = npt.NDArray[np.float64]

LISTED = 200  # of a training, the most confident ones
LEAST = 10  # rows of a class, below which it has no threshold


def suspicious(y: Array, scores: Array) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], Array]:
    """Places of the rows, the class that is more likely, and how much more (0 to 1), the most confident first.

    `scores` are P(positive), or [rows, classes].
    """
    import numpy as np

    p = np.stack([1 - scores, scores], axis=1) if scores.ndim == 1 else scores
    given, size = y.astype(np.intp), p.shape[1]
    count = np.bincount(given, minlength=size)
    own = p[np.arange(len(p)), given]
    limit = np.bincount(given, weights=own, minlength=size) / np.maximum(count, 1)
    limit = np.where(count >= LEAST, limit, np.inf)
    above = np.where(p >= limit, p, -1.0)
    likely = above.argmax(axis=1)
    more = p[np.arange(len(p)), likely] - own
    found = np.flatnonzero((above.max(axis=1) >= 0) & (likely != given) & (more > 0))
    order = found[np.lexsort((found, -more[found]))]
    return order, likely[order], more[order]


def told(spec: TrainingSpec, files: Files, data: Rows, made: Made) -> dict[str, Any]:
    """JSON-able: how many rows were asked and are suspicious, and the first of them by the id that they have in the snapshot."""
    import numpy as np

    if data.target.kind == "regression":
        return {}
    parts = [made.asked] if made.asked is made.judged else [made.asked, made.judged]
    rows = np.concatenate([one.rows for one in parts])
    found, likely, more = suspicious(data.y[rows], np.concatenate([one.scores for one in parts]))
    listed = found[:LISTED]
    places = data.places[rows[listed]]
    order = np.argsort(places)
    ids = np.empty(len(listed), np.uint64)
    if len(listed):
        ids[order] = files.ids_of(spec.identity, places[order])
    classes = data.target.classes
    return {
        "asked": len(rows),
        "suspicious": len(found),
        "columns": list(spec.identity),
        "rows": [
            {
                "id": f"{int(ids[n]):016x}",
                "given": str(classes[int(data.y[rows[place]])]),
                "likely": str(classes[int(likely[n])]),
                "confidence": round(float(more[n]), 4),
            }
            for n, place in enumerate(listed)
        ],
    }
