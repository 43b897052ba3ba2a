"""What a search proposes: values that engines take, the same ones for the same trials, and better ones the more it has seen."""

import subprocess
import sys

import pytest

from tilth.core.engines import Form, Option, Span
from tilth.ml.learning import proposing
from tilth.ml.learning.proposing import RANDOM, Seen, proposed
from tilth.ports.learning import engines

OPTIONS = (
    Option("rate", least=0, most=1, span=Span(0.01, 1, log=True)),
    Option("leaves", Form.WHOLE, 2, span=Span(2, 64, log=True)),
    Option("share", least=0, most=1, span=Span(0, 1)),
)


def loss(options: dict[str, object]) -> float:
    rate, share = (float(str(options[k])) for k in ("rate", "share"))
    return (rate - 0.1) ** 2 + (share - 0.7) ** 2


def searched(count: int, seed: int = 1) -> list[Seen]:
    seen: list[Seen] = []
    for number in range(count):
        options = proposed(OPTIONS, seen, 100 * seed + number)
        seen.append(Seen(options, loss(options), number % 3 < 2))
    return seen


@pytest.mark.parametrize("engine", [e for e in engines() if e.searched], ids=lambda e: e.name)
def test_an_engine_takes_what_is_proposed(engine: object) -> None:
    options = engine.searched  # type: ignore[attr-defined]
    for seed in range(20):
        found = proposed(options, [], seed)
        assert {o.name for o in options} == set(found)
        assert all(o.fits(found[o.name]) and o.span.low <= found[o.name] <= o.span.high for o in options)


def test_the_same_trials_propose_the_same_however_many_questions_there_were() -> None:
    seen = searched(RANDOM + 4)
    assert searched(RANDOM + 4) == seen
    assert proposed(OPTIONS, seen, 5) == proposed(OPTIONS, list(seen), 5) != proposed(OPTIONS, seen, 6)


def test_later_proposals_are_better_than_chance() -> None:
    late = [s.loss for seed in range(4) for s in searched(24, seed)[-6:]]
    chance = [loss(proposed(OPTIONS, [], seed)) for seed in range(60)]
    assert sum(late) / len(late) < 0.5 * sum(chance) / len(chance)


def test_a_worker_is_warm_before_it_is_locked_up() -> None:
    """No module is loaded by a question once `warm` was called: the disk is out of reach then."""
    code = (
        "import sys; from tilth.ml.learning import proposing as p; from tilth.core.engines import *; p.warm(); had = set(sys.modules);"
        "o = [Option('a', span=Span(0, 1)), Option('b', Form.WHOLE, span=Span(1, 9, log=True))];"
        "[p.proposed(o, [p.Seen({'a': .1 * n, 'b': n + 1}, n, n > 3) for n in range(8)][:k], k) for k in range(9)];"
        "print(sorted(set(sys.modules) - had))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proposing.importlib.util, "find_spec", lambda _name: None)
    assert proposing.lacking() == proposing.LACKING
    assert "tilth[search]" in proposing.LACKING[1]
