"""The terms of texts in a training, made for engines that learn from them.

While models are fitted, the rows that such an engine sees name their texts by number (`ports.texts`), since what a text says
differs from fit to fit. What serves is one fit, and `reading` puts it where versions keep it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tilth.ml.learning.made import Remark
from tilth.ports.learning import tried
from tilth.ports.texts import Texts

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from tilth.ml.model.preparation import Preparation
    from tilth.ml.model.spec import TrainingSpec
    from tilth.ml.model.text import TextSpace

    Matrix = npt.NDArray[np.float64]

MOST_ROWS = 100_000
MOST_COLUMNS = 1_000  # of the matrix
UNREAD = Remark(
    "engine",
    f"`text` was not tried: it learns from at most {MOST_ROWS:,} rows of {MOST_COLUMNS:,} numbers. Texts count by the directions that "
    "they differ in.",
    "Train on fewer rows, if their wording is what matters.",
)


def of(spec: TrainingSpec, table: pa.Table, preparation: Preparation) -> Texts | None:
    """The terms of the table's texts where an engine may learn from them; None where there are none, or too many rows."""
    if not wanted(spec, preparation) or too_large(table.num_rows, preparation):
        return None
    tables = [_table(table.column(name), space) for name, space in preparation.texts.items()]
    places: list[int] = []
    at = 0
    for column in preparation.columns:
        if column.text is not None:
            places += range(at + column.coded, at + len(column.features))
        at += len(column.features)
    return Texts(tuple(tables), tuple(places))


def wanted(spec: TrainingSpec, preparation: Preparation) -> bool:
    """Whether there are texts, and an engine to try that learns from their terms."""
    return bool(preparation.texts) and any(e.texts for e in tried(spec.engine, spec.preset))


def too_large(rows: int, preparation: Preparation) -> bool:
    """Whether no engine is asked to learn from the terms of so many texts, or beside so many columns."""
    return rows > MOST_ROWS or len(preparation.heads) > MOST_COLUMNS


def named(x: Matrix, texts: Texts | None) -> Matrix:
    """The rows with the numbers of their texts at the end; as they are where there are none."""
    import numpy as np

    if texts is None:
        return x
    numbers = np.repeat(np.arange(len(x), dtype=np.float64)[:, None], len(texts.tables), axis=1)
    return np.concatenate([x, numbers], axis=1)


def _table(values: Any, space: TextSpace) -> Any:
    """The TF-IDF matrix of a column's rows; each different text is looked at once."""
    import numpy as np
    import pyarrow as pa

    from tilth.ml.model.columns import plain_strings

    coded = (
        plain_strings(values).combine_chunks()
        if isinstance(values, pa.ChunkedArray)
        else plain_strings(values)
    )
    coded = coded.dictionary_encode()
    known = [*coded.dictionary.to_pylist(), None]
    index = np.asarray(coded.indices.fill_null(len(known) - 1), dtype=np.intp)
    return space.tfidf(known)[index]
