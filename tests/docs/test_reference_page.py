"""The reference page is what the code says, and nothing is left out of it."""

import importlib.util
from pathlib import Path

import pytest

from tilth.interfaces.cli.commands import tilth

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "reference.md").read_text("utf-8")


def test_the_page_is_what_the_code_writes() -> None:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.reference() == PAGE, "run `make docs` and commit the page"


@pytest.mark.parametrize("name", [n for n in tilth.list_commands(None) if n != "reconcile"])  # type: ignore[arg-type]
def test_every_command_has_an_example(name: str) -> None:
    section = PAGE.partition(f"### tilth {name}\n")[2].partition("\n### ")[0]
    assert "Example" in section, f"tilth {name} shows no example"
