"""A predictor from trained files: one row and many give the same bits, and bad input is named."""

import json
import math
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilth.core.errors import InputError, TamperError, UnknownNameError
from tilth.ml.learning.dealing import Files
from tilth.ml.learning.training import train
from tilth.ml.model.gaps import Gaps
from tilth.ml.model.predictor import Predictor
from tilth.ml.model.spec import TrainingSpec
from tilth.ports.registry import load

SCORERS = partial(load, "tilth.scorers")
START = datetime(2013, 1, 1)
ROWS = 3000
KINDS = ("binary", "multiclass", "regression", "text")
ENGINES = ("lightgbm", "linear")


def make_table() -> pa.Table:
    rng = np.random.default_rng(3)
    x, z = rng.normal(size=ROWS), rng.normal(size=ROWS)
    place = rng.integers(0, 4, ROWS)
    raw = 1.5 * x - z + np.array([0, 1, -1, 0.5])[place] + rng.normal(0, 0.7, ROWS)
    gaps = rng.random(ROWS) < 0.1
    return pa.table(
        {
            "id": np.arange(ROWS),
            "at": [START + timedelta(hours=n) for n in range(ROWS)],
            "x y": x,
            "z": pa.array(z, mask=gaps),
            "count": rng.integers(0, 50, ROWS),
            "place": [["JFK", "LGA", None, 'é"w'][p] for p in place],
            "flag": rng.random(ROWS) < 0.5,
            "due": [START.date() + timedelta(days=int(d)) for d in rng.integers(0, 90, ROWS)],
            "binary": raw > 0,
            "multiclass": np.digitize(raw, [-1, 1]),
            "text": [["no", "yes"][int(v)] for v in raw > 0.5],
            "regression": raw,
        }
    )


TABLE = make_table()
NAMES = ("at", "x y", "z", "count", "place", "flag", "due")


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], dict[str, bytes]]:
    """Files of a bundle by target and engine, trained once."""
    folder = tmp_path_factory.mktemp("trained")
    pq.write_table(TABLE, folder / "rows.parquet")
    made: dict[tuple[str, str], dict[str, bytes]] = {}

    def files(target: str, engine: str) -> dict[str, bytes]:
        if (target, engine) not in made:
            spec = TrainingSpec(
                "late", (target,), ("answer",), NAMES, key=("id",), event_time="at", engine=engine,
                options=(("rounds", 30),) if engine == "lightgbm" else (),
            )  # fmt: skip
            out = folder / f"{target}-{engine}"
            train(
                spec,
                Files([str(folder / "rows.parquet")]),
                str(out),
                partial(load, "tilth.learners"),
                SCORERS,
                _quiet,
            )
            made[target, engine] = {p.name: p.read_bytes() for p in Path(out).iterdir()}
        return made[target, engine]

    return files


def _quiet(_what: str, _done: float | None) -> None:
    pass


@pytest.fixture(params=[(k, e) for k in KINDS for e in ENGINES], ids="-".join)
def predictor(request: pytest.FixtureRequest, trained: Callable) -> Predictor:
    return Predictor.load(trained(*request.param), SCORERS, 3, "d1")


@pytest.fixture
def late(trained: Callable) -> Predictor:
    return Predictor.load(trained("binary", "lightgbm"), SCORERS, 3, "d1")


def bodies(count: int, order: tuple[str, ...] = NAMES) -> list[bytes]:
    rows = TABLE.select(list(order)).slice(100, count).to_pylist()
    return [json.dumps(r, default=lambda d: d.isoformat()).encode() for r in rows]


def test_one_json_row_gives_the_bits_of_the_batch(predictor: Predictor) -> None:
    many = predictor.predict(
        TABLE.slice(100, 300), [o.name for o in predictor.signature.outputs][:-1]
    ).to_pylist()
    for body, expected in zip(bodies(300), many, strict=True):
        fields, row, _ = predictor.score_json(body)
        one = json.loads(b"{" + fields + b"}")
        again = predictor.predict_rows([json.loads(body)])[0]
        if predictor.signature.kind != "regression":
            expected["answer_probabilities"] = dict(expected["answer_probabilities"])
        assert again == expected
        assert one == {k: v for k, v in expected.items() if k != "answer_probabilities"}
        assert predictor.values(row)["count"] == json.loads(body)["count"]


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(NAMES))
def test_the_order_of_columns_and_keys_never_changes_an_answer(trained: Callable, order: list[str]) -> None:
    late = Predictor.load(trained("binary", "lightgbm"), SCORERS, 3, "d1")
    assert late.predict(TABLE.select(order)).equals(late.predict(TABLE))
    assert [late.score_json(b)[0] for b in bodies(5, tuple(order))] == [
        late.score_json(b)[0] for b in bodies(5)
    ]


