"""Reads the fixture files of pairs: `=== title`, the input, `--->`, what is expected."""

from pathlib import Path

FIXTURES = Path(__file__).parents[2] / "fixtures" / "language"


def pairs(name: str) -> list[tuple[str, str, str]]:
    """Title, input and expected text of each case of the file."""
    out = []
    for block in ("\n" + (FIXTURES / name).read_text("utf-8")).split("\n=== ")[1:]:
        title, _, rest = block.partition("\n")
        given, _, expected = rest.partition("\n--->\n")
        out.append((title, given, expected.rstrip("\n")))
    return out
