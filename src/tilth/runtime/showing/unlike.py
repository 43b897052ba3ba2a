"""Inputs unlike those of training: a text that training never had, a number beyond its ends. It is answered all the same; a
person who asks by hand is told. What a model does with a gap is in `ml.model.gaps`. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tilth.core.figures import figure

SHOWN = 5  # texts of training that are told


def unlike(inputs: Sequence[Mapping[str, Any]], given: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each of the given inputs that is unlike what training saw, as `describe` tells it of each input."""
    for one in inputs:
        value = given.get(one["name"])
        known, ends = one["categories"], one["range"]
        if isinstance(value, str) and known and not one["more_categories"] and value not in known:
            yield f"`{one['name']}`: training never had {value!r} and answers as for a gap; {_had(value, known)}"
        elif isinstance(value, int | float) and ends and None not in ends and not ends[0] <= value <= ends[1]:
            yield f"`{one['name']}`: {figure(value, 8)} is beyond what training had, {figure(ends[0], 8)} to {figure(ends[1], 8)}."


def _had(value: str, known: Sequence[str]) -> str:
    near = next((k for k in known if k.strip().lower() == value.strip().lower()), None)
    if near is not None:
        return f"it had {near!r}."
    more = f" and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
    return f"it had {', '.join(map(repr, known[:SHOWN]))}{more}."
