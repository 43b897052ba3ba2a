"""One verdict on several targets, as a table: what each target's gate says, and what comes out for the model."""

from dataclasses import replace

import pytest

from tilth.ml.judging.gates import FAIL, INCONCLUSIVE, PASS, GateResult, Rule
from tilth.ml.judging.together import together

BETTER, MARGIN = Rule("", "better", targets=2), Rule("", "not_worse_by", 0.1, targets=2)
SEEN = GateResult(PASS, ("seen",), 300, 20, champion_metric=0.7, candidate_metric=0.8)
WON = replace(SEEN, delta=0.1, lower=0.05, upper=0.15, worse=1.0)
EVEN = replace(SEEN, outcome=FAIL, delta=0.0, lower=-0.05, upper=0.05, worse=0.5)
DOUBT = replace(SEEN, outcome=FAIL, delta=-0.04, lower=-0.09, upper=0.01, worse=0.04)
WORSE = replace(SEEN, outcome=FAIL, delta=-0.1, lower=-0.15, upper=-0.05, worse=0.001)
SLICE = replace(WON, outcome=FAIL, sliced=True)
SAME = replace(SEEN, delta=0.0, lower=0.0, upper=0.0)
POOR = GateResult(FAIL, ("below its minimum",), 300, 20, candidate_metric=0.5)
FEW = GateResult(INCONCLUSIVE, ("few rows",), 30, 2)
FIRST = GateResult(PASS, ("no champion",), 300, 20, candidate_metric=0.8)

TABLE = {
    "both better": (BETTER, WON, WON, PASS, "a", "Taken by `a` and `b`."),
    "one better, one even": (BETTER, EVEN, WON, PASS, "b", "Taken by `b`, and `a` is not shown to be worse."),
    "one better, one the same": (BETTER, WON, SAME, PASS, "a", "Taken by `a`, and `b` is not shown to be worse."),
    "one better, one in doubt": (BETTER, WON, DOUBT, PASS, "a", "Taken by `a`, and `b` is not shown to be worse."),
    "one better, one worse": (BETTER, WON, WORSE, FAIL, "b", "Refused by `b`, shown to be worse than the champion."),
    "one better, one worse in a slice": (BETTER, SLICE, WON, FAIL, "a", "Refused by `a`, shown to be worse in a slice."),
    "one better, one too bad": (BETTER, WON, POOR, FAIL, "b", "Refused by `b`, not good enough by itself."),
    "one better, one not to be judged": (BETTER, WON, FEW, INCONCLUSIVE, "b", "Held by `b`, not decided."),
    "worse counts more than undecided": (BETTER, WORSE, FEW, FAIL, "a", "Refused by `a`, shown to be worse than the champion."),
    "both even": (BETTER, EVEN, EVEN, FAIL, "a", "Refused: no target is shown to be better (`a` and `b`)."),
    "one even, one the same": (BETTER, SAME, EVEN, FAIL, "b", "Refused: no target is shown to be better (`b`)."),
    "both the same": (BETTER, SAME, SAME, PASS, "a", "Every target is answered as the champion does."),
    "both the first": (BETTER, FIRST, FIRST, PASS, "a", "Taken by `a` and `b`."),
    "a new target, the other even": (BETTER, EVEN, FIRST, PASS, "b", "Taken by `b`, and `a` is not shown to be worse."),
    "within the margin": (MARGIN, replace(EVEN, outcome=PASS), WON, PASS, "a", "Taken by `a` and `b`."),
    "beyond the margin in one": (MARGIN, WON, DOUBT, FAIL, "b", "Refused by `b`, which may be worse by more than 0.1."),
}  # fmt: skip


@pytest.mark.parametrize(("rule", "a", "b", "outcome", "by", "words"), TABLE.values(), ids=TABLE)
def test_it_passes_by_one_target_and_harms_no_other(
    rule: Rule, a: GateResult, b: GateResult, outcome: str, by: str, words: str
) -> None:
    found, deciding = together(rule, {"a": a, "b": b})
    assert (found.outcome, deciding, found.reasons[0]) == (outcome, by, words)
    assert found.reasons[1:] == (f"`a`: {a.reason}", f"`b`: {b.reason}")
    assert found.delta == {"a": a, "b": b}[by].delta


def test_what_luck_may_win_is_shared_by_the_targets() -> None:
    """Four targets of which none is better nor worse: of three in doubt, Holm refuses none at 4 %, and one at 1 %."""
    doubts = {"a": DOUBT, "b": DOUBT, "c": DOUBT, "d": WON}
    assert together(BETTER, doubts)[0].outcome == PASS
    assert together(BETTER, doubts | {"b": replace(DOUBT, worse=0.01)})[1] == "b"
