"""Searches of options as they are declared: what belongs to one, what it needs, and what of it makes another model."""

import pytest

from tilth.core.engines import Engine, Option, Span
from tilth.core.errors import MissingExtraError, TilthError
from tilth.kinds import (
    compile,  # noqa: A004
    parse,
)
from tilth.resources.facts import Facts

ENGINES = (
    Engine("linear", options=(Option("hinges", span=Span(0, 9)),), rank=1),
    Engine("own", options=(Option("depth"),)),
)
FACTS = Facts(ENGINES, {}, ("files",))
SOURCE = "CREATE SOURCE s ENGINE files WITH (path = 'd'); CREATE MODEL m PREDICT y FROM (SELECT * FROM s.t)"


def recipe(using: str = "", facts: Facts = FACTS) -> str:
    clause = f"USING ({using})" if using else ""
    return compile(parse(f"{SOURCE} {clause}", "all.sql"), facts).get("m").recipe


REFUSED = [
    ("search = 'yes'", "'yes' does not fit `search`", "search = 'on'"),
    ("search = true", "does not fit `search`", "'always' or 'off'"),
    ("search = 'on', budget = '0 s'", "'0 s' does not fit `budget`", "budget = '10 min'"),
    ("search = 'on', budget = 600", "600 does not fit `budget`", "budget = '10 min'"),
    ("search = 'on', trials = 0", "0 does not fit `trials`", "trials = 50"),
    ("budget = '10 min'", "`budget` is of a search", "search = 'on'"),
    ("search = 'off', trials = 9", "`trials` is of a search", "leave out trials"),
    ("search = 'on', engine = 'own'", "names no option that can be searched", "auto, linear"),
]


@pytest.mark.parametrize(("using", "message", "hint"), REFUSED, ids=[r[0] for r in REFUSED])
def test_what_is_no_search_is_refused_with_one_that_is(using: str, message: str, hint: str) -> None:
    with pytest.raises(TilthError, match=message) as error:
        recipe(using)
    assert hint in str(error.value.hint)


def test_without_its_package_it_says_how_to_install_it_and_nothing_else_does() -> None:
    lacking = Facts(ENGINES, {}, ("files",), lacking={"search": ("No Optuna.", "Run: pip install")})
    assert recipe("search = 'off'", lacking) == recipe(facts=lacking) == recipe()
    with pytest.raises(MissingExtraError, match="No Optuna") as error:
        recipe("search = 'on'", lacking)
    assert error.value.hint == "Run: pip install"


MADE = [
    ("search = 'off'", "", True),
    ("search = 'on'", "", False),
    ("search = 'on'", "search = 'always'", False),
    ("search = 'on', budget = '10 min'", "search = 'on', budget = '600 s'", True),
    ("search = 'on', budget = '10 min'", "search = 'on', budget = '11 min'", False),
    ("search = 'on', trials = 9", "search = 'on', trials = 8", False),
]


@pytest.mark.parametrize(("one", "other", "alike"), MADE)
def test_what_is_searched_and_how_long_says_what_is_made(one: str, other: str, alike: bool) -> None:
    assert (recipe(one) == recipe(other)) is alike
