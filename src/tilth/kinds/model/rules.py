"""The rules of CREATE MODEL that its text alone can break: which options OBJECTIVE and USING have, and what fits them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from tilth.core.engines import Engine, tried
from tilth.core.errors import (
    MissingExtraError,
    ProjectError,
    TilthError,
    UnknownNameError,
    UnsupportedError,
)
from tilth.core.metrics import ALL, canonical, find, quantile_of
from tilth.core.names import did_you_mean
from tilth.kinds.model import forecasting, several
from tilth.resources.facts import Facts
from tilth.resources.rules import duration_of, size_of
from tilth.sql.language.statements import CreateModel, Options, Target, Value

OBJECTIVE = (
    "metric", "minimum", "confidence", "cost_false_negative", "cost_false_positive", "label_delay", "slices", "coverage",
    "strict", "weight", "monotone",
)  # fmt: skip
GATING = (
    "confidence",
)  # options of OBJECTIVE that say how a model is judged, and change nothing that is made
USING = (
    "engine", "estimator", "time_limit", "seed", "memory", "threads", "preset", "cpu_limit", "max_row_time", "max_bundle",
    "search", "budget", "trials", "retrain", "teacher",
)  # fmt: skip
BEYOND_ONE = ("positive_likelihood_ratio",)  # of which more is better, and no end is known
MOST_SEED = 2**31 - 1  # the engines keep a seed in 32 bits
MOST_THREADS = 256  # more than that many cannot be begun in a jailed worker
PRESETS = ("fast", "best")
SEARCHES = ("off", "on", "always")
RETRAINS = ("full", "warm", "refit", "auto")
USING_DEFAULTS: tuple[tuple[str, Value], ...] = (("engine", "auto"), ("time_limit", "60 s"), ("seed", 7))
"""What USING means where it says nothing."""
_ESTIMATOR = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*\Z")


def check(d: CreateModel, facts: Facts) -> None:
    """Raise for the first clause or option that cannot stand as it does."""
    if d.order_by or d.group_by or d.window is not None or d.horizon is not None:
        forecasting.check(d, (*OBJECTIVE, *USING))
        _options(d, d.objective, forecasting.OBJECTIVE, "OBJECTIVE")
        _options(d, _of_all(d.using), forecasting.USING, "USING")
        return
    forecasting.none_of(d)
    _features(d)
    _options(d, d.objective, OBJECTIVE, "OBJECTIVE")
    several.check(d)
    _minimum(d)
    _engine(d, facts.engines)
    _retrain(d)
    _search(d, facts)
    _teacher(d, facts.engines)


def _of_all(using: Options) -> Options:
    """The options of USING that a forecast shares with other models."""
    return Options(tuple((k, v) for k, v in using.items if k not in forecasting.MADE))


def _minimum(d: CreateModel) -> None:
    """scikit-learn turns errors round so that more is better; here they are errors, and `minimum` is the greatest of them."""
    for target in d.targets:
        metric, minimum = several.metric_of(d, target) or "", several.minimum_of(d, target)
        if minimum is None or not metric:
            continue
        _reachable(d, metric, minimum)
        if not (metric.startswith("neg_") and minimum < 0):
            continue
        raise ProjectError(
            f"`{metric}` is {canonical(metric)} here, of which less is better, and it is never below 0 as minimum = {minimum:g} says.",
            hint=f"Write the greatest that may be: metric = '{canonical(metric)}', minimum = {-minimum:g}.",
            where=d.position,
        )


def _reachable(d: CreateModel, metric: str, minimum: float) -> None:
    """Errors are at least 0, and all other metrics but one are at most 1."""
    found = find(metric)
    if found is None or metric.startswith("neg_"):
        return
    never = "above 1" if found.higher and minimum > 1 and found.name not in BEYOND_ONE else ""
    never = "below 0" if not found.higher and minimum < 0 else never
    if never:
        better = (
            "more of it is better"
            if found.higher
            else "less of it is better, and `minimum` is the most that may be"
        )
        raise ProjectError(
            f"minimum = {minimum:g} can be reached by no model: `{metric}` is never {never}.",
            hint=f"Write one that can: {better}.",
            where=d.position,
        )


def _features(d: CreateModel) -> None:
    targets = {t.column.lower() for t in d.targets}
    if len(targets) < len(d.targets):
        raise ProjectError(
            f"Model `{d.name}` predicts the same column twice.",
            hint="Keep one of them.",
            where=d.targets[-1].position,
        )
    twice = next((t for i, t in enumerate(d.targets) if t.output.lower() in _outputs(d.targets[:i])), None)
    if twice is not None:
        raise ProjectError(
            f"Two predictions of model `{d.name}` are called `{twice.output}`.",
            hint=f"Give one another name: PREDICT {twice.column} AS {twice.output}_2.",
            where=twice.position or d.position,
        )
    for column in d.group_key:
        if column.lower() in targets or column.lower() in {c.lower() for c in d.features.include}:
            other = "the target" if column.lower() in targets else "a feature"
            raise ProjectError(
                f"`{column}` tells the groups of model `{d.name}` apart, so it cannot be {other} too.",
                hint="Take it out of GROUP KEY, or out of FEATURES: new groups have values that nobody has seen.",
                where=d.position,
            )
    weight = str(d.objective.get("weight", ""))
    if weight.lower() in targets | {c.lower() for c in d.features.include}:
        raise ProjectError(
            f"`{weight}` says what rows of model `{d.name}` count, so it cannot be what is predicted or learned from.",
            hint="Take it out of weight, or out of PREDICT and FEATURES.",
            where=d.position,
        )
    both = next((c for c in d.features.include if c.lower() in targets), None)
    if both is not None:
        raise ProjectError(
            f"`{both}` is what model `{d.name}` predicts, so it cannot be a feature too.",
            hint="Take it out of FEATURES.",
            where=d.features.position or d.position,
        )


def _retrain(d: CreateModel) -> None:
    """One version of several targets is several trainings, which begin anew."""
    way = d.using.get("retrain", RETRAINS[0])
    if len(d.targets) > 1 and way != RETRAINS[0]:
        raise UnsupportedError(
            f"Model `{d.name}` predicts {len(d.targets)} columns, and retrain = '{way}' goes on from a model of one.",
            hint=f"Leave out retrain, or write one CREATE MODEL for each: {', '.join(t.column for t in d.targets)}.",
            where=d.position,
        )


def _outputs(targets: tuple[Target, ...]) -> set[str]:
    return {t.output.lower() for t in targets}


def _engine(d: CreateModel, engines: tuple[Engine, ...]) -> None:
    engine = str(d.using.get("engine", "auto"))
    known = sorted({*(e.name for e in engines), "auto"})
    if engines and engine not in known:
        raise UnknownNameError(
            f"There is no engine of models called `{engine}`.",
            hint=did_you_mean(engine, known, "engines"),
            where=d.position,
        )
    plain = Options(tuple((k, v) for k, v in d.using.items if "." not in k))
    preset = str(d.using.get("preset", PRESETS[0]))
    asked = tried(engine, engines, preset)
    _without_prefix(d, plain, asked)
    _options(d, plain, USING, "USING")
    if preset != PRESETS[0] and engine != "auto":
        raise ProjectError(
            f"`preset` says what engine = 'auto' tries, and model `{d.name}` names the engine `{engine}`.",
            hint=f"Leave out preset = '{preset}', or engine = '{engine}'.",
            where=d.position,
        )
    for one in asked:
        if one.fault:
            raise MissingExtraError(one.fault, hint=one.mend or None, where=d.position)
    if engine != "auto":
        _able(d, engine, engines, asked)
    for key, value in d.using.items:
        if "." in key and engines:
            _engine_option(d, key, value, engines, asked)
    _estimator(d, engine, engines)


def _able(d: CreateModel, engine: str, engines: tuple[Engine, ...], asked: tuple[Engine, ...]) -> None:
    """Raise where the objective asks for what the engine cannot do."""
    for option, fact, words in (
        ("weight", "weighs", "takes no weights of rows"),
        ("monotone", "monotone", "cannot promise that answers rise or fall with a number"),
    ):
        if option in d.objective and any(not getattr(e, fact) for e in asked):
            able = ", ".join(sorted(e.name for e in engines if getattr(e, fact)))
            raise UnsupportedError(
                f"The engine `{engine}` of model `{d.name}` {words}.",
                hint=f"Leave out {option} of OBJECTIVE, or take one of these: {able}.",
                where=d.position,
            )
    for target in d.targets:
        metric = several.metric_of(d, target) or ""
        if quantile_of(metric) is None or all(e.quantiles for e in asked):
            continue
        able = ", ".join(sorted(e.name for e in engines if e.quantiles))
        raise UnsupportedError(
            f"The engine `{engine}` of model `{d.name}` learns no quantiles, as metric = '{metric}' asks for.",
            hint=f"Take one of these: {able}, or engine = 'auto'.",
            where=d.position,
        )


def _without_prefix(d: CreateModel, plain: Options, asked: tuple[Engine, ...]) -> None:
    """Raise for an option of an engine that is written without the engine's name."""
    for key, _ in plain.items:
        owner = next((e.name for e in asked if key not in USING and e.option(key)), None)
        if owner is not None:
            raise UnknownNameError(
                f"`{key}` is not an option of USING, but one of the engine `{owner}`.",
                hint=f"Write {owner}.{key} = ...",
                where=d.position,
            )


