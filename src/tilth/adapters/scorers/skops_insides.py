"""Looks at a loaded estimator where compiled code follows its numbers into memory and checks nothing itself.

Nearest neighbours, support vectors and boosted trees of scikit-learn index arrays by what other arrays say. A file whose
arrays do not fit together is refused here, before the first row is scored. What a file may name at all is decided in
`skops_types`; single trees are checked in `skops_file`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

MOST_OBJECTS = 5_000_000
MOST_JOBS = 256  # threads that a file may ask for when it answers
KERNELS = ("linear", "poly", "rbf", "sigmoid")


class UnfitError(ValueError):
    """Parts of the estimator do not fit together; the text says which."""


def check(estimator: Any) -> None:
    """Return when all parts fit together; UnfitError names the first that does not."""
    for part in _parts(estimator):
        kind = type(part).__name__
        _no_shadows(part, kind)
        jobs = getattr(part, "n_jobs", None)
        _require(jobs is None or (type(jobs) is int and -1 <= jobs <= MOST_JOBS), part, "its number of jobs")
        fitted, look = _LOOKS.get(kind, ("", None))
        if look is not None and (not fitted or hasattr(part, fitted)):  # the rest are patterns for members
            look(part)


def _require(holds: bool, part: Any, why: str) -> None:
    if not holds:
        raise UnfitError(f"{type(part).__name__}: {why}")


def _parts(root: Any) -> Iterator[Any]:
    """Every object of scikit-learn in it, each once."""
    import numpy as np

    seen: set[int] = set()
    waiting = [root]
    while waiting:
        one = waiting.pop()
        if id(one) in seen or one is None or isinstance(one, str | bytes | int | float | type):
            continue
        seen.add(id(one))
        if len(seen) > MOST_OBJECTS:
            raise UnfitError("it has too many parts")
        if isinstance(one, Mapping):
            waiting += one.values()
        elif isinstance(one, list | tuple | set):
            waiting += one
        elif isinstance(one, np.ndarray):
            waiting += one.ravel().tolist() if one.dtype == object else ()
        elif type(one).__module__.startswith("sklearn."):
            waiting += vars(one).values() if hasattr(one, "__dict__") else ()
            yield one


def _no_shadows(part: Any, kind: str) -> None:
    """An attribute of the file must not stand in the place of a method."""
    for name in vars(part) if hasattr(part, "__dict__") else ():
        if callable(getattr(type(part), name, None)):
            raise UnfitError(f"{kind}: its method `{name}` is hidden by a value")


# --- trees -------------------------------------------------------------------------------------------------


def _single(tree: Any) -> None:
    """scikit-learn checks rows against the estimator's own number of features, and walks by the tree's."""
    inner: Any = getattr(tree, "tree_", None)
    _require(type(inner).__name__ == "Tree", tree, "it has no tree")
    _require(inner.n_features == getattr(tree, "n_features_in_", None), tree, "its tree is for other columns")


def _members(ensemble: Any, members: Any) -> None:
    wide = getattr(ensemble, "n_features_in_", None)
    for member in members:
        inner: Any = getattr(member, "tree_", None)
        _require(type(inner).__name__ == "Tree", ensemble, "a member is no tree")
        _require(inner.n_features == wide, ensemble, "a tree is for other columns")


def _forest(forest: Any) -> None:
    members = getattr(forest, "estimators_", None)
    _require(isinstance(members, list) and bool(members), forest, "it has no trees")
    _members(forest, members)


def _boosted(model: Any) -> None:
    """Every stage adds to as many columns as the first guess has."""
    import numpy as np

    stages, wide = getattr(model, "estimators_", None), getattr(model, "n_features_in_", 0)
    _require(
        isinstance(stages, np.ndarray) and stages.ndim == 2 and stages.size > 0, model, "it has no stages"
    )
    assert isinstance(stages, np.ndarray)
    _members(model, stages.ravel().tolist())
    _require(all(m.tree_.value.shape[1:] == (1, 1) for m in stages.ravel()), model, "a stage has classes")
    first = model._raw_predict_init(np.zeros((1, wide), dtype=np.float32))  # noqa: SLF001  # what predict does first
    _require(first.shape == (1, stages.shape[1]), model, "its stages have another width than its first guess")


def _histogram(model: Any) -> None:
    """Nodes point downwards and at columns that there are; splits over categories are not kept (`skops_types`)."""
    import numpy as np

    wide = getattr(model, "n_features_in_", 0)
    mapper = getattr(model, "_bin_mapper", None)
    _require(type(mapper).__name__ == "_BinMapper", model, "it has no bins")
    sorts = np.asarray(getattr(mapper, "is_categorical_", None))
    _require(getattr(model, "_preprocessor", None) is None and not sorts.any(), model, CATEGORIES)
    _require(sorts.shape == (wide,), model, "its bins are for other columns")
    stages = getattr(model, "_predictors", None)
    _require(isinstance(stages, list), model, "it has no trees")
    for stage in stages or ():
        _require(isinstance(stage, list), model, "a stage is no list")
        for predictor in stage:
            _require(type(predictor).__name__ == "TreePredictor", model, "a member is no tree")
            _nodes(model, predictor, wide)


CATEGORIES = "categorical_features cannot be kept; tilth has encoded them already"


def _nodes(model: Any, predictor: Any, wide: int) -> None:
    import numpy as np

    nodes = predictor.nodes
    _require(
        isinstance(nodes, np.ndarray) and nodes.ndim == 1 and len(nodes) > 0, model, "a tree has no nodes"
    )
    _require(
        nodes.dtype.names is not None and "bitset_idx" in nodes.dtype.names, model, "a tree has no nodes"
    )
    inner = nodes["is_leaf"] == 0
    at = np.arange(len(nodes))[inner]
    _require(not nodes["is_categorical"][inner].any(), model, CATEGORIES)
    for side in ("left", "right"):
        child = nodes[side][inner].astype(np.int64)
        _require(bool(((child > at) & (child < len(nodes))).all()), model, "a child is not below its node")
    column = nodes["feature_idx"][inner]
    _require(bool(((column >= 0) & (column < wide)).all()), model, "a tree splits on no column")
    for name in ("raw_left_cat_bitsets", "binned_left_cat_bitsets"):
        _require(getattr(predictor, name, None) is not None, model, "a tree has no bitsets")


# --- neighbours --------------------------------------------------------------------------------------------


def _index(tree: Any) -> None:
    """A KD or ball tree: ranges lie within the rows, and children within the nodes."""
    import numpy as np

    state = tree.__getstate__()
    data, index, nodes, bounds = (np.asarray(part) for part in state[:4])
    levels, count, metric = state[5], state[6], state[11]
    rows, columns = data.shape
    _require(data.dtype == np.float64 and rows > 0 and columns > 0, tree, "it has no rows")
    _require(
        index.shape == (rows,) and bool(((index >= 0) & (index < rows)).all()), tree, "a row is not there"
    )
    _require(0 < levels < 40 and count == len(nodes) == (1 << levels) - 1, tree, "its nodes are not counted")
    height = 2 if type(tree).__name__ == "KDTree" else 1
    _require(bounds.shape == (height, count, columns), tree, "its bounds have another shape")
    start, end, leaf = nodes["idx_start"], nodes["idx_end"], nodes["is_leaf"] != 0
    _require(bool(((start >= 0) & (start <= end) & (end <= rows)).all()), tree, "a node has other rows")
    _require(bool(leaf[np.arange(count) * 2 + 2 >= count].all()), tree, "a last node is no leaf")
    weights = np.asarray(metric.__getstate__()[1])
    fits = type(metric).__name__ != "MinkowskiDistance64" or len(weights) in (0, columns)
    _require(fits, tree, "its metric has other columns")
    _require(state[12] is None or np.shape(state[12]) == (rows,), tree, "its weights have another shape")


def _neighbours(model: Any) -> None:
    """What is remembered of the rows fits to their number."""
    import numpy as np

    rows = getattr(model, "_fit_X", None)
    _require(isinstance(rows, np.ndarray) and rows.ndim == 2, model, "it has no rows")
    assert isinstance(rows, np.ndarray)
    labels, classes = np.asarray(getattr(model, "_y", None)), getattr(model, "classes_", None)
    _require(rows.shape[1] == getattr(model, "n_features_in_", None), model, "its rows have other columns")
    _require(len(rows) == getattr(model, "n_samples_fit_", None), model, "its rows are not counted")
    _require(labels.ndim in (1, 2) and len(labels) == len(rows), model, "its answers are not counted")
    _require(not callable(getattr(model, "weights", None)), model, "a function as `weights`")
    tree = getattr(model, "_tree", None)
    if tree is not None:
        _require(tree.__getstate__()[0].shape == rows.shape, model, "its index is for other rows")
    if classes is not None:
        _require(isinstance(classes, np.ndarray) and labels.dtype.kind in "iu", model, "it has no classes")
        _require(bool(((labels >= 0) & (labels < len(classes))).all()), model, "an answer is no class")


# --- support vectors ---------------------------------------------------------------------------------------


def _support(model: Any) -> None:
    """The library libsvm reads as far as the counts say."""
    import numpy as np

    def array(name: str) -> Array:
        return np.asarray(getattr(model, name, None))

    vectors, counts, coefficients = array("support_vectors_"), array("_n_support"), array("_dual_coef_")
    wide = getattr(model, "n_features_in_", None)
    _require(getattr(model, "_sparse", None) is False, model, "sparse support vectors")
    _require(getattr(model, "kernel", None) in KERNELS, model, f"its kernel is none of {', '.join(KERNELS)}")
    _require(vectors.ndim == 2 and vectors.shape[1] == wide, model, "its vectors have other columns")
    _require("_impl" not in vars(model), model, "its method is hidden by a value")
    classes = len(array("classes_")) if hasattr(model, "classes_") else 2
    pairs = classes * (classes - 1) // 2
    _require(counts.shape == (classes,) and bool((counts >= 0).all()), model, "its vectors are not counted")
    total = int(counts.astype(np.int64).sum()) if hasattr(model, "classes_") else int(counts[0])
    _require(
        total == len(vectors) and array("support_").shape == (total,), model, "its vectors are not counted"
    )
    _require(coefficients.shape == (classes - 1, total), model, "its coefficients have another shape")
    _require(array("_intercept_").shape == (pairs,), model, "its intercepts have another shape")
    for name in ("_probA", "_probB"):
        _require(array(name).shape in ((0,), (pairs,)), model, "its probabilities have another shape")
    _require(array("_probA").shape == array("_probB").shape, model, "its probabilities have another shape")


_LOOKS: Mapping[
    str, tuple[str, Callable[[Any], None]]
] = {  # by class: what only a fitted one has, and the look
    **dict.fromkeys(
        ("DecisionTreeClassifier", "DecisionTreeRegressor", "ExtraTreeClassifier", "ExtraTreeRegressor"),
        ("tree_", _single),
    ),
    **dict.fromkeys(
        ("ExtraTreesClassifier", "ExtraTreesRegressor", "RandomForestClassifier", "RandomForestRegressor"),
        ("estimators_", _forest),
    ),
    **dict.fromkeys(("GradientBoostingClassifier", "GradientBoostingRegressor"), ("estimators_", _boosted)),
    **dict.fromkeys(
        ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor"), ("_predictors", _histogram)
    ),
    **dict.fromkeys(("KDTree", "BallTree"), ("", _index)),
    **dict.fromkeys(("KNeighborsClassifier", "KNeighborsRegressor"), ("_fit_X", _neighbours)),
    **dict.fromkeys(("NuSVC", "NuSVR", "SVC", "SVR"), ("support_vectors_", _support)),
}
