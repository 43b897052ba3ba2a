"""What `tilth fmt` does to a text: a table of it, and that no text loses a comment, changes its meaning, or is changed twice."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from cases import pairs
from hypothesis import given, settings
from hypothesis import strategies as st

from tilth.core.errors import LanguageError, TilthError, UnsupportedError
from tilth.kinds import KINDS
from tilth.sql.language import layout
from tilth.sql.language.gaps import gaps
from tilth.sql.language.tokens import Cursor

SOURCES = Path(layout.__file__).parents[2]
LAID = pairs("layout.txt")


@pytest.mark.parametrize(("given_", "expected"), [p[1:] for p in LAID], ids=[p[0] for p in LAID])
def test_a_text_has_one_layout(given_: str, expected: str) -> None:
    assert KINDS.layout(given_) == expected + "\n"
    assert KINDS.layout(expected) == expected + "\n"


@pytest.mark.parametrize("path", sorted((SOURCES / "templates").rglob("*.sql")), ids=lambda p: p.name)
def test_what_ships_is_laid_out(path: Path) -> None:
    text = path.read_text("utf-8")
    assert KINDS.layout(text) == text


def comments(text: str) -> list[str]:
    return [one.text for gap in gaps(Cursor(text)) for one in gap.comments]


PARTS = [part for _, given_, expected in pairs("canonical.txt") for part in (given_, expected)]
SPACES = [
    " ", "\n", "\t", "\n\n\n", "  ", "\r\n", " -- c\n", "\n-- own\n", "\n  -- one\n  -- two\n", "-- a\n\n\n-- b\n", " -- ' \" \n",
    " /* b */ ", "\n/* m\n  n */\n", "/* x /* y */ z */", "{# j #}", "",
]  # fmt: skip


@st.composite
def texts(draw: st.DrawFn) -> str:
    """Statements with white space and comments anywhere between their tokens."""
    chosen = draw(st.lists(st.sampled_from(PARTS), min_size=1, max_size=3))
    ends = st.sampled_from([";", ";;", " ;", ";\n\n", ";-- t\n", ";\n-- u\n\n\n"])
    text = "".join(part.rstrip().rstrip(";") + draw(ends) for part in chosen)
    c, out, at = Cursor(text), list[str](), 0
    places = draw(st.dictionaries(st.integers(0, len(c.tokens)), st.sampled_from(SPACES), max_size=12))
    for i, token in enumerate(c.tokens):
        out += [text[at : token.start], places.get(i, ""), text[token.start : token.end + 1]]
        at = token.end + 1
    return "".join([*out, text[at:], places.get(len(c.tokens), "")])


@settings(max_examples=300, deadline=None)
@given(texts())
def test_a_layout_keeps_comments_and_meaning_and_is_found_once(text: str) -> None:
    try:
        before = KINDS.parse(text)
    except TilthError:
        return
    laid = KINDS.layout(text)
    assert KINDS.parse(laid) == before
    assert comments(laid) == comments(text)
    assert KINDS.layout(laid) == laid


def test_ends_of_lines_and_the_mark_of_an_editor_stay() -> None:
    text = "\ufeffCREATE SOURCE a\r\nENGINE files;\r\nCREATE DATASET d KEY (i) AS\r\nSELECT 1,\r\n2;"
    want = "\ufeffCREATE SOURCE a ENGINE files;\r\n\r\nCREATE DATASET d\r\n  KEY (i)\r\nAS\r\nSELECT 1,\r\n2;\r\n"
    assert KINDS.layout(text) == want
    assert KINDS.layout(want) == want


@pytest.mark.parametrize("text", ["", " \n", ";;"])
def test_nothing_stays_nothing(text: str) -> None:
    assert KINDS.layout(text) == ""


def test_a_text_that_cannot_be_read_is_refused_with_its_place() -> None:
    with pytest.raises(LanguageError) as raised:
        KINDS.layout("CREATE SOURCE a ENGINE files;\nCREATE DATASET d KEYS (a) AS SELECT 1;", "d.sql")
    assert str(raised.value.where) == "d.sql:2:18"


SPOILT: list[Callable[[str], str]] = [
    lambda text: text.replace("-- c", ""),
    lambda text: text.replace("-- c", "-- d"),
    lambda text: text.replace("'x'", "'y'"),
    lambda text: text.replace("files", "sqlite"),
]


@pytest.mark.parametrize("spoil", SPOILT)
def test_a_layout_that_would_say_something_else_is_refused(
    spoil: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = layout._laid
    monkeypatch.setattr(layout, "_laid", lambda *a: spoil(real(*a)))
    with pytest.raises(UnsupportedError, match="left as it is"):
        KINDS.layout("CREATE SOURCE a ENGINE files WITH (path = 'x'); -- c")


def test_a_long_text_is_laid_out_in_time() -> None:
    one = "CREATE DATASET d{} KEY (a) EXPECT (a > 0, b > 0) -- c\n AS SELECT a,\n b FROM s.t;\n"
    text = "".join(one.format(n) for n in range(1000))
    assert len(re.findall("CREATE", KINDS.layout(text))) == 1000
