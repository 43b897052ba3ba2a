"""What a forecast is asked to be, as plain values: columns, horizon, options, limits; and what is said of what was left out.

Options are checked here once, so that no later module meets a word it does not know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from tilth.core.errors import InputError
from tilth.core.names import did_you_mean

DUPLICATES = ("refuse", "mean", "sum", "last")
GAPS = ("interpolate", "zero", "last")
RESAMPLE = ("sum", "mean", "last")
MEMBERS = (
    "last", "drift", "mean", "seasonal", "cycles", "smoothing", "theta", "decomposed", "linear", "trees", "trees_seasonal",
)  # fmt: skip
FEWEST = 50  # points of a series that are kept however many series there are
EXAMPLES = 5  # groups that a notice names


@dataclass(frozen=True, slots=True)
class Options:
    """How rows become series and which members are tried; the defaults are the documented rules."""

    duplicates: str = "refuse"
    gaps: str = "interpolate"
    step: str | None = None  # '1 day', '15 minutes', '1 month'; None: the commonest difference
    resample: str | None = None  # how rows of one step become one value, where `step` is given
    seasons: tuple[int, ...] | None = None  # in steps; None: found
    holidays: str | None = None  # a country, as the library `holidays` names it
    members: tuple[str, ...] = MEMBERS

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Options:
        """Options by name; InputError for one that is not known or whose value is not."""
        known = [f.name for f in fields(cls)]
        for name in given:
            if name not in known:
                raise InputError(
                    f"A forecast has no option `{name}`.", hint=did_you_mean(name, known, "options")
                )
        values = dict(given)
        for name, words in (("duplicates", DUPLICATES), ("gaps", GAPS), ("resample", RESAMPLE)):
            if name in values and values[name] is not None and values[name] not in words:
                raise InputError(
                    f"`{name}` is {values[name]!r}.", hint=f"Write one of {', '.join(map(repr, words))}."
                )
        if "seasons" in values and values["seasons"] is not None:
            values["seasons"] = _seasons(values["seasons"])
        if "members" in values:
            values["members"] = _members(values["members"])
        if values.get("resample") and not values.get("step"):
            raise InputError("`resample` needs a `step`.", hint="Write for example step = '1 day'.")
        return cls(**values)


def _seasons(value: Any) -> tuple[int, ...]:
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, Sequence) else [value]
    try:
        found = tuple(sorted({int(p) for p in parts}))
    except (TypeError, ValueError):
        found = (0,)
    if any(p < 2 for p in found) or len(found) > 2:
        raise InputError(
            f"`seasons` is {value!r}.", hint="Write one or two lengths in steps, for example '7, 365'."
        )
    return found


def _members(value: Any) -> tuple[str, ...]:
    names = tuple(p.strip() for p in value.split(",")) if isinstance(value, str) else tuple(value)
    for name in names:
        if name not in MEMBERS:
            raise InputError(
                f"There is no member `{name}` of forecasts.", hint=did_you_mean(name, MEMBERS, "members")
            )
    if not names:
        raise InputError("`members` names none.", hint=f"There are: {', '.join(MEMBERS)}.")
    return names


@dataclass(frozen=True, slots=True)
class Limits:
    """What a fit may take. `points`: of each series the newest so many are learned from, and fewer where all would be more than `total`."""

    points: int = 5_000
    total: int = 5_000_000
    cells: int = 4_000_000  # of one padded block of series
    pairs: int = 50_000  # rows that trees learn from
    origins: int = 24  # inner windows at most; of more than a hundred series half as many
    threads: int = 1
    seconds: float = 3_600.0


@dataclass(frozen=True, slots=True)
class Spec:
    """A forecast: `targets` by `time` for each of `groups`, `horizon` steps ahead.

    `window` is how many of the newest points members may look back at (None: as far as they like). `known`: columns whose
    future values are given when asked; `static`: columns that say something of the group.
    """

    time: str
    targets: tuple[str, ...]
    horizon: int
    groups: tuple[str, ...] = ()
    window: int | None = None
    known: tuple[str, ...] = ()
    static: tuple[str, ...] = ()
    confidence: float = 0.9
    options: Options = field(default_factory=Options)
    seed: int = 0
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if self.horizon < 1:
            raise InputError(f"HORIZON is {self.horizon}.", hint="Write HORIZON 1 or more.")
        if self.window is not None and self.window < 1:
            raise InputError(f"WINDOW is {self.window}.", hint="Write WINDOW 1 or more, or leave it out.")
        if not 0.5 <= self.confidence < 1:
            raise InputError(
                f"The confidence is {self.confidence}.", hint="Write a number from 0.5 to below 1, as 0.9."
            )
        if not self.targets:
            raise InputError("The forecast has no target.", hint="Write PREDICT column.")
        used = [self.time, *self.targets, *self.groups, *self.known, *self.static]
        twice = sorted({c for c in used if used.count(c) > 1})
        if twice:
            raise InputError(
                f"`{twice[0]}` is given two parts in the forecast.",
                hint="A column is the time, a target, a group, known ahead or static: one of these.",
            )

    def plain(self) -> dict[str, Any]:
        """The spec as JSON-able values; `from_plain` reads it back."""
        return asdict(self)

    @classmethod
    def from_plain(cls, value: Mapping[str, Any]) -> Spec:
        given = dict(value)
        options: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in given.pop("options").items()
        }
        limits = given.pop("limits")
        lists = {k: tuple(v) for k, v in given.items() if isinstance(v, list)}
        return cls(**{**given, **lists, "options": Options(**options), "limits": Limits(**limits)})


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that is said of some groups: `left_out` means that these are not answered.

    `groups` counts them, `examples` are the first few as their group columns' values, `count` is of rows or points.
    """

    reason: str
    text: str
    groups: int = 0
    examples: tuple[tuple[Any, ...], ...] = ()
    count: int = 0
    left_out: bool = False

    def plain(self) -> dict[str, Any]:
        """As JSON-able values."""
        return {
            "reason": self.reason, "text": self.text, "groups": self.groups, "count": self.count,
            "examples": [[None if v is None else str(v) for v in e] for e in self.examples], "left_out": self.left_out,
        }  # fmt: skip