def test_answers_have_the_type_of_the_target(trained: Callable) -> None:
    types = {"binary": pa.bool_(), "multiclass": pa.int64(), "text": pa.string(), "regression": pa.float64()}
    for target, kind in types.items():
        batch = Predictor.load(trained(target, "linear"), SCORERS, 1, "d").predict(TABLE.slice(0, 10))
        assert batch.schema.field("answer").type == kind
        assert set(batch.schema.names) - {"answer"} <= {
            "answer_confidence", "answer_lower", "answer_upper", "answer_probability",
        }  # fmt: skip


def test_the_interval_covers_about_nine_of_ten(trained: Callable) -> None:
    found = Predictor.load(trained("regression", "lightgbm"), SCORERS, 1, "d").predict(TABLE.slice(2700))
    truth = TABLE["regression"].slice(2700).to_numpy()
    inside = (truth >= found["answer_lower"].to_numpy()) & (truth <= found["answer_upper"].to_numpy())
    assert 0.84 <= inside.mean() <= 0.96


@pytest.mark.parametrize("engine", ENGINES)
def test_two_versions_differ_in_a_class_or_by_more_than_the_interval(trained: Callable, engine: str) -> None:
    number = Predictor.load(trained("regression", engine), SCORERS, 3, "d1")
    row = number.score_row(number.decode(bodies(1)[0]))
    (said,) = number.predict_rows([json.loads(bodies(1)[0])])
    half = said["answer_upper"] - said["answer"]
    assert half > 0
    for by, differs in [(0.0, False), (0.9, False), (-0.9, False), (1.1, True), (-1.1, True)]:
        assert number.differs(row, number, (row[0] + by * half, *row[1:])) is differs, by
    for low, high, differs in [(0.1, 0.2, False), (0.45, 0.55, True), (0.6, 0.99, False)]:
        late = Predictor.load(trained("binary", engine), SCORERS, 3, "d1")
        assert late.differs((low,), late, (high,)) is differs
    assert number.differs((0.2,), late, (0.2,))


def test_no_rows_give_no_answers(predictor: Predictor) -> None:
    assert predictor.predict(TABLE.slice(0, 0)).num_rows == 0


def test_threads_get_the_same_answers(late: Predictor) -> None:
    rows, seen = bodies(200), {}
    alone = [late.score_json(b)[0] for b in rows]

    def work(number: int) -> None:
        seen[number] = [late.score_json(b)[0] for b in rows]

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert all(seen[n] == alone for n in range(4))


def test_an_explanation_adds_up_and_names_its_version(predictor: Predictor) -> None:
    row = json.loads(bodies(1)[0])
    why = predictor.explain(row)
    assert (why["model"], why["version"], why["digest"]) == ("late", 3, "d1")
    assert why["value"] == predictor.predict_rows([row])[0]["answer"]
    assert {c["input"] for c in why["contributions"]} <= set(NAMES)
    assert [abs(c["contribution"]) for c in why["contributions"]] == sorted(
        (abs(c["contribution"]) for c in why["contributions"]), reverse=True
    )
    text = predictor.predict(TABLE.slice(100, 1), ["answer_explain"])["answer_explain"][0].as_py()
    assert json.loads(text)["value"] == why["value"]
    total = why["base"] + why["others"] + sum(c["contribution"] for c in why["contributions"])
    assert total == pytest.approx(why["total"], abs=1e-12)
    kind = predictor.signature.kind
    assert (
        why["total"]
        == {"regression": why["value"], "binary": why.get("probability"), "multiclass": why["confidence"]}[
            kind
        ]
    )


