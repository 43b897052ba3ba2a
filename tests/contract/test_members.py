"""Files of members that are not what a learner writes: each is refused or answers, and nothing crashes, hangs or runs."""

import json
import subprocess
import sys
import warnings
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.feature_selection import SelectKBest
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.linear_model import (
    BayesianRidge,
    ElasticNet,
    HuberRegressor,
    Lasso,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    QuantileRegressor,
    Ridge,
    SGDClassifier,
)
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import BernoulliNB, GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor, RadiusNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, PolynomialFeatures, SplineTransformer, StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

import crafted
from tilth.adapters.learners.lightgbm_learner import LightGBMLearner
from tilth.adapters.learners.linear_learner import LinearLearner
from tilth.adapters.learners.sklearn_learner import SklearnLearner, _encoder
from tilth.adapters.scorers import skops_types
from tilth.adapters.scorers.extra_trees_scorer import ExtraTreesScorer
from tilth.adapters.scorers.lightgbm_scorer import LightGBMScorer
from tilth.adapters.scorers.linear_scorer import LinearScorer
from tilth.adapters.scorers.skops_scorer import SkopsScorer, strangers
from tilth.core.errors import TamperError, TrainingError
from tilth.ports.learning import Budget, Task

PROGRAM = Path(crafted.__file__)


