"""Makes and opens the stores of rows that complete requests, from the snapshot that an environment points at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tilth.core.errors import DataError
from tilth.ml.data.keyed import columns_of, key_of, sample
from tilth.ml.data.snapshots import file_batches
from tilth.ml.model.answerer import RowAnswerer
from tilth.plan.snapshot import Pointer
from tilth.ports.lookups import Kept, Rows
from tilth.runtime.record import declarations, snapshots
from tilth.runtime.record.snapshots import Snapshot
from tilth.runtime.serving.looking_up import Completing, Store, encode, key_bytes
from tilth.runtime.workspace import Workspace
from tilth.sql.language.statements import CreateDataset, CreateEndpoint, Kind, LookUp

if TYPE_CHECKING:
    import pyarrow as pa

ALWAYS = -(2**63)  # before any time


def snapshot_of(work: Workspace, pointers: Sequence[Pointer], dataset: str) -> tuple[CreateDataset, Snapshot]:
    """What is declared of a dataset, and the snapshot that it points at; DataError where nothing was collected."""
    for p in pointers:
        if p.kind is Kind.DATASET and p.name == dataset:
            declared = declarations.declared(p.text)
            found = None if p.target is None else snapshots.get(work.state, p.target)
            if isinstance(declared, CreateDataset) and found is not None:
                return declared, found
    raise DataError(
        f"Dataset `{dataset}`, in which rows are looked up, has no snapshot.",
        hint=f"REFRESH DATASET {dataset};",
    )


def store_of(one: LookUp, declared: CreateDataset, snapshot: Snapshot, model: RowAnswerer) -> Store:
    """What completes requests of this version; ProjectError where the columns do not fit its inputs."""
    schema = snapshot.manifest.schema
    key = key_of(one.dataset, one.key, schema)
    columns = columns_of(schema, [(i.name, i.type) for i in model.inputs], key)
    by = {k.name.lower() for k in key}
    whole = by >= {k.lower() for k in declared.key}
    times = [
        schema.find(t) if t else None for t in (None if whole else declared.event_time, declared.known_at)
    ]
    event_time, known_at = (t.name if t is not None else None for t in times)
    return Store(
        one.dataset, snapshot.id, snapshot.manifest.content, snapshot.created_at, key, columns, event_time, known_at
    )  # fmt: skip


def opened(work: Workspace, store: Store, tell: Callable[[str], None] = lambda _line: None) -> Rows:
    """The store, made if there is none."""
    found = work.lookups.opened(store.name)
    if found is not None:
        return found
    manifest = snapshots.manifest_of(work.state, store.snapshot)
    tell(f"{store.dataset}: {manifest.rows:,} rows are made ready to be looked up")
    paths = [work.blobs.path(part.blob) for part in manifest.parts]
    return work.lookups.made(store.name, kept(store, paths))


def completing(
    work: Workspace,
    endpoint: CreateEndpoint,
    pointers: Sequence[Pointer],
    model: RowAnswerer,
    open_rows: Callable[[Store], Rows],
) -> Completing | None:
    """What completes requests of an endpoint that this version answers; None where it looks nothing up."""
    one = endpoint.look_up
    if one is None:
        return None
    declared, snapshot = snapshot_of(work, pointers, one.dataset)
    store = store_of(one, declared, snapshot, model)
    taken, parts = [i.name for i in (*model.inputs, *model.carried)], snapshot.manifest.parts
    shown = sample(
        work.blobs.path(parts[0].blob) if parts else None, store.key, [t.column for t in declared.tags]
    )
    return Completing(endpoint.name, store, open_rows(store), taken, work.clock, shown, gaps=one.gaps)


# --- rows ---------------------------------------------------------------------------------------------------


def kept(store: Store, paths: Sequence[str]) -> Iterator[Kept]:
    """The rows of a snapshot's files as a store has them, one batch in memory at a time.

    A row without a key, or without a time that is needed, is never found: it is left out.
    """
    keys = [k.name for k in store.key]
    times = [t for t in (store.event_time, store.known_at) if t is not None]
    wanted = list(dict.fromkeys((*keys, *store.columns, *times)))
    for path in paths:
        for batch in file_batches(path, wanted):
            yield from _of_batch(store, batch)


def _of_batch(store: Store, batch: pa.RecordBatch) -> Iterator[Kept]:
    count = batch.num_rows
    keys = zip(*(batch.column(k.name).to_pylist() for k in store.key), strict=True)
    values = [_values(batch.column(c)) for c in store.columns]
    rows = zip(*values, strict=True) if values else iter([()] * count)
    happened = _times(batch, store.event_time)
    known = _times(batch, store.known_at)
    for key, row, at, when in zip(keys, rows, happened, known, strict=True):
        if None in key or at is None or when is None:
            continue
        body = encode(dict(zip(store.columns, row, strict=True)))
        yield Kept(key_bytes(key), at, when, max(at, when), body)


def _values(column: pa.Array) -> list[Any]:
    """As JSON has them: decimals are the numbers that a model reads."""
    import pyarrow as pa

    plain = column.cast(pa.float64()) if pa.types.is_decimal(column.type) else column
    found: list[Any] = plain.to_pylist()
    return found


def _times(batch: pa.RecordBatch, name: str | None) -> list[int | None]:
    """Microseconds; where no column says when, always."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if name is None:
        return [ALWAYS] * batch.num_rows
    when = pc.cast(batch.column(name), pa.timestamp("us"), safe=False)
    found: list[int | None] = when.cast(pa.int64()).to_pylist()
    return found
