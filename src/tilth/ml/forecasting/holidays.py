"""The public holidays that a forecast knows.

They are looked up once, at training, for the years of the data and some after; the days are kept with the forecast, so
that answering needs no library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilth.core.errors import InputError
from tilth.ml.data.holidays import between
from tilth.ml.forecasting.steps import DAY, MONTHS, Step

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]

AFTER = 10  # years after the data that are kept


def days(place: str | None, step: Step, instants: Ints) -> Ints:
    """Days since 1970 that are holidays in `place` (as 'DE' or 'DE-BY'), around the instants; none where no place is given."""
    import numpy as np

    if place is None:
        return np.empty(0, np.int64)
    if step.kind == MONTHS or step.size > DAY:
        raise InputError(
            f"holidays = {place!r} say something of days, and a step is {step.words}.",
            hint="Leave the option out, or forecast by day.",
        )
    ends = np.array([instants.min(), instants.max()]).astype("datetime64[us]").astype("datetime64[Y]")
    first, last = (int(year) + 1970 for year in ends.astype(int))
    return between(place, first, last + AFTER)
