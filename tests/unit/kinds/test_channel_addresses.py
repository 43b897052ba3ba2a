"""The address of a channel: what is none is told with its place and why, and without a word of what may be a secret."""

from pathlib import Path

import pytest

from tilth.kinds.channel import is_address
from tilth.runtime.project.checking import check

KEY = "key = SECRET 'env:K'"
WRONG = [
    ("ftp://hooks.example/s3cret", "its url begins otherwise"),
    ("s3cret", "its url begins otherwise"),
    ("", "its url begins otherwise"),
    ("https://me:s3cret@hooks.example/x", "its url holds a user or a password"),
    ("https://s3cret@hooks.example/x", "its url holds a user or a password"),
    ("https://hooks.example:99999/s3cret", "host or port that cannot be"),
    ("https://hooks.example:port/s3cret", "host or port that cannot be"),
    ("https://[hooks/s3cret", "host or port that cannot be"),
    ("https:///s3cret", "its url names no host"),
]
RIGHT = ["https://hooks.example/x", "http://127.0.0.1:9000/x?a=b", "https://[::1]/x"]


def channel(options: str) -> str:
    return f"CREATE CHANNEL ops\n  WITH ({options})\n  NOTIFY ON (failed);"


@pytest.mark.parametrize(("url", "why"), WRONG)
def test_what_is_no_address_says_why_and_where_and_is_not_shown(tmp_path: Path, url: str, why: str) -> None:
    assert not is_address(url)
    (tmp_path / "all.sql").write_text(channel(f"url = '{url}', {KEY}").replace("\n", ""))
    (problem,) = check(str(tmp_path)).problems
    assert why in problem.message
    assert str(problem.where) == "all.sql:1:1"
    assert "s3cret" not in str(problem)


@pytest.mark.parametrize("url", RIGHT)
def test_what_is_an_address_is_taken(tmp_path: Path, url: str) -> None:
    assert is_address(url)
    (tmp_path / "all.sql").write_text(channel(f"url = '{url}', {KEY}"))
    assert check(str(tmp_path)).problems == ()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (KEY, "webhook, and there is none"),
        ("url = 'https://hooks.example/x'", "needs a key"),
        ("url = 'https://hooks.example/x', key = 's3cret'", "needs a key"),
    ],
)
def test_what_is_missing_has_its_place(tmp_path: Path, options: str, why: str) -> None:
    (tmp_path / "all.sql").write_text(channel(options))
    (problem,) = check(str(tmp_path)).problems
    assert why in problem.message
    assert str(problem.where) == "all.sql:1:1"
    assert "s3cret" not in str(problem)
