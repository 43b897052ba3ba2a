"""The rules of a CREATE MODEL that forecasts: ORDER BY, GROUP BY, WINDOW and HORIZON, and the options that go with them.

A model forecasts where it has a HORIZON. Which options OBJECTIVE and USING have otherwise is in `rules`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import NoReturn

from tilth.core.errors import ProjectError, UnknownNameError, UnsupportedError
from tilth.core.metrics import BY_KIND, find
from tilth.core.names import did_you_mean
from tilth.sql.language.statements import CreateModel, Options, Value

KIND = "forecast"
OBJECTIVE = ("metric", "minimum", "confidence", "coverage")
MADE = ("step", "resample", "duplicates", "gaps", "seasons", "holidays", "members", "known", "static")
"""Options of USING that say how rows become series, and what is known of the future."""
USING = ("engine", "time_limit", "seed", "memory", "threads", *MADE)
MOST_HORIZON = 10_000


def is_one(d: CreateModel) -> bool:
    """Whether the model forecasts."""
    return d.horizon is not None


def check(d: CreateModel, others: Collection[str]) -> None:
    """Raise for the first clause or option of a forecast that cannot stand as it does; `others` are options of other models."""
    _whole(d)
    _clauses(d)
    for clause, options, known in (("OBJECTIVE", d.objective, OBJECTIVE), ("USING", d.using, USING)):
        for key, value in options.items:
            if key not in known:
                _unknown(d, key, clause, known, others)
            fits = _VALUES.get(key)
            if fits is not None and not fits[0](value):
                raise _fault(d, f"{value!r} does not fit `{key}` of {clause} in model `{d.name}`.", fits[1])
    _metric(d)
    _columns(d)


def none_of(d: CreateModel) -> None:
    """Raise for what only a forecast has, in a model that predicts row by row."""
    metric = find(str(d.objective.get("metric", "")))
    said = next((f"{key} of USING" for key, _ in d.using.items if key in MADE), None)
    if metric is not None and metric.kinds == (KIND,):
        said = f"metric = '{metric.name}'"
    if said is not None:
        raise UnsupportedError(
            f"Model `{d.name}` predicts row by row, and {said} is of models that forecast.",
            hint="Leave it out, or say what the time is and how far: ORDER BY column HORIZON n.",
            where=d.position,
        )


def _whole(d: CreateModel) -> None:
    """Each of the clauses of a forecast needs the others."""
    if d.horizon is None:
        said = "ORDER BY" if d.order_by else "GROUP BY" if d.group_by else "WINDOW"
        raise _fault(
            d,
            f"Model `{d.name}` has {said} and no HORIZON, so it is not told how far it forecasts.",
            "Add HORIZON n, the number of steps ahead; leave out ORDER BY, GROUP BY and WINDOW to predict row by row.",
        )
    if not d.order_by:
        raise _fault(
            d,
            f"Model `{d.name}` has a HORIZON, and does not say which column is the time.",
            "Add ORDER BY column.",
        )
    if len(d.order_by) > 1:
        raise _fault(
            d,
            f"Model `{d.name}` is ordered by {len(d.order_by)} columns: {', '.join(d.order_by)}.",
            f"Write the column of the time alone: ORDER BY {d.order_by[0]}; what tells series apart stands in GROUP BY.",
        )
    if d.horizon > MOST_HORIZON:
        raise _fault(
            d, f"HORIZON {d.horizon} is more than {MOST_HORIZON:,} steps.", "Forecast coarser steps: USING (step = '1 day')."
        )  # fmt: skip


def _clauses(d: CreateModel) -> None:
    """What a forecast does not take."""
    positive = next((t for t in d.targets if t.positive is not None), None)
    for given, words, instead in (
        (d.group_key, "GROUP KEY", "GROUP BY tells the series of a forecast apart."),
        (d.features.include or d.features.exclude, "FEATURES",
         "Name what is known of the future: USING (known = ['column']), and what says something of a group: static = ['column']."),
        (d.accept, "ACCEPT LEAK", "A forecast sees nothing of the rows that it is judged by."),
        (positive, "POSITIVE", "A forecast gives numbers."),
    ):  # fmt: skip
        if given:
            raise UnsupportedError(
                f"Model `{d.name}` forecasts, and a forecast takes no {words}.",
                hint=instead,
                where=d.position,
            )


def _unknown(
    d: CreateModel, key: str, clause: str, known: tuple[str, ...], others: Collection[str]
) -> NoReturn:
    if key in others or "." in key:
        raise UnsupportedError(
            f"Model `{d.name}` forecasts, and `{key}` of {clause} is of models that predict row by row.",
            hint=f"Leave it out. Of a forecast there are: {', '.join(known)}.",
            where=d.position,
        )
    raise UnknownNameError(
        f"`{key}` is not an option of {clause}.", hint=did_you_mean(key, known, "options"), where=d.position
    )


def _metric(d: CreateModel) -> None:
    metric, minimum = d.objective.get("metric", BY_KIND[KIND][0]), d.objective.get("minimum")
    if isinstance(metric, Options) or isinstance(minimum, Options):
        raise _fault(d, f"Model `{d.name}` forecasts, and all its targets share one metric and one minimum.",
                     "Write one of each, or a CREATE MODEL for each target.")  # fmt: skip
    metric = str(metric)
    found = find(metric)
    if found is None or KIND not in found.kinds:
        raise UnknownNameError(
            f"Model `{d.name}` forecasts, and `{metric}` is no metric of forecasts.",
            hint=did_you_mean(metric, BY_KIND[KIND], "metrics of forecasts"),
            where=d.position,
        )
    if isinstance(minimum, int | float) and minimum < 0:
        raise _fault(d, f"minimum = {minimum:g} can be reached by no model: `{found.name}` is never below 0.",
                     "Write the greatest that may be: minimum = 1.0.")  # fmt: skip


def _columns(d: CreateModel) -> None:
    """A column has one part in a forecast; two outputs have two names."""
    parts = [("the time", c) for c in d.order_by] + [("a group", c) for c in d.group_by]
    parts += [("predicted", t.column) for t in d.targets]
    parts += [(f"in `{k}`", c) for k in ("known", "static") for c in listed(d.using.get(k))]
    seen: dict[str, str] = {}
    for part, column in parts:
        if column.lower() in seen:
            raise _fault(
                d,
                f"`{column}` is {seen[column.lower()]} and {part} in model `{d.name}`.",
                "Give each column one part: time, group, predicted, known ahead, or static.",
            )
        seen[column.lower()] = part
    named: set[str] = {c.lower() for c in (*d.order_by, *d.group_by)}
    for t in d.targets:
        for made in (t.output, f"{t.output}_lower", f"{t.output}_upper"):
            if made.lower() in named:
                raise _fault(d, f"Two columns that model `{d.name}` gives are called `{made}`.",
                             f"Give one another name: PREDICT {t.column} AS {t.column}_ahead.")  # fmt: skip
            named.add(made.lower())


def _fault(d: CreateModel, said: str, hint: str) -> ProjectError:
    return ProjectError(said, hint=hint, where=d.position)


def listed(value: Value | None) -> tuple[str, ...]:
    """Names of columns, in a list or one alone.

    >>> listed("promo"), listed(("a", "b")), listed(None)
    (('promo',), ('a', 'b'), ())
    """
    found = value if isinstance(value, tuple) else () if value is None else (value,)
    return tuple(str(v) for v in found)


def _names(value: Value) -> bool:
    found = value if isinstance(value, tuple) else (value,)
    return bool(found) and all(isinstance(v, str) and v for v in found)


def _seasons(value: Value) -> bool:
    found = value if isinstance(value, tuple) else (value,)
    return 0 < len(found) <= 2 and all(
        isinstance(v, int) and not isinstance(v, bool) and v >= 2 for v in found
    )


def _word(*words: str) -> tuple[Callable[[Value], bool], str]:
    return lambda v: v in words, f"Write one of {', '.join(map(repr, words))}."


def _text(value: Value) -> bool:
    return isinstance(value, str) and bool(value.strip())


_VALUES: Mapping[str, tuple[Callable[[Value], bool], str]] = {
    "engine": (lambda v: v == "auto", "A forecast has one engine: leave engine out, or write engine = 'auto'; USING (members = [...]) says which members are tried."),
    "step": (_text, "Write the time from one row to the next: step = '1 day', '15 minutes' or '1 month'."),
    "resample": _word("sum", "mean", "last"),
    "duplicates": _word("refuse", "mean", "sum", "last"),
    "gaps": _word("interpolate", "zero", "last"),
    "seasons": (_seasons, "Write one or two lengths in steps: seasons = [7, 365]."),
    "holidays": (_text, "Write a country: holidays = 'DE'."),
    "members": (_names, "Write names of members: members = ['smoothing', 'trees']."),
    "known": (_names, "Write columns: known = ['promo']."),
    "static": (_names, "Write columns: static = ['region']."),
}  # fmt: skip
