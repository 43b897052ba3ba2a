"""Hands a message to an address outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Webhook(Protocol):
    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> str | None:
        """None when it was taken (200 to 299); else what was answered, or why nothing was, without the address."""
        ...
