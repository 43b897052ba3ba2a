"""Presets and limits of a training, and groups: what they may be, and what of them makes another model."""

import pytest

from tilth.core.engines import Engine, Form, Option
from tilth.core.errors import ProjectError, TilthError, UnknownNameError
from tilth.kinds import (
    compile,  # noqa: A004
    parse,
)
from tilth.resources.facts import Facts

ENGINES = (
    Engine("linear", rank=1, weighs=True),
    Engine("catboost", options=(Option("depth", Form.WHOLE),), best=True),
)
FACTS = Facts(ENGINES, {}, ("files",))
SOURCE = "CREATE SOURCE s ENGINE files WITH (path = 'd'); CREATE MODEL m PREDICT y FROM (SELECT * FROM s.t)"

REFUSED = [
    ("preset = 'good'", "'good' does not fit `preset`", "preset = 'best'"),
    ("preset = 2", "2 does not fit `preset`", "preset = 'fast'"),
    ("cpu_limit = 60", "60 does not fit `cpu_limit`", "cpu_limit = '60 s'"),
    ("cpu_limit = '0 s'", "'0 s' does not fit `cpu_limit`", "cpu_limit = '60 s'"),
    ("max_row_time = '1 mb'", "does not fit `max_row_time`", "max_row_time = '1 ms'"),
    ("max_row_time = '0 ms'", "does not fit `max_row_time`", "max_row_time = '1 ms'"),
    ("max_bundle = '20'", "'20' does not fit `max_bundle`", "max_bundle = '20 MB'"),
    ("max_bundle = '0 MB'", "'0 MB' does not fit `max_bundle`", "max_bundle = '20 MB'"),
    ("engine = 'linear', preset = 'best'", "names the engine `linear`", "Leave out preset = 'best'"),
    ("seed = 4294967296", "4294967296 does not fit `seed`", "at most 2147483647"),
    ("seed = -1", "-1 does not fit `seed`", "seed = 7"),
    ("threads = 1000000", "1000000 does not fit `threads`", "at most 256"),
    ("threads = 0", "0 does not fit `threads`", "threads = 2"),
    ("max_bundel = '20 MB'", "`max_bundel` is not an option of USING", "max_bundle"),
    ("preset = 'best', catboost.dept = 3", "has no option `dept`", "depth"),
]
OBJECTIVES = [
    # objective, words of the error (none: it stands)
    ("metric = 'rmse', minimum = -1", "`rmse` is never below 0"),
    ("metric = 'pinball_0.9', minimum = -0.1", "`pinball_0.9` is never below 0"),
    ("metric = 'r2', minimum = 1.5", "`r2` is never above 1"),
    ("metric = 'roc_auc', minimum = 70", "`roc_auc` is never above 1"),
    ("metric = 'r2', minimum = -1", ""),
    ("metric = 'rmse', minimum = 700", ""),
    ("metric = 'positive_likelihood_ratio', minimum = 3", ""),
    ("minimum = 70", ""),
]
ANOTHER = [
    ("preset = 'fast'", False),
    ("threads = 2", False),
    ("preset = 'best'", True),
    ("cpu_limit = '60 s'", True),
    ("max_row_time = '1 ms'", True),
    ("max_bundle = '20 MB'", True),
]
ALIKE = [
    ("cpu_limit = '60 s'", "cpu_limit = '1 minute'"),
    ("max_row_time = '1 ms'", "max_row_time = '1000 microseconds'"),
    ("max_bundle = '20 MB'", "max_bundle = '20480 KiB'"),
]


def recipe(using: str = "", objective: str = "") -> str:
    clause = f"OBJECTIVE ({objective})" if objective else f"USING ({using})" if using else ""
    return compile(parse(f"{SOURCE} {clause}", "all.sql"), FACTS).get("m").recipe


