"""Which rows a served version was tuned on, so that answers to them do not pass for its quality.

How a version's rows were dealt stands in its row and `ml.judging.split`; here they become what a look can tell them by:
the event time up to which it was tuned, and for requests that give none the keys by which outcomes are joined. Where the
snapshot that it learned from is gone, the present one of the outcomes stands for it: it holds the same rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilth.core.errors import UnknownNameError
from tilth.ml.data import identity, snapshots
from tilth.ml.judging import split
from tilth.ml.model.signature import Signature
from tilth.ml.watching.monitoring import Tuned, key_texts
from tilth.ports.snapshots import Manifest
from tilth.runtime.record.snapshots import manifest_of
from tilth.runtime.record.versions import Version
from tilth.runtime.workspace import Workspace
from tilth.sql.language.statements import Outcomes

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Mask = npt.NDArray[np.bool_]


def tuned(
    work: Workspace, row: Version, signature: Signature, declared: Outcomes, present: Manifest, *, timed: bool
) -> Tuned:
    """What the version of this row was tuned on, by its event time and by the key of its outcomes.

    When all answers are `timed` (give their event time) and that says it, no key is read.
    """
    import pyarrow as pa

    by = row.dealt.by
    if by == split.BY_IMPORT:  # it was made before it answered anything here
        return Tuned(None)
    until = row.tuned_until if by != split.BY_ID else None
    if until is not None and timed:
        return Tuned(until)
    try:
        manifest = manifest_of(work.state, row.snapshot)
    except UnknownNameError:
        manifest = present
    if any(manifest.schema.find(k) is None for k in declared.key):
        return Tuned(until)
    names = tuple(manifest.schema.field(k).name for k in declared.key)
    texts = [pa.array([], pa.string())]
    for part in manifest.parts:
        batches = list(snapshots.file_batches(work.blobs.path(part.blob)))
        if not batches:
            continue
        table = pa.Table.from_batches(batches)
        ids = snapshots.part_ids(part, work.blobs, identity.columns_of(signature.key, manifest.schema.names))
        found = key_texts(table.filter(pa.array(_mask(table, ids, by, signature.event_time, until))), names)
        assert found is not None
        texts.append(found)
    return Tuned(until, pa.concat_arrays(texts).drop_null())


def _mask(table: pa.Table, ids: split.Ids, by: str, event_time: str | None, until: str | None) -> Mask:
    """Which rows of a part fitted, stopped or calibrated; all of them where each was judged by models of the others."""
    import numpy as np

    if by == split.BY_FOLDS and until is None:
        return np.ones(table.num_rows, dtype=np.bool_)
    if until is not None and event_time is not None and event_time in table.column_names:
        return split.micros(table, event_time) <= split.as_micros(until)
    return ~split.judge_mask(ids, None, None)
