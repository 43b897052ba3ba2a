"""What a client's text asks for: statements of tilth, and those of PostgreSQL that only a connection is concerned with.

A text is cut at its semicolons by tilth's own cursor; each statement is told by its first words. What is none of PostgreSQL's session
statements is `Tilth`'s, verbatim.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from tilth.core.errors import LanguageError, Position, UnsupportedError
from tilth.sql.language.tokens import Cursor, place

WORDS = re.compile(r"[A-Za-z_]+")
BEGIN, COMMIT, ROLLBACK = "BEGIN", "COMMIT", "ROLLBACK"
SAVEPOINT, RELEASE, BACK_TO = "SAVEPOINT", "RELEASE", "ROLLBACK TO"
ALL = -1
"""Rows that FETCH ALL asks for."""


@dataclass(frozen=True, slots=True)
class Tilth:
    """A statement of the language; `words` are its first ones, in upper case."""

    text: str
    start: int
    words: tuple[str, ...]

    @property
    def asks(self) -> bool:
        """Whether it is a query."""
        return not self.words or self.words[0] in {"SELECT", "WITH", "FROM", "VALUES"}


@dataclass(frozen=True, slots=True)
class Transaction:
    """BEGIN, COMMIT, ROLLBACK, or a savepoint with its name; `chain` begins the next one at once."""

    what: str
    name: str = ""
    chain: bool = False


@dataclass(frozen=True, slots=True)
class SetTo:
    """A setting's value; None: back to what it was at the start. `local`: until the transaction ends."""

    name: str
    value: str | None
    local: bool = False


@dataclass(frozen=True, slots=True)
class ResetAll:
    pass


@dataclass(frozen=True, slots=True)
class ShowSetting:
    """One setting, or all of them: `all`."""

    name: str


@dataclass(frozen=True, slots=True)
class CopyOut:
    """The rows of a query, as COPY sends them: text, csv or binary."""

    query: Tilth
    form: str = "text"
    header: bool = False
    delimiter: str | None = None
    null: str | None = None
    quote: str = '"'


@dataclass(frozen=True, slots=True)
class Declare:
    """A cursor over a query; `hold`: it outlives its transaction."""

    name: str
    query: Tilth
    hold: bool = False


@dataclass(frozen=True, slots=True)
class Fetch:
    """The next rows of a cursor, ALL or so many; `silent`: they are passed over (MOVE)."""

    name: str
    count: int
    silent: bool = False


@dataclass(frozen=True, slots=True)
class CloseCursor:
    """None: every cursor."""

    name: str | None


@dataclass(frozen=True, slots=True)
class Deallocate:
    """None: every prepared statement."""

    name: str | None


@dataclass(frozen=True, slots=True)
class Discard:
    pass


@dataclass(frozen=True, slots=True)
class Nothing:
    """A statement that asks for nothing that tilth has, and may be answered so: UNLISTEN, RESET ROLE."""

    tag: str