def _engine_option(
    d: CreateModel, key: str, value: Value, engines: tuple[Engine, ...], asked: tuple[Engine, ...]
) -> None:
    """`engine.option = value`: there is such an engine, and if it is asked for, such an option of it that takes the value."""
    prefix, _, name = key.partition(".")
    prefixes = sorted({p for e in engines for p in (e.name, *e.prefixes)})
    if prefix not in prefixes:
        raise UnknownNameError(
            f"`{key}` is not an option of USING: there is no engine `{prefix}`.",
            hint=did_you_mean(prefix, prefixes, "engines"),
            where=d.position,
        )
    for one in asked:
        if not one.owns(prefix) or one.options is None:
            continue
        option = one.option(name)
        if option is None:
            raise UnknownNameError(
                f"`{key}` is not an option of USING: the engine `{one.name}` has no option `{name}`.",
                hint=did_you_mean(name, [o.name for o in one.options], "options"),
                where=d.position,
            )
        if not option.fits(value):
            raise _misfit(d, key, value, "USING", f"{option.words} for {key}")


def _search(d: CreateModel, facts: Facts) -> None:
    """A search needs its package and an engine with options to look for; its limits belong to it."""
    search, engine = str(d.using.get("search", SEARCHES[0])), str(d.using.get("engine", "auto"))
    limit = next((name for name in ("budget", "trials") if name in d.using), None)
    if search == SEARCHES[0]:
        if limit is not None:
            raise ProjectError(
                f"`{limit}` is of a search, and model `{d.name}` asks for none.",
                hint=f"Write search = 'on' beside it, or leave out {limit}.",
                where=d.position,
            )
        return
    if found := facts.lacking.get("search"):
        raise MissingExtraError(found[0], hint=found[1], where=d.position)
    asked = tried(engine, facts.engines, str(d.using.get("preset", PRESETS[0])))
    if facts.engines and not any(e.searched for e in asked):
        able = ", ".join(["auto", *sorted(e.name for e in facts.engines if e.searched)])
        raise UnsupportedError(
            f"The engine `{engine}` of model `{d.name}` names no option that can be searched.",
            hint=f"Leave out search, or take one of these: {able}.",
            where=d.position,
        )