@pytest.mark.parametrize(
    ("kind", "least"), [("lightgbm", 203), ("skops", 100), ("linear", 60), ("extra_trees", 160)]
)
def test_every_crafted_file_is_refused_or_answers(tmp_path: Path, kind: str, least: int) -> None:
    """In a process of its own, so that a crash or a hang is counted and names its file."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM), kind],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, (found[-1:], done.stderr[-2000:])
    assert len(found) >= least
    assert [(name, how) for name, how in found if how not in ("refused", "answers")] == []
    assert {how for name, how in found if name.startswith("real")} == {"answers"}
    assert list(tmp_path.iterdir()) == []  # nothing ran


# --- what the usual estimators need is allowed -------------------------------------------------------------

CLASSIFIERS: dict[str, Callable[[], Any]] = {
    "RandomForest": lambda: RandomForestClassifier(5),
    "RandomForest of few leaves": lambda: RandomForestClassifier(5, max_leaf_nodes=4),
    "ExtraTrees": lambda: ExtraTreesClassifier(5),
    "DecisionTree": DecisionTreeClassifier,
    "AdaBoost": lambda: AdaBoostClassifier(n_estimators=4),
    "Bagging": lambda: BaggingClassifier(n_estimators=3, max_features=0.6),
    "GradientBoosting": lambda: GradientBoostingClassifier(n_estimators=4),
    "GradientBoosting from zero": lambda: GradientBoostingClassifier(n_estimators=4, init="zero"),
    "HistGradientBoosting": lambda: HistGradientBoostingClassifier(max_iter=4),
    "HistGradientBoosting that stops": lambda: HistGradientBoostingClassifier(
        max_iter=4, early_stopping=True
    ),
    "LogisticRegression": LogisticRegression,
    "SGD": lambda: SGDClassifier(loss="log_loss"),
    "KNeighbors": KNeighborsClassifier,
    "KNeighbors by brute force": lambda: KNeighborsClassifier(algorithm="brute"),
    "KNeighbors by a ball tree": lambda: KNeighborsClassifier(algorithm="ball_tree", p=3),
    "GaussianNB": GaussianNB,
    "BernoulliNB": BernoulliNB,
    "MLP": lambda: MLPClassifier((5,), max_iter=20, random_state=0),
    "GaussianProcess": GaussianProcessClassifier,
    "calibrated SVC": lambda: CalibratedClassifierCV(SVC()),
    "calibrated LinearSVC": lambda: CalibratedClassifierCV(LinearSVC(), method="isotonic"),
    "Voting": lambda: VotingClassifier([("a", LogisticRegression()), ("b", GaussianNB())], voting="soft"),
    "Stacking": lambda: StackingClassifier([("a", GaussianNB())], LogisticRegression()),
    "GridSearch": lambda: GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, scoring="roc_auc"),
    "Pipeline": lambda: make_pipeline(StandardScaler(), SelectKBest(k=3), LogisticRegression()),
    "Pipeline with a function": lambda: make_pipeline(FunctionTransformer(np.arctan), LogisticRegression()),
}
REGRESSORS: dict[str, Callable[[], Any]] = {
    "RandomForest": lambda: RandomForestRegressor(5),
    "ExtraTrees": lambda: ExtraTreesRegressor(5),
    "DecisionTree": DecisionTreeRegressor,
    "AdaBoost": lambda: AdaBoostRegressor(n_estimators=4),
    "GradientBoosting": lambda: GradientBoostingRegressor(n_estimators=4),
    "GradientBoosting of quantiles": lambda: GradientBoostingRegressor(n_estimators=4, loss="quantile"),
    "HistGradientBoosting": lambda: HistGradientBoostingRegressor(max_iter=4),
    "HistGradientBoosting of counts": lambda: HistGradientBoostingRegressor(max_iter=4, loss="poisson"),
    "LinearRegression": LinearRegression,
    "Ridge": Ridge,
    "Lasso": lambda: Lasso(0.01),
    "ElasticNet": lambda: ElasticNet(0.01),
    "BayesianRidge": BayesianRidge,
    "Huber": lambda: HuberRegressor(max_iter=500),
    "Poisson": PoissonRegressor,
    "Quantile": QuantileRegressor,
    "KNeighbors": KNeighborsRegressor,
    "SVR": SVR,
    "MLP": lambda: MLPRegressor(hidden_layer_sizes=(5,), max_iter=20, random_state=0),
    "GaussianProcess": lambda: GaussianProcessRegressor(alpha=1.0),
    "Voting": lambda: VotingRegressor([("a", Ridge()), ("b", DecisionTreeRegressor(max_depth=2))]),
    "Pipeline": lambda: make_pipeline(StandardScaler(), PolynomialFeatures(2), Ridge()),
}
REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "SplineTransformer": (lambda: make_pipeline(SplineTransformer(), Ridge()), r"SplineTransformer"),
    "RadiusNeighbors": (lambda: RadiusNeighborsRegressor(50.0), "RadiusNeighborsRegressor"),
    "KMeans": (lambda: make_pipeline(KMeans(3), Ridge()), "KMeans"),
    "any function": (
        lambda: make_pipeline(FunctionTransformer(np.nan_to_num), Ridge()),
        r"numpy\.nan_to_num",
    ),
}


def fitted(made: Any, kind: str, monkeypatch: pytest.MonkeyPatch) -> tuple[bytes, Any]:
    """The member of a user's own estimator, and the estimator that was fitted."""
    monkeypatch.setattr("tilth.adapters.learners.sklearn_learner._made", lambda _path, _folder: made)
    x = crafted.rows()
    y = crafted.answers(kind, x) + (10 if kind == "regression" else 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few rounds do not converge
        done = SklearnLearner().fit(
            crafted.task(kind), x, y, x, y, Budget(1e18, 1, 3), {"estimator": "a:b"}, lambda _w, _d: None
        )
    return done.payload, made


@pytest.mark.parametrize(
    ("kind", "name"), [*(("binary", n) for n in CLASSIFIERS), *(("regression", n) for n in REGRESSORS)]
)
def test_the_usual_estimators_answer_after_loading_as_they_did_before(
    kind: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = (CLASSIFIERS if kind == "binary" else REGRESSORS)[name]()
    payload, _ = fitted(made, kind, monkeypatch)
    assert strangers(payload) == ()
    x = crafted.rows()
    encoded = _encoder(crafted.task(kind), 3).fit_transform(x)
    before = made.predict_proba(encoded)[:, 1] if kind == "binary" else made.predict(encoded)
    assert SkopsScorer.load(payload, crafted.task(kind)).score(x) == pytest.approx(
        before, rel=1e-9, abs=1e-12
    )


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_checked_is_refused_by_its_name_when_it_is_trained(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, words = REFUSED[name]
    with pytest.raises(TrainingError, match=words) as caught:
        fitted(make(), "regression", monkeypatch)
    assert "scikit-learn" in str(caught.value.hint)


def test_every_allowed_name_is_one_that_is_there() -> None:
    """A name that scikit-learn moved would allow nothing, and refuse what it stood for."""
    import importlib

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in skops_types.OBJECTS | skops_types.LOSSES | skops_types.FUNCTIONS | skops_types.TYPES:
            module, _, kind = name.rpartition(".")
            assert callable(getattr(importlib.import_module(module), kind)), name


@pytest.mark.parametrize("name", crafted.CALLS)
def test_what_would_be_called_is_named(name: str) -> None:
    loader, what, rest = crafted.CALLS[name]
    found = strangers(crafted.packed(crafted.logistic(coef_=crafted.node(loader, what, **rest))))
    assert any(word.startswith(what) for word in found)


# --- each rule of a LightGBM text --------------------------------------------------------------------------


def lightgbm_text() -> bytes:
    return crafted.fitted(LightGBMLearner, "binary", rounds=2, min_data_in_leaf=5)


def edited(text: bytes, key: str, change: Callable[[list[bytes]], list[bytes]]) -> bytes:
    match = crafted.lines(text, key)[0]
    return crafted.resized(crafted.put(text, match, b" ".join(change(match[1].split(b" ")))))


RULES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "its end": (lambda t: t[:-1], "its end is missing"),
    "its start": (lambda t: t[1:], "does not begin"),
    "its version": (lambda t: t.replace(b"version=v4", b"version=v9"), "version is not v4"),
    "its columns": (lambda t: t.replace(b"max_feature_idx=2", b"max_feature_idx=3"), "other columns"),
    "its names": (lambda t: edited(t, "feature_names", lambda v: v[:-1]), "feature_names are of other columns"),
    "its classes": (lambda t: t.replace(b"num_class=1", b"num_class=3", 1), "other classes"),
    "its objective": (lambda t: t.replace(b"objective=binary sigmoid:1", b"objective=custom"), "its objective"),
    "an average": (lambda t: t.replace(b"\nlabel_index", b"\naverage_output\nlabel_index"), "average_output"),
    "its sizes": (lambda t: t.replace(b"tree_sizes=", b"tree_sizes=1"), "other sizes"),
    "a NUL": (lambda t: t.replace(b"Column_0", b"Column\0_", 1), "no plain text"),
    "not UTF-8": (lambda t: t.replace(b"Column_0", b"Column_\xff", 1), "no plain text"),
    "an unknown line": (lambda t: crafted.resized(t.replace(b"is_linear", b"leaf_const=1\nis_linear", 1)), "leaf_const"),
    "a line twice": (lambda t: crafted.resized(t.replace(b"num_cat=", b"num_cat=1\nnum_cat=", 1)), "num_cat"),
    "linear leaves": (lambda t: t.replace(b"is_linear=0", b"is_linear=1", 1), "no known kind"),
    "more leaves": (lambda t: edited(t, "num_leaves", lambda v: [b"%d" % (int(v[0]) + 1)]), "another size"),
    "leaves below none": (lambda t: edited(t, "num_leaves", lambda _: [b"-1"]), "no known kind"),
    "a huge number of leaves": (lambda t: edited(t, "num_leaves", lambda _: [b"2147483647"]), "no known kind"),
    "a cycle": (lambda t: edited(t, "left_child", lambda v: [*v[:-1], b"1"]), "tree 0"),
    "a child that is not there": (lambda t: edited(t, "right_child", lambda v: [*v[:-1], b"9999"]), "no tree"),
    "a leaf that is not there": (lambda t: edited(t, "right_child", lambda v: [*v[:-1], b"-9999"]), "tree 0"),
    "a column that is not there": (lambda t: edited(t, "split_feature", lambda v: [b"3", *v[1:]]), "no column"),
    "a column below 0": (lambda t: edited(t, "split_feature", lambda v: [b"-1", *v[1:]]), "no column"),
    "a decision": (lambda t: edited(t, "decision_type", lambda v: [b"64", *v[1:]]), "no known way"),
    "a huge number of categories": (
        lambda t: edited(t, "num_cat", lambda _: [b"2147483647"]),
        r"other categories|other lines: cat_",
    ),
    "a category": (lambda t: edited(t, "decision_type", lambda v: [b"1"] * len(v)), "other categories"),
    "NaN in a leaf": (lambda t: edited(t, "leaf_value", lambda v: [b"nan", *v[1:]]), "no number"),
    "infinity in a leaf": (lambda t: edited(t, "leaf_value", lambda v: [b"1e999", *v[1:]]), "other numbers"),
    "a missing leaf": (lambda t: edited(t, "leaf_value", lambda v: v[1:]), "other numbers"),
    "a word": (lambda t: edited(t, "left_child", lambda v: [b"x", *v[1:]]), "no whole number"),
}  # fmt: skip


@pytest.mark.parametrize("name", RULES)
def test_a_lightgbm_text_that_is_not_whole_is_refused_with_the_reason(name: str) -> None:
    change, words = RULES[name]
    text = lightgbm_text()
    broken = change(text)
    assert broken != text
    with pytest.raises(TamperError, match=words):
        LightGBMScorer.load(broken, crafted.task("binary"))


def test_a_lightgbm_text_cut_anywhere_is_refused() -> None:
    text = lightgbm_text()
    for end in range(0, len(text), max(1, len(text) // 150)):
        with pytest.raises(TamperError):
            LightGBMScorer.load(text[:end], crafted.task("binary"))


def test_a_text_that_lightgbms_own_package_saved_is_read() -> None:
    """With the line of pandas at its end."""
    text = lightgbm_text() + b"\npandas_categorical:null\n"
    assert LightGBMScorer.load(text, crafted.task("binary")).score(crafted.rows()).shape == (300,)


def test_a_lightgbm_model_is_for_the_task_it_was_trained_for() -> None:
    for kind in ("regression", "multiclass"):
        with pytest.raises(TamperError, match=r"classes|objective"):
            LightGBMScorer.load(lightgbm_text(), crafted.task(kind))


LINEAR: dict[str, Callable[[dict[str, Any]], object]] = {
    "its format": lambda m: m.update(format="tilth-linear-9"),
    "a column less": lambda m: m["columns"].pop(),
    "a bias of two": lambda m: m.update(bias=[1.0, 2.0]),
    "a bias of text": lambda m: m.update(bias=["1"]),
    "a bias that is true": lambda m: m.update(bias=[True]),
    "a bias that is infinite": lambda m: m.update(bias=[float("inf")]),
    "a scale of 0": lambda m: m["columns"][0].update(scale=0.0),
    "a weight too many": lambda m: m["columns"][0].update(weight=[1.0, 2.0]),
    "no levels": lambda m: m["columns"][2].update(levels=[]),
    "levels of another width": lambda m: m["columns"][2].update(levels=[[1.0, 2.0]]),
    "levels of uneven width": lambda m: m["columns"][2].update(levels=[[1.0], [1.0, 2.0]]),
    "both": lambda m: m["columns"][2].update(center=1.0),
    "edges that fall": lambda m: m["columns"][0].update(edges=m["columns"][0]["edges"][::-1]),
    "an edge twice": lambda m: m["columns"][0].update(edges=[0.5] * len(m["columns"][0]["edges"])),
    "an edge more than turns": lambda m: m["columns"][0]["edges"].append(9.0),
    "turns without edges": lambda m: m["columns"][0].pop("edges"),
    "turns of another width": lambda m: m["columns"][0].update(slopes=[[1.0, 2.0]] * len(m["columns"][0]["edges"])),
    "an edge that is infinite": lambda m: m["columns"][0]["edges"].__setitem__(0, float("-inf")),
    "a start too many": lambda m: m["columns"][0].update(start=[1.0, 2.0]),
}  # fmt: skip


@pytest.mark.parametrize("name", LINEAR)
def test_a_linear_model_that_does_not_fit_is_refused(name: str) -> None:
    model = json.loads(crafted.fitted(LinearLearner, "binary"))
    LINEAR[name](model)
    with pytest.raises(TamperError, match="does not fit its signature"):
        LinearScorer.load(json.dumps(model).encode(), crafted.task("binary"))


# --- each rule of a linear model's lines -------------------------------------------------------------------


def chain(**column: object) -> LinearScorer:
    """A regression of one column whose line has these parts."""
    first = {"center": 1.0, "scale": 2.0, "weight": [0.5], "missing": [7.0], **column}
    form = "tilth-linear-2" if column else "tilth-linear-1"
    model = {"format": form, "bias": [10.0], "columns": [first]}
    return LinearScorer.load(json.dumps(model).encode(), Task("regression", 0, ("a",), metric="rmse"))


TURNS = {"start": [3.0], "edges": [-1.0, 0.0], "slopes": [[2.0], [-4.0]]}
LINES: dict[str, tuple[dict[str, object], Callable[[float], float]]] = {
    "a line, as format 1 had it": ({}, lambda z: 10 + 0.5 * z),
    "a line that begins elsewhere": ({"start": [3.0], "edges": [], "slopes": []}, lambda z: 13 + 0.5 * z),
    "a line that turns twice": (TURNS, lambda z: 13 + 0.5 * z + 2 * max(z + 1, 0) - 4 * max(z, 0)),
}


@pytest.mark.parametrize(("column", "line"), LINES.values(), ids=LINES)
def test_a_number_goes_along_its_line_as_far_as_six_deviations(
    column: dict[str, object], line: Callable[[float], float]
) -> None:
    scorer = chain(**column)
    x = np.array([[v] for v in (-1e300, -20.0, -3.0, -1.0, -0.5, 1.0, 1.5, 4.0, 13.0, 1e9, np.nan)])
    wanted = [line(min(max((v - 1) / 2, -6.0), 6.0)) if not np.isnan(v) else 17.0 for v in x[:, 0].tolist()]
    assert scorer.score(x).tolist() == pytest.approx(wanted, rel=1e-14)
    assert [scorer.score_row(bytearray(r.tobytes()))[0] for r in x] == scorer.score(x).tolist()


@pytest.mark.parametrize("kind", crafted.KINDS)
def test_a_linear_model_with_turns_gives_one_row_what_it_gives_many(kind: str) -> None:
    payload = crafted.fitted(LinearLearner, kind, hinges=9)
    assert any(column.get("edges") for column in json.loads(payload)["columns"])
    scorer, x = LinearScorer.load(payload, crafted.task(kind)), crafted.rows()
    many = scorer.score(x).reshape(len(x), -1)
    rows = np.array([scorer.score_row(bytearray(row.tobytes())) for row in x])
    assert np.array_equal(rows, many)


# --- each rule of a forest's file --------------------------------------------------------------------------


def put(name: str, place: int, value: float) -> Callable[[bytes], bytes]:
    """One number of an array is another."""

    def change(payload: bytes) -> bytes:
        head, arrays = crafted.opened(payload)
        arrays[name][place] = value
        return crafted.closed(head, arrays)

    return change


def cut(name: str) -> Callable[[bytes], bytes]:
    def change(payload: bytes) -> bytes:
        head, arrays = crafted.opened(payload)
        return crafted.closed(head, {**arrays, name: arrays[name][:-1]})

    return change


def said(**more: object) -> Callable[[bytes], bytes]:
    """The first line says something else."""

    def change(payload: bytes) -> bytes:
        first, _, rest = payload.partition(b"\n")
        return json.dumps(json.loads(first) | more).encode() + b"\n" + rest

    return change


def followed(extra: bytes = b"", after: bytes = b"") -> Callable[[bytes], bytes]:
    return lambda payload: crafted.closed(*crafted.opened(payload), extra, after)


def bomb(payload: bytes) -> bytes:
    """Far more behind the arrays than there may be, in a few hundred kilobytes."""
    head, arrays = crafted.opened(payload)
    body = b"".join(arrays[n].tobytes() for n in crafted.TYPES)
    return json.dumps(head).encode() + b"\n" + zlib.compress(body + bytes(300 << 20), 1)


FOREST: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "half of it": (lambda p: p[: len(p) // 2], "cut short"),
    "its last byte": (lambda p: p[:-1], "cut short|follows|incomplete"),
    "its format": (said(format="tilth-trees-2"), "another format"),
    "its classes": (said(values=3), "other classes"),
    "arrays too long": (said(arrays=dict.fromkeys(crafted.TYPES, 1 << 40)), "too long"),
    "arrays below none": (said(arrays=dict.fromkeys(crafted.TYPES, -1)), "too long"),
    "arrays of infinity": (said(arrays=dict.fromkeys(crafted.TYPES, float("inf"))), "infinity"),
    "an array more": (said(arrays={**dict.fromkeys(crafted.TYPES, 1), "code": 1}), "another format"),
    "deep JSON": (lambda _: b"[" * 100_000, "recursion|depth"),
    "no compressed bytes": (lambda p: p.partition(b"\n")[0] + b"\nxx", "header"),
    "more in its arrays": (followed(extra=b"\0" * 8), "follows"),
    "more behind it": (followed(after=b"\0"), "follows"),
    "a bomb": (bomb, "follows"),
    "no tree": (said(arrays=dict.fromkeys(crafted.TYPES, 0)), "follows|sizes"),
    "a tree of nothing": (put("nodes", 0, 0), "other sizes"),
    "a tree too short": (put("nodes", -1, 1), "other sizes"),
    "a huge tree": (put("nodes", 0, 2_000_000_000), "other sizes"),
    "a column that is not there": (put("feature", 0, 3), "a column that there is not"),
    "a column below none": (put("feature", 0, -2), "a column that there is not"),
    "a leaf where there was a split": (put("feature", 0, -1), "another length"),
    "a threshold too few": (cut("threshold"), "`threshold` has another length"),
    "a child too few": (cut("right"), "`right` has another length"),
    "a value too few": (cut("value"), "`value` has another length"),
    "a count too few": (cut("count"), "other sizes"),
    "a cycle": (put("right", 0, 0), "behind its parent"),
    "a child before it": (put("right", 1, 0), "behind its parent"),
    "a child of another tree": (put("right", 0, 9_999), "behind its parent"),
    "a child of two": (put("right", 0, 2), "not one parent"),
    "NaN at a split": (put("threshold", 0, float("nan")), "no finite number"),
    "infinity in a leaf": (put("value", 0, float("inf")), "no probabilities|no finite number"),
    "NaN in a leaf": (put("value", 0, float("nan")), "no probabilities|no finite number"),
    "a chance above 1": (put("value", 0, 1.5), "no probabilities"),
    "a chance below 0": (put("value", 0, -0.5), "no probabilities"),
}  # fmt: skip


@pytest.fixture(scope="module")
def forest() -> bytes:
    return crafted.grown("binary")


@pytest.mark.parametrize("name", FOREST)
def test_a_forest_that_is_not_whole_is_refused_with_the_reason(name: str, forest: bytes) -> None:
    change, words = FOREST[name]
    broken = change(forest)
    assert broken != forest
    for read in (ExtraTreesScorer.load, ExtraTreesScorer.portable):
        with pytest.raises(TamperError, match=words):
            read(broken, crafted.task("binary"))


def test_a_forest_is_for_the_task_it_was_grown_for(forest: bytes) -> None:
    two, three = crafted.task("binary"), crafted.task("multiclass")
    with pytest.raises(TamperError, match="other classes"):
        ExtraTreesScorer.load(forest, three)
    with pytest.raises(TamperError, match="a column that there is not"):
        ExtraTreesScorer.load(forest, replace(two, columns=("a",), categorical=(), cardinality=()))


def test_leaves_of_several_classes_add_up_to_one() -> None:
    payload, task = crafted.grown("multiclass"), crafted.task("multiclass")
    assert ExtraTreesScorer.load(payload, task).score(crafted.rows()).sum(axis=1) == pytest.approx(1.0)
    with pytest.raises(TamperError, match="no probabilities"):
        ExtraTreesScorer.load(put("value", slice(0, 3), 0.0)(payload), task)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", crafted.KINDS)
def test_a_forest_read_back_answers_as_scikit_learn_did(kind: str) -> None:
    """Of the same seed, its own forest and ours are one; ours draws chances a little to the middle."""
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

    from tilth.adapters.scorers.extra_trees_scorer import drawn

    x = crafted.rows()
    y = crafted.answers(kind, x)
    made = ExtraTreesClassifier if kind == "multiclass" else ExtraTreesRegressor
    own = made(4, min_samples_leaf=20, max_features=2, random_state=3).fit(x.astype(np.float32), y)
    scorer = ExtraTreesScorer.load(crafted.grown(kind), crafted.task(kind))
    theirs = own.predict_proba(x) if kind == "multiclass" else own.predict(x)
    if kind != "regression":
        theirs = drawn(theirs, 3 if kind == "multiclass" else 2)
    assert scorer.score(x) == pytest.approx(theirs, abs=1e-6)
