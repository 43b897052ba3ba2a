"""What an engine of models says of itself: its name, the package that learns, the options of USING that it takes.

A learner class holds one of these values, and whoever lists, checks or chooses engines asks it (`ports.learning`); there is
no other list. How a learner works is its own business.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Form(StrEnum):
    """The form of an option's values."""

    WHOLE = "whole number"
    NUMBER = "number"
    SWITCH = "switch"
    TEXT = "text"


_FITS: dict[Form, Callable[[object], bool]] = {
    Form.WHOLE: lambda v: isinstance(v, int) and not isinstance(v, bool),
    Form.NUMBER: lambda v: isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v),
    Form.SWITCH: lambda v: isinstance(v, bool),
    Form.TEXT: lambda v: isinstance(v, str),
}


@dataclass(frozen=True, slots=True)
class Span:
    """Where a search looks for a number: from `low` to `high`, evenly, or evenly in its logarithm."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True, slots=True)
class Option:
    """An option that an engine takes, and the form of its values; `least` and `most` are of numbers.

    `span`: where a search looks for it; None: it is not searched.
    """

    name: str
    form: Form = Form.NUMBER
    least: float | None = None
    most: float | None = None
    stops: bool = False  # it says when to stop: of no use to a fit that knows it
    span: Span | None = None

    def fits(self, value: object) -> bool:
        """Whether the value has the form.

        >>> Option("rounds", Form.WHOLE, 1).fits(0), Option("rounds", Form.WHOLE, 1).fits(200)
        (False, True)
        """
        if not _FITS[self.form](value):
            return False
        if not isinstance(value, int | float):
            return True
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    @property
    def words(self) -> str:
        """What fits, for people.

        >>> Option("share", least=0, most=1).words
        'a number from 0 to 1'
        """
        if self.form is Form.SWITCH:
            return "true or false"
        if self.form is Form.TEXT:
            return "a text in quotes"
        if self.least is not None and self.most is not None:
            return f"a {self.form} from {self.least:g} to {self.most:g}"
        least = "" if self.least is None else f" of at least {self.least:g}"
        return f"a {self.form}{least}" + ("" if self.most is None else f" of at most {self.most:g}")


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine. `learning` is the number of its way of learning: raised when the same rows teach it something else.

    A raised number is told, and used at the next training; it never starts one.
    """

    name: str
    package: str = ""  # the distribution that does the learning; its version is evidence of what was learned
    learning: int = 1
    options: tuple[Option, ...] | None = ()  # None: whatever its estimator takes
    rank: int | None = None  # among those that engine = 'auto' tries, lowest first; None: it does not
    best: bool = False  # preset = 'best' of 'auto' tries it too
    prefixes: tuple[str, ...] = ()  # of its options in USING, beside its own name
    estimator: bool = False  # USING must say which: estimator = 'module:function'
    explains: bool = True  # its models tell what each input added
    monotone: bool = False  # answers can be made to rise, or fall, with a number
    weighs: bool = False  # rows may have weights (see `ports.learning.Weights`)
    spread: bool = False  # it can learn how far values are off (see `ports.learning.Spreads`)
    quantiles: bool = False  # it learns the quantile that a pinball loss asks for
    seeded: bool = False  # another seed gives another model, as good
    texts: bool = False  # it learns from the terms of texts (see `ports.texts`), tried where there are some
    teaches: bool = (
        False  # USING (teacher = ...) may name it: it, or what it fits, is asked about rows that are made
    )
    student: bool = False  # it learns what a teacher says (see `ports.learning.Students`)
    pandas: bool = True  # it, or what it writes, needs pandas in the worker
    fault: str = ""  # why it cannot be used: what its package said when it was loaded
    mend: str = ""  # what to do about that

    @property
    def wrong(self) -> str:
        """The first thing that is not of its type, as strangers may write it; empty when all are.

        >>> Engine("a", options=("depth",)).wrong  # type: ignore[arg-type]
        "options = ('depth',), which should be None or a tuple of Option"
        """
        for name, (holds, words) in _FACTS.items():
            if not holds(value := getattr(self, name)):
                return f"{name} = {value!r}, which should be {words}"
        return ""

    @property
    def searched(self) -> tuple[Option, ...]:
        """The options that a search tries values of."""
        return tuple(o for o in self.options or () if o.span is not None)

    def owns(self, prefix: str) -> bool:
        """Whether `prefix.option` in USING is an option for it."""
        return prefix == self.name or prefix in self.prefixes

    def option(self, name: str) -> Option | None:
        """Its option of that name."""
        return next((o for o in self.options or () if o.name == name), None)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_option(value: object) -> bool:
    return (
        isinstance(value, Option)
        and isinstance(value.name, str)
        and isinstance(value.form, Form)
        and all(bound is None or _FITS[Form.NUMBER](bound) for bound in (value.least, value.most))
        and (value.span is None or _is_span(value))
    )


def _is_span(option: Option) -> bool:
    """Whether a search can look there: numbers that the option takes, the lower one first, above 0 for a logarithm."""
    span = option.span
    return (
        isinstance(span, Span)
        and option.form in (Form.WHOLE, Form.NUMBER)
        and option.fits(span.low)
        and option.fits(span.high)
        and span.low < span.high
        and (not span.log or span.low > 0)
    )


_FACTS: dict[str, tuple[Callable[[object], bool], str]] = {
    "name": (lambda v: isinstance(v, str) and bool(v), "a text"),
    "package": (lambda v: isinstance(v, str), "a text"),
    "learning": (lambda v: isinstance(v, int) and _is_whole(v) and v >= 1, "a whole number of at least 1"),
    "options": (
        lambda v: v is None or (isinstance(v, tuple) and all(map(_is_option, v))),
        "None or a tuple of Option",
    ),
    "rank": (lambda v: v is None or _is_whole(v), "None or a whole number"),
    "prefixes": (
        lambda v: isinstance(v, tuple) and all(isinstance(p, str) for p in v),
        "a tuple of texts",
    ),
    **{
        switch: (lambda v: isinstance(v, bool), "True or False")
        for switch in (
            "best",
            "estimator",
            "explains",
            "monotone",
            "weighs",
            "spread",
            "quantiles",
            "seeded",
            "texts",
            "teaches",
            "student",
            "pandas",
        )
    },
}


def tried(engine: str, known: tuple[Engine, ...], preset: str = "fast") -> tuple[Engine, ...]:
    """Those that `engine` stands for: itself, or for `auto` all that have a rank, in their order, and those of its preset.

    >>> [e.name for e in tried("auto", (Engine("b", rank=2), Engine("own"), Engine("a", rank=1)))]
    ['a', 'b']
    >>> [e.name for e in tried("auto", (Engine("c", best=True), Engine("a", rank=1)), "best")]
    ['a', 'c']
    """
    if engine != "auto":
        return tuple(e for e in known if e.name == engine)
    ranked = [e for e in known if e.rank is not None and not e.fault]
    more = [e for e in known if e.best and e.rank is None and not e.fault] if preset == "best" else []
    return (*sorted(ranked, key=lambda e: (e.rank, e.name)), *sorted(more, key=lambda e: e.name))
