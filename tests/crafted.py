"""Model files as an attacker, a bad disk or a bug would write them; run as a program, it loads each and says how it ended.

`python crafted.py lightgbm|skops|linear|extra_trees` prints one JSON line a file: its name and `refused`, `answers`, or the stranger's
exception that came out. A crash or a hang ends the program: whoever started it sees at which name. Files that would run
something make the file `ran` in the working folder.
"""

import io
import json
import random
import re
import sys
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tilth.core.errors import TamperError
from tilth.ports.learning import Budget, Task

COLUMNS = ("a", "b", "place")
KINDS = {"regression": 0, "binary": 2, "multiclass": 3}


def task(kind: str) -> Task:
    return Task(kind, KINDS[kind], COLUMNS, (2,), (4,), "rmse" if kind == "regression" else "log_loss")


def rows() -> np.ndarray:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(300, 3))
    x[:, 2] = rng.integers(0, 4, 300)
    x[::9, 1] = np.nan
    return np.ascontiguousarray(x)


def answers(kind: str, x: np.ndarray) -> np.ndarray:
    signal = x[:, 0] + np.nan_to_num(x[:, 1]) + x[:, 2]
    if kind == "regression":
        return signal
    return (np.digitize(signal, [1.5] if kind == "binary" else [1.0, 2.0])).astype(float)


def fitted(learner: Any, kind: str, **options: object) -> bytes:
    x = rows()
    y = answers(kind, x)
    budget = Budget(time.monotonic() + 60, 1, 3)
    payload: bytes = learner().fit(task(kind), x, y, x, y, budget, options, lambda _w, _d: None).payload
    return payload


# --- LightGBM ----------------------------------------------------------------------------------------------

ARRAYS = ("left_child", "right_child", "split_feature", "decision_type", "threshold", "leaf_value", "cat_boundaries",
          "cat_threshold", "leaf_count", "internal_value", "split_gain")  # fmt: skip
ONES = (
    "num_leaves",
    "num_cat",
    "max_feature_idx",
    "num_class",
    "num_tree_per_iteration",
    "is_linear",
    "shrinkage",
)
VALUES = ("-1", "0", "1", "2", "-2", "99", "-99", "2147483647", "-2147483648", "99999999999999999999", "1e308", "1e999",
          "nan", "inf", "", "x", "0x10", "1 1", "é")  # fmt: skip


def lines(text: bytes, key: str) -> list[re.Match[bytes]]:
    return list(re.finditer(rb"^" + key.encode() + rb"=(.*)$", text, re.MULTILINE))


def put(text: bytes, match: re.Match[bytes], value: bytes) -> bytes:
    return text[: match.start(1)] + value + text[match.end(1) :]


def one_value(text: bytes, r: random.Random) -> bytes:
    """One entry of an array is another."""
    found = lines(text, r.choice(ARRAYS))
    if not found:
        return truncated(text, r)
    match = r.choice(found)
    parts = match[1].split(b" ")
    parts[r.randrange(len(parts))] = r.choice(VALUES).encode()
    return put(text, match, b" ".join(parts))


def cycle(text: bytes, r: random.Random) -> bytes:
    """A child is the root or its own node."""
    match = r.choice(lines(text, r.choice(("left_child", "right_child"))))
    parts = match[1].split(b" ")
    at = r.randrange(len(parts))
    parts[at] = str(r.choice((0, at, max(0, at - 1)))).encode()
    return put(text, match, b" ".join(parts))


def size(text: bytes, r: random.Random) -> bytes:
    """An array is shorter or longer."""
    found = lines(text, r.choice(ARRAYS))
    if not found:
        return truncated(text, r)
    match = r.choice(found)
    parts = match[1].split(b" ")
    return put(text, match, b" ".join(parts[: r.randrange(len(parts))] if r.random() < 0.5 else parts * 2))


def one_number(text: bytes, r: random.Random) -> bytes:
    """A count says something else."""
    match = r.choice(lines(text, r.choice(ONES)))
    return put(text, match, r.choice(VALUES).encode())


def sizes(text: bytes, r: random.Random) -> bytes:
    """The lengths of the trees are others."""
    match = lines(text, "tree_sizes")[0]
    parts = match[1].split(b" ")
    parts[r.randrange(len(parts))] = r.choice(VALUES).encode()
    return put(text, match, b" ".join(parts))


