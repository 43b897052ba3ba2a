"""What an import is given: a model's files, and what the folder says of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tilth.ml.bundles.manifest import bundle_digest, digests


@dataclass(frozen=True, slots=True)
class Given:
    """What was found in a folder: the flavor, its files by name, what is said of it, the names of its inputs, when it was made."""

    flavor: str
    files: Mapping[str, bytes]
    about: Mapping[str, Any]
    inputs: tuple[str, ...] = ()
    made_at: str | None = None

    @property
    def digest(self) -> str:
        """One digest of the files."""
        return bundle_digest(digests(self.files))