def test_what_is_not_listed_is_added_up(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    row = json.loads(bodies(1)[0])
    whole = predictor.explain(row)
    assert whole["others"] == 0.0
    monkeypatch.setattr("tilth.ml.model.explain.TOP", 2)
    short = predictor.explain(row)
    assert short["contributions"] == whole["contributions"][:2]
    left = sum(c["contribution"] for c in whole["contributions"][2:])
    assert short["others"] == pytest.approx(left, abs=1e-9)


BAD = {
    "unknown": ({"plcae": "JFK"}, "no input `plcae`", "Did you mean `place`?"),
    "text for a number": (
        {"count": "3"},
        "`count` must be a whole number within 64 bits; a text was given",
        "Give it as a number, without quotes.",
    ),
    "truth for a number": ({"x y": True}, "`x y` must be a number; true or false was given", "as a number"),
    "list for a number": ({"x y": [1]}, "`x y` must be a number; a list was given", "Give one value."),
    "number for a text": (
        {"place": 3},
        "`place` must be a text; a whole number was given",
        "Give it as a text, in quotes.",
    ),
    "number for a truth": (
        {"flag": 1},
        "`flag` must be true or false; a whole number was given",
        "Give it as true or false, without quotes.",
    ),
    "no instant": ({"at": "yesterday"}, "`at` cannot be read", "Inputs of late"),
    "half a whole number": (
        {"count": 3.5},
        "`count` must be a whole number within 64 bits; a number with a fraction was given",
        "Give it without a fraction",
    ),
    "more than 64 bits": (
        {"count": 2**63},
        "`count` must be a whole number within 64 bits",
        "Inputs of late",
    ),
}


@pytest.mark.parametrize(("change", "words", "hint"), BAD.values(), ids=BAD)
def test_bad_input_is_named_with_the_next_step(late: Predictor, change: dict, words: str, hint: str) -> None:
    row = json.loads(bodies(1)[0]) | change
    for call in (lambda: late.score_json(json.dumps(row).encode()), lambda: late.predict_rows([row])):
        with pytest.raises(InputError, match=words) as caught:
            call()
        assert hint in str(caught.value.hint)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'"x"', b'{"count": NaN}', b'{"count": Infinity}', b"\xff", b"[" * 100_000, b"null"],
)
def test_what_is_no_json_object_is_refused(late: Predictor, body: bytes) -> None:
    with pytest.raises(InputError):
        late.score_json(body)


NO_ROW = {
    b"null": ("A row must be a JSON object; null was given.", "Inputs of late"),
    b"[]": ("A row must be a JSON object; a list was given.", "Inputs of late"),
    b"\xef\xbb\xbf{}": ("The row is not JSON", "Send it in UTF-8, without a byte order mark."),
    '{"count": 1}'.encode("utf-16"): ("The row is not JSON", "Send it in UTF-8, without a byte order mark."),
}


@pytest.mark.parametrize("body", NO_ROW)
def test_what_was_sent_instead_of_a_row_is_said(late: Predictor, body: bytes) -> None:
    words, hint = NO_ROW[body]
    with pytest.raises(InputError, match=re.escape(words)) as caught:
        late.score_json(body)
    assert hint in str(caught.value.hint)


def test_half_a_character_in_a_name_is_refused(late: Predictor) -> None:
    with pytest.raises(InputError, match="not valid Unicode") as caught:
        late.predict_rows([json.loads(bodies(1)[0]) | {"\ud800": 1}])
    assert "Inputs of late" in str(caught.value.hint)


def test_an_input_that_is_not_given_is_refused_unless_training_saw_gaps(late: Predictor) -> None:
    row = json.loads(bodies(1)[0])
    assert late.predict_rows([{k: v for k, v in row.items() if k not in {"z", "place"}}])
    assert {i.name for i in late.signature.inputs if not i.required} == {"z", "place"}
    with pytest.raises(InputError, match="Missing: `x y`, `count`"):
        late.predict_rows([{k: v for k, v in row.items() if k not in {"x y", "count"}}])
    with pytest.raises(InputError, match="`count` is missing"):
        late.predict(TABLE.drop_columns(["count"]))


