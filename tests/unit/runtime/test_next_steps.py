"""What `status` says to do next, from where the environment stands."""

from typing import Any

import pytest

from tilth.runtime.showing.next_steps import MOST, next_steps, ways
from tilth.runtime.showing.standing import NEVER


def run(
    name: str, action: str = "TrainModel", status: str = "failed", *, deployed: bool = False
) -> dict[str, Any]:
    return {
        "name": name,
        "action": action,
        "status": status,
        "deployed": deployed,
        "error": "why",
        "at": None,
    }


def found(generation: int = 1, environment: str = "prod", **more: Any) -> dict[str, Any]:
    return {**NEVER, "generation": generation, "environment": environment, **more}


API, UP, GONE = [{"name": "api"}], {"alive": True, "url": "http://x"}, {"alive": False, "url": "http://x"}
CASES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "nothing applied": (found(0), ["tilth plan && tilth apply   what would be made, and make it"]),
    "nothing applied to dev": (found(0, "dev"), ["tilth plan --env dev && tilth apply --env dev   what would be made, and make it"]),
    "all is well": (found(), []),
    "a first apply failed": (found(0, failures=[run("m")]), ["tilth apply   when the cause of `m` is mended"]),
    "a refresh failed": (
        found(failures=[run("d", "CollectDataset", deployed=True)]),
        ['tilth sql "REFRESH DATASET d"   when the cause is mended'],
    ),
    "a retraining failed in dev": (
        found(1, "dev", failures=[run("m", deployed=True)]),
        ['tilth sql "RETRAIN MODEL m" --env dev   when the cause is mended'],
    ),
    "an endpoint failed": (found(failures=[run("api", "DeployEndpoint", deployed=True)]), ["tilth apply   when the cause of `api` is mended"]),
    "a candidate was refused": (
        found(held=[run("m", status="refused")]),
        ["tilth sql \"SELECT * FROM tilth.gates WHERE model = 'm'\"   why `m` was refused"],
    ),
    "a candidate is held": (
        found(held=[run("m", status="held"), run("n", "ShareVersion", "held")]),
        [
            "tilth sql \"SELECT * FROM tilth.gates WHERE model = 'm'\"   why `m` is held, and what takes it",
            "tilth sql \"SELECT * FROM tilth.gates WHERE model = 'n'\"   why `n` is held, and what takes it",
        ],
    ),
    "what waits needs no step of its own": (found(held=[run("api", "DeployEndpoint", "held")]), []),
    "nobody serves": (found(endpoints=API, servers=[GONE]), ["tilth up   serve the endpoints and keep the data and models fresh"]),
    "somebody serves": (found(endpoints=API, servers=[GONE, UP]), []),
    "dev is not served": (found(1, "dev", endpoints=API), []),
}  # fmt: skip


@pytest.mark.parametrize(("standing", "steps"), CASES.values(), ids=CASES)
def test_next_steps(standing: dict[str, Any], steps: list[str]) -> None:
    assert next_steps(standing, "prod") == steps
    assert ways(steps) == ("Next:\n" + "\n".join(f"  {s}" for s in steps) if steps else "")


def test_no_more_than_a_few() -> None:
    many = found(failures=[run(f"m{n}") for n in range(9)])
    assert len(next_steps(many, "prod")) == MOST
