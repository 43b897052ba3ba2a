"""Plugins by entry point: found by name, loaded late, and named when they are broken."""

from importlib.metadata import EntryPoint

import pytest

from tilth.core.errors import MissingExtraError, UnknownNameError
from tilth.ports import registry

BROKEN = EntryPoint("broken", "no_such_module:Thing", "tilth.learners")


def test_the_built_in_ones_come_through_the_same_door() -> None:
    assert {"lightgbm", "linear", "sklearn"} <= set(registry.names("tilth.learners"))
    assert registry.load("tilth.scorers", "linear").__name__ == "LinearScorer"


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="no learning engine `lightgmb`") as caught:
        registry.load("tilth.learners", "lightgmb")
    assert "Did you mean `lightgbm`?" in str(caught.value.hint)


def test_a_broken_one_is_named_and_the_others_work(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {**registry._found("tilth.learners"), "broken": BROKEN}
    monkeypatch.setattr(registry, "_found", lambda _group: found)
    with pytest.raises(
        MissingExtraError, match=r"`broken` of the package .* does not load: ModuleNotFoundError"
    ):
        registry.load("tilth.learners", "broken")
    assert registry.load("tilth.learners", "linear")
