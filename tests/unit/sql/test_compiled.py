"""sqlglot has a compiled build beside the interpreted one; where a run is meant for it, it is really what is loaded."""

import importlib
import os

import pytest


@pytest.mark.skipif(
    os.environ.get("TILTH_EXPECT_COMPILED") != "1", reason="this run is for sqlglot's interpreted build"
)
@pytest.mark.parametrize("part", ["parser", "generator", "expressions.core"])
def test_this_run_uses_the_compiled_build(part: str) -> None:
    assert str(importlib.import_module(f"sqlglot.{part}").__file__).endswith(".so")
