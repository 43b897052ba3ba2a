"""How the prompt of `tilth sql` shows what it is answered, and the words with a backslash that change it.

The words are those that people know from psql; each says what holds from now on.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from tilth.core.errors import InputError, LanguageError
from tilth.core.names import nearest
from tilth.interfaces.cli import files, show
from tilth.sql.language.tokens import Cursor

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tilth.runtime.asking.session import Session

SHOWN = {
    "\\d": "SHOW TABLES", "\\dt": "SHOW TABLES", "\\dm": "SHOW MODELS", "\\dn": "SHOW SOURCES", "\\dv": "SHOW VIEWS", "\\de": "SHOW ENDPOINTS",
    "\\dj": "SHOW JOBS", "\\l": "SHOW ENVIRONMENTS", ".tables": "SHOW TABLES", ".models": "SHOW MODELS",
}  # fmt: skip
"""Statements that a word stands for."""
ON, OFF = ("on", "true", "1"), ("off", "false", "0")


@dataclass(slots=True)
class Shell:
    """What the prompt does with an answer."""

    session: Session
    perform: Callable[[str], None]
    form: str = "table"
    timing: bool = False
    paged: bool = True
    output: str | None = None

    def word(self, line: str) -> bool:
        """Do what a word with a backslash says; whether it is one. InputError for what cannot be."""
        word, _, rest = line.strip().rstrip(";").strip().partition(" ")
        found = WORDS.get(word.lower())
        if found is None:
            return False
        found(self, rest.strip())
        return True

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Say how long the block took, if that is wanted."""
        began = time.monotonic()
        try:
            yield
        finally:
            if self.timing:
                click.echo(f"Time: {(time.monotonic() - began) * 1e3:.3f} ms", err=True)

    def shows(self, text: str) -> None:
        """Print a table: by the pager where it is longer or wider than the terminal, and somebody looks."""
        size = shutil.get_terminal_size()
        lines = text.split("\n")
        large = len(lines) >= size.lines - 1 or max(map(len, lines)) > size.columns
        if self.paged and large and sys.stdout.isatty():
            os.environ.setdefault("LESS", "-FRSX")
            click.echo_via_pager(text + "\n")
        else:
            click.echo(text)


def complete(text: str) -> bool:
    """Whether a statement ends here: with a `;` that stands in no string, comment or bracket."""
    if not text.rstrip().endswith(";"):
        return False
    try:
        found = Cursor(text)
    except LanguageError as error:
        return "never ends" not in error.message and "not closed" not in error.message
    depth = sum((k in "([{") - (k in ")]}") for k in found.keys if k and len(k) == 1)
    return depth <= 0 and found.keys[-1:] == [";"]


def _switch(name: str, now: bool, said: str) -> bool:
    """The value that a word asks for; the other one where it says none."""
    low = said.lower()
    if low and low not in (*ON, *OFF):
        raise InputError(f"{said[:40]!r} is neither on nor off.", hint=f"Write {name} on, or {name} off.")
    return low in ON if low else not now


def _timing(shell: Shell, said: str) -> None:
    shell.timing = _switch("\\timing", shell.timing, said)
    click.echo(f"How long a statement takes is {'told' if shell.timing else 'not told'}.", err=True)


def _expanded(shell: Shell, said: str) -> None:
    wide = _switch("\\x", shell.form == "vertical", said)
    shell.form = "vertical" if wide else "table"
    click.echo(f"Rows are shown as {'a line a column' if wide else 'a table'}.", err=True)


def _pager(shell: Shell, said: str) -> None:
    shell.paged = _switch("\\pager", shell.paged, said)
    click.echo(f"Long tables {'go through the pager' if shell.paged else 'are printed'}.", err=True)


def _output(shell: Shell, said: str) -> None:
    if said:
        try:
            files.checked(said, force=True)
        except click.BadParameter as error:
            raise InputError(error.message, hint="Write \\o rows.csv; \\o alone prints again.") from error
    shell.output = said or None
    click.echo(f"Rows go to {said}." if said else "Rows are printed.", err=True)


def _connect(shell: Shell, said: str) -> None:
    from tilth.runtime.record import environments

    name = said.strip("'\"") or shell.session.environment
    if name != shell.session.environment:
        environments.require(shell.session.work.state, name)
        shell.session.environment = name
    click.echo(f"You ask {name}.", err=True)


def _read(shell: Shell, said: str) -> None:
    if not said:
        raise InputError("No file is named.", hint="Write \\i statements.sql.")
    try:
        with open(said, encoding="utf-8") as found:
            text = found.read()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise InputError(f"{said!r} cannot be read: {why}.", hint="Name a file of statements.") from error
    shell.perform(text)


WORDS: Mapping[str, Callable[[Shell, str], None]] = {
    "\\timing": _timing, "\\x": _expanded, "\\pager": _pager, "\\o": _output, "\\c": _connect, "\\connect": _connect, "\\i": _read,
}  # fmt: skip


def unknown(word: str) -> str:
    """What to say of a word that is none."""
    near = nearest(word, (*WORDS, *SHOWN, "\\q"))
    meant = f" Did you mean `{near}`?" if near else ""
    return f"`{show.clean(word)}` is not known here.{meant} `help` lists what is."


def named(session: Session) -> Iterable[str]:
    """Names that can be completed: resources, environments, columns of datasets, inputs and outputs of models."""
    from tilth.runtime.asking.relations import Explorer

    graph = session.deployed(session.environment)
    names = {r.name for r in graph}
    for one in Explorer(session).deployed():
        names |= {c.name for c in one.columns}
    return names
