"""One query in a process of its own, which is ended when it works too long, and which the system holds to its memory.

Inputs and the answer travel as Arrow streams through pipes; files are read by the process itself. It holds no key, no
state and no source, and DuckDB in it is locked down as ever. It ends with the process that asked.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tilth.adapters.engines.duckdb_watch import LOOK, over_memory, over_time
from tilth.core.errors import TilthError
from tilth.ports.engine import Relation
from tilth.ports.limits import Limits
from tilth.ports.streams import closing

if TYPE_CHECKING:
    import pyarrow as pa

BESIDE = 2 << 30  # address space of Python, DuckDB and their threads, beside what the statement may use
KNOWN = frozenset(
    """
    abs acos age all and any any_value approx_count_distinct approx_quantile arg_max arg_min array_agg as asc ascii
    asin asof atan atan2 avg between bigint bit_and bit_or bit_xor bool_and bool_or by case cast cbrt ceil ceiling
    char_length coalesce columns concat concat_ws contains corr cos count count_if covar_pop covar_samp cume_dist
    current_date date date_diff date_part date_sub date_trunc datediff datepart datesub datetrunc day dayname dayofmonth
    dayofweek dayofyear decade decimal degrees dense_rank desc distinct else ends_with entropy epoch epoch_ms epoch_us
    equi_width_bins error except exclude exists exp extract filter first first_value floor from fsum full gcd
    geomean greatest group grouping having hour hash histogram if ifnull in inner instr interval intersect is isfinite
    isinf isnan isodow isoyear join json_extract json_extract_string kurtosis lag last last_day last_value lateral lead least left length limit list ln log
    log10 log2 lower ltrim mad make_date make_time make_timestamp max max_by md5 mean median microsecond min min_by
    minute mod mode month monthname not now nth_value ntile nullif numeric offset on or order over parse_path
    partition percent_rank pi position pow power product qualify quantile quantile_cont quantile_disc quarter radians
    random rank recursive regexp_extract regexp_full_match regexp_matches replace_columns right round row row_number rtrim second select sha256 sign sin
    skewness sqrt starts_with stddev stddev_pop stddev_samp strftime strlen strpos strptime struct_pack substr substring
    sum tan then timestamp to_days to_hours to_minutes to_months to_seconds to_timestamp to_weeks to_years trim trunc
    try_cast try_strptime typeof union unnest upper using values var_pop var_samp varchar variance week weekday weekofyear
    when where window with within year yearweek
    """.split()  # noqa: SIM905 - a list of quoted words reads worse
)
"""Words before a parenthesis whose work on one row is bounded by what the row holds."""
_CALLED = re.compile(r'([A-Za-z_][\w$]*|"(?:[^"]|"")*")\s*\(')
_TABLES = re.compile(
    r"\b(?:from|join)\s+(?:range|generate_series)\s*\(", re.IGNORECASE
)  # as tables they come in batches
_STARTED = re.compile(r"'(?:[^']|'')*'|--[^\n]*|/\*(?:[^*]|\*(?!/))*\*/", re.DOTALL)


def needs_one(sql: str) -> bool:
    """Whether the query calls a function that can work without end on one row, or might."""
    bare = _TABLES.sub(" ", _STARTED.sub(" ", sql))
    if "$$" in bare or ("[" in bare and " for " in bare.lower()):
        return True  # texts that are not looked into, and [... FOR ... IN ...]
    return any(found.strip('"').lower() not in KNOWN for found in _CALLED.findall(bare))


def stream(
    sql: str,
    inputs: Mapping[str, Relation],
    limits: Limits,
    threads: int,
    temp: str,
    translated: Callable[[BaseException], BaseException],
) -> pa.RecordBatchReader:
    """The query's result. Inputs that are paths were allowed before."""
    run = _Run(limits, translated)
    try:
        return run.started(sql, inputs, threads, temp)
    except BaseException:
        run.close()
        raise


