"""A JSON row gives each of its names once."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilth.core.errors import InputError
from tilth.ml.model.once import apart, once


class Row(msgspec.Struct, forbid_unknown_fields=True):
    a: float | None = None
    b: str | None = None
    c: str | None = None


@pytest.mark.parametrize(
    ("body", "twice"),
    [
        ('{"a":1,"b":"x","c":"y"}', None),
        ('{"a":1}', None),
        ('{"a":null,"b":null}', None),
        ('{"b":"null"}', None),
        ('{"b":"a \\" quote","c":"\\\\"}', None),
        ('{"b":"\\u0022\\u0022"}', None),
        ('{"b":"{\\"a\\":1,\\"a\\":2}"}', None),
        (' { "a" : 1 , "b" : "x:y,z" } ', None),
        ('{"a":1,"a":1}', "a"),
        ('{"a":1,"a":2,"b":"x","c":"y"}', "a"),
        ('{"a":1,"b":"x","b":"y"}', "b"),
        ('{"b":null,"b":"x"}', "b"),
        ('{"b":"x","b":null}', "b"),
        ('{"a":1,"a":2,"b":"x"}', "a"),  # as many names as there are columns
        ('{"a":1,"\\u0061":2,"b":"x","c":"y"}', "a"),
        ('{"b":"\\u0022\\u0022","b":"x"}', "b"),
        ('{"a":1, "a" :2,"b":"\\u0022"}', "a"),
    ],
)
def test_a_name_that_comes_twice_is_found(body: str, twice: str | None) -> None:
    row = msgspec.json.decode(body, type=Row)
    if twice is None:
        once(body.encode(), msgspec.json.encode(row))
        apart(body.encode())
        return
    with pytest.raises(InputError, match=f"`{twice}` is given twice"):
        once(body.encode(), msgspec.json.encode(row))
    with pytest.raises(InputError, match=f"`{twice}` is given twice"):
        apart(body.encode())


TEXTS = st.text(alphabet=st.sampled_from('a"\\:,{}n é\n'), max_size=6)
PAIRS = st.lists(
    st.one_of(
        st.tuples(st.just("a"), st.none() | st.floats(allow_nan=False, allow_infinity=False)),
        st.tuples(st.sampled_from("bc"), st.none() | TEXTS),
    ),
    max_size=5,
)


@given(PAIRS, st.booleans())
def test_whatever_the_values_are(pairs: list[tuple[str, object]], ascii_only: bool) -> None:
    parts = (f"{json.dumps(k)}:{json.dumps(v, ensure_ascii=ascii_only)}" for k, v in pairs)
    body = ("{" + ",".join(parts) + "}").encode()
    row = msgspec.json.decode(body, type=Row)
    if len({k for k, _ in pairs}) == len(pairs):
        once(body, msgspec.json.encode(row))
    else:
        with pytest.raises(InputError, match="twice"):
            once(body, msgspec.json.encode(row))
