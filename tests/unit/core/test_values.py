"""Durations, instants, names, canonical forms and errors: each a table of input and result."""

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilth.core.canonical import canonical, fingerprint
from tilth.core.errors import LanguageError, Position, TilthError, UnknownNameError
from tilth.core.names import did_you_mean, nearest, quoted
from tilth.core.schema import DataType, Field, Schema
from tilth.core.time import parse_duration, parse_instant, show_duration, show_instant


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1 hour", 3600),
        ("60 s", 60),
        ("7 days", 7 * 86400),
        ("20 ms", 0.02),
        ("1 day 12 hours", 129600),
        ("1 day, 12 hours", 129600),
        ("1.5 h", 5400),
        ("2 WEEKS", 14 * 86400),
    ],
)
def test_a_duration_is_read_in_the_units_people_write(text: str, seconds: float) -> None:
    assert parse_duration(text).total_seconds() == seconds


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not a duration"),
        ("soon", "not a duration"),
        ("3 dayz", "Did you mean 'day"),
        ("0 s", "not a duration"),
        ("1 day 1 day", "twice"),
        ("1 h 2 hours", "twice"),
        ("٣ days", "not a duration"),
        ("１ day", "not a duration"),
        ("9" * 400 + " days", "too long"),
        ("99999999999 weeks", "too long"),
    ],
)
def test_a_wrong_duration_says_what_to_write(text: str, says: str) -> None:
    with pytest.raises(LanguageError) as caught:
        parse_duration(text)
    assert says in str(caught.value)


@given(st.integers(1, 10**9))
def test_a_shown_duration_reads_back(seconds: int) -> None:
    span = timedelta(seconds=seconds)
    assert parse_duration(show_duration(span)) == span


@given(st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1)))
def test_a_shown_instant_reads_back(moment: datetime) -> None:
    instant = moment.replace(tzinfo=UTC)
    assert parse_instant(show_instant(instant)) == instant


def test_an_instant_without_an_offset_is_utc() -> None:
    assert parse_instant("2013-05-01") == datetime(2013, 5, 1, tzinfo=UTC)
    assert parse_instant("2013-05-01T02:00:00+02:00") == datetime(2013, 5, 1, tzinfo=UTC)


def test_the_nearest_name_is_offered_and_a_far_one_is_not() -> None:
    assert nearest("carier", ["carrier", "origin"]) == "carrier"
    assert nearest("zzz", ["carrier", "origin"]) is None
    assert did_you_mean("carier", ["carrier"], "columns") == "Did you mean `carrier`? Columns: carrier."


def test_any_identifier_can_be_quoted() -> None:
    assert quoted('a"b') == '"a""b"'


def test_canonical_form_does_not_depend_on_order_or_mapping_type() -> None:
    assert canonical({"b": 1, "a": (1, 2)}) == canonical({"a": [1, 2], "b": 1})


@dataclasses.dataclass(frozen=True)
class Pair:
    left: int
    note: str = dataclasses.field(default="", compare=False)


def test_fingerprints_ignore_what_comparison_ignores_and_carry_their_recipe() -> None:
    assert fingerprint(Pair(1, "x")) == fingerprint(Pair(1, "y")) != fingerprint(Pair(2))
    assert fingerprint(Pair(1)).startswith("1:")


def test_a_schema_finds_columns_without_case_and_offers_the_nearest() -> None:
    schema = Schema((Field("Origin", DataType.STRING), Field("dist", DataType.INTEGER, nullable=False)))
    assert schema.field("origin").name == "Origin"
    assert Schema.from_plain(schema.plain()) == schema
    with pytest.raises(UnknownNameError, match="Did you mean `dist`"):
        schema.field("dits")


def test_an_error_shows_place_caret_and_next_step() -> None:
    where = Position(4, 7, 6, "models/churn.sql", "USING engine = 'auto'")
    error = TilthError("Model `churn` has no target column.", where=where, hint="Add `PREDICT <column>`.")
    assert str(error).splitlines() == [
        "Model `churn` has no target column.  [E-TILTH]",
        "  models/churn.sql:4:7",
        "    4 | USING engine = 'auto'",
        "      |       ^^^^^^",
        "  Add `PREDICT <column>`.",
    ]


def _family(cls: type[TilthError]) -> set[type[TilthError]]:
    return {cls}.union(*(_family(c) for c in cls.__subclasses__()))


def test_every_error_class_has_a_code_of_its_own_and_stands_in_the_tree() -> None:
    import tilth.core.errors as module

    family = {c for c in _family(TilthError) - {TilthError} if c.__module__ == module.__name__}
    codes = {cls.code for cls in family}
    assert len(codes) == len(family)
    assert module.__doc__ is not None
    for cls in family:
        assert cls.__name__ in module.__doc__
        assert cls.code in module.__doc__
