"""The prompt of `tilth sql` on a terminal: what is typed there, and what it shows."""

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import shop_project

PROMPT = "tilth> "
CODES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]|\r")


class Terminal:
    """A program on a terminal of 100 columns and 24 lines."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.pid, self.end = pty.fork()
        if self.pid == 0:
            os.environ.update(HOME=str(home), TERM="xterm", PAGER="cat", INPUTRC="/dev/null")
            os.execv(sys.executable, [sys.executable, "-m", "tilth", "sql", "--project", str(folder)])
        fcntl.ioctl(self.end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))

    def until(self, words: str, seconds: float = 60) -> str:
        """What is printed until the words are."""
        held, late = "", time.monotonic() + seconds
        while words not in CODES.sub("", held):
            assert time.monotonic() < late, held
            if select.select([self.end], [], [], 0.2)[0]:
                try:
                    held += os.read(self.end, 65_536).decode(errors="replace")
                except OSError:
                    break
        return CODES.sub("", held)

    def type(self, text: str, end: str = "\n") -> None:
        os.write(self.end, (text + end).encode())

    def ask(self, text: str) -> str:
        """What is printed for a line, until the prompt is there again."""
        self.type(text)
        found = self.until("\n" + PROMPT)
        return found.partition("\n")[2].rpartition("\n")[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = shop_project.make(tmp_path_factory.mktemp("shell") / "p")
    project = shop_project.opened(place)
    project.apply()
    project.close()
    return place


@pytest.fixture
def terminal(folder: Path, tmp_path: Path) -> Iterator[Terminal]:
    found = Terminal(folder, tmp_path)
    found.until(PROMPT)
    yield found
    with contextlib.suppress(OSError):
        os.write(found.end, b"\x04")
    with contextlib.suppress(ChildProcessError):
        os.waitpid(found.pid, 0)
    with contextlib.suppress(OSError):
        os.close(found.end)


def test_words_change_how_rows_are_shown(terminal: Terminal, tmp_path: Path) -> None:
    one = "SELECT id, carrier FROM deliveries WHERE id = 1;"
    assert "id  carrier" in terminal.ask(one)
    assert "a line a column" in terminal.ask("\\x")
    assert re.search(r"id +1\ncarrier +\w+", terminal.ask(one))
    assert "as a table" in terminal.ask("\\x off")
    assert "is told" in terminal.ask("\\timing on")
    assert re.search(r"Time: [0-9.]+ ms", terminal.ask(one))
    assert "is not told" in terminal.ask("\\timing")
    path = tmp_path / "rows.csv"
    assert "Rows go to" in terminal.ask(f"\\o {path}")
    assert "holds 3 rows" in terminal.ask("SELECT id FROM deliveries WHERE id < 3 ORDER BY id;")
    assert path.read_text() == "id\n0\n1\n2\n"
    assert "Rows are printed" in terminal.ask("\\o")
    assert "id  carrier" in terminal.ask(one)


def test_a_statement_may_have_lines_and_marks_in_strings(terminal: Terminal) -> None:
    terminal.type("SELECT 'a;")
    assert "..." in terminal.until("...> ")
    terminal.type("b' AS text,")
    terminal.until("...> ")
    assert "a; b" in terminal.ask("(1) AS n;")


def test_words_stand_for_lists(terminal: Terminal) -> None:
    assert "deliveries" in terminal.ask("\\dn") + terminal.ask("\\d deliveries")
    assert "late" in terminal.ask("\\dm")
    assert "prod" in terminal.ask("\\l")
    assert "Did you mean `\\timing`?" in terminal.ask("\\timin")
    assert "neither on nor off" in terminal.ask("\\x sometimes")
    assert "no suffix" in terminal.ask("\\o rows")
    assert "There is no environment `nothere`" in terminal.ask("\\c nothere")
    assert "cannot be read" in terminal.ask("\\i nothere.sql")
    assert "\\timing" in terminal.ask("help")


def test_an_error_has_a_caret_and_the_prompt_goes_on(terminal: Terminal) -> None:
    found = terminal.ask("SELECT nope FROM deliveries;")
    assert "no column `nope`" in found
    assert "^^^^" in found
    assert "6000" in terminal.ask("SELECT count(*) FROM deliveries;")


def test_ctrl_c_ends_the_statement_and_not_the_shell(terminal: Terminal) -> None:
    terminal.type("SELECT count(*) FROM range(100000000) a, range(100000) b;")
    time.sleep(2)
    terminal.type("\x03", end="")
    assert "Stopped" in terminal.until(PROMPT, 20) or "cancelled" in terminal.until(PROMPT, 20)
    assert "6000" in terminal.ask("SELECT count(*) FROM deliveries;")


def test_the_tab_key_completes_names_and_columns(terminal: Terminal) -> None:
    terminal.type("SELECT carr\t FROM deliver\t WHERE id = 1;")
    found = terminal.until("\n" + PROMPT)
    assert "carrier" in found
    assert "no column" not in found


def test_a_file_of_statements_is_performed(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "ask.sql").write_text("SELECT 1 AS one; SELECT 2 AS two;\n")
    found = terminal.ask(f"\\i {tmp_path / 'ask.sql'}")
    assert "one" in found
    assert "two" in found


def test_long_tables_go_through_the_pager(terminal: Terminal) -> None:
    found = terminal.ask("SELECT id FROM deliveries LIMIT 60;")
    assert "60 rows" in found
    assert "are printed" in terminal.ask("\\pager")
