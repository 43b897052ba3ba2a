"""`tilth test`: a dataset's query over the tables of a case, compared with what is expected. No source is asked and nothing is kept."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tilth.core.errors import InputError, ProjectError, TilthError
from tilth.core.names import did_you_mean
from tilth.ml.data.apart import Apart
from tilth.ports.engine import QueryEngine, Relation
from tilth.ports.limits import Limits
from tilth.resources.graph import Graph
from tilth.runtime.showing import cases
from tilth.runtime.showing.cases import Case
from tilth.sql.language.statements import CreateDataset, Kind
from tilth.sql.queries import reads

if TYPE_CHECKING:
    import pyarrow as pa

LIMITS = Limits(seconds=60.0, memory=1_000_000_000, disk=1_000_000_000)
PASSED, FAILED, BROKEN = "passed", "failed", "error"
Row = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Tested:
    """What became of a case: rows that are expected and were not given (`missing`), rows that were given besides (`more`)."""

    case: Case
    status: str
    columns: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    missing: tuple[Row, ...] = ()
    more: tuple[Row, ...] = ()
    rows: int = 0
    error: TilthError | None = field(default=None, compare=False)

    def lines(self, most: int) -> list[str]:
        """The differences, a line each: of a KEY what changed, else whole rows."""
        pairs, missing, more = self._paired()
        out = [self._changed(a, b) for a, b in pairs]
        out += [f"- {self._shown(row)}" for row in missing]
        out += [f"+ {self._shown(row)}" for row in more]
        return out[:most] + ([f"... and {len(out) - most:,} more"] if len(out) > most else [])

    def _paired(self) -> tuple[list[tuple[Row, Row]], list[Row], list[Row]]:
        at = [self.columns.index(k) for k in self.key if k in self.columns]
        if not at:
            return [], list(self.missing), list(self.more)
        given = {tuple(row[i] for i in at): row for row in self.more}
        pairs = [(row, given.pop(key)) for row in self.missing if (key := tuple(row[i] for i in at)) in given]
        paired = {a for a, _ in pairs}
        return pairs, [r for r in self.missing if r not in paired], list(given.values())

    def _changed(self, wanted: Row, given: Row) -> str:
        key = ", ".join(f"{k} {_value(wanted[self.columns.index(k)])}" for k in self.key)
        cells = [
            f"{name} is {_value(b)}, expected {_value(a)}"
            for name, a, b in zip(self.columns, wanted, given, strict=True)
            if a != b
        ]
        return f"~ {key}: {'; '.join(cells)}"

    def _shown(self, row: Row) -> str:
        return ", ".join(f"{n} {_value(v)}" for n, v in zip(self.columns, row, strict=True))

    def facts(self) -> dict[str, Any]:
        """It as values."""
        said = [dict(zip(self.columns, row, strict=True)) for row in self.missing]
        besides = [dict(zip(self.columns, row, strict=True)) for row in self.more]
        return {
            "dataset": self.case.dataset, "case": self.case.name, "status": self.status, "rows": self.rows, "missing": said,
            "more": besides, "error": None if self.error is None else self.error.fields(),
        }  # fmt: skip


def _value(value: str | None) -> str:
    return "NULL" if value is None else value or "''"


def run(graph: Graph, root: str, engine: QueryEngine, wanted: Sequence[str] = ()) -> list[Tested]:
    """Every case that is wanted, one after the other; InputError where nothing fits what is wanted."""
    todo = cases.found(root, wanted)
    if not todo and wanted:
        there = sorted({c.dataset for c in cases.found(root)})
        raise InputError(
            f"There is no case of `{wanted[0]}` in {cases.FOLDER}/.",
            hint=(did_you_mean(wanted[0], there, "datasets with cases") if there else "")
            or f"tilth test --create {wanted[0]} makes one of a sample.",
        )
    return [_one(graph, case, engine) for case in todo]


def _one(graph: Graph, case: Case, engine: QueryEngine) -> Tested:
    try:
        return _compared(graph, case, engine)
    except TilthError as error:
        return Tested(case, BROKEN, error=error)


def dataset_of(graph: Graph, name: str) -> CreateDataset:
    """The declaration of a dataset."""
    found = graph.find(name)
    if found is None or found.kind is not Kind.DATASET:
        names = [r.name for r in graph.of_kind(Kind.DATASET)]
        raise ProjectError(f"There is no dataset `{name}`.", hint=did_you_mean(name, names, "datasets"))
    return found.as_(CreateDataset)


def _compared(graph: Graph, case: Case, engine: QueryEngine) -> Tested:
    declared = dataset_of(graph, case.dataset)
    given = answer(declared, _inputs(declared, case, engine), engine)
    kinds = {n.lower(): k for n, k in cases.types_of(given, engine).items()}
    path = os.path.join(case.folder, cases.EXPECTED + cases.SUFFIX)
    if not os.path.exists(path):
        raise InputError(
            f"{cases.FOLDER}/{case.dataset}/{case.name} has no expected.csv.",
            hint="Write the rows that the query is to give.",
        )
    expected = cases.read(path, engine, kinds)
    names = [n for n in given.schema.names if n.lower() in {e.lower() for e in expected.schema.names}]
    lacking = [e for e in expected.schema.names if e.lower() not in {n.lower() for n in given.schema.names}]
    if lacking:
        raise InputError(
            f"The query of `{case.dataset}` gives no column `{lacking[0]}`, which expected.csv of {case.name} has.",
            hint=did_you_mean(lacking[0], given.schema.names, "columns"),
        )
    order = [next(e for e in expected.schema.names if e.lower() == n.lower()) for n in names]
    want = Counter(cases.texts(expected.select(order), engine))
    have = Counter(cases.texts(given.select(names), engine))
    missing, more = tuple((want - have).elements()), tuple((have - want).elements())
    key = tuple(n for k in declared.key for n in names if n.lower() == k.lower())
    return Tested(
        case, FAILED if missing or more else PASSED, tuple(names), key, missing, more, given.num_rows
    )


def answer(declared: CreateDataset, inputs: dict[str, Relation], engine: QueryEngine) -> pa.Table:
    """What the dataset's query gives over these tables."""
    try:
        return Apart(engine, LIMITS).stream(declared.query.sql.rstrip().rstrip(";"), inputs).read_all()
    except TilthError as error:
        raise (
            error.at(declared.query.position) if error.where is None and declared.query.position else error
        ) from None


def tables_of(declared: CreateDataset) -> list[str]:
    """The tables that the query names, as it writes them."""
    return list(
        dict.fromkeys(
            f"{u.schema}.{u.name}" if u.schema else u.name for u in reads.tables(declared.query.sql)
        )
    )


def _inputs(declared: CreateDataset, case: Case, engine: QueryEngine) -> dict[str, Relation]:
    needed = tables_of(declared)
    files = {t.lower(): t for t in case.tables}
    if lacking := [n for n in needed if n.lower() not in files]:
        raise InputError(
            f"{cases.FOLDER}/{case.dataset}/{case.name} has no {lacking[0]}.csv, which the query of `{case.dataset}` reads.",
            hint=f"Write it with a header of name:TYPE; a table without rows is its header alone. Tables: {', '.join(needed)}.",
        )
    if extra := sorted(set(files) - {n.lower() for n in needed}):
        raise InputError(
            f"{cases.FOLDER}/{case.dataset}/{case.name} has {files[extra[0]]}.csv, which the query of `{case.dataset}` does not read.",
            hint=f"Remove it; tables: {', '.join(needed)}.",
        )
    return {n: cases.read(os.path.join(case.folder, files[n.lower()] + cases.SUFFIX), engine) for n in needed}
