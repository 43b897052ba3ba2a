"""EXPLAIN PREDICT of an endpoint: its request completed as a server does, and what was looked up for it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec

from tilth.core.errors import InputError
from tilth.core.time import show_duration, show_instant
from tilth.ml.model.answerer import of_rows
from tilth.runtime.asking.prompt import Prompt
from tilth.runtime.asking.select import Models
from tilth.runtime.record import declarations, environments
from tilth.runtime.serving import stores
from tilth.runtime.serving.looking_up import Completing
from tilth.sql.language.statements import CreateEndpoint, Kind

Given = Mapping[str, Any]


def completed(at: Prompt, models: Models, name: str, given: Given) -> tuple[str, Given, dict[str, Any]]:
    """The model behind a name and the inputs for it; and of an endpoint that looks rows up, what it found, and where.

    A name that is no endpoint's is the model's itself.
    """
    _, pointers = environments.pointers_of(at.work.state, at.environment)
    found = next((p for p in pointers if p.kind is Kind.ENDPOINT and p.name == name), None)
    if found is None or name in models.pointed:
        return name, given, {}
    declared = declarations.endpoint(found)
    model = of_rows(models.get(declared.model))
    by = stores.completing(
        at.work, declared, pointers, model, lambda store: stores.opened(at.work, store, at.progress.step)
    )
    if by is None:
        return declared.model, given, {}
    keys = {k.name.lower(): k.name for k in by.store.key} | {i.name.lower(): i.name for i in model.inputs}
    return declared.model, *_looked_up(
        at, declared, by, {keys.get(k.lower(), k): v for k, v in given.items()}
    )


def _looked_up(
    at: Prompt, declared: CreateEndpoint, by: Completing, given: Given
) -> tuple[Given, dict[str, Any]]:
    try:
        body = msgspec.json.encode(given)
    except (TypeError, msgspec.MsgspecError) as error:
        raise InputError(
            f"A value is none that a request can hold: {error}.", hint="Write a literal."
        ) from error
    whole, told = by.completed(body)
    row: dict[str, Any] = msgspec.json.decode(whole)
    store, age = by.store, at.work.clock.now() - by.store.made_at
    columns = [c for c in store.columns if c not in given]
    facts = {
        "endpoint": declared.name,
        "dataset": store.dataset,
        "key": {k.name: given.get(k.name) for k in store.key},
        "found": {} if told else {c: row[c] for c in columns},
        "snapshot": store.snapshot,
        "collected_at": show_instant(store.made_at),
        "age_seconds": age.total_seconds(),
    }
    return row, facts | {
        "words": told or _words(facts, show_duration(timedelta(seconds=int(age.total_seconds()))))
    }


def _words(facts: Mapping[str, Any], age: str) -> str:
    if not facts["found"]:
        return "nothing was looked up: the request gives all that it could"
    key = ", ".join(f"{k} {v}" for k, v in facts["key"].items())
    return f"{', '.join(facts['found'])} looked up in {facts['dataset']} by {key}: snapshot {facts['snapshot'][:12]}, {age} old"
