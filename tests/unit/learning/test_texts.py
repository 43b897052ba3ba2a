"""Texts as numbers: which columns are texts, what is learned of them, and that a row alone gives the bits of a batch."""

import json
import uuid
from datetime import datetime, timedelta
from random import Random

import numpy as np
import pyarrow as pa
import pytest

from tilth.ml.model import wording
from tilth.ml.model.encode import Encoder
from tilth.ml.model.outside import Reach
from tilth.ml.model.preparation import Preparation
from tilth.ml.model.signature import Input, Signature
from tilth.ml.model.text import TextSpace, terms_of
from tilth.ports.arrow import data_type

ROWS = 300
DICE = Random(5)
FIRST, LAST = ("Owen", "John", "Laina", "Lily", "Ann"), ("Harris", "Bradley", "Futrelle", "Allen", "Moran")
WORDS = [f"{a}{b}" for a in ("soil", "seed", "rain", "frost", "yield", "plough") for b in ("", "s", "ing")]
NAMES = [
    f"{DICE.choice(LAST)}-{n}, {DICE.choice(('Mr.', 'Mrs.', 'Miss.'))} {DICE.choice(FIRST)}"
    for n in range(ROWS)
]
NOTES = [" ".join(DICE.choices(WORDS, k=DICE.randrange(8, 30))) for _ in range(ROWS)]
STYLES = [f"{a} {b} ale" for a in ("pale", "dark", "red", "old", "new", "dry", "hop") for b in "abcdefgh"]


def fitted(values: list[str | None]) -> Preparation:
    return Preparation.fit(pa.table({"c": pa.array(values, pa.string())}), ("c",))


@pytest.mark.parametrize(
    ("values", "kind", "coded"),
    [
        (NAMES, "text", False),
        (NOTES, "text", False),
        ([STYLES[n % len(STYLES)] for n in range(ROWS)], "text", True),
        ([f"C{n % 200}" for n in range(ROWS)], "text", False),  # codes that repeat somewhat
        ([f"http://shop.example/{w}/{n}" for n, w in enumerate(WORDS * 20)], "text", False),
        (["a", "b", "c"] * 100, "category", True),
        ([f"town{n % 60}" for n in range(ROWS)], "category", True),
        ([str(uuid.UUID(int=DICE.getrandbits(128), version=4)) for _ in range(ROWS)], None, False),
        ([f"CUST-{n:05}" for n in range(ROWS)], None, False),
        ([f"order {n}" for n in range(ROWS)], None, False),
        ([f"{n * 1.37:.2f}" for n in range(ROWS)], None, False),
        ([f"2013-07-{1 + n % 28:02} 10:{n % 60:02}:{n % 59:02}" for n in range(ROWS)], None, False),
    ],
    ids=lambda v: None if isinstance(v, list) else str(v),
)  # fmt: skip
def test_what_a_text_column_is(values: list[str | None], kind: str | None, coded: bool) -> None:
    found = fitted(values)
    assert [(c.kind, c.coded) for c in found.columns] == ([(kind, coded)] if kind else [])
    assert bool(found.dropped) is (kind is None)


def test_terms_are_words_and_pairs_or_runs_of_characters() -> None:
    assert terms_of("Rain, RAIN again", True) == ["rain", "rain", "again", "rain rain", "rain again"]
    assert terms_of(" Ab ", False) == [" a", "ab", "b ", " ab", "ab ", " ab "]
    assert terms_of("東京 tower", True)[:3] == ["東", "京", "tower"]
    assert terms_of("", True) == []


def test_the_directions_are_those_of_a_singular_value_decomposition() -> None:
    space = wording.learned(sorted(set(NOTES)))
    assert space is not None
    x = space.tfidf(sorted(set(NOTES))).toarray()
    assert np.allclose((x * x).sum(axis=1), 1.0)
    exact = np.linalg.svd(x, compute_uv=False)[: space.weights.shape[1]]
    assert np.allclose(np.linalg.norm(x @ space.weights, axis=0)[:5], exact[:5], rtol=1e-3)
    largest = np.abs(space.weights).argmax(axis=0)
    assert (space.weights[largest, np.arange(space.weights.shape[1])] > 0).all()


