"""The queries of a scan over a SQLite table: what SQLite sends, what DuckDB makes of it, and which rows do not fit.

Cells travel as `v0`, `v1`, ...; a first row of known types leads them and is dropped again. A predicate is tested by
SQLite where it means the same there, by DuckDB otherwise. `sqlite_cells` knows how one column is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from tilth.adapters.sources.sqlite.cells import TIMES, Cell
from tilth.core.names import literal, quoted
from tilth.core.scan import Predicate
from tilth.core.schema import DataType
from tilth.ports.predicates import condition

_DATED = "'[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9]*[0-9zZ]'"  # not `0044-03-15 (BC)`, and no number


@dataclass(frozen=True, slots=True)
class Queries:
    """The queries of one scan. `cells` are those wanted, in order, then those that only predicates need."""

    table: str
    cells: tuple[Cell, ...]
    wanted: int
    tests: tuple[tuple[int, Predicate], ...]

    # --- the rows that fit ---------------------------------------------------------------------------------

    @property
    def flagged(self) -> bool:
        """Whether the scan can tell in the same pass that no row is left out: no cell that does not fit rules its row out."""
        ruled = [w for i, w in self.tests if _pushed(self.cells[i], w) and w.op != "is_not_null"]
        return not ruled and not any(c.null for c in self.cells)

    def flags(self) -> str:
        """What SQLite runs for a scan that is `flagged`: a number before the cells, 0 for a row that fits for sure, 1 for one
        that DuckDB must look at, 2 for one that does not fit.
        """
        first = [condition(w, self.cells[i].compared) for i, w in self.tests if _pushed(self.cells[i], w)]
        likely = [t for i, w in self.tests if (t := _likely(self.cells[i], w))]
        odd = " OR ".join(c.misfit for c in self.cells) or "0"
        odd = f"CASE WHEN {odd} THEN 2 WHEN {' OR '.join(self._unsure()) or '0'} THEN 1 ELSE 0 END"
        values = ", ".join([odd, *(c.fitting for c in self.cells)])
        return (
            f"{self._leading(flag=True)} UNION ALL SELECT {values} FROM {quoted(self.table)}"
            f" WHERE {' AND '.join([*first, *likely]) or '1 = 1'}"
        )

    def sent(self) -> str:
        """What SQLite runs for any other scan."""
        first = [condition(w, self.cells[i].compared) for i, w in self.tests if _pushed(self.cells[i], w)]
        likely = [t for i, w in self.tests if (t := _likely(self.cells[i], w))]
        fits = [f"NOT {c.misfit}" for c in self.cells if not c.null]
        values = ", ".join(c.sent if c.null else c.fitting for c in self.cells)
        return (
            f"{self._leading()} UNION ALL SELECT {values or '0'} FROM {quoted(self.table)}"
            f" WHERE {' AND '.join([*first, *likely, *fits]) or '1 = 1'}"
        )

    def made(self) -> str:
        """What DuckDB makes of it (`rows`)."""
        listed = ", ".join(f"r{i} AS {quoted(c.name)}" for i, c in enumerate(self.cells[: self.wanted]))
        later = [condition(w, f"r{i}") for i, w in self.tests if not _pushed(self.cells[i], w)]
        fits = [f"NOT {self._late(i)}" for i, c in enumerate(self.cells) if c.later and not c.null]
        return f"{self._real()} SELECT {listed or 'none'} FROM made WHERE {' AND '.join([*fits, *later]) or 'true'}"

    # --- the rows that do not ------------------------------------------------------------------------------

    def looked(self, line: str) -> str:
        """What SQLite runs to find rows that do not fit; `line` is the expression that numbers them."""
        values = [c.sent for c in self.cells]
        words = [f"CASE WHEN {c.misfit} THEN {c.words} ELSE '' END" for c in self.cells]
        likely = [
            t for i, w in self.tests if (t := _likely(self.cells[i], w))
        ]  # what is too early for sure is not looked at
        source = f"SELECT {line} AS tilth_line, * FROM {quoted(self.table)}"
        suspects = " OR ".join([*(c.misfit for c in self.cells), *self._unsure()]) or "0"
        return (
            f"{self._leading(told=True)} UNION ALL SELECT {', '.join(['tilth_line', *values, *words])}"
            f" FROM ({source}) WHERE {' AND '.join([*likely, f'({suspects})'])}"
        )

    def found(self) -> str:
        """What DuckDB makes of that: the lines and the reasons of rows that do not fit, as far as the predicates let them."""
        spans = range(len(self.cells))
        why = ", ".join(f"CASE WHEN w{i} <> '' THEN w{i}{self._late_why(i)} END" for i in spans)
        bad = {i: f"(w{i} <> '' OR {self._late(i)})" for i in spans}
        tests = [f"({bad[i]} OR coalesce({condition(w, f'r{i}')}, false))" for i, w in self.tests]
        return (
            f"{self._real()} SELECT line, concat_ws('; ', {why}) AS reason FROM made"
            f" WHERE {' AND '.join(['(' + ' OR '.join(bad.values()) + ')', *tests])}"
        )

    def counted(self) -> str:
        """What DuckDB makes of `looked` to count the misfits of each cell."""
        counts = [f"count(*) FILTER (w{i} <> '' OR {self._late(i)})" for i in range(len(self.cells))]
        return f"{self._real()} SELECT {', '.join(counts)} FROM made"

    # --- shared --------------------------------------------------------------------------------------------

    def _unsure(self) -> list[str]:
        """Of each cell that is a time, whether it is a text which SQLite cannot tell to be one."""
        return [f"(typeof({quoted(c.name)}) = 'text' AND NOT {c.surely})" for c in self.cells if c.later]

    def _leading(self, *, told: bool = False, flag: bool = False) -> str:
        """A first row of known types; `told`: with a line before the cells, and the reasons after; `flag`: with a number before."""
        values = ["0 AS odd"] if flag else []
        values += [f"{c.leading} AS v{i}" for i, c in enumerate(self.cells)]
        if told:
            values = ["0 AS line", *values, *(f"'' AS w{i}" for i in range(len(self.cells)))]
        return f"SELECT {', '.join(values) or '0 AS none'}"

    def _real(self) -> str:
        spans = range(len(self.cells))
        moments = "".join(f", {self.cells[i].moment(f'v{i}')} AS m{i}" for i in spans)
        reals = "".join(f", {self.cells[i].real(f'm{i}')} AS r{i}" for i in spans)
        return f"WITH moments AS (SELECT *{moments} FROM rows), made AS (SELECT *{reals} FROM moments)"

    def _late_why(self, i: int) -> str:
        return f" WHEN {self._late(i)} THEN {self.cells[i].why(f'v{i}')}" if self.cells[i].later else ""

    def _late(self, i: int) -> str:
        return f"(v{i} IS NOT NULL AND r{i} IS NULL)" if self.cells[i].later else "false"


def _pushed(cell: Cell, where: Predicate) -> bool:
    """Whether SQLite decides the predicate as DuckDB does: texts against texts, numbers against numbers."""
    values = where.value if isinstance(where.value, tuple) else (where.value,)
    if cell.type is DataType.STRING:
        return all(v is None or isinstance(v, str) for v in values)
    numbers = all(v is None or (isinstance(v, int | float) and abs(v) < 1e300) for v in values)
    return cell.type in {DataType.INTEGER, DataType.FLOAT} and numbers


def _likely(cell: Cell, where: Predicate) -> str | None:
    """What SQLite can rule out of comparisons that wait: texts that begin with a date which is a day too early or late.

    Whatever else stands in such a column passes, and is compared when it is real; a zone moves a day by one at most.
    """
    if cell.type not in TIMES or not isinstance(where.value, date) or where.op not in {">", ">=", "<", "<="}:
        return None
    slack = timedelta(days=2 if where.op in {">", ">="} else -2)
    try:
        edge = literal((where.value - slack).isoformat()[:10])
    except OverflowError:
        return None
    name = quoted(cell.name)
    if cell.dated and where.op[0] == ">":
        return f"{name} >= {edge}"  # an index answers it
    # Of texts with a four-digit year, what sorts below an early edge is early, however it goes on.
    # Above a late edge they are late only where the day has its two digits: `2024-01-5 10:00` sorts above `2024-01-12`.
    late = f"{name} NOT GLOB {_DATED} OR substr({name}, 10, 1) NOT GLOB '[0-9]'"
    other = f"substr({name}, 5, 1) <> '-'" if where.op[0] == ">" else late
    return f"({name} {where.op[0]}= {edge} OR {other})"
