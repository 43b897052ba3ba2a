"""One verdict on a candidate of several targets, from what the gate says of each of them.

It passes when it would pass by one target and harms no other: none is below its minimum or its baseline, none is shown to be
worse, on the whole (Holm 1979 over the others) or in a slice, and none cannot be judged. `not_worse_by` is asked of every
target. What an equal candidate may win by luck is shared by the targets (`Rule.targets`), since each could let it in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tilth.ml.judging.gates import FAIL, INCONCLUSIVE, PASS, SLICE_ERROR, GateResult, Rule


def together(rule: Rule, results: Mapping[str, GateResult]) -> tuple[GateResult, str]:
    """The verdict, and the output of the target that decided it, whose figures it has; the reasons are those of all."""
    outcome, deciding, words = _verdict(rule, results)
    told = [f"`{name}`: {one.reason}" for name, one in results.items()]
    one = results[deciding]
    rows, blocks = max(r.rows for r in results.values()), max(r.blocks for r in results.values())
    return replace(one, outcome=outcome, reasons=(words, *told), rows=rows, blocks=blocks), deciding


def _verdict(rule: Rule, results: Mapping[str, GateResult]) -> tuple[str, str, str]:
    """The outcome, the output of the target that decides it, and why in words."""
    worse = _worse(results)
    for outcome, harmed, words in (
        (
            FAIL,
            [n for n, r in results.items() if r.outcome == FAIL and r.delta is None],
            "not good enough by itself",
        ),
        (FAIL, worse, "shown to be worse than the champion"),
        (FAIL, [n for n, r in results.items() if r.sliced], "shown to be worse in a slice"),
        (INCONCLUSIVE, [n for n, r in results.items() if r.outcome == INCONCLUSIVE], "not decided"),
    ):
        if harmed:
            held = "Refused" if outcome == FAIL else "Held"
            return outcome, harmed[0], f"{held} by {_listed(harmed)}, {words}."
    short = [n for n, r in results.items() if r.outcome == FAIL]
    if rule.kind == "not_worse_by" and short:
        return (
            FAIL,
            short[0],
            f"Refused by {_listed(short)}, which may be worse by more than {rule.margin:g}.",
        )
    won = [n for n, r in results.items() if r.outcome == PASS and not _same(r)]
    if won:
        rest = [n for n in results if n not in won]
        more = f", and {_listed(rest)} is not shown to be worse" if rest else ""
        return PASS, won[0], f"Taken by {_listed(won)}{more}."
    if short:
        return FAIL, short[0], f"Refused: no target is shown to be better ({_listed(short)})."
    return PASS, next(iter(results)), "Every target is answered as the champion does."


def _same(one: GateResult) -> bool:
    return one.delta == one.lower == one.upper == 0


def _worse(results: Mapping[str, GateResult]) -> list[str]:
    """The targets that are shown to be worse: one-sided, Holm's step-down over all that were compared."""
    compared = sorted((r.worse, n) for n, r in results.items() if r.worse is not None)
    out: list[str] = []
    for place, (chance, name) in enumerate(compared):
        if chance > SLICE_ERROR / (len(compared) - place):
            break
        out.append(name)
    return out


def _listed(names: list[str]) -> str:
    return " and ".join(f"`{n}`" for n in names)
