"""What options to try next, asked of Optuna: its tree-structured Parzen estimator (Bergstra et al. 2011), over all options at once.

Nothing is remembered between two questions: a proposal depends on what was seen and on a seed. Who searches is `searching`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tilth.core.engines import Form, Option, Span
from tilth.core.errors import MissingExtraError

LACKING = "A search of options needs Optuna, which is not installed here.", "Run: pip install 'tilth[search]'"
RANDOM = 6  # trials of an engine before they steer


@dataclass(frozen=True, slots=True)
class Seen:
    """Options that were tried, and their loss; of those that were stopped early, that of the parts they were asked about."""

    options: Mapping[str, object]
    loss: float
    whole: bool = True


def lacking() -> tuple[str, str] | None:
    """Why nothing can be searched here, and what to do about it; None where it can."""
    return None if importlib.util.find_spec("optuna") is not None else LACKING


def warm() -> None:
    """Load the library, and what its first question loads; MissingExtraError where it is not there."""
    if found := lacking():
        raise MissingExtraError(found[0], hint=found[1])
    options = [Option("a", span=Span(1, 9, log=True)), Option("b", Form.WHOLE, span=Span(1, 9))]
    proposed(options, [Seen({"a": 1.0 + n, "b": 2}, 1.0 / (n + 1), n > 0) for n in range(RANDOM)], 0)


def proposed(options: Sequence[Option], seen: Sequence[Seen], seed: int) -> dict[str, object]:
    """A value for each option, within its span: at random first, then where the better trials were."""
    import optuna

    spans = {o.name: _distribution(optuna.distributions, o) for o in options}
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=RANDOM, multivariate=True)
    said = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study = optuna.create_study(sampler=sampler, direction="minimize")
        for one in seen:
            study.add_trial(_trial(optuna.trial, spans, one))
        return dict(study.ask(spans).params)
    finally:
        optuna.logging.set_verbosity(said)


def _distribution(of: Any, option: Option) -> Any:
    span = option.span
    assert span is not None, "only options with a span are searched"
    if option.form is Form.WHOLE:
        return of.IntDistribution(int(span.low), int(span.high), log=span.log)
    return of.FloatDistribution(float(span.low), float(span.high), log=span.log)


def _trial(of: Any, spans: Mapping[str, Any], one: Seen) -> Any:
    """The trial as Optuna has it; one that was stopped counts as worse than all that were not."""
    if one.whole:
        return of.create_trial(params=dict(one.options), distributions=dict(spans), value=one.loss)
    return of.create_trial(
        state=of.TrialState.PRUNED, params=dict(one.options), distributions=dict(spans), intermediate_values={0: one.loss},
    )  # fmt: skip