def truncated(text: bytes, r: random.Random) -> bytes:
    return text[: r.randrange(len(text))]


def deleted(text: bytes, r: random.Random) -> bytes:
    parts = text.split(b"\n")
    del parts[r.randrange(text.count(b"\n", 0, text.find(b"end of trees")))]
    return b"\n".join(parts)


def swapped(text: bytes, r: random.Random) -> bytes:
    """Two arrays have each other's names."""
    first, second = r.sample(ARRAYS, 2)
    return (
        text.replace(f"\n{first}=".encode(), b"\n?=").replace(f"\n{second}=".encode(), f"\n{first}=".encode())
    ).replace(b"\n?=", f"\n{second}=".encode())


def noise(text: bytes, r: random.Random) -> bytes:
    """Bytes that are no text, in the part that is used."""
    out = bytearray(text)
    for _ in range(r.randrange(1, 4)):
        out[r.randrange(text.find(b"end of trees"))] = r.choice((0, 10, 13, 32, 45, 61, 128, 195, 255))
    return bytes(out)


CHANGES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    f.__name__: f for f in (one_value, cycle, size, one_number, sizes, truncated, deleted, swapped, noise)
}


def resized(text: bytes) -> bytes:
    """With lengths of the trees that fit, so that what lies behind that check is reached."""
    at = [m.start() for m in re.finditer(rb"^Tree=", text, re.MULTILINE)]
    end, said = text.find(b"\nend of trees") + 1, lines(text, "tree_sizes")
    if not at or not end or not said:
        return text
    return put(text, said[0], b" ".join(str(b - a).encode() for a, b in zip(at, [*at[1:], end], strict=True)))


def lightgbm(count: int = 200) -> Iterator[tuple[str, str, bytes]]:
    from tilth.adapters.learners.lightgbm_learner import LightGBMLearner

    r = random.Random(7)
    real = {kind: fitted(LightGBMLearner, kind, rounds=3, min_data_in_leaf=5) for kind in KINDS}
    for kind, text in real.items():
        yield f"real {kind}", kind, text
    for number in range(count):
        kind, name = r.choice(list(KINDS)), list(CHANGES)[number % len(CHANGES)]
        text = CHANGES[name](real[kind], r)
        if name not in ("sizes", "truncated") and r.random() < 0.8:
            text = resized(text)
        yield f"{name} {number}", kind, text


# --- skops -------------------------------------------------------------------------------------------------


def node(loader: str, name: str, **rest: object) -> dict[str, Any]:
    module, _, kind = name.rpartition(".")
    return {"__class__": kind, "__module__": module, "__loader__": loader, **rest}


def value(v: object) -> dict[str, Any]:
    return node("JsonNode", "builtins.str", content=json.dumps(v), is_json=True)


def many(*items: object, loader: str = "TupleNode", name: str = "builtins.tuple") -> dict[str, Any]:
    return node(loader, name, content=list(items))


def some(items: dict[str, Any], key: str = "builtins.str") -> dict[str, Any]:
    kinds = many(*(node("TypeNode", key) for _ in items), loader="ListNode", name="builtins.list")
    return node("DictNode", "builtins.dict", content=items, key_types=kinds)


