"""What the text of a project cannot say, and the compiler is told: which engines there are, what own code holds, and which
names are remembered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tilth.core.engines import Engine
from tilth.resources.naming import Histories


@dataclass(frozen=True, slots=True)
class Facts:
    """What the text cannot say: engines of models and sources that are installed, hashes of own code.

    An empty `engines` or `sources` means that they are not known, and then names of engines are not checked.
    """

    engines: tuple[Engine, ...] = ()
    code: Mapping[str, str] = field(
        default_factory=dict
    )  # 'module:function' or 'module' -> hash of its content
    sources: tuple[str, ...] = ()
    code_before: Mapping[str, str] = field(
        default_factory=dict
    )  # the hashes of own code as recipe 1 made them
    lacking: Mapping[str, tuple[str, str]] = field(
        default_factory=dict
    )  # option of USING -> why it cannot be had here, and what to do about that
    histories: Histories = field(default_factory=Histories)  # what the state remembers, and under which names
