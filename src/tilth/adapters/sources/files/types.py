"""What a column of cells is, from the counts of their kinds in the whole table, and what has to be said about it.

A column has a type when every cell that stands for a value converts to it exactly. What tells that numbers are codes
(leading zeros, more digits than 64 bits hold, digits E digits) keeps all of them text. Other strays are broken rows as
long as they are at most one in a hundred; beyond that the column is text. `nulls`, `types` and `misfits` overrule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tilth.adapters.sources.files import dates
from tilth.adapters.sources.files.kinds import (
    BLANKS,
    CODES,
    COMMAS,
    NUMBERS,
    STAMPS,
    Kind,
    Layouts,
    is_word,
    number_of,
    parsed,
    zoned,
)
from tilth.adapters.sources.files.options import Format, key_of, paste, paste_type
from tilth.core.names import literal
from tilth.ports.source import Notice

STRAYS = 100  # one in so many may be one
_FAMILIES = {
    "BOOLEAN": (Kind.BOOL,),
    "number": NUMBERS,
    "DATE": (Kind.DATE,),
    "TIMESTAMP": STAMPS,
    "zoned": (Kind.ZONE,),
    "TIME": (Kind.CLOCK,),
    "dmy": (Kind.BOTH, Kind.DMY),
    "mdy": (Kind.BOTH, Kind.MDY),
    "named": (Kind.NAMED,),
}
_EVIDENCE = {
    Kind.ZERO: "leading zeros",
    Kind.BIG: "more digits than 64 bits hold",
    Kind.PLUS: "a plus sign before a long number",
    Kind.CODE: "digits, an E and digits, as in codes,",
}


@dataclass(frozen=True, slots=True)
class Counted:
    """One column's cells: `key` is its name in SQL, `counts` how many are of each kind."""

    key: str
    name: str
    counts: Mapping[Kind, int]
    kind: str  # SQL for a cell's kind
    layouts: Layouts = field(default_factory=Layouts)
    words: tuple[str, ...] = ()  # those that stand for missing values
    like_thousands: bool = False  # the first fractions could be thousands with a point
    groups: str = (
        ""  # what stands between the thousands of the first values, when that is no comma and no point
    )

    def of(self, *kinds: Kind) -> int:
        return sum(self.counts.get(k, 0) for k in kinds)

    @property
    def values(self) -> int:
        return sum(self.counts.values()) - self.of(Kind.NULL, Kind.EMPTY, Kind.WORD)


@dataclass(frozen=True, slots=True)
class Reading:
    """How a column is read: its DuckDB type, SQL for its value, and SQL that is true of cells that do not fit."""

    name: str
    key: str
    type: str
    value: str
    misfit: str | None = None


def _codes(column: Counted) -> tuple[Kind, ...]:
    """The kinds that tell that a column holds codes; among fractions, digits E digits is a number."""
    fractions = 2 * column.of(Kind.DEC, Kind.LONG, Kind.EXP) >= column.values
    return tuple(k for k in CODES if k != Kind.CODE) if fractions else CODES


def _kinds(family: str, column: Counted) -> tuple[Kind, ...]:
    """The kinds of a family of types in this column."""
    more = (Kind.CODE,) if family == "number" and Kind.CODE not in _codes(column) else ()
    return (*_FAMILIES[family], *more)


Ask = Callable[[str], Sequence[Sequence[Any]]]