def test_a_gap_where_training_had_none_is_answered_and_counted(late: Predictor) -> None:
    holes = TABLE.set_column(4, "count", pa.array([None, *range(ROWS - 1)]))
    nan = holes.set_column(2, "x y", pa.array([math.nan, math.inf] + [0.0] * (ROWS - 2)))
    seen = Gaps("late")
    made = late.predict(nan, None, seen)
    assert made.num_rows == ROWS
    assert made.column("answer").null_count == 0
    assert (seen.rows, seen.lacking, seen.refused) == (ROWS, {"x y": 2, "count": 1}, 0)
    assert (
        seen.words()[1]
        == "late: `count` is missing in 1 of 3,000 rows, never was in training, and was answered as a gap"
    )


def test_a_gap_where_training_had_none_counts_as_the_median(late: Predictor) -> None:
    """An engine that saw no gap takes one for a zero: 1970, or a distance of none."""
    row = json.loads(bodies(1)[0])
    fills = {c.name: c.fills for c in late._preparation.columns}
    assert fills["z"] == fills["place"] == ()  # training saw gaps there
    for name, span in {"x y": 0.1, "count": 2}.items():
        (fill,) = fills[name]
        assert abs(fill - float(np.median(TABLE[name]))) < span
    (gap,), (near,) = (
        late.predict_rows([{**row, "x y": None}]),
        late.predict_rows([{**row, "x y": fills["x y"][0]}]),
    )
    assert gap == near
    assert (
        late.score_json(json.dumps({**row, "x y": None}).encode())[2]
        == late.score_json(json.dumps({**row, "x y": fills["x y"][0]}).encode())[2]
    )


def test_carried_columns_are_taken_and_change_nothing(late: Predictor) -> None:
    row = json.loads(bodies(1)[0])
    assert late.signature.carried[0].name == "id"
    fields, decoded, _ = late.score_json(json.dumps({**row, "id": 77}).encode())
    assert fields == late.score_json(json.dumps(row).encode())[0]
    assert late.values(decoded)["id"] == 77


def test_instants_with_an_offset_are_read_in_utc(late: Predictor) -> None:
    row = json.loads(bodies(1)[0])
    at = datetime.fromisoformat(row["at"]).replace(tzinfo=UTC)
    moved = (
        at.astimezone().isoformat(),
        at.astimezone(tz=None).isoformat(),
        at.isoformat().replace("+00:00", "Z"),
    )
    answers = {late.score_json(json.dumps({**row, "at": text}).encode())[0] for text in (row["at"], *moved)}
    assert len(answers) == 1


def test_an_unknown_output_is_said(late: Predictor) -> None:
    with pytest.raises(UnknownNameError, match="no output `answer_confidance`") as caught:
        late.predict(TABLE, ["answer_confidance"])
    assert "answer_confidence" in str(caught.value.hint)


@pytest.mark.parametrize("name", ["signature.json", "prepare.json", "calibration.json", "member.txt"])
def test_files_that_do_not_fit_together_are_refused(trained: Callable, name: str) -> None:
    files = dict(trained("binary", "lightgbm"))
    del files[name]
    with pytest.raises(TamperError):
        Predictor.load(files, SCORERS, 1, "d")


def with_costs(folder: Path, **more: object) -> Predictor:
    """A version whose mistakes cost 9 and 1."""
    pq.write_table(TABLE, folder / "rows.parquet")
    spec = TrainingSpec(
        "late", ("binary",), (), NAMES, key=("id",), event_time="at", engine="linear",
        cost_false_negative=9.0, cost_false_positive=1.0, **more,
    )  # fmt: skip
    train(
        spec,
        Files([str(folder / "rows.parquet")]),
        str(folder / "o"),
        partial(load, "tilth.learners"),
        SCORERS,
        _quiet,
    )
    files = {p.name: p.read_bytes() for p in (folder / "o").iterdir()}
    return Predictor.load(files, SCORERS, 1, "d")


def test_costs_move_the_decision_and_not_the_probability(tmp_path: Path) -> None:
    found = with_costs(tmp_path)
    scores = found.scores(TABLE)
    assert found.predict(TABLE)["binary"].to_pylist() == (scores > 0.1).tolist()


def test_where_false_is_to_be_found_many_rows_are_answered_as_one(tmp_path: Path) -> None:
    found = with_costs(tmp_path, positive=False)
    said = found.predict(TABLE)["binary"].to_pylist()
    assert said == (found.scores(TABLE) <= 0.1).tolist()
    one = found.predict_rows([json.loads(body) for body in bodies(50)])
    assert said[100:150] == [row["binary"] for row in one]
