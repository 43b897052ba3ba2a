"""Keeps pandas out of processes that do not need it: pyarrow would load it for the first array it makes, half a CPU second.

A worker of our own engines has no pandas at all (`spare_pandas`). A command has it when somebody imports it, and from then on
pyarrow knows it as ever (`pandas_when_asked`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any


class _NoPandas:
    """Where neither learners nor scorers need it, pyarrow need not load pandas."""

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("Not in this process.", name=name)


def spare_pandas() -> None:
    """From now on this process has no pandas."""
    sys.meta_path.insert(0, _NoPandas())


def pandas_when_asked() -> None:
    """Let pyarrow take up pandas when somebody imports it, and not before."""
    if "pandas" in sys.modules:
        return
    if "pyarrow" in sys.modules:
        _pyarrow_without()
    else:
        _After("pyarrow", _pyarrow_without).wait()


def _pyarrow_without() -> None:
    """Have pyarrow look for pandas now, and find none until there is one."""
    import pyarrow as pa

    none = _NoPandas()
    sys.meta_path.insert(0, none)
    try:
        pa.scalar(None)
    finally:
        sys.meta_path.remove(none)
    _After("pandas", lambda: pa.lib._pandas_api.pd).wait()  # noqa: SLF001  # asked for, it is looked for again


class _After:
    """Calls back when a module has been imported, once; stands for the module's loader until then."""

    def __init__(self, name: str, then: Callable[[], object]) -> None:
        self._name, self._then = name, then
        self._inner: Any = None

    def wait(self) -> None:
        sys.meta_path.insert(0, self)

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        if name != self._name:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        if spec is not None:
            self._inner, spec.loader = spec.loader, self  # type: ignore[assignment]
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        found: ModuleType | None = self._inner.create_module(spec)
        return found

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._inner
        self._inner.exec_module(module)
        self._then()