Command = (
    Tilth | Transaction | SetTo | ResetAll | ShowSetting | CopyOut | Declare | Fetch | CloseCursor | Deallocate | Discard | Nothing
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _At:
    """One statement under the cursor: its tokens, from `first` to before `last`."""

    c: Cursor
    text: str
    first: int
    last: int
    settings: frozenset[str] = field(default_factory=frozenset)

    @property
    def start(self) -> int:
        return int(self.c.tokens[self.first].start)

    def keys(self) -> list[str]:
        return self.c.keys[self.first : self.last]

    def value(self, at: int) -> str:
        """A token's own text, without quotes."""
        return str(self.c.tokens[at].text)

    def tilth(self, first: int | None = None, last: int | None = None) -> Tilth:
        begun, end = self.first if first is None else first, self.last if last is None else last
        tokens = self.c.tokens[begun:end]
        if not tokens:
            raise self.fail("The query is missing.", "Write it in brackets: (SELECT ...).")
        start = int(tokens[0].start)
        words = [k for k in self.c.keys[begun : min(begun + 4, end)] if WORDS.fullmatch(k)]
        return Tilth(self.text[start : int(tokens[-1].end) + 1], start, tuple(words))

    def where(self, at: int | None = None) -> Position:
        token = self.c.tokens[min(self.first if at is None else at, len(self.c.tokens) - 1)]
        return place(self.text, int(token.start), int(token.end) + 1)

    def fail(self, words: str, hint: str, at: int | None = None) -> LanguageError:
        return LanguageError(words, hint=hint, where=self.where(at))


def commands(text: str, settings: frozenset[str]) -> list[Command]:
    """The statements of a text, in order; LanguageError where one cannot be told apart.

    `settings` are the names that SHOW knows: another word after SHOW is of tilth's language.
    """
    return list(_each(text, settings))


def _each(text: str, settings: frozenset[str]) -> Iterator[Command]:
    c = Cursor(text)
    first, depth = 0, 0
    for i, key in enumerate([*c.keys, ";"]):
        depth += (key in {"(", "[", "{"}) - (key in {")", "]", "}"})
        if key == ";" and (depth <= 0 or i == len(c.keys)):
            if i > first:
                yield _command(_At(c, text, first, i, settings))
            first, depth = i + 1, 0


def _command(at: _At) -> Command:
    keys = at.keys()
    reads = _FIRST.get(keys[0])
    found = None if reads is None else reads(at, keys)
    return at.tilth() if found is None else found


# --- transactions ------------------------------------------------------------------------------------------


def _begin(_at: _At, keys: list[str]) -> Command | None:
    return Transaction(BEGIN) if keys[0] == "BEGIN" or keys[1:2] == ["TRANSACTION"] else None


def _commit(_at: _At, keys: list[str]) -> Command | None:
    return Transaction(COMMIT, chain=keys[-2:] == ["AND", "CHAIN"])


def _rollback(at: _At, keys: list[str]) -> Command | None:
    rest = [k for k in keys[1:] if k not in {"WORK", "TRANSACTION"}]
    if not rest or rest[0] == "AND":
        return Transaction(ROLLBACK, chain=rest == ["AND", "CHAIN"])
    if rest[0] == "TO":
        return Transaction(BACK_TO, _name(at, at.last - 1))
    return None  # ROLLBACK ENVIRONMENT


def _savepoint(at: _At, keys: list[str]) -> Command | None:
    return Transaction(SAVEPOINT if keys[0] == "SAVEPOINT" else RELEASE, _name(at, at.last - 1))


def _name(at: _At, place_: int) -> str:
    """A name: lower case, unless it is quoted."""
    key = at.c.keys[place_]
    return key.lower() if key else at.value(place_)


# --- settings ----------------------------------------------------------------------------------------------


def _set(at: _At, keys: list[str]) -> Command | None:
    i, local = 1, False
    if keys[1:2] in (["SESSION"], ["LOCAL"]):
        i, local = 2, keys[1] == "LOCAL"
    rest = keys[i:]
    if rest[:1] in (["ACTIVE"], ["MODEL_ACTIVE"]):
        return None  # MindsDB's choice of a version
    if rest[:2] == ["TIME", "ZONE"]:
        return SetTo("timezone", _value(at, i + 2), local)
    if rest[:1] == ["TRANSACTION"] or rest[:3] == ["CHARACTERISTICS", "AS", "TRANSACTION"]:
        return Nothing("SET")
    if rest[:1] == ["NAMES"]:
        return SetTo("client_encoding", _value(at, i + 1), local)
    if rest[:1] in (["ROLE"], ["AUTHORIZATION"]):
        raise UnsupportedError(
            "Who asks is settled by the token of the connection.",
            hint="Connect with another token: CREATE TOKEN 'name' FOR reader.",
            where=at.where(),
        )
    mark = next((n for n, k in enumerate(keys) if k in {"=", "TO"}), None)
    if mark is None or mark <= i:
        return None
    return SetTo(_setting(at, i, mark), _value(at, mark + 1), local)


def _setting(at: _At, first: int, last: int) -> str:
    """A setting's name, of one word or with dots."""
    return "".join(at.value(at.first + n) for n in range(first, last)).lower()


def _value(at: _At, first: int) -> str | None:
    """What stands after `=`: words and numbers, a list with commas; None for DEFAULT."""
    if at.first + first >= at.last:
        raise at.fail("The value is missing.", "Write SET name = value.")
    if at.keys()[first:] == ["DEFAULT"]:
        return None
    said = [at.value(n) for n in range(at.first + first, at.last)]
    return "".join(f"{word} " if word == "," else word for word in said).strip()


def _reset(at: _At, keys: list[str]) -> Command | None:
    if keys[1:] == ["ALL"]:
        return ResetAll()
    if keys[1:2] == ["ROLE"] or keys[1:3] == ["SESSION", "AUTHORIZATION"]:
        return Nothing("RESET")
    return SetTo(_setting(at, 1, len(keys)), None) if len(keys) > 1 else None


def _show(at: _At, keys: list[str]) -> Command | None:
    if keys[1:] == ["TRANSACTION", "ISOLATION", "LEVEL"]:
        return ShowSetting("transaction_isolation")
    if keys[1:] == ["TIME", "ZONE"]:
        return ShowSetting("timezone")
    if len(keys) < 2:
        return None
    name = _setting(at, 1, len(keys))
    return ShowSetting(name) if name in at.settings or name == "all" else None


# --- rows --------------------------------------------------------------------------------------------------


def _copy(at: _At, keys: list[str]) -> Command | None:
    if "FROM" in keys and "TO" not in keys:
        raise UnsupportedError(
            "COPY ... FROM brings rows in, which tilth does not do.",
            hint="Declare a SOURCE whose rows are to be read, or INSERT INTO a source that is writable.",
            where=at.where(),
        )
    if keys[1:2] == ["("]:
        close = _closing(keys, 1)
        query = at.tilth(at.first + 2, at.first + close)
    else:
        close = next((n for n, k in enumerate(keys) if k == "TO"), len(keys)) - 1
        names = keys[1 : close + 1]
        columns = ""
        if "(" in names:
            cut = names.index("(") + 1
            columns = at.tilth(at.first + cut + 1, at.first + close).text
            close_name = cut - 1
        else:
            close_name = close
        table = at.tilth(at.first + 1, at.first + close_name + 1)
        query = Tilth(f"SELECT {columns or '*'} FROM {table.text}", table.start, ("SELECT",))
    if keys[close + 1 : close + 3] != ["TO", "STDOUT"]:
        raise UnsupportedError(
            "COPY sends rows to the client alone: TO STDOUT.",
            hint=r"Write COPY (SELECT ...) TO STDOUT, or in psql \copy (SELECT ...) TO 'file'.",
            where=at.where(),
        )
    return _copy_options(at, keys, query, close + 3)


def _closing(keys: list[str], opened: int) -> int:
    depth = 0
    for n in range(opened, len(keys)):
        depth += (keys[n] == "(") - (keys[n] == ")")
        if depth == 0:
            return n
    return len(keys)


def _copy_options(at: _At, keys: list[str], query: Tilth, first: int) -> CopyOut:
    """`WITH (FORMAT csv, HEADER)`, and the older form without brackets."""
    said: dict[str, str] = {}
    n = first + (keys[first : first + 1] == ["WITH"])
    n += keys[n : n + 1] == ["("]
    while n < len(keys) and keys[n] != ")":
        word = keys[n]
        following = at.value(at.first + n + 1) if n + 1 < len(keys) else ""
        if word in {"CSV", "BINARY", "TEXT"}:
            said["FORMAT"], n = word, n + 1
        elif word == "HEADER":
            given = following.lower() in {"true", "false", "on", "off", "1", "0"}
            said[word], n = following.lower() if given else "true", n + 1 + given
        elif word in {"FORMAT", "DELIMITER", "NULL", "QUOTE", "ENCODING", "ESCAPE"}:
            skip = 1 + (keys[n + 1 : n + 2] == ["AS"])
            said[word], n = at.value(at.first + min(n + skip, len(keys) - 1)), n + skip + 1
        elif word == ",":
            n += 1
        else:
            raise at.fail("This option of COPY is not known.", "Options: FORMAT text | csv | binary, HEADER, DELIMITER, NULL, QUOTE.", at.first + n)  # fmt: skip
    form = said.get("FORMAT", "text").lower()
    if form not in {"text", "csv", "binary"}:
        raise at.fail(f"The format {form} is not known.", "Formats: text, csv, binary.")
    header = said.get("HEADER", "false") in {"true", "on", "1"}
    return CopyOut(query, form, header, said.get("DELIMITER"), said.get("NULL"), said.get("QUOTE", '"'))


def _declare(at: _At, keys: list[str]) -> Command | None:
    if "FOR" not in keys or "CURSOR" not in keys:
        raise at.fail("This is no cursor.", "Write DECLARE name CURSOR FOR SELECT ...")
    mark = keys.index("FOR")
    head = keys[2:mark]
    if "SCROLL" in head and "NO" not in head:
        raise UnsupportedError(
            "A cursor of tilth goes forward only.", hint="Leave out SCROLL.", where=at.where()
        )
    return Declare(_name(at, at.first + 1), at.tilth(at.first + mark + 1), hold=head[-2:] == ["WITH", "HOLD"])


def _fetch(at: _At, keys: list[str]) -> Command | None:
    rest = keys[1:-1]
    name, silent = _name(at, at.last - 1), keys[0] == "MOVE"
    words = [k for k in rest if k not in {"FROM", "IN"}]
    numbers = [at.value(n) for n in range(at.first + 1, at.last - 1) if at.value(n).isdigit()]
    backward = {"BACKWARD", "PRIOR", "ABSOLUTE", "RELATIVE", "FIRST", "LAST", "-"}
    if backward & set(words):
        raise UnsupportedError(
            "A cursor of tilth goes forward only.", hint="Write FETCH 100 FROM name.", where=at.where()
        )
    if "ALL" in words:
        return Fetch(name, ALL, silent)
    return Fetch(name, int(numbers[0]) if numbers else 1, silent)


def _close(at: _At, keys: list[str]) -> Command | None:
    return CloseCursor(None if keys[1:] == ["ALL"] else _name(at, at.last - 1)) if len(keys) == 2 else None


def _deallocate(at: _At, keys: list[str]) -> Command | None:
    return Deallocate(None if keys[-1] == "ALL" else _name(at, at.last - 1))


def _prepared(at: _At, keys: list[str]) -> Command | None:
    raise UnsupportedError(
        f"{keys[0]} as a statement is not in this version.",
        hint="Clients prepare statements by the protocol: psycopg, JDBC and asyncpg do so by themselves.",
        where=at.where(),
    )


_FIRST: Mapping[str, Callable[[_At, list[str]], Command | None]] = {
    "BEGIN": _begin, "START": _begin, "COMMIT": _commit, "END": _commit, "ABORT": _rollback, "ROLLBACK": _rollback,
    "SAVEPOINT": _savepoint, "RELEASE": _savepoint, "SET": _set, "RESET": _reset, "SHOW": _show, "COPY": _copy,
    "DECLARE": _declare, "FETCH": _fetch, "MOVE": _fetch, "CLOSE": _close, "DEALLOCATE": _deallocate,
    "PREPARE": _prepared, "EXECUTE": _prepared, "DISCARD": lambda _a, _k: Discard(),
    "UNLISTEN": lambda _a, _k: Nothing("UNLISTEN"), "LISTEN": _prepared, "NOTIFY": _prepared,
}  # fmt: skip
