"""What to do next, told from where an environment stands: the end of `tilth status`, and of a first apply."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

MOST = 5  # steps that are told


def next_steps(found: Mapping[str, Any], serving: str, usual: str | None = None) -> list[str]:
    """Commands with what they are for, the most urgent first; `found` is what `standing` gives, `usual` the environment that
    commands mean when none is named (by default where models serve).
    """
    return list(dict.fromkeys(_steps(found, serving, serving if usual is None else usual)))[:MOST]


def _steps(found: Mapping[str, Any], serving: str, usual: str) -> Iterator[str]:
    environment = found["environment"]
    there = "" if environment == usual else f" --env {environment}"
    for one in found["failures"]:
        yield _again(one, there)
    for one in found["held"]:
        if one["status"] == "refused":
            yield f"tilth sql \"SELECT * FROM tilth.gates WHERE model = '{one['name']}'\"   why `{one['name']}` was refused"
    if not found["generation"] and not found["failures"]:
        yield f"tilth plan{there} && tilth apply{there}   what would be made, and make it"
    up = any(s["alive"] and s["url"] for s in found["servers"])
    if found["endpoints"] and environment == serving and not up:
        yield f"tilth up{there}   serve the endpoints and keep the data and models fresh"


def _again(one: Mapping[str, Any], there: str) -> str:
    """The command that does again what failed."""
    if one["action"] == "CollectDataset" and one["deployed"]:
        return f'tilth sql "REFRESH DATASET {one["name"]}"{there}   when the cause is mended'
    if one["action"] == "TrainModel" and one["deployed"]:
        return f'tilth sql "RETRAIN MODEL {one["name"]}"{there}   when the cause is mended'
    return f"tilth apply{there}   when the cause of `{one['name']}` is mended"


def ways(steps: Sequence[str]) -> str:
    """The steps as lines under `Next:`; nothing when there are none."""
    return "\n".join(["Next:", *(f"  {step}" for step in steps)]) if steps else ""
