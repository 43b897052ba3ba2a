"""Reads a skops file as data and writes it anew from what was understood, before skops sees any of it.

Each node is looked at by its kind, with the exact names of `skops_types`; every array's header must fit its bytes; trees
must be trees. What comes out holds nothing that was not read here: no ids that could stand for another node, no unknown
keys, no second meaning of a name. States of random generators are left out, since no answer depends on them.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tilth.adapters.scorers import skops_types as known
from tilth.core.errors import ResourceLimitError, TamperError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[Any]

PROTOCOL = 2  # of the files that are read; skops 0.12 and newer write it
MOST_BYTES = 1 << 30  # of the file, and of all that is packed in it
MOST_TEXT = 256 << 20  # of schema.json
MOST_FILES = 500_000
MOST_NODES = 5_000_000
DEEPEST = 120  # objects in one another; each is a few calls deep, here and in skops
LONGEST_NAME = 200
HINT = "Do not serve it. Train the model again, or roll back to another version."

Node = dict[str, Any]
NOTHING: Node = {
    "__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "content": "null", "is_json": True
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Read:
    """What was read: the same file written anew, the names it needs, and those that are not allowed."""

    payload: bytes
    names: tuple[str, ...]
    refused: tuple[str, ...]


def read(payload: bytes) -> Read:
    """The file, understood; TamperError when it is no skops file. Names that are not allowed are in `refused`."""
    try:
        return _read(payload)
    except MemoryError as error:
        raise ResourceLimitError("The model file does not fit into memory.", hint=HINT) from error
    except Exception as error:  # zip, JSON and array headers fail in many ways, all of them the file's
        why = str(error) if isinstance(error, _NotSkopsError) else type(error).__name__
        raise TamperError(
            f"The model file is not a skops file that can be read: {why}.", hint=HINT
        ) from error


class _NotSkopsError(ValueError):
    """The file is not what skops writes; the text says how."""


def _require(holds: bool, why: str) -> None:
    if not holds:
        raise _NotSkopsError(why)


def _read(payload: bytes) -> Read:
    _require(len(payload) <= MOST_BYTES, "it is too large")
    with zipfile.ZipFile(io.BytesIO(payload)) as source:
        listed = source.infolist()
        _require(len(listed) <= MOST_FILES, "it holds too many files")
        _require(sum(i.file_size for i in listed) <= MOST_BYTES, "it unpacks to too much")
        _require(len({i.filename for i in listed}) == len(listed), "two of its files have one name")
        _require(source.getinfo("schema.json").file_size <= MOST_TEXT, "its schema is too large")
        schema = json.loads(source.read("schema.json"))
        _require(isinstance(schema, dict) and schema.get("protocol") == PROTOCOL, "its protocol is not known")
        reader = _Reader(source)
        tree = reader.node(schema)
    return Read(
        _packed(tree | {"protocol": PROTOCOL}, reader.files),
        tuple(sorted(reader.names)),
        tuple(sorted(reader.refused)),
    )


def _packed(schema: Node, files: Mapping[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as out:
        for name, content in files.items():
            out.writestr(name, content)
        out.writestr("schema.json", json.dumps(schema))
    return target.getvalue()


@dataclass(slots=True)
class _Reader:
    """One walk over the schema. `names` are those that skops must be told to trust."""

    source: zipfile.ZipFile
    files: dict[str, bytes] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    count: int = 0
    depth: int = 0
    size: int = 0  # of all arrays, each as often as it is named

    def node(self, state: Any) -> Node:
        """The node written anew. What is not allowed is noted, and nothing stands in its place."""
        _require(isinstance(state, dict), "a node is not an object")
        self.count, self.depth = self.count + 1, self.depth + 1
        _require(self.count <= MOST_NODES, "it has too many nodes")
        _require(self.depth <= 4 * DEEPEST, "its nodes are too deep in one another")
        loader, name = _text(state["__loader__"]), _name(state)
        read = _KINDS.get(loader)
        made = self.refuse(name, loader) if read is None else read(self, state, name)
        self.depth -= 1
        return made

    def refuse(self, name: str, loader: str) -> Node:
        self.refused.add(
            name if loader in ("ObjectNode", "TypeNode", "FunctionNode") else f"{name} ({loader})"
        )
        return NOTHING

    def named(self, state: Node, name: str, allowed: known.Names) -> bool:
        """Whether the name is allowed for this kind of node; then skops is told to trust it."""
        if name in allowed:
            self.names.add(name)
            return True
        self.refuse(name, state["__loader__"])
        return False

    def array(self, state: Node) -> tuple[str, bytes]:
        """The bytes of the array that the node names, whose header fits them, and its name from now on."""
        old = _text(state["file"])
        new = f"{old}.npy" if not old.endswith(".npy") else old
        if new not in self.files:
            content = self.source.read(old)
            _header(content)
            self.files[new] = content
        self.size += len(self.files[new])
        _require(self.size <= 2 * MOST_BYTES, "its arrays are too large")
        return new, self.files[new]


def _text(value: Any) -> str:
    _require(isinstance(value, str) and len(value) <= LONGEST_NAME, "a name is not a short text")
    return str(value)


def _name(state: Node) -> str:
    return f"{_text(state['__module__'])}.{_text(state['__class__'])}"


def _like(state: Node, **content: Any) -> Node:
    return {k: state[k] for k in ("__class__", "__module__", "__loader__")} | content


# --- plain values and containers ---------------------------------------------------------------------------


def _json(_reader: _Reader, state: Node, _name: str) -> Node:
    value = json.loads(state["content"])
    _require(value is None or isinstance(value, str | int | float | bool), "a value is not a plain one")
    return NOTHING | {"content": json.dumps(value)}


def _sequence(allowed: str) -> Callable[[_Reader, Node, str], Node]:
    def read(reader: _Reader, state: Node, name: str) -> Node:
        if name != allowed:
            return reader.refuse(name, state["__loader__"])
        _require(isinstance(state["content"], list), "a sequence is not a list")
        return _like(state, content=[reader.node(v) for v in state["content"]])

    return read


def _dict(reader: _Reader, state: Node, name: str) -> Node:
    if not reader.named(state, name, known.DICTS):
        return NOTHING
    content, kinds = state["content"], state["key_types"]["content"]
    _require(isinstance(content, dict) and isinstance(kinds, list), "a dict has no keys")
    _require(len(content) == len(kinds), "a dict has another number of keys than of their types")
    types = [_key_type(reader, kind) for kind in kinds]
    key_types = {
        "__class__": "list", "__module__": "builtins", "__loader__": "ListNode", "content": types
    }  # fmt: skip
    return _like(state, content={k: reader.node(v) for k, v in content.items()}, key_types=key_types)


def _key_type(reader: _Reader, state: Any) -> Node:
    _require(isinstance(state, dict) and state["__loader__"] == "TypeNode", "a dict's key has no type")
    return _like(state) if reader.named(state, _name(state), known.KEY_TYPES) else NOTHING


def _slice(_reader: _Reader, state: Node, name: str) -> Node:
    ends = [state["content"][k] for k in ("start", "stop", "step")]
    _require(name == "builtins.slice" and all(e is None or type(e) is int for e in ends), "a slice is none")
    return _like(state, content=dict(zip(("start", "stop", "step"), ends, strict=True)))


def _type(reader: _Reader, state: Node, name: str) -> Node:
    return _like(state) if reader.named(state, name, known.TYPES) else NOTHING


def _function(reader: _Reader, state: Node, name: str) -> Node:
    return _like(state) if reader.named(state, name, known.FUNCTIONS) else NOTHING


def _left_out(_reader: _Reader, _state: Node, _name: str) -> Node:
    return NOTHING


# --- objects -----------------------------------------------------------------------------------------------


def _object(reader: _Reader, state: Node, name: str) -> Node:
    """An instance and its attributes."""
    if not reader.named(state, name, known.OBJECTS):
        if isinstance(state.get("content"), dict):
            reader.node(state["content"])  # for the names of all that is not allowed
        return NOTHING
    if state.get("content") is None:
        return _like(state)
    content = reader.node(state["content"])
    if name in known.COMPILED:
        _require(content["__loader__"] == "TupleNode", "a compiled object has no state")
    elif content is not NOTHING and content["content"] != "null":
        _attributes(content)
    return _like(state, content=content)


def _attributes(content: Node) -> None:
    _require(
        content["__loader__"] == "DictNode" and content["__class__"] == "dict", "an object has no attributes"
    )
    _require(
        all(t["__class__"] == "str" for t in content["key_types"]["content"]), "an attribute has no name"
    )
    _require(not any(k.startswith("__") for k in content["content"]), "an attribute has a reserved name")


def _loss(reader: _Reader, state: Node, name: str) -> Node:
    """A compiled loss, made from numbers."""
    if not reader.named(state, name, known.LOSSES):
        return NOTHING
    given = state["__reduce__"]["args"]
    _require(isinstance(given, dict) and given["__loader__"] == "TupleNode", "a loss has no arguments")
    arguments = reader.node(given)
    for argument in arguments["content"]:
        number = argument["__loader__"] == "JsonNode" and type(json.loads(argument["content"])) in (
            int,
            float,
        )
        _require(number, "a loss's argument is not a number")
    content = reader.node(state["content"])
    _require(content.get("content") in ([], {}, "null"), "a loss has a state of its own")
    return _like(state, __reduce__={"args": arguments}, content=content)


def _tree(reader: _Reader, state: Node, name: str) -> Node:
    """A decision tree of scikit-learn: its children lie after their parents, its features are among those it has."""
    if name != known.TREE:
        return reader.refuse(name, state["__loader__"])
    reader.names.add(name)
    features, classes, outputs = state["__reduce__"]["args"]["content"]
    inner = state["content"]["content"]
    count, depth = _whole(inner["node_count"]), _whole(inner["max_depth"])
    nodes, values = _loaded(reader, inner["nodes"]), _loaded(reader, inner["values"])
    check_tree(_whole(features), _loaded(reader, classes), _whole(outputs), count, nodes, values)
    _require(0 <= depth <= count, "a tree is deeper than it is large")
    _require(set(inner) == {"node_count", "max_depth", "nodes", "values"}, "a tree has other parts")
    return _like(
        state,
        __reduce__={"args": reader.node(state["__reduce__"]["args"])},
        content=reader.node(state["content"]),
    )


def check_tree(features: int, classes: Array, outputs: int, count: int, nodes: Array, values: Array) -> None:
    """Return when scikit-learn's compiled code can walk these arrays; it checks nothing itself."""
    import numpy as np

    _require(0 < features < 1 << 31 and outputs == 1 and classes.shape == (1,), "a tree has another shape")
    _require(classes.dtype.kind in "iu" and 0 < int(classes[0]) < 1 << 20, "a tree has no classes")
    fields = {"left_child", "right_child", "feature", "threshold", "missing_go_to_left"}
    _require(nodes.ndim == 1 and nodes.dtype.names is not None, "a tree has no nodes")
    _require(fields <= set(nodes.dtype.names or ()), "a tree's nodes have other parts")
    _require(0 < count == len(nodes) < 1 << 31, "a tree has another number of nodes")
    _require(values.shape == (count, outputs, int(classes[0])), "a tree's values have another shape")
    _require(values.dtype == np.float64 and bool(np.isfinite(values).all()), "a tree's values are no numbers")
    left, right, feature = (nodes[n].astype(np.int64) for n in ("left_child", "right_child", "feature"))
    inner = left != -1
    _require(bool((right[~inner] == -1).all()), "a tree's leaf has a child")
    at = np.arange(count)[inner]
    for child in (left[inner], right[inner]):
        _require(bool(((child > at) & (child < count)).all()), "a tree's child is not below it")
    _require(bool(((feature[inner] >= 0) & (feature[inner] < features)).all()), "a tree splits on no feature")


