"""What is said of a name that nothing answers to: a source that is not there, or a model that serves no version where it is
asked, with the versions that there are and how each is asked or taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tilth.core.errors import UnknownNameError
from tilth.core.names import did_you_mean
from tilth.runtime.record import versions
from tilth.runtime.record.rows import Reader
from tilth.sql.queries.rewrite import Pin

_SAID = {
    versions.CANDIDATE: "waits for its gate",
    versions.HELD: "is held by its gate",
    versions.REFUSED: "was refused",
    versions.PROMOTED: "passed its gate",
}
_CATALOGS = frozenset({"information_schema", "pg_catalog", "main"})
_LOG = "log"
"""Where MindsDB keeps `log.jobs_history`."""
SHOWN = 5  # versions that are told, the newest


def pinned(pins: Iterable[Pin]) -> Mapping[str, int]:
    """The version that each model is held to by the query; one that it holds to several is not in it."""
    found: dict[str, set[int]] = {}
    for pin in pins:
        if pin.version is not None:
            found.setdefault(pin.name.lower(), set()).add(pin.version)
    return {name: min(numbers) for name, numbers in found.items() if len(numbers) == 1}


def is_made(reader: Reader, model: str) -> bool:
    """Whether there ever was a version of a model of that name."""
    return bool(versions.made(reader, model))


def no_source(name: str, known: Iterable[str]) -> UnknownNameError:
    """The error of a source that is not deployed, with those that are."""
    hint = did_you_mean(name, known, "sources")
    if name.lower() == _LOG:
        hint = f"What jobs and triggers did is in tilth.runs; what was asked, in tilth.statements. {hint}"
    elif name.lower() in _CATALOGS:
        hint = f"SHOW DATASETS, SHOW MODELS and the tables of the schemas tilth and mindsdb say what there is. {hint}"
    else:
        hint = f"{hint} One that the files declare is there once it was applied: run `tilth apply`."
    return UnknownNameError(f"There is no source `{name}`.", hint=hint)


def no_model(reader: Reader, name: str, served: Iterable[str], what: str = "models") -> UnknownNameError:
    """The error of a name that nothing answers to; of a model without a version that serves it tells the versions."""
    made = [one for one in versions.made(reader, name.lower()) if not one.removed]
    if not made:
        one = "model" if what == "models" else "dataset or model"
        here = "" if what == "models" else " here"
        return UnknownNameError(f"There is no {one} `{name}`{here}.", hint=did_you_mean(name, served, what))
    told = "; ".join(f"version {one.number} {_SAID.get(one.status, one.status)}" for one in made[-SHOWN:])
    last = made[-1]
    because = " BECAUSE '...'" if last.status == versions.REFUSED else ""
    return UnknownNameError(
        f"Model `{name}` serves no version here: {told}.",
        hint=f"Ask one: FROM {name} FOR VERSION {last.number}, or: tilth predict {name}@{last.number}. To have it serve: "
        f"PROMOTE MODEL {name} VERSION {last.number}{because}.",
    )