def _teacher(d: CreateModel, engines: tuple[Engine, ...]) -> None:
    """A teacher is an installed engine that says so, can do what the objective asks for, and has a student to teach."""
    if "teacher" not in d.using or not engines:
        return
    name, engine = str(d.using.get("teacher")), str(d.using.get("engine", "auto"))
    able = {e.name: e for e in engines if e.teaches}
    if name not in able:
        raise UnknownNameError(
            f"`{name}` is no teacher of models.", hint=did_you_mean(name, able, "teachers"), where=d.position
        )
    if able[name].fault:
        raise MissingExtraError(able[name].fault, hint=able[name].mend or None, where=d.position)
    if not any(e.student for e in tried(engine, engines, str(d.using.get("preset", PRESETS[0])))):
        students = ", ".join(["auto", *sorted(e.name for e in engines if e.student)])
        raise UnsupportedError(
            f"The engine `{engine}` of model `{d.name}` does not learn from a teacher.",
            hint=f"Leave out teacher, or take one of these: {students}.",
            where=d.position,
        )
    if "weight" in d.objective and not able[name].weighs:
        raise UnsupportedError(
            f"The teacher `{name}` of model `{d.name}` takes no weights of rows.",
            hint="Leave out weight of OBJECTIVE, or teacher of USING.",
            where=d.position,
        )
    metric = str(d.objective.get("metric", ""))
    if quantile_of(metric) is not None and not able[name].quantiles:
        raise UnsupportedError(
            f"The teacher `{name}` of model `{d.name}` learns no quantiles, as metric = '{metric}' asks for.",
            hint="Leave out teacher of USING, or take a metric that is no pinball loss.",
            where=d.position,
        )


def _estimator(d: CreateModel, engine: str, engines: tuple[Engine, ...]) -> None:
    """An estimator is named where, and only where, the engine asks for one."""
    takes = {e.name: e for e in engines if e.estimator}
    if engine in takes and "estimator" not in d.using:
        raise ProjectError(
            f"Model `{d.name}` does not say which estimator {takes[engine].package} should fit.",
            hint="Add estimator = 'module:function' to USING, a function that returns the estimator.",
            where=d.position,
        )
    if engines and engine not in takes and "estimator" in d.using:
        named = " and ".join(f"`{name}`" for name in sorted(takes))
        raise ProjectError(
            f"Model `{d.name}` names an estimator, which only the engine {named or 'that takes one'} uses.",
            hint=f"Add engine = '{min(takes, default='sklearn')}' to USING, or take the estimator out.",
            where=d.position,
        )


