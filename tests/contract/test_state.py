"""What every State does: transactions, moments, the audit chain. `test_state_file` has what only a file does."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tilth.adapters.state.sqlite.state import SqliteState, memory
from tilth.core.errors import InputError, TilthError, UnknownNameError
from tilth.core.principals import person
from tilth.ports.state import Reader, State

BY = person("test")

AT = "2013-05-01T00:00:00.000000Z"


@pytest.fixture(params=["file", "memory"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[State]:
    made = SqliteState(str(tmp_path / "state.db")) if request.param == "file" else memory()
    yield made
    made.close()


def _set(state: State, generation: int) -> None:
    with state.change(BY, AT) as change:
        change.write("set_environment", name="prod", generation=generation, at=AT)
        change.audit("publish", "prod", {"generation": generation})


def _generation(reader: Reader) -> object:
    return reader.read("environment", name="prod")[0]["generation"]


def test_a_moment_does_not_see_what_another_commits_meanwhile(state: State) -> None:
    _set(state, 1)
    begun, done = threading.Event(), threading.Event()

    def other() -> None:
        begun.wait(10)
        _set(state, 2)
        done.set()

    thread = threading.Thread(target=other)
    thread.start()
    with state.reading() as moment:
        begun.set()
        done.wait(0.2)  # in memory it waits for the end of the moment
        seen = [_generation(moment), _generation(moment)]
    thread.join(10)
    assert done.is_set()
    assert seen == [1, 1]
    assert _generation(state) == 2
    with state.reading() as moment:
        assert _generation(moment) == 2


def test_a_moment_begins_with_its_block_and_not_with_its_first_read(state: State) -> None:
    _set(state, 1)
    thread = threading.Thread(target=_set, args=(state, 2))
    with state.reading() as moment:
        thread.start()
        thread.join(0.2)
        assert _generation(moment) == 1
    thread.join(10)
    assert _generation(state) == 2


def test_a_moment_within_a_moment_is_the_same(state: State) -> None:
    _set(state, 1)
    thread = threading.Thread(target=_set, args=(state, 2))
    with state.reading() as outer:
        thread.start()
        thread.join(0.2)
        with state.reading() as inner:
            assert _generation(inner) == 1
        assert _generation(outer) == 1
    thread.join(10)


def test_a_moment_that_ends_in_an_error_ends(state: State) -> None:
    _set(state, 1)
    with pytest.raises(KeyError), state.reading():
        raise KeyError
    _set(state, 2)
    with state.reading() as moment:
        assert _generation(moment) == 2


def test_what_is_changed_within_the_block_of_a_moment_is_committed(state: State) -> None:
    _set(state, 1)
    with state.reading():
        _set(state, 2)
    assert _generation(state) == 2
    assert state.verify_audit() == 2


def test_a_change_sees_what_it_wrote_itself(state: State) -> None:
    with state.change(BY, AT) as change:
        change.write("set_environment", name="prod", generation=7, at=AT)
        assert _generation(change) == 7
        change.audit("publish", "prod", {})


def test_the_chain_grows_by_a_row_for_each_act(state: State) -> None:
    for n in (1, 2, 3):
        _set(state, n)
    assert state.verify_audit() == 3
    assert [(r["sequence"], r["actor"], r["verb"]) for r in state.read("audit")] == [
        (n, "person:test", "publish") for n in (1, 2, 3)
    ]
    assert state.flaws() == ()


def test_a_change_that_fails_leaves_nothing(state: State) -> None:
    with pytest.raises(KeyError), state.change(BY, AT) as change:
        change.write("set_environment", name="prod", generation=1, at=AT)
        change.audit("publish", "prod", {})
        raise KeyError
    assert state.read("environments") == ()
    assert state.verify_audit() == 0


def test_a_change_without_an_audit_row_is_refused(state: State) -> None:
    with pytest.raises(RuntimeError, match="audit"), state.change(BY, AT) as change:
        change.write("set_environment", name="prod", generation=1, at=AT)
    assert state.read("environments") == ()


def test_an_unknown_table_gets_the_nearest(state: State) -> None:
    with pytest.raises(UnknownNameError, match="`versions`"):
        state.table("version")
    assert state.table("versions")[1] == []


@pytest.mark.parametrize("number", [1 << 63, -(1 << 63) - 1, 10**20])
def test_a_number_beyond_64_bits_is_told_and_not_an_overflow(state: State, number: int) -> None:
    with pytest.raises(InputError, match="beyond 64 bits") as caught:
        state.read("version", model="late", version=number)
    assert "version" in caught.value.message
    assert state.read("version", model="late", version=(1 << 63) - 1) == ()


def test_a_text_that_is_not_unicode_is_told(state: State) -> None:
    with pytest.raises(InputError, match="not valid Unicode"):
        state.read("environment", name="\udcff")


def test_a_change_that_breaks_the_schema_is_a_mistake_and_no_retry_helps(state: State) -> None:
    with pytest.raises(TilthError) as caught, state.change(BY, AT) as change:
        change.write("set_environment", name=None, generation=1, at=AT)
    assert (caught.value.code, caught.value.retry) == ("E-TILTH", False)
    assert state.read("environments") == ()


def test_rows_changed_and_the_id_of_a_new_row_are_two_methods(state: State) -> None:
    run = {
        "environment": "prod",
        "action": "x",
        "kind": "model",
        "name": "n",
        "reason": "r",
        "pid": 1,
        "at": AT,
    }
    with state.change(BY, AT) as change:
        first, second = change.insert("start_run", **run), change.insert("start_run", **run)
        assert change.write("abandoned_runs", environment="prod", at=AT) == 2
        assert change.write("abandoned_runs", environment="dev", at=AT) == 0
        change.audit("start", "n", {})
    assert second == first + 1
    with pytest.raises(RuntimeError, match="insert"), state.change(BY, AT) as change:
        change.write("start_run", **run)
