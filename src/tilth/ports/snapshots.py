"""What a snapshot of a dataset is: rows in immutable parts, listed by a manifest."""

from __future__ import annotations

from dataclasses import dataclass

from tilth.core.canonical import canonical, digest
from tilth.core.schema import Schema


@dataclass(frozen=True, slots=True)
class Part:
    """One Parquet file. `content` is the digest of its logical rows, `blob` of its bytes; events are ISO texts.

    `ids` is the blob with 64 bits for each row, little-endian, in the rows' order; None where none were written.
    """

    blob: str
    content: str
    rows: int
    bytes: int
    event_min: str | None = None
    event_max: str | None = None
    ids: str | None = None

    @property
    def blobs(self) -> tuple[str, ...]:
        """Every blob that the part needs."""
        return (self.blob,) if self.ids is None else (self.blob, self.ids)


@dataclass(frozen=True, slots=True)
class Manifest:
    """The identity and contents of a snapshot. `id` depends on logical content only, never on file bytes."""

    dataset: str
    recipe: str
    schema: Schema
    parts: tuple[Part, ...]
    watermark: str | None = (
        None  # newest event time seen that was not later than the present, ISO without offset
    )
    parent: str | None = None
    known_as: str | None = None  # the id that it was published with, where rows were taken out of it since

    @property
    def rows(self) -> int:
        return sum(p.rows for p in self.parts)

    @property
    def bytes(self) -> int:
        return sum(p.bytes for p in self.parts)

    @property
    def id(self) -> str:
        """What it is known as: its content, as it was published."""
        return self.known_as or self.content

    @property
    def content(self) -> str:
        """32 hex characters over recipe, schema and the parts' content digests."""
        content = [self.recipe, self.schema.plain(), [p.content for p in self.parts]]
        return digest(canonical(content))[:32]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check found. `failed` counts rows (row checks) or is 0/1 (set checks); `observed` is a readable value."""

    check: str  # printed form of the expectation
    kind: str
    on_fail: str
    passed: bool
    failed: int = 0
    rows: int = 0
    observed: str | None = None
    judged: bool = True  # False: it could not be asked yet, and `observed` says why
    value: float | None = None  # what was found, as a number
    low: float | None = None  # the bounds that it is to lie in
    high: float | None = None


@dataclass(frozen=True, slots=True)
class QuarantineFile:
    """Rows held back, as a Parquet blob: the dataset's columns as text (JSON in `row`) with `reasons`."""

    blob: str
    rows: int
    bytes: int
