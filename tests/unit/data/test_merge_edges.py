"""The merge of a window where it turns: rows at its very start, keys at the ends of files, several batches, small and large parts."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from data_bench import Bench, dataset

from tilth.ml.data import merge
from tilth.ml.data.merge import _ends, _overlap
from tilth.ports.snapshots import Manifest
from tilth.sql.language.statements import CreateDataset

START = datetime(2024, 1, 1)
HOUR = 60


def table(cells: list[tuple[Any, ...]]) -> pa.Table:
    """Rows of (id, hours since the start, x), or of (id, k, hours, x)."""
    names = ("id", "at", "x") if not cells or len(cells[0]) == 3 else ("id", "k", "at", "x")
    columns = {n: [c[i] for c in cells] for i, n in enumerate(names)}
    columns["at"] = [START + timedelta(hours=h) for h in columns["at"]]
    types = {"id": pa.int64(), "k": pa.int64(), "at": pa.timestamp("us"), "x": pa.float64()}
    return pa.table(columns, schema=pa.schema([(n, types[n]) for n in names]))


def spec(key: tuple[str, ...] = ("id",), lookback: int = 0) -> CreateDataset:
    return dataset("SELECT * FROM ops.t", key=key, event="at", lookback=timedelta(hours=lookback))


def at(hours: float) -> datetime:
    return (START + timedelta(hours=hours)).replace(tzinfo=UTC)


def rows(bench: Bench, manifest: Manifest) -> list[tuple[Any, ...]]:
    return sorted(
        (r["id"], round((r["at"] - START).total_seconds() / 3600), r["x"]) for r in bench.rows(manifest)
    )


def parted(bench: Bench, *parts: list[tuple[Any, ...]], key: tuple[str, ...] = ("id",)) -> Manifest:
    """A snapshot of several files; its watermark is that of the last."""
    made = []
    for cells in parts:
        bench.source.held["t"] = table(cells)
        made.append(bench.collect(spec(key)).manifest)
    return replace(made[-1], parts=tuple(p for m in made for p in m.parts))


OLD = [(n, n, 0.0) for n in range(10)]
# the snapshot's files, what the source holds then, and what is there after a look back by hours from hour 9
MERGES: dict[str, tuple[list[list[Any]], list[Any], int, list[Any]]] = {
    "nothing new": ([OLD], OLD, 2, OLD),
    "a row at the window's start is replaced": ([OLD], [(7, 7, 1.0), *OLD[8:]], 2, [*OLD[:7], (7, 7, 1.0), *OLD[8:]]),
    "a row just before the window stays": ([OLD], [(6, 6, 1.0), *OLD[7:]], 2, OLD),
    "rows of the window that are gone go": ([OLD], OLD[9:], 2, [*OLD[:7], OLD[9]]),
    "a key from before the window comes again": ([OLD], [*OLD[7:], (2, 10, 5.0)], 2, [*OLD[:2], *OLD[3:], (2, 10, 5.0)]),
    "a key from before comes again and the window is as it was": (
        [[*OLD[:9], (20, 9, 0.0)]], [*OLD[7:9], (20, 9, 0.0), (0, 10, 1.0)], 2, [*OLD[1:9], (20, 9, 0.0), (0, 10, 1.0)],
    ),
    "a file that ends where the window begins is read again": ([OLD[:8], OLD[8:]], [(7, 7, 1.0), *OLD[8:]], 2, [*OLD[:7], (7, 7, 1.0), *OLD[8:]]),
    "a file that ends before it stays": ([OLD[:7], OLD[7:]], [(7, 7, 1.0), *OLD[8:]], 2, [*OLD[:7], (7, 7, 1.0), *OLD[8:]]),
    "a key from before comes again and the row at the window's start is gone": (
        [OLD], [*OLD[8:], (2, 10, 5.0)], 2, [*OLD[:2], *OLD[3:7], *OLD[8:], (2, 10, 5.0)],
    ),
    "a key of an older file": ([OLD[:5], OLD[5:]], [*OLD[7:], (2, 10, 5.0)], 2, [*OLD[:2], *OLD[3:], (2, 10, 5.0)]),
    "the last key of an older file": ([OLD[:5], OLD[5:]], [*OLD[7:], (4, 10, 5.0)], 2, [*OLD[:4], *OLD[5:], (4, 10, 5.0)]),
    "the first key of an older file": ([OLD[3:5], OLD[5:]], [*OLD[7:], (3, 10, 5.0)], 2, [*OLD[4:], (3, 10, 5.0)]),
}  # fmt: skip


@pytest.mark.parametrize("small", [1, 4, 1000], ids=["large parts", "middling parts", "small parts"])
@pytest.mark.parametrize(("files", "there", "back", "after"), MERGES.values(), ids=MERGES)
def test_what_a_window_makes_of_a_snapshot(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, small: int, files: Any, there: Any, back: int, after: Any
) -> None:
    monkeypatch.setattr(merge, "SMALL_ROWS", small)
    first = parted(bench, *files)
    bench.source.held["t"] = table(there)
    found = bench.collect(spec(lookback=back), first, now=at(24)).manifest
    assert rows(bench, found) == sorted(after)
    assert (found is first) == (after == OLD)


def test_a_small_part_before_a_large_one_stays(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge, "SMALL_ROWS", 4)
    first = parted(bench, OLD[:2], OLD[2:8], OLD[8:])
    bench.source.held["t"] = table([*OLD[8:], (20, 12, 0.0)])
    found = bench.collect(spec(), first, now=at(24)).manifest
    assert rows(bench, found) == sorted([*OLD, (20, 12, 0.0)])


def test_a_key_of_two_columns_comes_again_when_both_do(bench: Bench) -> None:
    key = ("id", "k")
    old = [(n, n % 2, n, 0.0) for n in range(10)]
    first = parted(bench, old, key=key)
    bench.source.held["t"] = table([*old[9:], (2, 1, 10, 5.0), (3, 1, 10, 6.0)])
    found = bench.collect(spec(key), first, now=at(24)).manifest
    seen = {(r["id"], r["k"], r["x"]) for r in bench.rows(found)}
    assert seen == {(n, n % 2, 0.0) for n in range(10) if n != 3} | {(2, 1, 5.0), (3, 1, 6.0)}


class _Batches:
    """New rows in several batches, as `Rows` gives them."""

    def __init__(self, *batches: list[int]) -> None:
        self._made = [pa.record_batch({"id": pa.array(b, pa.int64())}) for b in batches]

    def batches(self) -> list[pa.RecordBatch]:
        return self._made


@pytest.mark.parametrize("batches", [([5, 9], [1, 3]), ([1, 3], [5, 9]), ([], [1, 9]), ([1, 9], [])])
def test_the_ends_of_a_key_are_those_of_all_batches(batches: Any) -> None:
    made: Any = _Batches(*batches)

    class _Key:
        key = ("id",)

    class _Window:
        rows, checks = made, _Key

    window: Any = _Window
    assert _ends(window) == {"id": (1, 9)}


class _Statistics:
    has_min_max = True

    def __init__(self, low: int, high: int) -> None:
        self.min, self.max = low, high


class _Without:
    has_min_max = False


OVERLAPS = [
    (_Statistics(3, 7), (7, 9), True), (_Statistics(3, 7), (1, 3), True), (_Statistics(3, 7), (4, 5), True),
    (_Statistics(3, 7), (8, 9), False), (_Statistics(3, 7), (1, 2), False), (None, (1, 2), True), (_Without(), (1, 2), True),
]  # fmt: skip


@pytest.mark.parametrize(("statistics", "ends", "may"), OVERLAPS, ids=range(len(OVERLAPS)))
def test_a_file_may_hold_a_key_between_its_ends_or_of_none(statistics: Any, ends: Any, may: bool) -> None:
    assert _overlap(statistics, ends) is may


# --- rows of the future and other beginnings ----------------------------------------------------------------


def test_rows_are_read_again_from_the_watermark_on_less_the_lookback(bench: Bench) -> None:
    first = parted(bench, OLD)
    for back, read in ((0, 1), (2, 3), (100, 10)):
        bench.source.held["t"] = table(OLD)
        assert bench.collect(spec(lookback=back), first, now=at(24)).rows_read == read


def test_another_query_reads_all_rows(bench: Bench) -> None:
    first = parted(bench, OLD)
    bench.source.held["t"] = table(OLD[5:])
    found = bench.collect(spec(), first, recipe="1:other", now=at(24))
    assert rows(bench, found.manifest) == OLD[5:]


VANISH: dict[str, tuple[tuple[str, ...], list[Any], list[Any]]] = {
    "one of two equal rows": ((), [(9, 50, 0.0), (9, 50, 0.0)], [(9, 50, 0.0), (9, 3, 0.0)]),
    "a key that is there twice": (
        ("id",),
        [(8, 50, 0.0), (9, 51, 0.0)],
        [(9, 51, 0.0), (9, 52, 0.0), (8, 3, 1.0)],
    ),
}


@pytest.mark.parametrize(("key", "future", "then"), VANISH.values(), ids=VANISH)
def test_a_row_of_the_future_that_goes_back_in_time_is_read(
    bench: Bench, key: tuple[str, ...], future: list[Any], then: list[Any]
) -> None:
    past = [(n, n, 0.0) for n in range(6)]
    bench.source.held["t"] = table([*past, *future])
    first = bench.collect(spec(key), now=at(10)).manifest
    bench.source.held["t"] = table([*past, *then])
    found = bench.collect(spec(key), first, now=at(10)).manifest
    assert rows(bench, found) == rows(bench, bench.collect(spec(key), now=at(10)).manifest)


@pytest.mark.parametrize("key", [(), ("id",)])
def test_rows_of_the_future_that_are_as_they_were_are_no_reason_to_read_all(
    bench: Bench, key: tuple[str, ...]
) -> None:
    twice = (9, 50, 0.0)
    bench.source.held["t"] = table([*OLD[:6], twice, *([] if key else [twice])])
    first = bench.collect(spec(key), now=at(10)).manifest
    found = bench.collect(spec(key), first, now=at(10))
    assert (found.manifest is first, found.rows_read) == (True, 2 if key else 3)


def test_the_watermark_is_the_newest_of_several_files(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge, "SMALL_ROWS", 1)
    bench.source.held["t"] = table([*OLD, (20, 50, 0.0)])
    first = bench.collect(spec(), now=at(12)).manifest
    assert first.watermark == (START + timedelta(hours=9)).isoformat(timespec="microseconds")
    both = parted(bench, OLD[:5], [*OLD[5:], (20, 50, 0.0)])
    bench.source.held["t"] = table([*OLD[9:], (10, 10, 0.0), (20, 50, 0.0)])
    found = bench.collect(spec(), replace(both, watermark=first.watermark), now=at(12)).manifest
    assert len(found.parts) == 3
    assert found.watermark == (START + timedelta(hours=10)).isoformat(timespec="microseconds")


@pytest.mark.parametrize(("now", "mark"), [(9, 9), (9.5, 9), (8.5, 8), (12, 9)])
def test_the_watermark_reaches_to_this_very_instant(bench: Bench, now: float, mark: int) -> None:
    bench.source.held["t"] = table(OLD)
    found = bench.collect(spec(), now=at(now))
    assert found.manifest.watermark == (START + timedelta(hours=mark)).isoformat(timespec="microseconds")
    assert [r.failed for r in found.results if r.kind == "future"] == ([1] if now < 9 else [])
