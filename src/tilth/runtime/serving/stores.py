"""Makes and opens the stores of rows that complete requests, from the snapshot that an environment points at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from tilth.core.errors import DataError, StorageError
from tilth.ml.data.keyed import columns_of, key_of, sample
from tilth.ml.model.answerer import RowAnswerer
from tilth.plan.snapshot import Pointer
from tilth.ports.lookups import Rows
from tilth.runtime.record import declarations, snapshots
from tilth.runtime.record.snapshots import Snapshot
from tilth.runtime.serving import keeping, making
from tilth.runtime.serving.looking_up import Completing, Store
from tilth.runtime.workspace import Workspace
from tilth.sql.language.statements import CreateDataset, CreateEndpoint, Kind, LookUp

HERE = (
    50_000  # rows, up to which a store is made in the thread that wants it; of more by a process of its own
)


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
    if work.lookups.home is None or manifest.rows <= HERE:
        return work.lookups.made(store.name, keeping.kept(store, paths, work.engine))
    making.made(work.lookups.home, store, paths, manifest.rows, tell)
    made = work.lookups.opened(store.name)
    if made is None:
        raise StorageError(
            f"The rows of `{store.dataset}` to look up were made and cannot be opened.",
            hint="Look whether the disk is sound; the server tries again.",
        )
    return made


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
    if (now := work.clock.now()) < store.made_at:
        store = replace(store, replayed=now)
    taken, parts = [i.name for i in (*model.inputs, *model.carried)], snapshot.manifest.parts
    shown = sample(
        work.blobs.path(parts[0].blob) if parts else None, store.key, [t.column for t in declared.tags]
    )
    return Completing(endpoint.name, store, open_rows(store), taken, work.clock, shown, gaps=one.gaps)
