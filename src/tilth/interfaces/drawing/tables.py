"""Tables of a report, whose cells are HTML. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells are HTML; on a phone each has its column's name before it."""
    if not rows:
        return ""
    titles = "".join(f"<th>{escape(h)}</th>" for h in head)
    body = "".join(
        "<tr>"
        + "".join(
            f'<td data-head="{escape(h)}"><span>{c}</span></td>' for h, c in zip(head, row, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>"


LONGEST = 20_000  # characters of a text that a page shows


def short(text: object, most: int = LONGEST) -> str:
    """The text; a very long one is cut, and says so."""
    said = str(text)
    return said if len(said) <= most else f"{said[:most]} … and {len(said) - most:,} characters more"