def _whole(state: Any) -> int:
    _require(isinstance(state, dict) and state["__loader__"] == "JsonNode", "a number is none")
    value = json.loads(state["content"])
    _require(type(value) is int, "a number is not whole")
    return int(value)


# --- arrays ------------------------------------------------------------------------------------------------


def _ndarray(reader: _Reader, state: Node, name: str) -> Node:
    if not reader.named(state, name, known.ARRAYS):
        return NOTHING
    if state["type"] == "numpy":
        return _like(state, type="numpy", file=reader.array(state)[0])
    _require(state["type"] == "json" and name == "numpy.ndarray", "an array is of no known kind")
    shape = reader.node(state["shape"])
    sizes = [_whole(s) for s in shape["content"]]
    items = [reader.node(v) for v in state["content"]]
    _require(shape["__loader__"] == "TupleNode" and 0 < len(sizes) <= 3, "an array has no shape")
    _require(len(items) == sizes[0], "an array has another shape")
    return _like(state, type="json", content=items, shape=shape)


def _masked(reader: _Reader, state: Node, name: str) -> Node:
    if name not in ("numpy.ma.MaskedArray", "numpy.ma.core.MaskedArray"):
        return reader.refuse(name, state["__loader__"])
    reader.names.add(name)
    parts = {k: reader.node(state["content"][k]) for k in ("data", "mask")}
    _require(all(p["__loader__"] == "NdArrayNode" for p in parts.values()), "a masked array is none")
    return _like(state, content=parts)


