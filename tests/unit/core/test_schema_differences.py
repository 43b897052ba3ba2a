"""What differs between two schemas."""

import pytest

from tilth.core.schema import DataType, Field, Schema
from tilth.core.schema_changes import differences

KINDS = {"i": DataType.INTEGER, "s": DataType.STRING, "f": DataType.FLOAT}


def schema(text: str) -> Schema:
    return Schema(tuple(Field(n, KINDS[k]) for n, k in (part.split(":") for part in text.split())))


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ("a:i b:s", "a:i b:s", []),
        ("a:i b:s", "b:s a:i", []),
        ("a:i b:s", "A:i B:s", []),
        ("a:i b:s", "a:s b:s", ["column `a` of o.t was retyped from INTEGER to STRING"]),
        ("a:i b:s", "a:i", ["column `b` of o.t was dropped"]),
        ("a:i", "a:i b:s", ["column `b` of o.t is new"]),
        ("a:i b:s", "a:i c:s", ["column `b` of o.t is gone, and `c` of the same type stands in its place: it may have been renamed"]),
        ("a:i b:s", "a:i c:f", ["column `b` of o.t was dropped", "column `c` of o.t is new"]),
        ("a:i b:s c:f", "a:i c:f d:s", ["column `b` of o.t was dropped", "column `d` of o.t is new"]),
        ("", "a:i", ["column `a` of o.t is new"]),
    ],
)  # fmt: skip
def test_differences(was: str, now: str, said: list[str]) -> None:
    assert [one.words("o.t") for one in differences(schema(was), schema(now))] == said
