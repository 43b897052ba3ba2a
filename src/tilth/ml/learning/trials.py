"""What a search of options made: its trials, and what was found. Values alone; the search itself is `searching`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

NEW, KEPT = "new", "kept"  # try more; or only ask the rows about what was found before
DONE, STOPPED, FAILED = "done", "stopped early", "failed"


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of options of an engine on rows that did not teach. Trials with one `about` are comparable."""

    about: str  # sha256 of the rows, the task and what else fits depend on
    engine: str
    number: int  # 0: the default setting
    options: Mapping[str, object]
    losses: tuple[float, ...]  # of the parts that were asked, in the order of folds
    loss: float | None  # their mean, by rows
    seconds: float
    status: str

    def plain(self) -> dict[str, object]:
        """As it is told and kept."""
        return {
            "about": self.about, "engine": self.engine, "trial": self.number, "options": dict(self.options),
            "losses": list(self.losses), "loss": self.loss, "seconds": round(self.seconds, 3), "status": self.status,
        }  # fmt: skip

    @classmethod
    def read(cls, text: str) -> Trial:
        """A trial as it was kept."""
        v = json.loads(text)
        return cls(
            v["about"], v["engine"], v["trial"], v["options"], tuple(v["losses"]), v["loss"], v["seconds"], v["status"]
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Searched:
    """Every trial, what was found better than a default setting, how long it took, and it in words."""

    trials: tuple[Trial, ...]
    found: Mapping[str, Mapping[str, object]]  # options by engine
    seconds: float
    told: str
    losses: tuple[float, float] | None = None  # of the blend without what was found, and with it
    serves: bool = False

    def plain(self) -> dict[str, object]:
        """For `metrics.json`: no second is in it."""
        kept = ("engine", "trial", "options", "loss", "status")
        return {
            "trials": [{k: v for k, v in t.plain().items() if k in kept} for t in self.trials],
            "found": {engine: dict(options) for engine, options in self.found.items()},
            "loss_without": self.losses[0] if self.losses else None,
            "loss_with": self.losses[1] if self.losses else None,
            "serves": self.serves,
        }
