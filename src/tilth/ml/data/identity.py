"""Which row is which: 64 bits for each row of a snapshot, written beside its parts when it is published.

The bits come from the KEY or, where there is none, from all columns of the snapshot, whatever a model uses of them. So
training and gate deal the same rows into the same slices, a row keeps its slice from one training to the next, and a
corrected row of a key does not change sides. How rows are dealt is in `ml.judging.split`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Ids = npt.NDArray[np.uint64]

ID_BYTES = 8
HOW = 2  # the number of this way of making ids from all columns; a key's ids are as they ever were


def columns_of(key: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    """The columns that say which row it is: the key, or all in the order of their names."""
    return tuple(key) or tuple(sorted(names))


def written(key: Sequence[str], event_time: str | None, names: Sequence[str]) -> tuple[str, ...]:
    """The columns whose ids are worth keeping in files; none where rows are dealt by time and have no key."""
    return columns_of(key, names) if key or event_time is None else ()


def row_ids(table: pa.Table | pa.RecordBatch, columns: Sequence[str], *, plain: bool = False) -> Ids:
    """uint64 [rows]; the same on every machine. With `plain`, values of other types that read alike are alike."""
    import numpy as np

    out = [np.empty(0, dtype=np.uint64)]
    for batch in table.select(list(columns)).to_batches() if hasattr(table, "to_batches") else (table,):
        total = np.zeros(batch.num_rows, dtype=np.uint64)
        for name in columns:
            total = mixed(total ^ _bits(batch.column(name), plain=plain))
        out.append(total)
    return np.concatenate(out)


def _bits(values: Any, *, plain: bool) -> Ids:
    """64 bits of each value: numbers as they are, texts by the first bytes of their BLAKE2b."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = values.type
    if plain:
        return _texts(pc.cast(values, pa.string(), safe=False))
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        whole = pc.cast(pc.cast(values, pa.timestamp("us"), safe=False), pa.int64())
        return np.asarray(pc.fill_null(whole, 0)).view(np.uint64)
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        whole = pc.fill_null(pc.cast(values, pa.int64(), safe=False), -1)
        return np.ascontiguousarray(np.asarray(whole)).view(np.uint64)
    if pa.types.is_floating(kind):
        wide = pc.fill_null(pc.cast(values, pa.float64()), 0.5)
        return np.ascontiguousarray(np.asarray(wide)).view(np.uint64)
    return _texts(values)


def _texts(values: Any) -> Ids:
    """Equal texts are hashed once."""
    import numpy as np
    import pyarrow as pa

    coded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode("encode")
    texts = coded.dictionary.to_pylist()
    digests = b"".join(hashlib.blake2b(str(text).encode(), digest_size=8).digest() for text in texts)
    found = np.frombuffer(digests, dtype="<u8").astype(np.uint64)
    return found[np.asarray(coded.indices, dtype=np.int64)] if len(found) else np.empty(0, np.uint64)


def mixed(x: Ids) -> Ids:
    """The ids in an order of their own: the finaliser of splitmix64 (Steele, Lea and Flood 2014)."""
    import numpy as np

    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
