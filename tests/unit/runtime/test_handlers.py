"""Handlers of actions on values alone: what they point at, and what they hold."""

from typing import Any

import pytest

from tilth.core.principals import person
from tilth.kinds import compile as compiled
from tilth.kinds import parse
from tilth.plan.actions import DeployEndpoint
from tilth.plan.snapshot import Pointer
from tilth.resources.facts import Facts
from tilth.runtime.act import Act
from tilth.runtime.applying.handlers import DONE, HELD, Run, _deploy
from tilth.sql.language.statements import Kind

GRAPH = compiled(
    parse(
        "CREATE SOURCE ops ENGINE sqlite WITH (path = 'x.db'); CREATE DATASET d AS SELECT * FROM ops.t;"
        " CREATE MODEL m PREDICT y FROM d; CREATE MODEL other PREDICT z FROM d; CREATE ENDPOINT api FOR MODEL m;"
    ),
    Facts(),
)


@pytest.mark.parametrize(
    ("version_of", "status", "target"),
    [("m", DONE, "3"), ("other", HELD, None), (None, HELD, None)],
    ids=["its model has one", "another model has one", "no model has one"],
)
def test_an_endpoint_waits_until_its_model_has_a_version(
    version_of: str | None, status: str, target: str | None
) -> None:
    nothing: Any = None
    run = Run(Act(nothing, "prod", person("test")), GRAPH, {}, {}, gates=True, jobs=nothing)
    if version_of is not None:
        run.pointers[Kind.MODEL, version_of] = Pointer(Kind.MODEL, version_of, "2:m", "3", "")
    action = DeployEndpoint("api", GRAPH.get("api").recipe, "m", "new")
    got, words, pointed = _deploy(run, action)
    assert (got, pointed) == (status, target)
    assert ((Kind.ENDPOINT, "api") in run.pointers) is (status == DONE)
    assert ("waits for a version of `m` that passes its gate" in words) is (status == HELD)
