"""What a stranger's source raises or gives is told by the name of its engine, without what its words may hold."""

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pytest

from tilth.core.errors import SourceError, UnknownNameError
from tilth.core.scan import Scan
from tilth.ports import strangers

TABLE = pa.table({"a": [1, 2]})


def _reader() -> pa.RecordBatchReader:
    def batches() -> Iterator[pa.RecordBatch]:
        yield TABLE.to_batches()[0]
        raise OSError("password = hunter2")

    return pa.RecordBatchReader.from_batches(TABLE.schema, batches())


def _raised(error: Exception) -> Any:
    raise error


class Lists:
    local = True

    def __init__(self, scan: Callable[[], Any]) -> None:
        self._scan = scan

    def scan(self, _scan: Scan) -> Any:
        return self._scan()


def _asked(scan: Callable[[], Any]) -> Any:
    return strangers.source("lists", lambda: Lists(scan)).scan(Scan("t")).read_all()  # type: ignore[arg-type, return-value]


@pytest.fixture(autouse=True)
def package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strangers.registry, "package", lambda _group, _name: "tilth-lists")


@pytest.mark.parametrize(
    ("scan", "says"),
    [
        (lambda: _raised(ValueError("hunter2")), "`scan` of the source engine `lists` failed: ValueError in test_strangers.py"),
        (_reader, "`scan` of the source engine `lists` failed: OSError in test_strangers.py"),
        (lambda: TABLE, "gave a Table and not a RecordBatchReader"),
        (lambda: None, "gave a NoneType and not a RecordBatchReader"),
    ],
)  # fmt: skip
def test_a_scan_that_goes_wrong(scan: Callable[[], Any], says: str) -> None:
    with pytest.raises(SourceError) as caught:
        _asked(scan)
    assert says in caught.value.message
    assert "hunter2" not in str(caught.value)
    assert "tilth-lists" in (caught.value.hint or "")


def test_what_is_right_goes_through_and_errors_of_ours_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _asked(TABLE.to_reader) == TABLE
    with pytest.raises(UnknownNameError, match="no table"):
        _asked(lambda: _raised(UnknownNameError("no table")))
    made = strangers.source("lists", lambda: Lists(_reader))  # type: ignore[arg-type, return-value]
    assert (made.local, hasattr(made, "broken")) == (True, False)  # type: ignore[attr-defined]
    monkeypatch.setattr(strangers.registry, "package", lambda _group, _name: "tilth")
    assert isinstance(strangers.source("lists", lambda: Lists(_reader)), Lists)  # type: ignore[arg-type, return-value]


def test_a_source_that_cannot_be_made() -> None:
    with pytest.raises(SourceError, match="`from_options` of the source engine `lists` failed: TypeError"):
        strangers.source("lists", lambda: _raised(TypeError("colour")))
