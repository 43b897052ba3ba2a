"""A plan in a file: it reads back as it was, and no change of its content goes unnoticed. No files and no keys here."""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from typing import Any, get_type_hints

import pytest

from tilth.core.errors import SavedPlanError
from tilth.kinds import KINDS
from tilth.plan import saved
from tilth.plan.actions import CollectDataset, DeclareSource, Estimate, Note, Plan, TrainModel
from tilth.plan.saved import Basis, Saved
from tilth.sql.language.statements import Kind

BASIS = Basis("k" * 64, "1:abc", "prod", "0.1.0")
VALUES: dict[Any, Any] = {
    str: "é'\"\n", int: 7, Kind: Kind.MODEL, Estimate: Estimate(0.1, 2**40), str | None: None, int | None: 3,
}  # fmt: skip


def action(cls: type) -> Any:
    """One of that class, with a value in each of its fields."""
    hints = get_type_hints(cls)
    return cls(**{f.name: VALUES[hints[f.name]] for f in dataclasses.fields(cls)})


PLAN = Plan("prod", 4, tuple(map(action, KINDS.actions)), (Note("late", "waits", withheld=True),))
SAVED = Saved(BASIS, "2026-11-28T20:00:00Z", "person:ana", PLAN)


def sign(said: dict[str, Any]) -> bytes:
    return hashlib.sha256(saved.payload(said)).digest()


SAID = saved.content(SAVED)
TEXT = saved.text(SAID, sign(SAID))


def test_a_plan_of_every_action_reads_back_as_it_was() -> None:
    found = saved.unverified(TEXT, "p.json")
    assert found.project == BASIS.project
    assert found.signature == hashlib.sha256(found.payload).digest()
    assert saved.saved(found.said, KINDS.actions) == SAVED


@pytest.mark.parametrize("layout", [json.dumps(json.loads(TEXT)), TEXT.replace("\n", "\r\n"), f"\n {TEXT} "])
def test_another_layout_is_the_same_plan(layout: str) -> None:
    assert saved.unverified(layout, "p.json").payload == saved.unverified(TEXT, "p.json").payload


def holds(text: str) -> bool:
    """Whether a text is taken for the plan that was signed."""
    try:
        found = saved.unverified(text, "p.json")
    except SavedPlanError:
        return False
    return found.signature == hashlib.sha256(found.payload).digest() and found.project == BASIS.project


def test_no_byte_of_the_content_can_be_another() -> None:
    raw = TEXT.encode()
    assert holds(TEXT)
    for at in range(len(raw)):
        new = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        text = new.decode("utf-8", "replace")
        assert not holds(text) or json.loads(text) == json.loads(TEXT), at


@pytest.mark.parametrize("name", [*SAID, "signature"])
def test_no_field_can_be_left_out_or_changed(name: str) -> None:
    whole = json.loads(TEXT)
    assert not holds(json.dumps({k: v for k, v in whole.items() if k != name}))
    assert not holds(json.dumps({**whole, name: "x"}))
    assert not holds(json.dumps({**whole, "more": 1}))


NONE = [
    "", "{", "[]", "7", "null", '"tilth_plan"', "{}", '{"tilth_plan": "1"}', '{"tilth_plan": 0}', '{"tilth_plan": true}',
    '{"tilth_plan": 1}', '{"tilth_plan": 1, "project": 1, "signature": 7}', '{"tilth_plan": 1, "project": "a", "signature": "%"}',
    TEXT.replace('"generation": 4', '"generation": NaN'), TEXT.replace('"generation": 4', '"generation": 4, "generation": 5'),
    '{"tilth_plan": 1, "a": "\\ud800", "project": "k", "signature": ""}', "[" * 100_000, TEXT[:-40],
]  # fmt: skip


@pytest.mark.parametrize("text", NONE, ids=range(len(NONE)))
def test_what_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises(SavedPlanError, match=r"not a plan|without its signature"):
        saved.unverified(text, "p.json")


def test_a_newer_format_says_so() -> None:
    with pytest.raises(SavedPlanError, match="in format 2, and this release of tilth reads format 1"):
        saved.unverified(TEXT.replace('"tilth_plan": 1', '"tilth_plan": 2'), "p.json")


def test_an_action_that_is_not_known_is_refused() -> None:
    with pytest.raises(SavedPlanError, match="does not know"):
        saved.saved(SAID, [c for c in KINDS.actions if c is not TrainModel])


FITS: list[tuple[Basis, str | None, str | None]] = [
    (BASIS, None, None),
    (BASIS, "prod", None),
    (BASIS, "dev", "one for `prod`, not for `dev`"),
    (dataclasses.replace(BASIS, release="0.2.0"), None, "made by tilth 0.1.0, and this is 0.2.0"),
    (dataclasses.replace(BASIS, serving="live"), None, "models serve in `live`; it was `prod`"),
    (dataclasses.replace(BASIS, declared="1:abd"), None, "what the files declare has changed"),
]


@pytest.mark.parametrize(("now", "environment", "says"), FITS)
def test_a_plan_fits_what_it_was_made_of_alone(now: Basis, environment: str | None, says: str | None) -> None:
    if says is None:
        saved.require(SAVED, now, environment)
        return
    with pytest.raises(SavedPlanError, match=says) as raised:
        saved.require(SAVED, now, environment)
    assert "plan" in (raised.value.hint or "")


OPS, ROWS = DeclareSource("ops", "1:a", "new"), CollectDataset("d", "1:b", "its last refresh is 2 hours ago")
STILL: list[tuple[Plan, Plan, Callable[[Plan], bool] | str]] = [
    (Plan("prod", 4, (OPS, ROWS)), Plan("prod", 4, (OPS, ROWS)), lambda p: p.notes == ()),
    (
        Plan("prod", 4, (ROWS,)),
        Plan("prod", 4, (dataclasses.replace(ROWS, reason="3 hours ago", estimate=Estimate(3.0)),)),
        lambda p: p.actions == (ROWS,),
    ),
    (
        Plan("prod", 4, (OPS,)),
        Plan("prod", 4, (OPS, ROWS)),
        lambda p: p.actions == (OPS,) and "due by now: collect and vet" in p.notes[0].text,
    ),
    (Plan("prod", 4), Plan("prod", 4), lambda p: not p.actions),
    (Plan("prod", 4, (OPS,)), Plan("prod", 5, (OPS,)), "moved from generation 4 to 5"),
    (Plan("prod", 4, (OPS, ROWS)), Plan("prod", 4, (OPS,)), r"no longer to be done so: ~ dataset d"),
    (
        Plan("prod", 4, (ROWS,)),
        Plan("prod", 4, (dataclasses.replace(ROWS, parent="s1"),)),
        "no longer to be done so",
    ),
]


@pytest.mark.parametrize(("found", "fresh", "then"), STILL)
def test_a_plan_is_done_while_all_of_it_is_still_to_be_done(
    found: Plan, fresh: Plan, then: Callable[[Plan], bool] | str
) -> None:
    if isinstance(then, str):
        with pytest.raises(SavedPlanError, match=then):
            saved.still(found, fresh)
    else:
        assert then(saved.still(found, fresh))