def packed(schema: object, protocol: object = 2, **files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in files.items():
            target.writestr(name, content)
        if isinstance(schema, dict):
            schema = schema | {"protocol": protocol, "_skops_version": "0.16.0"}
        target.writestr("schema.json", schema if isinstance(schema, str | bytes) else json.dumps(schema))
    return out.getvalue()


def bomb() -> bytes:
    """A little more than what a file may unpack to, in a megabyte."""
    out = io.BytesIO(packed(logistic()))
    with (
        zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as target,
        target.open("bomb", "w") as file,
    ):
        for _ in range(33):
            file.write(bytes(32 << 20))
    return out.getvalue()


def array(values: object) -> bytes:
    out = io.BytesIO()
    np.save(out, np.asarray(values), allow_pickle=False)
    return out.getvalue()


PY = "open('ran', 'w')"
CALLS = {
    "runstring": ("ConstructorFromReduceNode", "numpy.testing.runstring", {"content": many(value(PY), some({}))}),
    "runstring as a loss": ("LossNode", "numpy.testing.runstring",
                            {"__reduce__": {"args": many(value(PY), some({}))}, "content": some({})}),
    "os.system": ("ConstructorFromReduceNode", "os.system", {"content": many(value("touch ran"))}),
    "os.system as a loss": ("LossNode", "os.system", {"__reduce__": {"args": many(value("touch ran"))}, "content": some({})}),
    "eval": ("ConstructorFromReduceNode", "builtins.eval", {"content": many(value(PY))}),
    "exec": ("ConstructorFromReduceNode", "builtins.exec", {"content": many(value(PY))}),
    "open": ("ConstructorFromReduceNode", "builtins.open", {"content": many(value("ran"), value("w"))}),
    "open as a list": ("ListNode", "builtins.open", {"content": [value("ran"), value("w")]}),
    "open as a set": ("SetNode", "builtins.open", {"content": [value("ran")]}),
    "getattr": ("ConstructorFromReduceNode", "builtins.getattr", {"content": many(value("a"), value("upper"))}),
    "import": ("ConstructorFromReduceNode", "importlib.import_module", {"content": many(value("antigravity"))}),
    "popen": ("ConstructorFromReduceNode", "subprocess.Popen", {"content": many(value("touch ran"))}),
    "numpy.load": ("ConstructorFromReduceNode", "numpy.load", {"content": many(value("x.npy"), value(None), value(True))}),
    "numpy.savetxt": ("ConstructorFromReduceNode", "numpy.savetxt", {"content": many(value("ran"), many(value(1)))}),
    "fromfunction": ("FunctionNode", "numpy.fromfunction", {}),
    "scipy savemat": ("ConstructorFromReduceNode", "scipy.io.savemat", {"content": many(value("ran"), some({}))}),
    "joblib.load": ("ConstructorFromReduceNode", "joblib.load", {"content": many(value("x.pkl"))}),
    "a function": ("FunctionNode", "os.system", {}),
    "a function of numpy": ("FunctionNode", "numpy.testing.runstring", {}),
    "a type": ("TypeNode", "subprocess.Popen", {}),
    "a class as an object": ("ObjectNode", "subprocess.Popen", {"content": some({"pid": value(1)})}),
    "memory of joblib": ("ObjectNode", "joblib.memory.Memory", {"content": some({"location": value(".")})}),
    "a method": ("MethodNode", "sklearn.linear_model._logistic.LogisticRegression",
                 {"content": {"func": "fit", "obj": node("ObjectNode", "sklearn.linear_model._logistic.LogisticRegression",
                                                         content=some({}))}}),
    "a partial": ("PartialNode", "functools.partial",
                  {"content": {"func": node("FunctionNode", "numpy.log1p"), "args": many(), "kwds": some({}),
                               "namespace": some({})}}),
    "a methodcaller": ("OperatorFuncNode", "operator.methodcaller", {"attrs": many(value("system"), value("touch ran"))}),
    "an attrgetter": ("OperatorFuncNode", "operator.attrgetter", {"attrs": many(value("__class__"))}),
    "a cached node": ("CachedNode", "builtins.str", {"__id__": 7}),
    "bytes": ("BytesNode", "builtins.bytes", {"file": "schema.json"}),
    "a sparse matrix": ("SparseMatrixNode", "scipy.sparse._csr.csr_matrix", {"type": "scipy", "file": "schema.json"}),
    "a quantile forest": ("QuantileForestNode", "os.system", {"__reduce__": {"args": many()}, "content": some({})}),
    "a default": ("DefaultDictNode", "collections.defaultdict",
                  {"content": {"main": some({}), "default_factory": node("TypeNode", "subprocess.Popen")}}),
    "an unknown loader": ("EvilNode", "os.system", {}),
}  # fmt: skip


def logistic(**more: Any) -> dict[str, Any]:
    """A small estimator by hand; `more` are attributes beside or instead of its own."""
    plain = {"n_features_in_": value(3), "_sklearn_version": value("1.9.1")}
    return node("ObjectNode", "sklearn.linear_model._logistic.LogisticRegression", content=some(plain | more))


def keyed_by_call() -> dict[str, Any]:
    """A dict whose key is made by calling what its types name."""
    out = some({PY: value(1)})
    out["key_types"]["content"] = [node("FunctionNode", "builtins.eval")]
    return out


def skops() -> Iterator[tuple[str, str, bytes]]:
    for name, (loader, what, rest) in CALLS.items():
        one = node(loader, what, **rest)
        yield name, "binary", packed(one)
        yield f"{name}, in an estimator", "binary", packed(logistic(predict_proba=one))
    real = trees()
    yield "real", "binary", real
    yield from malformed(real)
    yield from unfit()


def malformed(real: bytes) -> Iterator[tuple[str, str, bytes]]:
    around, within = json.dumps(many("?") | {"protocol": 2}).split('"?"')
    deep = around * 3000 + json.dumps(value(1)) + within * 3000
    twice = io.BytesIO(real)
    with zipfile.ZipFile(twice, "a") as target, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile minds what this is about
        target.writestr("schema.json", "{}")
    lying = array(np.zeros(4)).replace(b"(4,)", b"(9,)")
    whole = {
        "nothing": b"", "no zip": b"PK\x03\x04 no", "half of it": real[: len(real) // 2], "its last byte": real[:-1],
        "no schema": packed("x")[:22] + b"", "text": packed("not json"), "a list": packed([1]), "a number": packed("7"),
        "null": packed("null"), "an empty object": packed({}), "another protocol": packed(value(1), 3),
        "no protocol": packed(value(1), None), "a true protocol": packed(value(1), True), "a text alone": packed(value("x")),
        "deep nodes": packed(deep), "deep json": packed("[" * 200_000), "two schemas": twice.getvalue(),
        "a bomb": bomb(),
        "its own id": packed(many(node("TupleNode", "builtins.tuple", content=[{"__id__": 1, "__loader__": "CachedNode",
                                  "__class__": "x", "__module__": "y"}], __id__=1))),
        "no class": packed({"__loader__": "JsonNode", "content": "1"}), "numbers as names": packed(
            {"__loader__": 1, "__class__": 2, "__module__": 3}),
        "content of another type": packed(node("DictNode", "builtins.dict", content=[1], key_types=7)),
        "keys without types": packed(some({"a": value(1)}) | {"key_types": many()}), "a call as key": packed(keyed_by_call()),
        "no array": packed(logistic(coef_=node("NdArrayNode", "numpy.ndarray", type="numpy", file="gone.npy"))),
        "an array of objects": packed(logistic(coef_=node("NdArrayNode", "numpy.ndarray", type="numpy", file="a.npy")),
                                      **{"a.npy": b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(128) + b"\n"}),
        "an array that lies": packed(logistic(coef_=node("NdArrayNode", "numpy.ndarray", type="numpy", file="a.npy")),
                                     **{"a.npy": lying}),
        "a reserved name": packed(logistic(__class__=value("x"))),
        "a hidden method": packed(logistic(predict_proba=node("FunctionNode", "numpy.exp"))),
        "an array as estimator": packed(node("NdArrayNode", "numpy.ndarray", type="numpy", file="a.npy"),
                                        **{"a.npy": array([1.0])}),
        "a million threads": packed(logistic(n_jobs=value(1_000_000))),
        "an estimator without state": packed(logistic()), "a scaler alone": packed(
            node("ObjectNode", "sklearn.preprocessing._data.StandardScaler", content=some({}))),
    }  # fmt: skip
    for name, payload in whole.items():
        yield name, "binary", payload


def trees() -> bytes:
    from sklearn.ensemble import RandomForestClassifier

    return kept(RandomForestClassifier(3, max_depth=3, random_state=0))


def kept(model: Any, kind: str = "binary") -> bytes:
    from skops.io import dumps

    x = np.nan_to_num(rows())
    made: bytes = dumps(model.fit(x, answers(kind, x)))
    return made


def changed(model: Any, change: Callable[[Any], None]) -> bytes:
    """A fitted estimator, one of whose arrays was changed before it was kept."""
    from skops.io import dumps

    x = np.nan_to_num(rows())
    change(model.fit(x, answers("binary", x)))
    made: bytes = dumps(model)
    return made


def rewritten(payload: bytes, field: str, number: int) -> bytes:
    """The first array of tree nodes with this field set to the number in its first row."""
    source, out = zipfile.ZipFile(io.BytesIO(payload)), io.BytesIO()
    done = False
    with zipfile.ZipFile(out, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if not done and name.endswith(".npy"):
                found = np.load(io.BytesIO(content)).copy()
                if found.dtype.names is not None and field in found.dtype.names:
                    found[field][0] = number
                    content, done = array(found), True
            target.writestr(name, content)
    assert done
    return out.getvalue()


def unfit() -> Iterator[tuple[str, str, bytes]]:
    """Arrays that compiled code would follow out of its memory, or for ever."""
    from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import SVC

    forest = trees()
    boosted = kept(GradientBoostingClassifier(n_estimators=2))
    histogram = kept(HistGradientBoostingClassifier(max_iter=2))
    near = kept(KNeighborsClassifier(algorithm="kd_tree", leaf_size=5))
    for name, payload, field, number in (
        ("a tree's child far away", forest, "left_child", 1 << 40), ("a tree's child is itself", forest, "left_child", 0),
        ("a tree's feature", forest, "feature", 1 << 40), ("a tree's feature below 0", boosted, "feature", -9),
        ("a boosted child", boosted, "right_child", 1 << 30), ("a histogram's child", histogram, "left", 1 << 30),
        ("a histogram's cycle", histogram, "left", 0), ("a histogram's column", histogram, "feature_idx", 1 << 40),
        ("a neighbour's rows", near, "idx_end", 1 << 40), ("a neighbour's leaf", near, "idx_start", -5),
    ):  # fmt: skip
        yield name, "binary", rewritten(payload, field, number)

    def fewer(name: str) -> Callable[[Any], None]:
        return lambda model: setattr(model, name, getattr(model, name)[..., :1].copy())

    yield "support vectors of one column", "binary", changed(SVC(), fewer("support_vectors_"))
    yield "fewer coefficients", "binary", changed(SVC(), fewer("_dual_coef_"))
    yield (
        "more counted vectors",
        "binary",
        changed(SVC(), lambda m: setattr(m, "_n_support", m._n_support * 1000)),
    )
    yield "more stages than classes", "binary", changed(GradientBoostingClassifier(n_estimators=2), widened)
    yield (
        "an answer that is no class",
        "binary",
        changed(KNeighborsClassifier(algorithm="brute"), lambda m: setattr(m, "_y", m._y + 1_000_000)),
    )


def widened(model: Any) -> None:
    model.estimators_ = np.repeat(model.estimators_, 9, axis=1)


# --- linear ------------------------------------------------------------------------------------------------


def linear(count: int = 60) -> Iterator[tuple[str, str, bytes]]:
    from tilth.adapters.learners.linear_learner import LinearLearner

    r = random.Random(11)
    bad = (
        None,
        "1",
        [],
        [[]],
        {},
        True,
        float("nan"),
        float("inf"),
        1e999,
        [1.0] * 9,
        [["x"]],
        -1,
        "__import__('os')",
    )
    for kind in KINDS:
        real = json.loads(fitted(LinearLearner, kind))
        yield f"real {kind}", kind, json.dumps(real).encode()
        for number in range(count // 3):
            model = json.loads(json.dumps(real))
            where = r.choice([model, *model["columns"]])
            key = r.choice(sorted(where))
            if number % 5:
                where[key] = r.choice(bad)
            else:
                del where[key]
            yield f"{key} {number}", kind, json.dumps(model).encode()
    for name, payload in (("deep", b"[" * 100_000), ("empty", b""), ("no json", b"\xff"), ("null", b"null")):
        yield name, "binary", payload


# --- forests -----------------------------------------------------------------------------------------------

TYPES = {
    "nodes": "<i4", "feature": "<i2", "threshold": "<f4", "right": "<i4", "gaps_left": "<i1", "count": "<i4", "value": "<f4",
}  # fmt: skip
Arrays = dict[str, np.ndarray]


def opened(payload: bytes) -> tuple[dict[str, Any], Arrays]:
    """The first line of a forest's file, and its arrays."""
    first, _, rest = payload.partition(b"\n")
    head, body, at, found = json.loads(first), zlib.decompress(rest), 0, {}
    for name, form in TYPES.items():
        found[name] = np.frombuffer(body, form, head["arrays"][name], at).copy()
        at += found[name].nbytes
    return head, found


def closed(head: dict[str, Any], arrays: Arrays, extra: bytes = b"", after: bytes = b"") -> bytes:
    """A file of these, whose lengths are those of the arrays: `extra` is compressed with them, `after` follows."""
    head = head | {"arrays": {name: len(a) for name, a in arrays.items()}}
    body = b"".join(arrays[n].astype(form).tobytes() for n, form in TYPES.items())
    return json.dumps(head).encode() + b"\n" + zlib.compress(body + extra) + after


def grown(kind: str) -> bytes:
    from tilth.adapters.learners.extra_trees_learner import ExtraTreesLearner

    return fitted(ExtraTreesLearner, kind, trees=4, min_data_in_leaf=20)


def one_entry(head: dict[str, Any], arrays: Arrays, r: random.Random) -> bytes:
    """A number of an array is another."""
    name = r.choice(list(TYPES))
    found = arrays[name]
    if len(found):
        bounds = (-1, 0, 1, 2, 127, -128) if name == "gaps_left" else (-1, 0, 1, 2, 3, 9999, -32768)
        many = (*bounds, float("nan"), float("inf"), -1e38) if found.dtype.kind == "f" else bounds
        found[r.randrange(len(found))] = r.choice(many)
    return closed(head, arrays)


def another_length(head: dict[str, Any], arrays: Arrays, r: random.Random) -> bytes:
    name = r.choice(list(TYPES))
    found = arrays[name]
    arrays[name] = found[: r.randrange(len(found))] if r.random() < 0.5 else np.concatenate([found, found])
    return closed(head, arrays)


def other_head(head: dict[str, Any], arrays: Arrays, r: random.Random) -> bytes:
    """The first line says something else of the same arrays."""
    rest = closed(head, arrays).partition(b"\n")[2]
    said = head | {"arrays": dict(head["arrays"])}
    bad = (None, "1", [], {}, -1, 0, 1 << 40, float("nan"), float("inf"), 2.5, True)
    if r.random() < 0.5:
        said[r.choice(sorted(said))] = r.choice(bad)
    else:
        said["arrays"][r.choice(list(TYPES))] = r.choice(bad)
    return json.dumps(said).encode() + b"\n" + rest


def some_bytes(head: dict[str, Any], arrays: Arrays, r: random.Random) -> bytes:
    out = bytearray(closed(head, arrays))
    for _ in range(r.randrange(1, 4)):
        out[r.randrange(len(out))] = r.randrange(256)
    return bytes(out[: r.randrange(len(out))] if r.random() < 0.3 else out)


FORESTS = (one_entry, another_length, other_head, some_bytes)


def extra_trees(count: int = 160) -> Iterator[tuple[str, str, bytes]]:
    r = random.Random(13)
    real = {kind: grown(kind) for kind in KINDS}
    for kind, payload in real.items():
        yield f"real {kind}", kind, payload
    for number in range(count):
        kind, change = r.choice(list(KINDS)), FORESTS[number % len(FORESTS)]
        yield f"{change.__name__} {number}", kind, change(*opened(real[kind]), r)
    for name, payload in (
        ("deep", b"[" * 100_000),
        ("empty", b""),
        ("no json", b"\xff\n"),
        ("null", b"null\n"),
    ):
        yield name, "binary", payload
    for kind in KINDS:
        yield f"for {kind}", kind, real["multiclass" if kind == "binary" else "binary"]


# --- the program -------------------------------------------------------------------------------------------


def outcome(name: str, kind: str, payload: bytes) -> str:
    """`refused`, `answers` or the exception that came out."""
    from tilth.ports import registry

    wanted = task(kind)
    x = np.nan_to_num(rows()) if name == "skops" else rows()
    warnings.simplefilter("ignore")  # of another version of scikit-learn: the files say what they like
    try:
        scorer = registry.load("tilth.scorers", name).load(payload, wanted, 1)
    except TamperError:
        return "refused"
    except BaseException as error:
        return repr(error)[:300]
    try:
        scorer.score(x)
        scorer.score_row(bytearray(x[0].tobytes()))
        scorer.contributions(x[:5])
    except Exception as error:
        return f"does not answer: {error!r}"[:300]
    return "answers"


def main(name: str) -> None:
    made = {"lightgbm": lightgbm, "skops": skops, "linear": linear, "extra_trees": extra_trees}
    for title, kind, payload in made[name]():
        print(json.dumps([title, outcome(name, kind, payload)]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
