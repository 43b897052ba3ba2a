"""What the texts of pointers declare. A declaration is a value and its text is read again and again: it is parsed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from tilth.core.errors import ProjectError
from tilth.kinds import parse_one
from tilth.plan.snapshot import Pointer
from tilth.sql.language.acts import Statement
from tilth.sql.language.statements import CreateEndpoint, CreateModel, DatasetRef, Kind, Outcomes

MOST = 4096  # texts whose declarations are kept


@lru_cache(MOST)
def declared(text: str) -> Statement:
    """The declaration in a pointer's text."""
    return parse_one(text)


def truths(pointers: Sequence[Pointer], one: CreateEndpoint) -> Mapping[str, Outcomes]:
    """Where the truth of each target of the endpoint's model arrives, by target in lower case."""
    text = next((p.text for p in pointers if p.kind is Kind.MODEL and p.name == one.model), None)
    found = None if text is None else declared(text)
    if one.outcomes is None or not isinstance(found, CreateModel):
        return {}
    return one.outcomes.of(found.targets)


def key_of(truths: Mapping[str, Outcomes]) -> tuple[str, ...]:
    """The columns that outcomes are joined by, which are the same of all targets."""
    return next((one.key for one in truths.values()), ())


def endpoint(pointer: Pointer) -> CreateEndpoint:
    """What an ENDPOINT pointer's text declares."""
    found = declared(pointer.text)
    if not isinstance(found, CreateEndpoint):
        raise ProjectError(
            f"The pointer `{pointer.name}` does not hold an endpoint.", hint="Run `tilth verify`."
        )
    return found


def snapshot_of(pointers: Sequence[Pointer], model: str) -> str | None:
    """The snapshot that the model's dataset points at beside it; None for a model that reads a query, or is not pointed at."""
    text = next((p.text for p in pointers if p.kind is Kind.MODEL and p.name == model), None)
    found = None if text is None else declared(text)
    if not isinstance(found, CreateModel) or not isinstance(found.source, DatasetRef):
        return None
    name = found.source.name
    return next((p.target for p in pointers if p.kind is Kind.DATASET and p.name == name), None)
