"""Several members as one scorer: the weighted mean of their probabilities, or of their values.

A bundle says in `calibration.json` which files are its members, which format reads each and how much it weighs. What one
member is, is known to its scorer alone. Numbers are added in the order of the members, for one row as for many.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tilth.core.errors import TamperError
from tilth.ports.learning import Scorer, Task

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float64]

MOST = 50  # members that a bundle may name
ROUNDED = 1e-6  # how far weights may be from adding up to 1


class Ensemble:
    """Implements `ports.learning.Scorer`; immutable."""

    def __init__(self, members: Sequence[tuple[Scorer, float]]) -> None:
        self.members = tuple(members)
        self._weights = [weight for _, weight in self.members]
        self._rows = [(member.score_row, weight) for member, weight in self.members]

    def score(self, x: Matrix) -> Matrix:
        total = self._weights[0] * self.members[0][0].score(x)
        for member, weight in self.members[1:]:
            total = total + weight * member.score(x)
        return total

    def score_row(self, row: bytearray) -> tuple[float, ...]:
        (first, weight), *rest = self._rows
        total = [weight * value for value in first(row)]
        for score, weight in rest:
            total = [a + weight * b for a, b in zip(total, score(row), strict=True)]
        return tuple(total)

    def contributions(self, x: Matrix) -> Matrix | None:
        """None: what a column adds to a mean of several scales is told by `ml.model.contributions`."""
        del x
        return None


def of_members(members: Sequence[tuple[Scorer, float]]) -> Scorer:
    """One alone is asked as it is."""
    if len(members) == 1 and members[0][1] == 1.0:
        return members[0][0]
    return Ensemble(members)


def members_of(scorer: Any) -> tuple[tuple[Scorer, float], ...]:
    """The members of a scorer with their weights; of one that has none, itself."""
    return scorer.members if isinstance(scorer, Ensemble) else ((scorer, 1.0),)


def load(
    kept: Mapping[str, Any],
    files: Mapping[str, bytes],
    get_scorer: Callable[[str], Any],
    task: Task,
    threads: int | None,
) -> Scorer:
    """From what `calibration.json` says; KeyError, TypeError or ValueError where it does not fit. One member may be named as such."""
    found = [(str(m["scorer"]), files[m["member"]], float(m["weight"])) for m in members_in(kept)]
    weights = [w for _, _, w in found]
    if not 0 < len(found) <= MOST or not all(w > 0.0 for w in weights) or abs(sum(weights) - 1.0) > ROUNDED:
        raise TamperError(
            "The bundle's members have other weights.",
            hint="Train the model again, or roll back to another version.",
        )
    return of_members([(get_scorer(name).load(payload, task, threads), w) for name, payload, w in found])


def members_in(kept: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What `calibration.json` says of each member; older ones name one."""
    named = kept.get("members")
    if named is None:
        return [{"member": kept["member"], "scorer": kept["scorer"], "weight": 1.0}]
    return [dict(one) for one in named]


def plain(members: Sequence[tuple[str, str, float]]) -> list[dict[str, object]]:
    """Members as `calibration.json` names them: file, format, weight."""
    return [{"member": name, "scorer": scorer, "weight": weight} for name, scorer, weight in members]
