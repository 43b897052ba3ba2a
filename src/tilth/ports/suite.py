"""What every source must do, as a class of tests: a plugin's test file subclasses it and says how to make its source.

    class TestMine(SourceSuite):
        def make(self, folder, rows):
            ...  # write `rows` as the table `visits`, and one of its rows as `other`
            return MySource.from_options({"path": "."}, str(folder)), lambda: ...  # takes the row with id 4 away

pytest finds it as it is. It needs no fixture but `tmp_path`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilth.core.errors import TilthError, UnknownNameError, UnsupportedError
from tilth.core.scan import Predicate, Scan

if TYPE_CHECKING:
    import pyarrow as pa

KINDS = {
    "id": ("integer",),
    "price": ("float", "decimal"),
    "name": ("string",),
    "seen": ("timestamp",),
    "day": ("date",),
    "active": ("boolean",),
}
_P = Predicate
WHERE: tuple[tuple[tuple[Predicate, ...], tuple[int, ...]], ...] = (
    ((_P("id", ">", 2),), (3, 4)),
    ((_P("id", "in", (1, 4, None)),), (1, 4)),
    ((_P("id", "in", ()),), ()),
    ((_P("price", "<", 0),), (2,)),
    ((_P("price", "=", 4.25),), (4,)),
    ((_P("price", "is_null"),), (3,)),
    ((_P("price", "=", None),), ()),
    ((_P("name", "=", "O'Neil"),), (3,)),
    ((_P("name", "=", "BOB"),), ()),
    ((_P("name", ">", "Z"),), (2,)),
    ((_P("name", "<>", "bob"),), (1, 3)),
    ((_P("seen", "=", datetime(2024, 1, 1, 10, tzinfo=UTC)),), (1,)),
    ((_P("seen", ">", "2024-01-02"),), (2, 4)),
    ((_P("seen", ">=", date(2024, 1, 2)),), (2, 4)),
    ((_P("day", "in", (date(2024, 1, 2),)),), (2,)),
    ((_P("day", "is_not_null"), _P("id", "<", 4)), (1, 2)),
    ((_P("active", "<>", True),), (2,)),
)
"""Predicates, and the ids of the rows for which all of them are true, as DuckDB decides."""


def visits() -> pa.Table:
    """The rows that a source is to hold."""
    import pyarrow as pa

    at = [datetime(2024, 1, 1, 10), datetime(2024, 1, 2, 0, 0, 0, 123456), None, datetime(2024, 3, 1)]  # noqa: DTZ001 (naive, in UTC)
    days = [date(2024, 1, 1), date(2024, 1, 2), None, date(2024, 3, 1)]
    return pa.table(
        {
            "id": pa.array([1, 2, 3, 4], pa.int64()),
            "price": pa.array([1.5, -2.0, None, 4.25], pa.float64()),
            "name": pa.array(["Ann", "bob", "O'Neil", None], pa.string()),
            "seen": pa.array(at, pa.timestamp("us")),
            "day": pa.array(days, pa.date32()),
            "active": pa.array([True, False, None, True], pa.bool_()),
        }
    )


class SourceSuite:
    """Subclass it with `make`; each method that begins with `test_` is one thing that must hold."""

    def make(self, folder: Path, rows: pa.Table) -> tuple[Any, Callable[[], object]]:
        """A source that holds `rows` as the table `visits` and the first of them as `other`; and what takes the row of id 4 away."""
        raise NotImplementedError

    def test_tables_are_listed_in_order(self, tmp_path: Path) -> None:
        source, _ = self.make(tmp_path, visits())
        assert tuple(source.tables()) == ("other", "visits")
        source.close()

    def test_columns_are_described_by_type(self, tmp_path: Path) -> None:
        source, _ = self.make(tmp_path, visits())
        found = {f.name: f.type.value for f in source.describe("visits")}
        assert list(found) == list(KINDS)
        assert all(found[n] in kinds for n, kinds in KINDS.items()), found

    def test_unknown_names_are_errors_with_the_nearest(self, tmp_path: Path) -> None:
        source, _ = self.make(tmp_path, visits())
        for ask, nearest in (
            (lambda: source.describe("visit"), "visits"),
            (lambda: source.scan(Scan("visits", ("prise",))), "price"),
            (lambda: source.scan(Scan("visits", None, (_P("prise", "=", 1),))), "price"),
        ):
            error = _raised(ask, UnknownNameError)
            assert nearest in str(error), str(error)

    def test_a_scan_gives_every_value(self, tmp_path: Path) -> None:
        source, _ = self.make(tmp_path, visits())
        found = source.scan(Scan("visits")).read_all().sort_by("id").to_pylist()
        wanted = visits().to_pylist()
        assert [{**r, "price": None if r["price"] is None else float(r["price"])} for r in found] == wanted

    def test_a_projection_keeps_the_order_that_was_asked_for(self, tmp_path: Path) -> None:
        source, _ = self.make(tmp_path, visits())
        assert source.scan(Scan("visits", ("day", "id"))).schema.names == ["day", "id"]

    def test_predicates_mean_what_duckdb_means(self, tmp_path: Path) -> None:
        source, _ = self.make(tmp_path, visits())
        for where, ids in WHERE:
            rows = source.scan(Scan("visits", ("id",), where)).read_all()
            assert sorted(rows["id"].to_pylist()) == list(ids), where

    def test_a_change_changes_the_token(self, tmp_path: Path) -> None:
        source, change = self.make(tmp_path, visits())
        before = source.change_token("visits")
        assert before == source.change_token("visits")
        change()
        assert before is None or before != source.change_token("visits")
        again = source.scan(Scan("visits", ("id",))).read_all()
        assert sorted(again["id"].to_pylist()) == [1, 2, 3]

    def test_a_native_query_answers_or_says_that_there_is_no_such_thing(self, tmp_path: Path) -> None:
        source, _ = self.make(tmp_path, visits())
        if getattr(source, "speaks", True):
            assert source.native("SELECT 1 AS one").read_all().num_rows == 1
        else:
            assert _raised(lambda: source.native("SELECT 1 AS one"), UnsupportedError).hint

    def test_unknown_options_are_errors(self, tmp_path: Path) -> None:
        source, _ = self.make(tmp_path, visits())
        error = _raised(lambda: type(source).from_options({"no_such_option": 1}, str(tmp_path)), TilthError)
        assert error.hint, "an error says what to do next"


def _raised(ask: Callable[[], object], kind: type[TilthError]) -> TilthError:
    try:
        ask()
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was to be raised")
