"""Trees by scikit-learn's builders alone are those of its estimators, and what it is loaded with leaves nothing behind."""

import subprocess
import sys

import numpy as np
import pytest

from tilth.adapters.learners import growing
from tilth.adapters.learners.growing import Grown, Way

ROWS = 300
RNG = np.random.default_rng(5)
X = RNG.normal(size=(ROWS, 6)).astype(np.float32)
GAPS = np.where(RNG.random(X.shape) < 0.1, np.nan, X).astype(np.float32)
NUMBERS = X[:, 0] * 2 - X[:, 1] + RNG.normal(size=ROWS)
CODES = np.digitize(NUMBERS, [-1, 0, 1]) * 2.0  # 0, 2, 4, 6: a class in the middle may be without rows
WEIGHT = RNG.uniform(0.5, 2, ROWS)
FORESTS = {
    "numbers": (X, NUMBERS, None, Way(3, 4, 7), False),
    "gaps": (GAPS, NUMBERS, None, Way(1, 6, 7), False),
    "two classes": (X, (NUMBERS > 0).astype(float), None, Way(5, 2, 0), False),
    "several classes": (GAPS, CODES, None, Way(2, 2, 11), True),
    "weights": (X, NUMBERS, WEIGHT, Way(3, 4, 7), False),
    "weights of classes": (X, CODES, WEIGHT, Way(3, 4, 7), True),
    "monotone": (X, NUMBERS, None, Way(3, 4, 7, (1, -1, 0, 0, 0, 0)), False),
}


@pytest.mark.parametrize("name", FORESTS)
def test_trees_are_those_of_the_estimators(name: str) -> None:
    own, theirs = Grown.of(*FORESTS[name]), Grown.of(*FORESTS[name])
    own.grow(2)
    own.grow(5)  # in two steps: the same as at once
    theirs.trees = growing._estimated(theirs, 5)
    assert len(own.trees) == 5
    for one, other in zip(own.trees, theirs.trees, strict=True):
        a, b = one.__getstate__(), other.__getstate__()
        assert a["nodes"].tobytes() == b["nodes"].tobytes()
        assert a["values"].tobytes() == b["values"].tobytes()
    assert own.predict(GAPS).tobytes() == theirs.predict(GAPS).tobytes()


def test_another_version_grows_by_its_estimators(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(growing, "version_of", lambda _package: "2.0.1")
    monkeypatch.setattr(growing, "_estimated", lambda _forest, count: asked.append(count) or ["tree"] * count)
    forest = Grown.of(*FORESTS["numbers"])
    forest.grow(3)
    assert (asked, len(forest.trees)) == ([3], 3)


AFTERWARDS = """
import sys
from tilth.adapters.learners import growing
growing.load()
assert not {"sklearn", "sklearn.utils", "scipy.sparse", "scipy.special", "scipy.stats", "pandas", "joblib"} & set(sys.modules)
import numpy as np
from scipy.sparse import csr_array
from sklearn.ensemble import ExtraTreesClassifier, RandomForestRegressor
x = np.eye(40)
y = np.arange(40) % 2
assert ExtraTreesClassifier(5, random_state=0).fit(csr_array(x), y).score(csr_array(x), y) == 1.0
RandomForestRegressor(5).fit(csr_array(x), y).decision_path(csr_array(x))
"""


def test_scikit_learn_is_whole_for_who_asks_afterwards() -> None:
    done = subprocess.run(
        [sys.executable, "-c", AFTERWARDS], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
