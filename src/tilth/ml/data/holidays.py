"""Public holidays of a country or one of its parts, as days, by the library `holidays` (extra `forecast`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilth.core.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]


def between(place: str, first: int, last: int) -> Ints:
    """Days since 1970 that are holidays in `place` (as 'DE' or 'DE-BY') in the years first to last.

    InputError for a place that the library does not know, MissingExtraError where it is not installed.
    """
    import numpy as np

    try:
        import holidays
    except ImportError as error:
        raise MissingExtraError(
            "The library `holidays` is not installed.", hint="Run `pip install 'tilth[forecast]'`."
        ) from error
    country, _, part = place.partition("-")
    try:
        found = holidays.country_holidays(country, subdiv=part or None, years=range(first, last + 1))
    except NotImplementedError as error:
        raise InputError(
            f"holidays = {place!r} is no place that the library `holidays` knows.",
            hint="Write a country as in ISO 3166, and a part of it if it matters: 'DE', 'DE-BY', 'US-NY'.",
        ) from error
    return np.array(sorted(np.datetime64(d, "D").astype(np.int64) for d in found), np.int64)
