"""Several members as one scorer: the weighted mean of their probabilities, or of their values.

A bundle says in `calibration.json` which files are its members, which format reads each and how much it weighs. What one
member is, is known to its scorer alone. Numbers are added in the order of the members, for one row as for many. A member
reads the first columns of the matrix; only one that says `texts` reads the scores of texts after them, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
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


class Heads:
    """A scorer of the first columns of a matrix that has more. Implements `ports.learning.Scorer`; immutable."""

    def __init__(self, scorer: Scorer, columns: int) -> None:
        self.scorer, self._columns = scorer, columns
        self._bytes = 8 * columns

    def score(self, x: Matrix) -> Matrix:
        return self.scorer.score(self._cut(x))

    def score_row(self, row: bytearray) -> tuple[float, ...]:
        return self.scorer.score_row(row[: self._bytes])

    def contributions(self, x: Matrix) -> Matrix | None:
        """Those of the scorer; the other columns add nothing."""
        import numpy as np

        found = self.scorer.contributions(self._cut(x))
        if found is None:
            return None
        each = found.reshape(len(x), -1, self._columns + 1)
        out = np.zeros((len(x), each.shape[1], x.shape[1] + 1))
        out[:, :, : self._columns], out[:, :, -1] = each[:, :, :-1], each[:, :, -1]
        return out.reshape(len(x), -1)

    def _cut(self, x: Matrix) -> Matrix:
        import numpy as np

        return np.ascontiguousarray(x[:, : self._columns])


def heads(scorer: Scorer, columns: int, of: int) -> Scorer:
    """The scorer of so many columns, for a matrix of `of`."""
    return scorer if columns == of else Heads(scorer, columns)


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
    width: int | None = None,
) -> Scorer:
    """From what `calibration.json` says; KeyError, TypeError or ValueError where it does not fit. One member may be named as such.

    `width`: how many columns members read that do not say `texts`; None where there are no scores of texts.
    """
    found = members_in(kept)
    weights = [float(m["weight"]) for m in found]
    if not 0 < len(found) <= MOST or not all(w > 0.0 for w in weights) or abs(sum(weights) - 1.0) > ROUNDED:
        raise TamperError(
            "The bundle's members have other weights.",
            hint="Train the model again, or roll back to another version.",
        )
    scorers = [
        loaded(
            files[m["member"]], get_scorer(str(m["scorer"])), task, threads, None if m.get("texts") else width
        )
        for m in found
    ]
    return of_members(list(zip(scorers, weights, strict=True)))


def loaded(payload: bytes, scorer: Any, task: Task, threads: int | None, width: int | None) -> Scorer:
    """A member's file read by its scorer class; `width` as in `load`."""
    if width is None or width == len(task.columns):
        read: Scorer = scorer.load(payload, task, threads)
        return read
    own = replace(task, columns=task.columns[:width])
    return Heads(scorer.load(payload, own, threads), width)


def members_in(kept: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What `calibration.json` says of each member; older ones name one."""
    named = kept.get("members")
    if named is None:
        return [{"member": kept["member"], "scorer": kept["scorer"], "weight": 1.0}]
    return [dict(one) for one in named]


def plain(members: Sequence[tuple[str, str, float, bool]]) -> list[dict[str, object]]:
    """Members as `calibration.json` names them: file, format, weight, and whether it reads scores of texts."""
    return [
        {"member": name, "scorer": scorer, "weight": weight, **({"texts": True} if texts else {})}
        for name, scorer, weight, texts in members
    ]
