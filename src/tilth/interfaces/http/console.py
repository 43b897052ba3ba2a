"""The console page: one static file with its style and script inside, allowed to run by their hashes and nothing else.

It holds no data. The token comes in the URL's fragment, which browsers do not send; the page then asks `/status`.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib import resources

from tilth.interfaces import style


@cache
def page() -> bytes:
    """The page."""
    frame = resources.files(__package__).joinpath("console.html").read_text("utf-8")
    return frame.replace("{{style}}", style()).encode()


def _hash(tag: str) -> str:
    found = re.search(rf"<{tag}>(.*?)</{tag}>".encode(), page(), re.DOTALL)
    assert found is not None
    return f"'sha256-{base64.b64encode(hashlib.sha256(found[1]).digest()).decode()}'"


POLICY = (
    f"default-src 'none'; script-src {_hash('script')}; style-src {_hash('style')}; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
