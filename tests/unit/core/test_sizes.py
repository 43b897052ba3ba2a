"""Sizes: a table of texts and bytes."""

import pytest

from tilth.core.errors import LanguageError
from tilth.core.sizes import parse_size, show_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("2 GB", 2 << 30), ("512MiB", 512 << 20), ("1.5 kb", 1536), (" 4 TB ", 4 << 40), ("1 MB", 1 << 20)],
)
def test_a_size_is_read_in_the_units_people_write(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "2", "GB", "-1 GB", "0 MB", "2 XB", "1e3 MB", "٢ GB", "9999999999 TB", "2 GB 1 MB"]
)
def test_a_wrong_size_says_what_to_write(text: str) -> None:
    with pytest.raises(LanguageError, match="is not a size") as caught:
        parse_size(text)
    assert "'2 GB'" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 bytes"), (1000, "1,000 bytes"), (1536, "1.5 KB"), (3 << 30, "3 GB")]
)
def test_a_size_is_shown_in_its_largest_unit(size: int, text: str) -> None:
    assert show_size(size) == text
