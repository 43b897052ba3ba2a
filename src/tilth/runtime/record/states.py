"""What is counted of a dataset's rows, kept so that a refresh counts new rows alone; and its published refreshes."""

from __future__ import annotations

from collections.abc import Mapping

from tilth.core.time import Instant, show_instant
from tilth.ports.history import History, Past
from tilth.runtime.record.rows import Change, Reader, instant, text, text_or_none, whole

MOST = 2_000  # refreshes that are looked at


def history(reader: Reader, dataset: str, recipe: str) -> History:
    """The refreshes that were published of the dataset, whatever its recipe, and what was counted by this one."""
    past = [
        Past(instant(r, "at"), whole(r, "rows"), text_or_none(r, "watermark"))
        for r in reader.read("published_of", dataset=dataset, limit=MOST)
    ]
    states = {text(r, "key"): _bytes(r["state"]) for r in reader.read("row_states_of", recipe=recipe)}
    return History(tuple(reversed(past)), states)


def add(change: Change, recipe: str, states: Mapping[str, tuple[str | None, bytes]], at: Instant) -> None:
    """Keep what was counted: by key, the content of the file that it is of, and the state."""
    for key, (content, state) in states.items():
        change.write(
            "add_row_state", key=key, recipe=recipe, content=content, state=state, at=show_instant(at)
        )


def forget(change: Change, recipes: frozenset[str], contents: frozenset[str]) -> int:
    """Remove what was counted for other recipes, and of files that no snapshot has; how many."""
    old = [
        text(r, "key")
        for r in change.read("row_state_keys")
        if text(r, "recipe") not in recipes
        or (r["content"] is not None and text(r, "content") not in contents)
    ]
    for key in old:
        change.write("forget_row_state", key=key)
    return len(old)


def _bytes(cell: object) -> bytes:
    assert isinstance(cell, bytes)
    return cell
