"""Public holidays of a country or one of its parts, as days, by the library `holidays` (extra `forecast`).

They are looked up once, at training, for the years of the data and some after; the days are kept with the forecast, so
that answering needs no library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilth.core.errors import InputError, MissingExtraError
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
    try:
        import holidays
    except ImportError as error:
        raise MissingExtraError(
            "The library `holidays` is not installed.", hint="Run `pip install 'tilth[forecast]'`."
        ) from error
    ends = (
        np.array([instants.min(), instants.max()])
        .astype("datetime64[us]")
        .astype("datetime64[Y]")
        .astype(int)
        + 1970
    )
    country, _, part = place.partition("-")
    try:
        found = holidays.country_holidays(
            country, subdiv=part or None, years=range(int(ends[0]), int(ends[1]) + AFTER + 1)
        )
    except NotImplementedError as error:
        raise InputError(
            f"holidays = {place!r} is no place that the library `holidays` knows.",
            hint="Write a country as in ISO 3166, and a part of it if it matters: 'DE', 'DE-BY', 'US-NY'.",
        ) from error
    return np.array(sorted(np.datetime64(d, "D").astype(np.int64) for d in found), np.int64)