@pytest.mark.parametrize(("objective", "words"), OBJECTIVES, ids=[o[0] for o in OBJECTIVES])
def test_a_minimum_that_no_model_reaches_is_refused(objective: str, words: str) -> None:
    if not words:
        assert recipe(objective=objective)
        return
    with pytest.raises(ProjectError, match=words) as error:
        recipe(objective=objective)
    assert error.value.hint


@pytest.mark.parametrize(("using", "message", "hint"), REFUSED, ids=[r[0] for r in REFUSED])
def test_what_is_no_limit_is_refused_with_one_that_is(using: str, message: str, hint: str) -> None:
    with pytest.raises(TilthError, match=message) as error:
        recipe(using)
    assert isinstance(error.value, ProjectError | UnknownNameError)
    assert hint in error.value.hint


@pytest.mark.parametrize(("using", "other"), ANOTHER, ids=[a[0] for a in ANOTHER])
def test_what_decides_what_comes_out_makes_another_model(using: str, other: bool) -> None:
    assert (recipe(using) != recipe()) == other


@pytest.mark.parametrize(("one", "same"), ALIKE)
def test_a_limit_is_the_same_however_it_is_written(one: str, same: str) -> None:
    assert recipe(one) == recipe(same)


@pytest.mark.parametrize(
    ("more", "other"), [("GROUP KEY (y)", "the target"), ("GROUP KEY (g) FEATURES (a, G)", "a feature")]
)
def test_what_tells_groups_apart_is_nothing_else(more: str, other: str) -> None:
    with pytest.raises(ProjectError, match=f"cannot be {other} too"):
        compile(parse(f"{SOURCE} {more}", "all.sql"), FACTS)


def test_groups_are_part_of_the_model() -> None:
    found = [
        compile(parse(f"{SOURCE} {more}", "all.sql"), FACTS).get("m").recipe for more in ("", "GROUP KEY (g)")
    ]
    assert found[0] != found[1]


WEIGHTS = [
    ("OBJECTIVE (weight = 3)", "3 does not fit `weight`"),
    ("OBJECTIVE (weight = '')", "'' does not fit `weight`"),
    ("OBJECTIVE (weight = 'Y')", "cannot be what is predicted or learned from"),
    ("FEATURES (a, w) OBJECTIVE (weight = 'w')", "cannot be what is predicted or learned from"),
    ("OBJECTIVE (weight = 'w') USING (engine = 'catboost')", "`catboost` of model `m` takes no weights"),
    ("OBJECTIVE (monotone = 'a')", "does not fit `monotone`"),
    ("OBJECTIVE (monotone = {})", "does not fit `monotone`"),
    ("OBJECTIVE (monotone = {a: 'rising'})", "does not fit `monotone`"),
    ("OBJECTIVE (monotone = {a: 1})", "does not fit `monotone`"),
    ("OBJECTIVE (monotone = {a: 'up'}) USING (engine = 'linear')", "`linear` of model `m` cannot promise"),
]


@pytest.mark.parametrize(("more", "message"), WEIGHTS)
def test_what_is_no_weight_or_way_is_refused(more: str, message: str) -> None:
    with pytest.raises(TilthError, match=message) as error:
        compile(parse(f"{SOURCE} {more}", "all.sql"), FACTS)
    assert error.value.hint


def test_weights_are_part_of_the_model() -> None:
    found = [
        compile(parse(f"{SOURCE} {more}", "all.sql"), FACTS).get("m").recipe
        for more in ("", "OBJECTIVE (weight = 'w')", "OBJECTIVE (weight = 'v') USING (engine = 'linear')")
    ]
    assert len(set(found)) == 3


def test_ways_are_part_of_the_model_whatever_their_order() -> None:
    one, two, other = (
        compile(parse(f"{SOURCE} OBJECTIVE (monotone = {{{ways}}})", "all.sql"), FACTS).get("m").recipe
        for ways in ("a: 'up', b: 'down'", "b: 'down', a: 'up'", "a: 'down', b: 'up'")
    )
    assert one == two != other
