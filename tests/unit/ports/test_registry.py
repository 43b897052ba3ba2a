"""Plugins by entry point: found by name, loaded late, and named when they are broken."""

import shutil
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import tilth
from tilth.adapters.learners import apart
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
        "print(*(e.name for e in found), *(e.fault for e in found if e.fault and e.name != 'autogluon'), "
        "*({m.partition('.')[0] for m in sys.modules} & {'numpy', 'lightgbm', 'sklearn', 'skops', 'pandas', 'pyarrow', 'xgboost'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [
        "autogluon",
        "catboost",
        "extra_trees",
        "lightgbm",
        "linear",
        "sklearn",
        "text",
        "xgboost",
    ]


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
    others = [e.fault for e in told.values() if e.name not in {"broken", *apart.ENGINES}]
    assert others == [""] * 7


CHOICES = [
    (
        "tilth.state",
        "state",
        "sqlit",
        "`state`: 'sqlit' is not known",
        "Did you mean `sqlite`? Known: sqlite.",
    ),
    ("tilth.blobs", "blobs", "s3://me:hush@bucket", "`blobs`: 's3' is not known", "Known: file."),
    ("tilth.jobs", "jobs", "lokal", "`jobs`: 'lokal' is not known", "Did you mean `local`?"),
]


@pytest.mark.parametrize(
    ("group", "setting", "address", "says", "hint"), CHOICES, ids=[c[1] for c in CHOICES]
)
def test_what_a_setting_names_is_found_or_refused_with_the_nearest_and_without_its_address(
    group: str, setting: str, address: str, says: str, hint: str
) -> None:
    with pytest.raises(UnknownNameError, match=says) as caught:
        registry.chosen(group, setting, address)
    assert hint in str(caught.value)
    assert "hush" not in str(caught.value)
    (name,) = registry.names(group)
    assert registry.chosen(group, setting, f"{name}://anything") is registry.load(group, name)


def test_a_project_has_the_adapters_that_its_settings_name(tmp_path: Path) -> None:
    for setting in ("state", "blobs", "jobs"):
        (tmp_path / "tilth.toml").write_text(f'{setting} = "nothing"')
        with pytest.raises(UnknownNameError, match=f"`{setting}`: 'nothing' is not known"):
            tilth.open(str(tmp_path)).work()
        shutil.rmtree(tmp_path / ".tilth", ignore_errors=True)