def _dtype(reader: _Reader, state: Node, name: str) -> Node:
    if name != "numpy.dtype":
        return reader.refuse(name, state["__loader__"])
    reader.names.add(name)
    content = reader.node(state["content"])
    _require(content["__loader__"] == "NdArrayNode", "a dtype is none")
    return _like(state, content=content)


def _loaded(reader: _Reader, state: Any) -> Array:
    """The array of a node, for a look at its numbers."""
    import numpy as np

    _require(isinstance(state, dict) and state["__loader__"] == "NdArrayNode", "an array is none")
    _require(_name(state) == "numpy.ndarray" and state["type"] == "numpy", "an array is of no known kind")
    found: Array = np.load(io.BytesIO(reader.array(state)[1]), allow_pickle=False)
    return found


def _header(content: bytes) -> None:
    """Return when it is one numpy array of plain values whose header tells the truth about its size."""
    from numpy.lib import format as npy

    stream = io.BytesIO(content)
    version = npy.read_magic(stream)
    _require(version in ((1, 0), (2, 0)), "an array is of no known version")
    header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = header(stream)
    _require(_plain(dtype), "an array holds objects")
    size = dtype.itemsize
    for part in shape:
        _require(0 <= part < 1 << 40, "an array has no shape")
        size *= part
    _require(stream.tell() + size == len(content), "an array has another size than it says")


def _plain(dtype: np.dtype[Any]) -> bool:
    if dtype.names is not None:
        return all(dtype[name].names is None and _plain(dtype[name]) for name in dtype.names)
    return not dtype.hasobject and dtype.kind in "biufSUmM" and dtype.subdtype is None


_KINDS: dict[str, Callable[[_Reader, Node, str], Node]] = {
    "JsonNode": _json,
    "ListNode": _sequence("builtins.list"),
    "TupleNode": _sequence("builtins.tuple"),
    "SetNode": _sequence("builtins.set"),
    "DictNode": _dict,
    "SliceNode": _slice,
    "TypeNode": _type,
    "FunctionNode": _function,
    "ObjectNode": _object,
    "LossNode": _loss,
    "TreeNode": _tree,
    "NdArrayNode": _ndarray,
    "MaskedArrayNode": _masked,
    "DTypeNode": _dtype,
    "RandomStateNode": _left_out,
    "RandomGeneratorNode": _left_out,
}