@dataclass(slots=True)
class Decision:
    """The readings of one table's columns. `ask` runs SQL over the table's cells, `{cells}` standing for them."""

    table: str
    form: Format
    ask: Ask
    notices: list[Notice] = field(default_factory=list)
    day_first: bool | None = None  # as columns that fit one order alone are written

    def readings(self, columns: Sequence[Counted]) -> list[Reading]:
        """One reading for each column."""
        orders = {c.of(Kind.DMY) > c.of(Kind.MDY) for c in columns if c.of(Kind.DMY) != c.of(Kind.MDY)}
        said = [f.find("%d") < f.find("%m") for f in (self.form.dateformat, self.form.timestampformat) if f]
        self.day_first = orders.pop() if len(orders) == 1 else said[0] if said and not orders else None
        declared = {name.lower(): kind for name, kind in self.form.types}
        return [self._one(c, declared.get(c.name.lower())) for c in columns]

    def _one(self, column: Counted, declared: str | None) -> Reading:
        if declared is not None:
            return self._declared(column, declared)
        n = column.values
        best = max(_FAMILIES, key=lambda f: (column.of(*_kinds(f, column)), f == "DATE"))
        fits = column.of(*_kinds(best, column))
        codes = column.of(*_codes(column))
        if codes and 2 * (codes + column.of(*NUMBERS)) >= n:
            self._say_codes(column, n)
            return self._text(column, told=True)
        if column.of(Kind.ZONE) and column.of(*STAMPS):
            return self._zones(column, n)
        if fits == 0 or (best == "number" and (codes or column.of(*COMMAS))) or (n - fits) * STRAYS > n:
            return self._text(column)
        return self._typed(column, best, n - fits)

    def _typed(self, column: Counted, family: str, strays: int) -> Reading:
        made = self._converted(column, family)
        if made is None:
            return self._text(column, told=True)
        kind, value = made
        if column.of(Kind.WORD) and self.form.nulls is None:
            self._say_words(column, kind)
        if strays:
            allowed = ", ".join(f"{k:d}" for k in _kinds(family, column))
            value = f"CASE WHEN {self._kind(column)} IN ({allowed}) THEN {value} END"
            return self._with_misfits(column, kind, value, strays)
        if column.of(Kind.WORD):
            value = f"CASE WHEN {is_word(column.key, self.form)} THEN NULL ELSE {value} END"
        return Reading(column.name, column.key, kind, value)

    def _converted(self, column: Counted, family: str) -> tuple[str, str] | None:
        """The type and the SQL for a cell that fits; None when no type keeps all of them, which is said.

        No cell is cast as it stands, but trimmed: DuckDB would have its CSV reader do the cast, and drop the line of
        a cell that does not fit.
        """
        key = column.key
        if family == "number":
            return self._number(column)
        if family in ("dmy", "mdy", "named"):
            return self._laid_out(column, family)
        if family == "zoned":
            return "TIMESTAMP", f"(TRY_CAST({zoned(key)} AS TIMESTAMPTZ) AT TIME ZONE 'UTC')"
        if family == "TIMESTAMP" and column.of(Kind.FINE):
            self._say(
                "guessed",
                column,
                f"{column.of(Kind.FINE)} of {column.values} times have more than six digits of a second; the rest was cut off.",
                "VARCHAR",
            )
        value = {
            "BOOLEAN": f"CASE lower(trim({key})) WHEN 'true' THEN true WHEN 'false' THEN false END",
            "DATE": f"TRY_CAST(trim({key}) AS DATE)",
            "TIMESTAMP": f"TRY_CAST(trim({key}) AS TIMESTAMP)",
            "TIME": f"TRY_CAST(trim({key}) AS TIME)",
        }[family]
        return family, value

    def _number(self, column: Counted) -> tuple[str, str] | None:
        cell = number_of(column.key, self.form)
        fractions = column.of(Kind.DEC, Kind.LONG, Kind.EXP, Kind.INF)
        if not fractions:
            return "BIGINT", f"TRY_CAST(trim({cell}) AS BIGINT)"
        if column.of(Kind.LONG, Kind.WIDE):
            kind = self._decimal(column, cell)
            return None if kind is None else (kind, f"TRY_CAST(trim({cell}) AS {kind})")
        if column.of(Kind.INF):
            self._say(
                "guessed", column, f"{column.of(Kind.INF)} of {column.values} values are infinite.", "VARCHAR"
            )
        self._say_thousands(column, cell)
        return "DOUBLE", f"TRY_CAST(trim({cell}) AS DOUBLE)"

    def _decimal(self, column: Counted, cell: str) -> str | None:
        """The DECIMAL that holds all of a column's digits, if there is one."""
        n = column.of(Kind.LONG, Kind.WIDE)
        digits = f"translate({cell}, '+- ', '')"
        whole, scale = f"strlen(split_part({digits}, '.', 1))", f"strlen(split_part({digits}, '.', 2))"
        ((left, right),) = self.ask(
            f"SELECT max({whole}), max({scale}) FROM {{cells}} WHERE {self._number_kinds(column)}"
        )
        why = f"{n} of {column.values} numbers have more digits than a DOUBLE keeps"
        if column.of(Kind.EXP, Kind.INF) or left + right > 38:
            self._say("guessed", column, f"{why}, so all were read as text.", "DOUBLE")
            return None
        kind = f"DECIMAL({left + right},{right})"
        self._say("guessed", column, f"{why}, so the column is {kind}.", "DOUBLE")
        return kind

    def _number_kinds(self, column: Counted) -> str:
        return f"{self._kind(column)} IN ({', '.join(f'{k:d}' for k in NUMBERS)})"

    def _laid_out(self, column: Counted, family: str) -> tuple[str, str]:
        layouts = column.layouts
        if family != "named":
            family = self._order(column, family)
        formats = {"dmy": layouts.dmy, "mdy": layouts.mdy, "named": layouts.named}[family]
        if dates.short_years(formats) and not self._settled(formats):
            short = parsed(column.key, [f for f in formats if dates.short_years([f])])
            ((n,),) = self.ask(f"SELECT count(*) FILTER ({short} IS NOT NULL) FROM {{cells}}")
            self._say_format(
                column,
                f"{n} years have two digits: 69 to 99 were read as 1969 to 1999, others as 2000 to 2068",
                formats,
            )
        kind = "TIMESTAMP" if dates.has_clock(formats) else "DATE"
        return kind, f"{parsed(column.key, formats)}::{kind}"

    def _order(self, column: Counted, family: str) -> str:
        """Which of dmy and mdy: what fits more values, and by evidence when both fit the same."""
        layouts, both = column.layouts, column.of(Kind.BOTH)
        if column.of(Kind.DMY) or column.of(Kind.MDY):
            return family
        first = parsed(column.key, layouts.dmy)
        pairs = self.ask(
            f"SELECT DISTINCT day(d), month(d), year(d) FROM (SELECT {first} AS d FROM {{cells}}) WHERE d IS NOT NULL"
            " ORDER BY 3, 2, 1 LIMIT 5000"
        )
        order = dates.order_of(
            [(int(a), int(b), int(y)) for a, b, y in pairs], layouts.dmy[0][2], self.day_first
        )
        chosen = layouts.dmy if order.day_first else layouts.mdy
        words = ("day first", "month first") if order.day_first else ("month first", "day first")
        self._say_format(
            column,
            f"{both} of {column.values} dates fit {words[0]} and {words[1]}; read {words[0]}, {order.why}",
            chosen,
        )
        return "dmy" if order.day_first else "mdy"

    def _zones(self, column: Counted, n: int) -> Reading:
        zones = column.of(Kind.ZONE)
        self._say(
            "guessed",
            column,
            f"{zones} of {n} times have a zone and {column.of(*STAMPS)} have none, so all were read as text.",
            "TIMESTAMP",
            " (those without a zone are then read as UTC)",
        )
        return self._text(column, told=True)

    def _text(self, column: Counted, *, told: bool = False) -> Reading:
        key, n = column.key, column.values
        if not told and n:
            self._say_text(column, n)
        if self.form.nulls:
            return Reading(
                column.name, key, "VARCHAR", f"CASE WHEN NOT {is_word(key, self.form)} THEN {key} END"
            )
        if self.form.nulls is None and column.of(Kind.WORD):
            self._say_kept_words(column)
        return Reading(column.name, key, "VARCHAR", key)

    def _declared(self, column: Counted, kind: str) -> Reading:
        key, form = column.key, self.form
        if kind == "VARCHAR":
            value = f"CASE WHEN NOT {is_word(key, form)} THEN {key} END" if form.nulls else key
            return Reading(column.name, key, kind, value)
        value = (
            f"CASE WHEN {self._kind(column)} > {Kind.WORD:d} THEN {self._declared_value(column, kind)} END"
        )
        ((misfits,),) = self.ask(
            f"SELECT count(*) FROM {{cells}} WHERE {self._kind(column)} > {Kind.WORD:d} AND ({value}) IS NULL"
        )
        if column.of(Kind.WORD) and form.nulls is None:
            self._say_words(column, kind)
        return (
            self._with_misfits(column, kind, value, misfits)
            if misfits
            else Reading(column.name, key, kind, value)
        )

    def _declared_value(self, column: Counted, kind: str) -> str:
        key, cell = column.key, f"trim({number_of(column.key, self.form)})"
        if kind == "BIGINT":
            return f"CASE WHEN regexp_full_match({cell}, '[+-]?[0-9]+([.]0*)?') THEN TRY_CAST({cell} AS BIGINT) END"
        if kind == "DOUBLE":
            plain = "[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?"
            infinite = f"WHEN {self._kind(column)} = {Kind.INF:d} THEN TRY_CAST(trim({key}) AS DOUBLE)"
            double = f"TRY_CAST({cell} AS DOUBLE)"
            return f"CASE WHEN regexp_full_match({cell}, '{plain}') AND isfinite({double}) THEN {double} {infinite} END"
        if kind.startswith("DECIMAL"):
            scale = kind.partition(",")[2].rstrip(")")
            return (
                f"CASE WHEN regexp_full_match({cell}, '[+-]?([0-9]+[.]?[0-9]{{0,{scale}}}|[.][0-9]{{1,{scale}}})0*')"
                f" THEN TRY_CAST({cell} AS {kind}) END"
            )
        if kind == "BOOLEAN":
            return f"TRY_CAST(trim({key}) AS BOOLEAN)"
        if kind == "TIME":
            return f"TRY_CAST(trim({key}) AS TIME)"
        return self._declared_moment(column, kind)

    def _declared_moment(self, column: Counted, kind: str) -> str:
        """A date or a time in the given formats, the formats it was seen in, or ISO."""
        key, layouts = column.key, column.layouts
        tried = [parsed(key, layouts.named)] if layouts.named else []
        if layouts.dmy and column.of(Kind.BOTH, Kind.DMY, Kind.MDY):
            family = max(("dmy", "mdy"), key=lambda f: column.of(*_FAMILIES[f]))
            order = self._order(column, family)
            tried.append(parsed(key, layouts.dmy if order == "dmy" else layouts.mdy))
        iso = f"{self._kind(column)} IN ({', '.join(f'{k:d}' for k in STAMPS)})"
        tried += [
            f"CASE WHEN {iso} THEN TRY_CAST(trim({key}) AS TIMESTAMP) END",
            f"(CASE WHEN {self._kind(column)} = {Kind.ZONE:d} THEN TRY_CAST({zoned(key)} AS TIMESTAMPTZ) END AT TIME ZONE 'UTC')",
        ]
        moment = f"coalesce({', '.join(tried)})"
        if kind == "TIMESTAMP":
            return moment
        return f"CASE WHEN {moment} = date_trunc('day', {moment}) THEN ({moment})::DATE END"

    def _with_misfits(self, column: Counted, kind: str, value: str, misfits: int) -> Reading:
        gaps = self.form.misfits == "null"
        n = column.values
        become = "were read as missing" if gaps else "are no " + kind + ": their rows are broken rows"
        option = "" if gaps else f", or {paste(self.table, 'misfits', literal('null'))} to have them missing"
        told = f"{misfits} of {n} values " + (f"are no {kind} and {become}." if gaps else f"{become}.")
        self.notices.append(
            Notice(
                "left_out",
                self.table,
                told,
                column.name,
                f"{paste_type(self.table, column.name, 'VARCHAR')}{option}",
            )
        )
        if gaps:
            return Reading(column.name, column.key, kind, value)
        misfit = f"({self._kind(column)} > {Kind.WORD:d} AND ({value}) IS NULL)"
        return Reading(column.name, column.key, kind, value, misfit)

    def _kind(self, column: Counted) -> str:
        return f"({column.kind})"

    # what is said

    def _say(self, what: str, column: Counted, text: str, kind: str, more: str = "") -> None:
        self.notices.append(
            Notice(what, self.table, text, column.name, paste_type(self.table, column.name, kind) + more)
        )

    def _settled(self, formats: Sequence[str]) -> bool:
        """Whether the source itself says that dates are written so."""
        return set(formats) <= {self.form.dateformat, self.form.timestampformat}

    def _say_format(self, column: Counted, text: str, formats: Sequence[str]) -> None:
        """A guess of how dates are written. One format is settled by an option that is free; several are not."""
        if self._settled(formats):
            return
        option = paste_type(self.table, column.name, "VARCHAR")
        key = "timestampformat" if dates.has_clock(formats) else "dateformat"
        if len(formats) == 1 and getattr(self.form, key) is None:
            option = paste(self.table, key, literal(formats[0]))
        self.notices.append(Notice("guessed", self.table, f"{text}.", column.name, option))

    def _say_words(self, column: Counted, kind: str) -> None:
        words = ", ".join(map(literal, column.words))
        self.notices.append(
            Notice(
                "guessed",
                self.table,
                f"{column.of(Kind.WORD)} of {column.values + column.of(Kind.WORD)} values are words for a missing one"
                f" ({words}) among values of type {kind}, and were read as missing.",
                column.name,
                paste(self.table, "nulls", f"[{words}]"),
            )
        )

    def _say_kept_words(self, column: Counted) -> None:
        words = ", ".join(map(literal, column.words))
        self.notices.append(
            Notice(
                "guessed",
                self.table,
                f"{column.of(Kind.WORD)} of {column.values + column.of(Kind.WORD)} values of a text column are words that may"
                f" stand for a missing one ({words}), and were kept as text.",
                column.name,
                paste(self.table, "nulls", f"[{words}]"),
            )
        )

    def _say_codes(self, column: Counted, n: int) -> None:
        kinds = [k for k in _codes(column) if column.of(k)]
        if kinds == [Kind.ZERO] and column.of(Kind.ZERO) == n:
            return  # nobody takes it for numbers
        listed = "; ".join(f"{_EVIDENCE[k]} in {column.of(k)} of {n} values" for k in kinds)
        kind = (
            "VARCHAR"
            if Kind.BIG in kinds
            else "DOUBLE"
            if column.of(Kind.CODE, Kind.DEC, Kind.EXP)
            else "BIGINT"
        )
        self._say("guessed", column, f"{listed}, so all were read as text.", kind)

    def _say_text(self, column: Counted, n: int) -> None:
        """A column that is text though most of its values look like something else."""
        commas = column.of(*COMMAS)
        if commas and 2 * (commas + column.of(*NUMBERS)) >= n:
            self._say_commas(column, commas, n)
            return
        if column.groups and self.form.thousands is None:
            self._say_groups(column)
            return
        best = max(_FAMILIES, key=lambda f: column.of(*_FAMILIES[f]))
        fits = column.of(*_FAMILIES[best])
        if 2 * fits >= n and fits < n:
            kind = {"number": "DOUBLE", "BOOLEAN": "BOOLEAN", "TIME": "TIME", "DATE": "DATE"}.get(
                best, "TIMESTAMP"
            )
            if best in ("dmy", "mdy", "named"):
                layouts = column.layouts
                clock = dates.has_clock((*layouts.dmy, *layouts.mdy, *layouts.named))
                kind = "TIMESTAMP" if clock else "DATE"
            what = {"number": "numbers", "BOOLEAN": "true or false", "TIME": "times"}.get(
                best, "dates in one form"
            )
            self._say(
                "guessed", column, f"{n - fits} of {n} values are not {what}, so all were read as text.", kind
            )

    def _say_commas(self, column: Counted, commas: int, n: int) -> None:
        decimal, groups = column.of(Kind.COMMA), column.of(Kind.GROUP)
        options = [("decimal", "','")] if decimal or not groups else []
        options += [("thousands", "','")] if groups or not decimal else []
        if self.form.decimal == ",":
            options = [("thousands", "'.'")]
        written = " or ".join(paste(self.table, key, value) for key, value in options)
        text = f"{commas} of {n} values are numbers with a comma, so all were read as text."
        self.notices.append(Notice("guessed", self.table, text, column.name, written))

    def _say_groups(self, column: Counted) -> None:
        """Numbers with a mark between thousands that is no comma and no point."""
        told = {"'": "apostrophes", "’": "apostrophes (’)"}.get(column.groups, "blanks")
        ((commas,),) = self.ask(
            f"SELECT count(*) FILTER (regexp_matches({column.key}, ',[0-9]+ *$')) FROM {{cells}}"
        )
        text = f"Its first values could be numbers with {told} between thousands; all {column.values} were read as text."
        mark = " " if column.groups in BLANKS else column.groups
        keys = f"thousands: {literal(mark)}" + (
            ", decimal: ','" if commas and self.form.decimal is None else ""
        )
        self.notices.append(
            Notice("guessed", self.table, text, column.name, f"tables = {{{key_of(self.table)}: {{{keys}}}}}")
        )

    def _say_thousands(self, column: Counted, cell: str) -> None:
        """Fractions that all have three digits may be thousands with a point."""
        settled = self.form.decimal or self.form.thousands
        if settled or not column.like_thousands or column.of(Kind.DEC) < 2 or column.of(Kind.EXP, Kind.INF):
            return
        shape = f"regexp_full_match(trim({cell}), '[+-]?([1-9][0-9]{{0,2}}([.][0-9]{{3}})?|0)')"
        unlike = self.ask(
            f"SELECT 1 FROM {{cells}} WHERE {self._number_kinds(column)} AND NOT {shape} LIMIT 1"
        )
        if not unlike:
            fractions = column.of(Kind.DEC)
            text = f"{fractions} of {fractions} fractions have three digits after the point and could be thousands; read as fractions."
            option = paste(self.table, "thousands", "'.'")
            self.notices.append(Notice("guessed", self.table, text, column.name, option))


def no_such_columns(form: Format, names: Sequence[str]) -> str | None:
    """A column that `types` names and the table does not have."""
    low = {n.lower() for n in names}
    return next((key_of(n) for n, _ in form.types if n.lower() not in low), None)


def with_words(counted: Sequence[Counted], form: Format, ask: Ask) -> list[Counted]:
    """The columns with the words that stand for missing values in them."""
    asked = [c for c in counted if c.of(Kind.WORD)]
    if not asked:
        return list(counted)
    lists = ", ".join(
        f"list_sort(list(DISTINCT trim({c.key})) FILTER ({is_word(c.key, form)}))[:10]" for c in asked
    )
    (found,) = ask(f"SELECT {lists} FROM {{cells}}")
    words = {c.key: tuple(w or ()) for c, w in zip(asked, found, strict=True)}
    return [replace(c, words=words.get(c.key, ())) for c in counted]
