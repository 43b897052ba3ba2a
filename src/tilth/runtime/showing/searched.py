"""What a search of options tried for a version, as rows for people. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tilth.core.figures import figure

TRIALS = ("engine", "trial", "loss", "status", "options")


def rows(found: Mapping[str, Any] | None) -> Iterator[tuple[str, int, str, str, str]]:
    """A row a trial, the least loss of each engine first; nothing of a version without a search."""
    tried = (found or {}).get("trials", ())
    for t in sorted(tried, key=lambda t: (t["engine"], t["loss"] is None, t["loss"], t["trial"])):
        options = ", ".join(f"{k} = {figure(v, 3)}" for k, v in t["options"].items())
        yield t["engine"], t["trial"], _loss(t["loss"]), t["status"], options or "its default setting"


def curves(found: Mapping[str, Any] | None) -> dict[str, list[tuple[int, float]]]:
    """Of each engine the least loss so far after each trial that was done, its default setting the first."""
    out: dict[str, list[tuple[int, float]]] = {}
    for t in (found or {}).get("trials", ()):
        if t["status"] == "done":
            points = out.setdefault(t["engine"], [])
            points.append((t["trial"], min([t["loss"], *(loss for _, loss in points)])))
    return out


def words(found: Mapping[str, Any] | None) -> str:
    """What became of it in a sentence; empty of a version without a search."""
    if not found:
        return ""
    count = sum(1 for t in found["trials"] if t["trial"])
    if found["loss_with"] is None:
        return f"Options were searched in {count} trials; the default settings are the best."
    said = f"Options were searched in {count} trials"
    with_it, without = figure(found["loss_with"]), figure(found["loss_without"])
    if found["serves"]:
        return f"{said}: with what was found, which serves, the blend has a loss of {with_it}, and of {without} without."
    return f"{said}: what was found does not serve, since the blend has a loss of {with_it} with it and of {without} without."


def _loss(value: float | None) -> str:
    return "" if value is None else figure(value, 4)
