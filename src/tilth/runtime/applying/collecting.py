"""Collecting a dataset as an act: the sources are opened, `ml.data.collect` does it, and what came out is recorded.

A refresh leaves its row and the result of every check whether it was published, stopped or failed; the snapshot's
row is there only when it was published.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tilth.core.errors import CheckFailedError
from tilth.core.schema import Schema
from tilth.core.time import show_instant
from tilth.ml.data.collect import Collected, collect
from tilth.ml.data.reading import find_source
from tilth.ml.data.snapshots import plain_schema, schema_of
from tilth.ports.snapshots import CheckResult, Manifest
from tilth.ports.source import Scan, Source
from tilth.ports.state import Change
from tilth.resources.kinds import Resource
from tilth.runtime.act import Act
from tilth.runtime.applying import notices
from tilth.runtime.unforeseen import known
from tilth.runtime.workspace import Workspace, manifest_plain, read_manifest
from tilth.sql.language.statements import CreateDataset, NativeQuery, Query

if TYPE_CHECKING:
    import pyarrow as pa


def refresh(
    act: Act,
    resource: Resource,
    declared: CreateDataset,
    sources: Mapping[str, Source],
    datasets: Mapping[str, Manifest],
    parent: Manifest | None,
) -> Collected:
    """Collect, vet and record; raises what collecting raises after that was recorded too."""
    work, now = act.work, act.now()
    tokens = json.dumps(change_tokens(resource, sources))
    try:
        found = collect(
            declared, resource.recipe, sources, datasets, work.engine, work.blobs, parent, now, act.progress
        )
    except Exception as raised:
        error = known(raised)
        stopped = isinstance(error, CheckFailedError)
        results = error.results if isinstance(error, CheckFailedError) else ()
        with act.change(now) as change:
            _add(change, declared.name, resource.recipe, tokens, work, "stopped" if stopped else "failed", results,
                 reason=error.message)  # fmt: skip
        raise error from error.__cause__
    mended = _mended(work, found.manifest)
    with act.change(now) as change:
        _publish(change, found, show_instant(now))
        if mended is not None:
            change.write(
                "mend_snapshot", id=mended.id, bytes=mended.bytes, manifest=json.dumps(manifest_plain(mended))
            )
            for blob in (b for part in mended.parts for b in part.blobs):
                change.write("forget_scrub", digest=blob)
            change.audit("mend", declared.name, {"snapshot": mended.id})
        number = _add(
            change, declared.name, resource.recipe, tokens, work, "published", found.results, found=found
        )
        told = [notices.of_source(name, notice) for name, notice in found.notices]
        notices.record(change, "dataset", declared.name, resource.recipe, told, show_instant(now))
        kept = found.quarantine
        if kept is not None and not _is_kept(change, declared.name, kept.blob):
            change.write(
                "add_quarantine", refresh=number, dataset=declared.name, blob=kept.blob, rows=kept.rows,
                bytes=kept.bytes, at=show_instant(now),
            )  # fmt: skip
    return found


def _is_kept(change: Change, dataset: str, blob: str) -> bool:
    """Whether the same rows were held back before: they are kept once."""
    return any(r["dataset"] == dataset and r["blob"] == blob for r in change.read("quarantine"))


def native(query: NativeQuery, sources: Mapping[str, Source]) -> tuple[dict[str, Source], Query]:
    """A native query as a source with one table, and the query that reads it."""
    rows = _NativeRows(find_source(query.source, sources), query)
    return {"native": rows}, Query("SELECT * FROM native.rows", query.position)


class _NativeRows:
    """The result of a native query, as a source with the table `rows`."""

    def __init__(self, source: Source, query: NativeQuery) -> None:
        self._source, self._query = source, query

    def tables(self) -> tuple[str, ...]:
        return ("rows",)

    def describe(self, table: str) -> Schema:
        assert table == "rows"
        reader = self._source.native(self._query.sql)
        try:
            return schema_of(plain_schema(reader.schema))
        finally:
            reader.close()

    def scan(self, scan: Scan) -> pa.RecordBatchReader:
        assert scan.columns is None
        assert not scan.where
        return self._source.native(self._query.sql)

    def native(self, sql: str) -> pa.RecordBatchReader:
        return self._source.native(sql)

    def change_token(self, table: str) -> str | None:
        assert table == "rows"
        return None

    def close(self) -> None: ...


def change_tokens(resource: Resource, sources: Mapping[str, Source]) -> dict[str, str]:
    """What stands for the content of each source table that the dataset reads, of those that can tell."""
    out = {}
    for table in resource.tables:
        source = sources.get(table.source)
        token = source.change_token(table.table) if source is not None else None
        if token is not None:
            out[f"{table.source}.{table.table}"] = token
    return out


def _mended(work: Workspace, fresh: Manifest) -> Manifest | None:
    """The snapshot of the same content that is recorded already, with the fresh files, when its own are not all whole."""
    known = work.state.read("snapshot", id=fresh.id)
    before = read_manifest(known[0]) if known else None
    if before is None or all(work.blobs.intact(blob) for p in before.parts for blob in p.blobs):
        return None
    return replace(before, parts=fresh.parts)


def _publish(change: Change, found: Collected, at: str) -> None:
    manifest = found.manifest
    change.write(
        "add_snapshot",
        id=manifest.id,
        dataset=manifest.dataset,
        recipe=manifest.recipe,
        parent=manifest.parent,
        rows=manifest.rows,
        bytes=manifest.bytes,
        watermark=manifest.watermark,
        manifest=json.dumps(manifest_plain(manifest)),
        at=at,
    )


def _add(
    change: Change,
    dataset: str,
    recipe: str,
    tokens: str,
    work: Workspace,
    status: str,
    results: Sequence[CheckResult],
    found: Collected | None = None,
    reason: str | None = None,
) -> int:
    """The refresh with its checks; its number."""
    at = show_instant(work.clock.now())
    snapshot = found.manifest.id if found else None
    number = change.insert(
        "add_refresh",
        dataset=dataset,
        recipe=recipe,
        snapshot=snapshot,
        rows_read=found.rows_read if found else 0,
        rows_quarantined=found.rows_quarantined if found else 0,
        tokens=tokens,
        status=status,
        reason=reason,
        at=at,
    )
    for r in results:
        change.write(
            "add_check_result",
            refresh=number,
            dataset=dataset,
            check=r.check,
            kind=r.kind,
            on_fail=r.on_fail,
            passed=int(r.passed),
            failed=r.failed,
            rows=r.rows,
            observed=r.observed,
            at=at,
        )
    change.audit("refresh", dataset, {"refresh": number, "status": status, "snapshot": snapshot})
    return number