def test_the_same_texts_give_the_same_bytes_and_read_back() -> None:
    one, two = fitted(NOTES).plain(), fitted(NOTES).plain()
    assert json.dumps(one) == json.dumps(two)
    assert len(json.dumps(one)) < 2_000_000
    assert Preparation.from_plain(json.loads(json.dumps(one))) == fitted(NOTES)


def test_scores_of_a_linear_model_become_columns() -> None:
    prepared = fitted(NOTES)
    space = prepared.texts["c"]
    weights = np.random.default_rng(3).normal(size=(len(space.terms), 2))
    more = prepared.with_text("c", space.with_scores(weights, np.array([0.5, -1.0])))
    assert more.features[-2:] == ("c.score1", "c.score2")
    x = more.matrix(pa.table({"c": NOTES}))
    assert np.allclose(x[:, -2:], space.tfidf(NOTES) @ weights + [0.5, -1.0], atol=1e-5)
    assert np.array_equal(x[:, :-2], prepared.matrix(pa.table({"c": NOTES})))
    told = pa.table({"c": [NOTES[0], "Ω ẞ", None, " "]})
    for space_of in (prepared, more):
        far = Reach(space_of.columns).masks(space_of.matrix(told), told)
        assert {name: mask.tolist() for name, mask in far.items()} == {"c": [False, True, False, False]}


START = datetime(2013, 1, 30, 22, 15)
RENTED = [START + timedelta(minutes=377 * n) for n in range(ROWS)]
MIXED = pa.table(
    {
        "amount": np.arange(ROWS) * 0.5,
        "note": pa.array([None if n % 9 == 0 else t for n, t in enumerate(NOTES)]),
        "name": NAMES,
        "style": [STYLES[n % len(STYLES)] for n in range(ROWS)],
        "rented": pa.array(RENTED, pa.timestamp("us")),
        "back": pa.array([None if n % 5 == 0 else t + timedelta(hours=n % 70) for n, t in enumerate(RENTED)]),
        "paid": pa.array([t.date() + timedelta(days=n % 4) for n, t in enumerate(RENTED)]),
        "born": pa.array([datetime(1950 + (n * 7) % 50, 1 + n % 12, 1) for n in range(ROWS)]),
    }
)


@pytest.mark.parametrize("event_time", [None, "rented"])
@pytest.mark.parametrize("gaps", [False, True])
def test_a_row_alone_gives_the_bits_of_the_batch(event_time: str | None, gaps: bool) -> None:
    prepared = Preparation.fit(MIXED, tuple(MIXED.schema.names), event_time)
    prepared = Preparation.from_plain(json.loads(json.dumps(prepared.plain())))
    inputs = tuple(Input(f.name, data_type(f.type), False) for f in MIXED.schema)
    encoder = Encoder(Signature("m", "y", "y", "regression", inputs[0].type, inputs), prepared)
    rows = MIXED.slice(0, 60).to_pylist()
    rows[3] |= {"note": "", "name": "none of the letters: ẞ", "style": "an unknown style"}
    for n, row in enumerate(rows if gaps else ()):
        row[MIXED.schema.names[n % 8]] = None
    expected = prepared.matrix(pa.Table.from_pylist(rows, MIXED.schema))
    for row, line in zip(rows, expected, strict=True):
        packed = np.frombuffer(encoder.pack(encoder.convert(row)), np.float64)
        assert packed.tobytes() == line.tobytes() or np.array_equal(packed, line, equal_nan=True)


def test_days_between_two_instants_that_move_together_are_learned_from() -> None:
    prepared = Preparation.fit(MIXED, tuple(MIXED.schema.names))
    spans = [f for f in prepared.features if ".since " in f]
    assert set(spans) == {"back.since rented", "back.since paid", "rented.since paid"}  # and none to `born`
    x = prepared.matrix(MIXED)[:, prepared.features.index("back.since rented")]
    assert np.isnan(x[0])
    assert x[1] == pytest.approx(1 / 24)


def test_a_text_space_of_other_lengths_is_refused() -> None:
    kept = fitted(NOTES).columns[0].text
    assert kept is not None
    with pytest.raises(ValueError, match=r"cannot reshape|differ"):
        TextSpace.from_plain({**kept.plain(), "terms": "one\ntwo"})


@pytest.mark.parametrize("words", [True, False])
def test_of_a_vast_text_the_beginning_is_read(words: bool) -> None:
    assert terms_of("soil seed " * 1_000_000, words) == terms_of(("soil seed " * 1_000_000)[:20_000], words)
