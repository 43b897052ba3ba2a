"""OBJECTIVE (coverage = ...): what it may be, and that it makes another model."""

import pytest

from tilth.core.engines import Engine
from tilth.core.errors import ProjectError
from tilth.kinds import (
    compile,  # noqa: A004
    parse,
)
from tilth.resources.facts import Facts

FACTS = Facts((Engine("linear"),), {}, ("files",))
SOURCE = "CREATE SOURCE s ENGINE files WITH (path = 'd'); CREATE MODEL m PREDICT y FROM (SELECT * FROM s.t)"


def recipe(clause: str = "") -> str:
    return compile(parse(f"{SOURCE} {clause}", "all.sql"), FACTS).get("m").recipe


@pytest.mark.parametrize("value", ["0.4", "0.991", "1", "90", "-0.9", "'0.9'", "TRUE"])
def test_what_no_coverage_is_refused_with_one_that_is(value: str) -> None:
    with pytest.raises(ProjectError, match="does not fit `coverage`") as error:
        recipe(f"OBJECTIVE (coverage = {value})")
    assert "0.5 to 0.99" in error.value.hint


@pytest.mark.parametrize("value", ["0.5", "0.9", "0.99"])
def test_a_coverage_is_part_of_the_model(value: str) -> None:
    assert recipe(f"OBJECTIVE (coverage = {value})") != recipe()
