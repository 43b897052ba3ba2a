"""Covariates of a forecast: what is known ahead, by group and place, and what stays as it is for a group.

Words become codes whose levels are learned once and kept. A value that the future needs and nobody gave is refused by
name, group and time. A step without a row between rows that are given is a gap, as closed days are at training: its covariates
are unknown, and that is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from tilth.core.errors import InputError
from tilth.ml.forecasting import columns
from tilth.ml.forecasting.series import Rows

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Ints = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]

Levels = Mapping[str, tuple[str, ...] | None]
FAR = 1 << 40  # places that a group may span


@dataclass(frozen=True, slots=True, eq=False)
class Covariates:
    """`keys` (group and place, sorted) with a row of `values` each; `static` has a row a group; `levels` by column."""

    known: tuple[str, ...]
    static_names: tuple[str, ...]
    keys: Ints
    values: Floats
    static: Floats
    levels: Levels

    @classmethod
    def of(
        cls, table: pa.Table, rows: Rows, known: tuple[str, ...], static: tuple[str, ...], levels: Levels
    ) -> Self:
        """Those of rows that lie on their grid; `levels` empty: learned."""
        import numpy as np

        learned: dict[str, tuple[str, ...] | None] = {}
        found = {}
        for name in (*known, *static):
            found[name], learned[name] = columns.covariate(table, name, levels)
            found[name] = found[name][rows.origin]
        values = np.stack([found[n] for n in known], axis=1) if known else np.empty((len(rows.code), 0))
        fixed = np.full((len(rows.shifts), len(static)), np.nan)
        for i, name in enumerate(static):
            told = ~np.isnan(found[name])
            fixed[rows.code[told], i] = found[name][told]  # in order of time: the newest counts
        keys = rows.code * FAR + rows.place + FAR // 2
        order = np.argsort(keys, kind="stable")
        return cls(known, static, keys[order], values[order], fixed, dict(levels) or learned)

    @classmethod
    def none(cls, groups: int) -> Self:
        """Of a forecast without any."""
        import numpy as np

        return cls((), (), np.empty(0, np.int64), np.empty((0, 0)), np.empty((groups, 0)), {})

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.known, *self.static_names)

    def at(self, group: Ints, place: Ints) -> Floats:
        """[rows, covariates] of groups at places; NaN where none is given."""
        import numpy as np

        if not self.names:
            return np.empty((len(group), 0))
        out = np.full((len(group), len(self.known)), np.nan)
        if len(self.keys) and self.known:
            keys = group * FAR + place + FAR // 2
            index = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
            hit = self.keys[index] == keys
            out[hit] = self.values[index[hit]]
        return np.concatenate([out, self.static[group]], axis=1)

    def renumbered(self, known: Ints) -> Self:
        """Values known ahead by the place that a group has in `known`; of groups that are not there none."""
        import numpy as np

        if not len(self.keys):
            return self
        group = np.floor_divide(self.keys, FAR)
        order = np.full(int(max(known.max(initial=0), group.max())) + 1, -1, np.int64)
        order[known[known >= 0]] = np.flatnonzero(known >= 0)
        own = order[group]
        keys = own * FAR + np.remainder(self.keys, FAR)
        keep = np.flatnonzero(own >= 0)
        keep = keep[np.argsort(keys[keep], kind="stable")]
        return replace(self, keys=keys[keep], values=self.values[keep])

    def _gaps(self, group: Ints, place: Ints) -> Mask:
        """Whether a place has no row, and lies before the last row of its group."""
        import numpy as np

        if not len(self.keys):
            return np.zeros(len(group), bool)
        keys = group * FAR + place + FAR // 2
        index = np.searchsorted(self.keys, keys)
        following = self.keys[np.minimum(index, len(self.keys) - 1)]
        out: Mask = (
            (index < len(self.keys)) & (following != keys) & (np.floor_divide(following, FAR) == group)
        )
        return out

    def joined(self, other: Covariates) -> Covariates:
        """With those of another table, which count where both have a place; static ones too."""
        import numpy as np

        keys = np.concatenate([self.keys, other.keys])
        values = np.concatenate([self.values, other.values])
        order = np.argsort(keys, kind="stable")
        keys, values = keys[order], values[order]
        final = np.append(keys[1:] != keys[:-1], True) if len(keys) else np.empty(0, bool)
        static = np.where(np.isnan(other.static), self.static, other.static)
        return replace(self, keys=keys[final], values=values[final], static=static)

    def check(self, group: Ints, place: Ints, told: tuple[pa.Table, object]) -> int:
        """InputError where a known covariate is missing at a place; `told` gives the groups and a time of a place in words.

        What is given is how many places are gaps: without a row, before the last row of their group.
        """
        import numpy as np

        if not self.known:
            return 0
        gap = self._gaps(group, place)
        missing = np.isnan(self.at(group, place)[:, : len(self.known)]) & ~gap[:, None]
        if not missing.any():
            return int(gap.sum())
        row, column = map(int, np.argwhere(missing)[0])
        groups, words = told
        who = columns.example(groups, int(group[row])) if groups.num_columns else ()
        of = f" of {', '.join(map(str, who))}" if who else ""
        raise InputError(
            f"`{self.known[column]}`{of} has no value, or one that training never saw, at {words(int(group[row]), int(place[row]))}, and a forecast needs it.",  # type: ignore[operator]
            hint=f'Give rows of the future with {", ".join(self.known)}, joined in SQL or as "future" in a request; {int(missing.any(axis=1).sum()):,} steps lack one.',
        )