class _Run:
    """The process of one query, and what feeds it."""

    def __init__(self, limits: Limits, translated: Callable[[BaseException], BaseException]) -> None:
        self._limits, self._translated = limits, translated
        self._left = limits.seconds
        self._over = False
        self._failed: list[TilthError] = []  # of inputs, whose words the process does not know
        self._process: subprocess.Popen[bytes] | None = None
        self._ends: list[int] = []

    def started(
        self, sql: str, inputs: Mapping[str, Relation], threads: int, temp: str
    ) -> pa.RecordBatchReader:
        import pyarrow as pa

        spec: dict[str, Any] = {"sql": sql, "threads": threads, "temp": temp, "memory": self._limits.memory}
        given: dict[str, Any] = {}
        feeds: list[tuple[int, Any]] = []
        fed = 0
        for name, value in inputs.items():
            if isinstance(value, Sequence):
                given[name] = list(value)
                continue
            theirs, ours = os.pipe()
            self._ends.append(theirs)
            feeds.append((ours, value.to_reader() if isinstance(value, pa.Table) else value))
            given[name] = theirs
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tilth.adapters.engines.duckdb_child"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=self._ends,
        )  # fmt: skip
        while self._ends:
            os.close(self._ends.pop())
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            # Before any input is fed: one that fails at once ends the process.
            self._process.stdin.write(json.dumps({**spec, "inputs": given}).encode())
            self._process.stdin.close()
            for fed, args in enumerate(feeds, 1):  # noqa: B007 - what is not fed is closed here
                threading.Thread(target=self._feed, args=args, name="tilth-feed", daemon=True).start()
            with self._watched():
                reader = pa.ipc.open_stream(self._process.stdout)
        except Exception as error:
            for end, _ in feeds[fed:]:
                os.close(end)
            raise self._told(error) from error
        answer = pa.RecordBatchReader.from_batches(reader.schema, self._each(reader))
        return closing(answer, self.close, self._told)

    def close(self) -> None:
        process = self._process
        while self._ends:
            os.close(self._ends.pop())
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()

    def _each(self, reader: Any) -> Iterator[pa.RecordBatch]:
        batches = iter(reader)
        while True:
            with self._watched():
                batch = next(batches, None)
            if batch is None:
                self._ended()
                return
            if self._left < 0:  # each came quickly, and there were many
                raise over_time(self._limits)
            yield batch

    def _ended(self) -> None:
        """The stream is over; raise unless the process says that this was all."""
        assert self._process is not None
        if self._process.wait() != 0:
            raise OSError

    def _watched(self) -> _Clock:
        return _Clock(self)

    def spend(self, seconds: float) -> None:
        self._left -= seconds

    def look(self, spent: float) -> None:
        """End the process once its time is over."""
        if spent > self._left and self._process is not None:
            self._over = True
            self._process.kill()

    def _told(self, error: Exception) -> BaseException:
        """Why there is no answer: an input broke off, the process was ended, or it said what is wrong."""
        assert self._process is not None
        assert self._process.stderr is not None
        if self._over:
            return over_time(self._limits)
        if isinstance(error, TilthError):
            return error
        status = self._process.wait()
        said = self._process.stderr.read().decode(errors="replace")
        if self._failed:
            return self._failed[0]
        if status != REFUSED or "bad_alloc" in said or said.startswith("MemoryError"):
            return over_memory(self._limits)
        found = self._translated(OSError(said))
        return found if isinstance(found, TilthError) else over_memory(self._limits)

    def _feed(self, end: int, reader: Any) -> None:
        """Hand an input over as it is asked for."""
        import pyarrow as pa

        try:
            with os.fdopen(end, "wb") as file, pa.ipc.new_stream(file, reader.schema) as out:
                for batch in reader:
                    out.write_batch(batch)
        except TilthError as error:
            self._failed.append(error)
            self._end()
        except OSError:
            pass  # the process needs no more of it
        except Exception as error:
            found = self._translated(error)
            if isinstance(found, TilthError):
                self._failed.append(found)
            self._end()

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()  # half an input must not look like a whole one


class _Clock:
    """Counts the time of a block towards the process's, and ends it when that is over."""

    def __init__(self, run: _Run) -> None:
        self._run, self._done = run, threading.Event()

    def __enter__(self) -> None:
        self._began = time.monotonic()
        threading.Thread(target=self._look, name="tilth-watch", daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._run.spend(time.monotonic() - self._began)

    def _look(self) -> None:
        while not self._done.wait(LOOK):
            self._run.look(time.monotonic() - self._began)


REFUSED = 3  # the status of a process that says on standard error what DuckDB said
