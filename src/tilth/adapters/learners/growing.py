"""Grows the trees of an extremely randomised forest with scikit-learn's compiled builders, without its estimators.

Importing scikit-learn costs two CPU seconds, and cloning an estimator a tree as much as growing it on few rows. The builders
need neither: what they ask of other packages while they load is handed to them (`_handed`), and says what those would say.
The trees are those of `ExtraTreesRegressor` and `ExtraTreesClassifier` with the same seed, node for node; where the version
installed is not one whose builders are known, these grow them.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.machinery import PathFinder
from types import ModuleType
from typing import TYPE_CHECKING, Any

from tilth.ports.learning import version_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float64]
    Narrow = npt.NDArray[np.float32]

KNOWN = ("1.9.",)  # versions whose builders are called as here
DEEPEST = 2**31 - 1
PACKAGES = ("sklearn", "sklearn.utils", "sklearn.tree", "sklearn.neighbors", "scipy.special")
LATER = (
    ("sklearn.utils", "_align_api_if_sparse"),
    ("sklearn.utils.validation", "check_random_state"),
    ("scipy.sparse", "csr_array"),
)  # functions that the builders name and do not call for what is grown here


@dataclass(frozen=True, slots=True)
class Way:
    """How each tree is grown. `monotone`: -1, 0 or 1 a column, or nothing."""

    leaf: int  # rows of the smallest
    width: int  # columns that are tried at each split
    seed: int
    monotone: tuple[int, ...] = ()


@dataclass(slots=True)
class Grown:
    """A forest that may grow on; `classes` are those of a leaf's values, None of a regression."""

    x: Narrow
    y: Matrix
    weight: Matrix | None
    way: Way
    classes: npt.NDArray[np.int64] | None
    trees: list[Any] = field(default_factory=list)

    @staticmethod
    def of(x: Narrow, y: Matrix, weight: Matrix | None, way: Way, several: bool) -> Grown:
        """No tree yet. With `several` the targets are codes of classes."""
        import numpy as np

        if not several:
            return Grown(x, y, weight, way, None)
        classes, codes = np.unique(y.astype(np.int64), return_inverse=True)
        return Grown(x, codes.astype(np.float64), weight, way, classes)

    def grow(self, count: int) -> None:
        """More trees, until there are so many."""
        if version_of("scikit-learn").startswith(KNOWN):
            self.trees += _built(self, count)
        else:
            self.trees += _estimated(self, count)

    def predict(self, x: Narrow) -> Matrix:
        """The mean of the trees: [rows], or [rows, classes]."""
        import numpy as np

        out = np.zeros((len(x), 1 if self.classes is None else len(self.classes)))
        for tree in self.trees:
            out += tree.predict(x)
        out /= len(self.trees)
        return out[:, 0] if self.classes is None else out


def _built(forest: Grown, count: int) -> list[Any]:
    """The next trees, each by a random state that the forest's own one draws for it."""
    import numpy as np

    tree, splitter, criterion = builders()
    x, way = forest.x, forest.way
    y = np.ascontiguousarray(forest.y, dtype=np.float64).reshape(-1, 1)
    values = np.array([1 if forest.classes is None else len(forest.classes)], dtype=np.intp)
    gaps = np.isnan(x).any(axis=0)
    monotone = np.array(way.monotone, dtype=np.int8) if way.monotone else None
    seeds = np.random.RandomState(way.seed)  # scikit-learn's trees are drawn by it
    out = []
    for number, seed in enumerate(seeds.randint(np.iinfo(np.int32).max, size=count).tolist()):
        if number < len(forest.trees):
            continue
        measure = criterion.MSE(1, len(x)) if forest.classes is None else criterion.Gini(1, values)
        own = np.random.RandomState(seed)
        split = splitter.RandomSplitter(measure, way.width, way.leaf, 0.0, own, monotone)
        made = tree.Tree(x.shape[1], values, 1)
        builder = tree.DepthFirstTreeBuilder(split, max(2, 2 * way.leaf), way.leaf, 0.0, DEEPEST, 0.0)
        builder.build(made, x, y, forest.weight, gaps if gaps.any() else None)
        out.append(made)
    return out


def _estimated(forest: Grown, count: int) -> list[Any]:
    """The next trees by scikit-learn's estimators."""
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

    kind, way = ExtraTreesRegressor if forest.classes is None else ExtraTreesClassifier, forest.way
    found = kind(
        count, min_samples_leaf=way.leaf, max_features=way.width, random_state=way.seed, n_jobs=1,
        monotonic_cst=list(way.monotone) or None,
    )  # fmt: skip
    y = forest.y if forest.classes is None else forest.y.astype("int64")
    return [e.tree_ for e in found.fit(forest.x, y, forest.weight).estimators_[len(forest.trees) :]]


# --- loading -----------------------------------------------------------------------------------------------


@cache
def builders() -> tuple[ModuleType, ModuleType, ModuleType]:
    """scikit-learn's compiled trees, splitters and criteria; of the rest of it as little as they let."""
    with _handed():
        found = [importlib.import_module(f"sklearn.tree.{n}") for n in ("_tree", "_splitter", "_criterion")]
    return found[0], found[1], found[2]


def load() -> None:
    """Import what `grow` needs."""
    if version_of("scikit-learn").startswith(KNOWN):
        builders()
    else:
        importlib.import_module("sklearn.ensemble")


@contextmanager
def _handed() -> Iterator[None]:
    """While the builders load, what they import is here already; afterwards whoever asks gets the packages themselves."""
    wanted: dict[str, dict[str, object]] = {
        **{name: {"__path__": _folders(name)} for name in PACKAGES},
        "sklearn.utils.validation": {},
        "scipy.sparse": {"issparse": _is_sparse},
    }
    for module, name in LATER:
        wanted[module][name] = _later(module, name)
    given = {
        name: _module(name, content)
        for name, content in wanted.items()
        if name not in sys.modules and not (name.startswith("sklearn.") and "sklearn" in sys.modules)
    }
    sys.modules.update(given)
    try:
        yield
    finally:
        for name in given:
            del sys.modules[name]


def _folders(name: str) -> list[str]:
    """Where the modules of an installed package lie."""
    top, _, rest = name.partition(".")
    found = PathFinder.find_spec(top)
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(f"There is no package {top}.", name=top)
    return [os.path.join(at, *rest.split(".")) if rest else at for at in found.submodule_search_locations]


def _module(name: str, content: Mapping[str, object]) -> ModuleType:
    out = ModuleType(name)
    out.__dict__.update(content)
    return out


def _later(module: str, name: str) -> Callable[..., Any]:
    """The function of that name, of a module that is imported when it is called."""

    def call(*args: Any, **named: Any) -> Any:
        return getattr(importlib.import_module(module), name)(*args, **named)

    return call


def _is_sparse(x: object) -> bool:
    import numpy as np

    if isinstance(x, np.ndarray):
        return False
    return bool(importlib.import_module("scipy.sparse").issparse(x))
