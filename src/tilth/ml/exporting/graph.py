"""An ONNX graph that is being written: operations by name on named values. What is computed is said by its neighbours.

Everything is in 64 bits, as it is where tilth serves. What ONNX has no word for is refused by who would need it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tilth.core.errors import MissingExtraError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]

OPERATIONS, TREES = 21, 5  # the opsets of `ai.onnx` and `ai.onnx.ml`
IR = 10
OURS = "tilth:"  # before the names of values inside, which no column has
INSTALL = "Run: pip install 'tilth[onnx]'"


def library() -> Any:
    """The module `onnx`; MissingExtraError where the extra is not installed."""
    try:
        import onnx
    except ImportError as error:
        raise MissingExtraError("An ONNX file needs the package onnx.", hint=INSTALL) from error
    return onnx


class Graph:
    """Values and what makes them, in the order in which they are added."""

    def __init__(self) -> None:
        onnx = library()
        self._help, self._arrays, self._types = onnx.helper, onnx.numpy_helper, onnx.TensorProto
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._count = 0

    def input(self, name: str, kind: str) -> str:
        """A column of rows, [rows, 1]; `kind` is DOUBLE, INT64 or STRING."""
        self._inputs.append(self._help.make_tensor_value_info(name, getattr(self._types, kind), ["rows", 1]))
        return name

    def output(self, value: str, name: str, kind: str, width: int = 1) -> None:
        """Give a value out as [rows, width]."""
        self._nodes.append(self._help.make_node("Identity", [value], [name]))
        shape = ["rows", width]
        self._outputs.append(self._help.make_tensor_value_info(name, getattr(self._types, kind), shape))

    def constant(self, values: object, kind: str = "float64") -> str:
        """An array, or one number, that is the same for all rows."""
        import numpy as np

        name = self._named()
        self._constants.append(self._arrays.from_array(np.array(values, dtype=kind), name))
        return name

    def tensor(self, values: object, kind: str) -> Any:
        """An array as an attribute of an operation."""
        import numpy as np

        return self._arrays.from_array(np.array(values, dtype=kind))

    def do(self, operation: str, *values: str | float, domain: str = "", **attributes: Any) -> str:
        """The value of an operation; numbers among its arguments become constants."""
        given = [v if isinstance(v, str) else self.constant(v) for v in values]
        name = self._named()
        self._nodes.append(self._help.make_node(operation, given, [name], domain=domain, **attributes))
        return name

    def whole(self, operation: str, value: str, number: int) -> str:
        """An operation of whole numbers with a whole number."""
        return self.do(operation, value, self.constant(number, "int64"))

    def double(self, value: str) -> str:
        """The value in 64-bit floats."""
        return self.do("Cast", value, to=self._types.DOUBLE)

    def model(self, name: str, about: dict[str, str]) -> bytes:
        """The file; ONNX's own checker has read it."""
        onnx = library()
        graph = self._help.make_graph(self._nodes, name, self._inputs, self._outputs, self._constants)
        sets = [self._help.make_opsetid("", OPERATIONS), self._help.make_opsetid("ai.onnx.ml", TREES)]
        made = self._help.make_model(graph, opset_imports=sets, ir_version=IR, producer_name="tilth")
        self._help.set_model_props(made, about)
        onnx.checker.check_model(made, full_check=True)
        return bytes(made.SerializeToString(deterministic=True))

    def _named(self) -> str:
        self._count += 1
        return f"{OURS}{self._count}"
