"""The series of one target, all groups in one flat array, and the padded blocks that members compute on.

A series is contiguous: its gaps were filled in `series`. Groups of like length share a block, so that one long series does
not make a hundred thousand short ones long.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from tilth.ml.forecasting.steps import Step

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """`values` of group g lie at `starts[g] : starts[g] + lengths[g]`; the first stands at place `begins[g]` of the grid.

    `members` are indexes into the table of groups, `shifts` what a group's instants lie behind the grid's (microseconds).
    """

    step: Step
    members: Ints
    begins: Ints
    shifts: Ints
    starts: Ints
    lengths: Ints
    values: Floats

    @classmethod
    def of(cls, step: Step, members: Ints, begins: Ints, shifts: Ints, lengths: Ints, values: Floats) -> Self:
        """A panel of values that lie one series after the other."""
        import numpy as np

        return cls(step, members, begins, shifts, np.cumsum(lengths) - lengths, lengths, values)

    def __len__(self) -> int:
        return len(self.members)

    @property
    def ends(self) -> Ints:
        """The place after the last value."""
        return self.begins + self.lengths

    def owners(self) -> Ints:
        """The group of each value."""
        import numpy as np

        return np.repeat(np.arange(len(self)), self.lengths)

    def last(self, points: int) -> Panel:
        """Of each series the newest so many points."""
        import numpy as np

        if not len(self) or int(self.lengths.max()) <= points:
            return self
        cut = np.maximum(self.lengths - points, 0)
        within = np.arange(len(self.values)) - np.repeat(self.starts, self.lengths)
        kept = within >= np.repeat(cut, self.lengths)
        lengths = self.lengths - cut
        return replace(
            self,
            begins=self.begins + cut,
            lengths=lengths,
            starts=np.cumsum(lengths) - lengths,
            values=self.values[kept],
        )

    def without(self, points: int) -> Panel:
        """Each series without its newest so many points; one that is shorter has none left."""
        import numpy as np

        lengths = np.maximum(self.lengths - points, 0)
        within = np.arange(len(self.values)) - np.repeat(self.starts, self.lengths)
        kept = within < np.repeat(lengths, self.lengths)
        return replace(self, lengths=lengths, starts=np.cumsum(lengths) - lengths, values=self.values[kept])

    def take(self, index: Ints) -> Panel:
        """Some series, in this order."""
        import numpy as np

        lengths = self.lengths[index]
        starts = np.cumsum(lengths) - lengths
        where = np.repeat(self.starts[index] - starts, lengths) + np.arange(int(lengths.sum()))
        return Panel(
            self.step,
            self.members[index],
            self.begins[index],
            self.shifts[index],
            starts,
            lengths,
            self.values[where],
        )

    def blocks(self, cells: int) -> Iterator[tuple[Ints, Floats]]:
        """(indexes of series, [series, points] aligned at the right with NaN before they begin): lengths of a block differ by at most twice."""
        import numpy as np

        order = np.argsort(-self.lengths, kind="stable")
        order = order[self.lengths[order] > 0]
        at = 0
        while at < len(order):
            widest = int(self.lengths[order[at]])
            like = int(np.searchsorted(-self.lengths[order], -(widest // 2), side="left"))
            end = max(at + 1, min(like, at + max(1, cells // widest)))
            index = order[at:end]
            at = end
            yield index, self.padded(index, widest)

    def padded(self, index: Ints, width: int) -> Floats:
        """[series, width] aligned at the right: the newest values, NaN before a series begins."""
        import numpy as np

        place = (self.starts + self.lengths)[index, None] - width + np.arange(width)
        inside = place >= self.starts[index, None]
        return np.where(inside, self.values[np.where(inside, place, 0)], np.nan)
