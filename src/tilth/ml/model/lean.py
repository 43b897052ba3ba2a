"""Keeps pandas out of a worker that does not need it: pyarrow would load it, half a second of a training's one."""

from __future__ import annotations

import sys


class _NoPandas:
    """Where neither learners nor scorers need it, pyarrow need not load pandas."""

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("Not in this process.", name=name)


def spare_pandas() -> None:
    """From now on this process has no pandas."""
    sys.meta_path.insert(0, _NoPandas())
