"""The prompt of `tilth sql`: statements end with `;`, a few words need none, names complete, and history is kept.

History lies in the home of the user (`~/.tilth_history`, readable by nobody else), and holds what was typed, no answers.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from typing import Any

import click

from tilth.core.errors import TilthError
from tilth.interfaces.cli import ctrl_c, show
from tilth.interfaces.cli.shell import SHOWN, Shell, complete, unknown
from tilth.runtime import unforeseen

PROMPT, MORE = "tilth> ", "  ...> "
HISTORY, MOST = "~/.tilth_history", 2000
LEAVE = frozenset({"quit", "exit", "\\q", ".quit", ".exit"})
HELP = """\
SELECT ...;                 rows: of datasets, models, tables of sources, and the schema tilth
SHOW MODELS;                also SOURCES, DATASETS, ENDPOINTS, ENVIRONMENTS, TABLES
DESCRIBE late;              all that is known of it: inputs, metrics, columns, checks
SUMMARIZE departures;       each column at a glance
PLAN;  APPLY;               what would change; change it
REFRESH DATASET d;  RETRAIN MODEL m;  LOOK AT MODEL m;  ROLLBACK ENVIRONMENT prod;
\\d                          what can be asked        \\d NAME    the same as DESCRIBE NAME;
\\dm \\dn \\dv \\de \\dj \\l    models, sources, views, endpoints, jobs, environments
\\x  \\timing  \\pager        a line a column; how long it takes; the pager: each on or off
\\o rows.csv                 rows go to a file (csv, json, jsonl, parquet, md); \\o alone prints again
\\c dev                      ask another environment   \\i FILE    perform the statements of a file
help                        this                     quit, exit or Ctrl-D   leave"""
VERBS = [
    "SELECT",
    "FROM",
    "WHERE",
    "JOIN",
    "ASOF",
    "LEFT",
    "ON",
    "USING",
    "GROUP",
    "BY",
    "ORDER",
    "HAVING",
    "LIMIT",
    "OFFSET",
    "WITH",
    "AS",
    "AND",
    "OR",
    "NOT",
    "NULL",
    "IN",
    "IS",
    "LIKE",
    "BETWEEN",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "DISTINCT",
    "UNION",
    "ALL",
    "CREATE",
    "REPLACE",
    "ALTER",
    "DROP",
    "IF",
    "EXISTS",
    "PLAN",
    "APPLY",
    "FOR",
    "REFRESH",
    "DATASET",
    "RETRAIN",
    "MODEL",
    "PROMOTE",
    "ENVIRONMENT",
    "ROLLBACK",
    "TO",
    "GENERATION",
    "VERSION",
    "BECAUSE",
    "EXPLAIN",
    "PREDICT",
    "DRILL",
    "DESCRIBE",
    "SHOW",
    "SUMMARIZE",
    "LOOK",
    "AT",
    "INSERT",
    "INTO",
    "TABLE",
    "VALUES",
    "KEY",
    "SOURCE",
    "SOURCES",
    "ENGINE",
    "DATASETS",
    "MODELS",
    "ENDPOINT",
    "ENDPOINTS",
    "TABLES",
    "ENVIRONMENTS",
    "VIEW",
    "VIEWS",
    "JOB",
    "JOBS",
    "TRIGGER",
    "TRIGGERS",
    "CHANNEL",
    "CHANNELS",
    "TOKEN",
    "EVERY",
    "START",
    "EXPECT",
    "EVENT",
    "TIME",
    "KNOWN",
    "FEATURES",
    "OBJECTIVE",
    "PROMOTE",
    "OUTCOMES",
    "RUN",
    "CANCEL",
    "SET",
    "RESET",
]


def short(text: str) -> str | None:
    """The statement that a word without `;` stands for; None for what is none of them."""
    word, _, name = text.strip().rstrip(";").strip().partition(" ")
    if word.lower() in ("\\d", "\\d+") and name.strip():
        return f"DESCRIBE {name.strip()}"
    return SHOWN.get(word.lower()) if not name.strip() else None


def prompt(
    answer: Callable[[str], Any], names: Callable[[], Iterable[str]], shell: Shell | None = None
) -> None:
    """Ask until it is left; an error is shown and the prompt goes on. `shell` has the words that begin with a backslash."""
    text = ""
    with _history(names):
        while True:
            ctrl_c.forget()
            try:
                line = input(MORE if text else PROMPT)
            except EOFError:
                click.echo()
                return
            except KeyboardInterrupt:
                click.echo()
                text = ""
                continue
            if not text:
                word = line.strip().rstrip(";").strip().lower()
                if word in LEAVE:
                    return
                if word in ("help", "?", "\\?", "\\h", ".help"):
                    click.echo(HELP)
                    continue
                if word.startswith(("\\", ".")):  # no statement begins so
                    _answered(lambda said: _backslash(said, answer, shell), line)
                    continue
            text += line + "\n"
            if not text.strip():
                text = ""
            elif complete(text):
                _answered(answer, text)
                text = ""


def _backslash(line: str, answer: Callable[[str], Any], shell: Shell | None) -> None:
    """Do what a word stands for."""
    if (meant := short(line)) is not None:
        answer(meant)
    elif shell is None or not shell.word(line):
        click.echo(unknown(line.split(maxsplit=1)[0]), err=True)


def _answered(answer: Callable[[str], Any], text: str) -> None:
    try:
        answer(text)
    except TilthError as error:
        click.echo(show.clean(str(error)), err=True)
    except KeyboardInterrupt:
        click.echo("\nStopped.", err=True)
    except Exception as error:  # that nobody foresaw: the prompt goes on
        if ctrl_c.pressed():
            click.echo("\nStopped.", err=True)
        else:
            click.echo(show.clean(str(unforeseen.reported(error, "sql"))), err=True)


@contextlib.contextmanager
def _history(names: Callable[[], Iterable[str]]) -> Any:
    """What was typed before is there again, and the tab key completes."""
    try:
        import readline
    except ImportError:
        yield
        return
    path = os.path.expanduser(HISTORY)
    with contextlib.suppress(OSError):
        os.close(os.open(path, os.O_CREAT | os.O_RDONLY | os.O_NOFOLLOW, 0o600))
        os.chmod(path, 0o600)
        readline.read_history_file(path)
    readline.set_history_length(MOST)
    readline.set_completer(Completer(names))
    readline.set_completer_delims(" \t\n,;()=<>.")
    readline.parse_and_bind("tab: complete")
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            readline.write_history_file(path)
            os.chmod(path, 0o600)


class Completer:
    """Words of the language and names that there are, as readline asks: the n-th that begins so."""

    def __init__(self, names: Callable[[], Iterable[str]]) -> None:
        self._names = names
        self._found: list[str] = []

    def __call__(self, begun: str, n: int) -> str | None:
        if n == 0:
            self._found = self.matches(begun)
        return self._found[n] if n < len(self._found) else None

    def matches(self, begun: str) -> list[str]:
        """What begins so, in any case of letters: names first."""
        try:
            names = sorted(set(self._names()))
        except TilthError:
            names = []
        low = begun.lower()
        words = [w if begun.isupper() or not begun else w.lower() for w in VERBS]
        return [w for w in (*names, *words) if w.lower().startswith(low)]