def _options(d: CreateModel, options: Options, known: tuple[str, ...], clause: str) -> None:
    for key, value in options.items:
        if key not in known:
            raise UnknownNameError(
                f"`{key}` is not an option of {clause}.",
                hint=did_you_mean(key, known, "options"),
                where=d.position,
            )
        fits, hint = _VALUES[key]
        if not fits(value):
            raise _misfit(d, key, value, clause, hint)


def _misfit(d: CreateModel, key: str, value: Value, clause: str, hint: str) -> TilthError:
    said = repr(value) if isinstance(value, str | int | float) else "this value"
    named = dict(value.items).values() if isinstance(value, Options) else (value,)
    wrong = next((m for m in named if isinstance(m, str) and find(m) is None), None)
    if key == "metric" and wrong is not None:
        return UnknownNameError(
            f"There is no metric called `{wrong}`.",
            hint=did_you_mean(wrong, ALL, "metrics"),
            where=d.position,
        )
    return ProjectError(
        f"{said} does not fit `{key}` of {clause} in model `{d.name}`.",
        hint=f"Write {hint}.",
        where=d.position,
    )


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_metric(value: Value) -> bool:
    named = dict(value.items).values() if isinstance(value, Options) and value else (value,)
    return all(isinstance(v, str) and find(v) is not None for v in named)


def _is_minimum(value: Value) -> bool:
    named = dict(value.items).values() if isinstance(value, Options) and value else (value,)
    return all(_is_number(v) for v in named)


def _is_confidence(value: Value) -> bool:
    return _is_number(value) and isinstance(value, int | float) and 0.5 <= value <= 0.9999


def _is_coverage(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0.5 <= value <= 0.99


def _is_cost(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _is_duration(value: Value) -> bool:
    return duration_of(value) is not None


def _is_some_time(value: Value) -> bool:
    return bool(duration_of(value))


def _is_size(value: Value) -> bool:
    return bool(size_of(value))


def _is_monotone(value: Value) -> bool:
    return isinstance(value, Options) and bool(value) and all(v in ("up", "down") for _, v in value.items)


def _is_slices(value: Value) -> bool:
    return isinstance(value, tuple) and bool(value) and all(isinstance(v, str) for v in value)


def _is_whole(least: int, most: int | None = None) -> Callable[[Value], bool]:
    return lambda value: (
        isinstance(value, int)
        and not isinstance(value, bool)
        and value >= least
        and (most is None or value <= most)
    )


def _matches(pattern: re.Pattern[str]) -> Callable[[Value], bool]:
    return lambda value: isinstance(value, str) and pattern.match(value) is not None


_VALUES: Mapping[str, tuple[Callable[[Value], bool], str]] = {
    "metric": (_is_metric, "metric = 'roc_auc'"),
    "minimum": (_is_minimum, "minimum = 0.7"),
    "confidence": (_is_confidence, "confidence = 0.95, a number from 0.5 to 0.9999"),
    "cost_false_negative": (_is_cost, "cost_false_negative = 500"),
    "cost_false_positive": (_is_cost, "cost_false_positive = 20"),
    "label_delay": (_is_duration, "label_delay = '1 day'"),
    "coverage": (_is_coverage, "coverage = 0.9, a number from 0.5 to 0.99"),
    "strict": (lambda v: isinstance(v, bool), "strict = true"),
    "weight": (lambda v: isinstance(v, str) and bool(v), "weight = 'column'"),
    "monotone": (_is_monotone, "monotone = {income: 'up', age: 'down'}"),
    "slices": (_is_slices, "slices = ['origin', 'carrier']"),
    "engine": (lambda v: isinstance(v, str), "engine = 'auto'"),
    "estimator": (_matches(_ESTIMATOR), "estimator = 'module:function'"),
    "time_limit": (_is_duration, "time_limit = '60 s'"),
    "seed": (_is_whole(0, MOST_SEED), f"seed = 7, a whole number of at most {MOST_SEED}"),
    "memory": (_is_size, "memory = '4 GB'"),
    "threads": (_is_whole(1, MOST_THREADS), f"threads = 2, a whole number of at most {MOST_THREADS}"),
    "preset": (lambda v: v in PRESETS, "preset = 'fast' or preset = 'best'"),
    "cpu_limit": (_is_some_time, "cpu_limit = '60 s'"),
    "max_row_time": (_is_some_time, "max_row_time = '1 ms'"),
    "max_bundle": (_is_size, "max_bundle = '20 MB'"),
    "search": (lambda v: v in SEARCHES, "search = 'on', 'always' or 'off'"),
    "budget": (_is_some_time, "budget = '10 min'"),
    "trials": (_is_whole(1), "trials = 50"),
    "teacher": (lambda v: isinstance(v, str), "teacher = 'catboost'"),
    "retrain": (lambda v: v in RETRAINS, "retrain = 'full', 'warm', 'refit' or 'auto'"),
}
