"""Plugins by entry point: found by name, loaded late, and named when they are broken."""

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from tilth.core.engines import Engine
from tilth.core.errors import MissingExtraError, UnknownNameError
from tilth.ports import learning, registry

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


def test_every_built_in_engine_says_what_it_is_and_loads_no_library_for_it() -> None:
    code = (
        "import sys; from tilth.ports.learning import engines; found = engines(); "
        "print(*(e.name for e in found), *(e.fault for e in found if e.fault), "
        "*({m.partition('.')[0] for m in sys.modules} & {'numpy', 'lightgbm', 'sklearn', 'skops', 'pandas', 'pyarrow'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["lightgbm", "linear", "sklearn"]


class Silent:
    """A learner that does not say what it is."""


class Another:
    engine = Engine("another")


@pytest.mark.parametrize(
    ("made", "says"),
    [(Silent, "does not say what it is"), (Another, "calls itself `another`"), (None, "does not load")],
)
def test_an_engine_that_cannot_be_used_says_why_and_the_others_are_told_as_they_are(
    monkeypatch: pytest.MonkeyPatch, made: type | None, says: str
) -> None:
    real = registry.load
    found = {**registry._found("tilth.learners"), "broken": BROKEN}
    monkeypatch.setattr(registry, "_found", lambda _group: found)
    if made is not None:
        monkeypatch.setattr(registry, "load", lambda g, n: made if n == "broken" else real(g, n))
    told = {e.name: e for e in learning.engines.__wrapped__()}
    assert says in told["broken"].fault
    assert told["broken"].mend
    assert told["broken"].rank is None
    assert [e.fault for e in told.values() if e.name != "broken"] == ["", "", ""]
