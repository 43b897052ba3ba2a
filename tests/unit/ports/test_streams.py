"""What a stream holds open is let go, read or not."""

from collections.abc import Callable

import pyarrow as pa
import pytest

from tilth.core.errors import SourceError
from tilth.ports.streams import closing

TABLE = pa.table({"a": [1, 2]})


def _drop(_reader: pa.RecordBatchReader) -> None:
    """Never read."""


@pytest.mark.parametrize(
    "read", [_drop, lambda r: r.read_next_batch(), lambda r: r.read_all(), lambda r: r.close()]
)
def test_it_is_let_go_once_however_much_is_read(read: Callable[[pa.RecordBatchReader], object]) -> None:
    closed: list[int] = []
    reader = closing(closing(TABLE.to_reader(1), lambda: closed.append(1)), lambda: closed.append(2))
    read(reader)
    del reader
    assert sorted(closed) == [1, 2]


def test_a_strangers_error_becomes_ours() -> None:
    closed: list[int] = []

    def broken() -> object:
        yield TABLE.to_batches()[0]
        raise OSError("gone")

    reader = pa.RecordBatchReader.from_batches(TABLE.schema, broken())
    ours = closing(reader, lambda: closed.append(1), lambda error: SourceError(str(error)))
    assert ours.read_next_batch().num_rows == 2
    with pytest.raises(SourceError, match="gone"):
        ours.read_next_batch()
    assert closed == [1]
