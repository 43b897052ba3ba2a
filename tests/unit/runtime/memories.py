"""A workspace in memory: a state, files that are names or are there (`stocked`), a key, and a clock that stands still."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa

from tilth.adapters.files.memory import MemoryBlobs, MemoryBundles
from tilth.adapters.state.sqlite.state import memory
from tilth.core.errors import TamperError
from tilth.core.principals import person
from tilth.core.schema import DataType, Field, Schema
from tilth.core.time import show_instant
from tilth.ml.bundles.provenance import Subject
from tilth.ml.bundles.signing import seal
from tilth.ml.data import identity
from tilth.ml.data.snapshots import Marks, plain_schema, write_parts
from tilth.plan.snapshot import Pointer
from tilth.ports.arrow import schema_of
from tilth.ports.predictions import MemoryLog
from tilth.ports.snapshots import Manifest, Part
from tilth.runtime.moving.publishing import Move, publish
from tilth.runtime.record import environments, evidence, snapshots, versions
from tilth.runtime.record.evidence import Gate
from tilth.runtime.record.versions import Version
from tilth.runtime.workspace import Workspace
from tilth.sql.language.statements import Kind

NOW = datetime(2024, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
BY = person("test")


@dataclass
class Files:
    """A store of files by digest, each of ten bytes."""

    there: set[str] = field(default_factory=set)

    def digests(self) -> Iterator[tuple[str, int]]:
        return iter([(d, 10) for d in sorted(self.there)])

    def delete(self, digest: str) -> int:
        self.there.remove(digest)
        return 10

    def tidy(self) -> int:
        return 0


class Clock:
    def now(self) -> datetime:
        return NOW


class Locks:
    @contextmanager
    def hold(self, name: str, wait: float = 0.0, *, shared: bool = False) -> Iterator[None]:
        yield


class Log(MemoryLog):
    """Forgets nothing: there is nothing old."""

    def forget(self, before: str) -> tuple[int, int]:
        return 0, 0


def workspace() -> Workspace:
    none: Any = None
    blobs, bundles, locks, log = (cast_any(x) for x in (Files(), Files(), Locks(), Log()))
    return Workspace("", memory(), blobs, bundles, locks, none, Clock(), none, none, lambda: log)


class Key:
    """A key that everybody has who can read this."""

    key_id = "k"

    def sign(self, payload: bytes) -> bytes:
        return sha256(b"secret" + payload).digest()

    def ready(self) -> None: ...

    def verify(self, payload: bytes, signature: bytes, key_id: str) -> None:
        if (self.sign(payload), self.key_id) != (signature, key_id):
            raise TamperError("The signature does not hold.")


def stocked(**more: Any) -> Workspace:
    """The same with files that are there, and a key: for what reads rows and loads models."""
    files: Any = {"blobs": MemoryBlobs(), "bundles": MemoryBundles(), "keys_of": Key}
    return replace(workspace(), **files | more)


def stored(work: Workspace, table: pa.Table, key: tuple[str, ...] = (), event: str | None = None) -> Manifest:
    """The rows as a snapshot of the dataset `d`, in parts of 200 rows, as collecting publishes it."""
    plain = table.cast(plain_schema(table.schema))
    marks = Marks(event, identity.written(key, event, plain.schema.names))
    parts = []
    for start in range(0, plain.num_rows, 200):
        folder: Any = work.blobs.scratch()
        written = write_parts(plain.slice(start, 200).to_batches(), plain.schema, folder, marks)
        parts += [w.put(work.blobs) for w in written]
    made = Manifest("d", "1:d", schema_of(plain.schema), tuple(parts))
    with work.state.change(BY, show_instant(NOW)) as change:
        snapshots.add(change, made, NOW)
        change.audit("record", "test", {})
    return made


def sealed(work: Workspace, number: int, files: Mapping[str, bytes], snapshot: str, **more: Any) -> Version:
    """A version whose bundle holds these files, signed and tried; what training says of it is `split`, `leaks` and `agreement`."""
    said: dict[str, Any] = {"split": {}, "leaks": [], "agreement": None}
    kept = {name: more.pop(name, other) for name, other in said.items()}
    one = version(number, more.pop("status", "candidate"), snapshot=snapshot, kept=json.dumps(kept), **more)
    folder = Path(work.bundles.scratch())
    for name, content in files.items():
        (folder / name).write_bytes(content)
    subject = Subject(one.model, number, one.recipe, snapshot)
    made = seal(folder, subject, work.keys, {"checked": {"checker": 1}})
    work.bundles.put(made.digest, str(folder))
    one = replace(one, digest=made.digest)
    with work.state.change(BY, show_instant(NOW)) as change:
        versions.add(change, one)
        change.audit("record", "test", {})
    return one


def cast_any(value: object) -> Any:
    return value


def manifest(n: int, dataset: str = "d") -> Manifest:
    """A snapshot with one file of its own."""
    schema = Schema((Field("a", DataType.INTEGER),))
    return Manifest(dataset, "1:d", schema, (Part(f"blob{n}", f"content{n}", 1, 1),))


def version(number: int, status: str = "promoted", made: datetime = NOW, **more: Any) -> Version:
    said: dict[str, Any] = {
        "model": "m", "version": number, "recipe": "1:m", "snapshot": manifest(number).id, "digest": f"bundle{number}",
        "status": status, "engine": "linear", "learning": 1, "rows": 1, "tuned_until": None, "kept": "{}",
        "reason": "new", "seconds": 0.0, "created_at": made,
    }  # fmt: skip
    return Version(**said | more)


def remember(work: Workspace, *rows: Manifest | Version | Gate) -> None:
    """Record these, with the files that they name."""
    files: Any = work.blobs, work.bundles
    with work.state.change(BY, show_instant(NOW)) as change:
        for one in rows:
            if isinstance(one, Manifest):
                snapshots.add(change, one, NOW)
                files[0].there |= {b for p in one.parts for b in p.blobs}
            elif isinstance(one, Version):
                versions.add(change, one)
                files[1].there.add(one.digest)
            else:
                evidence.add(change, one, b"", "")
        change.audit("record", "test", {})


def gate(candidate: int, champion: int | None, outcome: str = "pass", **more: Any) -> Gate:
    said: dict[str, Any] = {
        "model": "m", "candidate": candidate, "champion": champion, "environment": "prod", "rule": "better",
        "metric": "roc_auc", "outcome": outcome, "reason": "as the test says", "rows": 1, "blocks": 1, "holdout": "h",
        "uses": 1, "at": NOW,
    }  # fmt: skip
    return Gate(**said | more)


DATASET = Pointer(Kind.DATASET, "d", "1:d", None, "CREATE DATASET d AS SELECT 1 AS a")
MODEL = Pointer(Kind.MODEL, "m", "1:m", None, "CREATE MODEL m PREDICT a FROM d")
ENDPOINT = Pointer(Kind.ENDPOINT, "e", "1:e", None, "CREATE ENDPOINT e FOR MODEL m")


def pointed(
    model: int | None, dataset: int | None = None, endpoint: str | None = None
) -> tuple[Pointer, ...]:
    """A dataset and a model at these, and an endpoint with that ROLLOUT."""
    out = [
        Pointer(Kind.DATASET, "d", "1:d", None if dataset is None else manifest(dataset).id, DATASET.text),
        Pointer(Kind.MODEL, "m", "1:m", None if model is None else str(model), MODEL.text),
    ]
    if endpoint is not None:
        out.append(Pointer(Kind.ENDPOINT, "e", "1:e", None, f"{ENDPOINT.text}{endpoint}"))
    return tuple(out)


def published(work: Workspace, *pointers: Pointer, environment: str = "prod") -> int:
    number = environments.current_number(work.state, environment)
    return publish(work.state, Move(environment, number, "test", NOW), pointers, BY)
